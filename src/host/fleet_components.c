/* SPDX-License-Identifier: Apache-2.0 */
/* Components of a fleet: orders to run them, and the way from there to "all workers serve it".
 *
 * Workers load code from the cache only. When it isn't there a process of its own compiles it, once for all: a compiler
 * that crashes on hostile input, or takes minutes, disturbs nobody. */
#include "host/fleet_priv.h"

#include "base/json.h"
#include "base/log.h"
#include "nkeys/nkeys.h"

#include <stdlib.h>
#include <sys/wait.h>

struct wisp_fleet_compiler {
    struct wisp_fleet *fleet;
    struct wisp_process *process;
    char *id; /* of the component */
    uint64_t generation;
    const char *argv[4];
    char *path, *last_line;
    struct wisp_fleet_compiler *next;
};

static void start_compilers(struct wisp_fleet *fleet);

/* --- orders --- */

static json_t *pairs(const struct wisp_lattice_pair *items, size_t n)
{
    json_t *object = json_object();
    for (size_t i = 0; i < n; i++) {
        WISP_CLEANUP_FREE char *key = wisp_mem_dup(items[i].key);
        json_object_set_new(object, key, wisp_json_text(items[i].value));
    }
    return object;
}

static json_t *secrets(const struct wisp_lattice_component *what)
{
    json_t *object = json_object();
    for (size_t i = 0; i < what->n_secrets; i++) {
        const struct wisp_lattice_secret *secret = &what->secrets[i];
        WISP_CLEANUP_FREE char *name = wisp_mem_dup(secret->name);
        if (!secret->is_bytes) {
            json_object_set_new(object, name, wisp_json_text(secret->value));
            continue;
        }
        WISP_CLEANUP_BUF struct wisp_buf text = {0};
        wisp_base64_encode(secret->value, &text);
        json_object_set_new(object, name, json_pack("{s:o}", "bytes", wisp_json_text(wisp_buf_str(&text))));
    }
    return object;
}

static json_t *links(const struct wisp_lattice_component *what)
{
    json_t *array = json_array();
    for (size_t i = 0; i < what->n_links; i++)
        json_array_append_new(array, json_pack("{s:o,s:o,s:o}", "name", wisp_json_text(what->links[i].link_name),
                                               "interface", wisp_json_text(what->links[i].interface), "target",
                                               wisp_json_text(what->links[i].target)));
    return array;
}

static uint64_t or_default(uint64_t value, uint64_t fallback) { return value ? value : fallback; }

static json_t *make_order(const struct wisp_fleet *fleet, const struct wisp_lattice_component *what, uint32_t slot)
{
    const struct wisp_fleet_options *defaults = &fleet->options;
    uint64_t memory = or_default(what->memory_bytes_max, defaults->memory_bytes_max);
    uint64_t timeout = or_default(what->timeout_ms, defaults->timeout_ms);
    uint64_t body = or_default(what->body_bytes_max, defaults->body_bytes_max);
    return json_pack("{s:s,s:o,s:I,s:I,s:o,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:o}", "do", "component", "id",
                     wisp_json_text(what->id), "generation", (json_int_t)what->generation, "slot", (json_int_t)slot,
                     "path", wisp_json_text(what->path), "digest", wisp_json_text(what->digest), "reference",
                     wisp_json_text(what->reference), "instances_max", (json_int_t)what->instances_max, "queue_max",
                     (json_int_t)what->queue_max, "memory_bytes_max", (json_int_t)memory, "timeout_ms",
                     (json_int_t)timeout, "body_bytes_max", (json_int_t)body, "config",
                     pairs(what->config, what->n_config), "secrets", secrets(what), "links", links(what),
                     "policy_target", wisp_json_text(what->policy_target));
}

/* --- outcomes --- */

static void tell_done(struct wisp_fleet_component *component, const struct wisp_err *err)
{
    wisp_fleet_on_done *on_done = WISP_TAKE(component->on_done);
    if (on_done) on_done(err, component->env, component->done_id);
}

bool wisp_fleet_component_is_ready(const struct wisp_fleet *fleet, const struct wisp_fleet_component *component)
{
    bool any = false;
    for (uint32_t i = 0; i < fleet->n_seats; i++) {
        if (!fleet->seats[i].is_ready) continue;
        if (!component->is_ready[i]) return false;
        any = true;
    }
    return any;
}

static void check_ready(struct wisp_fleet *fleet, struct wisp_fleet_component *component)
{
    if (!wisp_fleet_component_is_ready(fleet, component)) return;
    if (component->good_generation != component->generation)
        WISP_LOG(INFO, "host", "component serves", WISP_TEXT("component", component->id),
                 WISP_TEXT("reference", component->reference));
    if (component->good_generation != component->generation || component->good_order != component->order) {
        json_decref(component->good_order);
        component->good_order = json_incref(component->order);
        component->good_generation = component->generation;
    }
    tell_done(component, NULL);
    wisp_fleet_check_old(fleet);
}

