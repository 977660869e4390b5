/* SPDX-License-Identifier: Apache-2.0 */
/* Applications (1,000, or as many as the argument says) of 3 components over 100 hosts: what a full plan costs, how
 * long it is from nothing to converged, what one change costs, and what a minute costs in which nothing changes. CPU
 * time of the leader alone. */
#include "app/app_priv.h"
#include "app/run_priv.h"
#include "app/store_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { APPS_MAX = 10000, COMPONENTS = 3, HOSTS = 100, CHANGES_MAX = 50 };

static struct {
    struct wisp_app *app;
    size_t n_apps;
    struct wisp_app_now now;
    json_t *hosts[HOSTS]; /* component id to unit */
    uint64_t revision, n_commands, n_messages, n_writes;
    uint64_t cpu_ns;
    json_t *specs;
} bench;

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Whatever is called of the machine, measured. */
#define MEASURED(call)                                                                                                 \
    do {                                                                                                               \
        uint64_t begin_ = cpu_ns();                                                                                    \
        call;                                                                                                          \
        bench.cpu_ns += cpu_ns() - begin_;                                                                             \
    } while (0)

static void done(uint64_t id, const char *reply, uint64_t revision)
{
    struct wisp_app_done outcome = {.reply.payload = wisp_str_from(reply), .revision = revision};
    MEASURED(wisp_app_on_done(bench.app, bench.now, id, &outcome));
}

static void event(size_t host, const char *name, json_t *data_taken)
{
    char subject[64], id[16];
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    snprintf(subject, sizeof subject, "wasmbus.evt.default.%s", name);
    snprintf(id, sizeof id, "N%03zu", host);
    json_t *whole = json_pack("{s:s, s:o}", "source", id, "data", data_taken);
    wisp_json_print(whole, &text);
    json_decref(whole);
    struct wisp_bus_message message = {.subject = wisp_str_from(subject), .payload = wisp_buf_str(&text)};
    MEASURED(wisp_app_on_message(bench.app, bench.now, &message));
}

static void heartbeat(size_t host)
{
    json_t *components = json_array(), *unit;
    const char *id;
    json_object_foreach(bench.hosts[host], id, unit) { json_array_append(components, unit); }
    event(host, "host_heartbeat",
          json_pack("{s:o, s:[], s:{s:s}}", "components", components, "providers", "labels", "zone",
                    host % 2 ? "b" : "a"));
}

static void scale(const json_t *payload)
{
    size_t host = (size_t)strtoul(json_string_value(json_object_get(payload, "host_id")) + 1, NULL, 10);
    const char *id = json_string_value(json_object_get(payload, "component_id"));
    json_int_t count = json_integer_value(json_object_get(payload, "count"));
    json_t *unit = json_pack("{s:s, s:O, s:O, s:I}", "id", id, "image_ref", json_object_get(payload, "component_ref"),
                             "annotations", json_object_get(payload, "annotations"), "max_instances", count);
    json_object_set_new(bench.hosts[host], id, unit);
    json_t *data = json_copy(unit);
    json_object_set_new(data, "component_id", json_string(id));
    event(host, "component_scaled", data);
}

static void link_put(const json_t *payload)
{
    char key[128];
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    snprintf(key, sizeof key, "COMPONENT_%s", json_string_value(json_object_get(payload, "source_id")));
    json_t *spec = json_pack("{s:s, s:[O]}", "url", "", "links", payload);
    wisp_json_print(spec, &text);
    json_decref(spec);
    struct wisp_str value = wisp_buf_str(&text);
    MEASURED(wisp_app_on_state(bench.app, bench.now, 0, wisp_str_from(key), &value, ++bench.revision));
}

