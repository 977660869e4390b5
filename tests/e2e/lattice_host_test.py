# SPDX-License-Identifier: Apache-2.0
"""A host with its embedded bus: components come, answer HTTP, change and go; what it was told survives restarts."""

import json
import os
import socket

import hosts
import wisp


class HostTest(wisp.Case):
    def start(self, *flags):
        self.lattice = hosts.Lattice(self)
        host = self.lattice.host(*flags)
        self.bus = self.lattice.bus()
        self.events = hosts.Events(self.bus)
        return host

    def ctl(self, subject, payload=None):
        return self.lattice.ctl(self.bus, subject, payload)

    def ok(self, subject, payload=None):
        answer = self.ctl(subject, payload)
        self.assertTrue(answer and answer["success"], answer)
        return answer.get("response")

    def scale(self, host, component_id, path, count=10, **fields):
        self.ok(f"component.scale.{host.id}", {"component_ref": "file://" + path, "component_id": component_id,
                                               "host_id": host.id, "count": count, **fields})

    def serve_http(self, host, component_id, provider="http", **config):
        """The built-in HTTP server in front of the component; the address."""
        address = wisp.free_address()
        name = f"{provider}-{component_id}"
        self.ok(f"config.put.{name}", {"address": address, **config})
        self.ok(f"provider.start.{host.id}", {"provider_id": provider, "host_id": host.id,
                                              "provider_ref": "wasmcloud+builtin://http-server"})
        self.ok("link.put", {"source_id": provider, "target": component_id, "name": "default", "wit_namespace": "wasi",
                             "wit_package": "http", "interfaces": ["incoming-handler"], "source_config": [name],
                             "target_config": []})
        return address

    def get(self, address, path="/", patience=wisp.PATIENCE):
        """Waits until somebody answers something else than an error of the way there."""
        def answer():
            try:
                with wisp.Client(address) as client:
                    response = client.request("GET", path, [("connection", "close")])
                    return response if response.status not in (404, 503) else None
            except (OSError, wisp.Broken):
                return None
        return wisp.wait_for(answer, f"an answer at {address}{path}", patience)

    def test_component_is_started_answers_and_is_stopped(self):
        host = self.start()
        inventory = self.ok(f"host.get.{host.id}")
        self.assertEqual(inventory["components"], [])
        self.assertEqual(inventory["labels"]["hostcore.os"], "linux")
        self.scale(host, "hello", wisp.guest("http-hello-rust"))
        self.events.wait_for("component_scaled", component_id="hello", max_instances=10)
        address = self.serve_http(host, "hello")
        self.events.wait_for("provider_started", provider_id="http")
        self.events.wait_for("linkdef_set", source_id="http", target="hello")
        response = self.get(address)
        self.assertEqual((response.status, response.body), (200, b"Hello from Rust!\n"))
        inventory = self.ok(f"host.get.{host.id}")
        self.assertEqual([(entry["id"], entry["max_instances"]) for entry in inventory["components"]], [("hello", 10)])
        self.assertEqual([entry["id"] for entry in inventory["providers"]], ["http"])
        self.scale(host, "hello", wisp.guest("http-hello-rust"), count=0)
        self.events.wait_for("component_scaled", component_id="hello", max_instances=0)
        wisp.wait_for(lambda: self.status(address) in (404, 503), "the component to be gone")
        self.assertEqual(self.ok(f"host.get.{host.id}")["components"], [])
        host.stop()
        self.assertEqual(self.lattice.left_behind(), [])

    def status(self, address):
        with wisp.Client(address) as client:
            return client.request("GET", "/", [("connection", "close")]).status

    def listening_sockets(self, host, address):
        """Of each worker, how many of its descriptors listen there."""
        with open("/proc/net/tcp") as file:
            port = "%04X" % int(address.rpartition(":")[2])
            inodes = {line.split()[9] for line in file if f":{port} 00000000:0000 0A" in line}
        targets = [[os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")
                    if os.path.islink(f"/proc/{pid}/fd/{fd}")] for pid in host.workers()]
        return [sum(target in {f"socket:[{inode}]" for inode in inodes} for target in each) for each in targets]

    def test_more_links_at_one_address_take_no_more_sockets(self):
        host = self.start()
        address = wisp.free_address()
        self.scale(host, "hello", wisp.guest("http-hello-rust"))
        self.ok("config.put.server", {"default_address": address, "routing_mode": "path"})
        self.ok(f"provider.start.{host.id}", {"provider_id": "http", "host_id": host.id, "config": ["server"],
                                              "provider_ref": "wisp://http-server"})
        for i in range(6):
            self.ok(f"config.put.path-{i}", {"path": f"/{i}"})
            self.ok("link.put", {"source_id": "http", "target": "hello", "name": f"name-{i}", "wit_namespace": "wasi",
                                 "wit_package": "http", "interfaces": ["incoming-handler"],
                                 "source_config": [f"path-{i}"], "target_config": []})
            self.assertEqual(self.get(address, f"/{i}", 20).status, 200)
            if i == 0:  # the other workers may be a moment behind the one that answered
                wisp.wait_for(lambda: all(self.listening_sockets(host, address)), "sockets in each worker", 20)
                before = self.listening_sockets(host, address)
        self.assertEqual(self.listening_sockets(host, address), before)
        host.stop()

    def test_what_ran_is_there_after_a_restart(self):
        host = self.start()
        self.scale(host, "hello", wisp.guest("http-hello-rust"))
        address = self.serve_http(host, "hello")
        self.get(address)
        host.stop()
        again = self.lattice.host()
        self.assertEqual(again.id, host.id)
        self.assertEqual(self.get(address).body, b"Hello from Rust!\n")
        self.bus = self.lattice.bus()
        links = self.ok("link.get")
        self.assertEqual([(link["source_id"], link["target"]) for link in links], [("http", "hello")])
        again.stop()

    def test_second_host_joins_the_first(self):
        first = self.start()
        second = self.lattice.host()
        self.assertNotEqual(first.id, second.id)
        pings = [json.loads(data)["response"] for data in self.bus.gather("wasmbus.ctl.v1.default.host.ping")]
        self.assertEqual({ping["id"] for ping in pings}, {first.id, second.id})
        self.ok("config.put.shared", {"a": "1"})
        self.assertEqual(self.ok("config.get.shared"), {"a": "1"})
        first.stop()
        # The other one puts a bus in the place of the first, and keeps what was said.
        bus = wisp.wait_for(lambda: self.connect(), "a bus")
        answer = wisp.wait_for(lambda: self.lattice.ctl(bus, "config.get.shared"), "an answer of the second host")
        self.assertEqual(answer.get("response"), {"a": "1"})
        second.stop()

    def test_neighbour_is_found_wherever_its_bus_is(self):
        first = self.start()
        env = {name: value for name, value in self.lattice.env.items() if name != "WASMCLOUD_CTL_PORT"}
        done = self.wisp("up", "-d", "--workers", "1", "-o", "json", env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        second = json.loads(done.stdout)
        self.assertEqual(second["nats_url"], f"127.0.0.1:{self.lattice.port}")
        hosts_ = json.loads(self.wisp("get", "hosts", "-o", "json", env=env).stdout)["hosts"]
        self.assertEqual({entry["id"] for entry in hosts_}, {first.id, second["host_id"]})
        done = self.wisp("down", "-o", "json", env=env)
        self.assertEqual(done.returncode, wisp.EXIT["usage"], done)
        done = self.wisp("down", "--host-id", second["host_id"], "-o", "json", env=env)
        self.assertEqual(json.loads(done.stdout)["hosts_stopped"], [second["host_id"]])
        first.stop()

    def test_service_manager_is_told(self):
        path = self.path("notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(wisp.PATIENCE)
            self.lattice = hosts.Lattice(self)
            host = self.lattice.host(env={"NOTIFY_SOCKET": path})
            self.assertEqual(manager.recv(100), b"READY=1")
            host.stop()
            self.assertEqual(manager.recv(100), b"STOPPING=1")

    def test_log_of_a_detached_host_moves_on_for_workers_too(self):
        self.lattice = hosts.Lattice(self)
        done = self.lattice.wisp("up", "-d", "--nats-port", str(self.lattice.port), "--workers", "1", "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.addCleanup(self.lattice.wisp, "down", "--all")
        up = json.loads(done.stdout)
        log = up["wasmcloud_log"]
        os.truncate(log, 17 << 20)

        def logs_of_worker():
            return [os.readlink(f"/proc/{pid}/fd/2") for pid in wisp.children(up["pid"])]

        wisp.wait_for(lambda: os.path.exists(log + ".1") and logs_of_worker() == [log], "the worker to write to the new file")
        self.assertLess(os.path.getsize(log), 1 << 20)

    def test_policy_decides(self):
        host = self.start("--policy-topic", "acme.policy", "--policy-changes-topic", "acme.policy.changes",
                          "--label", "zone=a", "--workers", "1")
        asked = []

        def decide(subject, reply, head, data):
            asked.append(json.loads(data))
            permitted = asked[-1]["request"].get("componentId") != "forbidden" and not self.is_call(asked[-1])
            self.bus.publish(reply, json.dumps({"requestId": asked[-1]["requestId"], "permitted": permitted,
                                                "message": "no such thing here"}))

        self.bus.subscribe("acme.policy", decide)
        self.bus.flush()
        self.scale(host, "forbidden", wisp.guest("http-hello-rust"))
        event = self.events.wait_for("component_scale_failed", component_id="forbidden")
        self.assertIn("no such thing here", event["error"])
        self.scale(host, "hello", wisp.guest("http-hello-rust"))
        self.events.wait_for("component_scaled", component_id="hello")
        self.assertEqual({request["kind"] for request in asked}, {"startComponent"})
        self.assertEqual(asked[0]["host"]["publicKey"], host.id)
        self.check_policy_decides_calls(asked, self.serve_http(host, "hello"))
        host.stop()

    def is_call(self, request):
        return request["kind"] == "performInvocation"

    def check_policy_decides_calls(self, asked, address):
        started = [request for request in asked if request["kind"] == "startComponent"][-1]
        for _ in range(2):
            self.assertNotEqual(self.call_hello().returncode, 0)
        questions = [request for request in asked if self.is_call(request)]
        self.assertEqual(len(questions), 1, questions)
        self.assertEqual(questions[0]["host"], started["host"])
        self.assertEqual(questions[0]["host"]["labels"]["zone"], "a")
        self.assertEqual(questions[0]["request"], {
            "interface": "wrpc:http/incoming-handler@0.1.0", "function": "handle",
            "target": {**started["request"], "maxInstances": 0}})
        for permitted in (True, False):
            self.bus.publish("acme.policy.changes", json.dumps({"requestId": questions[0]["requestId"],
                                                                "permitted": permitted}))
            self.bus.flush()
            wisp.wait_for(lambda: (self.call_hello().returncode == 0) == permitted, "the change to be heard")
            self.assertEqual(self.get(address).status, 200 if permitted else 403)
        self.assertEqual(len([request for request in asked if self.is_call(request)]), 1)

    def call_hello(self):
        return self.lattice.wisp("call", "hello", "wasi:http/incoming-handler.handle", "-o", "json")

    def connect(self):
        try:
            return self.lattice.bus()
        except (OSError, IndexError, ValueError):
            return None

    def test_malformed_requests_get_an_error_and_change_nothing(self):
        host = self.start()
        subjects = [f"component.scale.{host.id}", f"component.update.{host.id}", f"provider.start.{host.id}",
                    f"provider.stop.{host.id}", f"label.put.{host.id}", f"label.del.{host.id}", "link.put", "link.del",
                    "config.put.x", f"host.nonsense.{host.id}", "link.nonsense"]
        for subject in subjects:
            for payload in (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"count":-1}', b"[" * 5000, b'{"a":{"b":1}}'):
                answer = self.ctl(subject, payload) if payload else self.ctl(subject)
                self.assertFalse(answer["success"], (subject, payload, answer))
                self.assertTrue(answer["message"], (subject, payload))
        inventory = self.ok(f"host.get.{host.id}")
        self.assertEqual((inventory["components"], inventory["providers"]), ([], []))
        host.stop()

    def test_failed_start_is_told(self):
        host = self.start()
        self.scale(host, "absent", "/nowhere/absent.wasm")
        event = self.events.wait_for("component_scale_failed", component_id="absent")
        self.assertIn("absent.wasm", event["error"])
        broken = self.write("broken.wasm", b"\0asm\x0d\0\1\0rubbish")
        self.scale(host, "broken", broken)
        event = self.events.wait_for("component_scale_failed", component_id="broken")
        self.assertEqual(self.ok(f"host.get.{host.id}")["components"], [])
        host.stop()


if __name__ == "__main__":
    wisp.main()
