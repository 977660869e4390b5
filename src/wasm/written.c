/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages of a guest's memory or table were written, and when the kernel need not be asked again.
 *
 * When an instance ends, the engine asks with PAGEMAP_SCAN which pages were written, and puts back what was in them;
 * they stay resident. The next instance in this place usually writes to the same ones. A page that was not written
 * can't become one that was without a page fault, and the kernel counts the faults of every thread. While the count
 * stands still, the last answer is complete, and reading the count costs a fifth of walking the page tables. Pages of
 * the answer that have become clean meanwhile do no harm: they are reset for nothing.
 *
 * What that rests on, and what else could write a page or make one writable:
 * - Faults of other threads and processes don't count here. Guests run on one thread (wasm.h), no other writes to their
 *   memory, and a system call that does faults on its caller's account. What a debugger writes stays there.
 * - khugepaged joins written pages and untouched ones to a huge page, which can then be written without a fault. It is
 *   switched off for this process before any guest runs; where that fails, nothing is remembered.
 * - mprotect, by which memories grow and shrink, makes only such pages writable again that were written before. A
 *   memory that has grown or shrunk is another range, and so is one of another engine: another question. After a
 *   question that differs from the remembered one in anything the kernel is asked, that one is forgotten.
 * - Pages that are moved, merged, swapped out or write-protected by fork are still written ones, or fault when they are
 *   written again. So do pages that the kernel dropped or that were given back: by madvise, or for another image.
 * - An answer that ended early, for too many pages or ranges, says where, and the engine gives back the rest, always.
 * - A child after fork starts with a count of zero, so it forgets. The count itself never falls.
 *
 * The kernel is asked for more than the engine asks for: pages that are swapped out, or just being moved in memory,
 * were written too, but are not present. The engine would leave what is in them to the next instance.
 *
 * Kernels before 6.7 have no PAGEMAP_SCAN. There the engine doesn't ask, and our own questions
 * (wisp_wasm_written_pages) are answered from the same file by reading it: a page that is not a file's and is present
 * or swapped out was written, or only read before it was written to, which does no harm either. */
#include "wasm/wasm_priv.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* linux/fs.h, since Linux 6.7 */
struct scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct range {
    uint64_t start, end, categories;
};
static const unsigned long SCAN_REQUEST = _IOWR('f', 16, struct scan);
enum { WRITTEN = 1 << 1, FILE_BACKED = 1 << 2, PRESENT = 1 << 3, SWAPPED = 1 << 4, ZERO_PAGE = 1 << 5 };

enum {
    RANGES_MAX = WISP_WASM_WRITTEN_MAX,
    PAGE_BITS = 12,
    ANSWER_BITS = 12, /* places for answers: more than a pool has memories, mostly */
};

struct answer {
    uint64_t start, end, max_pages, walk_end; /* start 0: none */
    uint64_t n_faults;                        /* of the thread, before the kernel was asked */
    uint32_t epoch;
    int fd;
    uint32_t n_ranges, capacity;
    struct wisp_wasm_pages ranges[]; /* from start */
};

static _Thread_local struct {
    struct answer **answers; /* NULL: nothing is remembered */
    uint32_t epoch;          /* answers of another one are forgotten */
    bool has_scan;           /* the kernel has PAGEMAP_SCAN */
    int pagemap;             /* with answers: for our own questions; -1: it can't be had */
    unsigned n_users;
    bool is_held, is_known; /* the count of faults: read once, and that was done */
    uint64_t n_faults;
    struct wisp_wasm_written_counts counts;
} memory;

static uint64_t count_faults(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) < 0) abort();
    return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

/* Reading the count is a fifth of the price of a question, and a tenth of what a small instance takes in all. When
 * several are deleted in a row, it need not be read for each: all their guests have written came before, and what
 * deleting itself writes to is not another one's. */
static uint64_t faults_so_far(void)
{
    if (memory.is_known) return memory.n_faults;
    memory.counts.n_counted++;
    memory.is_known = memory.is_held;
    return memory.n_faults = count_faults();
}

void wisp_wasm_written_hold(void) { memory.is_held = true; }
void wisp_wasm_written_release(void) { memory.is_held = memory.is_known = false; }

/* How the kernel is asked: as ioctl with SCAN_REQUEST answers. */
typedef int ask_fn(int fd, struct scan *scan);

static int ask_scan(int fd, struct scan *scan) { return ioctl(fd, SCAN_REQUEST, scan); }

/* With an empty range; kernels without it answer ENOTTY. */
static bool can_scan(int fd) { return fd >= 0 && ask_scan(fd, &(struct scan){.size = sizeof(struct scan)}) >= 0; }

bool wisp_wasm_written_has_scan(void)
{
    WISP_CLEANUP_FD int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    return can_scan(fd);
}

/* --- when to remember --- */

