/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/shared.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A worker's word: the places it holds, and whether calls wait for one more. One word, so that a place can be given to
 * a worker only while it still waits, even if it dies at that moment. */
enum { WAITS = 1u << 31, HELD = WAITS - 1, LINE = 64, TRIES = 3 };
typedef atomic_uint word; /* shared between processes: only lock-free atomics are */
static_assert(ATOMIC_INT_LOCK_FREE == 2, "words are lock-free");
static_assert(sizeof(word) == sizeof(uint32_t), "words are plain");

struct wisp_shared {
    char *memory;
    size_t size, place_size, words_size;
    uint32_t n_workers, n_components;
    uint32_t worker;                      /* which one we are; UINT32_MAX: the control process */
    uint32_t n_used;                      /* the control process: components below this have been reset */
    int fds[1 + WISP_SHARED_WORKERS_MAX]; /* memory, then events; -1: private */
};

/* Each worker's counters have cache lines of their own. */
static const size_t counters_size = (sizeof(struct wisp_shared_counters) + LINE - 1) / LINE * LINE;

/* --- places in the memory --- */

static word *words_of(const struct wisp_shared *shared, uint32_t component)
{
    return (word *)(void *)(shared->memory + component * shared->place_size);
}

static struct wisp_shared_counters *counters_of(const struct wisp_shared *shared, uint32_t component, uint32_t worker)
{
    assert(component < shared->n_components && worker < shared->n_workers);
    return (struct wisp_shared_counters *)(void *)(shared->memory + component * shared->place_size +
                                                   shared->words_size + worker * counters_size);
}

static struct wisp_shared *make(uint32_t n_workers, uint32_t n_components)
{
    struct wisp_shared *shared = wisp_mem_calloc(1, sizeof *shared);
    shared->n_workers = n_workers;
    shared->n_components = n_components;
    shared->words_size = (n_workers * sizeof(word) + LINE - 1) / LINE * LINE;
    shared->place_size = shared->words_size + n_workers * counters_size;
    shared->size = n_components * shared->place_size + WISP_SHARED_BOARD_SIZE;
    for (size_t i = 0; i < WISP_COUNT(shared->fds); i++) shared->fds[i] = -1;
    return shared;
}

static int map(struct wisp_shared *shared, struct wisp_err *err)
{
    int fd = shared->fds[0];
    void *memory =
        mmap(NULL, shared->size, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) return wisp_err_os(err, errno, "map the shared memory");
    shared->memory = memory;
    return 0;
}

void wisp_shared_free(struct wisp_shared *shared)
{
    if (!shared) return;
    if (shared->memory) munmap(shared->memory, shared->size);
    for (size_t i = 0; i < WISP_COUNT(shared->fds); i++) wisp_fd_closep(&shared->fds[i]);
    free(shared);
}

uint32_t wisp_shared_n_components(const struct wisp_shared *shared) { return shared->n_components; }

/* --- the control process --- */

