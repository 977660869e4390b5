/* SPDX-License-Identifier: Apache-2.0 */
#include "lattice/lattice_priv.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum { ALL_AT_ONCE_SPREAD_MS = 1000 }; /* hosts that come back together speak within */

/* --- envelope --- */

/* Days since 1970 to year, month, day; valid for any day (proleptic Gregorian, eras of 400 years). */
static void civil_date(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned of_era = (unsigned)(days - era * 146097);
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted = (5 * of_year + 2) / 153;
    *day = of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = (int64_t)year_of_era + era * 400 + (*month <= 2);
}

static void format_time(int64_t wall_ns, char text[64])
{
    int64_t seconds = wall_ns / 1000000000, ns = wall_ns % 1000000000, year;
    if (ns < 0) {
        ns += 1000000000;
        seconds--;
    }
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    unsigned month, day;
    civil_date(days, &year, &month, &day);
    snprintf(text, 64, "%04lld-%02u-%02uT%02d:%02d:%02d.%09dZ", (long long)year, month, day, (int)(rest / 3600),
             (int)(rest / 60 % 60), (int)(rest % 60), (int)ns);
}

/* A ULID (48 bits of ms, 80 random ones) in the text form of a UUID. */
static void format_id(struct wisp_lattice *lattice, char text[WISP_LATTICE_UUID_LEN + 1])
{
    uint64_t ms = (uint64_t)(lattice->now.wall_ns / 1000000) & 0xffffffffffff;
    uint64_t a = wisp_lattice_random(lattice), b = wisp_lattice_random(lattice);
    snprintf(text, WISP_LATTICE_UUID_LEN + 1, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(ms >> 16),
             (unsigned)(ms & 0xffff), (unsigned)(a & 0xffff), (unsigned)(a >> 16 & 0xffff),
             (unsigned long long)(b & 0xffffffffffff));
}

static json_t *envelope(struct wisp_lattice *lattice, const char *name, json_t *data)
{
    char time[64], id[WISP_LATTICE_UUID_LEN + 1], type[128];
    format_time(lattice->now.wall_ns, time);
    format_id(lattice, id);
    snprintf(type, sizeof type, "com.wasmcloud.lattice.%s", name);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:O}", "specversion", "1.0", "id", id, "type", type, "source",
                     lattice->host_id, "datacontenttype", "application/json", "time", time, "data", data);
}

static struct wisp_str subject_of(struct wisp_lattice *lattice, const char *name)
{
    return wisp_str_from(wisp_arena_printf(&lattice->arena, "wasmbus.evt.%s.%s", lattice->lattice, name));
}

/* Without the bus nothing is said, and not later either: events tell of changes, and the heartbeat that goes out when
 * the bus is back tells what they have led to. */
void wisp_lattice_event(struct wisp_lattice *lattice, const char *name, json_t *data)
{
    wisp_lattice_save_pending(lattice);
    if (lattice->is_connected) {
        WISP_CLEANUP_JSON json_t *event = envelope(lattice, name, data);
        wisp_lattice_publish(lattice, subject_of(lattice, name), event);
    }
    json_decref(data);
}

/* --- claims in events --- */

static json_t *time_text(const json_t *claims, const char *key)
{
    char text[24];
    const json_t *value = json_object_get(claims, key);
    if (!json_is_integer(value)) return json_string("never");
    snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    return json_string(text);
}

static void set_text(json_t *to, const char *key, const json_t *claims)
{
    json_object_set_new(to, key, wisp_json_text(wisp_json_str(claims, key)));
}

json_t *wisp_lattice_component_claims(const json_t *claims)
{
    json_t *data = json_object();
    set_text(data, "call_alias", claims);
    set_text(data, "issuer", claims);
    json_object_set_new(data, "tags", wisp_lattice_list_of(claims, "tags"));
    set_text(data, "name", claims);
    set_text(data, "version", claims);
    char revision[24];
    snprintf(revision, sizeof revision, "%lld", (long long)json_integer_value(json_object_get(claims, "revision")));
    json_object_set_new(data, "revision", json_string(revision));
    json_object_set_new(data, "not_before_human", time_text(claims, "not_before"));
    json_object_set_new(data, "expires_human", time_text(claims, "expires_at"));
    return data;
}

json_t *wisp_lattice_provider_claims(const json_t *claims)
{
    json_t *data = json_object();
    set_text(data, "issuer", claims);
    json_object_set_new(data, "tags", json_null());
    set_text(data, "name", claims);
    set_text(data, "version", claims);
    json_object_set_new(data, "not_before_human", time_text(claims, "not_before"));
    json_object_set_new(data, "expires_human", time_text(claims, "expires_at"));
    return data;
}

/* --- heartbeat --- */

static size_t printed_size(const json_t *value)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_json_print(value, &text);
    return text.len;
}

/* A host that runs more than fits into a message leaves the annotations out; one that still doesn't fit says so. */
static void publish_heartbeat(struct wisp_lattice *lattice)
{
    enum { ENVELOPE_SIZE = 1024 };
    if (!lattice->is_connected) return;
    json_t *data = wisp_lattice_inventory_json(lattice, WISP_LATTICE_HEARTBEAT);
    size_t n_units = lattice->components.count + lattice->providers.count;
    if (n_units > 500 && printed_size(data) + ENVELOPE_SIZE > lattice->payload_max) {
        json_decref(data);
        data = wisp_lattice_inventory_json(lattice, WISP_LATTICE_BRIEF);
        if (!lattice->has_said_heartbeat_large)
            wisp_lattice_log(lattice, WISP_LOG_WARN,
                             "%zu components and providers run here: heartbeats have no room for their annotations",
                             n_units);
        lattice->has_said_heartbeat_large = true;
    }
    wisp_lattice_event(lattice, "host_heartbeat", data);
}

static void heartbeat_due(struct wisp_lattice_timer *timer, void *env)
{
    struct wisp_lattice *lattice = env;
    wisp_lattice_timer_arm(lattice, timer, lattice->heartbeat_interval_ms, heartbeat_due, lattice);
    publish_heartbeat(lattice);
}

void wisp_lattice_heartbeat_begin(struct wisp_lattice *lattice)
{
    wisp_lattice_timer_arm(lattice, &lattice->heartbeat, lattice->heartbeat_interval_ms, heartbeat_due, lattice);
}

static void soon_due(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    publish_heartbeat(env);
}

void wisp_lattice_heartbeat_soon(struct wisp_lattice *lattice)
{
    if (lattice->heartbeat_once.slot) return;
    wisp_lattice_timer_arm(lattice, &lattice->heartbeat_once, wisp_lattice_random(lattice) % ALL_AT_ONCE_SPREAD_MS,
                           soon_due, lattice);
}
