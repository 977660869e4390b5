/* SPDX-License-Identifier: Apache-2.0 */
#include "lattice/lattice_priv.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

/* --- control subjects --- */

/* Under "{prefix}.v1.{lattice}."; `{H}` is this host's id, `*` any one token. */
struct verb {
    const char *subject;
    wisp_lattice_on_command *handle;
};

static const struct verb verbs[] = {
    {"registry.put", wisp_lattice_registry_put},
    {"host.ping", wisp_lattice_host_ping},
    {"host.get.{H}", wisp_lattice_host_get},
    {"host.stop.{H}", wisp_lattice_host_stop},
    {"label.put.{H}", wisp_lattice_label_put},
    {"label.del.{H}", wisp_lattice_label_del},
    {"component.auction", wisp_lattice_component_auction},
    {"component.scale.{H}", wisp_lattice_component_scale},
    {"component.update.{H}", wisp_lattice_component_update},
    {"provider.auction", wisp_lattice_provider_auction},
    {"provider.start.{H}", wisp_lattice_provider_start},
    {"provider.stop.{H}", wisp_lattice_provider_stop},
    {"link.put", wisp_lattice_link_put},
    {"link.del", wisp_lattice_link_del},
    {"link.get", wisp_lattice_link_get},
    {"claims.get", wisp_lattice_claims_get},
    {"config.put.*", wisp_lattice_config_put},
    {"config.get.*", wisp_lattice_config_get},
    {"config.del.*", wisp_lattice_config_del},
};

static const struct {
    const char *pattern, *queue;
} subscriptions[] = {
    {"registry.put", NULL}, {"host.ping", NULL},         {"link.*", "link"},         {"claims.get", "claims"},
    {"config.>", "config"}, {"component.*.{H}", NULL},   {"provider.*.{H}", NULL},   {"label.*.{H}", NULL},
    {"host.*.{H}", NULL},   {"component.auction", NULL}, {"provider.auction", NULL},
};

static struct wisp_str control_subject(struct wisp_lattice *lattice, const char *tail)
{
    const char *own = strstr(tail, "{H}");
    return wisp_str_from(wisp_arena_printf(&lattice->arena, "%s.v1.%s.%.*s%s", lattice->ctl_prefix, lattice->lattice,
                                           (int)(own ? (size_t)(own - tail) : strlen(tail)), tail,
                                           own ? lattice->host_id : ""));
}

static bool is_refused(const struct wisp_lattice *lattice, const char *pattern)
{
    return (lattice->refuses_component_auctions && strcmp(pattern, "component.auction") == 0) ||
           (lattice->refuses_provider_auctions && strcmp(pattern, "provider.auction") == 0);
}

static void subscribe_to(struct wisp_lattice *lattice, const char *subject)
{
    if (!subject) return;
    wisp_lattice_emit(lattice, WISP_LATTICE_SUBSCRIBE)->subject = wisp_lattice_keep(lattice, wisp_str_from(subject));
}

static void subscribe(struct wisp_lattice *lattice)
{
    for (size_t i = 0; i < WISP_COUNT(subscriptions); i++) {
        if (is_refused(lattice, subscriptions[i].pattern)) continue;
        struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_SUBSCRIBE);
        action->subject = control_subject(lattice, subscriptions[i].pattern);
        if (subscriptions[i].queue) action->queue = control_subject(lattice, subscriptions[i].queue);
    }
    subscribe_to(lattice, lattice->probe_subject);
    subscribe_to(lattice, lattice->policy_changes_topic);
}

static void unsubscribe_from(struct wisp_lattice *lattice, struct wisp_str subject)
{
    wisp_lattice_emit(lattice, WISP_LATTICE_UNSUBSCRIBE)->subject = subject;
}

void wisp_lattice_subscriptions_end(struct wisp_lattice *lattice)
{
    if (!lattice->is_started) return;
    for (size_t i = 0; i < WISP_COUNT(subscriptions); i++)
        if (!is_refused(lattice, subscriptions[i].pattern))
            unsubscribe_from(lattice, control_subject(lattice, subscriptions[i].pattern));
    unsubscribe_from(lattice, wisp_lattice_keep(lattice, wisp_str_from(lattice->probe_subject)));
    if (lattice->policy_changes_topic)
        unsubscribe_from(lattice, wisp_lattice_keep(lattice, wisp_str_from(lattice->policy_changes_topic)));
}

