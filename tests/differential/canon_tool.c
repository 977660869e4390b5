/* SPDX-License-Identifier: Apache-2.0 */
/* Lowers and lifts values for run.py. Each line of standard input is a question, its fields separated by tabs:
 *
 *     lower-params  ENCODING SIGNATURE FLAT MEMORY TOP VALUE    ->  ok FLAT MEMORY
 *     lower-result  ENCODING SIGNATURE FLAT MEMORY TOP VALUE    ->  ok FLAT MEMORY
 *     lift-params   ENCODING SIGNATURE FLAT MEMORY              ->  ok VALUE
 *     lift-result   ENCODING SIGNATURE FLAT MEMORY              ->  ok VALUE
 *
 * or, when that fails, "error", its kind and its text. ENCODING is a digit (enum wisp_encoding), FLAT are hexadecimal
 * core values separated by spaces, MEMORY is hexadecimal from address 0 on, zeros after it up to one page. realloc
 * gives out what is above TOP. VALUE: numbers (floats by their bits, flags, tags of enums, code points of chars),
 * strings in hexadecimal after an x, [part, ...] for lists and records, [tag, payload] for variants. Parameters are
 * a record. */
#include "component/canon/canon_sample.h"

#include "base/mem.h"
#include "component/host/host_signature.h"

#include <inttypes.h>
#include <stdio.h>

enum { PAGE_SIZE = 65536, N_FLAT = WISP_FLAT_PARAMS_MAX + 1 };

static void die(const char *what)
{
    fprintf(stderr, "canon_tool: %s\n", what);
    exit(1);
}

/* --- values as text --- */

struct reader {
    const char *at;
    struct wisp_arena *arena;
};

static void expect(struct reader *reader, char c)
{
    while (*reader->at == ' ') reader->at++;
    if (*reader->at++ != c) die("a value's text does not fit its type");
}

static bool at(struct reader *reader, char c)
{
    while (*reader->at == ' ') reader->at++;
    return *reader->at == c;
}

static uint64_t read_number(struct reader *reader)
{
    char *end;
    while (*reader->at == ' ') reader->at++;
    uint64_t value = *reader->at == '-' ? (uint64_t)strtoll(reader->at, &end, 10) : strtoull(reader->at, &end, 10);
    if (end == reader->at) die("a number is missing");
    reader->at = end;
    return value;
}

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

/* Two digits a byte, as many as there are. */
static size_t read_hex(const char **text, uint8_t *to, size_t capacity)
{
    size_t n = 0;
    for (; hex_digit((*text)[0]) >= 0 && hex_digit((*text)[1]) >= 0; *text += 2) {
        if (n == capacity) die("too many bytes");
        to[n++] = (uint8_t)(hex_digit((*text)[0]) << 4 | hex_digit((*text)[1]));
    }
    return n;
}

static void read_value(struct reader *reader, const struct wisp_type *type, char *native);

static void read_list(struct reader *reader, const struct wisp_type *type, char *native)
{
    size_t size = type->element->native_size, capacity = strlen(reader->at);
    struct sample_list list = {.ptr = wisp_arena_calloc(reader->arena, capacity, size)};
    expect(reader, '[');
    while (!at(reader, ']')) {
        if (list.len) expect(reader, ',');
        read_value(reader, type->element, (char *)list.ptr + list.len++ * size);
    }
    expect(reader, ']');
    memcpy(native, &list, sizeof list);
}

static void read_fields(struct reader *reader, const struct wisp_type_field *fields, uint32_t n, char *native)
{
    expect(reader, '[');
    for (uint32_t i = 0; i < n; i++) {
        if (i) expect(reader, ',');
        read_value(reader, fields[i].type, native + fields[i].native_offset);
    }
    expect(reader, ']');
}

static void read_variant(struct reader *reader, const struct wisp_type *type, char *native)
{
    expect(reader, '[');
    uint32_t tag = (uint32_t)read_number(reader);
    if (tag >= type->n_fields) die("no such case");
    memcpy(native, &tag, 4);
    if (type->fields[tag].type) {
        expect(reader, ',');
        read_value(reader, type->fields[tag].type, native + type->fields[tag].native_offset);
    }
    expect(reader, ']');
}

static void read_string(struct reader *reader, char *native)
{
    expect(reader, 'x');
    size_t capacity = strlen(reader->at);
    uint8_t *bytes = wisp_arena_alloc(reader->arena, capacity);
    struct wisp_str string = {(char *)bytes, read_hex(&reader->at, bytes, capacity)};
    memcpy(native, &string, sizeof string);
}

static void read_value(struct reader *reader, const struct wisp_type *type, char *native)
{
    switch (type->kind) {
    case WISP_TYPE_STRING:
        read_string(reader, native);
        return;
    case WISP_TYPE_LIST:
        read_list(reader, type, native);
        return;
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        read_fields(reader, type->fields, type->n_fields, native);
        return;
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        read_variant(reader, type, native);
        return;
    default: {
        uint64_t number = read_number(reader);
        memcpy(native, &number, type->native_size);
    }
    }
}

static void write_value(const struct wisp_type *type, const char *native);

static void write_fields(const struct wisp_type_field *fields, uint32_t n, const char *native)
{
    putchar('[');
    for (uint32_t i = 0; i < n; i++) {
        if (i) putchar(',');
        write_value(fields[i].type, native + fields[i].native_offset);
    }
    putchar(']');
}

