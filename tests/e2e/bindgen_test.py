# SPDX-License-Identifier: Apache-2.0
"""`wisp bindgen provider`: C from WIT that compilers have nothing to say about, and that means what the WIT says:
providers/front.c and providers/back.c are called through every type that there is, and call each other."""

import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import hosts
import wisp
from provider_sdk_test import install_sdk

PROVIDERS = os.path.join(wisp.HERE, "providers")
WARNINGS = "-Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Werror"
CFLAGS = ["-std=gnu17", "-O1", "-g", *WARNINGS.split()]

# providers/front.c makes it, and tells what it is in one line.
MADE = ('{is-there: true, numbers: {a: -8, b: 8, c: -16, d: 16, e: -32, f: 32, g: -64, h: 64, i: 1.5, j: -0.25}, '
        'letter: \'😀\', text: "t\\"ext", bytes: [0, 255], level: high, rights: {read, interface}, many: {b00, b31}, '
        'shape: small(200), default: some(none), outcome: err("no"), done: err, rarely: err(high), mostly: ok(65535), '
        'pair: (1, (true, "two")), shapes: [empty, polygon([(-1, 2), (3, -4)]), at({id: 7, name: "seven"})], '
        'linux: ["x", ""]}')
OTHER = ('{is-there: false, numbers: {a: 127, b: 255, c: 32767, d: 65535, e: -2147483648, f: 4294967295, '
         'g: -9223372036854775808, h: 18446744073709551615, i: -0.5, j: 1000000}, letter: \'a\', text: "ü", bytes: [], '
         'level: low, rights: {write}, many: {b01, b30}, shape: circle(2.5), default: some(some(7)), '
         'outcome: ok({id: 18446744073709551615, name: "there"}), done: ok, rarely: ok, mostly: err, '
         'pair: (255, (false, "")), shapes: [], linux: []}')
OTHER_TOLD = ("0 127,255,32767,65535,-2147483648,4294967295,-9223372036854775808,18446744073709551615,-0.5,1e+06 61 ü 0 0 2 "
              "40000002 1:2.5 11 0:18446744073709551615:there 0 0 1 255.0. 0 0")


class GeneratedTest(wisp.Case):
    """Compiled once for all of these."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.built = tempfile.mkdtemp(prefix="wisp-bindgen-")
        cls.addClassCleanup(shutil.rmtree, cls.built)
        env = install_sdk(os.path.join(cls.built, "sdk"))
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "wisp-provider"], env=env, check=True,
                               capture_output=True, text=True).stdout.split()
        for world, name in ("front", "front"), ("back", "peer"):
            subprocess.run([wisp.PROGRAM, "bindgen", "provider", os.path.join(PROVIDERS, "every.wit"), "--world", world,
                            "--name", name, "--directory", cls.built], check=True, stdout=subprocess.DEVNULL)
            subprocess.run([os.environ.get("CC", "cc"), *CFLAGS, "-I", cls.built, "-o", os.path.join(cls.built, world),
                            os.path.join(PROVIDERS, world + ".c"), os.path.join(cls.built, name + ".c"), *flags], check=True)

    def setUp(self):
        super().setUp()
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host()
        for name in "front", "back":
            done = self.lattice.wisp("start", "provider", os.path.join(self.built, name), name)
            self.assertEqual(done.returncode, 0, done)
        self.types = self.image_of("asked")

    def image_of(self, world):
        """A component with that world's types: all that a caller needs to know."""
        path = self.path(world + ".wasm")
        core = self.path(world + ".core.wasm")
        for command in (["embed", os.path.join(PROVIDERS, "every.wit"), "--world", world, "--dummy", "-o", core],
                        ["new", core, "-o", path]):
            subprocess.run([wisp.wasm_tools(), "component", *command], check=True)
        return path

    def call(self, function, *args):
        return self.lattice.wisp("call", "front", "test:every/values@1.0.0." + function, "--image", self.types, "--", *args)

    def answers(self, expected, function, *args):
        done = self.call(function, *args)
        self.assertEqual((done.returncode, done.stdout.rstrip("\n")), (0, expected), done.stderr + self.host.log[-3000:])

    def test_values_there_and_back(self):
        self.answers(MADE, "make")
        for value in MADE, OTHER:
            self.answers(value, "echo", value)
            self.answers(value, "far", value)
        self.answers(json.dumps(OTHER_TOLD, ensure_ascii=False), "tell", OTHER)
        self.answers('[{id: 2, name: "b"}, {id: 1, name: "a"}, {id: 200, name: "one"}]', "spots",
                     '[{id: 1, name: "a"}, {id: 2, name: "b"}]', "{x: 200}")
        self.answers("{n: 41}", "count", '[{id: 1, name: "a"}]', "{first: 40}")
        self.answers("(b-c, c)", "names", "b-c", "c")
        self.answers("", "nothing")
        self.assertIn("err", (self.call("not-now").stdout + self.call("not-now").stderr))
        self.answers("-3", "int", "-5", "some(2)")
        never = self.call("never")
        self.assertNotEqual(never.returncode, 0)
        self.assertEqual(never.stdout, "")
        self.host.stop()

    def test_streams_between_providers(self):
        self.answers("0", "far-sum", "0")
        self.answers(str(sum(range(1, 5001))), "far-sum", "5000")
        self.answers('"5 bytes"', "far-length", "12345")
        self.answers(f'"{100_000} bytes"', "far-length", "x" * 100_000)
        self.host.stop()


