# SPDX-License-Identifier: Apache-2.0
"""Three machines, each with a host and a member of a NATS cluster that keeps the lattice's state thrice: a member goes
away under the feet of its host, a machine with both dies."""

import contextlib

import namespaces
import wisp

ROUTES, MONITOR = 6222, 8222


def setUpModule():
    namespaces.enter()


class Cluster(namespaces.Case):
    def start_member(self, name):
        machine = self.machines[name]
        others = [f"nats://{other.address}:{ROUTES}" for other in self.machines.values() if other is not machine]
        self.members[name] = self.nats_server(
            "nats-" + name, "--server_name", name, "--cluster_name", "test", "--cluster", f"nats://{machine.address}:{ROUTES}",
            "--routes", ",".join(others), "-m", str(MONITOR), wrapper=machine.wrapper)

    def is_healthy(self, name):
        with contextlib.suppress(OSError, wisp.Broken), wisp.Client(f"{self.machines[name].address}:{MONITOR}") as client:
            return client.request("GET", "/healthz").status == 200

    def url(self, name):
        """That of its own machine; hosts learn the others from the cluster."""
        return f"nats://{self.machines[name].address}:{namespaces.PORT}"

    def begin(self):
        self.network("abc")
        self.members = {}
        for name in self.machines:
            self.start_member(name)
        self.bus = self.connect(self.machines["a"].address)
        wisp.wait_for(lambda: all(self.is_healthy(name) for name in self.machines), "the cluster", 60)
        for kind in ("LATTICEDATA", "CONFIGDATA"):
            wisp.wait_for(lambda: self.make_bucket(kind), "buckets with three replicas", 60)
        self.living = {name: self.host_on(name, self.url(name)) for name in "abc"}
        self.host = self.living["a"]
        self.ask_at("a")
        self.deploy(namespaces.web("{instances: 6}"))
        for name in self.living:
            self.wait_for_front(name)
        self.assertEqual(self.stream("KV_wadm_manifests")["config"]["num_replicas"], 3)

    def make_bucket(self, kind):
        """As operators of a cluster do."""
        name = f"KV_{kind}_default"
        answer = self.ask(f"$JS.API.STREAM.CREATE.{name}", {
            "name": name, "subjects": [f"$KV.{kind}_default.>"], "num_replicas": 3, "storage": "file", "discard": "new",
            "max_msgs_per_subject": 1, "allow_rollup_hdrs": True, "deny_delete": True, "allow_direct": True})
        return answer and "config" in answer

    def ask_at(self, name):
        """From now on the test speaks to the member there, and so does `wisp`."""
        self.bus = self.connect(self.machines[name].address)
        self.lattice.env["WASMCLOUD_CTL_HOST"] = self.machines[name].address

    def stream(self, name):
        return self.ask(f"$JS.API.STREAM.INFO.{name}")

    def state_leader(self):
        info = self.stream("KV_LATTICEDATA_default")
        return info and info.get("cluster", {}).get("leader")

    def check_that_changes_arrive(self, instances):
        path = self.write("manifest.yaml", namespaces.web("{instances: %d}" % instances, f"v{instances}"))
        # Until the cluster has elected anew, nobody can write, and so nobody leads. Whoever is told so tries again.
        wisp.wait_for(lambda: self.lattice.wisp("app", "deploy", path, "--wait").returncode == 0, "the deployment", 60)
        self.wait_for_counts([instances // len(self.living)] * len(self.living))
        self.check_that_one_leads()

    def check_loads(self, loads):
        for load in loads:
            load.wait_for(20)
            load.stop()
            self.assertEqual(load.failures, [])

    def lose_member(self, name):
        """The member under the host there, which leads the state's replicas. It comes back."""
        self.members[name].kill()
        self.members[name].wait()
        self.ask_at(next(other for other in self.living if other != name))
        wisp.wait_for(lambda: self.inventory(name), "the host at another member", 60)
        self.check_that_changes_arrive(9)
        self.start_member(name)
        wisp.wait_for(lambda: self.is_healthy(name), "the member to have caught up", 60)

    def lose_machine(self, name):
        """With its host, its member, and all it has written."""
        self.machines[name].kill()
        del self.living[name]
        self.host = next(iter(self.living.values()))
        self.ask_at(next(iter(self.living)))
        self.check_that_changes_arrive(12)

    def test_a_member_goes_away_and_a_machine_with_both_dies(self):
        self.begin()
        loads = [self.load(name, path) for name in self.living for path in ("/", "/add?a=1&b=2")]
        self.lose_member(wisp.wait_for(self.state_leader, "a leader of the state"))
        self.check_loads(loads)
        victim = wisp.wait_for(self.state_leader, "a leader of the state")
        loads = [self.load(name, path) for name in self.living if name != victim for path in ("/", "/add?a=1&b=2")]
        for load in loads:
            load.wait_for(20)
        self.lose_machine(victim)
        self.check_loads(loads)
        self.start_member(victim)
        self.living[victim] = self.host_on(victim, self.url(victim))
        self.wait_for_counts({"a": 20, "b": 20, "c": 20}, "web-front")
        self.wait_for_front(victim)
        self.wait_for_counts([4, 4, 4])
        self.wait_until_deployed()
        self.stop_all()


if __name__ == "__main__":
    wisp.main()
