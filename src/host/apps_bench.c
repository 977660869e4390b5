/* SPDX-License-Identifier: Apache-2.0 */
/* Many applications over many hosts: the machines of src/lattice and src/app of every host in one process, on a virtual
 * clock. Every machine is a processor of its own: what it does takes it as long as it took here. A message takes
 * MESSAGE_NS, a write of the state WRITE_NS, a start of a component START_NS. An application is three components, each
 * twice, two links.
 *
 *     host_apps_bench APPLICATIONS [HOSTS [CHANGES]]
 *
 * Prints JSON: from nothing to converged, a minute without changes, and changes of one application at a time. */
#include "app/app.h"
#include "base/json.h"
#include "lattice/lattice.h"
#include "nkeys/nkeys.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { COMPONENTS = 3, INSTANCES = 2, LINKS = 2, BUCKETS = 3, HOSTS_MAX = 1000, PUTS_AT_ONCE = 16, CLIENT = -1 };
static const uint64_t MESSAGE_NS = 100000, WRITE_NS = 1000000, START_NS = 5000000, SECOND = 1000000000;

/* Shared by the events that carry it. */
struct text {
    size_t n_users, len;
    char bytes[];
};

enum kind { MESSAGE, STATE, LOADED, DONE, WRITE, TICK };

struct event {
    uint64_t at, order, id, revision;
    enum kind kind;
    int machine, bucket;
    int64_t expected;
    enum wisp_err_kind err;
    bool is_fetch, is_reply, has_value;
    struct text *subject, *reply, *text;
};

struct route {
    char *pattern, *queue;
    size_t n_literal; /* bytes before the first wildcard */
    struct route *next;
};

/* Even: a host's lattice, odd: its manager of applications. */
struct machine {
    struct wisp_lattice *lattice;
    struct wisp_app *app;
    char id[64];
    struct route *routes;
    uint64_t busy_until, tick_at, cpu_ns, n_in, n_out;
};

struct request {
    int machine;
    uint64_t id;
    bool is_over;
};

struct app_progress {
    uint64_t n_running; /* instances of the version that is wanted */
    uint64_t begun, first, done;
    unsigned version;
};

static struct {
    uint64_t now, order, revision, n_messages;
    struct event *heap;
    size_t n_events, capacity;
    struct machine machines[HOSTS_MAX * 2];
    int n_machines;
    json_t *store[BUCKETS]; /* key to [value, revision] */
    struct request *requests;
    size_t n_requests, requests_capacity;
    struct app_progress *apps;
    size_t n_apps, n_put, n_deployed, n_done;
    uint64_t n_links;
} world;

static void fail(const char *what, const char *more)
{
    fprintf(stderr, "at %.3f s: %s: %s\n", (double)world.now / 1e9, what, more);
    exit(1);
}

/* --- events --- */

static struct text *text_new(struct wisp_str bytes)
{
    struct text *text = wisp_mem_alloc(sizeof *text + bytes.len + 1);
    *text = (struct text){.n_users = 1, .len = bytes.len};
    if (bytes.len) memcpy(text->bytes, bytes.ptr, bytes.len);
    text->bytes[bytes.len] = '\0';
    return text;
}

static struct text *text_use(struct text *text)
{
    if (text) text->n_users++;
    return text;
}

static void text_drop(struct text *text)
{
    if (text && --text->n_users == 0) free(text);
}

static struct wisp_str str_of(const struct text *text)
{
    return text ? (struct wisp_str){text->bytes, text->len} : (struct wisp_str){0};
}

