# SPDX-License-Identifier: Apache-2.0
"""Components that call each other: within a worker, and from host to host over the bus; and limits over all workers."""

import os
import re
import signal
import threading
import time
import urllib.request

import hosts
import wisp


class CallsTest(hosts.ByControl):
    def start(self, *flags):
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host(*flags)
        self.bus = self.lattice.bus()
        self.events = hosts.Events(self.bus)

    def run_component(self, host, component_id, guest, count=20, **fields):
        self.ok(f"component.scale.{host.id}", {"component_ref": "file://" + os.path.abspath(wisp.guest(guest)),
                                               "component_id": component_id, "host_id": host.id, "count": count, **fields})
        self.events.wait_for("component_scaled", component_id=component_id, max_instances=count)

    def link(self, source, target, package, interfaces, name="default", **config):
        namespace, package = package.split(":")
        self.ok("link.put", {"source_id": source, "target": target, "name": name, "wit_namespace": namespace,
                             "wit_package": package, "interfaces": interfaces, "source_config": [], "target_config": [],
                             **config})

    def serve(self, host, component_id, provider="http", **config):
        address = wisp.free_address()
        self.ok(f"config.put.{provider}", {"address": address, **config})
        self.ok(f"provider.start.{host.id}", {"provider_id": provider, "host_id": host.id,
                                              "provider_ref": "wisp://http-server"})
        self.link(provider, component_id, "wasi:http", ["incoming-handler"], source_config=[provider])
        return address

    def get(self, address, path, headers=(), body=b"", method="GET"):
        with wisp.Client(address) as client:
            return client.request(method, path, [*headers, ("connection", "close")], body)

    def wait_for_answer(self, address, path, body):
        def answer():
            try:
                response = self.get(address, path)
            except (OSError, wisp.Broken):
                return False
            return response.status == 200 and response.body == body

        wisp.wait_for(answer, f"{body} at {path}; log: {self.host.log[-2000:]}")

    def test_components_of_one_host(self):
        self.start()
        self.run_component(self.host, "front", "front-rust")
        self.run_component(self.host, "calc", "calc-rust")
        address = self.serve(self.host, "front")
        self.wait_for_answer_of_route(address)
        self.assertEqual(self.get(address, "/add?a=1&b=2").status, 500)  # nothing is linked yet
        self.host.wait_for_log("link")
        self.link("front", "calc", "acme:calc", ["ops"])
        self.wait_for_answer(address, "/add?a=1&b=2", b"3\n")
        self.assertEqual(self.get(address, "/count").body, b"1 1\n")  # an instance as new for every call
        self.assertEqual(self.get(address, "/trap").status, 500)
        self.assertEqual(self.get(address, "/add?a=20&b=22").body, b"42\n")
        self.host.stop()

    def test_a_call_waits_only_for_what_is_to_run(self):
        self.start("--provider-wait", "1h", "--max-execution-time-ms", "3600000")
        self.run_component(self.host, "front", "front-rust")
        address = self.serve(self.host, "front")
        self.wait_for_answer_of_route(address)
        self.link("front", "calc", "acme:calc", ["ops"])
        self.assertEqual(self.get(address, "/add?a=1&b=2").status, 500)
        self.host.wait_for_log("nobody serves .*and no host is to run it")
        # A second host has it, and is killed and comes back: nobody else answers meanwhile.
        other = self.lattice.host()
        self.run_component(other, "calc", "calc-rust")
        self.wait_for_answer(address, "/add?a=1&b=2", b"3\n")
        killed = [other.process.pid, *wisp.children(other.process.pid)]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        other.process.wait()
        wisp.wait_for(lambda: not any(map(wisp.is_alive, killed)), "all of it to be gone")
        time.sleep(0.2)  # until the bus knows: what is delivered to a process that dies is lost
        answers = []
        asking = threading.Thread(target=lambda: answers.append(self.get(address, "/add?a=20&b=22")))
        asking.start()
        time.sleep(1)  # longer than a call waits for what is not to run
        self.assertEqual(answers, [])
        other = self.lattice.host()
        asking.join(60)
        self.assertEqual(answers[0].body, b"42\n")
        other.stop()
        self.host.stop()

    def wait_for_answer_of_route(self, address):
        def answered():
            try:
                return self.get(address, "/config").status == 200
            except (OSError, wisp.Broken):
                return False

        wisp.wait_for(answered, "the route")

    def test_components_of_two_hosts(self):
        self.start()
        other = self.lattice.host()
        self.run_component(self.host, "front", "front-rust")
        self.run_component(other, "calc", "calc-rust")
        address = self.serve(self.host, "front")
        self.link("front", "calc", "acme:calc", ["ops"])
        self.wait_for_answer(address, "/add?a=1&b=2", b"3\n")
        self.assertEqual(self.get(address, "/count").body, b"1 1\n")
        self.assertEqual(self.get(address, "/fail?reason=why").status, 422)
        self.assertEqual(self.get(address, "/trap").status, 500)
        # The callee moves: nobody notices.
        self.run_component(self.host, "calc", "calc-rust", count=21)
        other.stop()
        self.wait_for_answer(address, "/add?a=2&b=2", b"4\n")
        self.host.stop()

    def test_http_server_and_component_on_different_hosts(self):
        self.start()
        other = self.lattice.host()
        self.run_component(other, "echo", "http-echo-rust")
        address = self.serve(self.host, "echo")

        def echoed():
            try:
                response = self.get(address, "/", body=b"over the bus", method="POST")
            except (OSError, wisp.Broken):
                return False
            return response.body == b"over the bus"

        wisp.wait_for(echoed, f"an echo; {self.host.log[-2000:]}")
        big = os.urandom(3 << 20)
        self.assertEqual(self.get(address, "/", body=big, method="POST").body, big)
        other.stop()
        self.assertGreaterEqual(self.get(address, "/where?token=hush").status, 500)
        self.host.wait_for_log("a forwarded request failed.* path=/where ")
        self.assertNotIn("hush", self.host.log)
        self.host.stop()

    def test_config_reaches_running_components(self):
        self.start()
        self.ok("config.put.colours", {"sky": "blue"})
        self.run_component(self.host, "front", "front-rust", config=["colours"])
        address = self.serve(self.host, "front")
        self.wait_for_answer(address, "/config?key=sky", b"blue\n")
        workers = self.host.workers()
        self.ok("config.put.colours", {"sky": "red"})
        self.wait_for_answer(address, "/config?key=sky", b"red\n")
        self.assertEqual(self.host.workers(), workers)
        self.host.stop()

    def test_limit_holds_over_all_workers(self):
        self.start()
        self.run_component(self.host, "front", "front-rust", count=3)
        self.run_component(self.host, "calc", "calc-rust")
        self.link("front", "calc", "acme:calc", ["ops"])
        address = self.serve(self.host, "front")
        self.wait_for_answer(address, "/add?a=1&b=2", b"3\n")
        begin = time.monotonic()
        threads = [threading.Thread(target=self.get, args=(address, "/sleep?ms=400")) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(wisp.PATIENCE)
        # Four rounds of three: less time would mean more than three at once, whatever the workers they came to.
        self.assertGreaterEqual(time.monotonic() - begin, 4 * 0.4)
        self.host.stop()

    def metrics(self, address):
        with urllib.request.urlopen(f"http://{address}/metrics") as response:
            return response.read().decode()

    def test_health_and_metrics(self):
        admin = wisp.free_address()
        self.start("--http-admin", admin)
        self.run_component(self.host, "hello", "http-hello-rust")
        address = self.serve(self.host, "hello")
        self.wait_for_answer(address, "/", b"Hello from Rust!\n")
        for path in ("/livez", "/readyz"):
            self.assertEqual(self.get(admin, path).body, b'{"status":"ok"}')
        self.assertEqual(self.get(admin, "/nothing").status, 404)
        self.assertEqual(self.get(admin, "/livez", method="POST").status, 405)
        for _ in range(10):
            self.get(address, "/")
        text = self.metrics(admin)
        calls = re.search(r'wisp_component_calls_total\{component="hello",[^}]*\} (\d+)', text)
        self.assertGreaterEqual(int(calls.group(1)), 10, text)
        self.assertRegex(text, r'wisp_component_latency_seconds_bucket\{component="hello",[^}]*le="\+Inf"\} [1-9]')
        self.host.stop()


if __name__ == "__main__":
    wisp.main()
