# SPDX-License-Identifier: Apache-2.0
"""The same manifests given to wisp's deployment manager and to the original's: the lattice becomes the same.

    WADM_RUST    the program of tests/interop/wadm_rust
    NATS_SERVER  a nats-server of 2.10 or later, which the original needs

Where the original is wrong on purpose nothing is compared: on which of several eligible hosts instances are (it takes any
one of them), and what it leaves behind. One host, so placement has one answer.
"""

import json
import os
import re
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import applications
import hosts
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


class WadmTest(wisp.Case):
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
        """A lattice of its own with a host and one of the managers."""
        lattice = hosts.Lattice(self)
        self.spawn(name + "-nats", os.environ["NATS_SERVER"], "-js", "-a", "127.0.0.1", "-p", str(lattice.port), "-sd",
                   self.path(name + "-js"))
        wisp.wait_for(lambda: is_listening(lattice.port), "nats-server")
        if is_original:
            self.spawn(name + "-wadm", os.environ["WADM_RUST"], f"127.0.0.1:{lattice.port}")
        flags = ["--disable-wadm"] if is_original else []
        lattice.one = lattice.host("--nats", f"nats://127.0.0.1:{lattice.port}", "--label", "zone=a",
                                   "--heartbeat-interval-seconds", "2", *flags, env={"WISP_STATE": self.path(name + "-state")})
        lattice.messages = lattice.bus()
        return lattice

    def ask(self, lattice, op, payload=b""):
        return json.loads(lattice.messages.request(f"wadm.api.default.model.{op}", payload))

    def ctl(self, lattice, subject):
        return lattice.ctl(lattice.messages, subject)["response"]

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

    def deploy(self, lattice, text):
        self.assertIn(self.ask(lattice, "put", text.encode())["result"], ("created", "newversion"))
        name = re.search(r"name: ([\w-]+)", text)[1]
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

    def compare(self, texts, own=()):
        self.own = set(own)
        pictures = []
        for is_original in (True, False):
            lattice = self.start("theirs" if is_original else "ours", is_original)
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


if __name__ == "__main__":
    wisp.main()
