# SPDX-License-Identifier: Apache-2.0
"""What `wisp inspect` tells, and that other tools read it."""

import json
import os
import platform
import subprocess

import archives
import wisp

GUESTS = ("http-hello-rust", "http-echo-rust", "http-hello-c", "http-hello-go", "http-hello-js", "http-hello-python",
          "command-rust", "command-go")


class Inspect(wisp.Case):
    def inspect(self, *args):
        done = self.wisp("inspect", *args)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def test_a_provider_archive(self):
        archive = archives.write(self.path("scripted.par.gz"), b"#!/bin/sh\n")
        text = self.inspect(archive)
        for words in (r"provider +scripted", r"vendor +tests", rf"targets +{platform.machine()}-linux", r"size +10 bytes",
                      r"digest +sha256:[0-9a-f]{64}", r"signed by +A[A-Z0-9]{55}", r"key +V[A-Z0-9]{55}"):
            self.assertRegex(text, words)
        told = json.loads(self.inspect("file://" + archive, "-o", "json"))
        self.assertEqual((told["name"], told["vendor"], told["version"], told["targets"], told["size"]),
                         ("scripted", "tests", None, [platform.machine() + "-linux"], 10))
        self.assertRegex(self.fails(wisp.EXIT["unsupported"], "inspect", archive, "-o", "wit"), "is a provider archive; -o wit")
        broken = archives.write(self.path("broken.par.gz"), b"x", breaks_signature=True)
        self.assertRegex(self.fails(wisp.EXIT["denied"], "inspect", broken), "signature")
        other = archives.write(self.path("other.par.gz"), b"x", signed=b"y")
        self.assertRegex(self.fails(wisp.EXIT["invalid"], "inspect", other), "is not what its claims were signed for")
        with open(archive, "rb") as file:
            cut = self.write("cut.par.gz", file.read()[:100])
        self.assertRegex(self.fails(wisp.EXIT["invalid"], "inspect", cut), "damaged")
        self.assertRegex(self.fails(wisp.EXIT["invalid"], "inspect", wisp.PROGRAM), "is not WebAssembly but a program")

    def test_text(self):
        text = self.inspect(wisp.guest("http-hello-rust"))
        self.assertRegex(text, r"(?m)^is +HTTP service$")
        self.assertRegex(text, r"(?m)^size +[\d,]+ bytes \([\d.]+ KiB\)$")
        self.assertRegex(text, r"(?m)^instances +may serve many calls, put back to new after each$")
        self.assertRegex(text, r"(?m)^imports$")
        self.assertRegex(text, r"(?m)^  wasi:http/types@0\.2\.\d+ +\d+ functions$")
        self.assertRegex(text, r"(?m)^  wasi:http/incoming-handler@0\.2\.\d+ +1 function$")
        self.assertNotIn("\033", text)

    def test_json(self):
        found = json.loads(self.inspect("-o", "json", wisp.guest("http-hello-python")))
        self.assertEqual(list(found), ["file", "format", "size", "world", "modules", "imports", "exports", "producers"])
        self.assertEqual((found["file"], found["format"], found["world"]),
                         ("http-hello-python.wasm", "binary", "http"))
        self.assertGreater(found["size"], 1_000_000)
        self.assertGreater(found["modules"]["total"], found["modules"]["instantiated"] - 1)
        self.assertGreater(found["modules"]["instantiated"], 1)
        self.assertEqual((found["modules"]["put_back"], found["modules"]["put_back_reason"]), (True, None))
        for item in found["imports"] + found["exports"]:
            self.assertEqual(list(item), ["name", "kind", "package", "interface", "version", "functions", "types"])
            if item["package"]:
                self.assertEqual(item["name"], f"{item['package']}/{item['interface']}@{item['version']}")
        self.assertIn("wasi:http/incoming-handler", [item["name"].split("@")[0] for item in found["exports"]])
        self.assertTrue(any(producer["name"] == "componentize-py" or producer["field"] == "processed-by"
                            for producer in found["producers"]), found["producers"])

    def test_worlds(self):
        for name in GUESTS:
            found = json.loads(self.inspect("-o", "json", wisp.guest(name)))
            self.assertEqual(found["world"], "http" if name.startswith("http") else "command")
        found = json.loads(self.inspect("-o", "json", self.component("unknown-world")))
        self.assertEqual((found["world"], found["format"]), ("other", "text"))
        self.assertEqual([(item["name"], item["kind"], item["version"]) for item in found["exports"]],
                         [("acme:rocket/pad@1.0.0", "interface", "1.0.0"), ("abort", "function", None)])

    def test_nothing_in_it(self):
        self.assertIn("imports: none", self.inspect(self.component("empty")))

    def test_wit_is_read_by_others(self):
        for name in GUESTS:
            file = wisp.guest(name)
            text = self.inspect("-o", "wit", file)
            ours = self.world_of(self.write(name + ".wit", text))
            theirs = self.world_of(file)
            self.assertEqual(ours, theirs, name)

    def world_of(self, path):
        """Imports and exports as wasm-tools sees them: per interface its functions and types."""
        done = subprocess.run([wisp.wasm_tools(), "component", "wit", path, "--json"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        resolve = json.loads(done.stdout)
        worlds = [world for world in resolve["worlds"] if world["name"] == "root"]
        self.assertEqual(len(worlds), 1)

        def name_of(interface):
            package = resolve["packages"][interface["package"]]["name"]
            return package.replace("@", f"/{interface['name']}@")

        def items(side):
            found = {}
            for key, item in worlds[0][side].items():
                if "interface" in item:
                    interface = resolve["interfaces"][item["interface"]["id"]]
                    found[name_of(interface)] = (sorted(interface["functions"]), sorted(interface["types"]))
                else:
                    found[key] = None
            return found

        return items("imports"), items("exports")


if __name__ == "__main__":
    wisp.main()
