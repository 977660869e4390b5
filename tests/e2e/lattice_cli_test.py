# SPDX-License-Identifier: Apache-2.0
"""The verbs that talk to a lattice, against hosts that answer by script: what they send, what they print, what they say
when a host refuses, fails, or stays silent."""

import json
import os
import pty
import signal
import subprocess
import time

import lattice
import wisp

EXIT = wisp.EXIT


class LatticeVerbs(wisp.Case):
    """Runs verbs in surroundings of their own."""

    def setUp(self):
        super().setUp()
        for name in list(self.env):
            if name.startswith(("WASMCLOUD", "WASH", "NATS")):
                del self.env[name]
        self.env.update(HOME=self.folder, XDG_STATE_HOME=self.path("state"), XDG_CONFIG_HOME=self.path("config"))

    def succeeds(self, *args, **options):
        done = self.wisp(*args, **options)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    def json(self, *args, **options):
        return json.loads(self.succeeds(*args, "-o", "json", **options))

    def succeeds_with(self, expected, *args, **options):
        self.assertEqual(self.json(*args, **options), {**expected, "success": True})

    def start(self, *args, **options):
        process = subprocess.Popen([wisp.PROGRAM, *args], env=self.env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process


class LatticeCase(LatticeVerbs):
    def setUp(self):
        super().setUp()
        self.server = lattice.NatsServer(self)
        self.env["WASMCLOUD_CTL_PORT"] = str(self.server.port)

    def host(self, number=0, **options):
        host = lattice.Host(self.server, number, **options)
        self.addCleanup(host.close)
        return host


class Reading(LatticeCase):
    def test_hosts(self):
        first, second = self.host(0), self.host(1, labels={"zone": "eu"})
        lines = self.succeeds("get", "hosts").splitlines()
        self.assertEqual(lines[0].split(), ["HOST", "ID", "NAME", "UPTIME", "VERSION"])
        self.assertEqual([line.split()[0] for line in lines[1:]], [second.id, first.id])  # longest running first
        found = self.json("get", "hosts")
        self.assertEqual(found["success"], True)
        self.assertEqual([host["id"] for host in found["hosts"]], [second.id, first.id])
        for key in ("id", "friendly_name", "labels", "lattice", "uptime_seconds", "uptime_human", "version"):
            self.assertIn(key, found["hosts"][0])

    def test_no_hosts(self):
        error = self.fails(EXIT["unavailable"], "get", "hosts")
        self.assertIn(f"no host answered on nats://127.0.0.1:{self.server.port} in lattice `default`", error)
        self.assertIn("wisp up -d", error)
        for verb in (("get", "links"), ("get", "claims"), ("config", "get", "x"), ("start", "component", "r/x:1", "x")):
            self.assertIn("no host answered", self.fails(EXIT["unavailable"], *verb))

    def test_no_bus(self):
        self.server.stop()
        error = self.fails(EXIT["unavailable"], "get", "hosts")
        self.assertIn("refused", error)
        self.assertIn("wisp up -d", error)

    def test_errors_are_json_when_asked(self):
        done = self.wisp("get", "hosts", "-o", "json")
        self.assertEqual((done.returncode, done.stdout), (EXIT["unavailable"], ""))
        error = json.loads(done.stderr)
        self.assertEqual((error["success"], error["kind"]), (False, "unavailable"))
        self.assertIn("no host answered", error["error"])
        done = self.wisp("link", "put", "a", "--output=json")
        self.assertEqual((done.returncode, json.loads(done.stderr)["kind"]), (EXIT["usage"], "usage"))

    def test_inventory(self):
        first, second = self.host(0), self.host(1)
        first.components["echo"] = {"id": "echo", "image_ref": "file:///echo.wasm", "annotations": {}, "revision": 0,
                                    "max_instances": 10}
        second.providers["http"] = {"id": "http", "image_ref": "r/http:1", "annotations": {}, "revision": 2}
        text = self.succeeds("get", "inventory")
        for words in (first.id, second.id, "echo  max 10  file:///echo.wasm", "http  r/http:1", "hostcore.os  linux"):
            self.assertIn(words, text)
        self.succeeds_with({"inventories": [first.inventory()]}, "get", "inventory", first.id)
        found = self.json("get", "inventories")["inventories"]
        self.assertEqual(found, [second.inventory(), first.inventory()])
        self.succeeds_with({"inventories": [second.inventory()]}, "get", "inventory", "LAKE-0001")
        self.succeeds_with({"inventories": [second.inventory()]}, "get", "inventory", "nbb")

    def test_host_that_is_not_there(self):
        self.host(0)
        error = self.fails(EXIT["not-found"], "get", "inventory", "N" + "Z" * 55)
        self.assertIn("is not in lattice `default`", error)
        self.assertIn("wisp get hosts", self.fails(EXIT["not-found"], "get", "inventory", "nosuch"))

    def test_several_hosts_fit(self):
        first, second = self.host(0), self.host(1)
        error = self.fails(EXIT["usage"], "get", "inventory", "calm")
        self.assertIn(first.id, error)
        self.assertIn(second.name, error)

    def test_links_and_claims(self):
        host = self.host()
        host.links = [{"source_id": "z", "target": "b", "name": "default", "wit_namespace": "wasi", "wit_package": "http",
                       "interfaces": ["incoming-handler", "types"], "source_config": [], "target_config": []},
                      {"source_id": "a", "target": "b", "name": "other", "wit_namespace": "wasi",
                       "wit_package": "keyvalue", "interfaces": ["store"], "source_config": [], "target_config": []}]
        for verb in (("get", "links"), ("link", "query"), ("link", "get")):
            lines = self.succeeds(*verb).splitlines()
            self.assertEqual(lines[1].split(), ["a", "b", "wasi:keyvalue/store", "other"])
            self.assertEqual(lines[2].split(), ["z", "b", "wasi:http/incoming-handler,types", "default"])
            self.succeeds_with({"links": host.links}, *verb)
        self.assertIn("MABC", self.succeeds("get", "claims"))
        self.assertEqual(self.json("get", "claims")["claims"][0]["sub"], "MABC")

    def test_inspect_what_runs(self):
        first, second = self.host(0), self.host(1)
        for host in (first, second):
            self.succeeds("start", "component", "r/echo:1", "echo", "--host-id", host.id)
        second.links = first.links  # a lattice has them once
        second.components["echo"]["wisp"] = {"digest": "sha256:12ab", "config": ["limits", "app"]}
        self.succeeds("start", "provider", "r/http:1", "http", "--host-id", first.id)
        self.succeeds("link", "put", "http", "echo", "wasi", "http", "--interface", "incoming-handler",
                      "--source-config", "web", "--target-config", "app")
        found = self.json("inspect", "echo")
        self.assertEqual((found["id"], found["kind"], found["configs"], found["links"]),
                         ("echo", "component", ["limits", "app"], first.links))
        self.assertEqual((found["running"][0]["digest"], found["running"][0]["config"]), ("sha256:12ab", ["limits", "app"]))
        text = self.succeeds("inspect", "echo")
        for words in ("echo: a component, on 2 hosts", "sha256:12ab", "limits app"):
            self.assertIn(words, text)
        self.assertEqual([(place["host_id"], place["image_ref"]) for place in found["running"]],
                         [(second.id, "r/echo:1"), (first.id, "r/echo:1")])
        text = self.succeeds("inspect", "http")
        for words in ("http: a provider, on 1 host", first.id, "r/http:1", "http  -> echo  wasi:http/incoming-handler",
                      "source config web, target config app"):
            self.assertIn(words, text)
        error = self.fails(EXIT["not-found"], "inspect", "nosuch")
        self.assertIn("there is no file `nosuch`", error)
        self.assertIn("no host of lattice `default` runs it", error)
        self.fails(EXIT["not-found"], "inspect", "echo", "-o", "wit")

    def test_files_that_are_not_there_are_no_references(self):
        host = self.host()
        for path in ("nosuch.wasm", "./nosuch", "../nosuch", "build/nosuch.wasm"):
            self.assertIn(f"`{path}`", self.fails(EXIT["not-found"], "start", "component", path, "x"))
        self.succeeds("start", "component", "ghcr.io/acme/nosuch.wasm", "x")
        self.assertEqual(host.components["x"]["image_ref"], "ghcr.io/acme/nosuch.wasm")

    def test_hostile_names_control_no_terminal(self):
        host = self.host()
        host.name = "evil\x1b[2J\nname"
        text = self.succeeds("get", "hosts")
        self.assertNotIn("\x1b", text)
        self.assertEqual(len(text.splitlines()), 2)

    def test_watch(self):
        host = self.host()
        process = self.start("get", "hosts", "--watch=50", "-o", "json")
        decoder, text, documents = json.JSONDecoder(), "", 0
        while documents < 3:
            text += process.stdout.readline()
            try:
                found, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                continue
            self.assertEqual(found["hosts"][0]["id"], host.id)
            text, documents = text[end:].lstrip(), documents + 1
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(wisp.PATIENCE), 0)

    def test_watch_shows_changes(self):
        self.host().configs["web"] = value = {"n": "1"}
        process = self.start("get", "config", "web", "-w", "50ms")
        self.assertEqual(process.stdout.readline(), "n  1\n")
        value["n"] = "2"
        while process.stdout.readline() != "n  2\n":
            pass
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(wisp.PATIENCE), 0)

    def test_watch_on_terminals_redraws(self):
        self.host()
        leader, follower = pty.openpty()
        process = subprocess.Popen([wisp.PROGRAM, "get", "inventory", "-w", "50ms"], stdin=follower, stdout=follower,
                                   stderr=follower, env={**self.env, "TERM": "xterm"})
        os.close(follower)
        output = b""
        while output.count(b"\x1b[2J\x1b[H") < 3:
            output += os.read(leader, 65536)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(wisp.PATIENCE), 0)
        os.close(leader)


