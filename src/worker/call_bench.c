/* SPDX-License-Identifier: Apache-2.0 */
/* What a call of a component costs within a worker, to another component and to a provider: requests that make 100
 * calls against requests that make one, by the time that the worker counts for both components. Prints ns of the
 * requests and of a call. usage: worker_call_bench [ROUNDS] */
#include "worker/hosting_rig.h"
#include "worker/test_kind.h"

const struct wisp_host_interface *const wisp_capability_interfaces[] = {NULL};
const size_t wisp_capability_n_interfaces = 0;

#define ADDRESS "127.0.0.1:80"
#define LINKS_TO(id)                                                                                                   \
    "\"links\":[{\"name\":\"default\",\"interface\":\"test:calc/ops\",\"target\":\"" id                                \
    "\"},{\"name\":\"default\",\"interface\":\"test:calc/next\",\"target\":\"" id "\"}]"

/* One core module with a memory, as compilers make them. */
static const char calc_text[] =
    "(component (core module $main (memory 17)\n"
    "  (func (export \"add\") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))\n"
    " (core instance $main (instantiate $main))\n"
    " (func $add (param \"a\" u32) (param \"b\" u32) (result u32) (canon lift (core func $main \"add\")))\n"
    " (instance $ops (export \"add\" (func $add))) (export \"test:calc/ops@0.1.0\" (instance $ops)))";

enum { ROUNDS = 2000, WARM_UP = 50, MANY = 100 };

void wisp_test_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, args);
    va_end(args);
    exit(1);
}

static uint64_t guest_ns(void)
{
    struct wisp_shared_counters front, calc;
    wisp_shared_read(rig.shared, 0, &front);
    wisp_shared_read(rig.shared, 1, &calc);
    return front.guest_ns + calc.guest_ns;
}

static uint64_t measure(uint16_t port, char command, int rounds)
{
    for (int i = 0; i < WARM_UP; i++) RIG_CHECK_ANSWER(rig_ask(port, "/", command), "hello");
    uint64_t start_ns = guest_ns();
    for (int i = 0; i < rounds; i++) RIG_CHECK_ANSWER(rig_ask(port, "/", command), "hello");
    return (guest_ns() - start_ns) / (uint64_t)rounds;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
    rig_start(1);
    rig_write_component(rig.calc, calc_text);
    rig_compile(rig.front);
    rig_compile(rig.calc);
    rig_run(0, "front", 1, 0, rig.front, LINKS_TO("calc"));
    rig_run(0, "calc", 1, 1, rig.calc, LINKS_TO("calc"));
    rig_order(0, json_pack("{s:s, s:s, s:s}", "do", "provider", "id", "kind", "kind", "test"), -1);
    rig_expect(0, "provider-ready", "kind");
    rig_routes(0, "{\"address\":\"" ADDRESS "\",\"component\":\"front\"}");
    uint16_t port = rig_listen(0, ADDRESS);
    uint64_t none = measure(port, 'h', rounds), one = measure(port, 'c', rounds), many = measure(port, 'B', rounds);
    rig_run(0, "front", 1, 0, rig.front, LINKS_TO("kind"));
    uint64_t one_to_kind = measure(port, 'c', rounds), many_to_kind = measure(port, 'B', rounds);
    printf("no_call_ns %llu\none_call_ns %llu\nmany_calls_ns %llu\ncall_ns %llu\n", (unsigned long long)none,
           (unsigned long long)one, (unsigned long long)many, (unsigned long long)((many - one) / (MANY - 1)));
    printf("provider_call_ns %llu\n", (unsigned long long)((many_to_kind - one_to_kind) / (MANY - 1)));
    rig_stop(1);
    return 0;
}
