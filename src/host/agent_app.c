/* SPDX-License-Identifier: Apache-2.0 */
/* The host's manager of applications: its machine, and what it wants done. */
#include "host/agent_priv.h"

#include "app/app.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/ring.h"
#include "lattice/lattice.h"

#include <stdlib.h>

struct wisp_agent_app {
    struct wisp_agent *agent;
    struct wisp_app *machine;
    struct wisp_agent_subscription *subscriptions;
    struct wisp_link pending; /* actions whose outcome is not there yet */
};

/* An action that waits for its outcome. */
struct pending {
    struct wisp_agent_app *app;
    uint64_t id;
    struct wisp_link all;
};

static struct wisp_app_now now_of(const struct wisp_agent *agent)
{
    struct wisp_lattice_now now = wisp_agent_now(agent);
    return (struct wisp_app_now){now.now_ms, now.wall_ns};
}

static struct pending *pending_new(struct wisp_agent_app *app, uint64_t id)
{
    struct pending *pending = wisp_mem_alloc(sizeof *pending);
    *pending = (struct pending){.app = app, .id = id};
    wisp_ring_append(&app->pending, &pending->all);
    return pending;
}

static void done(struct pending *pending, const struct wisp_app_done *outcome)
{
    struct wisp_agent_app *app = pending->app;
    wisp_ring_remove(&pending->all);
    wisp_app_on_done(app->machine, now_of(app->agent), pending->id, outcome);
    free(pending);
}

static void done_error(struct pending *pending, const struct wisp_err *err)
{
    struct wisp_app_done outcome = {.err = *err};
    done(pending, &outcome);
}

/* --- actions --- */

static void on_message(const struct wisp_bus_message *message, void *env)
{
    struct wisp_agent_app *app = env;
    wisp_app_on_message(app->machine, now_of(app->agent), message);
}

static void subscribe(struct wisp_agent_app *app, const struct wisp_app_action *action)
{
    struct wisp_err err = {0};
    if (wisp_agent_subscriptions_add(&app->subscriptions, app->agent->bus, action->subject, action->queue, on_message,
                                     app, &err) < 0)
        wisp_agent_fail(app->agent, &err);
}

static void publish(struct wisp_agent_app *app, const struct wisp_app_action *action)
{
    struct wisp_err err = {0};
    if (wisp_bus_publish(app->agent->bus, action->subject, action->reply, action->headers, action->n_headers,
                         action->payload, &err) < 0)
        WISP_LOG(WARN, "app", "a message could not be sent", WISP_BYTES("subject", action->subject),
                 WISP_TEXT("error", err.text));
}

static void on_reply(const struct wisp_bus_message *reply, const struct wisp_err *err, void *env)
{
    struct wisp_app_done outcome = {0};
    if (err) outcome.err = *err;
    if (reply) outcome.reply = *reply;
    done(env, &outcome);
}

static void request(struct wisp_agent_app *app, const struct wisp_app_action *action)
{
    struct pending *pending = pending_new(app, action->id);
    struct wisp_bus_request *unused;
    struct wisp_err err = {0};
    if (wisp_bus_request(app->agent->bus, action->subject, action->headers, action->n_headers, action->payload,
                         action->timeout_ms, on_reply, pending, &unused, &err) < 0)
        done_error(pending, &err);
}

static void on_written(uint64_t revision, const struct wisp_err *err, void *env)
{
    struct wisp_app_done outcome = {.revision = revision};
    if (err) outcome.err = *err;
    done(env, &outcome);
}

static void write_state(struct wisp_agent_app *app, const struct wisp_app_action *action)
{
    struct pending *pending = pending_new(app, action->id);
    struct wisp_err err = {0};
    if (app->agent->state) {
        wisp_state_write(app->agent->state, (enum wisp_state_bucket)action->bucket, action->key,
                         action->has_value ? &action->value : NULL, action->expected, on_written, pending);
        return;
    }
    wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "the lattice's state is not there yet");
    done_error(pending, &err);
}