class Starting(LatticeCase):
    def test_component(self):
        host = self.host(0)
        self.host(1)
        done = self.json("start", "component", "r/echo:1", "echo", "--host-id", "lake-0000", "--max", "7", "--config",
                         "a", "--config", "b")
        self.assertEqual({key: done[key] for key in ("component_ref", "component_id", "host_id", "success")},
                         {"component_ref": "r/echo:1", "component_id": "echo", "host_id": host.id, "success": True})
        self.assertIn("result", done)
        asked = dict(host.asked)["component.scale"]
        self.assertEqual((asked["count"], asked["config"], asked["host_id"]), (7, ["a", "b"], host.id))

    def test_component_where_constraints_fit(self):
        self.host(0)
        host = self.host(1, labels={"zone": "eu"})
        done = self.json("start", "component", "r/echo:1", "echo", "-c", "zone=eu")
        self.assertEqual(done["host_id"], host.id)
        error = self.fails(EXIT["unavailable"], "start", "component", "r/x:1", "x", "-c", "zone=mars",
                           "--auction-timeout-ms", "300")
        self.assertIn("no host bid for component `x` within 300 ms, none has the labels asked for", error)
        error = self.fails(EXIT["exists"], "start", "component", "r/echo:1", "echo", "-c", "zone=eu")
        self.assertIn("it runs already on 1 host; `wisp inspect echo`", error)
        error = self.fails(EXIT["usage"], "start", "component", "r/x:1", "x", "--host-id", host.id, "-c", "zone=mars")
        self.assertIn("has no label zone=mars", error)

    def test_paths_become_references(self):
        host = self.host()
        path = self.write("x.wasm", "")
        for given in ("x.wasm", "file://x.wasm", path, "file://" + path):
            done = self.json("start", "component", given, "x", "--host-id", host.id, cwd=self.folder)
            self.assertEqual(done["component_ref"], "file://" + os.path.realpath(path))
        self.assertIn("file://nosuch", self.fails(EXIT["not-found"], "start", "component", "file://nosuch", "x"))

    def test_failure_is_told(self):
        host = self.host()
        host.failures["component.scale"] = "failed to fetch r/echo:1: not found"
        error = self.fails(EXIT["not-found"], "start", "component", "r/echo:1", "echo")
        self.assertIn(f"host {host.id} could not start component `echo`: failed to fetch", error)
        host.failures["provider.start"] = "exec format"
        self.assertIn("exec format", self.fails(EXIT["denied"], "start", "provider", "r/p:1", "p"))

    def test_refusal_is_no_success(self):
        host = self.host()
        for verb, args in (("component.scale", ("start", "component", "r/x:1", "x")),
                           ("provider.start", ("start", "provider", "r/x:1", "x")),
                           ("label.put", ("label", host.id, "a=b")),
                           ("config.put", ("config", "put", "x", "a=b")),
                           ("link.put", ("link", "put", "a", "b", "wasi", "http", "--interface", "x")),
                           ("host.stop", ("stop", "host", host.id))):
            host.refusals = {verb: "because I say so"}
            self.assertIn("the host refused: because I say so", self.fails(EXIT["denied"], *args))
            done = self.wisp(*args, "-o", "json")
            self.assertEqual((done.stdout, json.loads(done.stderr)["success"]), ("", False))

    def test_silence_is_still_in_progress(self):
        host = self.host()
        host.silent = {"component.scale"}
        error = self.fails(EXIT["timeout"], "start", "component", "r/echo:1", "echo", "-t", "500")
        self.assertIn("no word within 0.5 s; still in progress", error)
        self.assertIn(f"wisp get inventory {host.id}", error)
        self.succeeds("start", "component", "r/echo:1", "echo2", "--skip-wait")

    def test_interrupted(self):
        host = self.host()
        host.silent = {"component.scale"}
        process = self.start("start", "component", "r/echo:1", "echo")
        wisp.wait_for(lambda: "component.scale" in dict(host.asked), "the order")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(wisp.PATIENCE), EXIT["cancelled"])
        self.assertRegex(process.stderr.read(), "interrupted; (still in progress|what was asked may yet be done)")

    def test_host_that_does_not_answer(self):
        host = self.host()
        host.mute = {"component.scale"}
        error = self.fails(EXIT["timeout"], "start", "component", "r/x:1", "x", "-t", "300ms")
        self.assertIn(f"no answer from host {host.id} in lattice `default` within 300 ms", error)

    def test_provider(self):
        host = self.host()
        done = self.json("start", "provider", "r/http:1", "http", "--config", "c")
        self.assertEqual({key: done[key] for key in ("provider_ref", "provider_id", "host_id")},
                         {"provider_ref": "r/http:1", "provider_id": "http", "host_id": host.id})
        self.assertEqual(self.json("start", "provider", "r/h:1", "h", "--skip-wait", "-l", "other")["link_name"], "other")
        self.assertEqual(dict(host.asked)["provider.start"]["provider_ref"], "r/h:1")

    def test_ids_are_checked(self):
        self.assertIn("can't be an id", self.fails(EXIT["usage"], "start", "component", "r/x:1", "a.b"))


