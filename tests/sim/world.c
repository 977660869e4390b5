/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "base/parse.h"
#include "bus/bus.h"
#include "nkeys/nkeys.h"

#include <stdarg.h>
#include <time.h>

/* --- chance and time --- */

uint64_t world_random(struct world *world, uint64_t below)
{
    uint64_t z = world->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return below ? z % below : z;
}

void world_fail(const struct world *world, const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "FAILED: seed %llu at %llu ms: ", (unsigned long long)world->seed,
            (unsigned long long)world->now_ms);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static bool comes_before(const struct event *a, const struct event *b)
{
    return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->order < b->order);
}

static struct event *push(struct world *world, enum event_kind kind, struct host *host, uint64_t at_ms)
{
    struct event *event = wisp_mem_calloc(1, sizeof *event);
    *event = (struct event){.kind = kind, .host = host, .at_ms = at_ms, .order = world->order++};
    if (host) {
        event->life = host->life;
        event->link_no = host->link_no;
    }
    if (world->n_events == world->capacity) {
        world->capacity = world->capacity ? world->capacity * 2 : 1024;
        world->heap = wisp_mem_realloc(world->heap, world->capacity * sizeof(struct event *));
    }
    size_t at = world->n_events++;
    for (; at && comes_before(event, world->heap[(at - 1) / 2]); at = (at - 1) / 2)
        world->heap[at] = world->heap[(at - 1) / 2];
    world->heap[at] = event;
    return event;
}

static struct event *pop(struct world *world)
{
    struct event *first = world->heap[0], *last = world->heap[--world->n_events];
    size_t at = 0;
    for (size_t below; (below = at * 2 + 1) < world->n_events; at = below) {
        if (below + 1 < world->n_events && comes_before(world->heap[below + 1], world->heap[below])) below++;
        if (!comes_before(world->heap[below], last)) break;
        world->heap[at] = world->heap[below];
    }
    world->heap[at] = last;
    return first;
}

static void event_free(struct event *event)
{
    free(event->subject);
    free(event->reply);
    free(event->text);
    free(event);
}

void world_at(struct world *world, uint64_t after_ms, void (*call)(struct world *world, void *env), void *env)
{
    struct event *event = push(world, EV_CALL, NULL, world->now_ms + after_ms);
    event->call = call;
    event->env = env;
}

static char *copy_text(struct wisp_str text) { return wisp_mem_dup(text); }

/* --- a host's machine: entering, and what it wants --- */

static struct wisp_lattice_now now_of(const struct world *world)
{
    return (struct wisp_lattice_now){.now_ms = world->now_ms,
                                     .wall_ns = 1700000000000000000 + (int64_t)world->now_ms * 1000000};
}

/* Hosts share a process here and nothing else: in reality none finds the others' things in its caches, and none drives
 * theirs out. Emptied before each visit they are the same for any number of hosts. */
