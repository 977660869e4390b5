# SPDX-License-Identifier: Apache-2.0
"""The same manifests given to wisp's deployment manager and to the original's: the lattice becomes the same.

    WADM_RUST    the program of tests/interop/wadm_rust
    NATS_SERVER  a nats-server of 2.10 or later, which the original needs

On one host, where placement has one answer, and the manifests of the folder `manifests` on three. Those leave no choice
either, but for what `manifests/differences.md` says: it has all that comes out otherwise.
"""

import fnmatch
import json
import os
import re
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import applications
import hosts
import manifests
import wisp

SPREADS = """
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: Spread-It, annotations: {version: v1, description: "spreads, daemons, ids, configs"}}
spec:
  components:
    - name: web
      type: component
      properties: {image: "GUEST", config: [{name: tuning, properties: {mode: fast}}]}
      traits:
        - type: spreadscaler
          properties: {instances: 7, spread: [{name: here, requirements: {zone: a}, weight: 70}]}
        - type: link
          properties: {target: {name: store, config: [{name: where, properties: {path: x}}]}, namespace: wasi, package: keyvalue,
                       interfaces: [store, atomics], name: default}
        - type: link
          properties: {target: store, namespace: wasi, package: keyvalue, interfaces: [batch], name: second}
    - name: Every.One
      type: actor
      properties: {image: "GUEST", id: my-own-id}
      traits: [{type: daemonscaler, properties: {replicas: 2}}]
    - {name: store, type: capability, properties: {image: "wisp://keyvalue-sqlite"}}
    - name: http
      type: capability
      properties: {image: "wisp://http-server", config: [{name: mode, properties: {routing_mode: address}}]}
      traits:
        - type: link
          properties: {target: web, namespace: wasi, package: http, interfaces: [incoming-handler],
                       source_config: [{name: addr, properties: {address: "ADDRESS"}}]}
"""


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    except OSError:
        return False


def flat(tree, path=""):
    """Leaves by their paths."""
    if not isinstance(tree, dict):
        return {path: tree}
    found = {}
    for key, value in tree.items():
        found.update(flat(value, f"{path}/{key}" if path else key))
    return found


def differences(name):
    """The places of the table that are of this manifest, as patterns, and those that must differ."""
    with open(os.path.join(manifests.FOLDER, "differences.md")) as file:
        rows = [[cell.strip(" `") for cell in line.split("|")[1:]] for line in file if line.startswith("| `")]
    of_this = [row for row in rows if row[0] == name]
    return [row[1] for row in of_this], {row[1] for row in of_this if "by chance" not in row[2]}


