/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/test_double.h"

TEST(tables_are_consistent)
{
    struct wisp_err err = {0};
    struct wisp_host *host;
    CHECK_OK(wisp_host_new(&host, wisp_wasi_interfaces, wisp_wasi_n_interfaces, &err), &err);
    wisp_host_free(host);
}

/* --- environment --- */

TEST(environment_is_that_of_the_configuration)
{
    static const struct wisp_str args[] = {WISP_STR_INIT("program"), WISP_STR_INIT("")};
    static const struct wisp_wasi_env env[] = {{WISP_STR_INIT("HOME"), WISP_STR_INIT("/")}};
    fake.config = (struct wisp_wasi_config){.args = args, .n_args = 2, .env = env, .n_env = 1};
    fake_start();
    struct {
        const struct wisp_str *ptr;
        size_t len;
    } arguments;
    CHECK_INT(fake_invoke(&wisp_wasi_cli_environment, "get-arguments", NULL, 0, &arguments, sizeof arguments), 0);
    CHECK_INT(arguments.len, 2);
    CHECK_STR(arguments.ptr[0], "program");
    CHECK_STR(arguments.ptr[1], "");
    struct {
        const struct wisp_wasi_env *ptr;
        size_t len;
    } variables;
    CHECK_INT(fake_invoke(&wisp_wasi_cli_environment, "get-environment", NULL, 0, &variables, sizeof variables), 0);
    CHECK_INT(variables.len, 1);
    CHECK_STR(variables.ptr[0].name, "HOME");
    CHECK_STR(variables.ptr[0].value, "/");
    struct {
        uint32_t is_some;
        struct wisp_str path;
    } cwd;
    CHECK_INT(fake_invoke(&wisp_wasi_cli_environment, "initial-cwd", NULL, 0, &cwd, sizeof cwd), 0);
    CHECK_INT(cwd.is_some, 0);
    fake_stop();
}

static int check_config(const char *arg, const char *name, struct wisp_str value, const char *path,
                        struct wisp_err *err)
{
    struct wisp_str args[] = {wisp_str_from(arg)};
    struct wisp_wasi_env env[] = {{wisp_str_from(name), value}};
    struct wisp_wasi_preopen preopens[] = {{.fd = -1, .guest_path = wisp_str_from(path)}};
    struct wisp_wasi_config config = {
        .args = args, .n_args = 1, .env = env, .n_env = 1, .preopens = preopens, .n_preopens = 1};
    return wisp_wasi_config_check(&config, err);
}

TEST(texts_that_guests_cannot_get_are_refused)
{
    struct wisp_err err = {0};
    CHECK_OK(check_config("arg", "NAME", WISP_STR("välue"), "/data", &err), &err);
    CHECK_OK(check_config("", "NAME", WISP_STR(""), ".", &err), &err);
    CHECK_FAILS(check_config("\xff", "NAME", WISP_STR(""), ".", &err), INVALID);
    CHECK_HAS(err.text, "argument 0");
    CHECK_FAILS(check_config("", "", WISP_STR(""), ".", &err), INVALID);
    CHECK_FAILS(check_config("", "A=B", WISP_STR(""), ".", &err), INVALID);
    CHECK_FAILS(check_config("", "A\xc0", WISP_STR(""), ".", &err), INVALID);
    CHECK_FAILS(check_config("", "SECRET", WISP_STR("hush\xff"), ".", &err), INVALID);
    CHECK_HAS(err.text, "`SECRET`");
    CHECK(!strstr(err.text, "hush"));
    CHECK_FAILS(check_config("", "NUL", WISP_STR("a\0b"), ".", &err), INVALID);
    CHECK_FAILS(check_config("", "NAME", WISP_STR(""), "", &err), INVALID);
}

/* --- exit --- */

static uint8_t exit_code_of(const char *name, const void *args, size_t size)
{
    fake.wasi.has_exited = false;
    CHECK(fake_invoke(&wisp_wasi_cli_exit, name, args, size, NULL, 0) < 0);
    CHECK(fake.wasi.has_exited);
    return fake.wasi.exit_code;
}

TEST(exit_ends_the_guest)
{
    fake_start();
    uint32_t ok = 0, error = 1;
    uint8_t code = 42;
    CHECK_INT(exit_code_of("exit", &ok, sizeof ok), 0);
    CHECK_INT(exit_code_of("exit", &error, sizeof error), 1);
    CHECK_INT(exit_code_of("exit-with-code", &code, sizeof code), 42);
    CHECK_TEXT(fake.trap, "the guest exited with code 42");
    fake_stop();
}

/* --- random --- */

static struct wisp_bytes random_bytes(const struct wisp_host_interface *interface, const char *name, uint64_t size)
{
    struct wisp_bytes bytes;
    CHECK_INT(INVOKE(*interface, name, &size, &bytes), 0);
    CHECK_INT(bytes.len, size);
    return bytes;
}

TEST(random_bytes_differ)
{
    fake_start();
    struct wisp_bytes one = random_bytes(&wisp_wasi_random, "get-random-bytes", 32),
                      two = random_bytes(&wisp_wasi_random_insecure, "get-insecure-random-bytes", 32);
    CHECK(memcmp(one.ptr, two.ptr, 32) != 0);
    random_bytes(&wisp_wasi_random, "get-random-bytes", 0);
    struct wisp_bytes many = random_bytes(&wisp_wasi_random, "get-random-bytes", 1 << 20);
    size_t n_zeroes = 0;
    for (size_t i = 0; i < many.len; i++) n_zeroes += many.ptr[i] == 0;
    CHECK(n_zeroes > 3000 && n_zeroes < 5500);
    fake_stop();
}

TEST(too_many_random_bytes_trap)
{
    fake_start();
    uint64_t sizes[] = {(16 << 20) + 1, UINT64_MAX};
    for (size_t i = 0; i < WISP_COUNT(sizes); i++) {
        struct wisp_bytes bytes;
        CHECK(INVOKE(wisp_wasi_random, "get-random-bytes", &sizes[i], &bytes) < 0);
        CHECK_HAS(fake.trap, "random bytes at once");
    }
    fake_stop();
}

TEST(random_numbers_differ)
{
    fake_start();
    uint64_t one, two, seed[2];
    CHECK_INT(fake_invoke(&wisp_wasi_random, "get-random-u64", NULL, 0, &one, sizeof one), 0);
    CHECK_INT(fake_invoke(&wisp_wasi_random_insecure, "get-insecure-random-u64", NULL, 0, &two, sizeof two), 0);
    CHECK(one != two);
    CHECK_INT(fake_invoke(&wisp_wasi_random_insecure_seed, "insecure-seed", NULL, 0, seed, sizeof seed), 0);
    CHECK(seed[0] != seed[1]);
    fake_stop();
}
