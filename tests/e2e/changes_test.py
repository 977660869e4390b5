# SPDX-License-Identifier: Apache-2.0
"""10,000 changes of links and configs in a row, by two hosts: each is acknowledged, all agree about what is there then, the
running component has heard of it, and a restart after kill -9 changes nothing. The state does not grow with changes."""

import json
import os
import threading

import hosts
import wisp

CTL = "wasmbus.ctl.v1.default."
CHANGES, AT_ONCE, SOURCES = 10_000, 32, 4
STATE_BYTES_MAX = 8 << 20


class Row:
    """One thing that changes again and again, each time when the change before was acknowledged. What it is in the end is
    `value`, None when it was deleted."""

    def __init__(self, changes, number):
        self.changes, self.number, self.value, self.is_link = changes, number, None, number % 2 == 0
        self.left = CHANGES // AT_ONCE + (number < CHANGES % AT_ONCE)
        self.inbox = f"{changes.bus.inbox}.row.{number}"
        changes.bus.subscribe(self.inbox, self.on_answer)
        self.go_on()

    def go_on(self):
        if self.left == 0:
            self.changes.on_end()
            return
        self.left -= 1
        self.value = None if self.left % 5 == self.number % 5 else f"v{self.left}-{self.number}"
        subject, payload = self.link() if self.is_link else self.config()
        self.changes.bus.publish(CTL + subject, payload, self.inbox)

    def link(self):
        link = {"source_id": f"s{self.number % SOURCES}", "name": f"n{self.number}", "wit_namespace": "a", "wit_package": "b"}
        if self.value is None:
            return "link.del", link
        return "link.put", {**link, "target": f"t{self.number}", "interfaces": [self.value], "source_config": [],
                            "target_config": []}

    def config(self):
        if self.value is None:
            return f"config.del.c{self.number}", b""
        return f"config.put.c{self.number}", {"value": self.value, "row": str(self.number)}

    def on_answer(self, _subject, _reply, _head, data):
        answer = json.loads(data)
        if answer["success"]:
            self.go_on()
        else:
            self.changes.on_end(f"row {self.number}: {answer}")


class Changes:
    def __init__(self, bus):
        self.bus, self.failures = bus, []
        self.n_ended, self.ended = 0, threading.Event()
        self.rows = [Row(self, number) for number in range(AT_ONCE)]

    def on_end(self, failure=None):
        """In the thread of the bus alone."""
        self.n_ended += 1
        if failure:
            self.failures.append(failure)
        if failure or self.n_ended == AT_ONCE:
            self.ended.set()


class ChangesTest(hosts.ByControl):
    def links(self):
        return {link["name"]: link["interfaces"] for link in self.ok("link.get") if link["wit_namespace"] == "a"}

    def check_agreed(self, rows):
        wanted = {f"n{row.number}": [row.value] for row in rows if row.is_link and row.value}
        for _ in range(8):  # whichever host answers
            wisp.wait_for(lambda: self.links() == wanted, f"the links {wanted}")
            for row in rows:
                config = None if row.value is None else {"value": row.value, "row": str(row.number)}
                if not row.is_link:
                    self.assertEqual(self.ok(f"config.get.c{row.number}"), config)

    def check_heard(self, address, row):
        def answered():
            try:
                with wisp.Client(address) as client:
                    response = client.request("GET", "/config?key=value", [("connection", "close")])
                return (response.status, response.body) == (200, f"{row.value}\n".encode())
            except (OSError, wisp.Broken):
                return False
        wisp.wait_for(answered, f"the component to have {row.value}")

    def serve(self, host, row_number):
        address = wisp.free_address()
        self.ok("config.put.door", {"address": address})
        self.ok(f"config.put.c{row_number}", {"value": "first"})
        self.ok(f"component.scale.{host.id}", {"component_ref": "file://" + wisp.guest("front-rust"), "component_id": "front",
                                               "host_id": host.id, "count": 4, "config": [f"c{row_number}"]})
        self.ok(f"provider.start.{host.id}", {"provider_id": "door", "host_id": host.id, "provider_ref": "wisp://http-server"})
        self.ok("link.put", {"source_id": "door", "target": "front", "name": "default", "wit_namespace": "wasi",
                             "wit_package": "http", "interfaces": ["incoming-handler"], "source_config": ["door"],
                             "target_config": []})
        return address

    def size_of_state(self):
        folder = os.path.join(self.lattice.state, "default")
        return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder) if name.startswith("state.db"))

    def test_ten_thousand_changes(self):
        self.lattice = hosts.Lattice(self)
        host, other = self.lattice.host(), self.lattice.host()
        self.bus = self.lattice.bus()
        address = self.serve(host, 1)
        changes = Changes(self.bus)
        self.assertTrue(changes.ended.wait(600), f"{sum(row.left for row in changes.rows)} changes are left")
        self.assertEqual(changes.failures, [])
        self.check_agreed(changes.rows)
        self.check_heard(address, changes.rows[1])
        self.assertLess(self.size_of_state(), STATE_BYTES_MAX)
        for each in (host, other):
            each.process.kill()
            each.process.wait()
        self.lattice.host()
        self.bus = self.lattice.bus()
        self.check_agreed(changes.rows)
        self.check_heard(address, changes.rows[1])


if __name__ == "__main__":
    wisp.main()
