# SPDX-License-Identifier: Apache-2.0
"""The commands of README.md and of the examples' READMEs do what they say there."""
import glob
import os
import re
import shlex

import wisp

ROOT = os.path.dirname(os.path.dirname(wisp.HERE))
FILES = {"app.wasm": "http-hello-rust", "tool.wasm": "command-rust"}


def commands(path, program):
    """Indented lines that call the program, without their comments, split as a shell would."""
    with open(path) as file:
        lines = re.findall(rf"^ {{4}}({re.escape(program)} .*)$", file.read(), re.M)
    return [shlex.split(line, comments=True)[1:] for line in lines]


class Readme(wisp.Case):
    def run_command(self, args):
        args = [wisp.guest(FILES[arg]) if arg in FILES else arg for arg in args]
        if args[0] == "run" and "--addr" in args:
            at = args.index("--addr")
            server = self.serve(args[1], *args[2:at], *args[at + 2:])
            self.assertEqual(server.get().status, 200)
            server.stop()
            return
        result = self.wisp(*args, cwd=ROOT)
        self.assertEqual(result.returncode, 0, (args, result.stderr))
        self.assertTrue(result.stdout, args)

    def test_readme(self):
        found = commands(os.path.join(ROOT, "README.md"), "build/wisp")
        self.assertGreaterEqual(len(found), 5)
        for args in found:
            with self.subTest(args=args):
                self.run_command(args)

    def test_every_example_has_a_readme_that_names_its_command(self):
        for folder in glob.glob(os.path.join(ROOT, "examples", "*", "build")):
            path = os.path.join(os.path.dirname(folder), "README.md")
            with self.subTest(example=path), open(path) as file:
                self.assertIn("wisp run", file.read())
