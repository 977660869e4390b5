# SPDX-License-Identifier: Apache-2.0
"""Who may reach a bus: NATS with a password, the embedded bus with a token, other users of the machine."""

import json
import os
import shutil
import socket
import subprocess
import unittest

import hosts
import wisp

PASSWORD = "not-to-be-seen-4711"


class AuthTest(wisp.Case):
    def check_secret_stays_secret(self, host):
        self.assertNotIn(PASSWORD, host.log)
        for pid in [host.pid, *host.workers()]:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                self.assertNotIn(PASSWORD.encode(), file.read())

    def hello(self, lattice, host, bus):
        events = hosts.Events(bus)
        answer = lattice.ctl(bus, f"component.scale.{host.id}",
                             {"component_ref": "file://" + os.path.abspath(wisp.guest("http-hello-rust")),
                              "component_id": "hello", "host_id": host.id, "count": 1})
        self.assertTrue(answer["success"], answer)
        events.wait_for("component_scaled", component_id="hello")

    @unittest.skipUnless(shutil.which("nats-server"), "nats-server is not installed")
    def test_nats_with_a_password(self):
        lattice = hosts.Lattice(self)
        config = self.write("nats.conf", f"listen: 127.0.0.1:{lattice.port}\n"
                                         f"authorization {{ user: joe, password: \"{PASSWORD}\" }}\n"
                                         f"jetstream {{ store_dir: \"{self.path('js')}\" }}\n")
        with open(self.path("nats.log"), "wb") as log:
            nats = subprocess.Popen(["nats-server", "-c", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(nats.wait)
        self.addCleanup(nats.kill)
        url = f"nats://joe:{PASSWORD}@127.0.0.1:{lattice.port}"

        def listens():
            try:
                socket.create_connection(("127.0.0.1", lattice.port)).close()
                return True
            except OSError:
                return False

        wisp.wait_for(listens, "nats-server")
        host = lattice.host(env={"WISP_NATS": url})
        bus = lattice.bus(user="joe", **{"pass": PASSWORD})
        self.hello(lattice, host, bus)
        # The worker serves calls over this bus too.
        called = lattice.wisp("call", "hello", "wasi:http/incoming-handler.handle", "--ctl-host", url, "-o", "json")
        self.assertEqual(called.returncode, 0, called.stderr)
        self.assertEqual(json.loads(called.stdout)["response"]["body"], "Hello from Rust!\n")
        self.check_secret_stays_secret(host)
        refused = lattice.host(env={"WISP_NATS": url.replace(PASSWORD, "wrong-one")}, wait=False)
        self.assertEqual(refused.process.wait(wisp.PATIENCE), wisp.EXIT["denied"], refused.log)
        self.assertNotIn("wrong-one", refused.log)
        host.stop()

    def test_embedded_bus_with_a_token(self):
        lattice = hosts.Lattice(self)
        host = lattice.host(env={"WISP_BUS_TOKEN": PASSWORD})
        bus = lattice.bus(auth_token=PASSWORD)
        self.hello(lattice, host, bus)
        self.check_secret_stays_secret(host)
        with socket.create_connection(("127.0.0.1", lattice.port), timeout=wisp.PATIENCE) as stranger:
            stranger.sendall(b'CONNECT {"auth_token":"guess"}\r\nPING\r\n')
            heard = b""
            while more := stranger.recv(4096):
                heard += more
        self.assertIn(b"-ERR 'Authorization Violation'", heard)
        host.stop()

    def test_wider_than_loopback_needs_a_credential(self):
        lattice = hosts.Lattice(self)
        host = lattice.host("--nats-host", "0.0.0.0", wait=False)
        self.assertEqual(host.process.wait(wisp.PATIENCE), wisp.EXIT["denied"], host.log)
        self.assertRegex(host.log, "token")

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_other_users_are_kept_out(self):
        lattice = hosts.Lattice(self)
        host = lattice.host()
        probe = ("import os, socket\nos.setgid(65534); os.setuid(65534)\n"
                 f"s = socket.create_connection(('127.0.0.1', {lattice.port}), timeout=10)\n"
                 "s.sendall(b'CONNECT {}\\r\\nPING\\r\\n')\ndata = b''\n"
                 "while True:\n    more = s.recv(4096)\n    if not more: break\n    data += more\n"
                 "    if b'PONG' in data: break\nprint(b'PONG' in data)\n")
        done = subprocess.run(["python3", "-c", probe], capture_output=True, timeout=wisp.PATIENCE)
        self.assertEqual(done.stdout.strip() or b"False", b"False", done.stderr)
        host.stop()


if __name__ == "__main__":
    wisp.main()
