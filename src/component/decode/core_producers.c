/* SPDX-License-Identifier: Apache-2.0 */
#include "component/array.h"
#include "component/decode/core_module.h"

enum { PRODUCERS_MAX = 1000, VALUES_MAX = 10000 };

static void add(struct wisp_producers *producers, struct wisp_producer producer)
{
    if (producers->n == PRODUCERS_MAX || producers->n_read++ >= VALUES_MAX) return;
    for (uint32_t i = 0; i < producers->n; i++) {
        const struct wisp_producer *known = &producers->items[i];
        if (wisp_str_equal(known->field, producer.field) && wisp_str_equal(known->name, producer.name) &&
            wisp_str_equal(known->version, producer.version))
            return;
    }
    *WISP_PUSH(producers->arena, producers->items, producers->n, producers->capacity) = producer;
}

void wisp_producers_read(struct wisp_producers *producers, struct wisp_reader section)
{
    struct wisp_err ignored = {0};
    section.err = &ignored;
    for (uint32_t n_fields = wisp_read_count(&section); n_fields > 0 && !section.failed; n_fields--) {
        struct wisp_str field = wisp_read_name(&section);
        for (uint32_t n_values = wisp_read_count(&section); n_values > 0 && !section.failed; n_values--) {
            struct wisp_str name = wisp_read_name(&section), version = wisp_read_name(&section);
            if (!section.failed) add(producers, (struct wisp_producer){field, name, version});
        }
    }
}