/* Token by token; what stands for `*` goes to *ret_name. */
static bool is_verb(const struct wisp_lattice *lattice, const char *pattern, struct wisp_str tail,
                    struct wisp_str *ret_name)
{
    struct wisp_str rest = wisp_str_from(pattern), token, wanted;
    for (bool more = true; more;) {
        bool more_wanted = wisp_str_split(rest, '.', &wanted, &rest);
        if (!more_wanted) wanted = rest;
        more = wisp_str_split(tail, '.', &token, &tail);
        if (!more) token = tail;
        if (more != more_wanted) return false;
        if (wisp_str_is(wanted, "*"))
            *ret_name = token;
        else if (!wisp_str_equal(token, wisp_str_is(wanted, "{H}") ? wisp_str_from(lattice->host_id) : wanted))
            return false;
    }
    return true;
}

static void handle_control(struct wisp_lattice *lattice, struct wisp_str tail, const struct wisp_bus_message *message)
{
    struct wisp_lattice_command command = {.payload = message->payload};
    if (message->reply.len) command.reply.subject = wisp_mem_dup(message->reply);
    const struct verb *verb = NULL;
    for (size_t i = 0; i < WISP_COUNT(verbs) && !verb; i++)
        if (is_verb(lattice, verbs[i].subject, tail, &command.name)) verb = &verbs[i];
    if (verb)
        verb->handle(lattice, &command);
    else
        wisp_lattice_refuse(lattice, &command.reply, "unsupported subject");
    wisp_lattice_asker_deinit(&command.reply);
}

/* --- in-calls --- */

/* Time never goes back in here, whatever clocks do. What was taken from the queue is not looked at any more. */
static void begin(struct wisp_lattice *lattice, struct wisp_lattice_now now)
{
    if (now.now_ms > lattice->now.now_ms) lattice->now.now_ms = now.now_ms;
    lattice->now.wall_ns = now.wall_ns;
    if (lattice->first) return;
    wisp_arena_reset(&lattice->arena);
    json_array_clear(lattice->borrowed);
}

void wisp_lattice_on_message(struct wisp_lattice *lattice, struct wisp_lattice_now now,
                             const struct wisp_bus_message *message)
{
    begin(lattice, now);
    if (lattice->is_stopping || message->status == WISP_BUS_STATUS_NO_RESPONDERS) return;
    const char *prefix = wisp_arena_printf(&lattice->arena, "%s.v1.%s.", lattice->ctl_prefix, lattice->lattice);
    size_t prefix_len = strlen(prefix);
    if (wisp_str_starts_with(message->subject, wisp_str_from(prefix)))
        handle_control(lattice, (struct wisp_str){message->subject.ptr + prefix_len, message->subject.len - prefix_len},
                       message);
    else if (wisp_str_is(message->subject, lattice->probe_subject))
        wisp_lattice_probe_heard(lattice, message->payload);
    else if (lattice->policy_changes_topic && wisp_str_is(message->subject, lattice->policy_changes_topic))
        wisp_lattice_policy_changed(lattice, message->payload);
}

void wisp_lattice_on_state(struct wisp_lattice *lattice, struct wisp_lattice_now now, int bucket, struct wisp_str key,
                           const struct wisp_str *value, uint64_t revision)
{
    begin(lattice, now);
    wisp_lattice_records_told(lattice, bucket, key, value, revision);
}

static void set_uncertain(struct wisp_lattice *lattice, bool is_uncertain)
{
    lattice->is_uncertain = is_uncertain;
    lattice->epoch++;
    if (is_uncertain) memset(lattice->told_most, 0, sizeof lattice->told_most);
}

static void announce(struct wisp_lattice *lattice)
{
    lattice->is_started = true;
    subscribe(lattice);
    if (lattice->asks_config_service) wisp_lattice_ask_config_service(lattice);
    wisp_lattice_heartbeat_begin(lattice);
    wisp_lattice_probe_begin(lattice);
    wisp_lattice_event(lattice, "host_started",
                       json_pack("{s:s, s:O, s:i, s:s}", "friendly_name", lattice->friendly_name, "labels",
                                 lattice->labels, "uptime_seconds", 0, "version", lattice->version));
    wisp_lattice_restore_begin(lattice);
}