class BindgenTest(wisp.Case):
    def generate(self, *args):
        return self.wisp("bindgen", "provider", *args, "--directory", self.folder)

    def refused(self, code, words, *args):
        done = self.generate(*args)
        self.assertEqual((done.returncode, done.stdout), (wisp.EXIT[code], ""), done.stderr)
        self.assertRegex(done.stderr.removeprefix("wisp: error: ").rstrip("\n"), words)
        self.assertEqual(glob.glob(self.path("*.[ch]")), [])

    def wit(self, text, name="a.wit"):
        return self.write(name, text)

    def test_what_it_makes(self):
        wit = self.wit("package a:b@1.0.0; interface i { f: func(); } world my-world { export i; }")
        done = self.generate(wit)
        self.assertEqual((done.returncode, done.stdout.split()), (0, [self.path("my_world.h"), self.path("my_world.c")]))
        made = json.loads(self.generate(wit, "--name", "other", "-o", "json").stdout)
        self.assertEqual(made["world"], "a:b/my-world@1.0.0")
        self.assertEqual((made["header"], made["source"]), (self.path("other.h"), self.path("other.c")))
        with open(made["source"]) as file:
            source = file.read()
        self.assertIn('#include "other.h"', source)
        self.generate(wit, "--name", "other")
        with open(made["source"]) as file:
            self.assertEqual(file.read(), source, "the same again")

    def test_help(self):
        text = self.wisp("bindgen", "provider", "--help").stdout
        for word in "--world", "--directory", "--name", "WIT":
            self.assertIn(word, text)
        self.assertIn("provider", self.wisp("bindgen", "--help").stdout)
        self.assertEqual(self.wisp("bindgen").returncode, wisp.EXIT["usage"])
        self.assertEqual(self.wisp("bindgen", "provider").returncode, wisp.EXIT["usage"])

    def test_what_cannot_be_read(self):
        self.refused("not-found", "nowhere.wit` can't be read: No such file", self.path("nowhere.wit"))
        os.mkdir(self.path("empty"))
        self.refused("not-found", "there are no .wit files in", self.path("empty"))
        self.refused("invalid", "binary.wit: it is not UTF-8", self.wit(b"\xff\xfe", "binary.wit"))
        good = self.wit("package a:b; interface i { f: func(); } world w { export i; }", "good.wit")
        done = self.wisp("bindgen", "provider", good, "--directory", self.path("not/there"))
        self.assertEqual(done.returncode, wisp.EXIT["not-found"])
        self.assertRegex(done.stderr, "not/there/w.h` can't be written: No such file")
        self.refused("usage", "`9lives` can't be a name in C", good, "--name", "9lives")
        self.refused("usage", r"`../../x` can't be a name in C", good, "--name", "../../x")
        self.refused("usage", "nome", good, "--nome", "x")

    def test_worlds(self):
        two = self.wit("package a:b; interface i { f: func(); } world one { export i; } world two { import i; }")
        self.refused("not-found", "several worlds, say which: `one`, `two`", two)
        self.refused("not-found", "there is no world `three`, but `one`, `two`", two, "--world", "three")
        self.refused("not-found", "the package has no world", self.wit("package a:b; interface i { f: func(); }"))
        self.refused("invalid", "no file says the package's name", self.wit("interface i { f: func(); } world w { export i; }"))

    def test_mistakes_have_a_place(self):
        for text, words in (
                ("package a:b;\ninterface i {\n  f: func(x: u9);\n}\nworld w { export i; }", r"a\.wit:3:14: there is no type `u9`"),
                ("package a:b;\nworld w {\n\texport ;\n}", r"a\.wit:3:9: expected an interface or a function, where there is `;`"),
                ("package a:b;\nworld w { export i }", r"a\.wit:2:20: expected `;`, where there is `}`"),
                ("package a:b;\nworld w {", r"a\.wit:2:10: expected .*, where the file ends"),
                ("package a:b;\ninterface i { f: func() - > u8; }", r"a\.wit:2:25: .*`-`|a\.wit:2:25: this character"),
                ("package a:b;\ninterface i { type t = u8; t: func(); }", r"a\.wit:2:28: there is a type `t` too"),
                ("package a:b;\nworld w { export wasi:http/types@0.2.0; }", r"there is no package `wasi:http@0\.2\.0` among the files"),
                ("packag a:b;", r"a\.wit:1:1: expected `package`, `interface`, `world` or `use`, where there is `packag`")):
            with self.subTest(text=text):
                self.refused("invalid", words, self.wit(text))

    def test_what_providers_cannot_have(self):
        for text, words in (
                ("interface i { resource r; } world w { export i; }", "`r`: resources can't be in"),
                ("interface i { resource r { m: func(); } f: func(x: borrow<r>); } world w { import i; }", "resources can't be in"),
                ("world w { export f: func(); }", "functions outside of an interface can't be reached by links"),
                ("interface i { f: func(); } world w { import i; export i; }", "`a:b/i`: an interface can't be both"),
                ("interface i { f: func(); f-return: func(); } world w { export i; }", "`f-return`: two of its names are the same"),
                ("world w {}", "the world has no interface")):
            with self.subTest(text=text):
                self.refused("unsupported", words, self.wit("package a:b; " + text))

    def test_packages_of_a_folder(self):
        os.makedirs(self.path("wit/deps/far"))
        self.wit("package a:b; world w { include common with { x as y } export far:one/i@1.0.0; export far:two/i; }", "wit/w.wit")
        self.wit("world common { export x: interface { f: func(); } import far:three/handler; }", "wit/common.wit")
        self.wit("package far:one@1.0.0; interface i { enum e { a } f: func(x: e); }", "wit/deps/one.wit")
        self.wit("package far:two; interface i { f: func() -> u8; }", "wit/deps/far/two.wit")
        self.wit("package far:three; interface handler { f: func(); }", "wit/deps/three.wit")
        self.wit("not WIT", "wit/deps/README.md")
        done = self.generate(self.path("wit"), "--world", "w")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path("w.h")) as file:
            header = file.read()
        for line in ("void one_i_f(struct wisp_provider_call *call, const struct one_i_f_args *args);",
                     "void two_i_f(struct wisp_provider_call *call);", "void y_f(struct wisp_provider_call *call);",
                     "int handler_f_call(struct wisp_provider *provider, const struct wisp_provider_request *request,"):
            self.assertIn(line, header)

    def test_wasi_is_read(self):
        """All of WASI 0.2, as its crates bring it: resources end it, but nothing before."""
        home = os.environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo")
        crates = glob.glob(os.path.join(home, "registry/src/*/wasi*0.2.*/wit/deps"))
        if not crates:
            raise unittest.SkipTest("no crate of WASI's in cargo's registry")
        for path in crates:
            with self.subTest(path=path):
                folder = tempfile.mkdtemp(dir=self.folder)
                shutil.copytree(path, os.path.join(folder, "deps"))
                worlds = self.worlds_of(path)
                self.assertGreater(len(worlds), 5)
                with open(os.path.join(folder, "all.wit"), "w") as file:
                    file.write("package a:b;\nworld w {\n" + "".join(f"  include {world};\n" for world in worlds) + "}\n")
                self.refused("unsupported", "resources can't be in", folder)

    def worlds_of(self, path):
        """ "wasi:cli/imports@0.2.9" and so on."""
        found = []
        for parent, _, names in os.walk(path):
            text = ""
            for name in names:
                with open(os.path.join(parent, name)) as file:
                    text = file.read() if parent == path else text + file.read()
                if parent == path or name == names[-1]:
                    package, version = re.search(r"^package (wasi:\S+)@(\S+);", text, re.M).groups()
                    found += [f"{package}/{world}@{version}" for world in re.findall(r"^world (\S+) {", text, re.M)]
        return found


if __name__ == "__main__":
    wisp.main()