class Comparison(manifests.Case):
    def setUp(self):
        super().setUp()
        if not os.environ.get("WADM_RUST") or not os.environ.get("NATS_SERVER"):
            raise unittest.SkipTest("WADM_RUST and NATS_SERVER are not set")

    def spawn(self, name, *command):
        with open(self.path(name + ".log"), "wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env={**os.environ, "RUST_LOG": "warn"})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def start(self, name, is_original):
        """A lattice of its own with one of the managers, and the flags of its hosts."""
        lattice = hosts.Lattice(self)
        self.spawn(name + "-nats", os.environ["NATS_SERVER"], "-js", "-a", "127.0.0.1", "-p", str(lattice.port), "-sd",
                   self.path(name + "-js"))
        wisp.wait_for(lambda: is_listening(lattice.port), "nats-server")
        if is_original:
            self.spawn(name + "-wadm", os.environ["WADM_RUST"], f"127.0.0.1:{lattice.port}")
        flags = ["--disable-wadm"] if is_original else []
        return lattice, ["--nats", f"nats://127.0.0.1:{lattice.port}", "--heartbeat-interval-seconds", "2", *flags]

    def ask(self, lattice, op, payload=b""):
        return json.loads(lattice.messages.request(f"wadm.api.default.model.{op}", payload))

    def ctl(self, lattice, subject):
        return lattice.ctl(lattice.messages, subject)["response"]

    def deploy(self, lattice, text):
        self.assertIn(self.ask(lattice, "put", text.encode())["result"], ("created", "newversion"))
        name = manifests.name_of(text)
        self.assertEqual(self.ask(lattice, f"deploy.{name}")["result"], "acknowledged")

        def is_deployed():
            self.seen = self.ask(lattice, f"status.{name}")["status"]
            return self.seen["status"]["type"] == "deployed"

        # The original does not try links again whose configs came late: deploying again helps.
        for _ in range(6):
            try:
                wisp.wait_for(is_deployed, "the application", 10)
                return
            except AssertionError:
                self.ask(lattice, f"deploy.{name}")
        self.fail(f"{name} is not deployed: {json.dumps(self.seen)}")


class OneHostTest(Comparison):
    def picture(self, lattice):
        """What the lattice is, without what differs from host to host."""
        inventory = self.ctl(lattice, f"host.get.{lattice.one.id}")
        marks = ("wasmcloud.dev/managed-by", "wasmcloud.dev/appspec", "wasmcloud.dev/scaler", "wasmcloud.dev/spread_name")
        links = sorted(json.dumps({key: link.get(key) for key in (
            "source_id", "target", "name", "wit_namespace", "wit_package", "interfaces", "source_config", "target_config")},
            sort_keys=True) for link in self.ctl(lattice, "link.get"))
        names = set(re.findall(r'"(?:source|target)_config": \["([^"]+)"', "\n".join(links))) | self.own
        return {
            "components": {each["id"]: (each["image_ref"], each["max_instances"], [each["annotations"].get(mark) for mark in marks])
                           for each in inventory["components"]},
            "providers": {each["id"]: (each["image_ref"], [each["annotations"].get(mark) for mark in marks])
                          for each in inventory["providers"]},
            "links": links,
            "configs": {name: self.ctl(lattice, f"config.get.{name}") for name in sorted(names)},
        }

    def compare(self, texts, own=()):
        self.own = set(own)
        pictures = []
        for is_original in (True, False):
            name = "theirs" if is_original else "ours"
            lattice, flags = self.start(name, is_original)
            lattice.one = lattice.host("--label", "zone=a", *flags, env={"WISP_STATE": self.path(name + "-state")})
            lattice.messages = lattice.bus()
            for text in texts:
                self.deploy(lattice, text)
            pictures.append(self.picture(lattice))
            lattice.one.stop()
        self.maxDiff = None
        self.assertEqual(*pictures)
        self.assertTrue(pictures[0]["components"] and pictures[0]["links"])

    def test_examples(self):
        self.compare([applications.example("hello", wisp.free_address())])

    def test_spreads_daemons_ids_and_configs(self):
        text = SPREADS.replace("GUEST", applications.guest("keyvalue-rust")).replace("ADDRESS", wisp.free_address())
        self.compare([text], ["spread_it-tuning", "spread_it-mode"])

    def test_shared_applications(self):
        self.compare([applications.example("shared-http", wisp.free_address()), applications.example("shared-hello")])


MARKS = ("managed-by", "appspec", "scaler", "spread_name")


class ThreeHostsTest(Comparison):
    def marks(self, entry):
        return {mark: entry["annotations"].get("wasmcloud.dev/" + mark) for mark in MARKS}

    def picture(self, lattice):
        found = {}
        for zone in lattice.zones:
            inventory = self.inventory(lattice, zone)
            for each in inventory["components"]:
                found[f"{zone}/component/{each['id']}"] = {"image": each["image_ref"], "count": each["max_instances"],
                                                           **self.marks(each)}
            for each in inventory["providers"]:
                found[f"{zone}/provider/{each['id']}"] = {"image": each["image_ref"], **self.marks(each)}
        for link in self.ctl(lattice, "link.get"):
            found["link/{source_id}/{wit_namespace}:{wit_package}/{name}".format(**link)] = {
                key: json.dumps(link[key]) for key in ("target", "interfaces", "source_config", "target_config")}
        info = json.loads(lattice.messages.request("$JS.API.STREAM.INFO.KV_CONFIGDATA_default", {"subjects_filter": ">"}))
        for subject in info["state"].get("subjects", {}):
            name = subject.split(".", 2)[2]
            # Deleted ones leave a mark.
            value = lattice.ctl(lattice.messages, f"config.get.{name}").get("response")
            if value is not None:
                found[f"config/{name}"] = json.dumps(value, sort_keys=True)
        return flat(found)

    def settled(self, lattice):
        """The picture once it has stayed as it is for a while: the original goes on when it says that it is done."""
        seen, since = self.picture(lattice), time.monotonic()
        until = since + 30
        while time.monotonic() < min(since + 3, until):
            time.sleep(0.2)
            now = self.picture(lattice)
            if now != seen:
                seen, since = now, time.monotonic()
        return seen

    def pictures(self, names):
        """What each manager makes of them, and what stays when they are undeployed."""
        texts = [self.fitted(name) for name in names]
        deployed, undeployed = [], []
        for is_original in (True, False):
            name = "theirs" if is_original else "ours"
            lattice, flags = self.start(name, is_original)
            self.start_hosts(lattice, *flags, state=name + "-{}")
            for text in texts:
                self.deploy(lattice, text)
            deployed.append(self.settled(lattice))
            self.assertTrue(any("/count" in path or "/provider/" in path for path in deployed[-1]))
            for app in dict.fromkeys(manifests.name_of(text) for text in reversed(texts)):
                self.assertEqual(self.ask(lattice, f"undeploy.{app}")["result"], "acknowledged")
            undeployed.append(self.settled(lattice))
            for host in lattice.zones.values():
                host.stop()
        return deployed, undeployed  # each: theirs, ours

    def check(self, names):
        expected, unseen = differences(names[-1])
        deployed, undeployed = self.pictures(names)
        self.assertEqual(list(undeployed[1]), ["config/set-by-ops"])
        for theirs, ours in (deployed, undeployed):
            for path in sorted({*theirs, *ours}):
                if theirs.get(path) != ours.get(path):
                    matching = {pattern for pattern in expected if fnmatch.fnmatchcase(path, pattern)}
                    self.assertTrue(matching, f"{path}: theirs is {theirs.get(path)}, ours {ours.get(path)}")
                    unseen -= matching
        self.assertEqual(unseen, set())


for group in manifests.GROUPS:
    setattr(ThreeHostsTest, "test_" + group[-1].split(".")[0].replace("-", "_"), lambda self, names=group: self.check(names))


if __name__ == "__main__":
    wisp.main()