static void request(const struct wisp_app_action *action)
{
    WISP_CLEANUP_JSON json_t *payload = NULL;
    bool is_scale = memmem(action->subject.ptr, action->subject.len, ".scale.", 7);
    if (memmem(action->subject.ptr, action->subject.len, ".get.", 5)) {
        done(action->id, "{\"success\": true, \"response\": {\"components\": [], \"providers\": []}}", 0);
        return;
    }
    bench.n_commands++;
    if (wisp_json_parse(action->payload, &payload, NULL) < 0) abort();
    done(action->id, "{\"success\": true}", 0);
    if (is_scale)
        scale(payload);
    else
        link_put(payload);
}

static void run(void)
{
    struct wisp_app_action action;
    while (wisp_app_next_action(bench.app, &action)) {
        bench.n_messages += action.kind == WISP_APP_PUBLISH || action.kind == WISP_APP_REQUEST;
        bench.n_writes += action.kind == WISP_APP_STATE_WRITE;
        if (action.kind == WISP_APP_REQUEST) request(&action);
        if (action.kind == WISP_APP_STATE_WRITE) done(action.id, "", ++bench.revision);
    }
}

/* Each host speaks every 30 s. */
static void wait(uint64_t ms)
{
    enum { HEARTBEAT_MS = 30000 / HOSTS };
    uint64_t end = bench.now.now_ms + ms;
    run();
    for (;;) {
        uint64_t next = wisp_app_next_tick_ms(bench.app);
        uint64_t beat_ms = bench.now.now_ms - bench.now.now_ms % HEARTBEAT_MS + HEARTBEAT_MS;
        if (next > beat_ms) next = beat_ms;
        if (next > end) break;
        if (next > bench.now.now_ms) bench.now.now_ms = next;
        if (bench.now.now_ms == beat_ms) heartbeat(beat_ms / HEARTBEAT_MS % HOSTS);
        bench.now.wall_ns = (int64_t)bench.now.now_ms * 1000000;
        MEASURED(wisp_app_on_tick(bench.app, bench.now));
        run();
    }
    bench.now.now_ms = end;
}

static json_t *make_manifest(size_t app, const char *image)
{
    json_t *components = json_array();
    char name[32];
    for (int i = 0; i < COMPONENTS; i++) {
        char component[16], target[16];
        snprintf(component, sizeof component, "c%d", i);
        snprintf(target, sizeof target, "c%d", (i + 1) % COMPONENTS);
        json_array_append_new(components,
                              json_pack("{s:s, s:s, s:{s:s}, s:[{s:s, s:{s:i}}, {s:s, s:{s:{s:s}, s:s, s:s, s:[s]}}]}",
                                        "name", component, "type", "component", "properties", "image", image, "traits",
                                        "type", "spreadscaler", "properties", "instances", 2, "type", "link",
                                        "properties", "target", "name", target, "namespace", "acme", "package", "calls",
                                        "interfaces", "x"));
    }
    snprintf(name, sizeof name, "app%04zu", app);
    return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:o}}", "apiVersion", "core.oam.dev/v1beta1", "kind",
                     "Application", "metadata", "name", name, "annotations", "version", image, "spec", "components",
                     components);
}

static void store(size_t app, const char *image)
{
    char key[64];
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    json_t *record = json_pack("{s:{s:o}, s:s, s:s}", "manifests", image, make_manifest(app, image), "deployed_version",
                               image, "lattice", "default");
    wisp_json_print(record, &text);
    json_decref(record);
    snprintf(key, sizeof key, "default-app%04zu", app);
    struct wisp_str value = wisp_buf_str(&text);
    MEASURED(wisp_app_on_state(bench.app, bench.now, WISP_APP_BUCKET_MANIFESTS, wisp_str_from(key), &value,
                               ++bench.revision));
}

static double ms_of(uint64_t ns) { return (double)ns / 1e6; }

