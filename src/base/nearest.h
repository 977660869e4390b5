/* SPDX-License-Identifier: Apache-2.0 */
/* "did you mean ...?" */
#pragma once

#include "base/str.h"

/* The one of `words` (ends with NULL) that `word` may be a misspelling of; NULL when none is near. */
const char *wisp_nearest(struct wisp_str word, const char *const *words);
