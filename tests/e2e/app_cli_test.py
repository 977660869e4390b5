# SPDX-License-Identifier: Apache-2.0
"""`wisp app`: what can be told without a lattice, what is stored, what goes wrong, `wisp up FILE`."""

import glob
import http.server
import json
import os
import subprocess
import threading

import applications
import hosts
import lattice
import wisp

EXIT = wisp.EXIT
BAD = """apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: shop
  annotations: {version: v1}
  extra: 1
spec:
  components:
    - name: api
      type: component
      properties: {image: reg.example/api:1, imgae: x}
      traits:
        - {type: link, properties: {namespace: wasi, package: keyvalue, interfaces: [store], target: kvv}}
        - {type: spreadscaler, properties: {instnces: 3}}
    - {name: kv, type: capability, properties: {image: "wisp://keyvalue-sqlite"}}
"""
GOOD = (BAD.replace(", imgae: x", "").replace("kvv", "kv").replace("instnces", "instances").replace("  extra: 1\n", ""))


class Offline(wisp.Case):
    def test_everything_that_is_wrong_is_told_with_its_place(self):
        bad, good = self.write("bad.yaml", BAD), self.write("good.yaml", GOOD)
        done = self.wisp("app", "validate", bad, good)
        self.assertEqual((done.returncode, done.stderr), (EXIT["invalid"], ""))
        lines = done.stdout.splitlines()
        for place, text in (("6:3", "metadata: unknown key `extra`"), ("11:46", "did you mean `image`?"),
                            ("13:36", "did you mean `kv`?"), ("14:45", "did you mean `instances`?")):
            self.assertTrue(any(line.startswith(f"{bad}:{place}: error: ") and text in line for line in lines),
                            (place, text, done.stdout))
        self.assertIn(f"{good}: valid", lines)
        self.assertRegex(lines[-1], r"^\d errors, 0 warnings$")
        told = json.loads(self.wisp("app", "validate", bad, "-o", "json").stdout)
        self.assertEqual((told["valid"], told["success"], told["warnings"]), (False, False, []))
        self.assertLessEqual({"level", "msg", "file", "line", "column"}, set(told["errors"][0]))
        self.assertEqual(told["errors"][0]["level"], "Error")

    def test_what_the_original_drops_is_an_error_unless_lenient(self):
        path = self.write("dropped.yaml", GOOD.replace("  annotations:", "  extra: 1\n  annotations:"))
        self.assertEqual(self.wisp("app", "validate", path).returncode, EXIT["invalid"])
        done = self.wisp("app", "validate", "--lenient", path)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(":5:3: warning: metadata: unknown key `extra`", done.stdout)

    def test_what_is_no_manifest(self):
        for text, told in (("a: [b\n", r"standard input:2:1: error: "), ("", "the document is empty"),
                           ("[1, 2]", "error"), ("\0", "error"), ("{" * 200, "error")):
            with self.subTest(text[:10]):
                done = self.wisp("app", "validate", "-", stdin=text.encode())
                self.assertEqual(done.returncode, EXIT["invalid"], done)
                self.assertRegex(done.stdout, told)
        bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi"))
        done = self.wisp("app", "validate", "-", stdin=bomb.encode(), patience=60)
        self.assertEqual(done.returncode, EXIT["invalid"], done)
        self.assertIn("No such file", self.fails(EXIT["not-found"], "app", "validate", self.path("nothing.yaml")))
        large = self.write("large.yaml", "#" * (2 << 20))
        self.assertIn("at most", self.fails(EXIT["limit"], "app", "validate", large))

    def test_schema(self):
        done = self.wisp("app", "schema")
        with open(os.path.join(applications.ROOT, "deploy", "oam.schema.json")) as file:
            self.assertEqual(file.read(), done.stdout, "wisp app schema > deploy/oam.schema.json")
        applications.install_jsonschema()
        import jsonschema
        import yaml
        schema = json.loads(done.stdout)
        jsonschema.Draft7Validator.check_schema(schema)
        others = [path for path in glob.glob(os.path.join(applications.ROOT, "tests", "interop", "manifests", "*"))
                  if not path.endswith(".md")]
        self.assertGreater(len(others), 12)
        for path in applications.EXAMPLES + others:
            with self.subTest(path), open(path) as file:
                jsonschema.validate(yaml.safe_load(file), schema)
            if path in others:
                self.assertEqual(self.wisp("app", "validate", path).returncode, 0)
        jsonschema.validate(yaml.safe_load(GOOD), schema)
        with self.assertRaises(jsonschema.ValidationError):
            jsonschema.validate(yaml.safe_load(BAD), schema)

    def test_a_provider_that_is_not_built_in_is_noticed(self):
        text = applications.example("counter").replace("wisp://keyvalue-sqlite", "wisp://keyvalue-sqlit")
        done = self.wisp("app", "validate", self.write("kv.yaml", text))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout + done.stderr, r"kv.yaml:\d+:\d+: warning: .*did you mean `wisp://keyvalue-sqlite`\?")

    def test_images_are_fetched_when_asked_for(self):
        good = self.write("good.yaml", GOOD.replace("reg.example/api:1", applications.guest("calc-rust")))
        self.assertEqual(self.wisp("app", "validate", "--check-image-refs", good).returncode, 0)
        for image, told in (("file://nowhere.wasm", "nowhere.wasm"), ("file:///nowhere.wasm", "No such file"),
                            ("127.0.0.1:1/api:1", "127.0.0.1:1")):
            with self.subTest(image):
                bad = self.write("bad.yaml", GOOD.replace("reg.example/api:1", image))
                self.assertEqual(self.wisp("app", "validate", bad).returncode, 0)
                done = self.wisp("app", "validate", "--check-image-refs", bad)
                self.assertEqual(done.returncode, EXIT["invalid"], done)
                self.assertRegex(done.stdout, rf"bad.yaml:8:7: error: spec.components\[0\].properties.image: .*{told}")
                self.assertIn("1 error, 0 warnings", done.stdout)

    def test_examples_are_valid(self):
        self.assertGreaterEqual(len(applications.EXAMPLES), 5)
        done = self.wisp("app", "validate", *applications.EXAMPLES)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotIn("warning", done.stdout)

    def test_diff_of_files(self):
        old = self.write("old.yaml", GOOD)
        new = self.write("new.yaml", GOOD.replace("api:1", "api:2").replace("version: v1", "version: v2").replace(
            "{instances: 3}", "{instances: 9, spread: [{name: east, requirements: {zone: east}}]}").replace(
            "interfaces: [store]", "interfaces: [store, atomics]"))
        done = self.wisp("app", "diff", old, new)
        self.assertEqual((done.returncode, done.stdout.splitlines()), (0, [
            "~ annotations: version: v1 -> v2",
            "~ component api: image: reg.example/api:1 -> reg.example/api:2",
            "~ component api: link for wasi:keyvalue: interfaces: store -> store, atomics",
            "~ component api: spreadscaler: instances: 3 -> 9",
            "+ component api: spreadscaler: spread east"]), done)
        told = json.loads(self.wisp("app", "diff", old, new, "-o", "json").stdout)
        self.assertEqual((told["same"], told["changes"][3]), (False, {
            "change": "changed", "path": ["component api", "spreadscaler", "instances"], "old": 3, "new": 9}))
        # Another order, another form: the same.
        components = GOOD[GOOD.index("    - name: api"):]
        api, kv = components[:components.index("    - {name: kv")], components[components.index("    - {name: kv"):]
        same = self.write("same.yaml", GOOD.replace(components, kv + api).replace("target: kv}", "target: {name: kv}}"))
        self.assertEqual(self.wisp("app", "diff", old, same).stdout, "no difference\n")

    def test_no_lattice(self):
        port = wisp.free_address().rpartition(":")[2]
        self.assertIn("is a host running?", self.fails(EXIT["unavailable"], "app", "list", "-p", port))

    def test_no_manager(self):
        server = lattice.NatsServer(self)
        error = self.fails(EXIT["unavailable"], "app", "list", "-p", str(server.port), "-t", "300")
        self.assertIn("no host of lattice `default` runs a deployment manager", error)
        self.assertIn("`wisp get hosts`", error)

    def test_words_that_can_not_be_meant(self):
        for args, text in ((("app", "deploy", "no such/name!"), "No such file"),
                           (("app", "get", "a b"), "neither a file"), (("app", "undeploy"), "NAME or --all"),
                           (("app", "delete", "x", "--all-undeployed"), "not both"),
                           (("app", "get", "shop@v1", "v2"), "two versions"), (("app", "get", "shop@"), "which version?")):
            with self.subTest(args):
                done = self.wisp(*args)
                self.assertIn(text, done.stderr)
                self.assertIn(done.returncode, (EXIT["usage"], EXIT["not-found"]))


