# SPDX-License-Identifier: Apache-2.0
"""The verbs of the lattice against a host that `wisp up` has started, over its embedded bus."""

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import lattice_cli_test
import wisp

sys.path.insert(0, os.path.join(wisp.HERE, "../oci"))
import registry  # noqa: E402

EXIT = wisp.EXIT


class RealHost(lattice_cli_test.LatticeVerbs):
    def setUp(self):
        super().setUp()
        self.port = wisp.free_address().rpartition(":")[2]
        self.succeeds("up", "-d", "--nats-port", self.port)
        self.addCleanup(self.wisp, "down", "--all")
        self.id = self.json("get", "hosts")["hosts"][0]["id"]

    def wisp(self, *args, **options):
        """What takes a while on a loaded machine gets that."""
        if args[0] in ("start", "stop", "scale", "update", "call"):
            args += ("-t", str(wisp.PATIENCE) + "s")
        return super().wisp(*args, **options)

    def built(self, name):
        """components/NAME.wat as the binary that hosts want."""
        path = self.path(name + ".wasm")
        source = self.http_component(name[5:]) if name.startswith("http-") else self.component(name)
        subprocess.run([wisp.wasm_tools(), "parse", source, "-o", path], check=True)
        return path

    def test_hosts_and_labels(self):
        for args in ((), ("-p", self.port), ("--ctl-host", f"nats://127.0.0.1:{self.port}")):
            hosts = self.json("get", "hosts", *args)["hosts"]
            self.assertEqual([host["id"] for host in hosts], [self.id])
            for key in ("friendly_name", "labels", "lattice", "uptime_seconds", "uptime_human", "version"):
                self.assertIn(key, hosts[0])
        self.succeeds_with({"deleted": False, "processed": [["zone", "eu"]]}, "label", self.id, "zone=eu")
        self.assertEqual(self.json("get", "inventory", self.id)["inventories"][0]["labels"]["zone"], "eu")
        self.succeeds("label", hosts[0]["friendly_name"], "--delete", "zone")
        self.assertNotIn("zone", self.json("get", "inventory")["inventories"][0]["labels"])
        self.succeeds("label", self.id, "rack=7")
        self.succeeds("down")
        self.succeeds("up", "-d", "--nats-port", self.port, "--label", "rack=8")
        self.assertEqual(self.json("get", "inventory", self.id)["inventories"][0]["labels"]["rack"], "7")

    def test_life_of_a_component(self):
        path = self.built("adder")
        done = self.json("start", "component", path, "adder", "--max-instances", "3")
        self.assertEqual((done["component_ref"], done["component_id"], done["host_id"]),
                         ("file://" + path, "adder", self.id))
        running, = self.json("get", "inventory")["inventories"][0]["components"]
        self.assertEqual((running["id"], running["image_ref"], running["max_instances"], running["revision"]),
                         ("adder", "file://" + path, 3, 0))
        self.assertEqual(self.succeeds("call", "adder", "acme:calc/math.add", "40", "2"), "42\n")
        self.succeeds_with({"result": 42}, "call", "adder", "math.add", "40", "2")
        self.fails(EXIT["guest"], "call", "adder", "math.trap")
        self.succeeds("scale", "component", self.id, path, "adder", "--max", "7")
        self.assertEqual(self.json("inspect", "adder")["running"][0]["max_instances"], 7)
        other = shutil.copy(path, self.path("other.wasm"))
        self.assertIn("other.wasm", self.json("update", "component", "adder", other)["result"])
        self.assertIn("already", self.json("update", "component", "adder", other)["result"])
        self.assertEqual(self.succeeds("call", "adder", "math.add", "1", "1"), "2\n")
        done = self.json("stop", "component", "adder")
        self.assertEqual((done["component_id"], done["host_id"]), ("adder", self.id))
        self.assertEqual(self.json("get", "inventory")["inventories"][0]["components"], [])
        self.fails(EXIT["not-found"], "call", "adder", "math.add", "1", "1")

    def test_http(self):
        address = wisp.free_address()
        self.succeeds("config", "put", "web", f"address={address}")
        self.assertEqual(self.json("config", "get", "web"), {"address": address})
        self.succeeds("start", "component", self.built("http-ok"), "ok")
        self.succeeds("start", "provider", "wasmcloud+builtin://http-server", "http", "--config", "web")
        self.succeeds_with({"source_id": "http", "target": "ok"}, "link", "put", "http", "ok", "wasi", "http",
                           "--interface", "incoming-handler", "--source-config", "web")
        link, = self.json("get", "links")["links"]
        self.assertEqual(link, {"source_id": "http", "target": "ok", "name": "default", "wit_namespace": "wasi",
                                "wit_package": "http", "interfaces": ["incoming-handler"], "source_config": ["web"],
                                "target_config": []})

        def answers():
            try:
                return urllib.request.urlopen(f"http://{address}/ok", timeout=10).status == 200
            except urllib.error.URLError:
                return False

        wisp.wait_for(answers, "the HTTP server")
        response = self.json("call", "ok", "wasi:http/incoming-handler.handle", "--http-path", "/ok")["response"]
        self.assertEqual(response["status"], 200)
        self.assertEqual(self.json("inspect", "http")["configs"], ["web"])
        self.succeeds("link", "del", "http", "wasi", "http")
        self.assertEqual(self.json("get", "links")["links"], [])
        self.assertEqual(self.json("stop", "provider", "http")["provider_id"], "http")
        self.succeeds("config", "del", "web")
        self.fails(EXIT["not-found"], "config", "get", "web")

    def test_images_of_registries(self):
        os.mkdir(self.path("registry"))
        image = registry.Registry(self.path("registry"))
        self.addCleanup(image.stop)
        with open(self.built("adder"), "rb") as file:
            image.push("acme/adder", "1.0.0", file.read())
        reference, insecure = f"{image.address}/acme/adder:1.0.0", ("--allowed-insecure", image.address)
        self.assertIn("acme:calc/math@1.2.0", self.succeeds("inspect", reference, *insecure))
        self.assertIn("world", self.succeeds("inspect", reference, *insecure, "-o", "wit"))
        self.succeeds("start", "component", self.path("adder.wasm"), "adder")
        self.assertEqual(self.succeeds("call", "adder", "math.add", "1", "2", "--image", reference, *insecure), "3\n")
        self.fails(EXIT["not-found"], "inspect", f"{image.address}/acme/nosuch:1", *insecure)
        image.stop()
        done = self.wisp("inspect", reference, *insecure)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("can't be reached; this is what the cache has", done.stderr)

    def test_mistakes(self):
        error = self.fails(EXIT["not-found"], "start", "component", "file:///nosuch.wasm", "x")
        self.assertIn("could not start component `x`", error)
        self.fails(EXIT["not-found"], "link", "put", "a", "b", "wasi", "http", "--interface", "x", "--source-config", "no")
        self.assertIn("is running", self.fails(EXIT["exists"], "drain", "oci"))

    def test_events_and_end(self):
        self.assertIn("host is up", self.succeeds("logs"))
        self.assertEqual(self.json("stop", "host", self.id)["success"], True)
        wisp.wait_for(lambda: self.wisp("get", "hosts").returncode == EXIT["unavailable"], "the host to end")