static bool comes_before(const struct event *a, const struct event *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static struct event *push(enum kind kind, int machine, uint64_t at)
{
    if (world.n_events == world.capacity) {
        world.capacity = world.capacity ? world.capacity * 2 : 4096;
        world.heap = wisp_mem_realloc(world.heap, world.capacity * sizeof *world.heap);
    }
    struct event event = {.kind = kind, .machine = machine, .at = at, .order = world.order++};
    size_t i = world.n_events++;
    for (; i && comes_before(&event, &world.heap[(i - 1) / 2]); i = (i - 1) / 2)
        world.heap[i] = world.heap[(i - 1) / 2];
    world.heap[i] = event;
    return &world.heap[i];
}

static struct event pop(void)
{
    struct event first = world.heap[0], last = world.heap[--world.n_events];
    size_t i = 0;
    for (size_t below; (below = i * 2 + 1) < world.n_events; i = below) {
        if (below + 1 < world.n_events && comes_before(&world.heap[below + 1], &world.heap[below])) below++;
        if (!comes_before(&world.heap[below], &last)) break;
        world.heap[i] = world.heap[below];
    }
    world.heap[i] = last;
    return first;
}

/* --- the bus --- */

static void add_route(struct machine *machine, struct wisp_str pattern, struct wisp_str queue)
{
    struct route *route = wisp_mem_calloc(1, sizeof *route);
    route->pattern = wisp_mem_dup(pattern);
    route->queue = queue.len ? wisp_mem_dup(queue) : NULL;
    route->n_literal = strcspn(route->pattern, "*>");
    route->next = machine->routes;
    machine->routes = route;
}

static void remove_route(struct machine *machine, struct wisp_str pattern)
{
    for (struct route **at = &machine->routes; *at; at = &(*at)->next) {
        struct route *route = *at;
        if (!wisp_str_is(pattern, route->pattern)) continue;
        *at = route->next;
        free(route->pattern);
        free(route->queue);
        free(route);
        return;
    }
}

static const struct route *find_route(const struct machine *machine, struct wisp_str subject)
{
    for (const struct route *route = machine->routes; route; route = route->next)
        if (route->n_literal <= subject.len && memcmp(route->pattern, subject.ptr, route->n_literal) == 0 &&
            wisp_bus_pattern_matches(wisp_str_from(route->pattern), subject))
            return route;
    return NULL;
}

static void deliver(int machine, uint64_t at, struct text *subject, struct text *reply, struct text *payload)
{
    struct event *event = push(MESSAGE, machine, at + MESSAGE_NS);
    event->subject = text_use(subject);
    event->reply = text_use(reply);
    event->text = text_use(payload);
}

static void on_client_answer(size_t request, struct wisp_str payload);

static bool answer_request(struct wisp_str subject, uint64_t at, struct wisp_str payload)
{
    if (!wisp_str_starts_with(subject, WISP_STR("reply."))) return false;
    size_t number = strtoull(subject.ptr + 6, NULL, 10);
    struct request *request = &world.requests[number];
    if (request->is_over) return true;
    request->is_over = true;
    struct event *event = push(DONE, request->machine, at + MESSAGE_NS);
    event->id = request->machine == CLIENT ? number : request->id;
    event->is_reply = true;
    event->text = text_new(payload);
    return true;
}

/* How many get it: every subscriber, and one of each queue group. */
static size_t publish(uint64_t at, struct wisp_str subject, struct wisp_str reply, struct wisp_str payload)
{
    world.n_messages++;
    if (answer_request(subject, at, payload)) return 1;
    struct text *texts[] = {text_new(subject), reply.len ? text_new(reply) : NULL, text_new(payload)};
    size_t n = 0;
    bool is_queue_served = false;
    int first = (int)(world.n_messages % (uint64_t)world.n_machines);
    for (int i = 0; i < world.n_machines; i++) {
        int machine = (first + i) % world.n_machines;
        const struct route *route = find_route(&world.machines[machine], subject);
        if (!route || (route->queue && is_queue_served)) continue;
        is_queue_served |= route->queue != NULL;
        deliver(machine, at, texts[0], texts[1], texts[2]);
        n++;
    }
    for (size_t i = 0; i < WISP_COUNT(texts); i++) text_drop(texts[i]);
    return n;
}

static void request(int machine, uint64_t at, uint64_t id, struct wisp_str subject, struct wisp_str payload)
{
    char reply[32];
    if (world.n_requests == world.requests_capacity) {
        world.requests_capacity = world.requests_capacity ? world.requests_capacity * 2 : 4096;
        world.requests = wisp_mem_realloc(world.requests, world.requests_capacity * sizeof *world.requests);
    }
    snprintf(reply, sizeof reply, "reply.%zu", world.n_requests);
    world.requests[world.n_requests++] = (struct request){machine, id, false};
    if (publish(at, subject, wisp_str_from(reply), payload)) return;
    struct request *made = &world.requests[world.n_requests - 1];
    made->is_over = true;
    struct event *event = push(DONE, machine, at + MESSAGE_NS);
    event->id = machine == CLIENT ? world.n_requests - 1 : id;
    event->err = WISP_ERR_UNAVAILABLE;
}

/* --- what hosts run --- */

/* Ids are APPLICATION-COMPONENT, applications "app0123", images "x/y:VERSION". */
static struct app_progress *progress_of(struct wisp_str component)
{
    const char *at = memmem(component.ptr, component.len, "app", 3);
    size_t index = at ? strtoull(at + 3, NULL, 10) : world.n_apps;
    if (index >= world.n_apps) fail("a component of nobody", component.ptr);
    return &world.apps[index];
}

static void note_running(const struct wisp_lattice_component *component, uint64_t at)
{
    struct app_progress *app = progress_of(component->id);
    char version[16];
    snprintf(version, sizeof version, ":%u", app->version);
    struct wisp_str tail = {component->reference.ptr + component->reference.len - strlen(version), strlen(version)};
    if (!wisp_str_is(tail, version)) return;
    if (app->n_running == 0) app->first = at;
    app->n_running += component->instances_max;
    if (app->n_running == COMPONENTS * INSTANCES) {
        app->done = at;
        world.n_done++;
    }
}

static void done_at(int machine, uint64_t id, uint64_t at)
{
    if (id) push(DONE, machine, at)->id = id;
}

static void write_state(int machine, uint64_t at, uint64_t id, int bucket, struct wisp_str key,
                        const struct wisp_str *value, int64_t expected)
{
    struct event *event = push(WRITE, machine, at + WRITE_NS);
    event->id = id;
    event->bucket = bucket;
    event->subject = text_new(key);
    event->text = value ? text_new(*value) : NULL;
    event->has_value = value != NULL;
    event->expected = expected;
}

static void perform_lattice(int index, const struct wisp_lattice_action *action, uint64_t at)
{
    struct machine *machine = &world.machines[index];
    switch (action->kind) {
    case WISP_LATTICE_SUBSCRIBE:
        add_route(machine, action->subject, action->queue);
        break;
    case WISP_LATTICE_PUBLISH:
        machine->n_out++;
        publish(at, action->subject, action->reply, action->payload);
        break;
    case WISP_LATTICE_REQUEST:
        machine->n_out++;
        request(index, at, action->id, action->subject, action->payload);
        break;
    case WISP_LATTICE_STATE_WRITE:
        write_state(index, at, action->id, action->bucket, action->key, action->has_value ? &action->value : NULL,
                    action->expected);
        break;
    case WISP_LATTICE_FETCH: {
        struct event *event = push(DONE, index, at + MESSAGE_NS);
        event->id = action->id;
        event->is_fetch = true;
        break;
    }
    case WISP_LATTICE_COMPONENT_PUT:
        note_running(&action->component, at);
        done_at(index, action->id, at + START_NS);
        break;
    case WISP_LATTICE_LOG:
        if (getenv("BENCH_LOG")) fprintf(stderr, "%.3f %d %.*s\n", (double)at / 1e9, index, WISP_STR_ARG(action->text));
        break;
    default:
        done_at(index, action->id, at + MESSAGE_NS);
    }
}

static void perform_app(int index, const struct wisp_app_action *action, uint64_t at)
{
    struct machine *machine = &world.machines[index];
    switch (action->kind) {
    case WISP_APP_SUBSCRIBE:
        add_route(machine, action->subject, action->queue);
        break;
    case WISP_APP_UNSUBSCRIBE:
        remove_route(machine, action->subject);
        break;
    case WISP_APP_PUBLISH:
        machine->n_out++;
        publish(at, action->subject, action->reply, action->payload);
        break;
    case WISP_APP_REQUEST:
        machine->n_out++;
        request(index, at, action->id, action->subject, action->payload);
        break;
    case WISP_APP_STATE_WRITE:
        write_state(index, at, action->id, action->bucket, action->key, action->has_value ? &action->value : NULL,
                    action->expected);
        break;
    case WISP_APP_LOG:
        if (getenv("BENCH_LOG")) fprintf(stderr, "%.3f %d %.*s\n", (double)at / 1e9, index, WISP_STR_ARG(action->text));
        break;
    }
}

/* --- the state --- */

static uint64_t revision_of(const json_t *bucket, const char *key)
{
    return (uint64_t)json_integer_value(json_array_get(json_object_get(bucket, key), 1));
}

static void tell_everybody(const struct event *event, uint64_t revision)
{
    for (int i = 0; i < world.n_machines; i++) {
        if (event->bucket == WISP_APP_BUCKET_MANIFESTS && i % 2 == 0) continue;
        struct event *told = push(STATE, i, event->at + MESSAGE_NS);
        told->bucket = event->bucket;
        told->revision = revision;
        told->has_value = event->has_value;
        told->subject = text_use(event->subject);
        told->text = text_use(event->text);
    }
}

static void perform_write(struct event *event)
{
    json_t *bucket = world.store[event->bucket];
    uint64_t known = revision_of(bucket, event->subject->bytes);
    enum wisp_err_kind err = WISP_ERR_NONE;
    if (event->expected >= 0 && (uint64_t)event->expected != known) {
        err = WISP_ERR_EXISTS;
    } else {
        world.revision++;
        if (event->has_value)
            json_object_set_new(bucket, event->subject->bytes,
                                json_pack("[o,I]", wisp_json_text(str_of(event->text)), (json_int_t)world.revision));
        else
            json_object_del(bucket, event->subject->bytes);
        tell_everybody(event, world.revision);
    }
    struct event *done = push(DONE, event->machine, event->at + MESSAGE_NS);
    done->id = event->id;
    done->err = err;
    done->revision = world.revision;
}

/* --- machines --- */

static uint64_t cpu_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static struct wisp_lattice_now lattice_now(uint64_t at)
{
    return (struct wisp_lattice_now){at / 1000000, 1700000000 * (int64_t)SECOND + (int64_t)at};
}

static struct wisp_app_now app_now(uint64_t at)
{
    return (struct wisp_app_now){at / 1000000, 1700000000 * (int64_t)SECOND + (int64_t)at};
}

static void arm(int index, uint64_t at)
{
    struct machine *machine = &world.machines[index];
    uint64_t ms = machine->lattice ? wisp_lattice_next_tick_ms(machine->lattice) : wisp_app_next_tick_ms(machine->app);
    if (ms == UINT64_MAX) return;
    uint64_t due = ms * 1000000 > at ? ms * 1000000 : at + 1000;
    if (machine->tick_at && machine->tick_at <= due) return;
    machine->tick_at = due;
    push(TICK, index, due);
}

/* Takes and performs what it wants; what that costs it is counted, what it costs the world is not. */
static void settle(int index, uint64_t at, uint64_t begun)
{
    struct machine *machine = &world.machines[index];
    uint64_t spent = cpu_now() - begun;
    for (bool has_one = true; has_one;) {
        union {
            struct wisp_lattice_action lattice;
            struct wisp_app_action app;
        } action;
        begun = cpu_now();
        has_one = machine->lattice ? wisp_lattice_next_action(machine->lattice, &action.lattice)
                                   : wisp_app_next_action(machine->app, &action.app);
        spent += cpu_now() - begun;
        if (has_one && machine->lattice) perform_lattice(index, &action.lattice, at + spent);
        if (has_one && machine->app) perform_app(index, &action.app, at + spent);
    }
    machine->cpu_ns += spent;
    machine->busy_until = at + spent;
    arm(index, at + spent);
}

static void enter_lattice(struct wisp_lattice *lattice, const struct event *event, uint64_t at)
{
    struct wisp_bus_message message = {
        .subject = str_of(event->subject), .reply = str_of(event->reply), .payload = str_of(event->text)};
    struct wisp_lattice_done done = {.revision = event->revision};
    struct wisp_str value = str_of(event->text);
    switch (event->kind) {
    case MESSAGE:
        wisp_lattice_on_message(lattice, lattice_now(at), &message);
        break;
    case STATE:
        wisp_lattice_on_state(lattice, lattice_now(at), event->bucket, str_of(event->subject),
                              event->has_value ? &value : NULL, event->revision);
        break;
    case LOADED:
        wisp_lattice_on_state_loaded(lattice, lattice_now(at));
        break;
    case DONE:
        if (event->err) wisp_err_set(&done.err, event->err, "simulated");
        if (event->is_reply) done.reply = message;
        if (event->is_fetch) {
            done.artifact.path = WISP_STR("/path");
            done.artifact.digest = WISP_STR("sha256:0");
            done.artifact.plain_reference = WISP_STR("plain");
        }
        wisp_lattice_on_done(lattice, lattice_now(at), event->id, &done);
        break;
    default:
        wisp_lattice_on_tick(lattice, lattice_now(at));
    }
}

static void enter_app(struct wisp_app *app, const struct event *event, uint64_t at)
{
    struct wisp_bus_message message = {
        .subject = str_of(event->subject), .reply = str_of(event->reply), .payload = str_of(event->text)};
    struct wisp_app_done done = {.revision = event->revision};
    struct wisp_str value = str_of(event->text);
    switch (event->kind) {
    case MESSAGE:
        wisp_app_on_message(app, app_now(at), &message);
        break;
    case STATE:
        wisp_app_on_state(app, app_now(at), event->bucket, str_of(event->subject), event->has_value ? &value : NULL,
                          event->revision);
        break;
    case LOADED:
        wisp_app_on_state_loaded(app, app_now(at));
        break;
    case DONE:
        if (event->err) wisp_err_set(&done.err, event->err, "simulated");
        if (event->is_reply) done.reply = message;
        wisp_app_on_done(app, app_now(at), event->id, &done);
        break;
    default:
        wisp_app_on_tick(app, app_now(at));
    }
}

static void enter(struct event *event)
{
    struct machine *machine = &world.machines[event->machine];
    /* A machine does one thing after another. */
    uint64_t at = event->at > machine->busy_until ? event->at : machine->busy_until;
    if (event->kind == TICK) {
        if (machine->tick_at != event->at) return;
        machine->tick_at = 0;
    }
    if (event->kind == MESSAGE || event->kind == STATE) machine->n_in++;
    uint64_t begun = cpu_now();
    if (machine->lattice)
        enter_lattice(machine->lattice, event, at);
    else
        enter_app(machine->app, event, at);
    settle(event->machine, at, begun);
}

static void step(void)
{
    struct event event = pop();
    world.now = event.at;
    if (event.kind == WRITE)
        perform_write(&event);
    else if (event.machine == CLIENT)
        on_client_answer(event.id, event.err ? (struct wisp_str){0} : str_of(event.text));
    else
        enter(&event);
    text_drop(event.subject);
    text_drop(event.reply);
    text_drop(event.text);
}

static void run_until(uint64_t at)
{
    while (world.n_events && world.heap[0].at <= at) step();
    world.now = at;
}

static void start_host(int host)
{
    struct wisp_nkey key = {.kind = WISP_NKEY_SERVER};
    struct machine *lattice = &world.machines[host * 2], *app = &world.machines[host * 2 + 1];
    struct wisp_err err = {0};
    char seed[64], name[32];
    for (size_t i = 0; i < sizeof key.seed; i++)
        key.seed[i] = (uint8_t)((size_t)host * 31 + i * 7 + (size_t)(host >> 8));
    wisp_nkey_seed_text(&key, seed);
    snprintf(name, sizeof name, "host-%d", host);
    struct wisp_lattice_options options = {.friendly_name = name,
                                           .version = "1.6.2",
                                           .host_seed = seed,
                                           .seed = (uint64_t)host + 1,
                                           .keys_from_seed = true};
    if (wisp_lattice_new(&lattice->lattice, &options, lattice_now(world.now), &err) < 0) fail("lattice", err.text);
    const char *id = wisp_lattice_host_id(lattice->lattice);
    struct wisp_app_options app_options = {.lattice = "default", .host_id = id, .seed = (uint64_t)host + 1};
    if (wisp_app_new(&app->app, &app_options, app_now(world.now), &err) < 0) fail("app", err.text);
    wisp_lattice_on_bus(lattice->lattice, lattice_now(world.now), true);
    settle(host * 2, world.now, cpu_now());
    wisp_app_on_bus(app->app, app_now(world.now), true);
    settle(host * 2 + 1, world.now, cpu_now());
    push(LOADED, host * 2, world.now + MESSAGE_NS);
    push(LOADED, host * 2 + 1, world.now + MESSAGE_NS);
}

/* --- the client --- */

static char *manifest_of(size_t index, unsigned version)
{
    json_t *components = json_array();
    for (int c = 0; c < COMPONENTS; c++) {
        char name[16], image[64];
        snprintf(name, sizeof name, "part%d", c);
        snprintf(image, sizeof image, "example.com/app%04zu/part%d:%u", index, c, version);
        json_t *traits = json_pack("[{s:s, s:{s:i}}]", "type", "spreadscaler", "properties", "instances", INSTANCES);
        if (c < LINKS) {
            char target[16];
            snprintf(target, sizeof target, "part%d", c + 1);
            json_array_append_new(traits, json_pack("{s:s, s:{s:{s:s}, s:s, s:s, s:[s]}}", "type", "link", "properties",
                                                    "target", "name", target, "namespace", "acme", "package", "calc",
                                                    "interfaces", "ops"));
        }
        json_array_append_new(components, json_pack("{s:s, s:s, s:{s:s}, s:o}", "name", name, "type", "component",
                                                    "properties", "image", image, "traits", traits));
    }
    char name[16], text[16];
    snprintf(name, sizeof name, "app%04zu", index);
    snprintf(text, sizeof text, "v%u", version);
    json_t *manifest = json_pack("{s:s, s:s, s:{s:s, s:{s:s, s:s}}, s:{s:o}}", "apiVersion", "core.oam.dev/v1beta1",
                                 "kind", "Application", "metadata", "name", name, "annotations", "version", text,
                                 "description", "of the benchmark", "spec", "components", components);
    char *bytes = json_dumps(manifest, JSON_COMPACT);
    json_decref(manifest);
    return bytes;
}

/* The request's id: the application's number, and whether it was the deploy. */
static void ask(const char *verb, size_t index, struct wisp_str payload, bool is_deploy)
{
    char subject[128];
    snprintf(subject, sizeof subject, "wadm.api.default.model.%s", verb);
    request(CLIENT, world.now, index * 2 + is_deploy, wisp_str_from(subject), payload);
}

static void put(size_t index)
{
    WISP_CLEANUP_FREE char *manifest = manifest_of(index, world.apps[index].version);
    world.apps[index].begun = world.now;
    ask("put", index, wisp_str_from(manifest), false);
}

static void deploy(size_t index)
{
    char verb[32], payload[32];
    snprintf(verb, sizeof verb, "deploy.app%04zu", index);
    snprintf(payload, sizeof payload, "{\"version\":\"v%u\"}", world.apps[index].version);
    ask(verb, index, wisp_str_from(payload), true);
}

static void on_client_answer(size_t number, struct wisp_str payload)
{
    uint64_t id = world.requests[number].id;
    WISP_CLEANUP_JSON json_t *answer = NULL;
    if (wisp_json_parse(payload, &answer, NULL) < 0) fail("the client got no answer", "");
    struct wisp_str result = wisp_json_str(answer, "result");
    if (wisp_str_is(result, "error") || wisp_str_is(result, "notfound")) {
        WISP_CLEANUP_FREE char *text = wisp_mem_dup(payload);
        fail("the client was told", text);
    }
    if (id % 2) {
        world.n_deployed++;
        if (world.n_put < world.n_apps) put(world.n_put++);
        return;
    }
    deploy(id / 2);
}

/* --- what is measured --- */

static int leader(void)
{
    for (int i = 1; i < world.n_machines; i += 2)
        if (wisp_app_is_leading(world.machines[i].app)) return i;
    fail("nobody leads", "");
    return -1;
}

static double seconds(uint64_t ns) { return (double)ns / 1e9; }

static void converge(void)
{
    uint64_t begun = world.now;
    uint64_t wanted = world.n_apps;
    for (int i = 0; i < PUTS_AT_ONCE && world.n_put < world.n_apps; i++) put(world.n_put++);
    while (world.n_done < wanted) {
        if (!world.n_events || world.now - begun > 1800 * SECOND) fail("does not converge", "");
        step();
    }
    uint64_t at = world.now;
    struct machine *machine = &world.machines[leader()];
    printf("{\"applications\": %zu, \"hosts\": %d, \"converged_s\": %.3f, \"leader_cpu_s\": %.3f, \"messages\": %llu",
           world.n_apps, world.n_machines / 2, seconds(at - begun), seconds(machine->cpu_ns),
           (unsigned long long)world.n_messages);
    fflush(stdout);
}

static void stay(void)
{
    static struct machine before[HOSTS_MAX * 2];
    run_until(world.now + 90 * SECOND); /* what still goes on after a change is over by then */
    memcpy(before, world.machines, sizeof before);
    uint64_t n_messages = world.n_messages;
    run_until(world.now + 60 * SECOND);
    int lead = leader();
    uint64_t others_ns = 0, hosts_ns = 0;
    for (int i = 0; i < world.n_machines; i++) {
        uint64_t spent = world.machines[i].cpu_ns - before[i].cpu_ns;
        if (i % 2 == 0)
            hosts_ns += spent;
        else if (i != lead)
            others_ns += spent;
    }
    int n_hosts = world.n_machines / 2;
    printf(", \"minute\": {\"messages\": %llu, \"leader_in\": %llu, \"leader_out\": %llu, \"leader_cpu_ms\": %.1f, "
           "\"follower_cpu_ms\": %.1f, \"host_cpu_ms\": %.1f}",
           (unsigned long long)(world.n_messages - n_messages),
           (unsigned long long)(world.machines[lead].n_in - before[lead].n_in),
           (unsigned long long)(world.machines[lead].n_out - before[lead].n_out),
           (double)(world.machines[lead].cpu_ns - before[lead].cpu_ns) / 1e6, (double)others_ns / 1e6 / (n_hosts - 1),
           (double)hosts_ns / 1e6 / n_hosts);
    fflush(stdout);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *name, uint64_t *ns, size_t n)
{
    qsort(ns, n, sizeof *ns, by_size);
    printf(", \"%s_p50_ms\": %.2f, \"%s_p99_ms\": %.2f", name, (double)ns[n / 2] / 1e6, name,
           (double)ns[n * 99 / 100] / 1e6);
}

/* A new version of one application, from the put to the first host that is told to run it, and to the last. */
static void change(size_t n_changes)
{
    uint64_t *first = wisp_mem_calloc(n_changes, sizeof *first), *last = wisp_mem_calloc(n_changes, sizeof *last);
    int lead = leader();
    uint64_t cpu_ns = world.machines[lead].cpu_ns, n_messages = 0;
    for (size_t i = 0; i < n_changes; i++) {
        struct app_progress *app = &world.apps[i * 7919 % world.n_apps];
        app->version++;
        app->n_running = app->first = app->done = 0;
        uint64_t begun = world.now, before = world.n_messages;
        put((size_t)(app - world.apps));
        while (!app->done && world.now < begun + 60 * SECOND) step();
        if (!app->done) fail("a change does not arrive", "");
        n_messages += world.n_messages - before;
        first[i] = app->first - app->begun;
        last[i] = app->done - app->begun;
        run_until(begun + 3 * SECOND + i % 10 * 37 * SECOND / 1000);
    }
    printf(", \"changes\": {\"n\": %zu, \"messages\": %llu, \"leader_cpu_ms\": %.2f", n_changes,
           (unsigned long long)(n_messages / n_changes),
           (double)(world.machines[lead].cpu_ns - cpu_ns) / 1e6 / (double)n_changes);
    print_times("first", first, n_changes);
    print_times("last", last, n_changes);
    printf("}");
    free(first);
    free(last);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    int n_hosts = argc > 2 ? atoi(argv[2]) : 100;
    size_t n_changes = argc > 3 ? strtoull(argv[3], NULL, 10) : 100;
    if (n_hosts < 2 || n_hosts > HOSTS_MAX) return 2;
    world.n_apps = strtoull(argv[1], NULL, 10);
    world.apps = wisp_mem_calloc(world.n_apps, sizeof *world.apps);
    for (size_t i = 0; i < world.n_apps; i++) world.apps[i].version = 1;
    for (int i = 0; i < BUCKETS; i++) world.store[i] = json_object();
    world.now = SECOND;
    world.n_machines = n_hosts * 2;
    for (int i = 0; i < n_hosts; i++) start_host(i);
    run_until(world.now + 20 * SECOND);
    converge();
    stay();
    if (n_changes) change(n_changes);
    printf("}\n");
    return 0;
}
