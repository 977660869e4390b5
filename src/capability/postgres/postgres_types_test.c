/* SPDX-License-Identifier: Apache-2.0 */
/* Every case of pg-value to a real server and back: what the server makes of it as text, and what comes from it. */
#include "capability/postgres/postgres_rig.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

static struct wisp_arena arena;

/* --- makers of values --- */

static struct wisp_pg_float number(double value)
{
    int exponent;
    double mantissa = frexp(fabs(value), &exponent);
    if (value == 0) return (struct wisp_pg_float){0, -1075, 1};
    return (struct wisp_pg_float){(uint64_t)ldexp(mantissa, 53), (int16_t)(exponent - 53), value < 0 ? -1 : 1};
}

#define VALUE(case_, ...) ((struct wisp_pg_value){.tag = WISP_PG_##case_, .as = {__VA_ARGS__}})
#define TEXT(case_, literal) VALUE(case_, .text = WISP_STR(literal))
#define ARRAY(case_, type, ...)                                                                                        \
    VALUE(case_, .list = {(type[]){__VA_ARGS__}, sizeof((type[]){__VA_ARGS__}) / sizeof(type)})
#define BYTES(literal) {(const uint8_t *)literal, sizeof literal - 1}
#define POINT(a, b) {number(a), number(b)}
#define DAY(y, m, d)                                                                                                   \
    {                                                                                                                  \
        WISP_PG_DATE_YMD, { y, m, d }                                                                                  \
    }
#define NOON {12, 34, 56, 789000}

struct trip {
    const char *type;           /* to cast to */
    struct wisp_pg_value value; /* what is sent */
    const char *text;           /* what the server makes of it */
    enum wisp_pg_case back;     /* the case that comes back */
    const char *other;          /* how what comes back is written as a parameter; NULL: as what is sent */
};

static char *written(const struct wisp_pg_value *value)
{
    struct wisp_pg_param param;
    struct wisp_err err;
    CHECK_OK(wisp_pg_param_write(value, true, &param, &arena, &err), &err);
    return wisp_arena_cstr(&arena, (struct wisp_str){param.bytes, (size_t)param.size});
}

static void check_trip(struct pg_rig *rig, const struct trip *trip)
{
    struct pg_call call;
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT ($1::%s) AS v, ($1::%s)::text AS t", trip->type, trip->type);
    pg_query(rig, &call, sql, &trip->value, 1);
    if (call.fault >= 0) wisp_test_fail(__FILE__, __LINE__, "%s: %s", trip->type, call.text);
    CHECK_INT(call.n_rows, 1);
    CHECK_INT(call.rows[0].n, 2);
    const struct wisp_pg_entry_of_row *cells = call.rows[0].entries;
    CHECK_STR(cells[0].name, "v");
    CHECK_INT(cells[1].value.tag, WISP_PG_TEXT);
    CHECK_STR(cells[1].value.as.text, trip->text);
    CHECK_INT(cells[0].value.tag, trip->back);
    CHECK_TEXT(written(&cells[0].value), trip->other ? trip->other : written(&trip->value));
    pg_forget(&call);
}

static void check_trips(const struct trip *trips, size_t n)
{
    struct pg_server server;
    struct pg_rig rig;
    pg_init(&server);
    pg_start(&server, "fsync=off");
    pg_rig_init(&rig);
    pg_put_server(&rig, &server, "default", "");
    pg_do(&rig, "CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'ok');"
                "CREATE DOMAIN age AS int CHECK (VALUE > 0)");
    for (size_t i = 0; i < n; i++) check_trip(&rig, &trips[i]);
    pg_rig_deinit(&rig);
    pg_deinit(&server);
    wisp_arena_deinit(&arena);
}