static void end_doubt(struct wisp_lattice *lattice)
{
    wisp_lattice_timer_disarm(lattice, &lattice->doubt);
    wisp_lattice_records_loaded(lattice);
    if (lattice->is_uncertain) set_uncertain(lattice, false);
    WISP_RING_EACH(at, &lattice->owed) wisp_lattice_record_push(WISP_OWNER(at, struct wisp_lattice_record, owed));
}

/* The bus was away, but not the state, which is this machine's own: then nothing is told anew. */
static void on_doubt_due(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    struct wisp_lattice *lattice = env;
    if (lattice->is_connected && lattice->is_uncertain && !lattice->is_unreachable) end_doubt(lattice);
}

void wisp_lattice_on_state_loaded(struct wisp_lattice *lattice, struct wisp_lattice_now now)
{
    begin(lattice, now);
    lattice->is_unreachable = false;
    end_doubt(lattice);
    if (!lattice->is_started && !lattice->is_stopping) announce(lattice);
}

void wisp_lattice_on_state_opened(struct wisp_lattice *lattice, struct wisp_lattice_now now)
{
    begin(lattice, now);
    if (!lattice->is_started) return;
    set_uncertain(lattice, true);
    lattice->load++;
    lattice->is_loading = true;
}

void wisp_lattice_on_state_reachable(struct wisp_lattice *lattice, struct wisp_lattice_now now, bool is_reachable)
{
    begin(lattice, now);
    if (is_reachable) return; /* loaded comes next */
    lattice->is_unreachable = true;
    if (lattice->is_started) set_uncertain(lattice, true);
}

void wisp_lattice_on_bus(struct wisp_lattice *lattice, struct wisp_lattice_now now, bool is_connected)
{
    enum { DOUBT_MS = 60000 };
    begin(lattice, now);
    if (lattice->is_connected == is_connected) return;
    lattice->is_connected = is_connected;
    if (!is_connected && lattice->is_started) set_uncertain(lattice, true);
    if (!is_connected || !lattice->is_started || lattice->is_stopping) return;
    wisp_lattice_heartbeat_soon(lattice);
    wisp_lattice_timer_arm(lattice, &lattice->doubt, DOUBT_MS, on_doubt_due, lattice);
    for (struct wisp_lattice_unit *unit = wisp_table_first(&lattice->providers); unit;
         unit = wisp_table_next(&lattice->providers, unit)) {
        unit->n_silent = 0;
        wisp_lattice_deliveries_repeat(unit);
    }
}

void wisp_lattice_on_tick(struct wisp_lattice *lattice, struct wisp_lattice_now now)
{
    begin(lattice, now);
    wisp_lattice_timers_run(lattice);
}

void wisp_lattice_on_done(struct wisp_lattice *lattice, struct wisp_lattice_now now, uint64_t id,
                          const struct wisp_lattice_done *done)
{
    begin(lattice, now);
    struct wisp_lattice_call *call = wisp_table_get(&lattice->calls, (struct wisp_str){(const char *)&id, sizeof id});
    if (!call) return;
    wisp_lattice_call_forget(lattice, call);
    call->on_done(call, done, call->env);
}

void wisp_lattice_on_provider(struct wisp_lattice *lattice, struct wisp_lattice_now now, struct wisp_str provider_id,
                              enum wisp_lattice_provider_news news, const struct wisp_lattice_provider_report *report)
{
    begin(lattice, now);
    struct wisp_lattice_unit *unit = wisp_lattice_provider_find(lattice, provider_id);
    if (unit) wisp_lattice_process_news_heard(unit, news, report);
}

void wisp_lattice_stop(struct wisp_lattice *lattice, struct wisp_lattice_now now)
{
    enum { TIMEOUT_MS = 10000 };
    begin(lattice, now);
    wisp_lattice_end(lattice, TIMEOUT_MS);
}

