/* SPDX-License-Identifier: Apache-2.0 */
#include "host/worker_config.h"

#include "test.h"

static const char *const args[] = {"hello.wasm", "", "\xff not UTF-8"};
static const struct wisp_worker_env env[] = {{"A", "1"}, {"EMPTY", ""}};
static const struct wisp_worker_preopen preopens[] = {{"/proc/self/fd/7", "/data", true}, {".", "/", false}};

static const struct wisp_worker_config sample = {
    .options = {.component = {.name = "hello",
                              .path = "/proc/self/fd/5",
                              .args = args,
                              .n_args = WISP_COUNT(args),
                              .env = env,
                              .n_env = WISP_COUNT(env),
                              .preopens = preopens,
                              .n_preopens = WISP_COUNT(preopens),
                              .limits = {1u << 30, 30000, 100, UINT32_MAX, UINT64_MAX}},
                .n_workers = 3,
                .drain_ms = 1234,
                .cache_dir = ""},
    .log_level = WISP_LOG_DEBUG,
    .log_format = WISP_LOG_JSON,
};

TEST(what_is_written_is_read)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_worker_config read;
    struct wisp_err err = {0};
    wisp_worker_config_encode(&sample, &bytes);
    CHECK_OK(wisp_worker_config_decode(&arena, wisp_buf_str(&bytes), &read, &err), &err);

    const struct wisp_worker_component *component = &read.options.component;
    CHECK_TEXT(component->name, "hello");
    CHECK_TEXT(component->path, "/proc/self/fd/5");
    CHECK_INT(component->n_args, 3);
    for (size_t i = 0; i < 3; i++) CHECK_TEXT(component->args[i], args[i]);
    CHECK_INT(component->n_env, 2);
    CHECK_TEXT(component->env[1].name, "EMPTY");
    CHECK_TEXT(component->env[1].value, "");
    CHECK_INT(component->n_preopens, 2);
    CHECK_TEXT(component->preopens[0].host_path, "/proc/self/fd/7");
    CHECK_TEXT(component->preopens[0].guest_path, "/data");
    CHECK(component->preopens[0].read_only && !component->preopens[1].read_only);
    CHECK(memcmp(&component->limits, &sample.options.component.limits, sizeof component->limits) == 0);
    CHECK(!read.options.host);
    CHECK_INT(read.options.n_workers, 3);
    CHECK_INT(read.options.drain_ms, 1234);
    CHECK_TEXT(read.options.cache_dir, "");
    CHECK_INT(read.log_level, WISP_LOG_DEBUG);
    CHECK_INT(read.log_format, WISP_LOG_JSON);
}

TEST(what_a_host_says_is_read)
{
    static const char *const urls[] = {"unix:/run/bus.sock", "nats://h:4222"};
    static const struct wisp_worker_host host = {.n_shared_fds = 3,
                                                 .index = 1,
                                                 .instances_max = 500,
                                                 .memory_bytes_max = 1 << 28,
                                                 .grace_ms = 30000,
                                                 .provider_wait_ms = 1500,
                                                 .handover_dir = "/state/host-0",
                                                 .lattice = "default",
                                                 .host_id = "NABC",
                                                 .telemetry = {true, false, {true, 1u << 31}},
                                                 .bus = {.urls = urls, .n_urls = 2, .seed = "SU", .is_tls = true},
                                                 .policy = {"acme.policy", NULL, "{\"a\":\"b\"}", 250}};
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_worker_config read;
    struct wisp_err err = {0};
    wisp_worker_config_encode(&(struct wisp_worker_config){.options.host = &host}, &bytes);
    CHECK_OK(wisp_worker_config_decode(&arena, wisp_buf_str(&bytes), &read, &err), &err);
    const struct wisp_worker_host *got = read.options.host;
    CHECK_INT(got->n_shared_fds, 3);
    CHECK_INT(got->index, 1);
    CHECK_INT(got->instances_max, 500);
    CHECK_INT(got->memory_bytes_max, 1 << 28);
    CHECK_INT(got->grace_ms, 30000);
    CHECK_INT(got->provider_wait_ms, 1500);
    CHECK_TEXT(got->handover_dir, "/state/host-0");
    CHECK_TEXT(got->lattice, "default");
    CHECK_TEXT(got->host_id, "NABC");
    CHECK(got->telemetry.traces && !got->telemetry.logs && got->telemetry.sampler.follows_parent);
    CHECK_INT(got->telemetry.sampler.threshold, 1u << 31);
    CHECK_INT(got->bus.n_urls, 2);
    CHECK_TEXT(got->bus.urls[1], "nats://h:4222");
    CHECK_TEXT(got->bus.seed, "SU");
    CHECK(!got->bus.jwt && got->bus.is_tls && !got->bus.is_tls_first);
    CHECK_TEXT(got->policy.topic, "acme.policy");
    CHECK(!got->policy.changes_topic);
    CHECK_TEXT(got->policy.labels, "{\"a\":\"b\"}");
    CHECK_INT(got->policy.timeout_ms, 250);
}

