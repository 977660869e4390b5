# SPDX-License-Identifier: Apache-2.0
"""Calls over the bus go to all hosts that have their target; a component with a single place starves nobody."""

import re
import urllib.request

import applications
import hosts
import wisp

MANIFEST = """
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: web, annotations: {version: v1}}
spec:
  components:
    - name: front
      type: component
      properties: {image: "FRONT"}
      traits:
        - {type: spreadscaler, properties: {instances: 20, spread: [{name: a, requirements: {zone: a}}]}}
        - {type: link, properties: {target: calc, namespace: acme, package: calc, interfaces: [ops]}}
    - name: calc
      type: component
      properties: {image: "CALC"}
      traits:
        - {type: spreadscaler, properties: SPREAD}
    - name: http
      type: capability
      properties: {image: "wisp://http-server"}
      traits:
        - {type: spreadscaler, properties: {instances: 1, spread: [{name: a, requirements: {zone: a}}]}}
        - type: link
          properties: {target: front, namespace: wasi, package: http, interfaces: [incoming-handler],
                       source: {config: [{name: address, properties: {address: "ADDRESS"}}]}}
"""


class Balance(applications.Case):
    def begin(self, spread):
        self.address = wisp.free_address()
        self.deploy(MANIFEST.replace("FRONT", applications.guest("front-rust")).replace("CALC", applications.guest("calc-rust"))
                    .replace("SPREAD", spread).replace("ADDRESS", self.address))
        wisp.wait_for(lambda: self.get("/add?a=1&b=2") == "3\n", "an answer", 60)

    def load(self, count, threads):
        load = applications.Load(self.address, "/add?a=1&b=2", threads=threads, patience=20)
        self.addCleanup(load.stop)
        load.wait_for(count)
        load.stop()
        self.assertEqual(load.failures, [])
        self.assertEqual(set(load.bodies), {b"3\n"})
        return len(load.bodies)

    def calls(self, admin):
        with urllib.request.urlopen(f"http://{admin}/metrics") as response:
            found = re.search(r'wisp_component_calls_total\{component="web-calc",[^}]*\} (\d+)', response.read().decode())
        return int(found[1]) if found else 0

    def test_calls_go_to_all_hosts_that_have_their_target(self):
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host("--label", "zone=a")
        admins = {zone: wisp.free_address() for zone in "bc"}
        others = [self.lattice.host("--label", "zone=" + zone, "--http-admin", admin) for zone, admin in admins.items()]
        self.begin("{instances: 20, spread: [{name: b, requirements: {zone: b}}, {name: c, requirements: {zone: c}}]}")
        before = {zone: self.calls(admin) for zone, admin in admins.items()}
        total = self.load(600, threads=4)
        shares = {zone: self.calls(admin) - before[zone] for zone, admin in admins.items()}
        self.assertEqual(sum(shares.values()), total)
        # At random: that one of two has less than a quarter of 600 does not happen.
        self.assertGreater(min(shares.values()), total / 4, shares)
        for host in (*others, self.host):
            host.stop()

    def test_one_place_for_all_workers(self):
        """Which each of them has in turn."""
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host("--label", "zone=a")
        self.begin("{instances: 1}")
        self.load(5000, threads=6)
        self.host.stop()


if __name__ == "__main__":
    wisp.main()
