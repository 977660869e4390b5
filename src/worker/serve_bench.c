/* SPDX-License-Identifier: Apache-2.0 */
/* One worker without its control process, for counting instructions: valgrind knows no pidfd_open, and reserves too
 * little address space for a large pool. Ends on SIGTERM.
 * usage: worker_serve_bench COMPONENT PORT */
#include "base/log.h"
#include "worker/worker.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s COMPONENT PORT\n", argv[0]);
        return 2;
    }
    wisp_log_configure(WISP_LOG_ERROR, WISP_LOG_AUTO);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 512) < 0) {
        perror("listen");
        return 1;
    }
    struct wisp_worker_options options = {
        .component = {.name = "bench", .path = argv[1], .limits = {.instances_max = 8}},
        .listen_fds = &fd,
        .n_listen_fds = 1,
        .control_fd = -1,
    };
    struct wisp_err err = {0};
    if (wisp_worker_run(&options, &err) == 0) return 0;
    fprintf(stderr, "%s\n", err.text);
    return 1;
}