TEST(numbers)
{
    const struct trip trips[] = {
        {"int8", VALUE(BIG_INT, .s64 = INT64_MIN), "-9223372036854775808", WISP_PG_INT8, NULL},
        {"int8", VALUE(INT8, .s64 = INT64_MAX), "9223372036854775807", WISP_PG_INT8, NULL},
        {"int8[]", ARRAY(INT8_ARRAY, int64_t, 1, -2, INT64_MIN), "{1,-2,-9223372036854775808}", WISP_PG_INT8_ARRAY,
         NULL},
        {"int8", VALUE(BIG_SERIAL, .s64 = 7), "7", WISP_PG_INT8, NULL},
        {"int8", VALUE(SERIAL8, .s64 = 8), "8", WISP_PG_INT8, NULL},
        {"bool", VALUE(BOOL, .is_true = true), "true", WISP_PG_BOOL, NULL},
        {"bool", VALUE(BOOLEAN, .is_true = false), "false", WISP_PG_BOOL, NULL},
        {"bool[]", ARRAY(BOOL_ARRAY, bool, true, false), "{t,f}", WISP_PG_BOOL_ARRAY, NULL},
        {"float8", VALUE(DOUBLE, .number = number(0.1)), "0.1", WISP_PG_FLOAT8, NULL},
        {"float8", VALUE(FLOAT8, .number = number(-DBL_MAX)), "-1.7976931348623157e+308", WISP_PG_FLOAT8, NULL},
        {"float8", VALUE(FLOAT8, .number = {1, -1074, 1}), "5e-324", WISP_PG_FLOAT8, NULL},
        {"float8", VALUE(FLOAT8, .number = {1ull << 52, 972, -1}), "-Infinity", WISP_PG_FLOAT8, NULL},
        {"float8", VALUE(FLOAT8, .number = {3ull << 51, 972, 1}), "NaN", WISP_PG_FLOAT8, NULL},
        {"float8", VALUE(FLOAT8, .number = {0, -1075, -1}), "-0", WISP_PG_FLOAT8, NULL},
        {"float8[]", ARRAY(FLOAT8_ARRAY, struct wisp_pg_float, number(1.5), number(-2)), "{1.5,-2}",
         WISP_PG_FLOAT8_ARRAY, NULL},
        {"float4", VALUE(REAL, .number = number(0.1f)), "0.1", WISP_PG_FLOAT4, NULL},
        {"float4", VALUE(FLOAT4, .number = {1u << 23, 105, 1}), "Infinity", WISP_PG_FLOAT4, NULL},
        {"float4", VALUE(FLOAT4, .number = {3u << 22, 105, 1}), "NaN", WISP_PG_FLOAT4, NULL},
        {"float4[]", ARRAY(FLOAT4_ARRAY, struct wisp_pg_float, number(16777216), number(-0.5)), "{1.6777216e+07,-0.5}",
         WISP_PG_FLOAT4_ARRAY, NULL},
        {"int4", VALUE(INTEGER, .s32 = INT32_MIN), "-2147483648", WISP_PG_INT4, NULL},
        {"int4", VALUE(INT, .s32 = 1), "1", WISP_PG_INT4, NULL},
        {"age", VALUE(INT4, .s32 = INT32_MAX), "2147483647", WISP_PG_INT4, NULL},
        {"int4[]", ARRAY(INT4_ARRAY, int32_t, 1, -1), "{1,-1}", WISP_PG_INT4_ARRAY, NULL},
        {"int4[]", VALUE(INT4_ARRAY, .list = {NULL, 0}), "{}", WISP_PG_INT4_ARRAY, NULL},
        {"numeric", TEXT(NUMERIC, "123456789012345678901234567890.000100"), "123456789012345678901234567890.000100",
         WISP_PG_NUMERIC, NULL},
        {"numeric", TEXT(DECIMAL, "-0.00000001"), "-0.00000001", WISP_PG_NUMERIC, NULL},
        {"numeric", TEXT(NUMERIC, "1e20"), "100000000000000000000", WISP_PG_NUMERIC, "100000000000000000000"},
        {"numeric", TEXT(NUMERIC, "0"), "0", WISP_PG_NUMERIC, NULL},
        {"numeric", TEXT(NUMERIC, "NaN"), "NaN", WISP_PG_NUMERIC, NULL},
        {"numeric", TEXT(NUMERIC, "-Infinity"), "-Infinity", WISP_PG_NUMERIC, NULL},
        {"numeric", TEXT(NUMERIC, "0.0001"), "0.0001", WISP_PG_NUMERIC, NULL},
        {"numeric", TEXT(NUMERIC, "10000.50"), "10000.50", WISP_PG_NUMERIC, NULL},
        {"numeric[]", ARRAY(NUMERIC_ARRAY, struct wisp_str, WISP_STR("1.0"), WISP_STR("-2")), "{1.0,-2}",
         WISP_PG_NUMERIC_ARRAY, NULL},
        {"int8", VALUE(SERIAL, .u32 = UINT32_MAX), "4294967295", WISP_PG_INT8, NULL},
        {"oid", VALUE(SERIAL4, .u32 = UINT32_MAX), "4294967295", WISP_PG_INT8, NULL},
        {"int2", VALUE(SMALL_INT, .s16 = INT16_MIN), "-32768", WISP_PG_INT2, NULL},
        {"int2", VALUE(INT2, .s16 = 5), "5", WISP_PG_INT2, NULL},
        {"int2[]", ARRAY(INT2_ARRAY, int16_t, 1, -3), "{1,-3}", WISP_PG_INT2_ARRAY, NULL},
        {"int2vector", ARRAY(INT2_VECTOR, int16_t, 1, -3), "1 -3", WISP_PG_INT2_VECTOR, NULL},
        {"int2vector[]", ARRAY(INT2_VECTOR_ARRAY, struct wisp_pg_list, {(int16_t[]){1, 2}, 2}, {(int16_t[]){3}, 1}),
         "{\"1 2\",3}", WISP_PG_INT2_VECTOR_ARRAY, NULL},
        {"int2", VALUE(SMALL_SERIAL, .s16 = 6), "6", WISP_PG_INT2, NULL},
        {"int2", VALUE(SERIAL2, .s16 = 7), "7", WISP_PG_INT2, NULL},
        {"money", TEXT(MONEY, "-1234.56"), "-$1,234.56", WISP_PG_MONEY, NULL},
        {"money[]", ARRAY(MONEY_ARRAY, struct wisp_str, WISP_STR("0.05"), WISP_STR("7.00")), "{$0.05,$7.00}",
         WISP_PG_MONEY_ARRAY, NULL},
        {"pg_lsn", VALUE(PG_LSN, .u64 = 0x16b374d848), "16/B374D848", WISP_PG_PG_LSN, NULL},
        {"pg_lsn[]", ARRAY(PG_LSN_ARRAY, uint64_t, 1, UINT64_MAX), "{0/1,FFFFFFFF/FFFFFFFF}", WISP_PG_PG_LSN_ARRAY,
         NULL},
        {"pg_snapshot", VALUE(PG_SNAPSHOT, .snapshot = {10, 20, {(int64_t[]){10, 14}, 2}}), "10:20:10,14",
         WISP_PG_PG_SNAPSHOT, NULL},
        {"txid_snapshot", VALUE(PG_SNAPSHOT, .snapshot = {10, 20, {NULL, 0}}), "10:20:", WISP_PG_PG_SNAPSHOT, NULL},
    };
    check_trips(trips, WISP_COUNT(trips));
}

