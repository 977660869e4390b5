/* SPDX-License-Identifier: Apache-2.0 */
#include "state/table.h"

#include "test.h"

#include <stdio.h>

TEST(keys_are_found_and_kept_in_the_order_of_touch)
{
    struct wisp_state_table table = {0};
    char key[16];
    for (int i = 0; i < 1000; i++) {
        struct wisp_str text = {key, (size_t)snprintf(key, sizeof key, "k%d", i)};
        struct wisp_state_entry *entry = wisp_state_table_add(&table, WISP_STATE_LATTICE, text);
        CHECK(entry && wisp_state_table_add(&table, WISP_STATE_LATTICE, text) == entry);
        entry->revision = (uint64_t)i;
    }
    CHECK(!wisp_state_table_find(&table, WISP_STATE_CONFIG, WISP_STR("k5")));
    wisp_state_table_touch(&table, wisp_state_table_find(&table, WISP_STATE_LATTICE, WISP_STR("k5")));
    CHECK_STR(table.last->key, "k5");
    CHECK_STR(table.first->key, "k0");
    for (int i = 0; i < 1000; i += 2) {
        snprintf(key, sizeof key, "k%d", i);
        wisp_state_table_remove(&table, wisp_state_table_find(&table, WISP_STATE_LATTICE, wisp_str_from(key)));
    }
    CHECK_INT(table.count, 500);
    uint64_t previous = 0;
    for (struct wisp_state_entry *entry = table.first; entry != table.last; entry = entry->next) {
        CHECK(entry->revision % 2 == 1 && entry->revision > previous && entry->revision != 5);
        previous = entry->revision;
    }
    CHECK(!wisp_state_table_find(&table, WISP_STATE_LATTICE, WISP_STR("k8")));
    wisp_state_table_deinit(&table);
}
