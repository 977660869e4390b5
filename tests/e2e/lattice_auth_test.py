# SPDX-License-Identifier: Apache-2.0
"""Who may reach a bus: NATS with a password, the embedded bus with a token, other users of the machine."""

import glob
import json
import os
import shutil
import socket
import subprocess
import unittest

import hosts
import wisp

NEW_NATS = sorted(glob.glob(os.path.expanduser("~/.cache/wisp/interop/nats-server-*/nats-server")))
PASSWORD = "not-to-be-seen-4711"


class AuthTest(wisp.Case):
    nats_server = "nats-server"

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

    def start_nats(self, lattice, config):
        config = self.write("nats.conf", f"listen: 127.0.0.1:{lattice.port}\n{config}\n"
                                         f"jetstream {{ store_dir: \"{self.path('js')}\" }}\n")
        with open(self.path("nats.log"), "wb") as log:
            nats = subprocess.Popen([self.nats_server, "-c", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(nats.wait)
        self.addCleanup(nats.kill)

        def listens():
            try:
                socket.create_connection(("127.0.0.1", lattice.port)).close()
                return True
            except OSError:
                return False

        wisp.wait_for(listens, "nats-server")

    def certificates(self, *names):
        """A CA and what it has signed: NAME.pem and NAME.key, for localhost."""
        def openssl(*args):
            subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=self.folder)

        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca")
        extensions = self.write("extensions", "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        for name in names:
            openssl("req", *key, "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
            openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                    "-days", "2", "-extfile", extensions, "-out", name + ".pem")

    def call_hello(self, lattice, *connection):
        """Start it and call it, by verbs: its worker serves calls over the bus too."""
        for args in (("start", "component", os.path.abspath(wisp.guest("http-hello-rust")), "hello"),
                     ("call", "hello", "wasi:http/incoming-handler.handle")):
            done = lattice.wisp(*args, *connection, "-o", "json")
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["response"]["body"], "Hello from Rust!\n")

    def check_tls(self, lattice, url, first):
        """A host, its workers and verbs show their certificates; without one nobody is let in."""
        files = {"CA": self.path("ca.pem"), "CERT": self.path("client.pem"), "KEY": self.path("client.key")}
        settings = {f"WISP_{kind}_TLS_{name}_FILE": path for name, path in files.items() for kind in ("NATS", "CTL")}
        stranger = lattice.host("--nats", url, "--nats-tls-ca-file", files["CA"], *first, wait=False)
        self.assertNotEqual(stranger.process.wait(wisp.PATIENCE), 0, stranger.log)
        host = lattice.host("--nats", url, "--nats-tls-ca-file", files["CA"], "--nats-tls-cert", files["CERT"],
                            "--nats-tls-key", files["KEY"], *first)
        connection = ("--ctl-host", url, "--ctl-tls-ca-file", files["CA"])
        done = lattice.wisp("get", "hosts", *connection)
        self.assertNotEqual(done.returncode, 0)
        shown = ("--ctl-tls-cert-file", files["CERT"], "--ctl-tls-key-file", files["KEY"])
        first = ("--ctl-tls-first", "true") if first else ()
        self.call_hello(lattice, *connection, *shown, *first)
        lattice.env.update(settings)
        name = f"secure-{lattice.port}"
        lattice.wisp("ctx", "new", name, "--ctl-host", url, *first)
        done = lattice.wisp("get", "hosts", "--context", name)
        self.assertIn(host.id, done.stdout, done.stderr)
        host.stop()
        # The same by variables, and calls over a connection of their own.
        again = lattice.host("--nats", url, "--rpc-host", "localhost", "--rpc-port", str(lattice.port),
                             *(("--nats-tls-first",) if first else ()))
        call = ("call", "hello", "wasi:http/incoming-handler.handle", "--context", name)
        wisp.wait_for(lambda: lattice.wisp(*call).returncode == 0, "hello to answer again")
        again.stop()

    @unittest.skipUnless(shutil.which("nats-server"), "nats-server is not installed")
    def test_nats_with_client_certificates(self):
        lattice = hosts.Lattice(self)
        self.certificates("server", "client")
        self.start_nats(lattice, f'tls {{ cert_file: "{self.path("server.pem")}", key_file: "{self.path("server.key")}", '
                                 f'ca_file: "{self.path("ca.pem")}", verify: true }}')
        self.check_tls(lattice, f"nats://localhost:{lattice.port}", ())

    @unittest.skipUnless(NEW_NATS, "only newer servers can: `make interop` installs one")
    def test_nats_with_tls_before_all_else(self):
        self.nats_server = NEW_NATS[-1]
        lattice = hosts.Lattice(self)
        self.certificates("server", "client")
        self.start_nats(lattice, f'tls {{ cert_file: "{self.path("server.pem")}", key_file: "{self.path("server.key")}", '
                                 f'ca_file: "{self.path("ca.pem")}", verify: true, handshake_first: true }}')
        self.check_tls(lattice, f"nats://localhost:{lattice.port}", ("--nats-tls-first",))

    def test_embedded_bus_with_client_certificates(self):
        """Of one host of the machine; another one joins it as if from elsewhere."""
        for first in (), ("--bus-tls-first",):
            with self.subTest(first=first):
                lattice = hosts.Lattice(self)
                self.certificates("server", "client")
                keeper = lattice.host("--bus-tls-cert", self.path("server.pem"), "--bus-tls-key", self.path("server.key"),
                                      "--bus-tls-client-ca", self.path("ca.pem"), *first)
                lattice.env["WISP_STATE"] = self.path("elsewhere" + "-".join(first))
                self.check_tls(lattice, f"nats://localhost:{lattice.port}", first and ("--nats-tls-first",))
                keeper.stop()

    @unittest.skipUnless(shutil.which("nats-server"), "nats-server is not installed")
    def test_nats_with_a_password(self):
        lattice = hosts.Lattice(self)
        self.start_nats(lattice, f'authorization {{ user: joe, password: "{PASSWORD}" }}')
        url = f"nats://joe:{PASSWORD}@127.0.0.1:{lattice.port}"
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