/* In a child after fork. What it has open is the parent's map. */
static void forget(void)
{
    if (!memory.answers) return;
    memory.epoch++;
    if (memory.pagemap >= 0) close(memory.pagemap);
    memory.pagemap = -1;
}

static void forget_in_children(void) { (void)pthread_atfork(NULL, NULL, forget); }

/* Some emulations of Linux have a count that stands still. */
static bool faults_are_counted(void)
{
    size_t size = (size_t)1 << PAGE_BITS;
    volatile char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return false;
    uint64_t before = count_faults();
    (void)*page; /* the zero page */
    uint64_t between = count_faults();
    *page = 1;
    uint64_t after = count_faults();
    munmap((void *)(uintptr_t)page, size);
    return before < between && between < after;
}

bool wisp_wasm_written_remember(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (memory.n_users == 0) {
        if (sysconf(_SC_PAGESIZE) != 1 << PAGE_BITS || !faults_are_counted()) return false;
        if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) < 0) return false;
        pthread_once(&once, forget_in_children);
        memory.answers = wisp_mem_calloc((size_t)1 << ANSWER_BITS, sizeof(struct answer *));
        memory.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        memory.has_scan = can_scan(memory.pagemap);
    }
    memory.n_users++;
    return true;
}

void wisp_wasm_written_forget(void)
{
    assert(memory.n_users > 0);
    if (--memory.n_users > 0) return;
    for (size_t i = 0; i < (size_t)1 << ANSWER_BITS; i++) free(memory.answers[i]);
    free(memory.answers);
    memory.answers = NULL;
    if (memory.pagemap >= 0) close(memory.pagemap);
}

struct wisp_wasm_written_counts wisp_wasm_written_counts(void) { return memory.counts; }

/* --- answers --- */

/* What the engine asks for a memory or table, to the letter. */
static bool is_known(const struct scan *scan)
{
    return scan->size == sizeof *scan && scan->flags == 0 && scan->return_mask == 0 && scan->category_anyof_mask == 0 &&
           scan->category_inverted == (ZERO_PAGE | FILE_BACKED) &&
           scan->category_mask == (WRITTEN | PRESENT | ZERO_PAGE | FILE_BACKED);
}

static bool can_be_remembered(const struct scan *scan)
{
    return memory.answers && scan->vec_len <= RANGES_MAX && scan->start &&
           (scan->end - scan->start) >> PAGE_BITS <= UINT32_MAX;
}

static struct answer **answer_for(const struct scan *scan)
{
    uint64_t hash = (scan->start >> PAGE_BITS) * 0x9e3779b97f4a7c15;
    return &memory.answers[hash >> (64 - ANSWER_BITS)];
}

static bool is_answered(const struct answer *answer, int fd, const struct scan *scan)
{
    return answer && answer->start == scan->start && answer->end == scan->end && answer->max_pages == scan->max_pages &&
           answer->fd == fd && answer->epoch == memory.epoch;
}

static void keep(struct answer **place, int fd, const struct scan *scan, uint32_t n_ranges, uint64_t n_faults)
{
    const struct range *ranges = (const struct range *)(uintptr_t)scan->vec;
    struct answer *answer = *place;
    if (!answer || answer->capacity < n_ranges) {
        answer = *place = wisp_mem_realloc(answer, sizeof *answer + n_ranges * sizeof *answer->ranges);
        answer->capacity = n_ranges;
    }
    answer->start = scan->start;
    answer->end = scan->end;
    answer->max_pages = scan->max_pages;
    answer->walk_end = scan->walk_end;
    answer->n_faults = n_faults;
    answer->epoch = memory.epoch;
    answer->fd = fd;
    answer->n_ranges = n_ranges;
    for (uint32_t i = 0; i < n_ranges; i++) {
        answer->ranges[i].first = (uint32_t)((ranges[i].start - scan->start) >> PAGE_BITS);
        answer->ranges[i].n = (uint32_t)((ranges[i].end - ranges[i].start) >> PAGE_BITS);
    }
}

static int give(const struct answer *answer, struct scan *scan)
{
    struct range *ranges = (struct range *)(uintptr_t)scan->vec;
    for (uint32_t i = 0; i < answer->n_ranges; i++) {
        uint64_t start = answer->start + ((uint64_t)answer->ranges[i].first << PAGE_BITS);
        ranges[i] = (struct range){start, start + ((uint64_t)answer->ranges[i].n << PAGE_BITS), 0};
    }
    scan->walk_end = answer->walk_end;
    return (int)answer->n_ranges;
}

/* All of a range that was written is in the answer, or behind its end, where everything is given back. */
static bool covers(const struct answer *answer, const struct range *range)
{
    uint64_t at = range->start;
    for (uint32_t i = 0; i < answer->n_ranges && at < range->end; i++) {
        uint64_t start = answer->start + ((uint64_t)answer->ranges[i].first << PAGE_BITS);
        uint64_t end = start + ((uint64_t)answer->ranges[i].n << PAGE_BITS);
        if (start <= at && at < end) at = end;
    }
    return at >= range->end || at >= answer->walk_end;
}