class Changing(LatticeCase):
    def test_scale_and_stop_component(self):
        host = self.host()
        done = self.json("scale", "component", host.id, "r/echo:1", "echo", "--count", "5", "-a", "who=me")
        self.assertEqual((done["component_id"], done["host_id"]), ("echo", host.id))
        self.assertEqual(host.components["echo"]["max_instances"], 5)
        self.succeeds("scale", "component", "calm", "r/echo:1", "echo")
        self.assertEqual(host.components["echo"]["max_instances"], 2**32 - 1)
        self.assertIn("unlimited", self.succeeds("get", "inventory"))
        done = self.json("stop", "component", "echo")
        self.assertEqual({key: done[key] for key in ("component_id", "host_id", "success")},
                         {"component_id": "echo", "host_id": host.id, "success": True})
        self.assertEqual(host.components, {})
        self.assertIn("runs on no host", self.fails(EXIT["not-found"], "stop", "component", "echo"))

    def test_stop_tells_where_it_still_runs(self):
        first, second = self.host(0), self.host(1)
        for host in (first, second):
            self.succeeds("start", "component", "r/echo:1", "echo", "--host-id", host.id)
        done = self.wisp("stop", "component", "echo")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn(f"it still runs on {first.id}", done.stderr)
        self.assertEqual((list(first.components), list(second.components)), (["echo"], []))

    def test_stop_provider(self):
        first, second = self.host(0), self.host(1)
        for host in (first, second):
            self.succeeds("start", "provider", "r/p:1", "p", "--host-id", host.id)
        error = self.fails(EXIT["usage"], "stop", "provider", "p")
        self.assertIn(first.id, error)
        self.assertIn("--host-id", error)
        done = self.json("stop", "provider", "p", "--host-id", second.name)
        self.assertEqual((done["provider_id"], done["host_id"]), ("p", second.id))
        self.assertEqual((list(first.providers), list(second.providers)), (["p"], []))

    def test_stop_host(self):
        host = self.host()
        self.assertIn("whole host id", self.fails(EXIT["usage"], "stop", "host", "calm"))
        self.assertEqual(self.json("stop", "host", host.id, "--host-timeout", "5s")["success"], True)
        self.assertEqual(dict(host.asked)["host.stop"], {"host_id": host.id, "timeout": 5000})

    def test_update(self):
        host = self.host()
        self.succeeds("start", "component", "r/echo:1", "echo")
        self.assertIn("r/echo:2", self.json("update", "component", "echo", "r/echo:2")["result"])
        self.assertEqual(host.components["echo"]["image_ref"], "r/echo:2")
        self.assertIn("already", self.succeeds("update", "component", "echo", "r/echo:2"))

    def test_labels(self):
        host = self.host()
        self.succeeds_with({"deleted": False, "processed": [["a", "1"], ["b", "2"], ["c", "x=y"]]},
                           "label", host.id, "a=1,b=2", "c=x=y")
        self.assertEqual(host.labels["c"], "x=y")
        self.succeeds_with({"deleted": True, "processed": [["a", ""], ["b", ""]]}, "tag", "calm", "--delete", "a,b")
        self.assertNotIn("a", host.labels)

    def test_links(self):
        host = self.host()
        self.succeeds_with({"source_id": "http", "target": "echo"}, "link", "put", "http", "echo", "wasi", "http",
                           "--interface", "incoming-handler", "--source-config", "c")
        self.assertEqual(host.links, [{"source_id": "http", "target": "echo", "name": "default", "wit_namespace": "wasi",
                                       "wit_package": "http", "interfaces": ["incoming-handler"],
                                       "source_config": ["c"], "target_config": []}])
        self.assertIn("--interface", self.fails(EXIT["usage"], "link", "put", "a", "b", "wasi", "http"))
        self.succeeds("link", "put", "http", "echo", "wasi", "http", "-l", "two", "--interfaces", "x")
        error = self.fails(EXIT["usage"], "link", "del", "http", "wasi", "http")
        self.assertIn("--link-name: default, two", error)
        self.succeeds_with({"source_id": "http", "wit_namespace": "wasi", "wit_package": "http", "link_name": "two"},
                           "link", "delete", "http", "wasi", "http", "--link-name", "two")
        self.succeeds("link", "del", "http", "wasi", "http")
        self.assertEqual(host.links, [])
        self.assertIn("there is no link", self.fails(EXIT["not-found"], "link", "del", "http", "wasi", "http"))

    def test_all_links(self):
        host = self.host()
        for name in ("one", "two"):
            self.succeeds("link", "put", "a", "b", "wasi", "http", "--interface", "x", "-l", name)
        self.assertIn("--force", self.fails(EXIT["usage"], "link", "del", "--all"))
        self.assertEqual(len(self.json("link", "del", "--all", "--force")["deleted"]), 2)
        self.assertEqual(host.links, [])

    def test_configs(self):
        host = self.host()
        self.assertIn("message", self.json("config", "put", "web", "a=1", "b=x=y", "empty="))
        self.assertEqual(host.configs["web"], {"a": "1", "b": "x=y", "empty": ""})
        self.assertEqual(self.json("config", "get", "web"), {"a": "1", "b": "x=y", "empty": ""})  # bare
        self.assertEqual(self.json("get", "config", "web"), self.json("config", "get", "web"))
        self.assertIn("b      x=y", self.succeeds("config", "get", "web"))
        self.assertIn("message", self.json("config", "delete", "web"))
        self.assertIn("no config `web`", self.fails(EXIT["not-found"], "config", "get", "web"))
        self.assertIn("KEY=VALUE", self.fails(EXIT["usage"], "config", "put", "web"))
        error = self.fails(EXIT["usage"], "config", "put", "web", "s3cret")
        self.assertNotIn("s3cret", error)
        self.assertIn("can't be the name", self.fails(EXIT["usage"], "config", "get", "a.b"))
        self.assertIn("wisp help secrets", self.fails(EXIT["usage"], "config", "get", "SECRET_x"))

    def test_secrets(self):
        host = self.host()
        self.assertIn("message", self.json("secrets", "put", "db", "nats-kv", "prod/db", "--field", "password",
                                           "--property", "role=app"))
        policy = {"type": "properties.secret.wasmcloud.dev/v1alpha1", "properties": {"role": "app"}}
        found = host.configs["SECRET_db"]
        self.assertEqual(json.loads(found.pop("policy")), policy)
        self.assertEqual(found, {"name": "db", "type": "secret.wasmcloud.dev/v1alpha1", "backend": "nats-kv",
                                 "key": "prod/db", "field": "password"})
        self.assertEqual(self.json("secrets", "get", "db")["backend"], "nats-kv")
        self.succeeds("secrets", "delete", "db")
        self.assertEqual(host.configs, {})


