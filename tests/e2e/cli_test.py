# SPDX-License-Identifier: Apache-2.0
"""The command line itself: help, versions, mistakes, formats, colours, completions."""

import json
import os
import pty
import re
import shutil
import subprocess
import unittest

import wisp

VERBS = ["run", "inspect", "compile", "up", "down", "host", "get", "start", "stop", "scale", "update", "label", "link",
         "config", "secrets", "call", "spy", "events", "logs", "ctx", "keys", "drain", "completions", "help", "version"]
GROUPED = ["get hosts", "get inventory", "get links", "get claims", "get config", "start component", "start provider",
           "stop component", "stop provider", "stop host", "scale component", "update component", "link put", "link del",
           "link query", "config put", "config get", "config del", "secrets put", "secrets get", "secrets del",
           "ctx list", "ctx new", "ctx del", "ctx default", "ctx edit", "keys gen", "keys get", "keys list"]


class CommandLine(wisp.Case):
    def succeeds(self, *args, **options):
        done = self.wisp(*args, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    # --- help and versions ---

    def test_nothing_shows_help(self):
        done = self.wisp()
        self.assertEqual(done.returncode, wisp.EXIT["usage"])
        self.assertEqual(done.stdout, "")
        for verb in VERBS:
            self.assertRegex(done.stderr, rf"(?m)^  {verb} ")

    def test_help(self):
        text = self.succeeds("help")
        self.assertEqual(text, self.succeeds("--help"))
        self.assertEqual(text, self.succeeds("-h"))
        self.assertNotIn("worker ", text)

    def test_help_of_every_verb(self):
        for verb in VERBS + GROUPED:
            text = self.succeeds("help", *verb.split())
            self.assertEqual(text, self.succeeds(*verb.split(), "--help"))
            self.assertEqual(text, self.succeeds(*verb.split(), "-h"))
            self.assertIn("example\n  ", text)
            self.assertIn(f"wisp {verb}", text)
            self.assertNotRegex(text, r"(?m)[ \t]$")

    def test_groups(self):
        done = self.wisp("link")
        self.assertEqual((done.returncode, done.stdout), (wisp.EXIT["usage"], ""))
        for word in ("put", "del", "query"):
            self.assertRegex(done.stderr, rf"(?m)^  {word} ")
        self.assertEqual(done.stderr, self.succeeds("link", "--help"))
        usage = wisp.EXIT["usage"]
        self.assertIn("did you mean `wisp get hosts`?", self.fails(usage, "get", "hsots"))
        self.assertIn("`wisp help get` lists", self.fails(usage, "get", "quux"))
        self.assertIn("did you mean `wisp help link put`?", self.fails(usage, "help", "link", "ptu"))
        self.assertIn("is no group", self.fails(usage, "help", "run", "x"))
        self.assertIn("`wisp link put` has no flag `--nmae`", self.fails(usage, "link", "put", "--nmae"))
        # Other names of a verb have the same help.
        for name, other in (("label", "tag"), ("get inventory", "get inventories"), ("config put", "config create"),
                            ("config del", "config delete"), ("link query", "link get")):
            self.assertEqual(self.succeeds("help", *name.split()), self.succeeds("help", *other.split()))

    def test_help_on_connections(self):
        text = self.succeeds("help", "connection")
        for word in ("--ctl-host", "$WASMCLOUD_CTL_HOST", "$WISP_LATTICE", "$WASH_CTL_CREDS", "--context"):
            self.assertIn(word, text)

    def test_help_lists_every_flag_of_run(self):
        text = self.succeeds("help", "run")
        for flag in ("addr", "workers", "env", "dir", "max-memory", "timeout", "max-instances", "max-body", "log-level",
                     "log-format", "help"):
            self.assertIn(f" --{flag}", text)

    def test_exit_codes_are_documented(self):
        text = self.succeeds("help", "exit-codes")
        for name, code in wisp.EXIT.items():
            self.assertRegex(text, rf"(?m)^  {code} +{name} ")
        self.assertIn(str(wisp.EXIT_TRAP), text)
        self.assertIn(str(wisp.EXIT_TIMEOUT), text)

    def test_version(self):
        text = self.succeeds("--version")
        self.assertRegex(text, r"^wisp \d+\.\d+\.\d+ \(wasmtime \d+\.\d+\.\d+\)\n$")
        self.assertEqual(text, self.succeeds("version"))
        self.assertEqual(text, self.succeeds("-V"))
        for args in (("--version", "-o", "json"), ("version", "--output=json"), ("version", "-ojson")):
            found = json.loads(self.succeeds(*args))
            self.assertEqual(list(found), ["wisp", "engine"])
            self.assertIn(found["wisp"], text)

    # --- mistakes ---

    def test_unknown_verbs(self):
        usage = wisp.EXIT["usage"]
        self.assertIn("did you mean `wisp run`?", self.fails(usage, "rnu", "x.wasm"))
        self.assertIn("did you mean `wisp inspect`?", self.fails(usage, "inspcet"))
        self.assertIn("`wisp help` lists", self.fails(usage, "frobnicate"))
        self.assertIn("did you mean `wisp help compile`?", self.fails(usage, "help", "compil"))
        self.assertIn("flags come after the verb: wisp VERB -o", self.fails(usage, "-o", "json", "get", "hosts"))
        path = self.write("x.wasm", "")
        self.assertIn(f"wisp run {path}", self.fails(usage, path))

    def test_unknown_flags(self):
        usage = wisp.EXIT["usage"]
        self.assertIn("did you mean `--workers`?", self.fails(usage, "run", "--wrokers", "2", "x.wasm"))
        self.assertIn("did you mean `--max-memory`?", self.fails(usage, "run", "--max-mem=1M", "x.wasm"))
        self.assertIn("wisp help run", self.fails(usage, "run", "-x", "x.wasm"))
        self.assertIn("wisp help run", self.fails(usage, "run", "--quux", "x.wasm"))

    def test_missing_and_superfluous(self):
        usage = wisp.EXIT["usage"]
        for verb in ("run", "inspect", "compile"):
            self.assertIn("needs FILE", self.fails(usage, verb))
        self.assertIn("needs a value", self.fails(usage, "run", "x.wasm", "--addr"))
        self.assertIn("goes after `--`", self.fails(usage, "run", "x.wasm", "y"))
        self.assertIn("unexpected `y`", self.fails(usage, "inspect", "x.wasm", "y"))
        self.assertIn("nothing after `--`", self.fails(usage, "inspect", "x.wasm", "--", "y"))

    def test_wrong_values(self):
        usage = wisp.EXIT["usage"]
        file = self.http_component("ok")
        for flag, value, words in (("--workers", "many", "whole number"),
                                   ("--workers", "0", "more than 0"),
                                   ("--workers", "1025", "1024"),
                                   ("--max-memory", "lots", "64M"),
                                   ("--max-memory", "0", "more than 0"),
                                   ("--max-memory", "99999999999999999999", "size"),
                                   ("--timeout", "soon", "500ms"),
                                   ("--timeout", "-1s", "500ms"),
                                   ("--max-instances", "1.5", "whole number"),
                                   ("--max-body", "1X", "size"),
                                   ("--env", "=x", "without a name"),
                                   ("--dir", "/tmp", "HOST::GUEST"),
                                   ("--dir", "::/x", "HOST::GUEST"),
                                   ("--dir", "/tmp::", "HOST::GUEST"),
                                   ("--dir", "/tmp:::ro", "HOST::GUEST"),
                                   ("--addr", "nowhere", "127.0.0.1:8000"),
                                   ("--addr", "127.0.0.1:99999", "127.0.0.1:8000"),
                                   ("--log-level", "loud", "debug"),
                                   ("--log-format", "xml", "json")):
            error = self.fails(usage, "run", flag, value, file)
            self.assertIn(flag, error)
            self.assertIn(words, error)
        self.assertIn("text, json, wit", self.fails(usage, "inspect", "-o", "xml", file))

    def test_value_of_env_stays_out_of_messages(self):
        error = self.fails(wisp.EXIT["usage"], "run", "--env", b"NAME=s3cret\xff", self.http_component("ok"))
        self.assertIn("NAME", error)
        self.assertNotIn("s3cret", error)

    def test_missing_directory(self):
        error = self.fails(wisp.EXIT["not-found"], "run", "--dir", "/no/such::/x", self.http_component("ok"))
        self.assertIn("/no/such", error)

    def test_wrong_environment(self):
        error = self.fails(wisp.EXIT["usage"], "run", self.http_component("ok"), env={"WISP_LOG_LEVEL": "loud"})
        self.assertIn("WISP_LOG_LEVEL", error)

    def test_worker_is_not_for_people(self):
        self.assertIn("wisp run", self.fails(wisp.EXIT["usage"], "worker"))

    def test_full_disk(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([wisp.PROGRAM, "help"], stdout=full, stderr=subprocess.PIPE, env=self.env)
        self.assertEqual(done.returncode, wisp.EXIT["os"])
        self.assertIn(b"could not write", done.stderr)

    # --- terminals ---

    def on_terminal(self, *args, env=None):
        """Standard output and standard error in a pseudo-terminal."""
        leader, follower = pty.openpty()
        process = subprocess.Popen([wisp.PROGRAM, *args], stdin=follower, stdout=follower, stderr=follower,
                                   env={"TERM": "xterm", **self.env, **(env or {})})
        os.close(follower)
        output = b""
        while True:
            try:
                data = os.read(leader, 65536)
            except OSError:
                break
            if not data:
                break
            output += data
        os.close(leader)
        process.wait()
        return output.decode()

    def test_colours_only_on_terminals(self):
        self.assertNotIn("\033", self.succeeds("help", env={"TERM": "xterm"}))
        self.assertIn("\033[1m", self.on_terminal("help"))
        self.assertIn("\033[31m", self.on_terminal("frobnicate"))
        for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertNotIn("\033", self.on_terminal("help", env=env))
            self.assertNotIn("\033", self.on_terminal("frobnicate", env=env))

    def test_terminal_tells_what_to_try(self):
        leader, follower = pty.openpty()
        process = subprocess.Popen([wisp.PROGRAM, "run", "--addr", "127.0.0.1:0", self.http_component("ok")],
                                   stdin=follower, stdout=follower, stderr=follower, env={"TERM": "xterm", **self.env},
                                   start_new_session=True)
        self.addCleanup(process.kill)
        os.close(follower)
        output = ""
        while "Ctrl-C" not in output:
            output += os.read(leader, 65536).decode()
        self.assertRegex(output, r"ok\.wat is served at .*http://127\.0\.0\.1:\d+/")
        self.assertRegex(output, r"curl -i http://127\.0\.0\.1:\d+/")
        process.terminate()
        self.assertEqual(process.wait(wisp.PATIENCE), 0)
        os.close(leader)

    # --- completions ---

    def complete(self, *words):
        """What bash would offer for the last of the words."""
        script = self.succeeds("completions", "bash") + """
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _wisp; printf '%s\\n' "${COMPREPLY[@]}"
"""
        done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, cwd=self.folder)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_completions_in_bash(self):
        self.assertEqual(self.complete("wisp", "in"), ["inspect"])
        self.assertEqual(self.complete("wisp", "run", "--max"), ["--max-memory", "--max-instances", "--max-body"])
        self.assertEqual(self.complete("wisp", "run", "--log-level", ""), ["error", "warn", "info", "debug"])
        self.assertEqual(self.complete("wisp", "inspect", "-o", "w"), ["wit"])
        self.assertEqual(self.complete("wisp", "completions", ""), ["bash", "zsh", "fish"])
        self.assertIn("exit-codes", self.complete("wisp", "help", "e"))
        self.write("one.wasm", "")
        os.mkdir(self.path("folder"))
        self.assertEqual(self.complete("wisp", "run", "one"), ["one.wasm"])
        self.assertEqual(self.complete("wisp", "run", "--dir", ""), ["folder"])
        self.assertEqual(self.complete("wisp", "run", "--addr", ""), [])
        self.assertEqual(self.complete("wisp", "link", ""), ["put", "del", "query"])
        self.assertEqual(self.complete("wisp", "li"), ["link"])
        self.assertEqual(self.complete("wisp", "get", "hosts", "--watch", ""), [])
        self.assertEqual(self.complete("wisp", "get", "hosts", "--o"), ["--output"])
        for verb in (("get", "hosts"), ("get", "inventories"), ("tag",), ("config", "create")):
            self.assertEqual(self.complete("wisp", *verb, "-o", "j"), ["json"])
            self.assertEqual(self.complete("wisp", *verb, "--latt"), ["--lattice"])
        self.assertEqual(self.complete("wisp", "drain", ""), ["all", "oci", "lib", "dev", "downloads"])
        self.assertIn("component_scaled", self.complete("wisp", "events", "component_"))

    def test_completions_are_valid(self):
        for shell in ("bash", "zsh", "fish"):
            script = self.succeeds("completions", shell)
            for verb in VERBS + GROUPED:
                self.assertIn(verb, script)
            self.assertIn("max-instances", script)
            self.assertNotIn("worker ", re.sub("worker process", "", script).replace("one worker", ""))
            if shutil.which(shell):
                done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True)
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    @unittest.skipUnless(shutil.which("fish"), "no fish on this machine (package fish)")
    def test_completions_in_fish(self):
        script = self.path("wisp.fish")
        with open(script, "w", encoding="utf-8") as file:
            file.write(self.succeeds("completions", "fish"))

        def complete(line):
            done = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"], capture_output=True,
                                  text=True, env={**os.environ, "HOME": self.folder, "TERM": "dumb"})
            self.assertEqual(done.stderr, "")
            return sorted(found.split("\t")[0] for found in done.stdout.splitlines())

        self.assertEqual(complete("wisp li"), ["link"])
        self.assertEqual(complete("wisp link "), ["del", "put", "query"])
        self.assertEqual(complete("wisp run --max"), ["--max-body", "--max-instances", "--max-memory"])
        self.assertEqual(complete("wisp get hosts -o "), ["json", "text"])
        self.assertEqual(complete("wisp drain "), ["all", "dev", "downloads", "lib", "oci"])

    def test_completions_in_zsh_know_letters(self):
        script = self.succeeds("completions", "zsh")
        self.assertIn("'(-o --output)'{-o+,--output=}'[text or json", script)
        self.assertIn("'(-d --detached)'{-d,--detached}'[", script)

    def test_unknown_shell(self):
        self.assertIn("bash, zsh, fish", self.fails(wisp.EXIT["usage"], "completions", "csh"))


if __name__ == "__main__":
    wisp.main()
