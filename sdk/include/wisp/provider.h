/* SPDX-License-Identifier: Apache-2.0 */
/* To write a capability provider as a program of its own:
 *
 *     #include <wisp/provider.h>
 *     ...
 *     int main(int argc, char **argv) { return wisp_provider_main(&my_kind, argc, argv); }
 *
 * and `cc provider.c $(pkg-config --cflags --libs wisp-provider)`. What a kind is says provider/provider.h. */
#pragma once

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "provider/provider.h"

/* Reads host data from standard input and is an instance of the kind until the host says that it is over, SIGTERM or
 * SIGINT comes, or the bus is gone for good. Calls in flight may end first, for some seconds. Returns the exit status:
 * 0 after such an end, else what was wrong is on standard error, and the status is that of its kind (base/err.h). With
 * `--help`, `--version`, `--describe` it prints these.
 *
 * Settings of the provider's configuration that are everybody's:
 *     data_dir   the directory for provider->data_path, made when it is missing. The environment of a provider is
 *                empty, so it has none without this. */
int wisp_provider_main(const struct wisp_provider_kind *kind, int argc, char **argv);