TEST(bytes_and_texts)
{
    const struct trip trips[] = {
        {"bit(10)", VALUE(BIT, .sized = {10, BYTES("\xa5\xc0")}), "1010010111", WISP_PG_BIT, NULL},
        {"bit(3)[]", ARRAY(BIT_ARRAY, struct wisp_pg_sized, {3, BYTES("\xa0")}, {3, BYTES("\x40")}), "{101,010}",
         WISP_PG_BIT_ARRAY, NULL},
        {"varbit", VALUE(BIT_VARYING, .varying = {{1, 9}, BYTES("\xff\x80")}), "111111111", WISP_PG_VARBIT, NULL},
        {"varbit", VALUE(VARBIT, .varying = {{0, 0}, BYTES("\x0f")}), "00001111", WISP_PG_VARBIT, NULL},
        {"varbit[]", ARRAY(VARBIT_ARRAY, struct wisp_pg_varying, {{1, 1}, BYTES("\x80")}, {{1, 0}, {NULL, 0}}),
         "{1,\"\"}", WISP_PG_VARBIT_ARRAY, NULL},
        {"bytea", VALUE(BYTEA, .bytes = BYTES("\0\x01\xff'\\")), "\\x0001ff275c", WISP_PG_BYTEA, NULL},
        {"bytea", VALUE(BYTEA, .bytes = {NULL, 0}), "\\x", WISP_PG_BYTEA, NULL},
        {"bytea[]", ARRAY(BYTEA_ARRAY, struct wisp_bytes, BYTES("\0"), BYTES("\xff")), "{\"\\\\x00\",\"\\\\xff\"}",
         WISP_PG_BYTEA_ARRAY, NULL},
        {"char(3)", VALUE(CHAR, .sized = {3, BYTES("abc")}), "abc", WISP_PG_CHAR, NULL},
        {"\"char\"", VALUE(CHAR, .sized = {1, BYTES("x")}), "x", WISP_PG_CHAR, NULL},
        {"char(2)[]", ARRAY(CHAR_ARRAY, struct wisp_pg_sized, {2, BYTES("ab")}, {2, BYTES("c ")}), "{ab,\"c \"}",
         WISP_PG_CHAR_ARRAY, NULL},
        {"varchar", VALUE(VARCHAR, .varying = {{1, 5}, BYTES("h\xc3\xa9")}), "h\xc3\xa9", WISP_PG_VARCHAR, NULL},
        {"varchar[]", ARRAY(VARCHAR_ARRAY, struct wisp_pg_varying, {{0, 0}, BYTES("a\"b\\c")}, {{0, 0}, BYTES("")}),
         "{\"a\\\"b\\\\c\",\"\"}", WISP_PG_VARCHAR_ARRAY, NULL},
        {"cidr", TEXT(CIDR, "10.0.0.0/8"), "10.0.0.0/8", WISP_PG_CIDR, NULL},
        {"cidr[]", ARRAY(CIDR_ARRAY, struct wisp_str, WISP_STR("2001:db8::/32")), "{2001:db8::/32}", WISP_PG_CIDR_ARRAY,
         NULL},
        {"inet", TEXT(INET, "192.168.1.7"), "192.168.1.7/32", WISP_PG_INET, NULL},
        {"inet", TEXT(INET, "::1/64"), "::1/64", WISP_PG_INET, NULL},
        {"inet[]", ARRAY(INET_ARRAY, struct wisp_str, WISP_STR("::ffff:1.2.3.4"), WISP_STR("1.2.3.4/8")),
         "{::ffff:1.2.3.4,1.2.3.4/8}", WISP_PG_INET_ARRAY, NULL},
        {"macaddr", VALUE(MACADDR, .mac = {8, 0, 0x2b, 1, 2, 3}), "08:00:2b:01:02:03", WISP_PG_MACADDR, NULL},
        {"macaddr[]", VALUE(MACADDR_ARRAY, .list = {(uint8_t[2][6]){{1}, {2}}, 2}),
         "{01:00:00:00:00:00,02:00:00:00:00:00}", WISP_PG_MACADDR_ARRAY, NULL},
        {"macaddr8", VALUE(MACADDR8, .mac = {8, 0, 0x2b, 1, 2, 3, 4, 5}), "08:00:2b:01:02:03:04:05", WISP_PG_MACADDR8,
         NULL},
        {"macaddr8[]", VALUE(MACADDR8_ARRAY, .list = {(uint8_t[1][8]){{1, 2}}, 1}), "{01:02:00:00:00:00:00:00}",
         WISP_PG_MACADDR8_ARRAY, NULL},
        {"json", TEXT(JSON, "{\"a\": [1, null]}"), "{\"a\": [1, null]}", WISP_PG_JSON, NULL},
        {"json[]", ARRAY(JSON_ARRAY, struct wisp_str, WISP_STR("{\"a\":\"b\\\\\"}")),
         "{\"{\\\"a\\\":\\\"b\\\\\\\\\\\"}\"}", WISP_PG_JSON_ARRAY, NULL},
        {"jsonb", TEXT(JSONB, "{\"b\":1,\"a\":2}"), "{\"a\": 2, \"b\": 1}", WISP_PG_JSONB, "{\"a\": 2, \"b\": 1}"},
        {"jsonb[]", ARRAY(JSONB_ARRAY, struct wisp_str, WISP_STR("1"), WISP_STR("\"x\"")), "{1,\"\\\"x\\\"\"}",
         WISP_PG_JSONB_ARRAY, NULL},
        {"name", TEXT(NAME, "pg_class"), "pg_class", WISP_PG_NAME, NULL},
        {"name[]", ARRAY(NAME_ARRAY, struct wisp_str, WISP_STR("a"), WISP_STR("b c")), "{a,\"b c\"}",
         WISP_PG_NAME_ARRAY, NULL},
        {"text", TEXT(TEXT, "'; DROP TABLE x; --"), "'; DROP TABLE x; --", WISP_PG_TEXT, NULL},
        {"text", VALUE(TEXT, .text = {NULL, 0}), "", WISP_PG_TEXT, NULL},
        {"text[]", ARRAY(TEXT_ARRAY, struct wisp_str, WISP_STR("NULL"), WISP_STR("{,}"), WISP_STR("")),
         "{\"NULL\",\"{,}\",\"\"}", WISP_PG_TEXT_ARRAY, NULL},
        {"xml", TEXT(XML, "<a>b</a>"), "<a>b</a>", WISP_PG_XML, NULL},
        {"xml[]", ARRAY(XML_ARRAY, struct wisp_str, WISP_STR("<a/>")), "{<a/>}", WISP_PG_XML_ARRAY, NULL},
        {"tsquery", TEXT(TS_QUERY, "'a':*B & !( 'b' | 'c''d' ) <2> 'e'"), "'a':*B & !( 'b' | 'c''d' ) <2> 'e'",
         WISP_PG_TS_QUERY, "( 'a':*B & ( !( 'b' | 'c''d' ) <2> 'e' ) )"},
        {"tsvector",
         ARRAY(TS_VECTOR, struct wisp_pg_lexeme, {{1, 1}, {1, 0}, WISP_STR_INIT("a")},
               {{1, 3}, {1, 3}, WISP_STR_INIT("a")}, {{0, 0}, {0, 0}, WISP_STR_INIT("b'\\")}),
         "'a':1A,3 'b''\\\\'", WISP_PG_TS_VECTOR, NULL},
        {"uuid", TEXT(UUID, "550e8400-e29b-41d4-a716-446655440000"), "550e8400-e29b-41d4-a716-446655440000",
         WISP_PG_UUID, NULL},
        {"uuid[]", ARRAY(UUID_ARRAY, struct wisp_str, WISP_STR("550e8400-e29b-41d4-a716-446655440000")),
         "{550e8400-e29b-41d4-a716-446655440000}", WISP_PG_UUID_ARRAY, NULL},
        {"hstore",
         ARRAY(HSTORE, struct wisp_pg_entry, {WISP_STR_INIT("a"), {1, WISP_STR_INIT("x\"y")}},
               {WISP_STR_INIT("b"), {0, {0}}}),
         "\"a\"=>\"x\\\"y\", \"b\"=>NULL", WISP_PG_HSTORE, NULL},
        {"mood", TEXT(TEXT, "sad"), "sad", WISP_PG_TEXT, NULL},
        {"mood[]", ARRAY(TEXT_ARRAY, struct wisp_str, WISP_STR("ok"), WISP_STR("sad")), "{ok,sad}", WISP_PG_TEXT_ARRAY,
         NULL},
        {"citext", TEXT(TEXT, "MiXed"), "MiXed", WISP_PG_TEXT, NULL},
    };
    check_trips(trips, WISP_COUNT(trips));
}

