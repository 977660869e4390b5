# SPDX-License-Identifier: Apache-2.0
"""Little memory, little address space, one core, an old kernel: it adapts, says so, and serves."""

import os
import resource
import subprocess
import unittest

import wisp

GIB = 1 << 30


class SmallMachine(wisp.Case):
    def check_serves(self, server):
        self.assertEqual(server.get().body, b"Hello from Rust!\n")
        clients = [server.client() for _ in range(20)]
        for client in clients:
            client.request(read=False)
        for client in clients:
            self.assertEqual(client.response().body, b"Hello from Rust!\n")

    def start(self, *args, **options):
        return self.serve(wisp.guest("http-hello-rust"), *args, **options)

    def needs_plain_program(self):
        """A sanitizer's shadow memory alone is larger than the limits here."""
        done = subprocess.run([wisp.PROGRAM, "version"], capture_output=True, env=self.env,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 * GIB, 4 * GIB)))
        if done.returncode != 0:
            self.skipTest("the program does not even start in 4 GiB of address space: built with a sanitizer")

    def test_little_address_space(self):
        self.needs_plain_program()
        server = self.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 * GIB, 4 * GIB)))
        self.check_serves(server)
        server.wait_for_log(r"level=warn .*ulimit -v")
        server.stop()

    def test_little_address_space_for_a_command(self):
        self.needs_plain_program()
        done = self.wisp("run", wisp.guest("command-rust"), "--", "args", "hello",
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 * GIB, 4 * GIB)))
        self.assertEqual((done.returncode, done.stdout), (0, "hello\n"), done)

    def test_one_core(self):
        core = min(os.sched_getaffinity(0))
        server = self.start(preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        self.assertEqual(len(server.workers()), 1)
        self.check_serves(server)
        server.stop()

    def test_old_kernel(self):
        server = self.start("--workers", "1", wrapper=wisp.on_machine("no-pagemap-scan"))
        self.check_serves(server)
        server.wait_for_log("PAGEMAP_SCAN")
        server.stop()

    @unittest.skipUnless(os.geteuid() == 0, "a private view of control groups needs root")
    def test_little_memory(self):
        for limit in (128 << 20, 16 << 20):
            server = self.start("--workers", "2", wrapper=wisp.on_machine(f"memory={limit}"))
            server.wait_for_log(f"{limit >> 20} MiB")
            self.check_serves(server)
            server.stop()

    def test_little_memory_enforced(self):
        """In a real control group, if somebody has given us one to put processes into."""
        parent = os.environ.get("WISP_TEST_CGROUP")
        if not parent:
            self.skipTest("WISP_TEST_CGROUP names no folder of control groups (version 2, memory) that we may write to")
        self.needs_plain_program()
        group = os.path.join(parent, f"wisp-e2e-{os.getpid()}")
        os.mkdir(group)
        self.addCleanup(os.rmdir, group)
        with open(os.path.join(group, "memory.max"), "w") as file:
            file.write(str(128 << 20))

        def join():
            with open(os.path.join(group, "cgroup.procs"), "w") as procs:
                procs.write("0")

        server = self.start(preexec_fn=join)
        self.check_serves(server)
        server.wait_for_log("128 MiB")
        with open(os.path.join(group, "memory.events")) as file:
            self.assertIn("oom_kill 0", file.read())
        server.stop()

    def test_what_it_takes(self):
        """Serving hello with two workers fits into 128 MiB, counting shared pages once."""
        self.needs_plain_program()
        server = self.start("--workers", "2")
        self.check_serves(server)
        total = 0
        for pid in [server.pid, *server.workers()]:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        self.assertLess(total, 128 * 1024, "KiB")
        server.stop()


if __name__ == "__main__":
    wisp.main()