class Following(LatticeCase):
    def test_events(self):
        host = self.host()
        process = self.start("events", "-n", "2", "-o", "json", "labels_changed", "config_set")
        while process.poll() is None:  # until it has subscribed, events go by unseen
            host.event("host_heartbeat", {})
            host.event("config_set", {"config_name": "x"})
            time.sleep(0.02)
        lines = [json.loads(line) for line in process.stdout.read().splitlines()]
        self.assertEqual([line["data"] for line in lines], [{"config_name": "x"}] * 2)
        self.assertIn("is none of", self.fails(EXIT["usage"], "events", "config_sett"))

    def test_events_as_text(self):
        host = self.host()
        process = self.start("events", "-n", "1")
        while process.poll() is None:
            host.event("component_scaled", {"component_id": "echo", "max_instances": 3, "annotations": {},
                                            "image_ref": "evil\x1b[2J\n"})
            time.sleep(0.02)
        self.assertRegex(process.stdout.read(),
                         r"^\S+  component_scaled +NAAAAAAA  component_id=echo max_instances=3 image_ref=evil\?\[2J $")

    def test_spy(self):
        host = self.host()
        host.links = [{"source_id": "echo", "target": "kv", "name": "default", "wit_namespace": "wasi",
                       "wit_package": "keyvalue", "interfaces": ["store"], "source_config": [], "target_config": []}]
        process = self.start("spy", "echo", "-o", "json", "-n", "2", "--experimental")
        to_echo, to_kv = "default.echo.wrpc.0.0.1.wrpc:http/incoming-handler@0.1.0.handle", "default.kv.wrpc.0.0.1.a:b/c.d"
        while process.poll() is None:
            host.nats.publish(to_kv, b"other", headers={"source-id": "somebody"})
            host.nats.publish(to_echo, b"in", headers={"source-id": "http"})
            host.nats.publish(to_kv, b"out\xff", headers={"source-id": "echo"})
            time.sleep(0.02)
        calls = sorted((json.loads(line) for line in process.stdout.read().splitlines()), key=lambda call: call["to"])
        for call in calls:
            self.assertIn(call["to"], ("echo", "kv"))
            self.assertNotEqual(call["from"], "somebody")
        by_target = {call["to"]: call for call in calls}
        if "echo" in by_target:
            self.assertEqual(by_target["echo"]["operation"], "wrpc:http/incoming-handler@0.1.0.handle")
            self.assertEqual((by_target["echo"]["from"], by_target["echo"]["payload"]), ("http", "in"))


