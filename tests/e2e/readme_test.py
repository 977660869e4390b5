# SPDX-License-Identifier: Apache-2.0
"""The commands of README.md and of the examples' READMEs do what they say there."""
import glob
import os
import shlex

import documents
import wisp


class Readme(wisp.Case):
    def setUp(self):
        super().setUp()
        self.one_component, _, self.lattice = documents.read("README.md").partition("\n## A lattice\n")

    def run_command(self, args):
        args = [wisp.guest(documents.FILES[arg]) if arg in documents.FILES else arg for arg in args]
        if args[0] == "run" and "--addr" in args:
            at = args.index("--addr")
            server = self.serve(args[1], *args[2:at], *args[at + 2:])
            self.assertEqual(server.get().status, 200)
            server.stop()
            return
        result = self.wisp(*args, cwd=documents.ROOT)
        self.assertEqual(result.returncode, 0, (args, result.stderr))
        self.assertTrue(result.stdout, args)

    def test_one_component(self):
        found = documents.indented(self.one_component, ["build/wisp"])
        self.assertGreaterEqual(len(found), 5)
        for line in found:
            with self.subTest(line):
                self.run_command(shlex.split(line, comments=True)[1:])

    def test_lattice(self):
        """The comment of a curl is the answer."""
        session = documents.Session(self)
        found = documents.indented(self.lattice, ["build/wisp", "curl"])
        self.assertGreaterEqual(len(found), 8)
        for line in found:
            command, _, comment = line.partition(" # ")
            session.prints(command, [comment] if command.startswith("curl") else [])
        self.assertIn("no host", session.succeeds("build/wisp down --all"))

    def test_every_example_has_a_readme_that_names_its_command(self):
        for folder in glob.glob(os.path.join(documents.ROOT, "examples", "*", "build")):
            path = os.path.join(os.path.dirname(folder), "README.md")
            with self.subTest(example=path), open(path) as file:
                self.assertRegex(file.read(), "wisp (run|start|inspect) ")