void wisp_lattice_shutdown_providers(struct wisp_lattice *lattice, struct wisp_lattice_now now)
{
    begin(lattice, now);
    WISP_CLEANUP_JSON json_t *payload = json_pack("{s:s}", "host_id", lattice->host_id);
    for (const struct wisp_lattice_unit *unit = wisp_table_first(&lattice->providers); unit;
         unit = wisp_table_next(&lattice->providers, unit))
        if (unit->kind == WISP_LATTICE_PROVIDER && unit->is_running)
            wisp_lattice_publish(
                lattice, wisp_lattice_rpc_subject(lattice, wisp_lattice_unit_id(unit), "default.shutdown"), payload);
}

const json_t *wisp_lattice_startup_labels(const struct wisp_lattice *lattice) { return lattice->startup_labels; }

const char *wisp_lattice_host_id(const struct wisp_lattice *lattice) { return lattice->host_id; }

/* --- new and free --- */

static char *dup_text(const char *text, const char *fallback)
{
    return text || fallback ? wisp_mem_dup(wisp_str_from(text ? text : fallback)) : NULL;
}

static bool is_token(struct wisp_str text, bool may_have_dots)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_dot = may_have_dots && c == '.' && i && i + 1 < text.len && text.ptr[i - 1] != '.';
        if (!is_dot &&
            !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return text.len > 0 && text.len <= WISP_LATTICE_ID_MAX;
}

static int check_options(const struct wisp_lattice_options *options, struct wisp_err *err)
{
    const struct {
        const char *name, *text;
        bool may_have_dots;
    } tokens[] = {
        {"lattice name", options->lattice, false},       {"control prefix", options->ctl_prefix, true},
        {"policy topic", options->policy_topic, true},   {"policy changes topic", options->policy_changes_topic, true},
        {"secrets topic", options->secrets_topic, true},
    };
    const char *const texts[] = {options->friendly_name, options->version,    options->ctl_host,  options->rpc_host,
                                 options->rpc_jwt,       options->rpc_seed,   options->js_domain, options->log_level,
                                 options->rpc_socket,    options->otel_config};
    for (size_t i = 0; i < WISP_COUNT(tokens); i++)
        if (tokens[i].text && !is_token(wisp_str_from(tokens[i].text), tokens[i].may_have_dots))
            return wisp_err_set(err, WISP_ERR_INVALID, "%s `%s` is not letters, digits, - and _%s", tokens[i].name,
                                tokens[i].text, tokens[i].may_have_dots ? " joined by dots" : "");
    for (size_t i = 0; i < WISP_COUNT(texts); i++)
        if (!wisp_str_is_utf8(wisp_str_from(texts[i])))
            return wisp_err_set(err, WISP_ERR_INVALID, "an option's text is not UTF-8");
    if (options->policy_changes_topic && !options->policy_topic)
        return wisp_err_set(err, WISP_ERR_INVALID, "a policy changes topic needs a policy topic");
    return 0;
}