TEST(shapes_and_times)
{
    struct wisp_pg_point square[] = {POINT(0, 0), POINT(0, 1), POINT(1.5, 1)};
    struct wisp_pg_pair pair = {POINT(1, 2), POINT(3, 4)};
    struct wisp_pg_points points = {square, 3};
    const struct trip trips[] = {
        {"point", VALUE(POINT, .point = POINT(1.5, -2)), "(1.5,-2)", WISP_PG_POINT, NULL},
        {"point[]", ARRAY(POINT_ARRAY, struct wisp_pg_point, POINT(1, 2), POINT(3, 4)), "{\"(1,2)\",\"(3,4)\"}",
         WISP_PG_POINT_ARRAY, NULL},
        {"box", VALUE(BOX, .pair = pair), "(3,4),(1,2)", WISP_PG_BOX, NULL},
        {"box[]", ARRAY(BOX_ARRAY, struct wisp_pg_pair, pair, pair), "{(3,4),(1,2);(3,4),(1,2)}", WISP_PG_BOX_ARRAY,
         NULL},
        {"circle", VALUE(CIRCLE, .circle = {POINT(1, 2), number(3)}), "<(1,2),3>", WISP_PG_CIRCLE, NULL},
        {"circle[]", ARRAY(CIRCLE_ARRAY, struct wisp_pg_circle, {POINT(1, 2), number(3)}), "{\"<(1,2),3>\"}",
         WISP_PG_CIRCLE_ARRAY, NULL},
        {"line", VALUE(LINE, .pair = {POINT(0, 1), POINT(1, 3)}), "{2,-1,1}", WISP_PG_LINE, "[(-0.5,0),(0,1)]"},
        {"line", VALUE(LINE, .pair = {POINT(0, 1), POINT(1, 1)}), "{0,-1,1}", WISP_PG_LINE, NULL},
        {"line[]", ARRAY(LINE_ARRAY, struct wisp_pg_pair, {POINT(0, 1), POINT(1, 1)}), "{\"{0,-1,1}\"}",
         WISP_PG_LINE_ARRAY, NULL},
        {"lseg", VALUE(LSEG, .pair = pair), "[(1,2),(3,4)]", WISP_PG_LSEG, NULL},
        {"lseg[]", ARRAY(LSEG_ARRAY, struct wisp_pg_pair, pair), "{\"[(1,2),(3,4)]\"}", WISP_PG_LSEG_ARRAY, NULL},
        {"path", VALUE(PATH, .list = {square, 3}), "[(0,0),(0,1),(1.5,1)]", WISP_PG_PATH, NULL},
        {"path[]", ARRAY(PATH_ARRAY, struct wisp_pg_points, points), "{\"[(0,0),(0,1),(1.5,1)]\"}", WISP_PG_PATH_ARRAY,
         NULL},
        {"polygon", VALUE(POLYGON, .list = {square, 3}), "((0,0),(0,1),(1.5,1))", WISP_PG_POLYGON, NULL},
        {"polygon[]", ARRAY(POLYGON_ARRAY, struct wisp_pg_points, points), "{\"((0,0),(0,1),(1.5,1))\"}",
         WISP_PG_POLYGON_ARRAY, NULL},
        {"date", VALUE(DATE, .date = DAY(2024, 2, 29)), "2024-02-29", WISP_PG_DATE, NULL},
        {"date", VALUE(DATE, .date = DAY(1969, 12, 31)), "1969-12-31", WISP_PG_DATE, NULL},
        {"date", VALUE(DATE, .date = DAY(0, 3, 1)), "0001-03-01 BC", WISP_PG_DATE, NULL},
        {"date", VALUE(DATE, .date = DAY(5874897, 12, 31)), "5874897-12-31", WISP_PG_DATE, NULL},
        {"date", VALUE(DATE, .date = {.tag = WISP_PG_DATE_LAST}), "infinity", WISP_PG_DATE, NULL},
        {"date", VALUE(DATE, .date = {.tag = WISP_PG_DATE_FIRST}), "-infinity", WISP_PG_DATE, NULL},
        {"date[]", ARRAY(DATE_ARRAY, struct wisp_pg_date, DAY(2000, 1, 1), DAY(1999, 12, 31)),
         "{2000-01-01,1999-12-31}", WISP_PG_DATE_ARRAY, NULL},
        {"daterange", VALUE(INTERVAL, .interval = {DAY(2024, 1, 1), true, DAY(2024, 2, 1), false}),
         "[2024-01-01,2024-02-01)", WISP_PG_INTERVAL, NULL},
        {"daterange", VALUE(INTERVAL, .interval = {DAY(2024, 1, 1), true, {.tag = WISP_PG_DATE_LAST}, false}),
         "[2024-01-01,infinity)", WISP_PG_INTERVAL, NULL},
        {"daterange[]", ARRAY(INTERVAL_ARRAY, struct wisp_pg_interval, {DAY(2024, 1, 1), true, DAY(2024, 2, 1), false}),
         "{\"[2024-01-01,2024-02-01)\"}", WISP_PG_INTERVAL_ARRAY, NULL},
        {"time", VALUE(TIME, .time = NOON), "12:34:56.789", WISP_PG_TIME, NULL},
        {"time", VALUE(TIME, .time = {24, 0, 0, 0}), "24:00:00", WISP_PG_TIME, NULL},
        {"time[]", ARRAY(TIME_ARRAY, struct wisp_pg_time, {0, 0, 0, 1}), "{00:00:00.000001}", WISP_PG_TIME_ARRAY, NULL},
        {"timetz", VALUE(TIME_TZ, .time_tz = {WISP_STR_INIT("+02:00"), NOON}), "12:34:56.789+02", WISP_PG_TIME_TZ,
         NULL},
        {"timetz", VALUE(TIME_TZ, .time_tz = {WISP_STR_INIT("UTC"), NOON}), "12:34:56.789+00", WISP_PG_TIME_TZ,
         "12:34:56.789000+00:00"},
        {"timetz[]", ARRAY(TIME_TZ_ARRAY, struct wisp_pg_time_tz, {WISP_STR_INIT("-05:30"), NOON}),
         "{12:34:56.789-05:30}", WISP_PG_TIME_TZ_ARRAY, NULL},
        {"timestamp", VALUE(TIMESTAMP, .timestamp = {DAY(1969, 7, 20), NOON}), "1969-07-20 12:34:56.789",
         WISP_PG_TIMESTAMP, NULL},
        {"timestamp", VALUE(TIMESTAMP, .timestamp = {DAY(-43, 3, 15), NOON}), "0044-03-15 12:34:56.789 BC",
         WISP_PG_TIMESTAMP, NULL},
        {"timestamp", VALUE(TIMESTAMP, .timestamp.date.tag = WISP_PG_DATE_LAST), "infinity", WISP_PG_TIMESTAMP, NULL},
        {"timestamp[]", ARRAY(TIMESTAMP_ARRAY, struct wisp_pg_timestamp, {DAY(2024, 2, 29), NOON}),
         "{\"2024-02-29 12:34:56.789\"}", WISP_PG_TIMESTAMP_ARRAY, NULL},
        {"timestamptz AT TIME ZONE 'UTC'", VALUE(TIMESTAMP_TZ, .timestamp_tz = {{DAY(2024, 2, 29), NOON}, {0, 7200}}),
         "2024-02-29 10:34:56.789", WISP_PG_TIMESTAMP, "2024-02-29 10:34:56.789000"},
        {"timestamptz AT TIME ZONE 'UTC'", VALUE(TIMESTAMP_TZ, .timestamp_tz = {{DAY(2024, 2, 29), NOON}, {1, 7200}}),
         "2024-02-29 14:34:56.789", WISP_PG_TIMESTAMP, "2024-02-29 14:34:56.789000"},
        {"timestamptz AT TIME ZONE 'UTC' AT TIME ZONE 'UTC'",
         VALUE(TIMESTAMP_TZ, .timestamp_tz = {{DAY(-1, 2, 28), NOON}, {1, 0}}), "0002-02-28 12:34:56.789+00 BC",
         WISP_PG_TIMESTAMP_TZ, NULL},
        {"timestamptz[]", ARRAY(TIMESTAMP_TZ_ARRAY, struct wisp_pg_timestamp_tz, {{DAY(2024, 2, 29), NOON}, {0, 0}}),
         "{\"2024-02-29 12:34:56.789+00\"}", WISP_PG_TIMESTAMP_TZ_ARRAY, NULL},
    };
    check_trips(trips, WISP_COUNT(trips));
}

