# SPDX-License-Identifier: Apache-2.0
"""The http-server provider as a process of its own: by address and by path, its settings, changes of links, its end."""

import json
import os
import signal
import ssl
import subprocess
import threading
import urllib.request

import hosts
import wisp

PROGRAM = os.path.join(wisp.BUILD, "providers", "wisp-http-server")


class ProviderHttpTest(hosts.ByControl):
    def start(self, **config):
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host()
        self.bus = self.lattice.bus()
        self.events = hosts.Events(self.bus)
        self.ok("config.put.server", config)
        self.run_component("front", "front-rust")
        self.ok(f"provider.start.{self.host.id}", {"provider_id": "http", "provider_ref": "file://" + PROGRAM,
                                                   "config": ["server"], "host_id": self.host.id})
        self.events.wait_for("health_check_passed", provider_id="http")

    def run_component(self, component_id, guest):
        self.ok(f"component.scale.{self.host.id}", {"component_id": component_id, "count": 20, "host_id": self.host.id,
                                                    "component_ref": "file://" + os.path.abspath(wisp.guest(guest))})
        self.events.wait_for("component_scaled", component_id=component_id)

    def link(self, target, name="default", **config):
        """By a configuration of its own: what an old one holds is not delivered again."""
        config_name = f"link-{os.urandom(4).hex()}"
        self.ok(f"config.put.{config_name}", config)
        self.ok("link.put", {**self.key(target, name), "interfaces": ["incoming-handler"], "target_config": [],
                             "source_config": [config_name], "target": target})

    def unlink(self, target, name="default"):
        self.ok("link.del", self.key(target, name))

    def key(self, target, name):
        return {"source_id": "http", "name": name, "wit_namespace": "wasi", "wit_package": "http"}

    def ask(self, address, path="/", method="GET", headers=()):
        try:
            with wisp.Client(address) as client:
                return client.request(method, path, [*headers, ("connection", "close")])
        except (OSError, wisp.Broken):
            return None

    def wait_for_answer(self, address, path, status, body=None, **options):
        last = None

        def answered():
            nonlocal last
            last = self.ask(address, path, **options)
            return last and last.status == status and (body is None or last.body == body)

        try:
            wisp.wait_for(answered, f"{status} {body} at {path}", 30)
        except AssertionError:
            raise AssertionError(f"at {path}: {last}; log: {self.host.log[-3000:]}") from None
        return last

    def is_free(self, address):
        return self.ask(address) is None

    def test_by_address(self):
        first, second = wisp.free_address(), wisp.free_address()
        self.start(default_address=first)
        self.run_component("hello", "http-hello-rust")
        self.run_component("calc", "calc-rust")
        self.ok("link.put", {"source_id": "front", "target": "calc", "name": "default", "wit_namespace": "acme",
                             "wit_package": "calc", "interfaces": ["ops"], "source_config": [], "target_config": []})
        self.link("front")
        self.wait_for_answer(first, "/", 200, b"front\n")
        self.link("hello", "second", ADDRESS=second, cache_control="max-age=7", timeout_ms="60000")
        answer = self.wait_for_answer(second, "/", 200)
        self.assertEqual(answer.header("cache-control"), "max-age=7")

        # Settings change while it runs; the listener stays.
        self.link("front", readonly_mode="true", timeout_ms="200")
        self.wait_for_answer(first, "/", 405, method="POST")
        self.wait_for_answer(first, "/sleep?ms=5000", 408)
        self.link("front", "third", config_json=json.dumps({"address": first, "timeout_ms": 300}))

        # The first component of an address is served; then the next one; then nobody listens.
        self.unlink("front")
        self.wait_for_answer(first, "/", 200, method="POST")
        self.unlink("front", "third")
        wisp.wait_for(lambda: self.is_free(first), "the address to be free")
        self.link("front")
        self.wait_for_answer(first, "/", 200)

        self.link("hello", "bad", address="nonsense")
        self.host.wait_for_log("link not taken.*not HOST:PORT")
        self.link("hello", "bad2", timeout_ms="soon")
        self.host.wait_for_log("link not taken.*timeout_ms")
        self.finish_with_requests_in_flight(first)

    def finish_with_requests_in_flight(self, address):
        """What was begun before the end is answered."""
        self.link("front")
        answers = []
        asking = [threading.Thread(target=lambda: answers.append(self.ask(address, "/sleep?ms=1500"))) for _ in range(5)]
        for thread in asking:
            thread.start()
        pid = [pid for pid in wisp.children(self.host.process.pid)
               if os.path.realpath(f"/proc/{pid}/exe") == os.path.realpath(PROGRAM)][0]
        wisp.wait_for(lambda: self.connections(address) >= 5, "the requests to be there")
        os.kill(pid, signal.SIGTERM)
        for thread in asking:
            thread.join()
        self.assertEqual([answer and answer.body for answer in answers], [b"slept\n"] * 5, self.host.log[-3000:])
        self.wait_for_answer(address, "/", 200, b"front\n")  # from the next process
        self.ok(f"provider.stop.{self.host.id}", {"provider_id": "http", "host_id": self.host.id})
        self.events.wait_for("provider_stopped", provider_id="http")
        wisp.wait_for(lambda: self.is_free(address), "the address to be free")
        self.assertNotRegex(self.host.log, "Sanitizer|runtime error:")
        self.host.stop()

    def connections(self, address):
        port = f":{int(address.rpartition(':')[2]):04X}"
        with open("/proc/net/tcp") as file:
            return sum(line.split()[1].endswith(port) and line.split()[3] == "01" for line in file.readlines()[1:])

    def test_by_path(self):
        address = wisp.free_address()
        self.start(routing_mode="path", address=address, cors_max_age_secs="17")
        self.run_component("hello", "http-hello-rust")
        self.link("front", path="/add")
        self.wait_for_answer(address, "/add?a=1&b=2", 500)  # nothing is linked to it, but it was asked
        self.link("hello", "other", path="/hello")
        self.wait_for_answer(address, "/hello", 200)
        self.assertEqual(self.wait_for_answer(address, "/hello/", 404).body, b"path not found\n")
        self.link("hello", "clash", path="/add")
        self.host.wait_for_log("link not taken.*path `/add` is that of component `front`")
        preflight = self.wait_for_answer(address, "/hello", 200, method="OPTIONS", headers=[
            ("origin", "http://a.example"), ("access-control-request-method", "GET")])
        self.assertEqual(preflight.header("access-control-max-age"), "17")
        self.unlink("hello", "other")
        self.wait_for_answer(address, "/hello", 404)
        self.host.stop()

    def test_https(self):
        address = wisp.free_address()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                        self.path("key.pem"), "-out", self.path("cert.pem")], check=True, capture_output=True)
        self.start()
        self.link("front", address=address, tls_cert_file=self.path("cert.pem"), tls_priv_key_file=self.path("key.pem"))
        context = ssl.create_default_context(cafile=self.path("cert.pem"))

        def answered():
            try:
                with urllib.request.urlopen(f"https://{address}/", context=context, timeout=10) as response:
                    return response.read() == b"front\n"
            except OSError:
                return False

        wisp.wait_for(answered, f"an answer by TLS; log: {self.host.log[-2000:]}", 30)
        self.link("front", "bad", address=wisp.free_address(), tls_cert_file="/nowhere", tls_priv_key_file="/nowhere")
        self.host.wait_for_log("link not taken.*/nowhere")
        self.host.stop()


if __name__ == "__main__":
    wisp.main()