static int make_fds(struct wisp_shared *shared, struct wisp_err *err)
{
    shared->fds[0] = memfd_create("wisp-workers", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (shared->fds[0] < 0 || ftruncate(shared->fds[0], (off_t)shared->size) < 0)
        return wisp_err_os(err, errno, "make shared memory of %zu bytes", shared->size);
    /* Nobody may take memory away that others have mapped. */
    (void)fcntl(shared->fds[0], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    for (uint32_t i = 0; i < shared->n_workers; i++) {
        shared->fds[1 + i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (shared->fds[1 + i] < 0) return wisp_err_os(err, errno, "make an event descriptor");
    }
    return 0;
}

int wisp_shared_new(struct wisp_shared **ret_shared, uint32_t n_workers, uint32_t n_components, struct wisp_err *err)
{
    if (n_workers == 0 || n_workers > WISP_SHARED_WORKERS_MAX || n_components == 0 ||
        n_components > WISP_SHARED_COMPONENTS_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "shared memory for %u workers and %u components: at most %d and %d",
                            n_workers, n_components, WISP_SHARED_WORKERS_MAX, WISP_SHARED_COMPONENTS_MAX);
    struct wisp_shared *shared = make(n_workers, n_components);
    shared->worker = UINT32_MAX;
    int r = make_fds(shared, err);
    if (r == 0) r = map(shared, err);
    if (r < 0) {
        wisp_shared_free(shared);
        return r;
    }
    *ret_shared = shared;
    return 0;
}

const int *wisp_shared_fds(const struct wisp_shared *shared, uint32_t *ret_n)
{
    *ret_n = 1 + shared->n_workers;
    return shared->fds;
}

/* --- a worker --- */

/* How many components it is for follows from the memory's size. */
int wisp_shared_open(struct wisp_shared **ret_shared, const int *fds, uint32_t n_fds, uint32_t worker,
                     struct wisp_err *err)
{
    assert(n_fds >= 2 && n_fds <= 1 + WISP_SHARED_WORKERS_MAX && worker < n_fds - 1);
    struct wisp_shared *shared = make(n_fds - 1, 1);
    shared->worker = worker;
    memcpy(shared->fds, fds, n_fds * sizeof *fds);
    struct stat status;
    int r = 0;
    if (fstat(fds[0], &status) < 0) r = wisp_err_os(err, errno, "look at the shared memory");
    uint64_t size = r == 0 && status.st_size > WISP_SHARED_BOARD_SIZE ? (uint64_t)status.st_size : 0;
    uint64_t n_components = size ? (size - WISP_SHARED_BOARD_SIZE) / shared->place_size : 0;
    if (r == 0 && (n_components == 0 || n_components > WISP_SHARED_COMPONENTS_MAX ||
                   n_components * shared->place_size + WISP_SHARED_BOARD_SIZE != size))
        r = wisp_err_set(err, WISP_ERR_INVALID, "shared memory of %lld bytes is not for %u workers",
                         (long long)status.st_size, n_fds - 1);
    shared->n_components = (uint32_t)n_components;
    shared->size = size;
    if (r == 0) r = map(shared, err);
    if (r < 0) {
        wisp_shared_free(shared);
        return r;
    }
    *ret_shared = shared;
    return 0;
}

struct wisp_shared *wisp_shared_new_private(uint32_t n_components)
{
    struct wisp_shared *shared = make(1, n_components);
    if (map(shared, NULL) < 0) wisp_mem_out(shared->size);
    return shared;
}

int wisp_shared_wake_fd(const struct wisp_shared *shared) { return shared->fds[1 + shared->worker]; }

void *wisp_shared_board(struct wisp_shared *shared) { return shared->memory + shared->size - WISP_SHARED_BOARD_SIZE; }

struct wisp_shared_counters *wisp_shared_mine(struct wisp_shared *shared, uint32_t component)
{
    return counters_of(shared, component, shared->worker);
}

/* --- counting --- */

uint64_t wisp_shared_bucket_ns(uint32_t bucket)
{
    return bucket + 1 < WISP_SHARED_BUCKETS ? UINT64_C(1000) << bucket : UINT64_MAX;
}

uint32_t wisp_shared_bucket_of(uint64_t latency_ns)
{
    uint64_t us = latency_ns / 1000;
    uint32_t bucket = us ? 64 - (uint32_t)__builtin_clzll(us) : 0;
    return bucket < WISP_SHARED_BUCKETS ? bucket : WISP_SHARED_BUCKETS - 1;
}

static bool is_peak(size_t offset)
{
    return offset == offsetof(struct wisp_shared_counters, memory_peak_bytes) ||
           offset == offsetof(struct wisp_shared_counters, instances_peak);
}

/* Another process writes them meanwhile: each is read once. */
static void add(struct wisp_shared_counters *sum, const struct wisp_shared_counters *one)
{
    const volatile uint64_t *from = (const volatile uint64_t *)(const void *)one;
    uint64_t *to = (uint64_t *)(void *)sum;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++) {
        uint64_t value = from[i];
        if (!is_peak(i * sizeof *to))
            to[i] += value;
        else if (value > to[i])
            to[i] = value;
    }
}

void wisp_shared_read(const struct wisp_shared *shared, uint32_t component, struct wisp_shared_counters *ret_sum)
{
    *ret_sum = (struct wisp_shared_counters){0};
    for (uint32_t i = 0; i < shared->n_workers; i++) add(ret_sum, counters_of(shared, component, i));
}

void wisp_shared_component_reset(struct wisp_shared *shared, uint32_t component)
{
    if (component >= shared->n_used) shared->n_used = component + 1;
    for (uint32_t i = 0; i < shared->n_workers; i++) memset(counters_of(shared, component, i), 0, counters_size);
}

/* --- places --- */

static uint64_t held_by_all(const struct wisp_shared *shared, const word *words)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < shared->n_workers; i++) sum += atomic_load(&words[i]) & HELD;
    return sum;
}

