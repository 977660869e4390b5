/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h" /* what `--name peer` makes of the world `back` */

void peer_pass(struct wisp_provider_call *call, const struct peer_pass_args *args)
{
    peer_pass_return(call, &(struct peer_pass_result){.ok = args->value});
}

void peer_count(struct wisp_provider_call *call, const struct peer_count_args *args)
{
    struct wisp_err err;
    struct wisp_wrpc_writer *writer = wisp_wrpc_writer_new(call->type->result);
    int r = 0;
    for (uint32_t i = 1; r == 0 && i <= args->until; i++) r = wisp_wrpc_writer_put(writer, &i, &err);
    peer_count_return(call, &(void *){writer});
    if (r == 0)
        wisp_wrpc_writer_end(writer);
    else
        wisp_wrpc_writer_abort(writer);
}

struct length {
    struct wisp_wrpc_writer *writer;
    size_t so_far;
};

static void on_text(struct wisp_wrpc_reader *reader, void *env)
{
    struct length *length = env;
    struct wisp_err err;
    struct wisp_str bytes;
    enum wisp_wrpc_reading reading;
    while ((reading = wisp_wrpc_reader_peek(reader, &bytes, &err)) == WISP_WRPC_READING_ITEM) {
        length->so_far += bytes.len;
        wisp_wrpc_reader_consume(reader, bytes.len);
    }
    if (reading == WISP_WRPC_READING_WAIT) return;
    char text[32];
    struct wisp_str told = {text, (size_t)snprintf(text, sizeof text, "%zu bytes", length->so_far)};
    wisp_wrpc_reader_close(reader);
    if (reading == WISP_WRPC_READING_END && wisp_wrpc_writer_put(length->writer, &told, &err) == 0)
        wisp_wrpc_writer_end(length->writer);
    else
        wisp_wrpc_writer_abort(length->writer);
    free(length);
}

void peer_length(struct wisp_provider_call *call, const struct peer_length_args *args)
{
    struct length *length = wisp_mem_calloc(1, sizeof *length);
    length->writer = wisp_wrpc_writer_new(call->type->result);
    wisp_wrpc_reader_on_ready(args->text, on_text, length);
    peer_length_return(call, &(void *){length->writer});
}

void peer_touch(struct wisp_provider_call *call) { peer_touch_return(call); }

static const struct wisp_provider_kind back = {.name = "back", PEER_INTERFACES};

int main(int argc, char **argv) { return wisp_provider_main(&back, argc, argv); }
