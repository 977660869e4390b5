# SPDX-License-Identifier: Apache-2.0
"""The manifests of the folder `manifests`, which together have every field: made to fit a test, deployed on a lattice with
a host in each of the zones a, b and c, and looked at."""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

import hosts
import secrets_test
import wisp

FOLDER = os.path.join(HERE, "manifests")
ZONES = {"a": [], "b": ["disk=ssd"], "c": ["disk=ssd"]}
# Those that are deployed together, in this order. The second of `replaced` is a version of the first.
GROUPS = [["aliases.json"], ["anywhere.yaml"], ["calls.yaml"], ["configs.yaml"], ["ignored.yaml"], ["links.yaml"],
          ["names.yaml"], ["paths.yaml"], ["placement.yaml"], ["ports.yaml"], ["replaced-v1.yaml", "replaced-v2.yaml"],
          ["secrets.yaml"], ["shared-parts.yaml", "shared-user.yaml"], ["upstream.yaml"]]


def read(name):
    with open(os.path.join(FOLDER, name)) as file:
        return file.read()


def name_of(text):
    return re.search(r'name"?: "?([\w-]+)', text)[1]


class Case(wisp.Case):
    def fitted(self, name):
        """Its text with the guests of this build and free addresses, the same ones for a whole test."""
        text = re.sub(r"file://\S*/guests/(\S+)\.wasm", lambda found: "file://" + self.guest(found[1]), read(name))
        return re.sub(r"127\.0\.0\.1:8\d\d\d", self.address, text).replace("/tmp/files", self.path("files"))

    def guest(self, name):
        """Only what is signed gets secrets."""
        path = self.path(name + ".wasm")
        if not os.path.exists(path):
            with open(wisp.guest(name), "rb") as file:
                self.write(name + ".wasm", secrets_test.signed(file.read()))
        return path

    def address(self, found):
        if not hasattr(self, "addresses"):
            self.addresses = {}
        return self.addresses.setdefault(found[0], wisp.free_address())

    def start_hosts(self, lattice, *flags, state):
        """One for each zone; and what the manifests take for granted."""
        os.makedirs(self.path("files"), exist_ok=True)
        lattice.zones = {}
        for zone, labels in ZONES.items():
            labels = [word for label in ["zone=" + zone, *labels] for word in ("--label", label)]
            lattice.zones[zone] = lattice.host(*labels, "--secrets-topic", "wasmcloud.secrets", *flags,
                                               env={"WISP_STATE": self.path(state.format(zone))})
        lattice.messages = lattice.bus()
        lattice.secrets = secrets_test.Backend(lattice.bus())
        answer = lattice.ctl(lattice.messages, "config.put.set-by-ops", {"set": "by ops"})
        self.assertTrue(answer["success"], answer)

    def inventory(self, lattice, zone):
        return lattice.ctl(lattice.messages, f"host.get.{lattice.zones[zone].id}")["response"]
