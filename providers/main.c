/* SPDX-License-Identifier: Apache-2.0 */
/* The program of a kind: WISP_KIND is what its struct is called. */
#include "wisp/provider.h"

extern const struct wisp_provider_kind WISP_KIND;

int main(int argc, char **argv) { return wisp_provider_main(&WISP_KIND, argc, argv); }