class Calling(LatticeCase):
    def setUp(self):
        super().setUp()
        self.running = self.host()
        self.running.components["calc"] = {"id": "calc", "image_ref": "file://" + self.component("calc"),
                                           "annotations": {}, "revision": 0, "max_instances": 1}

    def serve_calls(self, component="calc", **answers):
        callee = lattice.Callee(self.server, component, {name: answer for name, answer in answers.items()})
        self.addCleanup(callee.close)
        return callee

    def test_by_every_name(self):
        callee = self.serve_calls(**{"acme:calc/math@1.2.0.add": lambda params, _: (bytes([sum(params)]), None),
                                     "acme:other/tools.add": lambda params, _: (b"\x07", None)})
        self.assertEqual(self.succeeds("call", "calc", "acme:calc/math@1.2.0.add", "2", "3"), "5\n")
        self.assertEqual(self.succeeds("call", "calc", "acme:other/tools.add", "2", "3"), "7\n")
        self.assertEqual(self.succeeds("call", "calc", "tools.add", "2", "3"), "7\n")
        self.succeeds_with({"result": 5}, "call", "calc", "acme:calc/math@1.2.0.add", "2", "3")
        self.assertEqual(callee.headers[0][b"source-id"], b"wisp")
        for name in ("acme:calc/math.add", "math.add"):
            error = self.fails(EXIT["usage"], "call", "calc", name, "2", "3")
            self.assertIn("any of: acme:calc/math@1.2.0.add, acme:calc/math@2.0.0.add", error)
        error = self.fails(EXIT["not-found"], "call", "calc", "nosuch")
        self.assertIn("exports no function `nosuch`; it exports acme:calc/math@1.2.0.add, ", error)

    def test_values(self):
        self.serve_calls(**{"acme:other/tools.greet": lambda params, _: (params, None),
                            "acme:other/tools.negate": lambda params, _: (b"\x7b", None),
                            "acme:other/tools.nothing": lambda params, _: (b"", None),
                            "acme:other/tools.fails": lambda params, _: (b"\x01\x04oops", None),
                            "move-all": lambda params, _: (params, None)})
        for given in ("World", '"World"'):
            self.assertEqual(self.succeeds("call", "calc", "tools.greet", given), '"World"\n')
        self.succeeds_with({"result": "two words"}, "call", "calc", "tools.greet", "two words")
        self.assertEqual(self.succeeds("call", "calc", "tools.negate", "-5"), "-5\n")
        self.assertEqual(self.succeeds("call", "calc", "tools.nothing"), "")
        self.succeeds_with({"result": None}, "call", "calc", "tools.nothing")
        self.assertEqual(self.succeeds("call", "calc", "tools.fails"), 'err("oops")\n')
        points = '[{x: 1}, {x: -2, label: some("b")}]'
        self.assertEqual(self.succeeds("call", "calc", "move-all", points), '[{x: 1}, {x: -2, label: some("b")}]\n')
        self.succeeds_with({"result": [{"x": 1, "label": None}, {"x": -2, "label": "b"}]},
                           "call", "calc", "move-all", points)

    def test_mistakes(self):
        error = self.fails(EXIT["usage"], "call", "calc", "tools.add", "2")
        self.assertIn("it takes 2 arguments, not 1: add: func(a: u32, b: u32) -> u32", error)
        self.assertIn("argument `b`, which is a u32", self.fails(EXIT["invalid"], "call", "calc", "tools.add", "2", "x"))
        self.assertIn("runs on no host", self.fails(EXIT["not-found"], "call", "nosuch", "x.y"))
        self.running.components["calc"]["image_ref"] = "file:///nosuch.wasm"
        self.assertIn("--image", self.fails(EXIT["not-found"], "call", "calc", "tools.add", "1", "2"))

    def test_failures(self):
        image = ("--image", self.component("calc"))
        error = self.fails(EXIT["unavailable"], "call", "calc", "tools.add", "2", "3", *image)
        self.assertIn("acme:other/tools.add", error)
        self.serve_calls(**{"acme:other/tools.add": lambda *_: (b"", None)})
        self.fails(EXIT["guest"], "call", "calc", "tools.add", "2", "3", *image)

    def test_http(self):
        def handle(params, stream):
            self.assertEqual(params[:2], b"\0\0")
            self.request = params[2:], stream
            head = b"\0\0\0\xc9\x01\x01\x01a\x02\x01b\x01c"  # ok, pending, pending, 201, {a: [b, c]}
            return head, b'\x05{"n":\x021}\0'

        self.serve_calls("hello", **{"wrpc:http/incoming-handler@0.1.0.handle": handle})
        expected = {"status": 201, "headers": {"a": "b, c"}, "body": '{"n":1}'}
        for name in ("wasi:http/incoming-handler.handle", "wasi:http/incoming-handler@0.2.2.handle",
                     "wrpc:http/incoming-handler@0.1.0.handle"):
            self.succeeds_with({"response": expected}, "call", "hello", name)
        self.assertEqual(self.request, (b"\0\x01\x01/\x01\0\x01\x0elocalhost:8080\x01\x04host\x01\x0elocalhost:8080",
                                        b"\0"))
        self.assertEqual(json.loads(self.succeeds("call", "hello", name)), expected)
        self.succeeds_with({"response": {"n": 1}}, "call", "hello", name, "--http-response-extract-json")
        self.succeeds("call", "hello", name, "--http-path", "/x?y", "--http-method", "PURGE", "--http-scheme", "https",
                      "--http-host", "h", "--http-port", "1", "--http-body", "abc", "--http-content-type", "text/plain")
        self.assertEqual(self.request[1], b"\x03abc\0")
        self.assertTrue(self.request[0].startswith(b"\x09\x05PURGE\x01\x04/x?y\x01\x01\x01\x03h:1\x03"))
        for words in (b"content-type\x01\x0atext/plain", b"content-length\x01\x013"):
            self.assertIn(words, self.request[0])

    def test_http_failures(self):
        name = "wasi:http/incoming-handler.handle"
        self.fails(EXIT["unavailable"], "call", "hello", name)
        answers = [(b"\x01\x02", None), (b"", None), (b"\0\0\0", b"\0")]
        self.serve_calls("hello", **{"wrpc:http/incoming-handler@0.1.0.handle": lambda *_: answers.pop(0)})
        self.assertIn("destination-not-found", self.fails(EXIT["guest"], "call", "hello", name).lower())
        self.assertIn("the component failed", self.fails(EXIT["guest"], "call", "hello", name))
        self.assertIn("incomplete", self.fails(EXIT["invalid"], "call", "hello", name))


