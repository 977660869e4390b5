# SPDX-License-Identifier: Apache-2.0
"""Components that run once: arguments, environment, streams, files, exit codes."""

import os
import signal
import stat
import subprocess
import time

import wisp


class Command(wisp.Case):
    def run_rust(self, *args, flags=(), **options):
        return self.wisp("run", *flags, wisp.guest("command-rust"), "--", *args, **options)

    def output_of(self, *args, **options):
        done = self.run_rust(*args, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    # --- what it is started with ---

    def test_arguments(self):
        self.assertEqual(self.output_of("args", "one", "two words", "", "--flag", "--", "käse"),
                         "one\ntwo words\n\n--flag\n--\nkäse\n")

    def test_no_arguments(self):
        done = self.run_rust()
        self.assertEqual(done.returncode, 1)
        self.assertIn("print the arguments", done.stderr)

    def test_environment_is_what_was_given_and_no_more(self):
        self.assertEqual(self.output_of("env", flags=["--env", "A=1", "--env", "B=x=y", "--env=C="]),
                         "A=1\nB=x=y\nC=\n")

    def test_environment_passed_on(self):
        self.assertEqual(self.output_of("env", "TOKEN", flags=["--env", "TOKEN"], env={"TOKEN": "s3cret"}), "s3cret\n")
        error = self.fails(wisp.EXIT["usage"], "run", "--env", "NO_SUCH_VARIABLE", wisp.guest("command-rust"))
        self.assertIn("NO_SUCH_VARIABLE", error)

    # --- streams ---

    def test_input_to_output(self):
        for data in ("", "a line\n", "no end", "x" * 200_000):
            self.assertEqual(self.output_of("cat", stdin=data.encode()), data)

    def test_error_stream(self):
        done = self.run_rust("err", "to whom it may concern")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", "to whom it may concern\n"))

    def test_waiting(self):
        start = time.monotonic()
        self.assertGreaterEqual(int(self.output_of("sleep", "300")), 300)
        self.assertGreaterEqual(time.monotonic() - start, 0.3)

    def test_time_and_chance(self):
        self.assertAlmostEqual(int(self.output_of("time")), time.time(), delta=60)
        self.assertNotEqual(self.output_of("random"), self.output_of("random"))

    # --- how it ends ---

    def test_exit_codes(self):
        for code in (0, 1, 7, 255):
            self.assertEqual(self.run_rust("exit", str(code)).returncode, code)
        self.assertEqual(self.run_rust("quit", "0").returncode, 0)
        self.assertEqual(self.run_rust("quit", "1").returncode, 1)

    def test_panic_is_a_trap(self):
        done = self.run_rust("panic")
        self.assertEqual(done.returncode, wisp.EXIT_TRAP)
        self.assertIn("asked to", done.stderr)
        self.assertIn("unreachable", done.stderr)

    def test_results_of_run(self):
        self.assertEqual(self.wisp("run", self.command_component("succeeds")).returncode, 0)
        self.assertEqual(self.wisp("run", self.command_component("fails")).returncode, 1)
        self.assertEqual(self.wisp("run", self.command_component("exits")).returncode, 1)

    def test_faults(self):
        for name, words in (("traps", "unreachable"), ("recurses", "stack"), ("bad-result", "")):
            done = self.wisp("run", self.command_component(name))
            self.assertEqual(done.returncode, wisp.EXIT_TRAP, done)
            self.assertIn(words, done.stderr)

    def test_time_limit(self):
        done = self.wisp("run", "--timeout", "300ms", self.command_component("loops"))
        self.assertEqual(done.returncode, wisp.EXIT_TIMEOUT, done)
        self.assertIn("300", done.stderr)
        done = self.run_rust("sleep", "100000", flags=["--timeout", "300ms"])
        self.assertEqual(done.returncode, wisp.EXIT_TIMEOUT, done)

    def test_signal_ends_it(self):
        file = self.command_component("loops")
        process = subprocess.Popen([wisp.PROGRAM, "run", file], env=self.env)
        self.addCleanup(process.kill)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(wisp.PATIENCE), -signal.SIGINT)

    # --- files ---

    def make_files(self):
        os.mkdir(self.path("data"))
        self.write("data/file.txt", "one\ntwo three\n")
        self.write("secret", "not yours\n")
        os.symlink("../secret", self.path("data/link"))
        os.symlink("/etc/passwd", self.path("data/absolute"))
        os.symlink("file.txt", self.path("data/good"))
        return self.path("data")

    def test_reading(self):
        flags = ["--dir", f"{self.make_files()}::/data"]
        self.assertEqual(self.output_of("cat", "/data/file.txt", flags=flags), "one\ntwo three\n")
        self.assertEqual(self.output_of("cat", "/data/good", flags=flags), "one\ntwo three\n")
        self.assertEqual(self.output_of("wc", "/data/file.txt", flags=flags), "2 3 14 /data/file.txt\n")
        self.assertIn("- 14 file.txt\n", self.output_of("ls", "/data", flags=flags))

    def test_writing(self):
        folder = self.make_files()
        flags = ["--dir", f"{folder}::/data"]
        self.output_of("write", "/data/new", stdin=b"fresh", flags=flags)
        with open(folder + "/new") as file:
            self.assertEqual(file.read(), "fresh")
        self.output_of("mkdir", "/data/sub", flags=flags)
        self.assertTrue(os.path.isdir(folder + "/sub"))
        self.output_of("mv", "/data/new", "/data/sub/newer", flags=flags)
        self.assertEqual(os.listdir(folder + "/sub"), ["newer"])
        self.output_of("rm", "/data/sub/newer", flags=flags)
        self.output_of("rmdir", "/data/sub", flags=flags)
        self.assertFalse(os.path.exists(folder + "/sub"))

    def test_read_only(self):
        folder = self.make_files()
        flags = ["--dir", f"{folder}::/data:ro"]
        self.assertEqual(self.output_of("cat", "/data/file.txt", flags=flags), "one\ntwo three\n")
        for args in (["write", "/data/file.txt"], ["write", "/data/new"], ["mkdir", "/data/sub"],
                     ["rm", "/data/file.txt"], ["mv", "/data/file.txt", "/data/other"]):
            done = self.run_rust(*args, flags=flags, stdin=b"x")
            self.assertEqual(done.returncode, 1, (args, done))
        self.assertEqual(sorted(os.listdir(folder)), ["absolute", "file.txt", "good", "link"])

    def test_nothing_without_dir(self):
        done = self.run_rust("cat", self.make_files() + "/file.txt")
        self.assertEqual(done.returncode, 1)

    def test_no_way_out(self):
        folder = self.make_files()
        for name in ("/data/../secret", "/data/link", "/data/absolute", "/etc/passwd", folder + "/../secret",
                     "/data/file.txt/../../secret"):
            done = self.run_rust("cat", name, flags=["--dir", f"{folder}::/data"])
            self.assertEqual((done.returncode, done.stdout), (1, ""), (name, done))

    def test_several_directories(self):
        folder = self.make_files()
        os.mkdir(self.path("out"))
        flags = ["--dir", f"{folder}::/in:ro", "--dir", f"{self.path('out')}::/out"]
        self.assertEqual(self.output_of("cat", "/in/file.txt", flags=flags), "one\ntwo three\n")
        self.output_of("write", "/out/x", stdin=b"y", flags=flags)
        self.assertTrue(stat.S_ISREG(os.stat(self.path("out/x")).st_mode))

    # --- the other toolchain ---

    def test_go(self):
        os.mkdir(self.path("out"))
        # Its code goes through the Preview 1 adapter, which knows success and failure only.
        for code, expected in (("0", 0), ("3", 1)):
            done = self.wisp("run", "--env", "GREETING=servus", "--dir", f"{self.path('out')}::/out",
                             wisp.guest("command-go"), "--", code, "/out/copy", stdin=b"some input")
            self.assertEqual(done.returncode, expected, done)
            self.assertEqual(done.stdout, f"argument 1: {code}\nargument 2: /out/copy\nGREETING: servus\n"
                                          "input: 10 bytes\n")
            with open(self.path("out/copy")) as file:
                self.assertEqual(file.read(), "some input")


if __name__ == "__main__":
    wisp.main()
