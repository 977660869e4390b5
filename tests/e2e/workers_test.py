# SPDX-License-Identifier: Apache-2.0
"""Workers die and come back; the control process dies and takes them along; everything ends in order."""

import os
import re
import signal
import socket
import threading
import time

import wisp


def client_ports(pid):
    """Ports of the clients whose connections this process has."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    with open("/proc/net/tcp") as file:
        lines = [line.split() for line in file.readlines()[1:]]
    return {int(line[2].split(":")[1], 16) for line in lines if line[9] in inodes}


class Load(threading.Thread):
    """One client that asks again and again; it notes the ports of connections that failed under it."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.broken_ports = []
        self.refused = 0
        self.answered = 0
        self.wrong = []
        self.must_stop = False
        self.port = None
        self.start()

    def run(self):
        client = None
        while not self.must_stop:
            try:
                if not client:
                    client = wisp.Client(self.address)
                    self.port = client.socket.getsockname()[1]
            except OSError:
                self.refused += 1
                continue
            try:
                response = client.request()
                if response.body == b"Hello from Rust!\n":
                    self.answered += 1
                else:
                    self.wrong.append(response)
            except (wisp.Broken, OSError):
                self.broken_ports.append(self.port)
                client.close()
                client = None
        if client:
            client.close()

    def finish(self):
        self.must_stop = True
        self.join(wisp.PATIENCE)