# Everything that `wash up` 0.39 and the original's host take, with a value where they want one.
FOREIGN = """
--nats-version v2.10.20 --nats-websocket-port 4223 --nats-config-file nats.conf --wasmcloud-version v1.6.1
--host-path /usr/bin/wasmcloud --wasmcloud-start-only --multi-local --cluster-seed SC1 --cluster-issuers CA,CB --enable-ipv6
--wadm-version v0.20.2 --wadm-js-domain core --feature builtin-http-server --flame-graph flame.svg
"""
UNDERSTOOD = """
--host-seed {seed} --rpc-host 127.0.0.1 --rpc-port {port} --rpc-timeout-ms 2500 --ctl-host 127.0.0.1 --ctl-port {port}
--ctl-tls false --rpc-tls=false --ctl-tls-first false --rpc-tls-first false --provider-delay 400 --max-execution-time-ms 5000
--allow-latest --allowed-insecure localhost:5000 --wasmcloud-js-domain core --config-service-enabled --allow-file-load true
--enable-structured-logging --log-level debug --secrets-topic wasmcloud.secrets --policy-timeout-ms 100 -l a=b --labels c=d
--disable-wadm --trace-level info --ctl-topic-prefix my.ctl --provider-shutdown-delay 300 --oci-registry r.example
--oci-user u --oci-password p --max-linear-memory-bytes 67108864 --max-component-size-bytes 1000000 --max-components 100
--heartbeat-interval-seconds 5 --http-admin 127.0.0.1:0 --enable-component-auction true --enable-provider-auction false
--observability-protocol http --host-log-path {log} --nats-host 127.0.0.1 --nats-port {port} --lattice wash
"""


class ForeignFlags(lattice_cli_test.LatticeVerbs):
    def test_scripts_for_wash_up_run(self):
        port, log = wisp.free_address().rpartition(":")[2], self.path("host.log")
        seed = self.json("keys", "gen", "server")["seed"]
        flags = UNDERSTOOD.format(port=port, log=log, seed=seed).split()
        done = self.wisp("up", "-d", *FOREIGN.split(), *flags, env={**self.env, "NATS_VERSION": "v2.10.20"})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.addCleanup(self.wisp, "down", "--lattice", "wash")
        for flag in [word for word in FOREIGN.split() if word.startswith("--")] + ["NATS_VERSION"]:
            self.assertEqual(len([line for line in done.stderr.splitlines()
                                  if line.startswith(f"wisp: note: {flag} means nothing here: ")]), 1, (flag, done.stderr))
        with open(log) as file:
            self.assertIn('"host is up"', file.read())
        self.assertIn('"host is up"', self.succeeds("logs", "--lattice", "wash"))
        host, = self.json("get", "hosts", "--lattice", "wash", "-p", port, "--ctl-topic-prefix", "my.ctl")["hosts"]
        self.assertEqual((host["labels"]["a"], host["labels"]["c"]), ("b", "d"))

    def test_help_names_variables(self):
        text = self.succeeds("help", "host")
        for name in ("$WASMCLOUD_LATTICE", "$WISP_NATS", "$WASMCLOUD_POLICY_TIMEOUT", "$OTEL_EXPORTER_OTLP_ENDPOINT",
                     "Accepted, but without meaning here: --feature"):
            self.assertIn(name, text)


if __name__ == "__main__":
    wisp.main()
