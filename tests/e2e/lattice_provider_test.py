# SPDX-License-Identifier: Apache-2.0
"""A provider process: host data on its standard input, links, health, an exit nobody asked for, and its end."""

import json
import os
import signal
import stat
import sys

import hosts
import wisp

# Plays a provider: writes what it was told to files beside itself, answers health checks and shutdown on the bus.
PROVIDER = """#!{python}
import base64, json, os, sys
sys.path.insert(0, {here!r})
os.environ["WISP"] = "-"
import hosts
folder = {folder!r}
line = sys.stdin.readline()
host_data = json.loads(base64.b64decode(line))
with open(os.path.join(folder, f"host-data-{{os.getpid()}}.json"), "w") as file:
    json.dump({{"data": host_data, "environment": dict(os.environ), "rest": sys.stdin.read()}}, file)
print("provider has begun", flush=True)
bus = hosts.Bus(int(host_data["lattice_rpc_url"].rpartition(":")[2]))
prefix = f"wasmbus.rpc.{{host_data['lattice_rpc_prefix']}}.{{host_data['provider_key']}}"
bus.subscribe(prefix + ".health", lambda s, reply, h, d: bus.publish(reply, b'{{"healthy":true}}'))
def end(subject, reply, head, data):
    bus.publish(reply, b"shutting down")
    bus.send("PING\\r\\n")
    os._exit(0)
bus.subscribe(prefix + ".default.shutdown", end)
bus.flush()
with open(os.path.join(folder, f"ready-{{os.getpid()}}"), "w"):
    pass
bus.thread.join()
"""


class ProviderTest(hosts.ByControl):
    def ready(self):
        """Process ids of providers that have subscribed."""
        return [int(name[6:]) for name in os.listdir(self.folder) if name.startswith("ready-")]

    def test_life_of_a_provider(self):
        self.lattice = hosts.Lattice(self)
        host = self.lattice.host("--enable-traces", "--override-observability-endpoint", "http://127.0.0.1:9",
                                 "--override-traces-endpoint", "http://127.0.0.1:9/traces", "--trace-level", "debug")
        self.bus = self.lattice.bus()
        events = hosts.Events(self.bus)
        path = self.write("provider", PROVIDER.format(python=sys.executable, here=wisp.HERE, folder=self.folder))
        os.chmod(path, 0o755)
        self.ok("config.put.store", {"url": "store://x"})
        self.ok("link.put", {"source_id": "comp", "target": "prov", "name": "default", "wit_namespace": "acme",
                             "wit_package": "store", "interfaces": ["items"], "source_config": [],
                             "target_config": ["store"]})
        self.ok(f"provider.start.{host.id}", {"provider_id": "prov", "provider_ref": "file://" + path,
                                              "host_id": host.id, "config": ["store"], "annotations": {"a": "b"}})
        events.wait_for("provider_started", provider_id="prov")
        first = wisp.wait_for(self.ready, f"the provider; {host.log[-2000:]}")[0]
        with open(self.path(f"host-data-{first}.json")) as file:
            told = json.load(file)
        self.assertEqual(told["rest"], "")
        self.assertNotIn("WISP_STATE", told["environment"])
        data = told["data"]
        self.assertEqual((data["host_id"], data["provider_key"], data["config"]), (host.id, "prov", {"url": "store://x"}))
        self.assertEqual(data["otel_config"], {
            "enable_observability": False, "enable_traces": True, "observability_endpoint": "http://127.0.0.1:9",
            "traces_endpoint": "http://127.0.0.1:9/traces", "protocol": "Http", "additional_ca_paths": [],
            "trace_level": "debug"})
        self.assertEqual(data["wisp_spans_subject"], f"wisp.spans.default.{host.id}")
        self.assertTrue(stat.S_ISSOCK(os.stat(data["wisp_rpc_socket"]).st_mode))
        self.assertEqual([(link["source_id"], link["target_config"]) for link in data["link_definitions"]],
                         [("comp", {"url": "store://x"})])
        host.wait_for_log("provider has begun")
        inventory = self.ok(f"host.get.{host.id}")
        self.assertEqual([(entry["id"], entry["annotations"]) for entry in inventory["providers"]], [("prov", {"a": "b"})])
        events.wait_for("health_check_passed", provider_id="prov")

        os.kill(first, signal.SIGKILL)
        second = wisp.wait_for(lambda: [pid for pid in self.ready() if pid != first], "the provider to be back")[0]
        host.wait_for_log("SIGKILL|signal 9")
        self.ok(f"provider.stop.{host.id}", {"provider_id": "prov", "host_id": host.id})
        events.wait_for("provider_stopped", provider_id="prov")
        wisp.wait_for(lambda: not wisp.is_alive(second), "the provider to end")
        self.assertEqual(self.ok(f"host.get.{host.id}")["providers"], [])
        host.stop()

    def test_what_cannot_be_started_is_told(self):
        self.lattice = hosts.Lattice(self)
        host = self.lattice.host()
        self.bus = self.lattice.bus()
        events = hosts.Events(self.bus)
        self.ok(f"provider.start.{host.id}", {"provider_id": "absent", "provider_ref": "file:///nowhere/provider",
                                              "host_id": host.id})
        event = events.wait_for("provider_start_failed", provider_id="absent")
        self.assertIn("/nowhere/provider", event["error"])
        answer = self.lattice.ctl(self.bus, f"provider.start.{host.id}",
                                  {"provider_id": "unknown", "provider_ref": "wasmcloud+builtin://nothing",
                                   "host_id": host.id})
        self.assertFalse(answer["success"])
        self.assertIn("nothing", answer["message"])
        self.assertEqual(self.ok(f"host.get.{host.id}")["providers"], [])
        host.stop()


if __name__ == "__main__":
    wisp.main()
