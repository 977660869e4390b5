# SPDX-License-Identifier: Apache-2.0
"""Two lattices of one machine on one embedded bus: neither sees the other, and each outlives it."""

import json
import os
import signal

import applications
import hosts
import wisp


class TwoLattices(wisp.Case):
    def setUp(self):
        super().setUp()
        self.lattice = hosts.Lattice(self)
        self.default = self.lattice.host()
        self.other = self.lattice.host("--lattice", "other")
        self.addresses = {"default": wisp.free_address(), "other": wisp.free_address()}

    def succeeds(self, name, *args):
        done = self.lattice.wisp(*args, "--lattice", name)
        self.assertEqual(done.returncode, 0, (done.stdout, done.stderr))
        return done.stdout

    def deploy(self, name, guest):
        """The same application by name, with other code."""
        manifest = applications.example("hello", self.addresses[name])
        manifest = manifest.replace(applications.guest("http-hello-rust"), applications.guest(guest))
        self.succeeds(name, "app", "deploy", self.write(name + ".yaml", manifest), "--wait")

    def answers(self, name, body):
        def answered():
            try:
                with wisp.Client(self.addresses[name]) as client:
                    return client.request("GET", "/", [("connection", "close")]).body == body
            except (OSError, wisp.Broken):
                return False

        wisp.wait_for(answered, f"{body} of lattice {name}")

    def hosts_of(self, name):
        done = self.lattice.wisp("get", "hosts", "--lattice", name, "-o", "json")
        return [host["id"] for host in json.loads(done.stdout)["hosts"]] if done.returncode == 0 else []

    def links_of(self, name):
        return self.lattice.ask("get", "links", "--lattice", name)["links"]

    def test_neither_sees_the_other(self):
        self.deploy("default", "http-hello-rust")
        self.deploy("other", "http-hello-c")
        self.answers("default", b"Hello from Rust!\n")
        self.answers("other", b"Hello from C!\n")
        self.assertEqual((self.hosts_of("default"), self.hosts_of("other")), ([self.default.id], [self.other.id]))
        self.succeeds("other", "config", "put", "only", "here=yes")
        self.assertIn("here", self.succeeds("other", "config", "get", "only"))
        self.assertNotIn("here", self.lattice.wisp("config", "get", "only").stdout)
        self.assertEqual([len(self.links_of(name)) for name in self.addresses], [1, 1])
        self.succeeds("default", "app", "delete", "hello")
        wisp.wait_for(lambda: not self.lattice.ask("get", "inventory")["inventories"][0]["components"], "the end of hello")
        wisp.wait_for(lambda: not self.links_of("default"), "the end of its link")
        self.assertEqual(len(self.links_of("other")), 1)
        self.answers("other", b"Hello from C!\n")

    def test_the_bus_passes_to_the_other(self):
        """Its owner dies at once; workers of both lattices find the bus again, wherever it is now."""
        second = self.lattice.host()
        self.deploy("other", "http-hello-c")
        self.default.kill_control()
        for name, host in (("default", second), ("other", self.other)):
            wisp.wait_for(lambda: host.id in self.hosts_of(name), f"lattice {name} to answer again")
        path = os.path.abspath(wisp.guest("http-hello-rust"))
        self.succeeds("default", "start", "component", path, "hello", "--host-id", second.id)
        for name in ("default", "other"):
            component = "hello" if name == "default" else "hello-hello"
            called = lambda: self.lattice.wisp("call", component, "wasi:http/incoming-handler.handle", "--lattice", name)
            wisp.wait_for(lambda: called().returncode == 0, f"calls over the bus in lattice {name}")
        self.answers("other", b"Hello from C!\n")
        os.kill(self.other.pid, signal.SIGTERM)
        self.other.process.wait(wisp.PATIENCE)
        wisp.wait_for(lambda: self.hosts_of("default") == [second.id], "the second one to serve the bus")


class TwoStates(wisp.Case):
    """Two hosts with states of their own at one address: the second joins the first one's bus."""

    def hosts_seen_from(self, lattice):
        done = self.wisp("get", "hosts", "-o", "json", env={**lattice.env, "WASMCLOUD_CTL_PORT": ""})
        return sorted(host["id"] for host in json.loads(done.stdout)["hosts"]) if done.returncode == 0 else []

    def wait_for_hosts(self, lattice, *wanted):
        wisp.wait_for(lambda: self.hosts_seen_from(lattice) == sorted(host.id for host in wanted), "the hosts")

    def test_bus_and_state_outlive_every_one(self):
        first = hosts.Lattice(self)
        second = hosts.Lattice(self, first.port)
        second.state = second.env["WISP_STATE"] = self.path("second")
        a, b = first.host(), second.host()
        self.wait_for_hosts(second, a, b)
        for _ in range(3):
            a.stop()
            a = first.host()  # while the other one takes over: either may get the bus, and either the state
            self.wait_for_hosts(first, a, b)
            self.wait_for_hosts(second, a, b)
            b.stop()
            self.wait_for_hosts(first, a)
            b = second.host()
            self.wait_for_hosts(second, a, b)


if __name__ == "__main__":
    wisp.main()
