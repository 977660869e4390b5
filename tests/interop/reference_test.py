# SPDX-License-Identifier: Apache-2.0
"""A wisp host and a host of the original in one lattice, on NATS: each runs what the other calls.

    REFERENCE_HOST  the program of tests/interop/reference_host
    WASH            the program `wash` 0.39, which packs providers
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import hosts
import wisp
from provider_sdk_test import ROOT, install_sdk


class ReferenceTest(hosts.ByControl):
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

    def run_component(self, host_id, component_id, guest):
        self.ok(f"component.scale.{host_id}", {"component_ref": "file://" + os.path.abspath(wisp.guest(guest)),
                                               "component_id": component_id, "host_id": host_id, "count": 10})
        self.events.wait_for("component_scaled", component_id=component_id, max_instances=10)

    def run_provider(self, host_id, provider_id, reference, **config):
        names = []
        if config:
            self.ok("config.put." + provider_id, config)
            names = [provider_id]
        self.ok(f"provider.start.{host_id}", {"provider_ref": reference, "provider_id": provider_id, "host_id": host_id,
                                              "config": names})
        self.events.wait_for("provider_started", provider_id=provider_id)

    def packed(self, program):
        """A reference to an archive with the program, as wash makes it."""
        if not os.environ.get("WASH"):
            raise unittest.SkipTest("WASH is not set")
        name = os.path.basename(program)
        archive = self.path(name + ".par.gz")
        subprocess.run([os.environ["WASH"], "par", "create", "--vendor", "tests", "--name", name, "--binary", program,
                        "--compress", "--destination", archive], check=True, stdout=subprocess.DEVNULL, cwd=self.folder,
                       env={**self.lattice.env, "HOME": self.folder})
        return "file://" + archive

    def hello(self):
        """The program of examples/provider-hello."""
        env = {**install_sdk(self.path("sdk")), "WISP": os.path.abspath(wisp.PROGRAM)}
        shutil.copytree(os.path.join(ROOT, "examples", "provider-hello"), self.path("provider-hello"))
        subprocess.run(["make", "-B", "-s", "-C", self.path("provider-hello")], check=True, env=env, stdout=subprocess.DEVNULL)
        return self.path("provider-hello/hello")

    def stop_provider(self, host_id, provider_id):
        self.ok(f"provider.stop.{host_id}", {"provider_id": provider_id, "host_id": host_id})
        self.events.wait_for("provider_stopped", provider_id=provider_id)

    def link(self, source, target, namespace, package, *interfaces):
        self.ok("link.put", {"source_id": source, "target": target, "name": "default", "wit_namespace": namespace,
                             "wit_package": package, "interfaces": list(interfaces), "source_config": [],
                             "target_config": []})

    def call_front(self, path, component="front"):
        done = self.lattice.wisp("call", component, "wasi:http/incoming-handler.handle", "--http-path", path, "-o", "json")
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

    def test_our_provider_under_their_host(self):
        self.link("client", "hello", "acme", "hello", "greeter")
        self.run_provider(self.reference, "hello", self.packed(self.hello()), greeting="Moin")
        self.run_component(self.reference, "client", "hello-client-rust")
        wisp.wait_for(lambda: self.call_front("/Ann/42/en", "client") == "Moin Ann (42)\n", "a greeting")
        self.events.wait_for("health_check_passed", provider_id="hello")
        # A link that changes, and a component of the other host.
        self.ok("config.put.ahoy", {"greeting": "Ahoy"})
        self.ok("link.del", {"source_id": "client", "name": "default", "wit_namespace": "acme", "wit_package": "hello"})
        self.ok("link.put", {"source_id": "client", "target": "hello", "name": "default", "wit_namespace": "acme",
                             "wit_package": "hello", "interfaces": ["greeter"], "source_config": [], "target_config": ["ahoy"]})
        wisp.wait_for(lambda: self.call_front("/Ann/42/en", "client") == "Ahoy Ann (42)\n", "the link's greeting")
        self.link("ours", "hello", "acme", "hello", "greeter")
        self.run_component(self.host.id, "ours", "hello-client-rust")
        wisp.wait_for(lambda: self.call_front("/Bob/1/fr", "ours") == "Bonjour Bob (1)\n", "a greeting")
        self.assertEqual(self.call_front("/Bob/1/tlh", "ours"), "nobody here speaks `tlh`\n")
        self.stop_provider(self.reference, "hello")

    def link_store(self):
        self.link("kv", "sqlite", "wasi", "keyvalue", "store", "atomics", "batch")

    def count_and_store(self):
        def get(path):
            return self.call_front(path, "kv").strip()

        wisp.wait_for(lambda: get("/set?key=a&value=b") == "done", "the store")
        self.assertEqual(get("/get?key=a"), "b")
        self.assertEqual([get("/increment?key=n&delta=2") for _ in range(3)], ["2", "4", "6"])
        self.assertEqual(get("/set-many?key=x&value=1&key=y&value=2"), "done")
        self.assertEqual(get("/get-many?key=x&key=z&key=y"), "x=1\n-\ny=2")
        self.assertEqual(get("/keys"), "a\nn\nx\ny")
        self.assertEqual(get("/delete?key=a"), "done")
        self.assertEqual(get("/get?key=a"), "no such key")

    def test_our_store_under_their_host(self):
        self.link_store()
        program = os.path.join(wisp.BUILD, "providers", "wisp-keyvalue-sqlite")
        self.run_provider(self.reference, "sqlite", self.packed(program), data_dir=self.path("data"))
        self.run_component(self.reference, "kv", "keyvalue-rust")
        self.count_and_store()

    def test_our_built_in_store_for_their_component(self):
        self.link_store()
        self.run_provider(self.host.id, "sqlite", "wisp://keyvalue-sqlite")
        self.run_component(self.reference, "kv", "keyvalue-rust")
        self.count_and_store()

    def test_our_component_and_a_store_under_their_host(self):
        self.link_store()
        program = os.path.join(wisp.BUILD, "providers", "wisp-keyvalue-sqlite")
        self.run_provider(self.reference, "sqlite", self.packed(program), data_dir=self.path("data"))
        self.run_component(self.host.id, "kv", "keyvalue-rust")
        self.count_and_store()

    def test_links_and_configs_are_seen_by_both(self):
        self.ok("config.put.shared", {"a": "1"})
        # Whichever of the two is asked, both have it in the end.
        wisp.wait_for(lambda: all(self.ok("config.get.shared") == {"a": "1"} for _ in range(10)), "the configuration")
        self.link("x", "y", "acme", "shop", "stock")
        wisp.wait_for(lambda: all([link["target"] for link in self.ok("link.get")] == ["y"] for _ in range(10)), "the link")
        self.ok("link.del", {"source_id": "x", "name": "default", "wit_namespace": "acme", "wit_package": "shop"})


if __name__ == "__main__":
    wisp.main()
