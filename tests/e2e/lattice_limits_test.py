# SPDX-License-Identifier: Apache-2.0
"""Limits of a component that its config and its scale request set: on a host of a lattice, and while it runs."""

import subprocess
import threading

import hosts
import wisp


class LimitsTest(hosts.ByControl):
    def begin(self, component, limits, count=10):
        binary = self.path(component + ".wasm")
        subprocess.run([wisp.wasm_tools(), "parse", self.http_component(component), "-o", binary], check=True)
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host()
        self.bus = self.lattice.bus()
        self.address = wisp.free_address()
        self.ok("config.put.limits", limits)
        self.ok("config.put.front", {"address": self.address})
        events = hosts.Events(self.bus)
        self.ok(f"component.scale.{self.host.id}", {
            "component_ref": "file://" + binary, "component_id": "it", "host_id": self.host.id,
            "count": count, "config": ["limits"]})
        events.wait_for("component_scaled", component_id="it")
        self.ok(f"provider.start.{self.host.id}", {"provider_id": "http", "host_id": self.host.id,
                                                   "provider_ref": "wisp://http-server"})
        self.ok("link.put", {"source_id": "http", "target": "it", "name": "default", "wit_namespace": "wasi",
                             "wit_package": "http", "interfaces": ["incoming-handler"], "source_config": ["front"],
                             "target_config": []})
        wisp.wait_for(lambda: self.status("/ok") == 200, "the first answer", wisp.START_PATIENCE)

    def get(self, path):
        with wisp.Client(self.address) as client:
            return client.request("GET", path, [("connection", "close")])

    def status(self, path):
        try:
            return self.get(path).status
        except (OSError, wisp.Broken):
            return None

    def test_time(self):
        self.begin("loop", {"wisp.timeout": "300ms"})
        self.assertEqual(self.status("/"), 504)
        self.assertEqual(self.status("/ok"), 200)
        self.host.stop()

    def test_memory_also_when_it_changes(self):
        self.begin("grow", {"wisp.max-memory": "32M"})
        self.assertLessEqual(int(self.get("/").body), 32)
        self.ok("config.put.limits", {"wisp.max-memory": "48M"})
        wisp.wait_for(lambda: 32 < int(self.get("/").body) <= 48, "the new limit")
        self.host.stop()

    def test_over_the_limit_it_queues_then_refuses_with_the_cause(self):
        self.begin("loop", {"wisp.timeout": "2s", "wisp.queue": "1"}, count=1)
        answers = []
        clients = [threading.Thread(target=lambda: answers.append(self.get("/"))) for _ in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(wisp.PATIENCE)
        statuses = [answer.status for answer in answers]
        self.assertEqual(len(statuses), 8)
        self.assertIn(504, statuses)
        refused = [answer for answer in answers if answer.status == 503]
        # Each of the two workers has a queue of one.
        self.assertGreaterEqual(len(refused), 5, statuses)
        self.assertTrue(all(b"busy" in answer.body for answer in refused), refused)
        self.assertEqual(self.status("/ok"), 200)
        self.host.stop()


if __name__ == "__main__":
    wisp.main()
