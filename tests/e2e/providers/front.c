/* SPDX-License-Identifier: Apache-2.0 */
#include "front.h"

/* --- there and back --- */

void values_echo(struct wisp_provider_call *call, const struct values_echo_args *args)
{
    values_echo_return(call, &args->value);
}

void values_make(struct wisp_provider_call *call)
{
    static const struct values_tuple_s32_s32 corners[] = {{.f0 = -1, .f1 = 2}, {.f0 = 3, .f1 = -4}};
    static const struct values_shape shapes[] = {
        {.tag = VALUES_SHAPE_TAG_EMPTY},
        {.tag = VALUES_SHAPE_TAG_POLYGON, .polygon = {.ptr = corners, .len = WISP_COUNT(corners)}},
        {.tag = VALUES_SHAPE_TAG_AT, .at = {.id = 7, .name = {"seven", 5}}},
    };
    static const struct wisp_str names[] = {{"x", 1}, {"", 0}};
    struct values_everything value = {
        .is_there = true,
        .numbers = {.a = -8, .b = 8, .c = -16, .d = 16, .e = -32, .f = 32, .g = -64, .h = 64, .i = 1.5F, .j = -0.25},
        .letter = 0x1F600,
        .text = WISP_STR("t\"ext"),
        .bytes = {.ptr = (const uint8_t *)"\x00\xff", .len = 2},
        .level = BASE_LEVEL_HIGH,
        .rights = VALUES_RIGHTS_READ | VALUES_RIGHTS_INTERFACE,
        .many = VALUES_MANY_B00 | VALUES_MANY_B31,
        .shape = {.tag = VALUES_SHAPE_TAG_SMALL, .small = 200},
        .default_ = {.is_some = 1, .value = {.is_some = 0}},
        .outcome = {.is_err = 1, .error = WISP_STR("no")},
        .done = {.is_err = 1},
        .rarely = {.is_err = 1, .error = BASE_LEVEL_HIGH},
        .mostly = {.is_err = 0, .ok = 65535},
        .pair = {.f0 = 1, .f1 = {.f0 = true, .f1 = WISP_STR("two")}},
        .shapes = {.ptr = shapes, .len = WISP_COUNT(shapes)},
        .linux_ = {.ptr = names, .len = WISP_COUNT(names)},
    };
    values_make_return(call, &value);
}

void values_tell(struct wisp_provider_call *call, const struct values_tell_args *args)
{
    const struct values_everything *v = &args->value;
    const struct values_numbers *n = &v->numbers;
    struct wisp_str text = wisp_str_from(wisp_arena_printf(
        call->arena,
        "%d %d,%u,%d,%u,%d,%u,%lld,%llu,%g,%g %x %.*s %zu %u %x %x %u:%g %u%u %u:%llu:%.*s %u %u %u %u.%u.%.*s %zu %zu",
        v->is_there, n->a, n->b, n->c, n->d, n->e, n->f, (long long)n->g, (unsigned long long)n->h, (double)n->i, n->j,
        v->letter, WISP_STR_ARG(v->text), v->bytes.len, v->level, v->rights, v->many, v->shape.tag, v->shape.circle,
        v->default_.is_some, v->default_.value.is_some, v->outcome.is_err, (unsigned long long)v->outcome.ok.id,
        WISP_STR_ARG(v->outcome.ok.name), v->done.is_err, v->rarely.is_err, v->mostly.is_err, v->pair.f0, v->pair.f1.f0,
        WISP_STR_ARG(v->pair.f1.f1), v->shapes.len, v->linux_.len));
    values_tell_return(call, &text);
}

/* Backwards. */
void values_spots(struct wisp_provider_call *call, const struct values_spots_args *args)
{
    size_t n = args->all.len;
    struct base_place *all = WISP_NEW_ARRAY(call->arena, struct base_place, n + 1);
    for (size_t i = 0; i < n; i++) all[i] = args->all.ptr[n - 1 - i];
    all[n] = (struct base_place){.id = args->one.x, .name = WISP_STR("one")};
    values_spots_return(call, &(struct values_spots_result_){.ptr = all, .len = n + 1});
}

void values_count(struct wisp_provider_call *call, const struct values_count_args *args)
{
    values_count_return(call, &(struct values_spots_result){.n = (uint32_t)args->all.len + args->more.first});
}

void values_names(struct wisp_provider_call *call, const struct values_names_args *args)
{
    values_names_return(call, &(struct values_names_result){.f0 = args->one, .f1 = args->other});
}

void values_nothing(struct wisp_provider_call *call) { values_nothing_return(call); }

void values_not_now(struct wisp_provider_call *call)
{
    values_not_now_return(call, &(struct values_not_now_result){.is_err = 1});
}

