# SPDX-License-Identifier: Apache-2.0
"""A provider process of the original (its HTTP server, built with its SDK), unmodified, under a wisp host: on the
embedded bus and on NATS.

    PROVIDER_RUST  the program of tests/interop/provider_rust
"""

import os
import signal
import socket
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import hosts
import wisp


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class ProviderTest(hosts.ByControl):
    def setUp(self):
        super().setUp()
        if not os.environ.get("PROVIDER_RUST"):
            raise unittest.SkipTest("PROVIDER_RUST is not set")
        self.lattice = hosts.Lattice(self)
        self.port = free_port()

    def get(self, path="/", **options):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", **options)
        try:
            with urllib.request.urlopen(request, timeout=wisp.PATIENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError as error:
            return 0, str(error).encode()

    def start(self, *args):
        self.host = self.lattice.host(*args)
        self.bus = self.lattice.bus()
        self.events = hosts.Events(self.bus)
        self.ok(f"component.scale.{self.host.id}", {
            "component_ref": "file://" + os.path.abspath(wisp.guest("http-echo-rust")), "component_id": "echo",
            "host_id": self.host.id, "count": 20})
        self.events.wait_for("component_scaled", component_id="echo")
        self.ok("config.put.where", {"address": f"127.0.0.1:{self.port}"})
        self.link("where")
        self.ok(f"provider.start.{self.host.id}", {
            "provider_id": "web", "provider_ref": "file://" + os.environ["PROVIDER_RUST"], "host_id": self.host.id,
            "config": []})
        self.events.wait_for("provider_started", provider_id="web")

    def link(self, config):
        self.ok("link.put", {"source_id": "web", "target": "echo", "name": "default", "wit_namespace": "wasi",
                             "wit_package": "http", "interfaces": ["incoming-handler"], "source_config": [config],
                             "target_config": []})

    def processes(self):
        listing = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
        return [int(line.split()[0]) for line in listing.splitlines() if os.environ["PROVIDER_RUST"] in line
                and "python" not in line]

    def serves(self):
        return self.get()[0] == 200

    def unlinked(self):
        self.ok("link.del", {"source_id": "web", "name": "default", "wit_namespace": "wasi", "wit_package": "http"})
        return self.get()[0] == 0

    def walk(self):
        """A provider's life: requests, a link deleted and put again, a kill, a stop."""
        wisp.wait_for(self.serves, f"the provider; {self.host.log[-3000:]}")
        body = os.urandom(300_000)
        self.assertEqual(self.get("/", data=body, method="POST"), (200, body))
        self.events.wait_for("health_check_passed", provider_id="web")

        wisp.wait_for(self.unlinked, "the address to be closed")
        self.link("where")
        wisp.wait_for(self.serves, "the link to be back")

        (first,) = self.processes()
        os.kill(first, signal.SIGKILL)
        wisp.wait_for(self.serves, "the provider to be back")
        (second,) = self.processes()
        self.assertNotEqual(first, second)

        # It serves before it listens to its host.
        wisp.wait_for(self.unlinked, "the address to be closed")
        self.link("where")
        wisp.wait_for(self.serves, "the link to be back")
        self.ok(f"provider.stop.{self.host.id}", {"provider_id": "web", "host_id": self.host.id})
        self.events.wait_for("provider_stopped", provider_id="web")
        wisp.wait_for(lambda: not self.processes(), "the provider to end")
        self.assertIn("HTTP server provider exiting", self.host.log)
        self.host.stop()

    def test_on_the_embedded_bus(self):
        self.start()
        self.walk()

    def test_on_nats(self):
        with open(self.path("nats.log"), "wb") as log:
            nats = subprocess.Popen(["nats-server", "-js", "-a", "127.0.0.1", "-p", str(self.lattice.port), "-sd",
                                     self.path("js")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(nats.wait)
        self.addCleanup(nats.kill)
        self.start("--nats", f"nats://127.0.0.1:{self.lattice.port}")
        self.walk()


if __name__ == "__main__":
    wisp.main()
