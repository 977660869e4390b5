/* SPDX-License-Identifier: Apache-2.0 */
/* Load for a NATS server: every client publishes to its neighbour and receives from the other one.
 *
 *     load_bench --port P [--clients N] [--size BYTES] [--window MESSAGES] [--seconds S]
 *
 * A client keeps `window` messages of its own under way: for each that arrives it publishes one. All messages have the
 * same length, so that counting bytes is all the work per message, and the server is what is measured. Prints one line
 * of JSON: messages per second, and with a window of 1 the percentiles of a message's way through the server. */
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS_MAX = 1000, BUFFER = 1 << 20, EVENTS = 64, WARM_UP_NS = 300000000, SAMPLES_MAX = 1 << 22 };

struct client {
    int fd;
    size_t message_size;  /* of what it receives */
    struct wisp_buf pubs; /* a window of what it sends */
    size_t pub_size;
    size_t received, owed; /* bytes of an incomplete message; bytes still to be sent */
    size_t sent_of_pub;    /* where in `pubs` sending goes on */
    uint64_t sent_at_ns;
};

struct load {
    uint16_t port;
    size_t n_clients, size, window, seconds;
    struct client *clients;
    int epoll_fd;
    bool is_measuring;
    uint64_t n_messages;
    uint32_t *samples_ns;
    size_t n_samples;
    char *buffer;
};

static void fail(const char *what)
{
    fprintf(stderr, "load_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);
        if (n <= 0) fail("write");
        bytes += n;
        size -= (size_t)n;
    }
}

/* Reads until `words` came. */
static void expect(int fd, const char *words)
{
    char text[8192];
    size_t len = 0;
    while (len < sizeof text - 1) {
        ssize_t n = read(fd, text + len, sizeof text - 1 - len);
        if (n <= 0) fail("the server went away");
        len += (size_t)n;
        text[len] = '\0';
        if (strstr(text, words)) return;
    }
    fail(words);
}

static void append_pub(struct wisp_buf *out, const struct load *load, size_t to)
{
    wisp_buf_printf(out, "PUB bench.%04zu %zu\r\n", to, load->size);
    memset(wisp_buf_reserve(out, load->size), 'x', load->size);
    out->len += load->size;
    wisp_buf_append(out, "\r\n", 2);
}

static void connect_client(struct load *load, size_t i)
{
    struct client *client = &load->clients[i];
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(load->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)(void *)&address, sizeof address) < 0) fail("connect");
    int on = 1;
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    expect(client->fd, "INFO ");
    char text[256];
    int n = snprintf(text, sizeof text,
                     "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB bench.%04zu 1\r\nPING\r\n", i);
    write_all(client->fd, text, (size_t)n);
    expect(client->fd, "PONG\r\n");
    for (size_t k = 0; k < load->window; k++) append_pub(&client->pubs, load, (i + 1) % load->n_clients);
    client->pub_size = client->pubs.len / load->window;
    client->message_size =
        (size_t)snprintf(text, sizeof text, "MSG bench.%04zu 1 %zu\r\n", i, load->size) + load->size + 2;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = i};
    if (epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, client->fd, &event) < 0) fail("epoll");
}

