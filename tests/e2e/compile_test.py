# SPDX-License-Identifier: Apache-2.0
"""The code cache: filled ahead of time, used by every start, never trusted blindly."""

import glob
import json
import os
import subprocess

import wisp


class Compile(wisp.Case):
    def setUp(self):
        super().setUp()
        self.cache = self.path("cache")
        self.env["WISP_CACHE"] = self.cache
        self.guest = wisp.guest("http-hello-rust")

    def compile(self, file=None):
        done = self.wisp("compile", "-o", "json", file or self.guest)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        found = json.loads(done.stdout)
        self.assertEqual(list(found), ["file", "size", "modules", "compiled", "milliseconds"])
        return found

    def entries(self):
        """Names of the cache's files with what tells whether they were written again."""
        paths = glob.glob(self.cache + "/**/*.*", recursive=True)
        return {path: (os.stat(path).st_ino, os.stat(path).st_mtime_ns) for path in paths}

    def check_serves(self, file=None):
        server = self.serve(file or self.guest, "--workers", "2", "--log-level", "debug")
        server.wait_for_log("child is ready", 2)
        self.assertEqual(server.get().status, 200)
        server.stop()
        return server

    def test_text(self):
        done = self.wisp("compile", self.guest)
        self.assertRegex(done.stdout, r"^http-hello-rust\.wasm: compiled 1 of 1 core module in [\d.]+ ms\n$")
        done = self.wisp("compile", self.guest)
        self.assertRegex(done.stdout, r"^http-hello-rust\.wasm: in the code cache already, ")

    def test_second_time_finds_it(self):
        first = self.compile()
        self.assertEqual(first["compiled"], first["modules"])
        self.assertEqual(self.compile()["compiled"], 0)

    def test_warm_start_does_not_compile(self):
        for name in ("http-hello-rust", "http-hello-python"):
            file = wisp.guest(name)
            self.compile(file)
            before = self.entries()
            self.check_serves(file)
            self.assertEqual(self.entries(), before)

    def test_it_stays_within_its_size(self):
        self.compile()
        old = self.entries()
        for path in old:
            os.utime(path, (1, os.stat(path).st_mtime - 48 * 3600))
        self.env["WISP_CACHE_MAX"] = "64K"
        server = self.check_serves(wisp.guest("http-echo-rust"))
        self.assertRegex(server.log, r"removed, to stay within the cache's size.* file=\S+\.cwasm bytes=\d+")
        self.assertFalse(set(old) & set(self.entries()))
        before = self.entries()
        self.assertEqual(self.compile()["compiled"], 1)
        self.assertLess(set(before), set(self.entries()))  # what was used today stays

    def test_cold_start_fills_it(self):
        self.check_serves()
        self.assertEqual(self.compile()["compiled"], 0)

    def test_command_uses_it(self):
        file = wisp.guest("command-rust")
        self.compile(file)
        before = self.entries()
        self.assertEqual(self.wisp("run", file, "--", "args").returncode, 0)
        self.assertEqual(self.entries(), before)

    def code_file(self):
        [path] = glob.glob(self.cache + "/**/*.cwasm", recursive=True)
        return path

    def test_torn_file(self):
        self.compile()
        os.truncate(self.code_file(), os.path.getsize(self.code_file()) // 2)
        self.assertEqual(self.compile()["compiled"], 1)
        os.truncate(self.code_file(), 0)
        self.check_serves()

    def test_changed_file(self):
        self.compile()
        path = self.code_file()
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) // 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 0xFF]))
        self.assertEqual(self.compile()["compiled"], 1)

    def test_file_that_others_can_write(self):
        self.compile()
        os.chmod(self.code_file(), 0o666)
        self.assertEqual(self.compile()["compiled"], 1)

    def test_folder_that_others_can_write(self):
        self.compile()
        folder = os.path.dirname(self.code_file())
        os.chmod(folder, 0o777)
        server = self.serve(self.guest, "--workers", "1")
        self.assertEqual(server.get().status, 200)
        self.assertIn("others can write", server.log)
        server.stop()

    def test_folder_that_cannot_be_written(self):
        self.write("cache", "a file where the folder should be")
        self.check_serves()

    def test_no_home(self):
        env = {name: value for name, value in self.env.items() if name not in ("HOME", "WISP_CACHE", "XDG_CACHE_HOME")}
        self.env = env
        self.check_serves()

    def test_many_at_once(self):
        """Whoever comes first fills it; nobody reads half a file."""
        file = wisp.guest("http-echo-rust")
        running = [subprocess.Popen([wisp.PROGRAM, "compile", file], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    env=self.env) for _ in range(4)]
        for process in running:
            _, errors = process.communicate()
            self.assertEqual((process.returncode, errors), (0, b""))
        self.assertEqual(self.compile(file)["compiled"], 0)


if __name__ == "__main__":
    wisp.main()
