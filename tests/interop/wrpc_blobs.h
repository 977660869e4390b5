/* SPDX-License-Identifier: Apache-2.0 */
/* Streams and futures: three functions of a blobstore that keeps nothing, as those of wrpc_rust/src/blobs.rs. */
#pragma once

#include "wrpc/call.h"
#include "wrpc/serve.h"

struct blobs;

/* Ends the program when something is wrong. */
struct blobs *blobs_new(struct wisp_wrpc *wrpc, uv_loop_t *loop);
void blobs_serve(struct blobs *blobs, struct wisp_wrpc_service *service);
/* Calls them at `id`, and prints what came back. */
void blobs_call(struct blobs *blobs, struct wisp_str id);
