# SPDX-License-Identifier: Apache-2.0
"""Applications on real hosts: deployed from a manifest, healed, changed without a failed request, rolled back, gone without
a trace; taken over by another host; and wadm's API as its clients speak it."""

import json
import os
import signal

import applications
import hosts
import lattice
import wisp

RUST, C = b"Hello from Rust!\n", b"Hello from C!\n"


class Story(applications.Case):
    def test_from_nothing_to_nothing(self):
        """A component, the HTTP server as a process, a store."""
        self.start()
        out = self.deploy(applications.example("counter", self.address))
        self.assertIn("application `counter`, version v1.0.0 is deployed", out)
        self.assertEqual(self.wait_for_answer(), "1\n")

        provider, = self.processes("wisp-http-server")
        os.kill(provider, signal.SIGKILL)
        self.host.wait_for_log("level=warn.*SIGKILL|level=warn.*signal 9")
        self.assertEqual(self.wait_for_answer(), "2\n")
        for pid in self.host.workers():
            if pid not in self.processes("wisp-http-server"):
                os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.wait_for_answer(), "3\n")
        self.assertEqual(self.app_json("status", "counter")["status"]["status"]["type"], "deployed")

        self.app("undeploy", "counter", "--wait")
        self.assertIsNone(self.get())
        self.check_nothing_is_left("counter-address")
        wisp.wait_for(lambda: not self.processes("wisp-http-server"), "the provider to end")
        # What the store held is not the application's to delete.
        self.app("deploy", "counter", "--wait")
        self.assertEqual(self.wait_for_answer(), "4\n")
        self.app("delete", "counter")
        wisp.wait_for(lambda: not self.running()[self.host.id], "the component to stop")
        self.assertEqual(self.app_json("list")["applications"], [])
        self.host.stop()

    def change_under_load(self, image):
        """From Rust to C and back, while requests come."""
        self.start()
        first = applications.example("hello", self.address, old1="wisp://http-server", new1=image)
        second = (first.replace(applications.guest("http-hello-rust"), applications.guest("http-hello-c"))
                  .replace("v1.0.0", "v2.0.0"))
        self.deploy(first)
        self.wait_for_answer(RUST.decode())
        path = self.write("second.yaml", second)
        self.assertIn("~ component hello: image: ", self.app("diff", path))
        plan = self.app("plan", path)
        self.assertRegex(plan, r"(?m)^~ component hello-hello on host N\w+: 100 of \S+http-hello-c\.wasm")
        self.assertIn("0 to add, 1 to change, 0 to remove", plan)
        load = applications.Load(self.address)
        self.addCleanup(load.stop)
        self.deploy(second)
        self.wait_for_answer(C.decode())
        seen = len(load.bodies)
        wisp.wait_for(lambda: len(load.bodies) > seen + 50, "requests to the new version")
        self.app("deploy", "hello@v1.0.0", "--wait")
        self.wait_for_answer(RUST.decode())
        seen = len(load.bodies)
        wisp.wait_for(lambda: len(load.bodies) > seen + 50, "requests to the old version")
        load.stop()
        self.assertEqual(load.failures, [], self.host.log[-3000:])
        self.assertEqual(set(load.bodies), {RUST, C})
        self.assertEqual(load.bodies[-1], RUST)
        self.assertEqual([entry["deployed"] for entry in self.app_json("history", "hello")["revisions"]], [True, False])
        self.app("undeploy", "hello", "--wait")
        self.check_nothing_is_left("hello-address")
        self.host.stop()

    def test_a_change_loses_no_request_with_the_server_in_the_workers(self):
        self.change_under_load("wisp://http-server")

    def test_a_change_loses_no_request_with_the_server_as_a_process(self):
        self.change_under_load(applications.HTTP_SERVER)

    def test_a_changed_config_and_a_changed_link_arrive(self):
        self.start()
        text = applications.example("hello", self.address)
        self.deploy(text)
        self.wait_for_answer()
        before, self.address = self.address, wisp.free_address()
        self.deploy(text.replace(before, self.address).replace("v1.0.0", "v2"))
        self.wait_for_answer()
        # What somebody takes away is put back.
        self.lattice.wisp("link", "del", "hello-http", "wasi", "http")
        wisp.wait_for(lambda: self.lattice.ask("get", "links")["links"], "the link to be back", 30)
        self.lattice.wisp("stop", "component", "hello-hello")
        wisp.wait_for(lambda: "hello-hello" in self.running()[self.host.id], "the component to be back", 30)
        self.wait_for_answer()
        self.host.stop()

    def test_shared(self):
        self.start()
        user = self.write("user.yaml", applications.example("shared-hello", self.address))
        code, error = self.refused("deploy", user, "--wait")
        self.assertIn("shared-http", error)
        self.deploy(applications.example("shared-http"))
        self.app("deploy", user, "--wait")
        self.wait_for_answer(RUST.decode())
        code, error = self.refused("undeploy", "shared-http")
        self.assertIn("shared-hello", error)
        self.wait_for_answer(RUST.decode())
        self.app("undeploy", "shared-hello", "--wait")
        self.assertEqual(list(self.running("providers")[self.host.id]), ["shared_http-http"])
        self.app("undeploy", "shared-http", "--wait")
        self.check_nothing_is_left("shared_hello-address")
        self.host.stop()

    def test_what_others_started_stays(self):
        self.start()
        self.deploy(applications.example("hello", self.address))
        self.assertEqual(self.lattice.wisp("start", "component", applications.guest("calc-rust"), "mine").returncode, 0)
        self.assertEqual(self.lattice.wisp("config", "put", "mine", "a=b").returncode, 0)
        self.app("undeploy", "hello", "--wait")
        self.assertEqual(list(self.running()[self.host.id]), ["mine"])
        self.assertEqual(self.lattice.ask("config", "get", "mine"), {"a": "b"})
        self.host.stop()

    def test_placement_by_labels(self):
        self.start("--label", "zone=east", "--label", "edge=true")
        west = self.lattice.host("--label", "zone=west")
        text = applications.example("zones").replace("0.0.0.0:8080", self.address)
        self.deploy(text)
        running = self.running()
        self.assertEqual(running[self.host.id]["zones-calc"]["max_instances"], 8)
        self.assertEqual(running[west.id]["zones-calc"]["max_instances"], 2)
        self.assertEqual(running[self.host.id]["zones-front"]["max_instances"], 20)
        self.assertNotIn("zones-front", running[west.id])
        self.assertEqual(self.wait_for_answer(), "front\n")
        # One more host of the kind: the daemons are there too, the rest stays.
        third = self.lattice.host("--label", "zone=west", "--label", "edge=true")
        wisp.wait_for(lambda: "zones-front" in self.running().get(third.id, {}), "the daemon on the third host", 60)
        for host in (third, west, self.host):
            host.stop()