class Stored(applications.Case):
    def test_a_name_that_nobody_has(self):
        self.start()
        self.app("put", self.write("shop.yaml", GOOD))
        for verb in ("deploy", "get", "status", "history", "undeploy", "delete", "plan", "diff"):
            with self.subTest(verb):
                code, error = self.refused(verb, "shpo", *(("shop",) if verb == "diff" else ()))
                self.assertEqual(code, EXIT["not-found"], error)
                self.assertIn("there is no application `shpo` in lattice `default`; did you mean `shop`?", error)
                code, error = self.refused(verb, "quite-different", *(("shop",) if verb == "diff" else ()))
                self.assertIn("there is no application `quite-different` in lattice `default`; `wisp app list` shows all",
                              error)
        for verb in ("deploy", "get", "delete", "plan"):
            with self.subTest(verb + "@"):
                code, error = self.refused(verb, "shop@v9")
                self.assertEqual(code, EXIT["not-found"], error)
                self.assertIn("application `shop` has no version `v9`; `wisp app history shop` shows all", error)

    def test_versions(self):
        self.start()
        self.assertEqual(self.app_json("list"), {"applications": [], "success": True})
        path = self.write("shop.yaml", GOOD)
        self.assertEqual(self.app_json("put", path),
                         {"deployed": True, "model_name": "shop", "model_version": "v1", "success": True})
        # The same again is no other version; another one of that name has to have one of its own.
        self.assertEqual(self.app_json("put", "-", stdin=GOOD.encode())["model_version"], "v1")
        code, error = self.refused("put", self.write("changed.yaml", GOOD.replace("instances: 3", "instances: 4")))
        self.assertEqual(code, EXIT["exists"])
        self.assertIn("another version", error)
        self.assertIn("wisp app diff shop@v1", error)
        second = GOOD.replace("version: v1", "description: a shop").replace("instances: 3", "instances: 4")
        made = self.app_json("put", "-", stdin=second.encode())["model_version"]
        self.assertRegex(made, "^[0-9A-Z]{26}$")
        self.assertEqual(self.app_json("put", "-", stdin=second.encode())["model_version"], made)

        self.assertEqual([(entry["version"], entry["deployed"]) for entry in self.app_json("history", "shop")["revisions"]],
                         [("v1", False), (made, False)])
        summary, = self.app_json("get")["applications"]
        self.assertEqual((summary["name"], summary["version"], summary["deployed_version"], summary["description"]),
                         ("shop", made, None, "a shop"))
        self.assertLessEqual({"detailed_status", "status", "status_message"}, set(summary))
        self.assertRegex(self.app("list"), rf"(?m)^shop +- +\S+ +{made} +a shop$")

        self.assertEqual(self.app_json("get", "shop@v1")["application"]["metadata"]["annotations"]["version"], "v1")
        self.assertEqual(self.app_json("get", "shop", "v1"), self.app_json("get", "shop@v1"))
        self.assertEqual(self.app("get", "shop@v1"), self.app("get", "shop@v1", "-o", "yaml"))
        # What was written is read again.
        self.assertEqual(self.app("diff", "shop@v1", self.write("again.yaml", self.app("get", "shop@v1"))), "no difference\n")
        self.assertIn("~ component api: spreadscaler: instances: 3 -> 4", self.app("diff", "shop@v1", "shop"))
        for args in (("get", "shop@v9"), ("get", "none"), ("history", "none"), ("status", "none"), ("deploy", "none"),
                     ("undeploy", "none"), ("delete", "none"), ("plan", "none"), ("deploy", "shop@v9")):
            with self.subTest(args):
                code, error = self.refused(*args)
                self.assertEqual(code, EXIT["not-found"], error)
                self.assertEqual(len(error.splitlines()), 1, error)

        self.assertTrue(self.app_json("delete", "shop@v1")["deleted"])
        self.assertEqual(len(self.app_json("history", "shop")["revisions"]), 1)
        self.assertEqual(self.app_json("delete", "--all-undeployed")["deleted_applications"],
                         [{"model_name": "shop", "version": None}])
        self.assertEqual(self.app_json("list")["applications"], [])
        self.host.stop()

    def test_a_manifest_by_url(self):
        self.start()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if self.path == "/shop.yaml" else 404)
                self.end_headers()
                self.wfile.write(GOOD.encode())

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"http://127.0.0.1:{server.server_port}"
        self.assertEqual(self.app_json("put", url + "/shop.yaml")["model_version"], "v1")
        self.assertEqual(self.refused("put", url + "/other.yaml")[0], EXIT["not-found"])
        self.host.stop()

    def test_wrong_manifests_are_refused(self):
        self.start()
        path = self.write("bad.yaml", BAD)
        for verb in ("put", "deploy", "plan"):
            code, error = self.refused(verb, path)
            self.assertEqual(code, EXIT["invalid"])
            self.assertIn(f"{path}:11:46: error: ", error)
            self.assertIn("did you mean `image`?", error)
        code, error = self.refused("deploy", path, "-o", "json")
        self.assertEqual(json.loads(error)["kind"], "invalid")
        self.assertEqual(self.app_json("list")["applications"], [])
        self.host.stop()

    def test_why_not(self):
        """What can't be is said, by --wait and by status; a relative image is beside its manifest."""
        self.start()
        text = applications.example("zones")
        code, error = self.refused("deploy", self.write("zones.yaml", text), "--wait=60s")
        self.assertEqual(code, EXIT["unavailable"], error)
        self.assertIn("edge", error)
        self.assertIn("zone", error)
        self.assertRegex(self.app("status", "zones"), r"(?s)^zones@v1.0.0 - failed\n.*SpreadScaler +zones-calc +failed.*zone")
        scalers = self.app_json("status", "zones")["status"]["scalers"]
        self.assertLessEqual({"id", "kind", "name", "status", "wanted", "found"}, set(scalers[0]))
        self.assertIn("! zones-calc", self.app("plan", "zones"))

        code, error = self.refused("deploy", self.write("absent.yaml", GOOD.replace("reg.example/api:1", "file://./absent.wasm")))
        self.assertEqual(code, EXIT["not-found"])
        self.assertIn("component `api`", error)
        absent = GOOD.replace("reg.example/api:1", "file:///nowhere/absent.wasm")
        code, error = self.refused("deploy", self.write("absent.yaml", absent), "--wait=60s")
        self.assertIn("/nowhere/absent.wasm", error)
        self.assertIn("shop", self.app("undeploy", "--all", "--wait"))
        self.check_nothing_is_left()
        self.host.stop()


