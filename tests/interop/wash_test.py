# SPDX-License-Identifier: Apache-2.0
"""The original command line, unmodified, drives a wisp host; its JSON is that of its own documentation.

    WASH     the program `wash` 0.39
    CONTROL  the program of tests/interop/control
"""

import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import applications
import hosts
import manifests
import wisp


class Case(manifests.Case):
    def setUp(self):
        super().setUp()
        for name in ("WASH", "CONTROL"):
            if not os.environ.get(name):
                raise unittest.SkipTest(f"{name} is not set")
        self.lattice = hosts.Lattice(self)
        self.start()

    def start(self):
        self.host = self.lattice.host()

    def run_wash(self, *args):
        return subprocess.run([os.environ["WASH"], *args, "--ctl-port", str(self.lattice.port), "-o", "json"],
                              capture_output=True, timeout=120, env={**self.lattice.env, "HOME": self.folder})

    def wash(self, *args):
        done = self.run_wash(*args)
        self.assertEqual(done.returncode, 0, (args, done.stdout, done.stderr, self.host.log[-3000:]))
        return json.loads(done.stdout)

    def validate(self, path):
        """It asks nobody, and takes no flags about whom to ask."""
        done = subprocess.run([os.environ["WASH"], "app", "validate", path, "-o", "json"], capture_output=True, timeout=120,
                              env={**self.lattice.env, "HOME": self.folder})
        self.assertEqual(done.returncode, 0, (done.stdout, done.stderr))
        return json.loads(done.stdout)


