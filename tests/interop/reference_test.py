# SPDX-License-Identifier: Apache-2.0
"""A wisp host and a host of the original in one lattice, on NATS: each runs what the other calls.

    REFERENCE_HOST  the program of tests/interop/reference_host
"""

import json
import os
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import hosts
import wisp


class ReferenceTest(wisp.Case):
    def setUp(self):
        super().setUp()
        if not os.environ.get("REFERENCE_HOST"):
            raise unittest.SkipTest("REFERENCE_HOST is not set")
        self.lattice = hosts.Lattice(self)
        self.spawn("nats", "nats-server", "-js", "-a", "127.0.0.1", "-p", str(self.lattice.port), "-sd", self.path("js"))
        wisp.wait_for(self.listens, "nats-server")
        self.spawn("reference", os.environ["REFERENCE_HOST"], str(self.lattice.port))
        self.host = self.lattice.host("--nats", f"nats://127.0.0.1:{self.lattice.port}")
        self.bus = self.lattice.bus()
        self.events = hosts.Events(self.bus)
        self.reference = wisp.wait_for(self.find_reference, "the other host")

    def spawn(self, name, *command):
        with open(self.path(name + ".log"), "wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env={**self.lattice.env, "RUST_LOG": "warn"})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.lattice.port)).close()
            return True
        except OSError:
            return False

    def find_reference(self):
        answers = [json.loads(data)["response"] for data in self.bus.gather("wasmbus.ctl.v1.default.host.ping")]
        others = [answer["id"] for answer in answers if answer["id"] != self.host.id]
        return others[0] if others else None

    def ok(self, subject, payload=None):
        answer = self.lattice.ctl(self.bus, subject, payload)
        self.assertTrue(answer and answer["success"], (subject, answer))
        return answer.get("response")

    def run_component(self, host_id, component_id, guest):
        self.ok(f"component.scale.{host_id}", {"component_ref": "file://" + os.path.abspath(wisp.guest(guest)),
                                               "component_id": component_id, "host_id": host_id, "count": 10})
        self.events.wait_for("component_scaled", component_id=component_id, max_instances=10)

    def link(self, source, target, namespace, package, interface):
        self.ok("link.put", {"source_id": source, "target": target, "name": "default", "wit_namespace": namespace,
                             "wit_package": package, "interfaces": [interface], "source_config": [], "target_config": []})

    def call_front(self, path):
        done = self.lattice.wisp("call", "front", "wasi:http/incoming-handler.handle", "--http-path", path, "-o", "json")
        return json.loads(done.stdout)["response"]["body"] if done.returncode == 0 else done.stderr

    def test_theirs_is_called_by_ours(self):
        self.run_component(self.host.id, "front", "front-rust")
        self.run_component(self.reference, "calc", "calc-rust")
        self.link("front", "calc", "acme", "calc", "ops")
        wisp.wait_for(lambda: self.call_front("/add?a=1&b=2") == "3\n", "the sum")
        self.assertEqual(self.call_front("/concat?part=a&part=b"), "ab\n")
        self.assertEqual(self.call_front("/count"), "1 1\n")

    def test_ours_is_called_by_theirs(self):
        self.run_component(self.reference, "front", "front-rust")
        self.run_component(self.host.id, "calc", "calc-rust")
        self.link("front", "calc", "acme", "calc", "ops")
        wisp.wait_for(lambda: self.call_front("/add?a=20&b=22") == "42\n", "the sum")
        self.assertEqual(self.call_front("/count"), "1 1\n")

    def test_links_and_configs_are_seen_by_both(self):
        self.ok("config.put.shared", {"a": "1"})
        # Whichever of the two is asked, both have it in the end.
        wisp.wait_for(lambda: all(self.ok("config.get.shared") == {"a": "1"} for _ in range(10)), "the configuration")
        self.link("x", "y", "acme", "shop", "stock")
        wisp.wait_for(lambda: all([link["target"] for link in self.ok("link.get")] == ["y"] for _ in range(10)), "the link")
        self.ok("link.del", {"source_id": "x", "name": "default", "wit_namespace": "acme", "wit_package": "shop"})


if __name__ == "__main__":
    wisp.main()