/* Sends what it owes, as far as it goes. */
static void send_owed(struct load *load, struct client *client)
{
    while (client->owed > 0) {
        size_t size = client->pubs.len - client->sent_of_pub;
        if (size > client->owed) size = client->owed;
        ssize_t n = send(client->fd, client->pubs.data + client->sent_of_pub, size, MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN) fail("send");
        if (n <= 0) break;
        client->owed -= (size_t)n;
        client->sent_of_pub = (client->sent_of_pub + (size_t)n) % client->pubs.len;
    }
    struct epoll_event event = {.events = EPOLLIN | (client->owed ? EPOLLOUT : 0),
                                .data.u64 = (uint64_t)(client - load->clients)};
    static bool wants_out[CLIENTS_MAX];
    bool wanted = client->owed > 0;
    if (wants_out[client - load->clients] == wanted) return;
    wants_out[client - load->clients] = wanted;
    (void)epoll_ctl(load->epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
}

static void take_sample(struct load *load, const struct client *receiver, uint64_t now)
{
    size_t i = (size_t)(receiver - load->clients);
    const struct client *sender = &load->clients[(i + load->n_clients - 1) % load->n_clients];
    if (load->n_samples < SAMPLES_MAX) load->samples_ns[load->n_samples++] = (uint32_t)(now - sender->sent_at_ns);
}

static void receive(struct load *load, struct client *client)
{
    ssize_t n = recv(client->fd, load->buffer, BUFFER, MSG_DONTWAIT);
    if (n == 0) fail("the server closed a connection");
    if (n < 0) return;
    if (client->received == 0 && load->buffer[0] == 'P') {
        write_all(client->fd, "PONG\r\n", 6); /* a PING comes alone or first, or what follows shows as an error */
        n -= 6;
        memmove(load->buffer, load->buffer + 6, (size_t)n);
    }
    if (client->received == 0 && n > 3 && memcmp(load->buffer, "MSG", 3) != 0) fail(load->buffer);
    size_t bytes = client->received + (size_t)n, whole = bytes / client->message_size;
    client->received = bytes % client->message_size;
    if (whole == 0) return;
    uint64_t now = load->window == 1 ? now_ns() : 0;
    if (load->is_measuring) {
        load->n_messages += whole;
        if (load->window == 1) take_sample(load, client, now);
    }
    client->owed += whole * client->pub_size;
    client->sent_at_ns = load->window == 1 ? now_ns() : 0;
    send_owed(load, client);
}

static void run_until(struct load *load, uint64_t end_ns)
{
    struct epoll_event events[EVENTS];
    while (now_ns() < end_ns) {
        int n = epoll_wait(load->epoll_fd, events, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            struct client *client = &load->clients[events[i].data.u64];
            if (events[i].events & EPOLLOUT) send_owed(load, client);
            if (events[i].events & ~(uint32_t)EPOLLOUT) receive(load, client);
        }
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_us(struct load *load, double part)
{
    if (load->n_samples == 0) return 0;
    return load->samples_ns[(size_t)((double)(load->n_samples - 1) * part)] / 1e3;
}

static void parse(struct load *load, int argc, char **argv)
{
    *load = (struct load){.n_clients = 1, .size = 128, .window = 512, .seconds = 3};
    for (int i = 1; i + 1 < argc; i += 2) {
        size_t value = strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--port") == 0) load->port = (uint16_t)value;
        if (strcmp(argv[i], "--clients") == 0) load->n_clients = value;
        if (strcmp(argv[i], "--size") == 0) load->size = value;
        if (strcmp(argv[i], "--window") == 0) load->window = value;
        if (strcmp(argv[i], "--seconds") == 0) load->seconds = value;
    }
    if (!load->port || !load->n_clients || load->n_clients > CLIENTS_MAX || !load->window) {
        errno = EINVAL;
        fail("arguments");
    }
}

int main(int argc, char **argv)
{
    struct load load;
    parse(&load, argc, argv);
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load.clients = wisp_mem_calloc(load.n_clients, sizeof *load.clients);
    load.samples_ns = wisp_mem_calloc(SAMPLES_MAX, sizeof *load.samples_ns);
    load.buffer = wisp_mem_alloc(BUFFER);
    for (size_t i = 0; i < load.n_clients; i++) connect_client(&load, i);
    for (size_t i = 0; i < load.n_clients; i++) {
        load.clients[i].owed = load.clients[i].pubs.len;
        load.clients[i].sent_at_ns = now_ns();
        send_owed(&load, &load.clients[i]);
    }
    run_until(&load, now_ns() + WARM_UP_NS);
    load.is_measuring = true;
    uint64_t start = now_ns();
    run_until(&load, start + load.seconds * 1000000000u);
    double elapsed = (double)(now_ns() - start) / 1e9;
    qsort(load.samples_ns, load.n_samples, sizeof *load.samples_ns, compare);
    printf("{\"messages\": %llu, \"rate\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
           (unsigned long long)load.n_messages, (double)load.n_messages / elapsed, percentile_us(&load, 0.5),
           percentile_us(&load, 0.99));
    return 0;
}