static void write_list(const struct wisp_type *type, const char *native)
{
    struct sample_list list;
    memcpy(&list, native, sizeof list);
    putchar('[');
    for (size_t i = 0; i < list.len; i++) {
        if (i) putchar(',');
        write_value(type->element, (char *)list.ptr + i * type->element->native_size);
    }
    putchar(']');
}

static void write_variant(const struct wisp_type *type, const char *native)
{
    uint32_t tag;
    memcpy(&tag, native, 4);
    printf("[%" PRIu32, tag);
    if (type->fields[tag].type) {
        putchar(',');
        write_value(type->fields[tag].type, native + type->fields[tag].native_offset);
    }
    putchar(']');
}

static void write_hex(const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) printf("%02x", ((const uint8_t *)bytes)[i]);
}

static void write_value(const struct wisp_type *type, const char *native)
{
    switch (type->kind) {
    case WISP_TYPE_STRING: {
        struct wisp_str string;
        memcpy(&string, native, sizeof string);
        putchar('x');
        write_hex(string.ptr, string.len);
        return;
    }
    case WISP_TYPE_LIST:
        write_list(type, native);
        return;
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        write_fields(type->fields, type->n_fields, native);
        return;
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        write_variant(type, native);
        return;
    default: {
        uint64_t number = 0;
        memcpy(&number, native, type->native_size);
        uint64_t sign = type->kind == WISP_TYPE_S8 || type->kind == WISP_TYPE_S16 || type->kind == WISP_TYPE_S32 ||
                                type->kind == WISP_TYPE_S64
                            ? (uint64_t)1 << (8 * type->native_size - 1)
                            : 0;
        if (number & sign)
            printf("%" PRId64, (int64_t)((number ^ sign) - sign));
        else
            printf("%" PRIu64, number);
    }
    }
}

/* --- questions --- */

struct question {
    char *fields[8]; /* split at tabs, missing ones empty */
    struct sample_guest guest;
    struct wisp_arena arena;
    const struct wisp_func_type *type;
    union wisp_raw flat[N_FLAT];
};

static void split(struct question *q, char *line)
{
    static char empty[] = "";
    for (size_t i = 0; i < WISP_COUNT(q->fields); i++) {
        char *field = line ? strsep(&line, "\t\n") : NULL;
        q->fields[i] = field ? field : empty;
    }
}

static void read_question(struct question *q)
{
    struct wisp_map none = {0};
    struct wisp_signature_names names = {.arena = &q->arena, .resources = &none};
    struct wisp_err err;
    sample_guest_init(&q->guest, PAGE_SIZE, (enum wisp_encoding)atoi(q->fields[1]));
    if (wisp_signature_parse(&names, wisp_str_from(q->fields[2]), &q->type, &err) < 0) die(err.text);
    char *at_flat = q->fields[3];
    for (size_t i = 0; i < N_FLAT && *at_flat; i++) q->flat[i].u64 = strtoull(at_flat, &at_flat, 16);
    const char *at_memory = q->fields[4];
    read_hex(&at_memory, q->guest.canon.memory, PAGE_SIZE);
    q->guest.top = (uint32_t)atoi(q->fields[5]);
}

static int answer_lower(struct question *q, bool is_result)
{
    const struct wisp_func_type *type = q->type;
    struct reader reader = {q->fields[6], &q->arena};
    char *native =
        wisp_arena_calloc(&q->arena, 1, 1 + (is_result ? type->result->native_size : type->native_params_size));
    int r;
    if (is_result) {
        read_value(&reader, type->result, native);
        r = wisp_canon_lower_result(&q->guest.canon, type, native, q->flat);
    } else {
        read_fields(&reader, type->params, type->n_params, native);
        r = wisp_canon_lower_params(&q->guest.canon, type, native, q->flat);
    }
    if (r < 0) return r;
    printf("ok\t");
    for (size_t i = 0; i < N_FLAT; i++) printf("%s%" PRIx64, i ? " " : "", q->flat[i].u64);
    putchar('\t');
    write_hex(q->guest.canon.memory, q->guest.top);
    return 0;
}

static int answer_lift(struct question *q, bool is_result)
{
    const struct wisp_func_type *type = q->type;
    char *native =
        wisp_arena_calloc(&q->arena, 1, 1 + (is_result ? type->result->native_size : type->native_params_size));
    int r = is_result ? wisp_canon_lift_result(&q->guest.canon, type, q->flat, native)
                      : wisp_canon_lift_params(&q->guest.canon, type, q->flat, native);
    if (r < 0) return r;
    printf("ok\t");
    if (is_result)
        write_value(type->result, native);
    else
        write_fields(type->params, type->n_params, native);
    return 0;
}

static int answer(struct question *q)
{
    if (strcmp(q->fields[0], "lower-params") == 0) return answer_lower(q, false);
    if (strcmp(q->fields[0], "lower-result") == 0) return answer_lower(q, true);
    if (strcmp(q->fields[0], "lift-params") == 0) return answer_lift(q, false);
    if (strcmp(q->fields[0], "lift-result") == 0) return answer_lift(q, true);
    die("unknown question");
    return 0;
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0) {
        struct question q = {0};
        split(&q, line);
        read_question(&q);
        if (answer(&q) < 0) printf("error\t%s\t%s", wisp_err_name(q.guest.err.kind), q.guest.err.text);
        putchar('\n');
        fflush(stdout);
        sample_guest_deinit(&q.guest);
        wisp_arena_deinit(&q.arena);
    }
    free(line);
    return 0;
}