static void free_component(struct wisp_fleet_component *component)
{
    json_decref(component->order);
    json_decref(component->good_order);
    free(component->is_ready);
    free(component->id);
    free(component->reference);
    free(component->path);
    free(component);
}

static void forget(struct wisp_fleet *fleet, struct wisp_fleet_component *component)
{
    wisp_map_remove(&fleet->components, wisp_str_from(component->id));
    struct wisp_fleet_leaver *leaver = wisp_mem_calloc(1, sizeof *leaver);
    *leaver = (struct wisp_fleet_leaver){.id = wisp_mem_dup(wisp_str_from(component->id)),
                                         .slot = component->slot,
                                         .generation = component->generation,
                                         .is_gone = wisp_mem_calloc(fleet->n_seats, sizeof(bool)),
                                         .next = fleet->leavers};
    for (uint32_t i = 0; i < fleet->n_seats; i++) leaver->is_gone[i] = !component->is_ready[i];
    fleet->leavers = leaver;
    free_component(component);
}

/* What ran before goes on: workers that start later are told of it again. */
static void fail(struct wisp_fleet *fleet, struct wisp_fleet_component *component, const struct wisp_err *err)
{
    component->wants_compiler = false;
    tell_done(component, err);
    if (component->good_order && component->good_generation != component->generation) {
        json_decref(component->order);
        component->order = json_incref(component->good_order);
        component->generation = component->good_generation;
        memset(component->is_ready, true, fleet->n_seats * sizeof *component->is_ready);
        wisp_fleet_tell(fleet, component->order);
    } else if (!component->good_order) {
        json_t *remove = json_pack("{s:s,s:s}", "do", "remove", "id", component->id);
        wisp_fleet_tell(fleet, remove);
        json_decref(remove);
        forget(fleet, component);
    }
}

/* --- compiling --- */

static void on_compiler_output(void *env, struct wisp_str line)
{
    struct wisp_fleet_compiler *compiler = env;
    free(compiler->last_line);
    compiler->last_line = wisp_mem_dup(line);
}

static void free_compiler(struct wisp_fleet_compiler *compiler)
{
    free(compiler->id);
    free(compiler->path);
    free(compiler->last_line);
    free(compiler);
}

static void unlink_compiler(struct wisp_fleet_compiler *compiler)
{
    struct wisp_fleet_compiler **at = &compiler->fleet->compilers;
    while (*at != compiler) at = &(*at)->next;
    *at = compiler->next;
    compiler->fleet->n_compilers--;
}

static struct wisp_fleet_component *component_of(struct wisp_fleet *fleet, const char *id, uint64_t generation)
{
    struct wisp_fleet_component *component = wisp_map_get(&fleet->components, wisp_str_from(id));
    return component && component->generation == generation ? component : NULL;
}

static void tell_again(struct wisp_fleet *fleet, struct wisp_fleet_component *component)
{
    for (uint32_t i = 0; i < fleet->n_seats; i++)
        if (fleet->seats[i].is_ready && !component->is_ready[i])
            wisp_orders_send(fleet->seats[i].orders, json_incref(component->order), -1);
}

static void on_compiled(void *env, int wait_status)
{
    struct wisp_fleet_compiler *compiler = env;
    struct wisp_fleet *fleet = compiler->fleet;
    struct wisp_fleet_component *component = component_of(fleet, compiler->id, compiler->generation);
    unlink_compiler(compiler);
    if (component && !fleet->is_draining) {
        struct wisp_err err = {0};
        component->compiler = NULL;
        if (wait_status == 0) {
            component->wants_compiler = false;
            tell_again(fleet, component);
        } else {
            if (WIFSIGNALED(wait_status))
                wisp_err_set(&err, WISP_ERR_GUEST, "the compiler was ended by signal %d", WTERMSIG(wait_status));
            else
                wisp_err_set(&err, WISP_ERR_INVALID, "%s", compiler->last_line ? compiler->last_line : "can't be compiled");
            fail(fleet, component, &err);
        }
    }
    free_compiler(compiler);
    if (!fleet->is_draining) start_compilers(fleet);
}