TEST(nothing_stays_nothing)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_worker_config read;
    struct wisp_err err = {0};
    wisp_worker_config_encode(&(struct wisp_worker_config){0}, &bytes);
    CHECK_OK(wisp_worker_config_decode(&arena, wisp_buf_str(&bytes), &read, &err), &err);
    CHECK(!read.options.component.name && !read.options.cache_dir && !read.options.component.n_env);
}

TEST(every_cut_is_noticed)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    wisp_worker_config_encode(&sample, &bytes);
    for (size_t size = 0; size < bytes.len; size++) {
        WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
        struct wisp_worker_config read;
        struct wisp_err err = {0};
        CHECK_FAILS(wisp_worker_config_decode(&arena, (struct wisp_str){bytes.data, size}, &read, &err), INVALID);
    }
}

TEST(flipped_bytes_never_crash)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    wisp_worker_config_encode(&sample, &bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        for (int flip = 1; flip < 256; flip *= 2) {
            WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
            struct wisp_worker_config read;
            bytes.data[i] ^= (char)flip;
            if (wisp_worker_config_decode(&arena, wisp_buf_str(&bytes), &read, NULL) == 0)
                CHECK(read.log_level <= WISP_LOG_DEBUG && read.log_format <= WISP_LOG_JSON);
            bytes.data[i] ^= (char)flip;
        }
    }
}

TEST(host_part_is_read_back)
{
    static const char *const urls[] = {"unix:/s/bus.sock", "nats://127.0.0.1:4222"};
    const struct wisp_worker_host host = {.n_shared_fds = 3,
                                          .index = 1,
                                          .instances_max = 7,
                                          .memory_bytes_max = 1 << 20,
                                          .grace_ms = 30000,
                                          .provider_wait_ms = 1500,
                                          .handover_dir = "/s/host-0",
                                          .lattice = "default",
                                          .host_id = "NABC",
                                          .bus = {.urls = urls, .n_urls = 2, .seed = "S", .is_tls_first = true}};
    struct wisp_worker_config config = sample, read;
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_err err = {0};
    config.options.host = &host;
    wisp_worker_config_encode(&config, &bytes);
    CHECK_OK(wisp_worker_config_decode(&arena, wisp_buf_str(&bytes), &read, &err), &err);
    CHECK(read.options.host != NULL);
    CHECK_INT(read.options.host->n_shared_fds, 3);
    CHECK_INT(read.options.host->grace_ms, 30000);
    CHECK_INT(read.options.host->provider_wait_ms, 1500);
    CHECK_TEXT(read.options.host->handover_dir, "/s/host-0");
    CHECK_TEXT(read.options.host->host_id, "NABC");
    CHECK_INT(read.options.host->bus.n_urls, 2);
    CHECK_TEXT(read.options.host->bus.urls[1], "nats://127.0.0.1:4222");
    CHECK(!read.options.host->bus.jwt);
    CHECK(read.options.host->bus.is_tls_first && !read.options.host->bus.is_tls);
}