static void check(const struct answer *answer, int fd, const struct scan *asked, ask_fn *ask)
{
    struct range ranges[RANGES_MAX];
    struct scan scan = *asked;
    scan.vec = (uintptr_t)ranges;
    int n = ask(fd, &scan);
    for (int i = 0; i < n; i++)
        if (!covers(answer, &ranges[i])) abort();
}

static int find(int fd, struct scan *scan, ask_fn *ask)
{
    struct answer **place = answer_for(scan), *answer = *place;
    uint64_t n_faults = faults_so_far();
    if (is_answered(answer, fd, scan) && answer->n_faults == n_faults) {
        if (WISP_WASM_IS_CHECKED) check(answer, fd, scan, ask);
        memory.counts.n_remembered++;
        return give(answer, scan);
    }
    int n = ask(fd, scan);
    if (answer) answer->start = 0;
    if (n >= 0) keep(place, fd, scan, (uint32_t)n, n_faults);
    memory.counts.n_asked++;
    return n;
}

int wisp_engine_ioctl(int fd, unsigned long request, void *argument)
{
    struct scan *scan = argument;
    if (request != SCAN_REQUEST || !is_known(scan)) return ioctl(fd, request, argument);
    scan->category_mask = WRITTEN | ZERO_PAGE | FILE_BACKED;
    scan->category_anyof_mask = PRESENT | SWAPPED;
    return can_be_remembered(scan) ? find(fd, scan, ask_scan) : ask_scan(fd, scan);
}

/* --- our own questions --- */

/* False when there are too many ranges or pages. */
static bool add_page(struct scan *scan, uint64_t address, uint32_t *n_ranges, uint64_t *n_pages)
{
    struct range *ranges = (struct range *)(uintptr_t)scan->vec, *last = *n_ranges ? &ranges[*n_ranges - 1] : NULL;
    if (++*n_pages > scan->max_pages) return false;
    if (last && last->end == address) {
        last->end += 1 << PAGE_BITS;
        return true;
    }
    if (*n_ranges == scan->vec_len) return false;
    ranges[(*n_ranges)++] = (struct range){address, address + (1 << PAGE_BITS), 0};
    return true;
}

/* From the map itself, which has eight bytes for a page. */
static int ask_map(int fd, struct scan *scan)
{
    enum { BLOCK = 512 };
    static const uint64_t present = UINT64_C(1) << 63, swapped = UINT64_C(1) << 62, file = UINT64_C(1) << 61;
    uint64_t entries[BLOCK], at = scan->start, n_pages = 0;
    uint32_t n_ranges = 0;
    scan->walk_end = scan->start;
    while (at < scan->end) {
        uint64_t left = (scan->end - at) >> PAGE_BITS, n = left < BLOCK ? left : BLOCK;
        ssize_t size = pread(fd, entries, n * sizeof *entries, (off_t)((at >> PAGE_BITS) * sizeof *entries));
        if (size != (ssize_t)(n * sizeof *entries)) return -1;
        for (uint64_t i = 0; i < n; i++, at += 1 << PAGE_BITS) {
            if (!(entries[i] & (present | swapped)) || (entries[i] & file)) continue;
            if (!add_page(scan, at, &n_ranges, &n_pages)) return (int)n_ranges;
        }
    }
    scan->walk_end = scan->end;
    return (int)n_ranges;
}

void wisp_wasm_written_do_not_scan(void) { memory.has_scan = false; }

int wisp_wasm_written_pages(const void *base, uint64_t size, uint32_t pages_max,
                            struct wisp_wasm_pages ret_ranges[RANGES_MAX])
{
    struct range ranges[RANGES_MAX];
    struct scan scan = {
        .size = sizeof scan,
        .start = (uintptr_t)base,
        .end = (uintptr_t)base + size,
        .vec = (uintptr_t)ranges,
        .vec_len = RANGES_MAX,
        .max_pages = pages_max,
        .category_inverted = ZERO_PAGE | FILE_BACKED,
        .category_mask = WRITTEN | PRESENT | ZERO_PAGE | FILE_BACKED,
    };
    if (!size) return 0;
    if (!memory.answers || memory.pagemap < 0 || !pages_max) return -1;
    int n =
        memory.has_scan ? wisp_engine_ioctl(memory.pagemap, SCAN_REQUEST, &scan) : find(memory.pagemap, &scan, ask_map);
    if (n < 0 || scan.walk_end != scan.end) return -1;
    for (int i = 0; i < n; i++) {
        ret_ranges[i].first = (uint32_t)((ranges[i].start - scan.start) >> PAGE_BITS);
        ret_ranges[i].n = (uint32_t)((ranges[i].end - ranges[i].start) >> PAGE_BITS);
    }
    return n;
}
