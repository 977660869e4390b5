# SPDX-License-Identifier: Apache-2.0
"""Applications for tests: the manifests of examples/applications, made to fit a test, and what a lattice has of them."""

import glob
import json
import os
import re
import subprocess
import sys
import threading
import time

import hosts
import wisp

ROOT = os.path.dirname(os.path.dirname(wisp.HERE))
EXAMPLES = sorted(glob.glob(os.path.join(ROOT, "examples", "applications", "*.yaml")))
HTTP_SERVER = "file://" + os.path.join(os.path.abspath(wisp.BUILD), "providers", "wisp-http-server")


def example(name, address=None, **replaced):
    """The text of an example with the guests and programs of this build. `replaced`: text by other text, given as
    old1=..., new1=... pairs."""
    with open(os.path.join(ROOT, "examples", "applications", name + ".yaml")) as file:
        text = file.read()
    text = re.sub(r"file://\S*/guests/(\S+)\.wasm", lambda found: "file://" + os.path.abspath(wisp.guest(found[1])), text)
    text = re.sub(r"file://\S*/providers/wisp-http-server", HTTP_SERVER, text)
    if address:
        text = re.sub(r"address: \S+:\d+", f"address: {address}", text)
    for key in sorted(replaced):
        if key.startswith("old"):
            assert replaced[key] in text, replaced[key]
            text = text.replace(replaced[key], replaced["new" + key[3:]])
    return text


def guest(name):
    return "file://" + os.path.abspath(wisp.guest(name))


class Load:
    """Requests one after another, a connection for each; what was answered, and what failed and when it began."""

    def __init__(self, address, path="/", threads=3, patience=wisp.PATIENCE, pause=0):
        self.address, self.path, self.patience, self.pause = address, path, patience, pause
        self.bodies, self.failures, self.ends = [], [], False
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.ends:
            begun = time.monotonic()
            try:
                with wisp.Client(self.address, self.patience) as client:
                    response = client.request("GET", self.path, [("connection", "close")])
                if response.status == 200:
                    self.bodies.append(response.body)
                else:
                    self.failures.append((begun, response))
            except (OSError, wisp.Broken, AssertionError) as error:
                self.failures.append((begun, error))
            time.sleep(self.pause)

    def wait_for(self, count):
        """So many answers more."""
        goal = len(self.bodies) + count
        wisp.wait_for(lambda: len(self.bodies) >= goal, f"{count} answers; the last failures: {self.failures[-3:]}")

    def stop(self):
        self.ends = True
        for thread in self.threads:
            thread.join(wisp.PATIENCE)


class Case(wisp.Case):
    """A lattice with one host."""

    def start(self, *flags):
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host(*flags)
        self.address = wisp.free_address()

    def app(self, *args, stdin=b""):
        """Output of `wisp app ...`, which must succeed."""
        done = self.lattice.wisp("app", *args, stdin=stdin)
        self.assertEqual(done.returncode, 0, (args, done.stdout, done.stderr, self.host.log[-5000:]))
        return done.stdout

    def app_json(self, *args, **options):
        return json.loads(self.app(*args, "-o", "json", **options))

    def refused(self, *args, stdin=b""):
        """Exit code and standard error of `wisp app ...`, which must fail."""
        done = self.lattice.wisp("app", *args, stdin=stdin)
        self.assertNotEqual(done.returncode, 0, (args, done.stdout))
        return done.returncode, done.stderr

    def deploy(self, text, *flags):
        return self.app("deploy", self.write("manifest.yaml", text), "--wait", *flags)

    def get(self, path="/"):
        """Body of an answer, None while there is none."""
        try:
            with wisp.Client(self.address) as client:
                response = client.request("GET", path, [("connection", "close")])
                return response.body.decode() if response.status == 200 else None
        except (OSError, wisp.Broken):
            return None

    def wait_for_answer(self, body=None, patience=60):
        try:
            return wisp.wait_for(lambda: (answer := self.get()) is not None and (body is None or answer == body) and answer,
                                 "an answer", patience)
        except AssertionError:
            raise AssertionError(f"no answer {body!r} but {self.get()!r}; log: {self.host.log[-5000:]}") from None

    def inventories(self):
        return self.lattice.ask("get", "inventory")["inventories"]

    def running(self, kind="components"):
        """Ids of what runs, by host id."""
        return {inventory["host_id"]: {entry["id"]: entry for entry in inventory[kind]} for inventory in self.inventories()}

    def check_nothing_is_left(self, *configs):
        for inventory in self.inventories():
            self.assertEqual((inventory["components"], inventory["providers"]), ([], []), self.host.log[-3000:])
        self.assertEqual(self.lattice.ask("get", "links")["links"], [])
        for name in configs:
            self.assertIn("no config", self.lattice.wisp("config", "get", name).stderr)

    def processes(self, program):
        """Ids of processes that the host has started from a program of that name. Their environment is empty."""
        found = []
        for pid in self.host.workers():
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if program in os.path.basename(file.read().split(b"\0")[0].decode()):
                    found.append(pid)
        return found


def install_jsonschema():
    """The official package, once, in the user's cache; importable from then on."""
    cache = os.environ.get("WISP_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "wisp")
    root = os.path.join(cache, "interop", f"jsonschema-4.23.0-{sys.version_info.major}.{sys.version_info.minor}")
    done = os.path.join(root, "done")
    if not os.path.exists(done):
        subprocess.run([sys.executable, "-m", "venv", root], check=True)
        subprocess.run([os.path.join(root, "bin", "pip"), "--disable-pip-version-check", "--quiet", "install",
                        "jsonschema==4.23.0", "PyYAML==6.0.2"], check=True)
        open(done, "w").close()
    sys.path.insert(0, glob.glob(os.path.join(root, "lib", "python3*", "site-packages"))[0])