class Connecting(LatticeCase):
    def test_flag_beats_variable_beats_context(self):
        self.host(0, lattice="from-flag")
        self.host(1, lattice="from-variable")
        self.host(2, lattice="from-context")
        self.host(3)

        def lattice_of(*args, env=None):
            return self.json("get", "hosts", *args, env=env)["hosts"][0]["lattice"]

        port = str(self.server.port)
        self.assertEqual(lattice_of(), "default")
        self.succeeds("ctx", "new", "mine", "--lattice", "from-context", "-r", "127.0.0.1", "-p", port)
        self.assertEqual(lattice_of("--context", "mine"), "from-context")
        self.succeeds("ctx", "default", "mine")
        self.env["WASMCLOUD_CTL_PORT"] = ""
        self.assertEqual(lattice_of(), "from-context")
        self.assertEqual(lattice_of(env={"WASMCLOUD_LATTICE": "from-variable"}), "from-variable")
        self.assertEqual(lattice_of("-x", "from-flag", env={"WASMCLOUD_LATTICE": "from-variable"}), "from-flag")
        self.assertEqual(lattice_of("--context", "host_config", "-p", port), "default")
        self.assertIn("there is no context `x`", self.fails(EXIT["not-found"], "get", "hosts", "--context", "x"))

    def test_contexts_of_wash(self):
        self.host(0, lattice="washed")
        os.makedirs(self.path(".wash/contexts"))
        self.write(".wash/contexts/old.json", json.dumps({
            "name": "old", "cluster_seed": "", "ctl_host": "127.0.0.1", "ctl_port": self.server.port, "ctl_jwt": "",
            "ctl_seed": "", "ctl_credsfile": None, "ctl_timeout": 2000, "lattice_prefix": "washed"}))
        self.write(".wash/contexts/default", "old")
        self.env["WASMCLOUD_CTL_PORT"] = ""
        self.assertEqual(self.json("get", "hosts")["hosts"][0]["lattice"], "washed")
        self.succeeds_with({"contexts": ["host_config", "old"], "default": "old"}, "ctx", "list")

    def test_broken_context(self):
        os.makedirs(self.path("contexts"))
        self.write("contexts/bad.json", "{")
        error = self.fails(EXIT["invalid"], "get", "hosts", "--context", "bad",
                           env={"WISP_CONTEXTS": self.path("contexts")})
        self.assertIn("bad.json", error)

    def test_urls_and_prefixes(self):
        self.host(prefix="my.ctl")
        url = f"nats://127.0.0.1:{self.server.port}"
        env = {"WASMCLOUD_CTL_PORT": "", "WASMCLOUD_CTL_TOPIC_PREFIX": "my.ctl"}
        self.assertEqual(len(self.json("get", "hosts", "--ctl-host", url, env=env)["hosts"]), 1)
        self.assertIn("can't be the name of a lattice", self.fails(EXIT["usage"], "get", "hosts", "-x", "a.b"))


