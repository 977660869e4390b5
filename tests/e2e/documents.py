# SPDX-License-Identifier: Apache-2.0
"""Commands in documents, run as a reader would run them: with a shell, one after another, in a folder with the files that
documents speak of, and with state and ports of their own."""

import glob
import os
import re
import shutil
import subprocess

import wisp

ROOT = os.path.dirname(os.path.dirname(wisp.HERE))
# Names that documents use, and the examples that they stand for.
FILES = {
    "app.wasm": "http-hello-rust",
    "app2.wasm": "http-hello-c",
    "hello.wasm": "http-hello-rust",
    "hello2.wasm": "http-hello-c",
    "calc.wasm": "calc-rust",
    "front.wasm": "front-rust",
    "counter.wasm": "keyvalue-rust",
    "hello-client.wasm": "hello-client-rust",
    "tool.wasm": "command-rust",
}
# What it does is under way when the command is back, so it is looked at again until it is as the document says.
LOOKS = re.compile(r"(curl|(\S*/)?wisp (get|inspect|logs|app status|app list)) ")
# These wait for a host to be done, which takes a while on a loaded machine with sanitizers.
WAITS = re.compile(r"(\S*/)?wisp (start|stop|scale|update|call|app) ")


def read(path):
    with open(os.path.join(ROOT, path)) as file:
        return file.read()


def indented(text, programs):
    """Lines of indented blocks that begin with one of the programs."""
    return re.findall(rf"^ {{4}}((?:{'|'.join(map(re.escape, programs))}) .*)$", text, re.M)


def fenced(text, language):
    """The text of each block of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def steps(block):
    """A block of `console`: pairs of a command, after "$ ", and the lines that it prints."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def squeeze(text):
    """Columns are as wide as their widest cell, so any number of blanks is as good as one."""
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def pattern(lines):
    """What may be printed: `...` stands for anything within a line, or alone on one for any lines."""
    expected = squeeze("\n".join(lines)).split("\n")
    return re.compile("\n".join(r"(?s:.*)" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*")
                                for line in expected))


class Session:
    def __init__(self, case):
        self.case = case
        self.folder = case.path("session")
        self.ports = {}
        for folder in ("session", "session/build", "session/home"):
            os.mkdir(case.path(folder))
        os.symlink(wisp.PROGRAM, os.path.join(self.folder, "build/wisp"))
        install = os.path.join(wisp.BUILD, "cmake_install.cmake")
        os.symlink(install, os.path.join(self.folder, "build/cmake_install.cmake"))
        shutil.copytree(os.path.join(ROOT, "examples/provider-hello"),
                        os.path.join(self.folder, "examples/provider-hello"), ignore=shutil.ignore_patterns("hello", "greeter.*"))
        os.symlink(os.path.abspath(wisp.GUESTS), os.path.join(self.folder, "build/guests"))
        os.symlink(os.path.join(os.path.abspath(wisp.BUILD), "providers"), os.path.join(self.folder, "build/providers"))
        self.copy_applications()
        for name, example in FILES.items():
            os.symlink(os.path.abspath(wisp.guest(example)), os.path.join(self.folder, name))
        # Compiled code is kept over tests: its keys are contents.
        cache = case.env.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        self.env = {name: value for name, value in case.env.items()
                    if not name.startswith(("WASMCLOUD", "WASH", "NATS", "OTEL", "XDG"))}
        self.env.update(HOME=os.path.join(self.folder, "home"), XDG_CACHE_HOME=cache, WISP_NATS_PORT=self.port("4222"),
                        PATH=os.path.join(self.folder, "build") + os.pathsep + os.environ["PATH"], no_proxy="127.0.0.1")
        case.addCleanup(self.end)

    def port(self, written):
        """A free one in place of the one that is written."""
        if written not in self.ports:
            self.ports[written] = wisp.free_address().rpartition(":")[2]
        return self.ports[written]

    def copy_applications(self):
        """Manifests hold ports too."""
        folder = os.path.join(self.folder, "examples/applications")
        os.makedirs(folder)
        for path in glob.glob(os.path.join(ROOT, "examples/applications/*.yaml")):
            text = re.sub(r"(: 127\.0\.0\.1:)(\d+)$", lambda found: found[1] + self.port(found[2]), read(path), flags=re.M)
            with open(os.path.join(folder, os.path.basename(path)), "w") as file:
                file.write(text)

    def run(self, command):
        """The result; standard error goes where standard output goes."""
        env = {**self.env, "WISP_CTL_TIMEOUT_MS": f"{wisp.PATIENCE}s"} if WAITS.match(command) else self.env
        local = re.sub(r"(127\.0\.0\.1:)(\d+)", lambda found: found[1] + self.port(found[2]), command)
        done = subprocess.run(["bash", "-c", local], cwd=self.folder, env=env, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=wisp.START_PATIENCE)
        for written, actual in self.ports.items():
            done.stdout = done.stdout.replace("127.0.0.1:" + actual, "127.0.0.1:" + written)
        self.case.assertNotRegex(done.stdout, "Sanitizer|runtime error:", command)
        return done

    def succeeds(self, command):
        done = self.run(command)
        self.case.assertEqual(done.returncode, 0, (command, done.stdout))
        return done.stdout

    def prints(self, command, lines):
        """It does what the document says. Without lines: it prints what it likes, and succeeds."""
        expected, last = pattern(lines), None

        def fits():
            nonlocal last
            last = self.run(command)
            return expected.fullmatch(squeeze(last.stdout)) if lines else last.returncode == 0

        try:
            wisp.wait_for(fits, command, wisp.PATIENCE if LOOKS.match(command) else 0)
        except AssertionError:
            raise AssertionError(f"$ {command}\n{last.stdout}--- exit code {last.returncode}, but the document says:\n"
                                 + "\n".join(lines)) from None

    def end(self):
        """The hosts that it started and has not ended."""
        if self.case.has_failed():
            print(self.run("cat home/.local/state/wisp/*/host-*/wisp.log").stdout[-20000:])
        subprocess.run([wisp.PROGRAM, "down", "--all"], env=self.env, capture_output=True, timeout=wisp.PATIENCE)