class Workers(wisp.Case):
    def hello(self, *args, **options):
        return self.serve(wisp.guest("http-hello-rust"), *args, **options)

    def echo(self, workers):
        """All its workers are ready: one that isn't has nothing to finish when it is stopped."""
        server = self.serve(wisp.guest("http-echo-rust"), "--workers", str(workers), "--log-level", "debug")
        server.wait_for_log("child is ready", workers)
        return server

    # --- kill -9 of a worker ---

    def test_killed_worker_under_load(self):
        server = self.hello("--workers", "4", "--log-level", "debug")
        server.wait_for_log("child is ready", 4)
        load = [Load(server.address) for _ in range(16)]
        wisp.wait_for(lambda: all(each.answered > 20 for each in load), "every client to be served")
        times = []
        for _ in range(3):
            victim = server.workers()[0]
            ready = server.log.count("child is ready")
            doomed = client_ports(victim)
            broken_before = {port for each in load for port in each.broken_ports}
            start = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            server.wait_for_log("child is ready", ready + 1)
            times.append(time.monotonic() - start)
            before = [each.answered for each in load]
            wisp.wait_for(lambda: all(each.answered > n + 20 for each, n in zip(load, before)), "all clients to go on")
            broken = {port for each in load for port in each.broken_ports} - broken_before
            # Nobody else's connection; a client that came in the last moment may be on neither list.
            self.assertLessEqual(len(broken - doomed), 1, (broken, doomed))
            self.assertTrue(server.workers() and victim not in server.workers())
            self.assertRegex(server.log, rf"child died, replacing it.*pid={victim} signal=SIGKILL ran_ms=\d+ "
                                         r"running=http-hello-rust\.wasm|"
                                         rf"child keeps dying.*pid={victim} signal=SIGKILL")
        for each in load:
            each.finish()
            self.assertEqual((each.wrong, each.refused), ([], 0))
        self.assertLess(min(times), 1.0)
        server.stop()

    def test_connections_nobody_has_accepted_survive(self):
        """The only worker is stopped, so connections queue; it dies; its successor answers them."""
        server = self.hello("--workers", "1", "--log-level", "debug")
        victim = server.workers()[0]
        os.kill(victim, signal.SIGSTOP)
        clients = [server.client() for _ in range(10)]
        for client in clients:
            client.request(read=False)
        os.kill(victim, signal.SIGKILL)
        for client in clients:
            self.assertEqual(client.response().body, b"Hello from Rust!\n")
        server.stop()

    def test_crash_is_told_with_its_signal(self):
        server = self.hello("--workers", "1", "--log-level", "debug")
        # What abort() and failed assertions raise. (SIGSEGV from outside is taken by the engine's own handler first.)
        os.kill(server.workers()[0], signal.SIGABRT)
        server.wait_for_log("child is ready", 2)
        self.assertRegex(server.log, r"child died, replacing it.* signal=SIGABRT ")
        self.assertEqual(server.get().status, 200)

    def test_worker_that_keeps_dying_is_paused_and_others_serve(self):
        server = self.hello("--workers", "2", "--log-level", "debug")
        server.wait_for_log("child is ready", 2)
        steady = server.workers()[-1]
        for deaths in range(1, 8):
            fresh = wisp.wait_for(lambda: [pid for pid in server.workers() if pid != steady], "a new worker")
            os.kill(fresh[0], signal.SIGKILL)
            server.wait_for_log("child died, replacing it|child keeps dying", deaths)
            self.assertEqual(server.get().body, b"Hello from Rust!\n")
        pauses = [int(ms) for ms in re.findall(r"child keeps dying.*again_in_ms=(\d+)", server.log)]
        self.assertGreaterEqual(len(pauses), 4)
        self.assertGreater(pauses[-1], pauses[0])
        # While it pauses, its share goes to the other one.
        for _ in range(20):
            self.assertEqual(server.get().body, b"Hello from Rust!\n")
        server.stop()

    def test_component_file_is_needed_at_the_start_only(self):
        with open(wisp.guest("http-hello-rust"), "rb") as file:
            path = self.write("short-lived.wasm", file.read())
        server = self.serve(path, "--workers", "1", "--log-level", "debug")
        os.unlink(path)
        os.kill(server.workers()[0], signal.SIGKILL)
        server.wait_for_log("child is ready", 2)
        self.assertEqual(server.get().body, b"Hello from Rust!\n")
        server.stop()

    # --- kill -9 of wisp run ---

    def test_no_orphans(self):
        server = self.hello("--workers", "4", "--log-level", "debug")
        server.wait_for_log("child is ready", 4)
        workers = server.workers()
        load = [Load(server.address) for _ in range(4)]
        wisp.wait_for(lambda: all(each.answered for each in load), "every client to be served")
        server.process.kill()
        server.wait()
        for pid in workers:
            wisp.wait_for(lambda: not wisp.is_alive(pid), "the workers to end")
        for each in load:
            each.finish()
        # The address is free again.
        again = self.hello("--workers", "1", address=server.address)
        again.stop()

    def test_no_orphans_while_starting(self):
        for delay in (0, 0.005, 0.01, 0.02, 0.03, 0.05):
            server = self.hello("--workers", "8", wait=False)
            time.sleep(delay)
            group = wisp.children(server.pid)
            server.process.kill()
            server.wait()
            for pid in group:
                wisp.wait_for(lambda: not wisp.is_alive(pid), "the workers to end")

    # --- in order ---

    def test_requests_in_flight_are_finished(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            server = self.echo(2)
            client = server.client()
            client.request("GET", "/sleep?ms=1000", read=False)
            time.sleep(0.2)
            server.signal(number)
            self.assertEqual(client.response().body, b"slept 1000 ms\n")
            self.assertEqual(server.wait(), 0, server.log)

    def test_idle_connections_do_not_hold_it_up(self):
        server = self.hello("--workers", "2")
        clients = [server.client() for _ in range(10)]
        for client in clients:
            client.request()
        server.stop()
        for client in clients:
            self.assertTrue(client.is_closed())

    def test_nothing_new_is_accepted_while_stopping(self):
        server = self.echo(2)
        client = server.client()
        client.request("GET", "/sleep?ms=2000", read=False)
        time.sleep(0.2)
        server.signal(signal.SIGTERM)
        host, port = server.address.split(":")

        def is_refused():
            try:
                socket.create_connection((host, int(port)), timeout=5).close()
                return False
            except ConnectionRefusedError:
                return True

        wisp.wait_for(is_refused, "the address to be closed")
        self.assertEqual(client.response().body, b"slept 2000 ms\n")
        self.assertEqual(server.wait(), 0)

    def test_second_signal_ends_at_once(self):
        server = self.echo(2)
        client = server.client()
        client.request("GET", "/sleep?ms=60000", read=False)
        time.sleep(0.2)
        server.signal(signal.SIGINT)
        time.sleep(0.7)
        self.assertIsNone(server.process.poll())
        server.signal(signal.SIGINT)
        self.assertEqual(server.wait(20), wisp.EXIT["cancelled"], server.log)
        with self.assertRaises(wisp.Broken):
            client.response()

    def test_the_same_signal_sent_twice_is_one(self):
        """timeout(1) and others signal the process and then its group."""
        server = self.echo(1)
        client = server.client()
        client.request("GET", "/sleep?ms=1000", read=False)
        time.sleep(0.2)
        server.signal(signal.SIGTERM)
        time.sleep(0.05)
        server.signal(signal.SIGTERM)
        self.assertEqual(client.response().body, b"slept 1000 ms\n")
        self.assertEqual(server.wait(), 0)

    def test_hangup_can_be_ignored(self):
        server = self.hello("--workers", "1", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        server.signal(signal.SIGHUP)
        time.sleep(0.2)
        self.assertEqual(server.get().status, 200)
        server.stop()

    def test_signal_while_starting(self):
        server = self.hello("--workers", "4", wait=False)
        wisp.wait_for(lambda: wisp.children(server.pid), "the first worker")
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0, server.log)

    def test_drained_worker_alone_is_replaced(self):
        """Somebody sends SIGTERM to a worker: it finishes what it has, and another one takes its place."""
        server = self.serve(wisp.guest("http-echo-rust"), "--workers", "1", "--log-level", "debug")
        client = server.client()
        client.request("GET", "/sleep?ms=500", read=False)
        time.sleep(0.2)
        os.kill(server.workers()[0], signal.SIGTERM)
        self.assertEqual(client.response().body, b"slept 500 ms\n")
        server.wait_for_log("child is ready", 2)
        self.assertEqual(server.get("/status/200").status, 200)
        server.stop()

    # --- secrets ---

    def test_secrets_stay_where_they_are(self):
        server = self.serve(wisp.guest("http-echo-rust"), "--env", "TOKEN", "--log-level", "debug",
                            env={"TOKEN": "s3cret"})
        self.assertEqual(server.get("/env").body, b"TOKEN=s3cret\n")
        for pid in [server.pid, *server.workers()]:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                self.assertNotIn(b"s3cret", file.read())
        server.get("/trap")
        self.assertNotIn("s3cret", server.log)
        server.stop()

    def test_workers_have_no_descriptors_but_their_own(self):
        leak = os.open("/etc/passwd", os.O_RDONLY)
        os.set_inheritable(leak, True)
        server = self.hello("--workers", "1", close_fds=False)
        os.close(leak)
        worker = server.workers()[0]
        targets = [os.readlink(f"/proc/{worker}/fd/{fd}") for fd in os.listdir(f"/proc/{worker}/fd")]
        self.assertNotIn("/etc/passwd", targets)
        self.assertEqual(os.getpgid(worker), worker)
        server.stop()


if __name__ == "__main__":
    wisp.main()
