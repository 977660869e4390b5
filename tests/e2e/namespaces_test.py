# SPDX-License-Identifier: Apache-2.0
"""Three hosts on three machines and real NATS: what goes where, a machine that dies, and an update of all of them."""

import shutil
import time

import applications
import namespaces
import wisp

WEIGHTS = """{instances: 10, spread: [{name: a, requirements: {zone: a}, weight: 50},
          {name: b, requirements: {zone: b}, weight: 30}, {name: c, requirements: {zone: c}, weight: 20}]}"""


def setUpModule():
    namespaces.enter()


class Placement(namespaces.Case):
    def test_spread_over_labels_and_one_per_host(self):
        self.begin(namespaces.web(WEIGHTS))
        self.assertEqual(self.counts(), {"a": 5, "b": 3, "c": 2})
        self.assertEqual(self.counts("web-front"), {"a": 20, "b": 20, "c": 20})
        for name in self.living:
            self.assertEqual([entry["id"] for entry in self.inventory(name)["providers"]], ["web-http"])
            self.assertEqual(self.get_on(name), "front\n")
        # All of it where no other host has it: calls go over the network.
        self.deploy(namespaces.web("{instances: 4, spread: [{name: c, requirements: {zone: c}}]}", "v2"))
        self.wait_for_counts({"c": 4})
        for name in self.living:
            self.wait_for_front(name)
        self.app("undeploy", "web", "--wait")
        self.check_nothing_is_left("web-address")
        self.stop_all()


class Deaths(namespaces.Case):
    def lose(self, name):
        self.machines[name].kill()
        del self.living[name]
        self.host = next(iter(self.living.values()))
        return time.monotonic()

    def check_death(self, is_leader):
        """What the machine had is taken over; requests to the others, which have all they need, do not notice."""
        self.assertEqual(self.counts(), {"a": 2, "b": 2, "c": 2})
        victim = next(name for name in "abc" if (name == self.leader()) == is_leader)
        others = [name for name in "abc" if name != victim]
        loads = [self.load(name, path) for name in others for path in ("/", "/add?a=1&b=2")]
        dying = self.load(victim, patience=2)
        for load in (*loads, dying):
            load.wait_for(20)
        self.lose(victim)
        self.wait_for_counts([3, 3])
        for load in loads:
            load.wait_for(50)
            load.stop()
            self.assertEqual(load.failures, [])
        dying.stop()
        self.check_that_one_leads()
        self.wait_until_deployed()
        # It comes back with what it remembers: everything is spread again, and nothing is there twice.
        self.living[victim] = self.host_on(victim)
        self.wait_for_counts({"a": 20, "b": 20, "c": 20}, "web-front")
        self.wait_for_front(victim)
        self.wait_for_counts([2, 2, 2])
        self.wait_until_deployed()

    def test_a_follower_and_then_the_leader(self):
        self.begin(namespaces.web("{instances: 6}"))
        self.check_death(is_leader=False)
        self.check_death(is_leader=True)
        self.stop_all()

    def test_the_only_one_with_a_component(self):
        """Calls of it fail until it is somewhere else; none that begins afterwards does, and nothing else at all."""
        self.begin(namespaces.web("{instances: 1}"))
        victim, = self.counts()
        others = [name for name in "abc" if name != victim]
        fronts = [self.load(name) for name in others]
        calls = [self.load(name, "/add?a=1&b=2", threads=2) for name in others]
        for load in (*fronts, *calls):
            load.wait_for(20)
        died = self.lose(victim)
        self.wait_for_counts([1])
        replaced = time.monotonic()
        for load in (*fronts, *calls):
            load.wait_for(50)
            load.stop()
        for load in fronts:
            self.assertEqual(load.failures, [])
        for load in calls:
            begun = [when for when, _ in load.failures]
            # One that was under way when it died, at most, for each client.
            self.assertLessEqual(sum(when < died for when in begun), 2, load.failures)
            self.assertEqual([what for when, what in load.failures if when > replaced], [])
        self.stop_all()


class Updates(namespaces.Case):
    def change(self, text, loads, has_arrived):
        """Deploys it under load; none of the requests fails."""
        for load in loads:
            load.wait_for(50)
        self.deploy(text)
        wisp.wait_for(has_arrived, "the change", 60)
        for load in loads:
            load.wait_for(50)

    def check_loads(self, loads):
        for load in loads:
            load.stop()
            self.assertEqual(load.failures, [])

    def test_a_component_on_all_hosts(self):
        text = applications.example("hello", "0.0.0.0:8080", old1="instances: 100", new1="instances: 60",
                                    old2="image: wisp://http-server\n      traits:",
                                    new2="image: wisp://http-server\n      traits:\n"
                                         "        - {type: daemonscaler, properties: {instances: 1}}")
        self.begin(text, path="/", answer="Hello from Rust!\n")
        self.assertEqual(self.counts("hello-hello"), {"a": 20, "b": 20, "c": 20})
        loads = [self.load(name, threads=2) for name in self.living]
        second = text.replace("v1.", "v2.").replace(applications.guest("http-hello-rust"), applications.guest("http-hello-c"))
        for text, answer in ((second, b"Hello from C!\n"), (text, b"Hello from Rust!\n")):
            self.change(text, loads, lambda: all(set(load.bodies[-10:]) == {answer} for load in loads))
        self.check_loads(loads)
        for load in loads:
            self.assertEqual(set(load.bodies), {b"Hello from Rust!\n", b"Hello from C!\n"})
        self.stop_all()

    def test_a_component_that_is_called_from_all_hosts(self):
        text = namespaces.web("{instances: 4, spread: [{name: c, requirements: {zone: c}}]}")
        self.begin(text)
        copy = self.path("another-calc.wasm")
        shutil.copy(wisp.guest("calc-rust"), copy)
        second = text.replace(applications.guest("calc-rust"), "file://" + copy).replace("version: v1", "version: v2")
        loads = [self.load(name, "/add?a=1&b=2", threads=2) for name in self.living]

        def images():
            return {entry["image_ref"] for entry in self.inventory("c")["components"] if entry["id"] == "web-calc"}

        self.change(second, loads, lambda: images() == {"file://" + copy})
        self.check_loads(loads)
        self.stop_all()


if __name__ == "__main__":
    wisp.main()
