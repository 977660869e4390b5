# SPDX-License-Identifier: Apache-2.0
"""A provider process that is killed again and again while it is called: calls wait for it or fail visibly, what was
answered is kept, and nobody is forgotten.

    WISP_KILL_SECONDS  how long [60]
"""

import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request

import hosts
import wisp

SECONDS = float(os.environ.get("WISP_KILL_SECONDS", "60"))
CLIENTS = 4


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class ProviderKillTest(hosts.ByControl):
    def link(self, source, target, package, interfaces, source_config=()):
        namespace, package = package.split(":")
        self.ok("link.put", {"source_id": source, "target": target, "name": "default", "wit_namespace": namespace,
                             "wit_package": package, "interfaces": interfaces, "source_config": list(source_config),
                             "target_config": []})

    def ask(self, path):
        """Status and body; a broken connection is an error of the test: the HTTP server is not what is killed."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=wisp.PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def provider(self):
        """The process that serves now, or None."""
        for pid in wisp.children(self.host.pid):  # other tests run the same program
            try:
                if os.readlink(f"/proc/{pid}/exe") == self.program:
                    return pid
            except OSError:
                pass
        return None

    def start(self):
        self.lattice = hosts.Lattice(self)
        self.program = os.path.realpath(os.path.join(wisp.BUILD, "providers", "wisp-keyvalue-sqlite"))
        self.host = self.lattice.host("--provider-failed-after", "100000", "--provider-restart-max", "100ms")
        self.bus = self.lattice.bus()
        events = hosts.Events(self.bus)
        self.ok("config.put.data", {"data_dir": self.path("data")})
        self.ok(f"component.scale.{self.host.id}", {
            "component_ref": "file://" + os.path.abspath(wisp.guest("keyvalue-rust")), "component_id": "counter",
            "host_id": self.host.id, "count": 50})
        events.wait_for("component_scaled", component_id="counter")
        self.ok(f"provider.start.{self.host.id}", {"provider_id": "kv", "provider_ref": "file://" + self.program,
                                                   "host_id": self.host.id, "config": ["data"]})
        events.wait_for("provider_started", provider_id="kv")
        self.link("counter", "kv", "wasi:keyvalue", ["store", "atomics", "batch"])
        port = free_port()
        self.ok("config.put.web", {"address": f"127.0.0.1:{port}"})
        self.ok(f"provider.start.{self.host.id}", {"provider_id": "web", "provider_ref": "wisp://http-server",
                                                   "host_id": self.host.id, "config": []})
        self.link("web", "counter", "wasi:http", ["incoming-handler"], ["web"])
        self.url = f"http://127.0.0.1:{port}"
        wisp.wait_for(self.is_up, f"an answer; {self.host.log[-3000:]}")

    def is_up(self):
        try:
            return self.ask("/increment?key=warm")[0] == 200
        except OSError:
            return False

    def load(self, client):
        while not self.is_over:
            status, body = self.ask(f"/increment?key=client-{client}")
            if status == 200:
                self.answered[client].append(int(body))
            else:
                self.failures.append((status, body))

    def test_killed_under_load(self):
        self.start()
        self.is_over, self.failures = False, []
        self.answered = [[] for _ in range(CLIENTS)]
        clients = [threading.Thread(target=self.load, args=(client,)) for client in range(CLIENTS)]
        for client in clients:
            client.start()
        killed, until = set(), time.monotonic() + SECONDS
        while time.monotonic() < until:
            pid = self.provider()
            if pid and pid not in killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            time.sleep(0.25)
        wisp.wait_for(lambda: self.provider() not in killed | {None}, "the last one to be back")
        self.is_over = True
        for client in clients:
            client.join()
        self.assertGreater(len(killed), SECONDS / 2)
        for client, counts in enumerate(self.answered):
            self.assertGreater(len(counts), 0)
            self.assertEqual(counts, sorted(set(counts)), "an answer was repeated or lost")
            _status, stored = self.ask(f"/get?key=client-{client}")
            # What failed may have been counted all the same; what was answered was.
            self.assertGreaterEqual(int(stored), counts[-1])
            self.assertLessEqual(int(stored), len(counts) + len(self.failures))
        # At most what each client had in flight at a kill can fail.
        self.assertLessEqual(len(self.failures), CLIENTS * len(killed))
        for status, body in self.failures:
            self.assertEqual(status, 502, body)
        entry = json.loads(self.lattice.wisp("get", "inventory", "-o", "json").stdout)
        self.assertIn("kv", json.dumps(entry))
        self.host.stop()


if __name__ == "__main__":
    wisp.main()