static void copy_options(struct wisp_lattice *lattice, const struct wisp_lattice_options *options)
{
    lattice->lattice = dup_text(options->lattice, "default");
    lattice->ctl_prefix = dup_text(options->ctl_prefix, "wasmbus.ctl");
    lattice->version = dup_text(options->version, "0.0.0");
    lattice->ctl_host = dup_text(options->ctl_host, "nats://127.0.0.1:4222");
    lattice->rpc_host = dup_text(options->rpc_host, "nats://127.0.0.1:4222");
    lattice->rpc_socket = dup_text(options->rpc_socket, NULL);
    lattice->otel_config = dup_text(options->otel_config, NULL);
    lattice->takes_spans = options->takes_spans;
    lattice->log_level = dup_text(options->log_level, "info");
    lattice->rpc_jwt = dup_text(options->rpc_jwt, NULL);
    lattice->rpc_seed = dup_text(options->rpc_seed, NULL);
    lattice->js_domain = dup_text(options->js_domain, NULL);
    lattice->policy_topic = dup_text(options->policy_topic, NULL);
    lattice->policy_changes_topic = dup_text(options->policy_changes_topic, NULL);
    lattice->secrets_topic = dup_text(options->secrets_topic, NULL);
    lattice->structured_logging = options->structured_logging;
    lattice->refuses_component_auctions = options->refuses_component_auctions;
    lattice->refuses_provider_auctions = options->refuses_provider_auctions;
    lattice->asks_config_service = options->asks_config_service;
    lattice->runs_real_images = options->runs_real_images;
    lattice->builtin_kinds = wisp_mem_calloc(options->n_builtin_kinds + 1, sizeof *lattice->builtin_kinds);
    lattice->builtin_kinds[lattice->n_builtin_kinds++] = dup_text("http-server", NULL);
    for (size_t i = 0; i < options->n_builtin_kinds; i++)
        lattice->builtin_kinds[lattice->n_builtin_kinds++] = dup_text(options->builtin_kinds[i], NULL);
    lattice->secret_backends = wisp_mem_calloc(options->n_secret_backends + 1, sizeof *lattice->secret_backends);
    for (size_t i = 0; i < options->n_secret_backends; i++)
        lattice->secret_backends[lattice->n_secret_backends++] = dup_text(options->secret_backends[i], NULL);
    lattice->keys_from_seed = options->keys_from_seed;
#define OR(field, value) lattice->field = options->field ? options->field : (value)
    OR(policy_timeout_ms, 1000);
    OR(heartbeat_interval_ms, 30000);
    OR(provider_shutdown_delay_ms, 300);
    OR(rpc_timeout_ms, 2000);
    OR(health_interval_ms, 30000);
    OR(hung_after, 3);
    OR(components_max, 10000);
    OR(providers_max, 1000);
    OR(links_max, 100000);
    OR(configs_max, 100000);
    OR(payload_max, WISP_BUS_PAYLOAD_MAX);
#undef OR
}

/* "calm-lake-0007" */
static char *make_friendly_name(struct wisp_lattice *lattice)
{
    static const char *const adjectives[] = {"brave", "bright", "calm",  "clear", "cosy",  "eager", "fresh", "gentle",
                                             "happy", "keen",   "lucky", "mild",  "quiet", "shiny", "swift", "warm"};
    static const char *const nouns[] = {"brook", "cloud", "dune", "field", "fjord", "forest", "glade", "grove",
                                        "hill",  "lake",  "moor", "reef",  "river", "shore",  "spark", "wind"};
    char text[64];
    uint64_t random = wisp_lattice_random(lattice);
    snprintf(text, sizeof text, "%s-%s-%04u", adjectives[random & 15], nouns[random >> 4 & 15],
             (unsigned)((random >> 8) % 9999 + 1));
    return wisp_mem_dup(wisp_str_from(text));
}

static json_t *make_labels(const struct wisp_lattice_options *options)
{
    struct utsname machine = {0};
    uname(&machine);
    json_t *labels = json_pack("{s:s, s:s, s:s}", "hostcore.arch", machine.machine, "hostcore.os", "linux",
                               "hostcore.osfamily", "unix");
    for (size_t i = 0; i < options->n_labels; i++) {
        WISP_CLEANUP_JSON json_t *key = wisp_json_text(options->labels[i].key);
        json_object_set_new(labels, json_string_value(key), wisp_json_text(options->labels[i].value));
    }
    return labels;
}

static int make_host_key(struct wisp_lattice *lattice, const char *seed, struct wisp_err *err)
{
    if (!seed) {
        wisp_lattice_make_key(lattice, WISP_NKEY_SERVER, &lattice->host_key);
        return 0;
    }
    if (wisp_nkey_from_seed(wisp_str_from(seed), &lattice->host_key, err) < 0) return wisp_err_wrap(err, "host seed");
    if (lattice->host_key.kind != WISP_NKEY_SERVER)
        return wisp_err_set(err, WISP_ERR_INVALID, "host seed: not that of a server key (SN...)");
    return 0;
}

static void init_tables(struct wisp_lattice *lattice)
{
    struct wisp_table *const tables[] = {&lattice->calls,      &lattice->links,       &lattice->ends,
                                         &lattice->components, &lattice->providers,   &lattice->backends,
                                         &lattice->decisions,  &lattice->decision_ids};
    for (size_t i = 0; i < WISP_COUNT(tables); i++) wisp_table_init(tables[i], wisp_lattice_random(lattice));
    wisp_lattice_records_init(lattice);
    wisp_ring_init(&lattice->early_edits);
    wisp_ring_init(&lattice->config_changes);
}