class Credentials(LatticeVerbs):
    """A bus that asks who is there; nobody runs on it, which only those learn who are let in."""

    def refused(self, server, *args, env=None):
        error = self.fails(EXIT["denied"], "get", "hosts", "-p", str(server.port), *args, env=env)
        self.assertNotRegex(error, "s3cret|SU[A-Z0-9]{50}")

    def accepted(self, server, *args, env=None):
        error = self.fails(EXIT["unavailable"], "get", "hosts", "-p", str(server.port), *args, env=env)
        self.assertIn("no host answered", error)

    def test_token(self):
        server = lattice.NatsServer(self, "--auth", "s3cret")
        self.refused(server)
        self.refused(server, "--ctl-token", "s3cret-not")
        self.accepted(server, "--ctl-token", "s3cret")
        self.accepted(server, env={"WISP_CTL_TOKEN": "s3cret"})
        error = self.fails(EXIT["unavailable"], "get", "hosts", "-r", f"nats://s3cret@127.0.0.1:{server.port}")
        self.assertNotIn("s3cret", error)

    def test_nkey(self):
        key, other = self.json("keys", "gen", "user"), self.json("keys", "gen", "user")
        config = self.write("nats.conf", 'authorization { users = [ { nkey: "%s" } ] }' % key["public_key"])
        server = lattice.NatsServer(self, "-c", config)
        self.refused(server)
        self.refused(server, "--ctl-seed", other["seed"])
        self.accepted(server, "--ctl-seed", key["seed"])
        self.accepted(server, "--ctl-seed", self.write("seed", key["seed"] + "\n"))
        self.accepted(server, env={"WASMCLOUD_CTL_SEED": key["seed"]})
        self.succeeds("ctx", "new", "mine", "--ctl-seed", key["seed"])
        self.accepted(server, "--context", "mine")
        self.assertIn("seed", self.fails(EXIT["invalid"], "get", "hosts", "-p", str(server.port), "--ctl-seed", "SUnonsense"))

    def test_files_that_are_missing(self):
        server = lattice.NatsServer(self)
        done = self.wisp("get", "hosts", "-p", str(server.port), "--ctl-credsfile", "/no/such")
        self.assertIn("/no/such", done.stderr)
        self.assertNotEqual(done.returncode, 0)
        done = self.wisp("get", "hosts", "-p", str(server.port), "--ctl-tls-ca-file", "/no/such")
        self.assertNotEqual(done.returncode, 0)