static void wake(const struct wisp_shared *shared, uint32_t worker)
{
    if (shared->fds[1 + worker] < 0) return;
    const uint64_t one = 1;
    ssize_t n = write(shared->fds[1 + worker], &one, sizeof one);
    (void)n; /* full: it is readable already */
}

/* False when it doesn't wait any more. */
static bool give(const struct wisp_shared *shared, word *words, uint32_t worker)
{
    unsigned seen = atomic_load(&words[worker]);
    while (seen & WAITS)
        if (atomic_compare_exchange_weak(&words[worker], &seen, (seen & HELD) + 1)) {
            wake(shared, worker);
            return true;
        }
    return false;
}

bool wisp_shared_acquire(struct wisp_shared *shared, uint32_t component, uint32_t limit)
{
    word *words = words_of(shared, component), *mine = &words[shared->worker];
    unsigned before = atomic_fetch_add(mine, 1);
    if (shared->n_workers == 1 && (before & HELD) < limit) return true;
    if (limit == UINT32_MAX) return true;
    /* Two that try at once may see each other and both step back. Whoever steps back last sees that there is room, and
     * tries again; so a place is never left free while both wait. */
    for (int i = 0; i < TRIES; i++) {
        if (held_by_all(shared, words) <= limit) {
            atomic_fetch_and(mine, HELD);
            return true;
        }
        unsigned now = atomic_load(mine);
        while (!atomic_compare_exchange_weak(mine, &now, (now - 1) | WAITS)) continue;
        if (held_by_all(shared, words) >= limit) return false;
        /* Another may have given us one meanwhile: then the word doesn't wait any more. */
        now = atomic_load(mine);
        while (now & WAITS)
            if (atomic_compare_exchange_weak(mine, &now, (now & HELD) + 1)) break;
        if (!(now & WAITS)) return true;
    }
    unsigned now = atomic_load(mine);
    while (!atomic_compare_exchange_weak(mine, &now, (now - 1) | WAITS)) continue;
    /* Everybody steps on everybody's toes: look again when the loop has turned. */
    wake(shared, shared->worker);
    return false;
}

static bool give_to_next(const struct wisp_shared *shared, word *words)
{
    for (uint32_t i = 1; i < shared->n_workers; i++)
        if (give(shared, words, (shared->worker + i) % shared->n_workers)) return true;
    return false;
}

static void wake_waiting(const struct wisp_shared *shared, const word *words)
{
    for (uint32_t i = 0; i < shared->n_workers; i++)
        if (i != shared->worker && atomic_load(&words[i]) & WAITS) wake(shared, i);
}

void wisp_shared_release(struct wisp_shared *shared, uint32_t component, uint32_t limit)
{
    word *words = words_of(shared, component), *mine = &words[shared->worker];
    if (shared->n_workers == 1 || limit == UINT32_MAX) {
        atomic_fetch_sub(mine, 1);
        return;
    }
    /* Given before it is taken back here: for a moment there seem to be fewer free places than there are. */
    bool is_given = held_by_all(shared, words) <= limit && give_to_next(shared, words);
    atomic_fetch_sub(mine, 1);
    /* Another that tries may have stood in the way, or began to wait just now: then it looks again itself. And
     * who was given the place may be through with it already: until now it counted twice, and was there for nobody. */
    if (!is_given || held_by_all(shared, words) < limit) wake_waiting(shared, words);
}

uint32_t wisp_shared_held(const struct wisp_shared *shared, uint32_t component)
{
    return atomic_load(&words_of(shared, component)[shared->worker]) & HELD;
}

void wisp_shared_stop_waiting(struct wisp_shared *shared, uint32_t component)
{
    atomic_fetch_and(&words_of(shared, component)[shared->worker], HELD);
}

/* --- a worker died --- */

static void reset_gauges(struct wisp_shared_counters *counters) { counters->instances = counters->queue = 0; }

void wisp_shared_worker_reset(struct wisp_shared *shared, uint32_t worker)
{
    assert(worker < shared->n_workers);
    /* Places that nobody ever used take no memory as long as nobody looks at them. */
    for (uint32_t i = 0; i < shared->n_used; i++) {
        word *words = words_of(shared, i);
        atomic_store(&words[worker], 0);
        reset_gauges(counters_of(shared, i, worker));
        /* Whoever waits looks again how many are free. */
        wake_waiting(shared, words);
    }
}