class Faults(applications.Case):
    def test_an_undeploy_that_was_interrupted_completes(self):
        self.start()
        self.deploy(applications.example("counter", self.address))
        self.wait_for_answer()
        self.app("undeploy", "counter")
        self.host.end()
        self.host = self.lattice.host()
        wisp.wait_for(lambda: not any(self.running()[self.host.id]) and not any(self.running("providers")[self.host.id]),
                      f"nothing of it to run; log: {self.host.log[-3000:]}", 60)
        wisp.wait_for(lambda: not self.lattice.ask("get", "links")["links"], "no links", 30)
        self.assertIsNone(self.get())
        self.host.stop()

    def test_a_deployment_survives_all_processes(self):
        self.start()
        self.deploy(applications.example("hello", self.address))
        self.wait_for_answer()
        self.host.end()
        self.host = self.lattice.host()
        self.wait_for_answer(RUST.decode())
        wisp.wait_for(lambda: self.app_json("status", "hello")["status"]["status"]["type"] == "deployed", "deployed", 60)
        self.host.stop()

    def another_host(self):
        """With a state of its own, as on another machine."""
        host = self.lattice.host(env={"WISP_STATE": self.path(f"state-{len(self.hosts)}")})
        self.hosts.append(host)
        self.addCleanup(self.kill, host)
        return host

    @staticmethod
    def kill(host):
        """The host with all its processes, at once, as when a machine dies."""
        for pid in [host.pid, *wisp.children(host.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        host.process.wait()

    def test_a_host_that_dies_is_replaced_also_when_it_was_the_leader(self):
        server = lattice.NatsServer(self, "-js", "-sd", self.path("jetstream"))
        self.lattice = hosts.Lattice(self, port=server.port)
        self.lattice.host_flags = ["--workers", "2", "--nats", f"nats://127.0.0.1:{server.port}"]
        self.address = wisp.free_address()
        self.hosts = []
        self.host, other = self.another_host(), self.another_host()
        alive = {host.id: host for host in (self.host, other)}
        self.deploy(applications.example("hello", self.address).replace("instances: 100", "instances: 1"))
        # One of the two that die is the leader.
        for _ in range(2):
            where, = [host for host, running in self.running().items() if "hello-hello" in running]
            self.kill(alive.pop(where))
            self.host = next(iter(alive.values()))
            wisp.wait_for(lambda: "hello-hello" in self.running().get(self.host.id, {}),
                          f"a replacement; log: {self.host.log[-3000:]}", 30)
            new = self.another_host()
            alive[new.id] = new
        wisp.wait_for(lambda: self.app_json("status", "hello")["status"]["status"]["type"] == "deployed", "deployed", 30)
        self.wait_for_answer()
        self.app("undeploy", "hello", "--wait")
        self.check_nothing_is_left("hello-address")


class Api(applications.Case):
    """What wadm's clients send and read."""

    def ask(self, op, payload=b"", headers=None):
        answer = self.bus.request(f"wadm.api.default.model.{op}", payload, headers=headers)
        return json.loads(answer)

    def test_life_of_an_application(self):
        self.start()
        self.bus = self.lattice.bus()
        told = []
        self.bus.subscribe("wadm.status.default.hello", lambda subject, reply, head, data: told.append(json.loads(data)))
        self.bus.flush()
        text = applications.example("hello", self.address)
        yaml = {"Content-Type": "application/yaml"}
        answer = self.ask("put", text, yaml)
        self.assertEqual((answer["result"], answer["name"], answer["current_version"], answer["total_versions"]),
                         ("created", "hello", "v1.0.0", 1))
        manifest = self.ask("get.hello")["manifest"]
        manifest["metadata"]["annotations"]["version"] = "v2"
        answer = self.ask("put", manifest, {"Content-Type": "application/json"})
        self.assertEqual((answer["result"], answer["current_version"], answer["total_versions"]), ("newversion", "v2", 2))
        self.assertEqual(self.ask("put", text, {"Content-Type": "text/plain"})["result"], "error")
        self.assertEqual(self.ask("put", text)["result"], "newversion")  # idempotent; YAML without a header
        self.assertEqual(self.ask("put", "nonsense")["result"], "error")
        self.assertEqual(self.ask("put.hello", text)["result"], "error")
        self.assertEqual(self.ask("get.none")["result"], "notfound")
        self.assertEqual(self.ask("get.hello", {"version": "v9"})["result"], "notfound")
        self.assertEqual(self.ask("get.hello", {"version": "v1.0.0"})["manifest"]["metadata"]["annotations"]["version"],
                         "v1.0.0")
        summary, = self.ask("list")
        self.assertLessEqual({"name", "version", "description", "deployed_version", "detailed_status", "status",
                              "status_message"}, set(summary))
        self.assertEqual((summary["version"], summary["deployed_version"]), ("v2", None))
        self.assertEqual(self.ask("get")["models"], [summary])
        self.assertEqual([(entry["version"], entry["deployed"]) for entry in self.ask("versions.hello")["versions"]],
                         [("v1.0.0", False), ("v2", False)])
        self.assertEqual(self.ask("status.none")["status"]["status"]["type"], "undeployed")

        answer = self.ask("deploy.hello", {"version": "v1.0.0"})
        self.assertEqual((answer["result"], answer["name"], answer["version"]), ("acknowledged", "hello", "v1.0.0"))
        self.wait_for_answer(RUST.decode())
        wisp.wait_for(lambda: self.ask("status.hello")["status"]["status"]["type"] == "deployed", "deployed")
        status = self.ask("status.hello")
        self.assertEqual((status["result"], status["status"]["version"], status["status"]["components"]), ("ok", "", []))
        self.assertEqual({scaler["kind"] for scaler in status["status"]["scalers"]} - {"ConfigScaler"},
                         {"SpreadScaler", "LinkScaler"})
        wisp.wait_for(lambda: told and told[-1]["status"]["type"] == "deployed", "the published status")
        entry = self.running()[self.host.id]["hello-hello"]
        self.assertEqual(entry["annotations"]["wasmcloud.dev/appspec"], "hello")
        self.assertEqual(entry["annotations"]["wasmcloud.dev/managed-by"], "wadm")
        self.assertEqual(entry["annotations"]["wasmcloud.dev/spread_name"], "default")

        for payload in (b"", {"version": "latest"}, {"version": None}):
            self.assertEqual(self.ask("deploy.hello", payload)["version"], "v2")
        self.assertEqual(self.ask("deploy.none")["result"], "notfound")
        self.assertEqual(self.ask("deploy.hello", "{")["result"], "error")
        answer = self.ask("undeploy.hello", {})
        self.assertEqual((answer["result"], answer["name"], answer["version"]), ("acknowledged", "hello", None))
        self.assertEqual(self.ask("undeploy.hello")["result"], "acknowledged")
        wisp.wait_for(lambda: not self.running()[self.host.id], "the component to stop")
        self.assertEqual(self.ask("del.hello", {"version": "v1.0.0"})["result"], "deleted")
        self.assertEqual(self.ask("del.hello", {"version": "v1.0.0"})["result"], "noop")
        self.assertEqual(self.ask("del.hello")["result"], "deleted")
        self.assertEqual(self.ask("del.hello")["result"], "noop")
        self.assertEqual(self.ask("list"), [])
        for op in ("nothing", "deploy", "get.a.b", "list.hello"):
            self.assertEqual(self.ask(op)["result"], "error", op)
        self.host.stop()

    def test_a_provider_runs_on_when_its_new_image_can_not_be_had(self):
        self.start()
        self.bus = self.lattice.bus()
        text = applications.example("hello", self.address, old1="wisp://http-server", new1=applications.HTTP_SERVER)
        self.deploy(text)
        self.wait_for_answer(RUST.decode())
        provider, = self.processes("wisp-http-server")
        load = applications.Load(self.address)
        self.addCleanup(load.stop)
        for i, image in enumerate(("wisp://http-serve", "file:///nowhere/http-server", "127.0.0.1:1/http-server:1")):
            changed = text.replace(applications.HTTP_SERVER, image).replace("v1.0.0", f"v{i + 2}")
            self.assertEqual(self.ask("put", changed)["result"], "newversion")
            self.assertEqual(self.ask("deploy.hello")["result"], "acknowledged")
            status = wisp.wait_for(lambda: (now := self.ask("status.hello")["status"]["status"])["type"] == "failed" and
                                   image in now["message"] and now, "the failure to be told")
            self.assertRegex(status["message"], rf"wisp-http-server` runs on until `{image}` can be had")
            load.wait_for(50)
        self.assertEqual(self.processes("wisp-http-server"), [provider])
        self.app("deploy", "hello@v1.0.0", "--wait")
        load.stop()
        self.assertEqual(load.failures, [], self.host.log[-3000:])
        self.host.stop()

    def test_what_the_original_ignores_is_a_warning(self):
        self.start()
        self.bus = self.lattice.bus()
        text = applications.example("hello", self.address).replace("  name: hello\n", "  name: hello\n  extra: 1\n", 1)
        answer = self.ask("put", text)
        self.assertEqual(answer["result"], "created", answer)
        self.assertIn("extra", answer["warnings"][0])
        self.host.stop()


if __name__ == "__main__":
    wisp.main()