class Contexts(LatticeCase):
    def test_life_of_a_context(self):
        self.succeeds_with({"contexts": ["host_config"], "default": "host_config"}, "ctx", "list")
        self.assertFalse(os.path.exists(self.path("config/wisp")))  # reading makes nothing
        self.env["WASMCLOUD_CTL_PORT"] = ""
        self.assertIn("result", self.json("ctx", "new", "prod", "--ctl-host", "nats.example", "--ctl-seed", "SUAB"))
        path = self.path("config/wisp/contexts/prod.json")
        with open(path) as file:
            self.assertEqual(json.load(file), {"name": "prod", "lattice": "default", "ctl_host": "nats.example",
                                               "ctl_seed": "SUAB"})
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertIn("already", self.fails(EXIT["exists"], "ctx", "new", "prod"))
        self.succeeds("ctx", "default", "prod")
        self.assertIn("prod (default)", self.succeeds("ctx", "list"))
        editor = "sed -i s/nats.example/other.example/"
        self.succeeds("ctx", "edit", "prod", "-e", editor)
        with open(path) as file:
            self.assertEqual(json.load(file)["ctl_host"], "other.example")
        self.assertIn("prod.json", self.fails(EXIT["invalid"], "ctx", "edit", "prod", "-e", "sed -i s/{//"))
        self.succeeds("ctx", "del", "prod")
        self.succeeds_with({"contexts": ["host_config"], "default": "host_config"}, "ctx", "list")

    def test_mistakes(self):
        self.assertIn("can't be a name", self.fails(EXIT["usage"], "ctx", "new", "../x"))
        self.assertIn("name a context", self.fails(EXIT["usage"], "ctx", "del"))
        self.assertIn("no context", self.fails(EXIT["not-found"], "ctx", "default", "nosuch"))
        self.assertIn("--editor", self.fails(EXIT["usage"], "ctx", "edit", "host_config", env={"EDITOR": ""}))

    def test_interactive(self):
        self.succeeds("ctx", "new", "asked", "-i", stdin=b"lat\nexample.org\n4333\n", env={"WASMCLOUD_CTL_PORT": ""})
        with open(self.path("config/wisp/contexts/asked.json")) as file:
            self.assertEqual(json.load(file), {"name": "asked", "lattice": "lat", "ctl_host": "example.org",
                                               "ctl_port": 4333})


class Keys(LatticeCase):
    def test_keys(self):
        for word, letter in (("account", "A"), ("USER", "U"), ("module", "M"), ("component", "M"), ("service", "V"),
                             ("provider", "V"), ("server", "N"), ("host", "N"), ("operator", "O"), ("cluster", "C"),
                             ("curve", "X"), ("x25519", "X")):
            made = self.json("keys", "gen", word)
            self.assertEqual((made["public_key"][0], made["seed"][:2]), (letter, "S" + letter))
        os.makedirs(self.path("keys"))
        self.write("keys/me_account.nk", made["seed"] + "\n")
        env = {"WASH_KEYS": self.path("keys")}
        self.succeeds_with({"keys": ["me_account"]}, "keys", "list", env=env)
        for name in ("me_account", "me_account.nk"):
            self.succeeds_with({"seed": made["seed"]}, "keys", "get", name, env=env)
        self.assertIn("no key `x`", self.fails(EXIT["not-found"], "keys", "get", "x", env=env))
        self.assertIn("did you mean `account`", self.fails(EXIT["usage"], "keys", "gen", "acount"))


class Caches(LatticeCase):
    def setUp(self):
        super().setUp()
        self.env["XDG_CACHE_HOME"] = self.path("cache")
        self.env.pop("WISP_CACHE", None)
        for name in ("artifacts/blobs", "code", "dev/x", "guests"):
            os.makedirs(self.path("cache/wisp/" + name))
            self.write(f"cache/wisp/{name}/file", "123")

    def files(self):
        return sorted(os.path.relpath(os.path.join(root, name), self.path("cache/wisp"))
                      for root, _, names in os.walk(self.path("cache/wisp")) for name in names)

    def test_drain(self):
        done = self.json("drain", "oci")
        self.assertEqual((done["drained"], done["files"], done["bytes"]), ([self.path("cache/wisp/artifacts")], 1, 3))
        self.assertEqual(self.files(), ["code/file", "dev/x/file", "guests/file"])
        self.assertIn("emptied", self.succeeds("drain", "all"))
        self.assertEqual(self.files(), ["dev/x/file", "guests/file"])
        self.succeeds("drain", "dev")
        self.assertEqual(self.files(), ["guests/file"])
        self.assertEqual(self.json("drain", "downloads")["drained"], [])

    def test_links_are_not_followed(self):
        os.makedirs(self.path("mine"))
        self.write("mine/file", "precious")
        os.symlink(self.path("mine"), self.path("cache/wisp/artifacts/link"))
        self.succeeds("drain", "oci")
        self.assertTrue(os.path.exists(self.path("mine/file")))
        os.rmdir(self.path("cache/wisp/artifacts"))
        os.symlink(self.path("mine"), self.path("cache/wisp/artifacts"))
        self.wisp("drain", "oci")
        self.assertTrue(os.path.exists(self.path("mine/file")))


class Logs(LatticeCase):
    def test_logs(self):
        self.assertIn("wisp up -d", self.fails(EXIT["not-found"], "logs"))
        os.makedirs(self.path("state/wisp/default/host-0"))
        path = self.write("state/wisp/default/host-0/wisp.log", "".join(f"line {n}\n" for n in range(30000)))
        self.assertEqual(len(self.succeeds("logs").splitlines()), 30000)
        self.assertEqual(self.succeeds("logs", "-n", "2"), "line 29998\nline 29999\n")
        process = self.start("logs", "-f", "-n", "1")
        self.assertEqual(process.stdout.readline(), "line 29999\n")
        with open(path, "a") as file:
            file.write("more\n")
        self.assertEqual(process.stdout.readline(), "more\n")
        os.rename(path, path + ".1")
        with open(path + ".1", "a") as file:
            file.write("last of the old\n")
        self.write("state/wisp/default/host-0/wisp.log", "first of the new\n")
        self.assertEqual(process.stdout.readline(), "last of the old\n")
        self.assertEqual(process.stdout.readline(), "first of the new\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(wisp.PATIENCE), 0)


if __name__ == "__main__":
    wisp.main()