static uint64_t timing_begin(const struct host *host)
{
    struct timespec now;
    if (!host->world->cold || !host->is_sampled) return 0;
    bool is_busy = host->app && wisp_app_is_leading(host->app); /* it would find its things there */
    for (size_t i = 0; !is_busy && i < CACHE_SIZE; i += 64) host->world->cold[i]++;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void timing_end(struct host *host, uint64_t begin_ns)
{
    struct timespec now;
    if (!begin_ns) return;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    host->cpu_ns += (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec - begin_ns;
}

static uint64_t delay(struct world *world) { return 1 + world_random(world, world->weather.delay_max_ms + 1); }

static struct wisp_app_now app_now_of(const struct world *world)
{
    return (struct wisp_app_now){world->now_ms, now_of(world).wall_ns};
}

static void arm_tick(struct host *host)
{
    uint64_t at_ms = wisp_lattice_next_tick_ms(host->lattice);
    if (host->app && wisp_app_next_tick_ms(host->app) < at_ms) at_ms = wisp_app_next_tick_ms(host->app);
    if (at_ms == UINT64_MAX || (host->tick_at_ms && host->tick_at_ms <= at_ms)) return;
    host->tick_at_ms = at_ms;
    push(host->world, EV_TICK, host, at_ms > host->world->now_ms ? at_ms : host->world->now_ms);
}

static void deliver(struct world *world, struct host *host, struct wisp_str subject, struct wisp_str reply,
                    struct wisp_str payload)
{
    uint32_t copies = 1;
    if (world_random(world, 1000) < world->weather.lost) return;
    /* What is written twice can't be judged afterwards; what is commanded twice can. */
    bool may_double = memmem(subject.ptr, subject.len, ".component.", 11) != NULL;
    if (may_double && world_random(world, 1000) < world->weather.doubled) copies = 2;
    for (; copies; copies--) {
        struct event *event = push(world, EV_MESSAGE, host, world->now_ms + delay(world));
        event->subject = copy_text(subject);
        event->reply = copy_text(reply);
        event->text = copy_text(payload);
        event->text_len = payload.len;
    }
}

static const struct route *find_route(const struct host *host, struct wisp_str subject, bool is_app)
{
    for (const struct route *route = host->routes; route; route = route->next)
        if (route->is_app == is_app && wisp_bus_pattern_matches(wisp_str_from(route->pattern), subject)) return route;
    return NULL;
}

/* To a manager: in order, perhaps not at all. `id`: of the request that this answers. */
static void deliver_to_app(struct host *host, uint64_t id, struct wisp_str subject, struct wisp_str reply,
                           struct wisp_str payload)
{
    struct world *world = host->world;
    if (world_random(world, 1000) < world->weather.lost) return;
    uint64_t at_ms = world->now_ms + delay(world);
    if (at_ms < host->heard_until_ms) at_ms = host->heard_until_ms;
    host->heard_until_ms = at_ms;
    struct event *event = push(world, id ? EV_DONE : EV_MESSAGE, host, at_ms);
    event->is_app = true;
    event->id = id;
    event->subject = copy_text(subject);
    event->reply = copy_text(reply);
    event->text = copy_text(payload);
    event->text_len = payload.len;
}

/* To every subscriber, and to one of each queue group. */
static void publish(struct world *world, struct wisp_str subject, struct wisp_str reply, struct wisp_str payload)
{
    struct host *chosen = NULL;
    uint64_t n_in_group = 0;
    for (size_t i = 0; i < world->n_hosts; i++) {
        struct host *host = &world->hosts[i];
        const struct route *route = host->lattice && host->is_connected ? find_route(host, subject, false) : NULL;
        if (host->app && host->is_connected && find_route(host, subject, true))
            deliver_to_app(host, 0, subject, reply, payload);
        if (!route) continue;
        if (!route->queue)
            deliver(world, host, subject, reply, payload);
        else if (world_random(world, ++n_in_group) == 0)
            chosen = host;
    }
    if (chosen) deliver(world, chosen, subject, reply, payload);
}

static struct event *done_later(struct host *host, uint64_t id, enum wisp_err_kind err, uint64_t after_ms)
{
    struct event *event = push(host->world, EV_DONE, host, host->world->now_ms + after_ms);
    event->id = id;
    event->err = err;
    return event;
}

static void subscribe(struct host *host, const struct wisp_lattice_action *action)
{
    struct route *route = wisp_mem_calloc(1, sizeof *route);
    route->pattern = copy_text(action->subject);
    route->queue = action->queue.len ? copy_text(action->queue) : NULL;
    route->next = host->routes;
    host->routes = route;
}

static json_t *as_running(const struct wisp_lattice_component *component)
{
    json_t *config = json_object(), *links = json_array();
    for (size_t i = 0; i < component->n_config; i++) {
        WISP_CLEANUP_JSON json_t *key = wisp_json_text(component->config[i].key);
        json_object_set_new(config, json_string_value(key), wisp_json_text(component->config[i].value));
    }
    for (size_t i = 0; i < component->n_links; i++) {
        char text[512];
        snprintf(text, sizeof text, "%.*s %.*s %.*s", WISP_STR_ARG(component->links[i].link_name),
                 WISP_STR_ARG(component->links[i].interface), WISP_STR_ARG(component->links[i].target));
        json_array_append_new(links, json_string(text));
    }
    return json_pack("{s:I,s:o,s:o}", "count", (json_int_t)component->instances_max, "config", config, "links", links);
}

static struct event *write_state(struct host *host, uint64_t id, int bucket, struct wisp_str key,
                                 const struct wisp_str *value, int64_t expected)
{
    struct world *world = host->world;
    if (!host->is_connected) return done_later(host, id, WISP_ERR_UNAVAILABLE, 1);
    struct event *event = push(world, EV_WRITE, host, world->now_ms + delay(world));
    event->subject = copy_text(key);
    event->text = value ? copy_text(*value) : NULL;
    event->text_len = value ? value->len : 0;
    event->has_text = value;
    event->bucket = bucket;
    event->expected = expected;
    event->id = id;
    return event;
}

/* --- answers to clients --- */

static struct request *request_of(struct world *world, struct wisp_str subject)
{
    uint64_t index;
    if (!wisp_str_starts_with(subject, WISP_STR("client."))) return NULL;
    struct wisp_str number = {subject.ptr + 7, subject.len - 7};
    if (wisp_parse_u64(number, world->n_requests - 1, &index, NULL) < 0) return NULL;
    return &world->requests[index];
}

static void on_answer(struct host *host, struct request *request, struct wisp_str payload)
{
    struct world *world = host->world;
    WISP_CLEANUP_JSON json_t *envelope = NULL;
    if (wisp_json_parse(payload, &envelope, NULL) < 0 || !json_is_boolean(json_object_get(envelope, "success")))
        world_fail(world, "an answer to `%s` that is none", request->subject);
    if (++request->n_answered[host->index] > request->n_delivered[host->index])
        world_fail(world, "host %zu answers `%s` twice", host->index, request->subject);
    if (request->on_answer) request->on_answer(world, host, envelope, request->env);
}

/* Whatever answers: to the manager whose request this was. */
static void answer_app(struct world *world, struct wisp_str subject, struct wisp_str payload)
{
    unsigned long long index, life, id;
    char text[80];
    snprintf(text, sizeof text, "%.*s", WISP_STR_ARG(subject));
    if (sscanf(text, "manager.%llu.%llu.%llu", &index, &life, &id) != 3) return;
    struct host *host = &world->hosts[index];
    const struct wisp_str none = {0};
    if (host->app && host->life == life && host->is_connected) deliver_to_app(host, id, subject, none, payload);
}

/* --- processes of providers --- */

enum { START_MAX_MS = 300 };

static struct process *process_of(struct host *host, struct wisp_str id)
{
    struct process *free_one = NULL;
    for (size_t i = 0; i < PROCESSES_MAX; i++) {
        struct process *process = &host->processes[i];
        if (wisp_str_is(id, process->id)) return process;
        if (!process->id[0] && !free_one) free_one = process;
    }
    if (!free_one) world_fail(host->world, "host %zu has too many providers", host->index);
    snprintf(free_one->id, sizeof free_one->id, "%.*s", WISP_STR_ARG(id));
    return free_one;
}

static void begin_process(struct host *host, struct process *process, int expected)
{
    if ((int)process->state != expected)
        world_fail(host->world, "host %zu starts `%s` in state %d", host->index, process->id, (int)process->state);
    process->state = UP;
    process->is_born = expected == DUE;
    process->told_ms = host->world->now_ms + START_MAX_MS;
    process->is_deaf = host->world->kills_processes && world_random(host->world, 10) == 0;
}

static void settle(struct host *host);

static void end_process(struct host *host, struct process *process)
{
    struct world *world = host->world;
    process->state = AWAY;
    process->failures++;
    process->due_ms = world->now_ms + (process->failures > 1 ? 100 + world_random(world, 5000) : 0);
    world->n_deaths++;
    const struct wisp_lattice_provider_report report = {.has_run = true,
                                                        .signal_number = 9,
                                                        .failures = process->failures,
                                                        .is_failed = process->failures >= 5,
                                                        .pause_ms = process->due_ms - world->now_ms};
    wisp_lattice_on_provider(host->lattice, now_of(world), wisp_str_from(process->id), WISP_LATTICE_PROVIDER_EXITED,
                             &report);
}

static void live(struct host *host, struct process *process)
{
    struct world *world = host->world;
    struct wisp_str id = wisp_str_from(process->id);
    if (process->state == UP && process->is_born) {
        process->is_born = false;
        world->n_restarts++;
        wisp_lattice_on_provider(host->lattice, now_of(world), id, WISP_LATTICE_PROVIDER_UP, NULL);
    } else if (process->state == UP && world->kills_processes && process->told_ms < world->now_ms &&
               world_random(world, 300) == 0) {
        end_process(host, process);
    } else if (process->state == AWAY && process->due_ms == UINT64_MAX) {
        end_process(host, process);
    } else if (process->state == AWAY && process->due_ms <= world->now_ms) {
        process->state = DUE;
        wisp_lattice_on_provider(host->lattice, now_of(world), id, WISP_LATTICE_PROVIDER_DUE, NULL);
    }
}

void world_live(struct world *world, void *env)
{
    for (size_t i = 0; i < world->n_hosts; i++) {
        struct host *host = &world->hosts[i];
        for (size_t k = 0; host->lattice && k < PROCESSES_MAX; k++) {
            live(host, &host->processes[k]);
            settle(host);
        }
    }
    world_at(world, 50, world_live, env);
}

/* Health checks are answered; whatever else is asked for is not there. */
static void answer_request(struct host *host, const struct wisp_lattice_action *action)
{
    struct event *event = done_later(host, action->id, WISP_ERR_UNAVAILABLE, 1);
    for (size_t i = 0; i < PROCESSES_MAX; i++) {
        const struct process *process = &host->processes[i];
        char subject[64];
        snprintf(subject, sizeof subject, "wasmbus.rpc.default.%s.health", process->id);
        if (!wisp_str_is(action->subject, subject) || process->state != UP || process->is_deaf) continue;
        event->err = WISP_ERR_NONE;
        event->text = copy_text(WISP_STR("{\"healthy\":true}"));
        event->text_len = strlen(event->text);
    }
}

static void perform_process(struct host *host, const struct wisp_lattice_action *action)
{
    struct process *process = process_of(host, action->provider.id);
    switch (action->kind) {
    case WISP_LATTICE_PROVIDER_START:
        begin_process(host, process, GONE);
        break;
    case WISP_LATTICE_PROVIDER_RESTART_READY:
        begin_process(host, process, DUE);
        break;
    case WISP_LATTICE_PROVIDER_HANG:
        if (process->state != UP) world_fail(host->world, "host %zu says that `%s` hangs", host->index, process->id);
        process->is_deaf = false;
        process->is_born = false;
        host->world->n_hangs++;
        process->state = AWAY;
        process->due_ms = UINT64_MAX; /* told from world_live: not from within what asked for it */
        break;
    default:
        process->state = GONE;
    }
}

static void perform(struct host *host, const struct wisp_lattice_action *action)
{
    struct world *world = host->world;
    struct request *request;
    char id[300];
    switch (action->kind) {
    case WISP_LATTICE_SUBSCRIBE:
        subscribe(host, action);
        break;
    case WISP_LATTICE_PUBLISH:
        host->n_out++;
        if ((request = request_of(world, action->subject)))
            on_answer(host, request, action->payload);
        else if (wisp_str_starts_with(action->subject, WISP_STR("manager.")) && host->is_connected)
            answer_app(world, action->subject, action->payload);
        else if (host->is_connected)
            publish(world, action->subject, action->reply, action->payload);
        break;
    case WISP_LATTICE_REQUEST:
        answer_request(host, action);
        break;
    case WISP_LATTICE_STATE_WRITE:
        write_state(host, action->id, action->bucket, action->key, action->has_value ? &action->value : NULL,
                    action->expected);
        break;
    case WISP_LATTICE_FETCH:
        done_later(host, action->id, WISP_ERR_NONE, 1 + world_random(world, 500))->is_fetch = true;
        break;
    case WISP_LATTICE_COMPONENT_PUT:
        snprintf(id, sizeof id, "%.*s", WISP_STR_ARG(action->component.id));
        json_object_set_new(host->running, id, as_running(&action->component));
        done_later(host, action->id, WISP_ERR_NONE, 1 + world_random(world, 300));
        break;
    case WISP_LATTICE_COMPONENT_REMOVE:
        snprintf(id, sizeof id, "%.*s", WISP_STR_ARG(action->component.id));
        if (json_object_del(host->running, id) < 0) world_fail(world, "host %zu removes `%s` twice", host->index, id);
        done_later(host, action->id, WISP_ERR_NONE, 1 + world_random(world, 300));
        break;
    case WISP_LATTICE_PROVIDER_RESTART_READY:
    case WISP_LATTICE_PROVIDER_HANG:
        perform_process(host, action);
        break;
    case WISP_LATTICE_PROVIDER_START:
    case WISP_LATTICE_PROVIDER_STOP:
        perform_process(host, action);
        done_later(host, action->id, WISP_ERR_NONE, 1 + world_random(world, START_MAX_MS));
        break;
    case WISP_LATTICE_BUILTIN_PUT:
    case WISP_LATTICE_BUILTIN_REMOVE:
        done_later(host, action->id, WISP_ERR_NONE, 1 + world_random(world, 300));
        break;
    case WISP_LATTICE_SAVE:
        free(host->saved);
        host->saved = copy_text(action->payload);
        break;
    case WISP_LATTICE_LOG:
        if (world->is_verbose)
            fprintf(stderr, "%llu host %zu: %.*s\n", (unsigned long long)world->now_ms, host->index,
                    WISP_STR_ARG(action->text));
        break;
    default:
        break;
    }
}

/* --- a manager's actions --- */

static void request_for_app(struct host *host, const struct wisp_app_action *action)
{
    struct world *world = host->world;
    char reply[80];
    WISP_CLEANUP_JSON json_t *payload = NULL;
    if (action->payload.len && wisp_json_parse(action->payload, &payload, NULL) < 0)
        world_fail(world, "host %zu asks for something that is not JSON", host->index);
    if (world->on_command) world->on_command(world, host, action->subject, payload);
    snprintf(reply, sizeof reply, "manager.%zu.%u.%llu", host->index, host->life, (unsigned long long)action->id);
    if (host->is_connected) publish(world, action->subject, wisp_str_from(reply), action->payload);
    done_later(host, action->id, WISP_ERR_TIMEOUT, action->timeout_ms)->is_app = true;
}

static void publish_for_app(struct host *host, const struct wisp_app_action *action)
{
    struct world *world = host->world;
    host->n_out++;
    struct request *request = request_of(world, action->subject);
    WISP_CLEANUP_JSON json_t *answer = NULL;
    if (!host->is_connected) return;
    if (!request && wisp_str_starts_with(action->subject, WISP_STR("manager.")))
        answer_app(world, action->subject, action->payload);
    else if (!request)
        publish(world, action->subject, action->reply, action->payload);
    if (!request) return;
    if (wisp_json_parse(action->payload, &answer, NULL) < 0)
        world_fail(world, "an answer to `%s` that is none", request->subject);
    if (request->on_answer) request->on_answer(world, host, answer, request->env);
}

static void remove_app_route(struct host *host, struct wisp_str subject)
{
    for (struct route **at = &host->routes; *at; at = &(*at)->next) {
        struct route *route = *at;
        if (!route->is_app || !wisp_str_is(subject, route->pattern)) continue;
        *at = route->next;
        free(route->pattern);
        free(route->queue);
        free(route);
        return;
    }
    world_fail(host->world, "manager %zu has no subscription to end", host->index);
}

static void perform_for_app(struct host *host, const struct wisp_app_action *action)
{
    switch (action->kind) {
    case WISP_APP_SUBSCRIBE:
        subscribe(host, &(struct wisp_lattice_action){.subject = action->subject, .queue = action->queue});
        host->routes->is_app = true;
        break;
    case WISP_APP_UNSUBSCRIBE:
        remove_app_route(host, action->subject);
        break;
    case WISP_APP_PUBLISH:
        publish_for_app(host, action);
        break;
    case WISP_APP_REQUEST:
        request_for_app(host, action);
        break;
    case WISP_APP_STATE_WRITE:
        write_state(host, action->id, action->bucket, action->key, action->has_value ? &action->value : NULL,
                    action->expected)
            ->is_app = true;
        break;
    case WISP_APP_LOG:
        if (host->world->is_verbose)
            fprintf(stderr, "%llu manager %zu: %.*s\n", (unsigned long long)host->world->now_ms, host->index,
                    WISP_STR_ARG(action->text));
        break;
    }
}

static void settle_app(struct host *host)
{
    struct wisp_app_action action;
    while (host->app && wisp_app_next_action(host->app, &action)) perform_for_app(host, &action);
}

static void count_action(struct host *host)
{
    uint64_t window_ms = host->world->now_ms / 1000;
    if (window_ms != host->window_ms) host->n_actions_in_window = 0;
    host->window_ms = window_ms;
    if (++host->n_actions_in_window > host->n_actions_most) host->n_actions_most = host->n_actions_in_window;
}

/* After every in-call. */
static void settle(struct host *host)
{
    struct wisp_lattice_action action;
    for (;;) {
        if (!wisp_lattice_next_action(host->lattice, &action)) break;
        count_action(host);
        perform(host, &action);
    }
    settle_app(host);
    arm_tick(host);
}

/* --- the store --- */

static void tell(struct host *host, int bucket, const char *key, const json_t *value, uint64_t revision)
{
    struct world *world = host->world;
    uint64_t at_ms = world->now_ms + delay(world);
    if (at_ms < host->told_until_ms) at_ms = host->told_until_ms;
    host->told_until_ms = at_ms;
    struct event *event = push(world, EV_TOLD, host, at_ms);
    struct wisp_str text = {json_string_value(value), json_string_length(value)};
    event->subject = wisp_mem_dup(wisp_str_from(key));
    event->has_text = value != NULL;
    event->text = copy_text(text);
    event->text_len = text.len;
    event->bucket = bucket;
    event->revision = revision;
}

static void on_told(struct world *world, struct event *event)
{
    struct host *host = event->host;
    struct wisp_str text = {event->text, event->text_len};
    if (event->has_text)
        json_object_set_new(host->view[event->bucket], event->subject, json_integer((json_int_t)event->revision));
    else
        json_object_del(host->view[event->bucket], event->subject);
    host->n_in++;
    if (event->bucket < WISP_LATTICE_BUCKET_COUNT)
        wisp_lattice_on_state(host->lattice, now_of(world), event->bucket, wisp_str_from(event->subject),
                              event->has_text ? &text : NULL, event->revision);
    if (host->app)
        wisp_app_on_state(host->app, app_now_of(world), event->bucket, wisp_str_from(event->subject),
                          event->has_text ? &text : NULL, event->revision);
}

static void tell_loaded(struct host *host)
{
    push(host->world, EV_LOADED, host,
         host->told_until_ms > host->world->now_ms ? host->told_until_ms : host->world->now_ms + 1);
}

static uint64_t revision_in(const json_t *bucket, const char *key)
{
    return (uint64_t)json_integer_value(json_array_get(json_object_get(bucket, key), 1));
}

/* What changed since the host was told last. */
static void catch_up(struct host *host)
{
    struct world *world = host->world;
    const char *key;
    json_t *value;
    for (int bucket = 0; bucket < WORLD_BUCKETS; bucket++) {
        json_object_foreach(world->store[bucket], key, value)
        {
            uint64_t revision = revision_in(world->store[bucket], key);
            if (revision != (uint64_t)json_integer_value(json_object_get(host->view[bucket], key)))
                tell(host, bucket, key, json_array_get(value, 0), revision);
        }
        WISP_CLEANUP_JSON json_t *view = json_copy(host->view[bucket]);
        json_object_foreach(view, key, value)
        {
            const json_t *marker = json_object_get(world->markers[bucket], key);
            if (json_object_get(world->store[bucket], key)) continue;
            tell(host, bucket, key, NULL, (uint64_t)json_integer_value(marker ? marker : value));
        }
    }
    tell_loaded(host);
}

static void perform_write(struct world *world, struct event *event)
{
    struct host *host = event->host;
    json_t *bucket = world->store[event->bucket];
    uint64_t known = revision_in(bucket, event->subject);
    bool is_cut = host->life != event->life || host->link_no != event->link_no;
    enum wisp_err_kind err = WISP_ERR_NONE;
    if (event->expected != WISP_LATTICE_ANY_REVISION && (uint64_t)event->expected != known) {
        err = WISP_ERR_EXISTS;
    } else {
        world->revision++;
        if (event->has_text) {
            struct wisp_str text = {event->text, event->text_len};
            json_object_set_new(bucket, event->subject,
                                json_pack("[o,I]", wisp_json_text(text), (json_int_t)world->revision));
            json_object_del(world->markers[event->bucket], event->subject);
        } else {
            json_object_del(bucket, event->subject);
            json_object_set_new(world->markers[event->bucket], event->subject,
                                json_integer((json_int_t)world->revision));
        }
        for (size_t i = 0; i < world->n_hosts; i++)
            if (world->hosts[i].lattice && world->hosts[i].is_connected)
                tell(&world->hosts[i], event->bucket, event->subject,
                     json_array_get(json_object_get(bucket, event->subject), 0), world->revision);
    }
    if (host->life != event->life) return;
    /* Cut off meanwhile: it never learns what came of it. */
    struct event *done = done_later(host, event->id, is_cut ? WISP_ERR_UNAVAILABLE : err, is_cut ? 1 : delay(world));
    done->revision = world->revision;
    done->is_app = event->is_app;
}

static void resume(struct world *world, void *env)
{
    struct host *host = env;
    if (!host->lattice || !host->is_connected) return;
    host->told_until_ms = world->now_ms;
    wisp_lattice_on_state_reachable(host->lattice, now_of(world), true);
    if (host->app) wisp_app_on_state_reachable(host->app, app_now_of(world), true);
    settle(host);
    catch_up(host);
}

/* Numbers begin anew: what is the same number is another value. */
static void forget_revisions(struct host *host)
{
    const char *key;
    json_t *value;
    for (int bucket = 0; bucket < WORLD_BUCKETS; bucket++) json_object_foreach(host->view[bucket], key, value)
        {
            json_integer_set(value, 0);
        }
}

void world_wipe(struct world *world)
{
    for (int i = 0; i < WORLD_BUCKETS; i++) {
        json_object_clear(world->store[i]);
        json_object_clear(world->markers[i]);
    }
    world->revision = 0;
    for (size_t i = 0; i < world->n_hosts; i++) {
        struct host *host = &world->hosts[i];
        forget_revisions(host);
        if (!host->lattice || !host->is_connected) continue;
        host->link_no++; /* what was on its way to it is lost as well */
        wisp_lattice_on_state_reachable(host->lattice, now_of(world), false);
        if (host->app) wisp_app_on_state_reachable(host->app, app_now_of(world), false);
        settle(host);
        world_at(world, 10 + world_random(world, 2000), resume, host);
    }
}

/* --- hosts --- */

static void forget_routes(struct host *host)
{
    for (struct route *route = host->routes, *next; route; route = next) {
        next = route->next;
        free(route->pattern);
        free(route->queue);
        free(route);
    }
    host->routes = NULL;
}

void host_start(struct host *host)
{
    struct world *world = host->world;
    struct wisp_err err = {0};
    char name[32];
    snprintf(name, sizeof name, "host-%zu", host->index);
    struct wisp_lattice_options options = {.friendly_name = name,
                                           .version = "1.6.2",
                                           .host_seed = host->seed,
                                           .seed = world_random(world, 0),
                                           .keys_from_seed = true};
    if (wisp_lattice_new(&host->lattice, &options, now_of(world), &err) < 0) world_fail(world, "%s", err.text);
    snprintf(host->id, sizeof host->id, "%s", wisp_lattice_host_id(host->lattice));
    host->life++;
    host->link_no++;
    host->is_connected = true;
    host->tick_at_ms = 0;
    host->told_until_ms = world->now_ms;
    for (int i = 0; i < WORLD_BUCKETS; i++) json_object_clear(host->view[i]);
    host->heard_until_ms = world->now_ms;
    if (world->has_apps) {
        struct wisp_app_options app_options = {.host_id = host->id, .seed = world_random(world, 0)};
        if (wisp_app_new(&host->app, &app_options, app_now_of(world), &err) < 0) world_fail(world, "%s", err.text);
        wisp_app_on_bus(host->app, app_now_of(world), true);
    }
    if (host->saved && wisp_lattice_restore(host->lattice, wisp_str_from(host->saved), &err) < 0)
        world_fail(world, "host %zu can't restore: %s", host->index, err.text);
    settle(host);
    catch_up(host);
}

/* What is to run is from now on what the host had saved. */
static void expect_saved(struct host *host)
{
    json_object_clear(host->expected);
    if (!host->saved) return;
    WISP_CLEANUP_JSON json_t *saved = NULL;
    if (wisp_json_parse(wisp_str_from(host->saved), &saved, NULL) < 0) world_fail(host->world, "saved is not JSON");
    const json_t *components = json_object_get(saved, "components");
    for (size_t i = 0; i < json_array_size(components); i++) {
        const json_t *component = json_array_get(components, i);
        json_object_set(host->expected, json_string_value(json_object_get(component, "component_id")),
                        json_object_get(component, "count"));
    }
}

void host_crash(struct host *host)
{
    if (!host->lattice) return;
    wisp_lattice_free(host->lattice);
    wisp_app_free(host->app);
    host->lattice = NULL;
    host->app = NULL;
    host->life++;
    json_object_clear(host->running);
    memset(host->processes, 0, sizeof host->processes);
    forget_routes(host);
    expect_saved(host);
}

void host_cut(struct host *host)
{
    if (!host->lattice || !host->is_connected) return;
    host->is_connected = false;
    host->link_no++;
    wisp_lattice_on_bus(host->lattice, now_of(host->world), false);
    if (host->app) {
        wisp_app_on_bus(host->app, app_now_of(host->world), false);
        wisp_app_on_state_reachable(host->app, app_now_of(host->world), false);
    }
    settle(host);
}

void host_join(struct host *host)
{
    if (!host->lattice || host->is_connected) return;
    host->is_connected = true;
    host->link_no++;
    host->told_until_ms = host->world->now_ms;
    wisp_lattice_on_bus(host->lattice, now_of(host->world), true);
    if (host->app) {
        wisp_app_on_bus(host->app, app_now_of(host->world), true);
        wisp_app_on_state_reachable(host->app, app_now_of(host->world), true);
    }
    settle(host);
    catch_up(host);
}

/* --- clients --- */

void world_ask(struct world *world, const char *subject, const char *payload,
               void (*on_answered)(struct world *world, struct host *host, const json_t *envelope, void *env),
               void *env)
{
    if (world->n_requests == world->requests_capacity) {
        world->requests_capacity = world->requests_capacity ? world->requests_capacity * 2 : 256;
        world->requests = wisp_mem_realloc(world->requests, world->requests_capacity * sizeof *world->requests);
    }
    char reply[64];
    snprintf(reply, sizeof reply, "client.%zu", world->n_requests);
    world->requests[world->n_requests++] =
        (struct request){.subject = wisp_mem_dup(wisp_str_from(subject)),
                         .n_delivered = wisp_mem_calloc(world->n_hosts, sizeof(uint32_t)),
                         .n_answered = wisp_mem_calloc(world->n_hosts, sizeof(uint32_t)),
                         .on_answer = on_answered,
                         .env = env};
    publish(world, wisp_str_from(subject), wisp_str_from(reply), wisp_str_from(payload));
}

json_t *host_ask(struct host *host, const char *tail)
{
    char subject[300];
    struct wisp_lattice_action action;
    snprintf(subject, sizeof subject, "wasmbus.ctl.v1.default.%s", tail);
    struct wisp_bus_message message = {.subject = wisp_str_from(subject), .reply = WISP_STR("direct")};
    json_t *response = NULL;
    wisp_lattice_on_message(host->lattice, now_of(host->world), &message);
    while (wisp_lattice_next_action(host->lattice, &action)) {
        if (!wisp_str_is(action.subject, "direct")) continue;
        WISP_CLEANUP_JSON json_t *envelope = NULL;
        if (wisp_json_parse(action.payload, &envelope, NULL) == 0)
            response = json_incref(json_object_get(envelope, "response"));
    }
    return response;
}

/* --- the loop --- */

static void on_message(struct world *world, struct event *event)
{
    struct host *host = event->host;
    struct request *request = request_of(world, wisp_str_from(event->reply));
    struct wisp_bus_message message = {.subject = wisp_str_from(event->subject),
                                       .reply = wisp_str_from(event->reply),
                                       .payload = {event->text, event->text_len}};
    host->n_in++;
    if (event->is_app) {
        wisp_app_on_message(host->app, app_now_of(world), &message);
        return;
    }
    if (request) request->n_delivered[host->index]++;
    wisp_lattice_on_message(host->lattice, now_of(world), &message);
}

static void on_done(struct world *world, struct event *event)
{
    struct wisp_lattice_done done = {.revision = event->revision};
    if (event->err) wisp_err_set(&done.err, event->err, "simulated");
    if (event->is_app) {
        struct wisp_app_done outcome = {
            .err = done.err, .revision = event->revision, .reply.payload = {event->text, event->text_len}};
        wisp_app_on_done(event->host->app, app_now_of(world), event->id, &outcome);
        return;
    }
    if (event->is_fetch) {
        done.artifact.path = WISP_STR("/path");
        done.artifact.digest = WISP_STR("sha256:0");
        done.artifact.plain_reference = WISP_STR("plain");
    }
    wisp_lattice_on_done(event->host->lattice, now_of(world), event->id, &done);
}

/* False: the event was for somebody who is no more. */
static bool enter_host(struct world *world, struct event *event)
{
    struct host *host = event->host;
    bool needs_link = event->kind == EV_MESSAGE || event->kind == EV_TOLD || event->kind == EV_LOADED;
    if (!host->lattice || host->life != event->life || (needs_link && host->link_no != event->link_no)) return false;
    uint64_t begin = timing_begin(host);
    switch (event->kind) {
    case EV_MESSAGE:
        on_message(world, event);
        break;
    case EV_DONE:
        on_done(world, event);
        break;
    case EV_TOLD:
        on_told(world, event);
        break;
    case EV_LOADED:
        wisp_lattice_on_state_loaded(host->lattice, now_of(world));
        if (host->app) wisp_app_on_state_loaded(host->app, app_now_of(world));
        break;
    case EV_TICK:
        if (host->tick_at_ms > world->now_ms) return false;
        host->tick_at_ms = 0;
        wisp_lattice_on_tick(host->lattice, now_of(world));
        if (host->app) wisp_app_on_tick(host->app, app_now_of(world));
        break;
    default:
        break;
    }
    timing_end(host, begin);
    return true;
}

static void dispatch(struct world *world, struct event *event)
{
    if (event->kind == EV_CALL) {
        event->call(world, event->env);
    } else if (event->kind == EV_WRITE) {
        perform_write(world, event);
    } else if (enter_host(world, event)) {
        settle(event->host);
    }
}

void world_run(struct world *world, uint64_t until_ms)
{
    while (world->n_events && world->heap[0]->at_ms <= until_ms) {
        struct event *event = pop(world);
        world->now_ms = event->at_ms;
        world->n_events_done++;
        dispatch(world, event);
        event_free(event);
    }
    world->now_ms = until_ms;
}

void world_init(struct world *world, uint64_t seed, size_t n_hosts)
{
    *world = (struct world){.seed = seed, .random = seed, .now_ms = 1000, .n_hosts = n_hosts};
    world->weather.delay_max_ms = 5;
    world->hosts = wisp_mem_calloc(n_hosts, sizeof *world->hosts);
    for (int i = 0; i < WORLD_BUCKETS; i++) {
        world->store[i] = json_object();
        world->markers[i] = json_object();
    }
    for (size_t i = 0; i < n_hosts; i++) {
        struct host *host = &world->hosts[i];
        struct wisp_nkey key = {.kind = WISP_NKEY_SERVER};
        *host = (struct host){.world = world, .index = i, .running = json_object(), .expected = json_object()};
        for (int b = 0; b < WORLD_BUCKETS; b++) host->view[b] = json_object();
        for (size_t k = 0; k < sizeof key.seed; k++) key.seed[k] = (uint8_t)world_random(world, 256);
        wisp_nkey_seed_text(&key, host->seed);
    }
}

void world_deinit(struct world *world)
{
    for (size_t i = 0; i < world->n_hosts; i++) {
        struct host *host = &world->hosts[i];
        wisp_lattice_free(host->lattice);
        wisp_app_free(host->app);
        forget_routes(host);
        json_decref(host->running);
        json_decref(host->expected);
        for (int b = 0; b < WORLD_BUCKETS; b++) json_decref(host->view[b]);
        free(host->saved);
    }
    for (size_t i = 0; i < world->n_requests; i++) {
        struct request *request = &world->requests[i];
        free(request->subject);
        free(request->n_delivered);
        free(request->n_answered);
    }
    for (int i = 0; i < WORLD_BUCKETS; i++) {
        json_decref(world->store[i]);
        json_decref(world->markers[i]);
    }
    while (world->n_events) event_free(pop(world));
    free(world->requests);
    free(world->heap);
    free(world->hosts);
}