static void start_compiler(struct wisp_fleet *fleet, struct wisp_fleet_component *component)
{
    static const struct wisp_process_handler handler = {.on_output = on_compiler_output, .on_exit = on_compiled};
    struct wisp_fleet_compiler *compiler = wisp_mem_calloc(1, sizeof *compiler);
    struct wisp_err err = {0};
    *compiler = (struct wisp_fleet_compiler){.fleet = fleet,
                                             .id = wisp_mem_dup(wisp_str_from(component->id)),
                                             .generation = component->generation,
                                             .path = wisp_mem_dup(wisp_str_from(component->path))};
    memcpy(compiler->argv, (const char *[]){"wisp", "compile", compiler->path, NULL}, sizeof compiler->argv);
    const struct wisp_process_spec spec = {.argv = compiler->argv, .capture_output = true};
    if (wisp_process_new(&compiler->process, fleet->loop, &spec, &handler, compiler, &err) < 0) {
        free_compiler(compiler);
        fail(fleet, component, &err);
        return;
    }
    WISP_LOG(INFO, "host", "compiling; next time it comes from the code cache", WISP_TEXT("component", component->id));
    compiler->next = fleet->compilers;
    fleet->compilers = compiler;
    fleet->n_compilers++;
    component->compiler = compiler;
}

static void start_compilers(struct wisp_fleet *fleet)
{
    for (size_t i = 0; i < fleet->components.capacity && fleet->n_compilers < WISP_FLEET_COMPILERS_MAX; i++) {
        struct wisp_fleet_component *component = fleet->components.slots[i].value;
        if (!component || !component->wants_compiler || component->compiler) continue;
        start_compiler(fleet, component);
        i = (size_t)-1; /* a failure may have moved others */
    }
}

void wisp_fleet_end_compiling(struct wisp_fleet *fleet)
{
    for (struct wisp_fleet_compiler *compiler = fleet->compilers; compiler; compiler = compiler->next)
        wisp_process_signal(compiler->process, SIGKILL);
}

/* --- what workers say --- */

static void on_gone(struct wisp_seat *seat, struct wisp_str id, uint64_t generation)
{
    struct wisp_fleet *fleet = seat->fleet;
    for (struct wisp_fleet_leaver *leaver = fleet->leavers; leaver; leaver = leaver->next)
        if (leaver->generation == generation && wisp_str_is(id, leaver->id)) leaver->is_gone[seat->index] = true;
}

static bool is_left(const struct wisp_fleet *fleet, const struct wisp_fleet_leaver *leaver)
{
    for (uint32_t i = 0; i < fleet->n_seats; i++)
        if (!leaver->is_gone[i]) return false;
    return true;
}

/* A place in the shared memory is free when no worker counts there any more. */
static void free_leavers(struct wisp_fleet *fleet)
{
    for (struct wisp_fleet_leaver **at = &fleet->leavers; *at;) {
        struct wisp_fleet_leaver *leaver = *at;
        if (!is_left(fleet, leaver)) {
            at = &leaver->next;
            continue;
        }
        *at = leaver->next;
        wisp_shared_component_reset(fleet->shared, leaver->slot);
        fleet->free_slots[fleet->n_free_slots++] = leaver->slot;
        free(leaver->is_gone);
        free(leaver->id);
        free(leaver);
    }
}

static void on_failed(struct wisp_fleet *fleet, struct wisp_fleet_component *component, const json_t *order)
{
    struct wisp_str text = wisp_json_str(order, "text"), kind = wisp_json_str(order, "kind");
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_INVALID, "%.*s", WISP_STR_ARG(text));
    for (int k = 0; k < WISP_ERR_COUNT; k++)
        if (wisp_str_is(kind, wisp_err_name((enum wisp_err_kind)k))) err.kind = (enum wisp_err_kind)k;
    fail(fleet, component, &err);
}

void wisp_fleet_on_component(struct wisp_seat *seat, const char *what, const json_t *order)
{
    struct wisp_fleet *fleet = seat->fleet;
    struct wisp_str id = wisp_json_str(order, "id");
    uint64_t generation = wisp_json_u64(order, "generation", 0);
    if (strcmp(what, "component-gone") == 0) {
        on_gone(seat, id, generation);
        free_leavers(fleet);
        return;
    }
    struct wisp_fleet_component *component = wisp_map_get(&fleet->components, id);
    if (!component || component->generation != generation) return; /* overtaken by a later order */
    if (strcmp(what, "component-ready") == 0) {
        component->is_ready[seat->index] = true;
        check_ready(fleet, component);
    } else if (strcmp(what, "component-uncached") == 0) {
        component->wants_compiler = true;
        start_compilers(fleet);
    } else if (strcmp(what, "component-failed") == 0) {
        on_failed(fleet, component, order);
    }
}

