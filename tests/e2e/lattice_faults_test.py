# SPDX-License-Identifier: Apache-2.0
"""What may break around a host while it answers HTTP: its control process, workers, the NATS server, its state directory.
No request to a living worker may fail because of it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

import hosts
import wisp


APPLICATION = """
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: calc, annotations: {version: v1}}
spec:
  components:
    - {name: calc, type: component, properties: {image: "GUEST"}, traits: [{type: spreadscaler, properties: {instances: 2}}]}
"""


def may_mount():
    """Whether this process may make a view of the file systems of its own, and mount in it."""
    done = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True)
    return done.returncode == 0


class Load(threading.Thread):
    """Asks again and again, a connection per request; notes what was not answered."""

    def __init__(self, address, path="/"):
        super().__init__(daemon=True)
        self.address, self.path = address, path
        self.answered = 0
        self.failures = []
        self.must_stop = False
        self.start()

    def run(self):
        while not self.must_stop:
            try:
                with wisp.Client(self.address) as client:
                    response = client.request("GET", self.path, [("connection", "close")])
                if response.status == 200:
                    self.answered += 1
                else:
                    self.failures.append((time.monotonic(), response))
            except (OSError, wisp.Broken) as error:
                self.failures.append((time.monotonic(), error))

    def wait_for(self, count):
        """So many answers more."""
        goal = self.answered + count
        wisp.wait_for(lambda: self.answered >= goal, f"{count} answers; failures: {self.failures[:3]}")

    def stop(self):
        self.must_stop = True
        self.join(wisp.PATIENCE)


class FaultsTest(hosts.ByControl):
    wrapper = ()

    def begin(self, *flags, port=None, before=None):
        self.lattice = hosts.Lattice(self, port=port)
        self.flags = flags
        host = self.lattice.host(*flags, wrapper=self.wrapper)
        self.bus = self.lattice.bus()
        self.address = wisp.free_address()
        self.ok("config.put.front", {"address": self.address})
        self.ok(f"component.scale.{host.id}", {"component_ref": "file://" + os.path.abspath(wisp.guest("http-hello-rust")),
                                               "component_id": "hello", "host_id": host.id, "count": 100})
        self.ok(f"provider.start.{host.id}", {"provider_id": "http", "host_id": host.id,
                                              "provider_ref": "wasmcloud+builtin://http-server"})
        self.ok("link.put", {"source_id": "http", "target": "hello", "name": "default", "wit_namespace": "wasi",
                             "wit_package": "http", "interfaces": ["incoming-handler"], "source_config": ["front"],
                             "target_config": []})
        wisp.wait_for(self.is_served, "the first answer", wisp.START_PATIENCE)
        return host

    def is_served(self):
        try:
            with wisp.Client(self.address) as client:
                return client.request("GET", "/", [("connection", "close")]).status == 200
        except (OSError, wisp.Broken):
            return False

    def load(self):
        load = Load(self.address)
        self.addCleanup(load.stop)
        load.wait_for(20)
        return load

    def test_killed_control_process_is_replaced_and_nothing_fails(self):
        host = self.begin()
        load = self.load()
        old = host.workers()
        self.assertEqual(len(old), 2)
        host.kill_control()
        load.wait_for(50)
        again = self.lattice.host()
        wisp.wait_for(lambda: not any(wisp.is_alive(pid) for pid in old), "the old workers to end")
        load.wait_for(50)
        load.stop()
        self.assertEqual(load.failures, [])
        self.assertEqual(again.id, host.id)
        again.stop()
        self.assertEqual(self.lattice.left_behind(), [])

    def test_workers_that_stand_still_for_a_while_are_replaced_too(self):
        host = self.begin()
        load = self.load()
        old = host.workers()
        host.kill_control()
        load.wait_for(1)
        for pid in old:
            os.kill(pid, signal.SIGSTOP)
        go_on = threading.Timer(2, lambda: [os.kill(pid, signal.SIGCONT) for pid in old])
        go_on.start()
        self.addCleanup(go_on.join)
        again = self.lattice.host()
        wisp.wait_for(lambda: not any(wisp.is_alive(pid) for pid in old), "the old workers to end")
        load.wait_for(50)
        load.stop()
        self.assertEqual(load.failures, [])
        again.stop()
        # Then there would be a time at which nobody listens.
        self.assertNotIn("can't be taken over", again.log)

    def test_workers_end_after_the_grace_period(self):
        host = self.begin("--grace-ms", "1500")
        old = host.workers()
        host.kill_control()
        self.assertTrue(self.is_served())
        wisp.wait_for(lambda: not any(wisp.is_alive(pid) for pid in old), "the workers to end")
        self.assertFalse(self.is_served())

    def test_killed_worker_is_replaced(self):
        host = self.begin()
        for victim in host.workers():
            os.kill(victim, signal.SIGKILL)
            wisp.wait_for(lambda: len(host.workers()) == 2 and victim not in host.workers(), "another worker")
            wisp.wait_for(self.is_served, "an answer")
        load = self.load()
        load.wait_for(50)
        load.stop()
        self.assertEqual(load.failures, [])
        host.stop()

    def test_stopping_under_load_finishes_what_was_begun(self):
        host = self.begin()
        load = self.load()
        host.process.send_signal(signal.SIGTERM)
        host.process.wait(wisp.PATIENCE)
        load.stop()
        self.assertEqual(host.process.returncode, 0, host.log)
        # Once nobody listens any more, connections are refused; before, everything was answered.
        broken = [failure for _, failure in load.failures if not isinstance(failure, ConnectionRefusedError)]
        self.assertEqual(broken, [])

    def test_component_is_replaced_under_load_without_a_failure(self):
        host = self.begin()
        events = hosts.Events(self.bus)
        copy = self.path("other.wasm")
        shutil.copy(wisp.guest("http-hello-c"), copy)
        load = self.load()
        self.ok(f"component.update.{host.id}", {"component_id": "hello", "new_component_ref": "file://" + copy,
                                                "host_id": host.id})
        events.wait_for("component_scaled", component_id="hello", image_ref="file://" + copy)
        load.wait_for(50)
        load.stop()
        self.assertEqual(load.failures, [])
        host.stop()

    def test_component_is_removed_while_it_serves(self):
        """What it has in hand is finished. Who comes later is told, and served again when it is back."""
        host = self.begin()
        events = hosts.Events(self.bus)
        load = self.load()
        for count in (0, 100, 0, 100):
            self.scale(host, count)
            events.wait_for("component_scaled", component_id="hello", max_instances=count)
            wisp.wait_for(lambda: self.is_served() == (count > 0), "the component to be gone, or there")
        load.wait_for(50)
        load.stop()
        # An answer each, and never a broken connection.
        self.assertEqual({getattr(failure, "status", failure) for _, failure in load.failures}, {503})
        host.stop()

    def scale(self, host, count):
        self.ok(f"component.scale.{host.id}", {"component_ref": "file://" + os.path.abspath(wisp.guest("http-hello-rust")),
                                               "component_id": "hello", "host_id": host.id, "count": count})

    def link(self, source, target, name="default"):
        return {"source_id": source, "target": target, "name": name, "wit_namespace": "acme", "wit_package": "shop",
                "interfaces": ["stock"], "source_config": [], "target_config": []}

    def test_many_changes_in_a_row(self):
        """10,000 of them."""
        host = self.begin()
        load = self.load()
        for i in range(5000):
            self.bus.publish("wasmbus.ctl.v1.default.config.put.spin", json.dumps({"i": str(i)}))
            self.bus.publish("wasmbus.ctl.v1.default.link.put", json.dumps(self.link(f"s{i % 50}", f"t{i}", f"n{i % 7}")))
        # Commands are handled concurrently: the last one to be written wins, and all have an effect.
        wisp.wait_for(lambda: self.lattice.ctl(self.bus, "config.get.spin").get("response"), "the configuration")
        self.ok("config.put.spin", {"i": "end"})
        self.assertEqual(self.ok("config.get.spin"), {"i": "end"})
        # A link of the same name leads to somebody else: only the first one is taken.
        wisp.wait_for(lambda: len(self.ok("link.get")) == 350 + 1, "one link of each name")
        load.stop()
        self.assertEqual(load.failures, [])
        host.stop()

    def test_two_hosts_race_for_one_link(self):
        """Whichever is first has it; all are told the same, and everybody knows the same in the end."""
        host = self.begin()
        twin = self.lattice.host(*self.flags)
        buses = [self.bus, self.lattice.bus()]
        taken = {}
        for i in range(30):
            answers = [[], []]
            for number, bus in enumerate(buses):
                inbox = f"_INBOX.race.{i}.{number}"
                bus.subscribe(inbox, lambda subject, reply, head, data, into=answers[number]: into.append(json.loads(data)))
                bus.publish("wasmbus.ctl.v1.default.link.put", self.link(f"racer-{i}", f"target-{number}"), inbox)
            wisp.wait_for(lambda: all(answers), "two answers")
            won = [number for number in (0, 1) if answers[number][0]["success"]]
            self.assertEqual(len(won), 1, answers)
            taken[f"racer-{i}"] = f"target-{won[0]}"

        def known(bus):
            links = self.lattice.ctl(bus, "link.get")["response"]
            return {link["source_id"]: link["target"] for link in links if link["source_id"].startswith("racer-")}

        # Any host answers: ask until both must have been asked.
        for _ in range(20):
            wisp.wait_for(lambda: known(self.bus) == taken, "the links")
        twin.stop()
        self.assertEqual(known(self.bus), taken)
        host.stop()

    def test_oversized_and_slow_messages_harm_only_who_sends_them(self):
        host = self.begin()
        load = self.load()
        # One begins a message and never ends it; one does not read what it asked for; one sends more than is allowed.
        slow = self.lattice.bus()
        slow.send("PUB wasmbus.ctl.v1.default.config.put.never 1000\r\n{")
        deaf = socket.create_connection(("127.0.0.1", self.lattice.port))
        self.addCleanup(deaf.close)
        deaf.sendall(b'CONNECT {"verbose":false}\r\nSUB > 1\r\n')
        large = self.lattice.bus()
        with contextlib.suppress(OSError):
            large.send(b"PUB wasmbus.ctl.v1.default.config.put.large 90000000\r\n" + b"x" * 3000000)
        wisp.wait_for(lambda: not large.thread.is_alive(), "the connection to be ended")
        for i in range(100):
            self.ok("config.put.chatter", {"i": str(i), "x": "x" * 50000})
        self.assertFalse(self.lattice.ctl(self.bus, "config.get.large").get("response"))
        load.wait_for(20)
        load.stop()
        self.assertEqual(load.failures, [])
        host.stop()

    def test_state_survives_kills_during_writes(self):
        """Configs and links, and what runs: all that was acknowledged is there."""
        host = self.begin()
        written, targets = {}, {}
        for round_ in range(3):
            for i in range(40):
                name = f"key-{round_}-{i}"
                self.ok(f"config.put.{name}", {"round": str(round_)})
                written[name] = {"round": str(round_)}
                self.ok("link.put", self.link(f"source-{round_}-{i}", f"target-{i}"))
                targets[f"source-{round_}-{i}"] = f"target-{i}"
            events = hosts.Events(self.bus)
            self.scale(host, 10 + round_)
            events.wait_for("component_scaled", component_id="hello", max_instances=10 + round_)
            for i in range(20):
                self.bus.publish("wasmbus.ctl.v1.default.config.put.unknown", json.dumps({"x": str(i)}))
                self.bus.publish("wasmbus.ctl.v1.default.link.put", json.dumps(self.link(f"unknown-{round_}", f"t{i}")))
            host.kill_control()
            host = self.lattice.host(*self.flags)
            self.bus = self.lattice.bus()
            for name, value in written.items():
                self.assertEqual(self.ok(f"config.get.{name}"), value)
            links = {link["source_id"]: link["target"] for link in self.ok("link.get")}
            self.assertEqual({source: links.get(source) for source in targets}, targets)
            wisp.wait_for(lambda: [entry["max_instances"] for entry in self.ok(f"host.get.{host.id}")["components"]]
                          == [10 + round_], "the component as it was last")
        host.stop()

    @unittest.skipUnless(may_mount(), "can't mount a small file system here")
    def test_full_disk_refuses_writes_and_disturbs_nobody_else(self):
        if type(self) is not FaultsTest:
            self.skipTest("NATS has the state")
        self.wrapper = ("unshare", "-m", "sh", "-c",
                        'mkdir -p "$WISP_STATE" && mount -t tmpfs -o size=512k tmpfs "$WISP_STATE" && exec "$@"', "sh")
        host = self.begin()
        load = self.load()
        refused = None
        for i in range(400):
            answer = self.lattice.ctl(self.bus, f"config.put.big-{i}", {"v": "x" * 8000})
            if not answer["success"]:
                refused = answer["message"]
                break
        self.assertRegex(refused or "", "full|space")
        load.wait_for(20)
        load.stop()
        self.assertEqual(load.failures, [])
        self.assertEqual(self.ok("config.get.big-0"), {"v": "x" * 8000})
        for j in range(i):
            self.lattice.ctl(self.bus, f"config.del.big-{j}")
        host.stop()

    @unittest.skipUnless(may_mount(), "can't mount a file system here")
    def test_read_only_state_directory_is_told_at_the_start(self):
        self.lattice = hosts.Lattice(self)
        wrapper = ("unshare", "-m", "sh", "-c",
                   'mkdir -p "$WISP_STATE" && mount -t tmpfs -o ro tmpfs "$WISP_STATE" && exec "$@"', "sh")
        host = self.lattice.host(wait=False, wrapper=wrapper)
        self.assertNotEqual(host.process.wait(wisp.PATIENCE), 0)
        self.assertRegex(host.log, "Read-only file system")

    def test_duplicate_host_id_is_told(self):
        host = self.begin()
        seed_path = os.path.join(self.lattice.state, "default", "host-0", "seed")
        with open(seed_path) as file:
            seed = file.read().strip()
        twin = self.lattice.host("--heartbeat-interval-seconds", "1", env={"WASMCLOUD_HOST_SEED": seed})
        self.assertEqual(twin.id, host.id)
        twin.wait_for_log("another host of lattice")
        twin.stop()
        host.stop()


@unittest.skipUnless(shutil.which("nats-server"), "nats-server is not installed")
class NatsFaultsTest(FaultsTest):
    """The same on real NATS, and what only NATS can do."""

    def begin(self, *flags, port=None, before=None):
        self.nats_port = int(wisp.free_address().rpartition(":")[2])
        self.nats_folder = self.path("nats")
        self.nats = None
        self.start_nats()
        return super().begin("--nats", f"nats://127.0.0.1:{self.nats_port}", *flags, port=self.nats_port)

    def start_nats(self):
        with open(self.path("nats.log"), "ab") as log:
            self.nats = subprocess.Popen(["nats-server", "-js", "-a", "127.0.0.1", "-p", str(self.nats_port), "-sd",
                                          self.nats_folder], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(self.kill_nats)

        def answers():
            try:
                self.bus = hosts.Bus(self.nats_port)
                self.addCleanup(self.bus.close)
                return self.bus
            except OSError:
                return None

        wisp.wait_for(answers, "nats-server")

    def kill_nats(self):
        if self.nats.poll() is None:
            self.nats.kill()
        self.nats.wait()

    def test_killed_server_disturbs_nobody(self):
        host = self.begin()
        load = self.load()
        self.kill_nats()
        load.wait_for(100)
        self.start_nats()
        self.bus = self.lattice.bus()
        wisp.wait_for(lambda: self.lattice.ctl(self.bus, f"host.get.{host.id}"), "the host to be back")
        load.wait_for(20)
        load.stop()
        self.assertEqual(load.failures, [])
        inventory = self.ok(f"host.get.{host.id}")
        self.assertEqual([entry["id"] for entry in inventory["components"]], ["hello"])
        host.stop()

    def test_a_bucket_that_is_removed_is_made_again(self):
        host = self.begin()
        load = self.load()
        answer = json.loads(self.bus.request("$JS.API.STREAM.DELETE.KV_LATTICEDATA_default"))
        self.assertTrue(answer.get("success"), answer)

        def stored():
            answer = json.loads(self.bus.request("$JS.API.STREAM.INFO.KV_LATTICEDATA_default"))
            return answer.get("state", {}).get("messages")

        wisp.wait_for(stored, "the bucket to be there again")
        self.assertEqual([link["target"] for link in self.ok("link.get")], ["hello"])
        load.wait_for(20)
        load.stop()
        self.assertEqual(load.failures, [])
        host.stop()

    def test_wiped_buckets_are_filled_again(self):
        """With links and with applications: hosts know them."""
        host = self.begin()
        path = self.write("calc.yaml", APPLICATION.replace("GUEST", "file://" + os.path.abspath(wisp.guest("calc-rust"))))
        done = self.lattice.wisp("app", "deploy", path, "--wait")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.kill_nats()
        shutil.rmtree(self.nats_folder)
        self.start_nats()
        self.bus = self.lattice.bus()

        def links():
            answer = self.lattice.ctl(self.bus, "link.get")
            return answer and answer.get("response")

        self.assertEqual([link["target"] for link in wisp.wait_for(links, "the links")], ["hello"])

        def stored():
            answer = self.bus.request("$JS.API.STREAM.INFO.KV_LATTICEDATA_default")
            return answer and json.loads(answer).get("state", {}).get("messages")

        wisp.wait_for(stored, "the bucket to be there again")
        self.assertTrue(self.is_served())

        def application():
            done = self.lattice.wisp("app", "get", "calc", "-o", "json")
            return done.returncode == 0 and done.stdout

        self.assertIn("calc-rust.wasm", wisp.wait_for(application, "the application"))
        wisp.wait_for(lambda: '"deployed"' in self.lattice.wisp("app", "status", "calc", "-o", "json").stdout, "its status")
        self.assertEqual({entry["id"] for entry in self.ok(f"host.get.{host.id}")["components"]}, {"hello", "calc-calc"})
        host.stop()


if __name__ == "__main__":
    wisp.main()
