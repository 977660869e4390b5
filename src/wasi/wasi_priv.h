/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this folder: the interface tables, an invocation's timer, waiting for descriptors. */
#pragma once

#include "wasi/io.h"

extern const struct wisp_host_interface wisp_wasi_io_error, wisp_wasi_io_poll, wisp_wasi_io_streams;
extern const struct wisp_host_interface wisp_wasi_clocks_monotonic_clock, wisp_wasi_clocks_wall_clock;
extern const struct wisp_host_interface wisp_wasi_random, wisp_wasi_random_insecure, wisp_wasi_random_insecure_seed;
extern const struct wisp_host_interface wisp_wasi_cli_environment, wisp_wasi_cli_exit;
extern const struct wisp_host_interface wisp_wasi_cli_stdin, wisp_wasi_cli_stdout, wisp_wasi_cli_stderr;
extern const struct wisp_host_interface wisp_wasi_cli_terminal_input, wisp_wasi_cli_terminal_output;
extern const struct wisp_host_interface wisp_wasi_cli_terminal_stdin, wisp_wasi_cli_terminal_stdout,
    wisp_wasi_cli_terminal_stderr;
extern const struct wisp_host_interface wisp_wasi_filesystem_types, wisp_wasi_filesystem_preopens;
extern const struct wisp_host_interface wisp_wasi_sockets_network, wisp_wasi_sockets_instance_network,
    wisp_wasi_sockets_ip_name_lookup, wisp_wasi_sockets_tcp, wisp_wasi_sockets_tcp_create_socket, wisp_wasi_sockets_udp,
    wisp_wasi_sockets_udp_create_socket;
extern const struct wisp_host_interface wisp_wasi_config_store, wisp_wasi_config_runtime, wisp_wasi_logging;
extern const struct wisp_host_interface wisp_wasmcloud_bus_lattice_1, wisp_wasmcloud_bus_lattice_2;
extern const struct wisp_host_interface wisp_wasmcloud_secrets_store, wisp_wasmcloud_secrets_reveal;

/* --- timer (poll.c) --- */

/* Wakes the invocation at this time of uv_hrtime(), or a moment earlier; only the earliest of the times asked for
 * during one wait counts. For use in `arm`. */
void wisp_wasi_wake_at(struct wisp_wasi *wasi, uint64_t deadline_ns);
/* Closes the timer; its memory goes when the loop has turned. */
void wisp_wasi_timer_close(struct wisp_wasi *wasi);

/* Suspends until woken, as wisp_call_suspend, and forgets the times asked for. */
int wisp_wasi_suspend(struct wisp_call *call) __attribute__((warn_unused_result));

/* --- descriptors of the host (fd_watch.c) --- */

/* Waiting until a descriptor can be read or written. The descriptor itself is not touched. */
struct wisp_fd_watch;
/* Wakes the invocation once `fd` is ready for `events` (POLLIN or POLLOUT). Makes *watch at its first use; `fd` and
 * `events` are then the same at each use. */
void wisp_fd_watch_arm(struct wisp_fd_watch **watch, struct wisp_wasi *wasi, int fd, short events);
/* *watch becomes NULL; NULL is fine. */
void wisp_fd_watch_close(struct wisp_fd_watch **watch);
/* Is `fd` ready for `events`, or in a state that no waiting will change? */
bool wisp_fd_is_ready(int fd, short events);

/* --- streams that several files make --- */

/* Reads a descriptor that somebody else owns; -1: at its end. Never waits: regular files are read directly, all others
 * only when they have something. */
struct wisp_input_stream *wisp_fd_input_new(struct wisp_wasi *wasi, int fd);
/* Writes it; -1: discards. What a pipe or terminal doesn't take at once is kept, and no more is taken until it went. */
struct wisp_output_stream *wisp_fd_output_new(struct wisp_wasi *wasi, int fd);
/* Gives whole lines to config->on_output. */
struct wisp_output_stream *wisp_line_output_new(struct wisp_wasi *wasi, bool is_stderr);
/* Gives the begun lines too, at the end of the invocation. */
void wisp_line_output_finish(struct wisp_wasi *wasi);
