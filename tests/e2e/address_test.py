# SPDX-License-Identifier: Apache-2.0
"""Where it listens, and what happens when it can't."""

import socket

import wisp


class Address(wisp.Case):
    def occupied(self, reuse=False):
        """A socket that listens, and its address."""
        taken = socket.socket()
        self.addCleanup(taken.close)
        if reuse:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        return "127.0.0.1:%d" % taken.getsockname()[1]

    def check_in_use(self, address):
        error = self.fails(wisp.EXIT["exists"], "run", "--addr", address, self.http_component("ok"))
        self.assertIn(address, error)
        self.assertIn("in use", error)
        self.assertIn("--addr", error)

    def test_in_use(self):
        self.check_in_use(self.occupied())

    def test_in_use_by_a_server_that_would_share(self):
        """It would silently take half of the connections."""
        self.check_in_use(self.occupied(reuse=True))

    def test_in_use_by_another_wisp(self):
        server = self.serve(self.http_component("ok"))
        self.check_in_use(server.address)
        self.assertEqual(server.get("/ok").status, 200)
        server.stop()

    def test_all_workers_share_one_free_port(self):
        server = self.serve(self.http_component("ok"), "--workers", "3", "--log-level", "debug")
        server.wait_for_log("child is ready", 3)
        for _ in range(30):
            self.assertEqual(server.get("/ok").body, b"ok\n")
        server.stop()

    def test_restart_on_the_same_port(self):
        """Connections of the last life that linger in the kernel don't count."""
        server = self.serve(self.http_component("ok"))
        client = server.client()
        client.request("GET", "/ok")
        server.stop()
        again = self.serve(self.http_component("ok"), address=server.address)
        self.assertEqual(again.address, server.address)
        again.stop()

    def test_ipv6(self):
        if not socket.has_ipv6:
            self.skipTest("no IPv6 here")
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            self.skipTest("no IPv6 here")
        server = self.serve(self.http_component("ok"), address="[::1]:0")
        self.assertRegex(server.address, r"^\[::1\]:\d+$")
        self.assertEqual(server.get("/ok").body, b"ok\n")
        server.stop()

    def test_name(self):
        server = self.serve(self.http_component("ok"), address="localhost:0")
        self.assertEqual(server.get("/ok").body, b"ok\n")
        server.stop()

    def test_everywhere(self):
        server = self.serve(self.http_component("ok"), address=":0")
        self.assertRegex(server.address, r"^localhost:\d+$")
        self.assertEqual(server.get("/ok").body, b"ok\n")
        server.stop()

    def test_address_of_somebody_else(self):
        error = self.fails(wisp.EXIT["os"], "run", "--addr", "192.0.2.1:8000", self.http_component("ok"))
        self.assertIn("192.0.2.1:8000", error)

    def test_unknown_name(self):
        error = self.fails(wisp.EXIT["not-found"], "run", "--addr", "no-such-host.invalid:80", self.http_component("ok"))
        self.assertIn("no-such-host.invalid", error)


if __name__ == "__main__":
    wisp.main()
