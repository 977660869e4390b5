# SPDX-License-Identifier: Apache-2.0
"""Files that are no component, or none for us: one line that says what, to what, and what to try."""

import os
import random
import subprocess

import wisp

VERBS = ("run", "inspect", "compile")


class Files(wisp.Case):
    def refused(self, code, path, *words, verbs=VERBS, **options):
        for verb in verbs:
            error = self.fails(wisp.EXIT[code], verb, path, **options)
            for word in (os.path.basename(path), *words):
                self.assertIn(word, error, verb)

    def binary(self, path):
        """A text component as binary."""
        out = self.path("binary.wasm")
        subprocess.run([wisp.wasm_tools(), "parse", path, "-o", out], check=True)
        with open(out, "rb") as file:
            return file.read()

    # --- no file ---

    def test_missing(self):
        self.refused("not-found", self.path("missing.wasm"), "No such file")

    def test_directory(self):
        self.refused("invalid", self.folder, "is a directory", "target/wasm32-wasip2")

    def test_folder_that_is_a_file(self):
        self.refused("not-found", self.write("x", "") + "/y.wasm", "Not a directory")

    def test_unreadable(self):
        path = self.write("unreadable.wasm", "x")
        os.chmod(path, 0)
        rights = {}
        if os.geteuid() == 0:
            # Root reads everything, so these runs are somebody else.
            rights = {"user": 65534, "group": 65534, "extra_groups": [], "env": {"HOME": self.folder}}
            if not self.can_execute_as(rights):
                self.skipTest("the program's folder is closed to other users")
        self.refused("denied", path, "Permission denied", **rights)

    def can_execute_as(self, rights):
        try:
            return self.wisp("version", **rights).returncode == 0
        except OSError:
            return False

    def test_name_with_odd_bytes(self):
        path = os.path.join(os.fsencode(self.folder), b"\xff\n\x1b[31m.wasm")
        done = subprocess.run([wisp.PROGRAM, "run", path], capture_output=True, env=self.env)
        self.assertEqual(done.returncode, wisp.EXIT["not-found"])

    # --- no WebAssembly ---

    def test_empty(self):
        self.refused("invalid", self.write("empty.wasm", ""), "is empty")

    def test_something_else(self):
        self.refused("invalid", self.write("a.out", b"\x7fELF\x02\x01\x01\0" + b"\0" * 100), "is not WebAssembly",
                     "7f 45 4c 46")
        self.refused("invalid", self.write("page.wasm", "<!doctype html>"), "is not WebAssembly")
        self.refused("invalid", self.write("short.wasm", b"\0as"), "is not WebAssembly")

    def test_bad_text(self):
        """The only error of several lines: it shows the place."""
        for text, place in (("(component\n  (frobnicate))\n", "2:4"), ("(component", "1:")):
            for verb in VERBS:
                done = self.wisp(verb, self.write("bad.wat", text))
                self.assertEqual(done.returncode, wisp.EXIT["invalid"])
                self.assertRegex(done.stderr, "^wisp: error: .*bad.wat")
                self.assertIn(place, done.stderr)

    def test_core_module(self):
        self.refused("invalid", self.component("core-module"), "core module", "component new")

    def test_magic_only(self):
        self.refused("invalid", self.write("magic.wasm", b"\0asm"))

    def test_other_version_of_the_format(self):
        self.refused("invalid", self.write("future.wasm", b"\0asm\x2a\0\1\0"))

    # --- broken components ---

    def test_truncated(self):
        whole = self.binary(self.http_component("ok"))
        rng = random.Random(1)
        for size in sorted(rng.sample(range(9, len(whole)), 12)):
            done = self.wisp("inspect", self.write("cut.wasm", whole[:size]))
            # A cut between two sections can leave a smaller, valid component.
            self.assertIn(done.returncode, (0, wisp.EXIT["invalid"], wisp.EXIT["unsupported"]), (size, done))
        self.refused("invalid", self.write("cut.wasm", whole[: len(whole) - 3]))

    def test_bit_flips(self):
        """Whatever the flip does, the answer is an ordinary one: no crash, no hang, no sanitizer."""
        whole = bytearray(self.binary(self.http_component("ok")))
        rng = random.Random(2)
        codes = set()
        for _ in range(150):
            at, bit = rng.randrange(8, len(whole)), 1 << rng.randrange(8)
            whole[at] ^= bit
            done = self.wisp("inspect", self.write("flipped.wasm", bytes(whole)), patience=60)
            codes.add(done.returncode)
            if done.returncode:
                self.assertTrue(done.stderr.startswith("wisp: error: "), done)
            whole[at] ^= bit
        self.assertLessEqual(codes, {0, *wisp.EXIT.values()})
        self.assertIn(wisp.EXIT["invalid"], codes)

    def test_bit_flips_when_run(self):
        whole = bytearray(self.binary(self.command_component("succeeds")))
        rng = random.Random(3)
        for _ in range(60):
            at, bit = rng.randrange(8, len(whole)), 1 << rng.randrange(8)
            whole[at] ^= bit
            done = self.wisp("run", "--timeout", "10s", self.write("flipped.wasm", bytes(whole)), patience=60)
            self.assertIn(done.returncode, {0, 1, wisp.EXIT_TRAP, wisp.EXIT_TIMEOUT, *wisp.EXIT.values()}, done)
            whole[at] ^= bit

    def test_too_big(self):
        path = self.path("big.wasm")
        with open(path, "wb") as file:
            file.truncate((512 << 20) + 1)
        self.refused("limit", path, "512 MiB")

    def test_too_big_without_a_size(self):
        """A pipe tells its size by ending only."""
        read, write = os.pipe()
        feeder = subprocess.Popen(["head", "-c", str((512 << 20) + 1), "/dev/zero"], stdout=write)
        os.close(write)
        done = subprocess.run([wisp.PROGRAM, "inspect", f"/dev/fd/{read}"], capture_output=True, pass_fds=[read],
                              env=self.env)
        os.close(read)
        feeder.wait()
        self.assertEqual(done.returncode, wisp.EXIT["limit"], done)

    def test_pipe_works(self):
        with open(self.command_component("fails"), "rb") as file:
            done = self.wisp("run", "/dev/stdin", stdin=file.read())
        self.assertEqual(done.returncode, 1, done)

    # --- components for somebody else ---

    def test_unknown_import(self):
        error = self.fails(wisp.EXIT["not-found"], "run", self.component("unknown-import"))
        self.assertIn("acme:rocket/engine@1.2.3", error)

    def test_unknown_import_of_a_service_is_told_once(self):
        with open(self.http_component("ok")) as file:
            text = file.read()
        path = self.write("odd.wat", text.replace("(component\n", """(component
  (import "acme:rocket/engine@1.2.3" (instance $engine (export "ignite" (func))))
  (core func $ignite (canon lower (func $engine "ignite")))
  (core module $User (import "host" "ignite" (func)))
  (core instance (instantiate $User (with "host" (instance (export "ignite" (func $ignite))))))
""", 1))
        error = self.fails(wisp.EXIT["not-found"], "run", "--addr", "127.0.0.1:0", "--workers", "4", path)
        self.assertIn("acme:rocket/engine@1.2.3", error)
        self.assertIn("odd.wat", error)

    def test_import_in_another_version(self):
        error = self.fails(wisp.EXIT["not-found"], "run", self.component("other-version"))
        self.assertIn("wasi:random/random@0.9.0", error)
        self.assertRegex(error, r"0\.2\.\d")

    def test_import_of_an_unknown_function(self):
        error = self.fails(wisp.EXIT["not-found"], "run", self.component("unknown-function"))
        self.assertIn("ignite", error)
        self.assertIn("get-random-u64", error)

    def test_import_with_another_type(self):
        error = self.fails(wisp.EXIT["invalid"], "run", self.component("wrong-type"))
        self.assertIn("get-random-u64", error)
        self.assertIn("u32", error)
        self.assertIn("u64", error)

    def test_no_known_world(self):
        error = self.fails(wisp.EXIT["unsupported"], "run", self.component("unknown-world"))
        for word in ("acme:rocket/pad@1.0.0", "abort", "wasi:http/incoming-handler", "wasi:cli/run"):
            self.assertIn(word, error)
        error = self.fails(wisp.EXIT["unsupported"], "run", self.component("empty"))
        self.assertIn("exports nothing", error)

    def test_known_world_of_another_type(self):
        error = self.fails(wisp.EXIT["invalid"], "run", self.component("wrong-run"))
        self.assertIn("wasi:cli/run", error)


if __name__ == "__main__":
    wisp.main()