class WashTest(Case):
    def hello(self):
        return "file://" + os.path.abspath(wisp.guest("http-hello-rust"))

    def test_get(self):
        hosts = self.wash("get", "hosts")["hosts"]
        self.assertEqual([host["id"] for host in hosts], [self.host.id])
        self.assertLessEqual({"id", "friendly_name", "labels", "lattice", "uptime_seconds", "uptime_human", "version",
                              "rpc_host", "ctl_host"}, set(hosts[0]))
        inventories = self.wash("get", "inventory")["inventories"]
        self.assertEqual(inventories[0]["host_id"], self.host.id)
        self.assertLessEqual({"host_id", "friendly_name", "labels", "version", "uptime_human", "uptime_seconds",
                              "components", "providers"}, set(inventories[0]))
        self.assertEqual(self.wash("get", "links")["links"], [])
        self.assertEqual(self.wash("get", "claims")["claims"], [])

    def test_component_from_start_to_stop(self):
        started = self.wash("start", "component", self.hello(), "hello", "--max-instances", "3")
        self.assertEqual((started["component_id"], started["host_id"]), ("hello", self.host.id))
        components = self.wash("get", "inventory", self.host.id)["inventories"][0]["components"]
        self.assertEqual([(entry["id"], entry["max_instances"]) for entry in components], [("hello", 3)])
        self.wash("scale", "component", self.host.id, self.hello(), "hello", "--max-instances", "9")
        components = self.wash("get", "inventory", self.host.id)["inventories"][0]["components"]
        self.assertEqual(components[0]["max_instances"], 9)
        self.wash("update", "component", "hello", self.hello())
        self.wash("stop", "component", "hello")
        self.assertEqual(self.wash("get", "inventory", self.host.id)["inventories"][0]["components"], [])

    def test_config_labels_and_links(self):
        self.wash("config", "put", "http-config", "address=127.0.0.1:0", "a=b=c")
        self.assertEqual(self.wash("config", "get", "http-config"), {"address": "127.0.0.1:0", "a": "b=c"})
        self.wash("label", self.host.id, "zone=a")
        self.assertEqual(self.wash("get", "hosts")["hosts"][0]["labels"]["zone"], "a")
        self.wash("label", self.host.id, "zone", "--delete")
        self.assertNotIn("zone", self.wash("get", "hosts")["hosts"][0]["labels"])
        self.wash("link", "put", "http", "hello", "wasi", "http", "--interface", "incoming-handler", "--source-config",
                  "http-config")
        links = self.wash("link", "query")["links"]
        self.assertEqual(links, [{"source_id": "http", "target": "hello", "name": "default", "wit_namespace": "wasi",
                                  "wit_package": "http", "interfaces": ["incoming-handler"],
                                  "source_config": ["http-config"], "target_config": []}])
        conflict = self.run_wash("link", "put", "http", "other", "wasi", "http", "--interface", "incoming-handler")
        self.assertNotEqual(conflict.returncode, 0)
        self.wash("link", "del", "http", "wasi", "http")
        self.assertEqual(self.wash("link", "query")["links"], [])
        self.wash("config", "del", "http-config")

    def test_http_server_and_call(self):
        address = wisp.free_address()
        self.wash("config", "put", "front", f"address={address}")
        self.wash("start", "component", self.hello(), "hello")
        # Its wait looks for the reference as it was given; hosts, the original too, tell it without its scheme.
        self.wash("start", "provider", "wasmcloud+builtin://http-server", "http", "--skip-wait")
        self.wash("link", "put", "http", "hello", "wasi", "http", "--interface", "incoming-handler", "--source-config",
                  "front")

        def answer():
            try:
                with wisp.Client(address) as client:
                    response = client.request()
                    return response if response.status == 200 else None
            except OSError:
                return None

        self.assertEqual(wisp.wait_for(answer, "an answer").body, b"Hello from Rust!\n")
        done = subprocess.run([os.environ["WASH"], "call", "hello", "wasi:http/incoming-handler.handle", "--rpc-port",
                               str(self.lattice.port), "-o", "json"], capture_output=True, timeout=120,
                              env={**self.lattice.env, "HOME": self.folder})
        self.assertEqual(done.returncode, 0, (done.stdout, done.stderr, self.host.log[-3000:]))
        response = json.loads(done.stdout)["response"]
        self.assertEqual((response["status"], response["body"]), (200, "Hello from Rust!\n"))
        self.wash("stop", "provider", "http")

    def test_application(self):
        address = wisp.free_address()
        text = applications.example("hello", address)
        path = self.write("hello.yaml", text)
        checked = self.validate(path)
        self.assertEqual((checked["valid"], checked["errors"]), (True, []))
        self.assertEqual(self.wash("app", "list")["applications"], [])
        put = self.wash("app", "put", path)
        self.assertEqual((put["deployed"], put["model_name"], put["model_version"]), (True, "hello", "v1.0.0"))
        deployed = self.wash("app", "deploy", "hello", "v1.0.0")
        self.assertEqual((deployed["deployed"], deployed["model_name"], deployed["model_version"]),
                         (True, "hello", "v1.0.0"))

        def answer():
            try:
                with wisp.Client(address) as client:
                    response = client.request()
                    return response.body if response.status == 200 else None
            except OSError:
                return None

        def status():
            return self.wash("app", "status", "hello")["status"]

        self.assertEqual(wisp.wait_for(answer, "an answer"), b"Hello from Rust!\n")
        wisp.wait_for(lambda: status()["status"]["type"] == "deployed", "deployed")
        self.assertLessEqual({"SpreadScaler", "LinkScaler"}, {scaler["kind"] for scaler in status()["scalers"]})
        second = self.write("second.yaml", text.replace("v1.0.0", "v2").replace("http-hello-rust", "http-hello-c"))
        self.assertEqual(self.wash("app", "deploy", second)["model_version"], "v2")
        wisp.wait_for(lambda: answer() == b"Hello from C!\n", "the second version")
        summary, = self.wash("app", "list")["applications"]
        self.assertEqual((summary["name"], summary["deployed_version"], summary["version"]), ("hello", "v2", "v2"))
        self.assertEqual([(entry["version"], entry["deployed"]) for entry in self.wash("app", "history", "hello")["revisions"]],
                         [("v1.0.0", False), ("v2", True)])
        manifest = self.wash("app", "get", "hello", "v1.0.0")["application"]
        self.assertEqual(manifest["metadata"]["annotations"]["version"], "v1.0.0")
        self.assertEqual(self.wash("app", "undeploy", "hello")["undeployed_application_names"], ["hello"])
        wisp.wait_for(lambda: self.wash("get", "inventory")["inventories"][0]["components"] == [], "nothing to run")
        self.assertTrue(self.wash("app", "delete", "hello", "v1.0.0")["deleted"])
        self.wash("app", "delete", "--all-undeployed")
        self.assertEqual(self.wash("app", "list")["applications"], [])

    def test_stop_host(self):
        self.wash("stop", "host", self.host.id)
        self.host.process.wait(wisp.PATIENCE)
        self.assertEqual(self.host.process.returncode, 0, self.host.log)

    def test_control_client(self):
        done = subprocess.run([os.environ["CONTROL"], str(self.lattice.port), os.path.abspath(wisp.guest("http-hello-rust"))],
                              capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 0, (done.stdout, done.stderr, self.host.log[-3000:]))
        steps = {}
        for line in done.stdout.splitlines():
            step = json.loads(line)
            steps[step["step"]] = step["value"]
        self.assertEqual(steps["hosts"], [self.host.id])
        self.assertEqual((steps["component-auction"], steps["impossible-auction"]), (1, 0))
        self.assertEqual(steps["config"], {"sky": "blue"})
        self.assertEqual((steps["scaled"]["component_id"], steps["scaled"]["max_instances"]), ("hello", 7))
        self.assertEqual([link["target"] for link in steps["links"]], ["hello"])
        components = steps["inventory-after"]["components"]
        self.assertEqual([(entry["id"], entry["max_instances"], entry["annotations"]) for entry in components],
                         [("hello", 7, {"a": "b"})])
        self.assertTrue(steps["done"])