/* --- what can't be --- */

static void refuses(struct pg_rig *rig, const char *sql, const struct wisp_pg_value *param, int fault,
                    const char *words)
{
    struct pg_call call;
    pg_query(rig, &call, sql, param, param != NULL);
    if (call.fault != fault)
        wisp_test_fail(__FILE__, __LINE__, "%s: fault %d instead of %d: %s", sql, call.fault, fault, call.text);
    CHECK_HAS(call.text, words);
    pg_forget(&call);
}

TEST(what_no_value_can_tell)
{
    struct pg_server server;
    struct pg_rig rig;
    pg_init(&server);
    pg_start(&server, "fsync=off");
    pg_rig_init(&rig);
    pg_put_server(&rig, &server, "default", "");
    pg_do(&rig, "CREATE TYPE pair AS (a int, b text)");
    refuses(&rig, "SELECT interval '1 day' AS i", NULL, WISP_PG_FAULT_QUERY, "column `i` is of type interval");
    refuses(&rig, "SELECT '[1,2)'::int4range AS r", NULL, WISP_PG_FAULT_QUERY, "column `r` is of type int4range");
    refuses(&rig, "SELECT 1, (1,'x')::pair AS p", NULL, WISP_PG_FAULT_QUERY, "column `p` is of type pair");
    refuses(&rig, "SELECT ARRAY[1,NULL,3] AS a", NULL, WISP_PG_FAULT_OTHER,
            "row 1, column `a`: it is an array with a null");
    refuses(&rig, "SELECT ARRAY[[1,2],[3,4]] AS a", NULL, WISP_PG_FAULT_OTHER, "several dimensions");
    refuses(&rig, "SELECT 'empty'::daterange AS d", NULL, WISP_PG_FAULT_OTHER, "empty range");
    const struct wisp_pg_value zero = VALUE(TEXT, .text = WISP_STR("a\0b")), number = TEXT(TEXT, "twelve"),
                               snapshot = VALUE(TXID_SNAPSHOT, .s64 = 1), bits = VALUE(BIT, .sized = {9, BYTES("x")}),
                               path = VALUE(PATH, .list = {NULL, 0}), late = VALUE(TIME, .time = {99, 0, 0, 0}),
                               fine = VALUE(INT4, .s32 = 1);
    refuses(&rig, "SELECT $1::text", &zero, WISP_PG_FAULT_PARAMS, "parameter $1: a text with a zero byte");
    refuses(&rig, "SELECT $1::int", &number, WISP_PG_FAULT_PARAMS, "invalid input syntax for type integer");
    refuses(&rig, "SELECT $1::txid_snapshot", &snapshot, WISP_PG_FAULT_PARAMS, "txid-snapshot");
    refuses(&rig, "SELECT $1::bit(9)", &bits, WISP_PG_FAULT_PARAMS, "bit string");
    refuses(&rig, "SELECT $1::path", &path, WISP_PG_FAULT_PARAMS, "without points");
    refuses(&rig, "SELECT $1::time", &late, WISP_PG_FAULT_PARAMS, "no clock");
    refuses(&rig, "SELECT $1::int + $2::int", &fine, WISP_PG_FAULT_PARAMS, "requires 2");
    refuses(&rig, "SELEC 1", NULL, WISP_PG_FAULT_QUERY, "syntax error");
    refuses(&rig, "SELECT * FROM nowhere", NULL, WISP_PG_FAULT_QUERY, "SQLSTATE 42P01");
    refuses(&rig, "COPY (SELECT 1) TO STDOUT", NULL, WISP_PG_FAULT_QUERY, "COPY");
    refuses(&rig, "SELECT repeat('x', 100000000)", NULL, WISP_PG_FAULT_OTHER, "64 MiB");
    refuses(&rig, "SELECT array_agg(('1e' || 131000)::numeric) FROM generate_series(1, 1000)", NULL,
            WISP_PG_FAULT_OTHER, "64 MiB");
    struct pg_call call;
    pg_query(&rig, &call, "SELECT NULL::int4range AS r, pg_sleep(0), $1::int", &fine, 1);
    CHECK_INT(call.fault, -1);
    CHECK_INT(call.rows[0].entries[0].value.tag, WISP_PG_NULL);
    CHECK_INT(call.rows[0].entries[1].value.tag, WISP_PG_NULL);
    CHECK_INT(call.rows[0].entries[2].value.as.s32, 1);
    pg_forget(&call);
    pg_rig_deinit(&rig);
    pg_deinit(&server);
}