class Up(wisp.Case):
    def setUp(self):
        super().setUp()
        self.address = wisp.free_address()
        self.port = wisp.free_address().rpartition(":")[2]
        self.env.update(HOME=self.folder, WISP_STATE=self.path("state"), WISP_NATS_PORT=self.port,
                        XDG_CACHE_HOME=os.path.expanduser("~/.cache"))

    def get(self):
        try:
            with wisp.Client(self.address) as client:
                response = client.request(headers=[("connection", "close")])
                return response.body if response.status == 200 else None
        except (OSError, wisp.Broken):
            return None

    def test_detached(self):
        path = self.write("hello.yaml", applications.example("hello", self.address))
        self.addCleanup(self.wisp, "down", "--all")
        done = self.wisp("up", "-d", path)
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(done.stdout, r"(?s)^host N\w+ is up\n.*application `hello`, version v1.0.0 is deployed\n$")
        self.assertEqual(wisp.wait_for(self.get, "an answer"), b"Hello from Rust!\n")
        self.assertEqual(self.wisp("down").returncode, 0)
        # It is remembered; once more with the same manifest changes nothing.
        done = self.wisp("up", "-d", path, "-o", "json")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(json.loads(done.stdout)["model_name"], "hello")
        self.assertEqual(wisp.wait_for(self.get, "an answer"), b"Hello from Rust!\n")

    def test_in_front(self):
        lattice_ = hosts.Lattice(self)
        host = lattice_.host(self.write("hello.yaml", applications.example("hello", self.address)), verb="up")
        self.assertEqual(wisp.wait_for(self.get, "an answer"), b"Hello from Rust!\n")
        host.wait_for_log("application `hello`, version v1.0.0 is deployed")
        host.stop()

    def test_what_is_wrong_is_told_before_anything_starts(self):
        bad = self.write("bad.yaml", BAD)
        for args in (("up", "-d", bad), ("up", bad)):
            done = self.wisp(*args)
            self.assertEqual((done.returncode, done.stdout), (EXIT["invalid"], ""), done)
            self.assertIn("bad.yaml:6:3: error: metadata: unknown key `extra`", done.stderr)
        self.assertFalse(os.path.exists(self.path("state")))
        self.assertIn("no manifest", self.fails(EXIT["not-found"], "up", "-d", "nothing"))


if __name__ == "__main__":
    wisp.main()