class ManifestsTest(Case):
    """Each manifest of the folder `manifests` by the verbs of `wash app`."""

    def start(self):
        self.start_hosts(self.lattice, state="state")
        self.host = self.lattice.zones["a"]

    def status(self, name):
        return self.wash("app", "status", name)["status"]

    def deploy(self, file):
        text = self.fitted(file)
        path, name = self.write(file, text), manifests.name_of(text)
        checked = self.validate(path)
        self.assertEqual((checked["valid"], checked["errors"], checked["warnings"]), (True, [], []))
        put = self.wash("app", "put", path)
        self.assertEqual((put["deployed"], put["model_name"]), (True, name))
        deployed = self.wash("app", "deploy", name, put["model_version"])
        self.assertEqual((deployed["deployed"], deployed["model_name"], deployed["model_version"]),
                         (True, name, put["model_version"]))
        wisp.wait_for(lambda: self.status(name)["status"]["type"] == "deployed", f"{name}: {self.status(name)}", 30)
        self.assertTrue(self.status(name)["scalers"])
        revision = self.wash("app", "history", name)["revisions"][-1]
        self.assertEqual((revision["version"], revision["deployed"]), (put["model_version"], True))
        manifest = self.wash("app", "get", name, put["model_version"])["application"]
        self.assertEqual((manifest["metadata"]["name"], manifest["metadata"]["annotations"]["version"]),
                         (name, put["model_version"]))
        summary, = (each for each in self.wash("app", "list")["applications"] if each["name"] == name)
        self.assertEqual((summary["deployed_version"], summary["detailed_status"]["status"]["type"]),
                         (put["model_version"], "deployed"))
        return name

    def runs(self):
        return [entry["id"] for inventory in self.wash("get", "inventory")["inventories"]
                for entry in [*inventory["components"], *inventory["providers"]]]

    def test_manifests(self):
        for files in manifests.GROUPS:
            with self.subTest(manifests=files):
                names = [self.deploy(file) for file in files]
                self.assertTrue(self.runs())
                for name in reversed(dict.fromkeys(names)):
                    self.assertEqual(self.wash("app", "undeploy", name)["undeployed_application_names"], [name])
                    wisp.wait_for(lambda: self.status(name)["status"]["type"] == "undeployed", f"{name} to be gone", 30)
                wisp.wait_for(lambda: not self.runs() and not self.wash("get", "links")["links"], "nothing to be left", 30)
                for name in names:
                    self.wash("app", "delete", name)
                self.assertEqual(self.wash("app", "list")["applications"], [])


if __name__ == "__main__":
    wisp.main()