void values_never(struct wisp_provider_call *call)
{
    struct wisp_err err;
    wisp_err_set(&err, WISP_ERR_UNSUPPORTED, "never");
    wisp_provider_fail(call, &err);
}

void values_int(struct wisp_provider_call *call, const struct values_int_args *args)
{
    values_int_return(call, &(int64_t){args->int_ + (args->long_.is_some ? args->long_.value : 0)});
}

/* --- by way of the peer --- */

static struct wisp_provider_request to_peer(struct wisp_provider_call *call, wisp_provider_on_result *on_result,
                                            void *env)
{
    return (struct wisp_provider_request){.target_id = WISP_STR("back"),
                                          .arena = call->arena,
                                          .on_result = on_result,
                                          .env = env,
                                          .traceparent = call->traceparent};
}

static void on_passed(const void *result, const struct wisp_err *err, void *env)
{
    const struct peer_pass_result *passed = result;
    if (err)
        wisp_provider_fail(env, err);
    else
        values_far_return(env, &passed->ok);
}

void values_far(struct wisp_provider_call *call, const struct values_far_args *args)
{
    struct wisp_err err;
    struct wisp_provider_invocation *invocation;
    const struct peer_pass_args passed = {.value = args->value};
    const struct wisp_provider_request request = to_peer(call, on_passed, call);
    if (peer_pass_call(call->provider, &passed, &request, &invocation, &err) < 0) wisp_provider_fail(call, &err);
}

struct sum {
    struct wisp_provider_call *call;
    uint64_t so_far;
};

static void on_number(struct wisp_wrpc_reader *reader, void *env)
{
    struct sum *sum = env;
    struct wisp_err err;
    enum wisp_wrpc_reading reading;
    uint32_t number;
    while ((reading = wisp_wrpc_reader_next(reader, sum->call->arena, &number, &err)) == WISP_WRPC_READING_ITEM)
        sum->so_far += number;
    if (reading == WISP_WRPC_READING_WAIT) return;
    wisp_wrpc_reader_close(reader);
    if (reading == WISP_WRPC_READING_END)
        values_far_sum_return(sum->call, &sum->so_far);
    else
        wisp_provider_fail(sum->call, &err);
}

static void on_counted(const void *result, const struct wisp_err *err, void *env)
{
    struct sum *sum = env;
    if (err)
        wisp_provider_fail(sum->call, err);
    else
        wisp_wrpc_reader_on_ready(*(void *const *)result, on_number, sum);
}

void values_far_sum(struct wisp_provider_call *call, const struct values_far_sum_args *args)
{
    struct wisp_err err;
    struct wisp_provider_invocation *invocation;
    const struct peer_count_args until = {.until = args->n};
    struct sum *sum = WISP_NEW(call->arena, struct sum);
    sum->call = call;
    const struct wisp_provider_request request = to_peer(call, on_counted, sum);
    if (peer_count_call(call->provider, &until, &request, &invocation, &err) < 0) wisp_provider_fail(call, &err);
}

static void on_length(struct wisp_wrpc_reader *reader, void *env)
{
    struct wisp_provider_call *call = env;
    struct wisp_err err;
    struct wisp_str length;
    enum wisp_wrpc_reading reading = wisp_wrpc_reader_next(reader, call->arena, &length, &err);
    if (reading == WISP_WRPC_READING_WAIT) return;
    wisp_wrpc_reader_close(reader);
    if (reading == WISP_WRPC_READING_ITEM)
        values_far_length_return(call, &length);
    else
        wisp_provider_fail(call, &err);
}

static void on_measured(const void *result, const struct wisp_err *err, void *env)
{
    if (err)
        wisp_provider_fail(env, err);
    else
        wisp_wrpc_reader_on_ready(*(void *const *)result, on_length, env);
}

void values_far_length(struct wisp_provider_call *call, const struct values_far_length_args *args)
{
    struct wisp_err err;
    struct wisp_provider_invocation *invocation;
    const struct wisp_type *stream;
    if (wisp_type_stream(call->arena, WISP_TYPE_STREAM, wisp_type_primitive(WISP_TYPE_U8), &stream, &err) < 0) {
        wisp_provider_fail(call, &err);
        return;
    }
    struct wisp_wrpc_writer *writer = wisp_wrpc_writer_new(stream);
    const struct peer_length_args measured = {.text = writer};
    const struct wisp_provider_request request = to_peer(call, on_measured, call);
    int r = wisp_wrpc_writer_write(writer, args->text, &err);
    if (r == 0) r = peer_length_call(call->provider, &measured, &request, &invocation, &err);
    wisp_wrpc_writer_end(writer);
    if (r < 0) wisp_provider_fail(call, &err);
}

static const struct wisp_provider_kind front = {.name = "front", FRONT_INTERFACES};

int main(int argc, char **argv) { return wisp_provider_main(&front, argc, argv); }