int wisp_lattice_new(struct wisp_lattice **ret_lattice, const struct wisp_lattice_options *options,
                     struct wisp_lattice_now now, struct wisp_err *err)
{
    int r = check_options(options, err);
    if (r < 0) return r;
    struct wisp_lattice *lattice = wisp_mem_calloc(1, sizeof *lattice);
    lattice->now = now;
    lattice->start_ms = now.now_ms;
    lattice->random = options->seed;
    lattice->last = &lattice->first;
    lattice->borrowed = json_array();
    lattice->is_connected = true;
    copy_options(lattice, options);
    init_tables(lattice);
    lattice->friendly_name =
        options->friendly_name ? dup_text(options->friendly_name, NULL) : make_friendly_name(lattice);
    lattice->labels = make_labels(options);
    lattice->waiting_components = json_object();
    lattice->waiting_providers = json_object();
    lattice->startup_labels = json_incref(lattice->labels);
    lattice->label_edits = json_object();
    r = make_host_key(lattice, options->host_seed, err);
    if (r < 0) {
        wisp_lattice_free(lattice);
        return r;
    }
    wisp_nkey_public_text(&lattice->host_key, lattice->host_id);
    wisp_lattice_make_key(lattice, WISP_NKEY_CURVE, &lattice->xkey);
    wisp_nkey_public_text(&lattice->xkey, lattice->xkey_text);
    lattice->host_token = wisp_lattice_host_token(lattice);
    char id[WISP_LATTICE_UUID_LEN + 1];
    wisp_lattice_uuid(lattice, id);
    lattice->probe_subject = wisp_mem_alloc(64);
    snprintf(lattice->probe_subject, 64, "_INBOX.wisp.%s", id);
    *ret_lattice = lattice;
    return 0;
}

static void free_units(struct wisp_table *table)
{
    for (struct wisp_lattice_unit *unit; (unit = wisp_table_first(table));) wisp_lattice_unit_free(unit);
    wisp_table_deinit(table);
}

void wisp_lattice_free(struct wisp_lattice *lattice)
{
    if (!lattice) return;
    wisp_lattice_edits_free(&lattice->early_edits);
    wisp_lattice_config_changes_free(lattice);
    free_units(&lattice->components);
    free_units(&lattice->providers);
    wisp_lattice_records_deinit(lattice);
    wisp_lattice_backends_deinit(lattice);
    wisp_lattice_decisions_deinit(lattice);
    wisp_lattice_call_forget(lattice, &lattice->config_service);
    struct wisp_table *const tables[] = {&lattice->calls, &lattice->links, &lattice->ends};
    for (size_t i = 0; i < WISP_COUNT(tables); i++) wisp_table_deinit(tables[i]);
    char *const texts[] = {lattice->lattice,       lattice->ctl_prefix,   lattice->friendly_name,
                           lattice->version,       lattice->ctl_host,     lattice->rpc_host,
                           lattice->log_level,     lattice->rpc_jwt,      lattice->rpc_seed,
                           lattice->js_domain,     lattice->policy_topic, lattice->policy_changes_topic,
                           lattice->secrets_topic, lattice->host_token,   lattice->probe_subject,
                           lattice->rpc_socket,    lattice->otel_config};
    for (size_t i = 0; i < WISP_COUNT(texts); i++) free(texts[i]);
    for (size_t i = 0; i < lattice->n_builtin_kinds; i++) free(lattice->builtin_kinds[i]);
    free(lattice->builtin_kinds);
    for (size_t i = 0; i < lattice->n_secret_backends; i++) free(lattice->secret_backends[i]);
    free(lattice->secret_backends);
    wisp_nkey_wipe(&lattice->host_key);
    wisp_nkey_wipe(&lattice->xkey);
    json_decref(lattice->labels);
    json_decref(lattice->startup_labels);
    json_decref(lattice->label_edits);
    json_decref(lattice->borrowed);
    json_decref(lattice->waiting_components);
    json_decref(lattice->waiting_providers);
    wisp_arena_deinit(&lattice->arena);
    free(lattice->timers);
    free(lattice);
}
