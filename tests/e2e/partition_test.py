# SPDX-License-Identifier: Apache-2.0
"""Three hosts on three machines and real NATS, one of them cut off: it serves on, the others take over, and once it is
back everything is as the manifest says.

    WISP_CUT_SECONDS  how long a cut lasts at least [0]
"""

import json
import os
import time

import namespaces
import wisp

MONITOR = 8222
SECONDS = float(os.environ.get("WISP_CUT_SECONDS", "0"))


def setUpModule():
    namespaces.enter()


class Cuts(namespaces.Case):
    def check_cut(self, is_leader, is_long):
        """`is_long`: connections have broken meanwhile."""
        everybody = dict(self.living)
        cut = next(name for name in "abc" if (name == self.leader()) == is_leader)
        inside = [self.load(cut, path, is_inside=True, pause=0.01) for path in ("/", "/add?a=1&b=2")]
        outside = [self.load(name, path) for name in everybody if name != cut for path in ("/", "/add?a=1&b=2")]
        for load in (*inside, *outside):
            load.wait_for(20)
        del self.living[cut]
        self.host = next(iter(self.living.values()))
        ends = time.monotonic() + SECONDS
        self.machines[cut].cut()
        if is_long:
            self.machines[cut].forget()
        self.wait_for_counts([3, 3])
        self.check_that_one_leads()
        # Meanwhile the application is another one.
        self.deploy(namespaces.web("{instances: 9}", f"cut-{cut}"))
        self.wait_for_counts([4, 5])
        while time.monotonic() < ends:
            for load in (*inside, *outside):
                load.wait_for(20)
        self.machines[cut].heal()
        self.living = everybody
        self.wait_for_counts([3, 3, 3])
        self.wait_until_deployed()
        self.check_that_one_leads()
        for load in (*inside, *outside):
            load.wait_for(20)
            load.stop()
            self.assertEqual(load.failures, [])

    def test_a_follower_and_for_longer_the_leader(self):
        self.begin(namespaces.web("{instances: 6}"))
        self.check_cut(is_leader=False, is_long=False)
        self.deploy(namespaces.web("{instances: 6}", "again"))
        self.wait_for_counts([2, 2, 2])
        self.check_cut(is_leader=True, is_long=True)
        self.stop_all()

    def test_calls_to_a_host_that_is_cut_off(self):
        """They fail until the NATS server has given its connection up, which is for its operator to say.
        Those that need not leave their host do not notice."""
        config = self.write("nats.conf", 'ping_interval: "1s"\nping_max: 2\n')
        self.begin(namespaces.web("{instances: 2, spread: [{name: b, requirements: {zone: b}},"
                                  " {name: c, requirements: {zone: c}}]}"), "-c", config, "-m", str(MONITOR))
        self.assertEqual(self.counts(), {"b": 1, "c": 1})
        calls, own = self.load("a", "/add?a=1&b=2", threads=2), self.load("b", "/add?a=1&b=2")
        for load in (calls, own):
            load.wait_for(20)
        self.assertTrue(self.is_called("c"))
        begun = time.monotonic()
        self.machines["c"].cut()
        wisp.wait_for(lambda: not self.is_called("c"), "the server to give it up", 30)
        given_up = time.monotonic()
        for load in (calls, own):
            load.wait_for(100)
        self.machines["c"].heal()
        wisp.wait_for(lambda: self.is_called("c") and self.inventory("c"), "the host to be back", 90)
        for load in (calls, own):
            load.wait_for(100)
            load.stop()
        # What began just before the cut was under way.
        self.assertEqual([failure for failure in calls.failures if not begun - 1 < failure[0] < given_up], [])
        self.assertEqual(own.failures, [])
        self.stop_all()

    def is_called(self, name):
        """Whether the server sends calls of `web-calc` to that machine."""
        with wisp.Client(f"127.0.0.1:{MONITOR}") as client:
            connections = json.loads(client.request("GET", "/connz?subs=1").body)["connections"]
        return any("default.web-calc.wrpc" in subject for each in connections if each["ip"] == self.machines[name].address
                   for subject in each.get("subscriptions_list", ()))


if __name__ == "__main__":
    wisp.main()