static void measure_plan(void)
{
    size_t n = 0;
    static struct wisp_str names[APPS_MAX];
    for (const struct wisp_app_record *record = bench.app->first_record; record; record = record->next)
        names[n++] = wisp_str_from(record->name);
    uint64_t begin = cpu_ns();
    for (int i = 0; i < 20; i++) {
        struct wisp_app_plan plan;
        wisp_app_make_plan(bench.app, names, n, NULL, &plan);
        wisp_app_plan_deinit(&plan);
    }
    printf("{\"full_plan_ms\":%.2f,", ms_of(cpu_ns() - begin) / 20);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* A new image of one application, until its first command is out. */
static void measure_changes(void)
{
    static uint64_t times[CHANGES_MAX];
    size_t n_changes = bench.n_apps < CHANGES_MAX ? bench.n_apps : CHANGES_MAX;
    for (size_t i = 0; i < n_changes; i++) {
        uint64_t before = bench.n_commands, begin_ms = bench.now.now_ms;
        bench.cpu_ns = 0;
        store(i, "r/c:2");
        while (!bench.app->first && bench.now.now_ms < begin_ms + 1000) {
            bench.now.now_ms++;
            MEASURED(wisp_app_on_tick(bench.app, bench.now));
        }
        times[i] = bench.cpu_ns + (bench.now.now_ms - begin_ms) * 1000000;
        wait(1000 + i * 7);
        if (bench.n_commands == before) {
            fprintf(stderr, "change %zu came to nothing\n", i);
            exit(1);
        }
    }
    qsort(times, n_changes, sizeof *times, compare);
    printf("\"change_p50_ms\":%.2f,\"change_p99_ms\":%.2f,", ms_of(times[n_changes / 2]),
           ms_of(times[n_changes * 99 / 100]));
}

static void measure_minute(void)
{
    bench.cpu_ns = bench.n_messages = bench.n_writes = bench.n_commands = 0;
    wait(60000);
    printf("\"minute_cpu_ms\":%.1f,\"minute_messages\":%llu,\"minute_writes\":%llu,\"minute_commands\":%llu}\n",
           ms_of(bench.cpu_ns), (unsigned long long)bench.n_messages, (unsigned long long)bench.n_writes,
           (unsigned long long)bench.n_commands);
}

int main(int argc, char **argv)
{
    bench.n_apps = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    if (!bench.n_apps || bench.n_apps > APPS_MAX) return 2;
    struct wisp_app_options options = {.host_id = "N000", .seed = 1, .host_lease_ms = 1000000000};
    struct wisp_err err = {0};
    struct wisp_str lease = WISP_STR("{\"host\":\"OLD\",\"epoch\":\"1\",\"began\":0,\"released\":true}");
    bench.now = (struct wisp_app_now){.now_ms = 1000000, .wall_ns = 1000000000000};
    if (wisp_app_new(&bench.app, &options, bench.now, &err) < 0) return 1;
    for (size_t i = 0; i < HOSTS; i++) bench.hosts[i] = json_object();
    wisp_app_on_bus(bench.app, bench.now, true);
    for (size_t i = 0; i < HOSTS; i++) heartbeat(i);
    wisp_app_on_state(bench.app, bench.now, WISP_APP_BUCKET_MANIFESTS, WISP_STR("wisp.default.lease"), &lease,
                      ++bench.revision);
    for (size_t i = 0; i < bench.n_apps; i++) store(i, "r/c:1");
    bench.cpu_ns = 0;
    uint64_t begin_ms = bench.now.now_ms;
    MEASURED(wisp_app_on_state_loaded(bench.app, bench.now));
    while (bench.n_commands < 3 * bench.n_apps * COMPONENTS && bench.now.now_ms < begin_ms + 600000) wait(10);
    uint64_t converge_ns = bench.cpu_ns, converge_ms = bench.now.now_ms - begin_ms;
    wait(10000);
    measure_plan();
    printf("\"converge_cpu_ms\":%.1f,\"converge_ms\":%llu,\"commands\":%llu,", ms_of(converge_ns),
           (unsigned long long)converge_ms, (unsigned long long)bench.n_commands);
    measure_changes();
    wait(60000);
    measure_minute();
    for (size_t i = 0; i < HOSTS; i++) json_decref(bench.hosts[i]);
    wisp_app_free(bench.app);
    return 0;
}