static void write_log(const struct wisp_app_action *action)
{
    const struct wisp_log_field none[1];
    if (!wisp_log_is_on((enum wisp_log_level)action->level)) return;
    WISP_CLEANUP_FREE char *text = wisp_mem_dup(action->text);
    wisp_log_write((enum wisp_log_level)action->level, "app", text, none, 0);
}

static void perform(struct wisp_agent_app *app, const struct wisp_app_action *action)
{
    switch (action->kind) {
    case WISP_APP_SUBSCRIBE:
        subscribe(app, action);
        break;
    case WISP_APP_UNSUBSCRIBE:
        wisp_agent_subscriptions_remove(&app->subscriptions, action->subject);
        break;
    case WISP_APP_PUBLISH:
        publish(app, action);
        break;
    case WISP_APP_REQUEST:
        request(app, action);
        break;
    case WISP_APP_STATE_WRITE:
        write_state(app, action);
        break;
    case WISP_APP_LOG:
        write_log(action);
        break;
    }
}

void wisp_agent_app_perform_all(struct wisp_agent *agent)
{
    struct wisp_app_action action;
    while (agent->app && wisp_app_next_action(agent->app->machine, &action)) perform(agent->app, &action);
}

/* --- what it is told --- */

void wisp_agent_app_on_tick(struct wisp_agent *agent)
{
    if (agent->app) wisp_app_on_tick(agent->app->machine, now_of(agent));
}

uint64_t wisp_agent_app_next_tick_ms(const struct wisp_agent *agent)
{
    return agent->app ? wisp_app_next_tick_ms(agent->app->machine) : UINT64_MAX;
}

void wisp_agent_app_on_state(struct wisp_agent *agent, int bucket, struct wisp_str key, const struct wisp_str *value,
                             uint64_t revision)
{
    if (agent->app) wisp_app_on_state(agent->app->machine, now_of(agent), bucket, key, value, revision);
}

void wisp_agent_app_on_state_loaded(struct wisp_agent *agent)
{
    if (agent->app) wisp_app_on_state_loaded(agent->app->machine, now_of(agent));
}

void wisp_agent_app_on_state_reachable(struct wisp_agent *agent, bool is_reachable)
{
    if (agent->app) wisp_app_on_state_reachable(agent->app->machine, now_of(agent), is_reachable);
}

void wisp_agent_app_on_state_opened(struct wisp_agent *agent)
{
    if (agent->app) wisp_app_on_state_opened(agent->app->machine, now_of(agent));
}

void wisp_agent_app_on_bus(struct wisp_agent *agent, bool is_connected)
{
    if (agent->app) wisp_app_on_bus(agent->app->machine, now_of(agent), is_connected);
}

/* --- life --- */

int wisp_agent_app_open(struct wisp_agent *agent, struct wisp_err *err)
{
    struct wisp_app_options options = agent->options->app;
    options.lattice = agent->options->lattice.lattice;
    options.ctl_prefix = agent->options->lattice.ctl_prefix;
    options.host_id = wisp_lattice_host_id(agent->lattice);
    options.seed = uv_hrtime();
    struct wisp_agent_app *app = wisp_mem_calloc(1, sizeof *app);
    app->agent = agent;
    wisp_ring_init(&app->pending);
    int r = wisp_app_new(&app->machine, &options, now_of(agent), err);
    if (r < 0) {
        free(app);
        return r;
    }
    agent->app = app;
    wisp_app_on_bus(app->machine, now_of(agent), true);
    return 0;
}

void wisp_agent_app_stop(struct wisp_agent *agent)
{
    if (!agent->app) return;
    wisp_app_stop(agent->app->machine, now_of(agent));
    wisp_agent_app_perform_all(agent);
}

void wisp_agent_app_unsubscribe(struct wisp_agent *agent)
{
    if (agent->app) wisp_agent_subscriptions_clear(&agent->app->subscriptions);
}

void wisp_agent_app_free(struct wisp_agent *agent)
{
    if (!agent->app) return;
    WISP_RING_EACH(at, &agent->app->pending) free(WISP_OWNER(at, struct pending, all)); /* closed without an outcome */
    wisp_app_free(agent->app->machine);
    free(agent->app);
    agent->app = NULL;
}
