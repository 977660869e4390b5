/* SPDX-License-Identifier: Apache-2.0 */
/* XML as object stores answer it: elements and text. No document types, no processing instructions but the declaration;
 * attributes and namespaces are read over. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"

enum { WISP_XML_DEPTH_MAX = 16, WISP_XML_ELEMENTS_MAX = 100 * 1000 };

struct wisp_xml_element {
    const struct wisp_str *path; /* names from the outermost element's to its own */
    size_t depth;                /* number of them, at least 1 */
    struct wisp_str text;        /* its own, in the arena; empty when there are elements in it */
};
/* Its own name is `inner`, that of the element around it `outer`. */
bool wisp_xml_is(const struct wisp_xml_element *element, const char *outer, const char *inner);

/* Called at the end of each element, inner ones first. INVALID with the offset when it isn't well-formed; LIMIT beyond
 * the sizes above. */
int wisp_xml_read(struct wisp_str document, struct wisp_arena *arena,
                  void (*on_element)(const struct wisp_xml_element *element, void *env), void *env,
                  struct wisp_err *err) __attribute__((warn_unused_result));
/* Escapes. False when there is something in it that XML can't express. */
bool wisp_xml_append(struct wisp_buf *out, struct wisp_str text);