void wisp_fleet_on_worker_gone(struct wisp_seat *seat)
{
    struct wisp_fleet *fleet = seat->fleet;
    for (struct wisp_fleet_leaver *leaver = fleet->leavers; leaver; leaver = leaver->next)
        leaver->is_gone[seat->index] = true;
    free_leavers(fleet);
    for (size_t i = 0; i < fleet->components.capacity; i++) {
        struct wisp_fleet_component *component = fleet->components.slots[i].value;
        if (!component) continue;
        if (component->is_ready[seat->index]) wisp_fleet_tell_ended(fleet, component->id);
        component->is_ready[seat->index] = false;
        if (component->on_done) check_ready(fleet, component);
    }
}

/* --- what is wanted --- */

static struct wisp_fleet_component *add(struct wisp_fleet *fleet, struct wisp_str id)
{
    if (!fleet->n_free_slots) return NULL;
    struct wisp_fleet_component *component = wisp_mem_calloc(1, sizeof *component);
    component->id = wisp_mem_dup(id);
    component->slot = fleet->free_slots[--fleet->n_free_slots];
    component->is_ready = wisp_mem_calloc(fleet->n_seats, sizeof *component->is_ready);
    wisp_map_add(&fleet->components, wisp_str_from(component->id), component);
    return component;
}

static void replace_text(char **text, struct wisp_str value)
{
    free(*text);
    *text = wisp_mem_dup(value);
}

static void cancel(struct wisp_fleet_component *component)
{
    struct wisp_err err = {0};
    if (!component->on_done) return;
    wisp_err_set(&err, WISP_ERR_CANCELLED, "a later command for `%s` took its place", component->id);
    tell_done(component, &err);
}

void wisp_fleet_put(struct wisp_fleet *fleet, const struct wisp_lattice_component *what, wisp_fleet_on_done *on_done,
                    void *env, uint64_t id)
{
    struct wisp_fleet_component *component = wisp_map_get(&fleet->components, what->id);
    if (component)
        cancel(component);
    else
        component = add(fleet, what->id);
    if (!component) {
        struct wisp_err err = {0};
        wisp_err_set(&err, WISP_ERR_LIMIT, "this host runs as many components as it may, or is still ending some");
        on_done(&err, env, id);
        return;
    }
    if (component->generation != what->generation) {
        memset(component->is_ready, false, fleet->n_seats * sizeof *component->is_ready);
        component->wants_compiler = false;
        component->compiler = NULL;
    }
    component->generation = what->generation;
    replace_text(&component->reference, what->reference);
    replace_text(&component->path, what->path);
    json_decref(component->order);
    component->order = make_order(fleet, what, component->slot);
    component->on_done = on_done;
    component->env = env;
    component->done_id = id;
    wisp_fleet_tell(fleet, component->order);
    check_ready(fleet, component); /* only limits, config or links changed */
}

void wisp_fleet_remove(struct wisp_fleet *fleet, struct wisp_str component_id, wisp_fleet_on_done *on_done, void *env,
                       uint64_t id)
{
    struct wisp_fleet_component *component = wisp_map_get(&fleet->components, component_id);
    if (component) {
        cancel(component);
        WISP_LOG(INFO, "host", "component is stopped", WISP_TEXT("component", component->id));
        json_t *order = json_pack("{s:s,s:s}", "do", "remove", "id", component->id);
        wisp_fleet_tell(fleet, order);
        json_decref(order);
        forget(fleet, component);
        free_leavers(fleet);
    }
    on_done(NULL, env, id);
}

void wisp_fleet_each(const struct wisp_fleet *fleet,
                     void (*visit)(struct wisp_str id, struct wisp_str reference, uint32_t slot, void *env), void *env)
{
    for (size_t i = 0; i < fleet->components.capacity; i++) {
        const struct wisp_fleet_component *component = fleet->components.slots[i].value;
        if (component)
            visit(wisp_str_from(component->id), wisp_str_from(component->reference), component->slot, env);
    }
}

void wisp_fleet_each_path(const struct wisp_fleet *fleet, void (*visit)(const char *path, void *env), void *env)
{
    for (size_t i = 0; i < fleet->components.capacity; i++) {
        const struct wisp_fleet_component *component = fleet->components.slots[i].value;
        if (component && component->path) visit(component->path, env);
    }
}

void wisp_fleet_free_components(struct wisp_fleet *fleet)
{
    for (size_t i = 0; i < fleet->components.capacity; i++)
        if (fleet->components.slots[i].value) free_component(fleet->components.slots[i].value);
    wisp_map_deinit(&fleet->components);
    while (fleet->leavers) {
        struct wisp_fleet_leaver *leaver = fleet->leavers;
        fleet->leavers = leaver->next;
        free(leaver->is_gone);
        free(leaver->id);
        free(leaver);
    }
}
