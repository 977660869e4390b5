# SPDX-License-Identifier: Apache-2.0
"""A provider written with the SDK (examples/provider-hello): built as others would build it, run by a host, and by hand."""

import base64
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile

import hosts
import wisp

ROOT = os.path.dirname(os.path.dirname(wisp.HERE))


def install_sdk(folder):
    """The SDK of this build below the folder; the environment to build with it."""
    subprocess.run(["cmake", "--install", wisp.BUILD, "--component", "sdk", "--prefix", folder], check=True,
                   stdout=subprocess.DEVNULL)
    return {**os.environ, "PKG_CONFIG_PATH": os.path.join(folder, "lib", "pkgconfig")}


class ProviderSdkTest(hosts.ByControl):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.built = tempfile.mkdtemp(prefix="wisp-sdk-")
        cls.addClassCleanup(shutil.rmtree, cls.built)
        env = install_sdk(os.path.join(cls.built, "sdk"))
        shutil.copytree(os.path.join(ROOT, "examples", "provider-hello"), os.path.join(cls.built, "hello"))
        subprocess.run(["make", "-B", "-s", "-C", os.path.join(cls.built, "hello"), "CFLAGS=-O1 -g -Wall -Wextra -Werror",
                        "WISP=" + os.path.abspath(wisp.PROGRAM)], check=True, env=env, stdout=subprocess.DEVNULL)
        cls.program = os.path.join(cls.built, "hello", "hello")

    # --- under a host ---

    def link(self, source, target, package, interface, **config):
        namespace, package = package.split(":")
        self.ok("link.put", {"source_id": source, "target": target, "name": "default", "wit_namespace": namespace,
                             "wit_package": package, "interfaces": [interface], "source_config": [], "target_config": [],
                             **config})

    def get(self, path):
        try:
            with wisp.Client(self.address) as client:
                return client.request("GET", path, [("connection", "close")])
        except (OSError, wisp.Broken):
            return None

    def wait_for_answer(self, path, status, body):
        def answered():
            self.last = self.get(path)
            return self.last and (self.last.status, self.last.body) == (status, body)

        wisp.wait_for(answered, f"{body} at {path}; not {getattr(self, 'last', None)}; log: {self.host.log[-3000:]}")

    def pids(self):
        """Processes of the provider that run."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                if wisp.is_alive(pid) and self.is_provider(pid)]

    def is_provider(self, pid):
        try:
            return os.readlink(f"/proc/{pid}/exe") == self.program
        except OSError:
            return False

    def wait_for_another(self, pid):
        return wisp.wait_for(lambda: [other for other in self.pids() if other != pid], "the provider to be back")[0]

    def start(self):
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host()
        self.bus = self.lattice.bus()
        self.events = hosts.Events(self.bus)

    def start_all(self):
        self.start()
        self.address = wisp.free_address()
        on_host = {"host_id": self.host.id}
        self.ok("config.put.prov", {"greeting": "Moin"})
        self.ok("config.put.ahoy", {"greeting": "Ahoy"})
        self.ok("config.put.endless", {"greeting": "la " * 50})
        self.ok("config.put.http", {"address": self.address})
        self.ok(f"provider.start.{self.host.id}", {"provider_id": "hello", "provider_ref": "file://" + self.program,
                                                   "config": ["prov"], **on_host})
        self.ok(f"provider.start.{self.host.id}", {"provider_id": "http", "provider_ref": "wisp://http-server", **on_host})
        self.ok(f"component.scale.{self.host.id}", {"component_id": "client", "count": 10, **on_host,
                                                    "component_ref": "file://" + wisp.guest("hello-client-rust")})
        self.link("client", "hello", "acme:hello", "greeter")
        self.link("http", "client", "wasi:http", "incoming-handler", source_config=["http"])

    def test_a_host_runs_it(self):
        self.start_all()
        self.wait_for_answer("/Ann/42/en", 200, b"Moin Ann (42)\n")
        self.wait_for_answer("/Ann/42/fr", 200, b"Bonjour Ann (42)\n")
        self.wait_for_answer("/Ann/42/tlh", 422, b"nobody here speaks `tlh`\n")
        self.events.wait_for("health_check_passed", provider_id="hello")

        # Links and configuration change while it runs.
        pid = self.pids()[0]
        self.link("client", "hello", "acme:hello", "greeter", target_config=["ahoy"])
        self.wait_for_answer("/Ann/42/en", 200, b"Ahoy Ann (42)\n")
        self.link("client", "hello", "acme:hello", "greeter", target_config=["endless"])
        self.host.wait_for_log("link not taken.*longer than anybody would listen to")
        self.link("client", "hello", "acme:hello", "greeter")
        self.wait_for_answer("/Ann/42/en", 200, b"Moin Ann (42)\n")
        self.ok("config.put.prov", {"greeting": "Servus"})
        self.wait_for_answer("/Ann/42/en", 200, b"Servus Ann (42)\n")
        self.assertEqual(self.pids(), [pid])

        # It comes back from whatever befalls it.
        os.kill(pid, signal.SIGKILL)
        second = self.wait_for_another(pid)
        self.wait_for_answer("/Bob/1/en", 200, b"Servus Bob (1)\n")
        os.kill(second, signal.SIGTERM)
        third = self.wait_for_another(second)
        self.host.wait_for_log("stopping.*SIGTERM")
        self.wait_for_answer("/Bob/2/en", 200, b"Servus Bob (2)\n")

        self.ok(f"provider.stop.{self.host.id}", {"provider_id": "hello", "host_id": self.host.id})
        self.events.wait_for("provider_stopped", provider_id="hello")
        wisp.wait_for(lambda: not wisp.is_alive(third), "the provider to end")
        self.host.wait_for_log("stopping.*the host says so")
        self.assertNotRegex(self.host.log, "Sanitizer|runtime error:")
        self.host.stop()

    # --- by hand ---

    def host_data(self, **fields):
        return {"host_id": "NHOST", "lattice_rpc_prefix": "default", "provider_key": "byhand", "link_definitions": [],
                "lattice_rpc_url": f"nats://127.0.0.1:{self.lattice.port}", "log_level": "info", **fields}

    def link_of(self, namespace, package, interface, **fields):
        return {"source_id": "app", "target": "byhand", "name": "default", "wit_namespace": namespace,
                "wit_package": package, "interfaces": [interface], "source_config": {}, "target_config": {},
                "source_secrets": None, "target_secrets": None, **fields}

    def run_by_hand(self, program=None, **fields):
        log = open(self.path("by-hand.log"), "wb")
        process = subprocess.Popen([program or self.program], stdin=subprocess.PIPE, stdout=log, stderr=log, env={})
        log.close()
        self.addCleanup(lambda: (process.kill(), process.wait()))
        process.stdin.write(base64.b64encode(json.dumps(self.host_data(**fields)).encode()) + b"\r\n")
        process.stdin.close()
        return process

    def run_below_another(self, *wrapper):
        """The provider's parent is a process that does nothing, and that is returned with the provider's number."""
        program = ("import subprocess, sys\n"
                   "child = subprocess.Popen(sys.argv[1:])\n"
                   "print(child.pid, flush=True)\n"
                   "child.wait()\n")
        with open(self.path("by-hand.log"), "wb") as log:
            parent = subprocess.Popen([sys.executable, "-c", program, *wrapper, self.program], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=log)
        self.addCleanup(lambda: (parent.kill(), parent.wait(), parent.stdout.close()))
        parent.stdin.write(base64.b64encode(json.dumps(self.host_data()).encode()) + b"\n")
        parent.stdin.close()
        return parent, int(parent.stdout.readline())

    def by_hand_log(self):
        with open(self.path("by-hand.log")) as file:
            return file.read()

    def health(self):
        answer = self.bus.request("wasmbus.rpc.default.byhand.health")
        return answer and json.loads(answer)

    def wait_for_health(self):
        wisp.wait_for(lambda: self.health() == {"healthy": True}, "a healthy provider")

    def greet(self):
        return self.call("acme:hello/greeter@0.1.0.greet", b"\x03Ann\x07\x02en")

    def call(self, function, params):
        """Parameters and result as bytes of wRPC."""
        results = []
        inbox = f"_INBOX.{os.urandom(8).hex()}"
        self.bus.subscribe(inbox + ".results", lambda subject, reply, head, data: results.append(data))
        self.bus.subscribe(inbox, lambda subject, reply, head, data: None)
        self.bus.publish(f"default.byhand.wrpc.0.0.1.{function}", params, inbox, {"source-id": "app"})
        wisp.wait_for(lambda: b"" in results, "an answer")
        return b"".join(results)

    def test_what_hosts_say(self):
        self.start()
        process = self.run_by_hand(config={"greeting": "Hi", "data_dir": self.path("data")})
        self.wait_for_health()
        self.assertEqual(os.stat(self.path("data")).st_mode & 0o777, 0o700)
        self.assertEqual(self.greet(), b"\x00\x0aHi Ann (7)")
        link = self.link_of("acme", "hello", "greeter", target_config={"greeting": "Yo"})
        prefix = "wasmbus.rpc.default.byhand."
        # A host without curve keys is one before 1.1.
        for message in (b"", b"{", b"[]", {**link, "target": "other"}, {**link, "target_secrets": [1, 2]}, link, link):
            self.bus.publish(prefix + "linkdefs.put", message)
        self.wait_for_health()
        self.assertEqual(self.greet(), b"\x00\x0aYo Ann (7)")
        self.bus.publish(prefix + "linkdefs.put", {**link, "target_config": {"greeting": "Oi"}})
        self.bus.publish(prefix + "config.update", b"nonsense")
        self.wait_for_health()
        self.assertEqual(self.greet(), b"\x00\x0aOi Ann (7)")
        self.bus.publish(prefix + "config.update", {"greeting": "He"})
        self.bus.publish(prefix + "linkdefs.del", link)
        self.wait_for_health()
        self.assertEqual(self.greet(), b"\x00\x0aHe Ann (7)")

        self.assertEqual(self.bus.gather(prefix + "default.shutdown", {"host_id": "NOTHER"}, 0.5), [])
        self.assertEqual(self.bus.gather(prefix + "default.shutdown", b"nonsense", 0.1), [])
        self.assertEqual(self.bus.request(prefix + "default.shutdown", b'{"host_id":"NHOST"}'), b"shutting down")
        self.assertEqual(process.wait(wisp.PATIENCE), 0, self.by_hand_log())
        self.assertNotRegex(self.by_hand_log(), "Sanitizer|runtime error:")
        self.host.stop()

    def test_the_bus_comes_and_goes(self):
        self.start()
        process = self.run_by_hand(structured_logging=True)
        self.wait_for_health()
        self.host.stop()
        wisp.wait_for(lambda: "connecting again" in self.by_hand_log(), "the provider to see it")
        self.host = self.lattice.host()
        self.bus = self.lattice.bus()
        self.wait_for_health()
        self.assertEqual(self.greet(), b"\x00\x0dHello Ann (7)")
        for line in self.by_hand_log().splitlines():
            self.assertIn("level", json.loads(line))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(wisp.PATIENCE), 0, self.by_hand_log())
        process = self.run_by_hand()
        self.wait_for_health()
        self.host.stop()
        process.send_signal(signal.SIGTERM)  # with the bus gone
        self.assertEqual(process.wait(wisp.PATIENCE), 0, self.by_hand_log())
        self.assertNotRegex(self.by_hand_log(), "Sanitizer|runtime error:")

    def test_the_kinds_of_wisp_are_programs(self):
        self.start()
        process = self.run_by_hand(os.path.join(wisp.BUILD, "providers", "wisp-keyvalue-sqlite"),
                                   config={"data_dir": self.path("data")},
                                   link_definitions=[self.link_of("wasi", "keyvalue", "store")])
        self.wait_for_health()
        store = "wrpc:keyvalue/store@0.2.0-draft."
        self.assertEqual(self.call(store + "set", b"\x07default\x01k\x05value"), b"\x00")
        self.assertEqual(self.call(store + "get", b"\x07default\x01k"), b"\x00\x01\x05value")
        self.assertEqual(self.call(store + "get", b"\x07default\x01x"), b"\x00\x00")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(wisp.PATIENCE), 0, self.by_hand_log())
        self.assertNotRegex(self.by_hand_log(), "Sanitizer|runtime error:")
        self.host.stop()

    def test_it_ends_with_its_host(self):
        self.start()
        for wrapper in ((), wisp.on_machine("no-pidfd")):
            with self.subTest(wrapper=wrapper):
                parent, pid = self.run_below_another(*wrapper)
                self.wait_for_health()
                parent.kill()
                wisp.wait_for(lambda: not wisp.is_alive(pid), "the provider to end")
                self.assertRegex(self.by_hand_log(), "stopping.*the host is gone")
                self.assertNotRegex(self.by_hand_log(), "Sanitizer|runtime error:")
        self.host.stop()

    # --- what can't be ---

    def refused(self, data, code, words):
        done = subprocess.run([self.program], input=data, capture_output=True, timeout=wisp.START_PATIENCE, env={})
        self.assertEqual(done.returncode, code, done.stderr[-2000:])
        self.assertRegex(done.stderr.decode(), words)

    def test_bad_host_data(self):
        def line(data):
            return base64.b64encode(json.dumps(data).encode()) + b"\n"

        self.refused(b"", 2, "no host data on standard input")
        self.refused(b"\n", 2, "no host data on standard input")
        self.refused(b"hello\n", 2, "no base64")
        self.refused(base64.b64encode(b"{") + b"\n", 2, "not valid JSON")
        self.refused(line({}), 2, "no `host_id`")
        self.refused(b"A" * (100 << 20), 9, "longer than")
        least = {"host_id": "N", "lattice_rpc_prefix": "default", "provider_key": "p",
                 "lattice_rpc_url": "nats://" + wisp.free_address()}
        self.refused(line(least), 7, "the bus can't be used")
        self.refused(line({**least, "lattice_rpc_url": "http://x"}), 3, "provider can't start")
        self.refused(line({**least, "provider_key": "a b"}), 2, "provider can't start")
        self.refused(line({**least, "config": {"a": 1}}), 2, "`a` is no text")
        self.refused(line({**least, "config": {"data_dir": "/nowhere/at/all"}}), 4, "`data_dir` `/nowhere/at/all`")

    def test_on_a_terminal(self):
        control, terminal = pty.openpty()
        done = subprocess.run([self.program], stdin=terminal, capture_output=True, timeout=wisp.START_PATIENCE)
        os.close(control)
        os.close(terminal)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"a host starts it", done.stderr)

    def test_what_it_tells_of_itself(self):
        def told(flag):
            return subprocess.run([self.program, flag], capture_output=True, check=True, text=True).stdout

        described = json.loads(told("--describe"))
        self.assertEqual(described["name"], "hello")
        self.assertEqual(described["exports"][0]["functions"],
                         [{"name": "greet", "signature": "(person, string) -> result<string, string>"}])
        self.assertIn("--describe", told("--help"))
        self.assertRegex(told("--version"), r"^hello \(wisp \d")


if __name__ == "__main__":
    wisp.main()
