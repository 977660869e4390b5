# SPDX-License-Identifier: Apache-2.0
"""The embedded bus and other people's clients; and byte for byte beside nats-server.

    BUS_SERVER   the program of src/bus/server_bench.c
    BUS_C        the program of bus_c.c, if it is to be tried
    BUS_CLIENTS  what else is to be tried, of: nats-py bus-go bus-rust nats-cli. tests/interop/install makes them
"""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 120
INSTALLED = {"nats-py": "BUS_PY", "bus-go": "BUS_GO", "bus-rust": "BUS_RUST", "nats-cli": "NATS_CLI"}
for unit in os.environ.get("BUS_CLIENTS", "").split():
    os.environ[INSTALLED[unit]] = subprocess.check_output([os.path.join(HERE, "install"), unit], text=True).strip()
SEED = "SUAHO2LTOAWWS3TUMVZG64BNORSXG5BNOVZWK4RNNNSXSLJQGAYDAMPBLI"  # made for this test, opens nothing else
KEY = "UD37QGMKISJUCC2J7DXO24VOEHHOFYIM5W3CZS6LO76EV4I5BIQQNRG3"


class Server:
    """The embedded bus with these flags, on a port of its own."""

    def __init__(self, test, *flags):
        self.process = subprocess.Popen([os.environ["BUS_SERVER"], *flags], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        test.addCleanup(self.stop)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            raise AssertionError(f"the server did not start: {line} {self.process.stderr.read()}")
        self.port = int(line.split()[-1])

    def stop(self):
        """Ends it, and says what it logged."""
        if self.process.returncode is None:
            self.process.terminate()
            self.log = self.process.communicate(timeout=PATIENCE)[1]
            if self.process.returncode != 0:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log}")
        return self.log


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="wisp-bus-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name, text=None):
        path = os.path.join(self.folder, name)
        if text is not None:
            with open(path, "w") as file:
                file.write(text)
        return path

    def certificates(self):
        """An authority, and certificates of a server and a client; paths without their endings."""
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=PATIENCE)

        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        ca = self.path("ca")
        openssl("req", "-x509", *key, "-keyout", ca + ".key", "-out", ca + ".pem", "-days", "2", "-subj", "/CN=ca",
                "-addext", "keyUsage=critical,keyCertSign")
        for name in ("server", "client"):
            path = self.path(name)
            extensions = self.path(name + ".ext", "subjectAltName=IP:127.0.0.1,DNS:localhost\n"
                                                  f"extendedKeyUsage={name}Auth\n")
            openssl("req", *key, "-keyout", path + ".key", "-out", path + ".csr", "-subj", "/CN=" + name)
            openssl("x509", "-req", "-in", path + ".csr", "-CA", ca + ".pem", "-CAkey", ca + ".key", "-CAcreateserial",
                    "-out", path + ".pem", "-days", "2", "-extfile", extensions)
        return ca, self.path("server"), self.path("client")


# Name, and its arguments for a token, an nkey's seed (file, text), and for TLS (authority, certificate, key).
CLIENTS = {
    "BUS_C": (lambda token: [token], None, lambda *files: ["tls", *files]),
    "BUS_PY": (lambda token: ["--token", token], lambda file, text: ["--seed", file],
               lambda *files: ["--tls", *files]),
    "BUS_GO": (lambda token: ["token", token], lambda file, text: ["seed", file], lambda *files: ["tls", *files]),
    "BUS_RUST": (lambda token: ["token", token], lambda file, text: ["seed", text], lambda *files: ["tls", *files]),
}


def run(client, port, arguments=()):
    program = [os.environ[client]] + ([os.path.join(HERE, "bus_py.py")] if client == "BUS_PY" else [])
    return subprocess.run([*program, f"nats://127.0.0.1:{port}", *arguments], capture_output=True, text=True,
                          timeout=PATIENCE)


class ClientsTest(Case):
    def clients(self):
        found = [(name, *arguments) for name, arguments in CLIENTS.items() if os.environ.get(name)]
        self.assertTrue(found, "no client is named in the environment")
        return found

    def check(self, done, works):
        self.assertEqual((done.returncode == 0, done.stdout.endswith("ok all\n")), (works, works),
                         done.stdout + done.stderr)

    def test_open(self):
        server = Server(self)
        for client, *_ in self.clients():
            with self.subTest(client):
                self.check(run(client, server.port), True)
        self.assertNotIn("cut off", server.stop())

    def test_token(self):
        server = Server(self, "--token", "secret")
        for client, token, _, _ in self.clients():
            with self.subTest(client):
                self.check(run(client, server.port, token("secret")), True)
                self.check(run(client, server.port, token("wrong")), False)
                self.check(run(client, server.port), False)
        log = server.stop()
        self.assertIn("Authorization Violation", log)
        self.assertNotIn("secret", log)

    def test_nkey(self):
        server = Server(self, "--nkey", KEY)
        file = self.path("seed", SEED)
        for client, _, seed, _ in self.clients():
            with self.subTest(client):
                if seed:
                    self.check(run(client, server.port, seed(file, SEED)), True)
                self.check(run(client, server.port), False)
        self.assertNotIn(SEED, server.stop())

    def test_tls(self):
        ca, mine, theirs = self.certificates()
        server = Server(self, "--host", "0.0.0.0", "--tls-cert", mine + ".pem", "--tls-key", mine + ".key", "--tls-ca",
                        ca + ".pem")
        for client, _, _, tls in self.clients():
            with self.subTest(client):
                self.check(run(client, server.port, tls(ca + ".pem", theirs + ".pem", theirs + ".key")), True)
                # A certificate of the wrong kind, and none.
                self.check(run(client, server.port, tls(ca + ".pem", mine + ".pem", mine + ".key")), False)
                self.check(run(client, server.port), False)
        self.assertIn("TLS with a client failed", server.stop())

    def test_tls_without_client_certificates(self):
        ca, mine, theirs = self.certificates()
        server = Server(self, "--tls-cert", mine + ".pem", "--tls-key", mine + ".key")
        for client, _, _, tls in self.clients():
            with self.subTest(client):
                self.check(run(client, server.port, tls(ca + ".pem", theirs + ".pem", theirs + ".key")), True)


@unittest.skipUnless(os.environ.get("NATS_CLI"), "nats-cli is not among BUS_CLIENTS")
class CommandLineTest(Case):
    def nats(self, *arguments, **options):
        command = [os.environ["NATS_CLI"], "--server", f"nats://127.0.0.1:{self.server.port}", *arguments]
        environment = {**os.environ, "HOME": self.folder, "XDG_CONFIG_HOME": self.folder}
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment, **options)

    def test_verbs(self):
        self.server = Server(self)
        environment = {**os.environ, "HOME": self.folder, "XDG_CONFIG_HOME": self.folder}
        reply = subprocess.Popen([os.environ["NATS_CLI"], "--server", f"nats://127.0.0.1:{self.server.port}", "reply",
                                  "svc", "answer", "--count", "1"], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        self.addCleanup(lambda: (reply.kill(), reply.wait()))
        while "answer" not in self.nats("request", "svc", "question", "--raw").stdout:
            self.assertIsNone(reply.poll())
        done = self.nats("request", "nobody", "x")
        self.assertIn("No responders", done.stdout + done.stderr)
        self.assertEqual(self.nats("pub", "a.b", "hi").returncode, 0)
        self.assertIn("127.0.0.1", self.nats("rtt", "1").stdout)
        bench = self.nats("bench", "bench.subject", "--pub", "2", "--sub", "2", "--msgs", "20000", "--no-progress")
        self.assertEqual(bench.returncode, 0, bench.stdout + bench.stderr)
        done = self.nats("stream", "ls")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no responders", done.stdout + done.stderr)


# Each is sent after INFO; the answers must be those of nats-server. All end with PONG or with the connection.
CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
TALKS = [
    b"PING\r\n",
    b"CONNECT {}\r\nPING\r\n",
    b'CONNECT {"verbose":true}\r\nSUB a 1\r\nPUB a 2\r\nhi\r\nUNSUB 1\r\nPING\r\n',
    b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n",
    CONNECT + b"SUB a.b 1\nPUB a.b 3\nabc\r\nPING\r\n",
    CONNECT + b"sub\ta\t1\r\nPub a  1\r\nx\r\nping\r\nPING  \r\n",
    CONNECT + b"SUB a 1\r\nSUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n",
    CONNECT + b"SUB a..b 1\r\nSUB a.>.b 2\r\nSUB .a 3\r\nSUB a. 4\r\nPING\r\n",
    CONNECT + b"SUB *a 1\r\nSUB a* 2\r\nPUB *a 1\r\nx\r\nPUB xa 1\r\ny\r\nPING\r\n",
    CONNECT + b"SUB > 1\r\nPUB a.* 1\r\nx\r\nPUB a..b 1\r\ny\r\nPUB .a 1\r\nz\r\nPING\r\n",
    b'CONNECT {"verbose":false,"pedantic":true}\r\nPUB a.* 1\r\nx\r\nPING\r\n',
    CONNECT + b"SUB a 1\r\nUNSUB 1 2\r\n" + 3 * b"PUB a 0\r\n\r\n" + b"PING\r\n",
    CONNECT + b"SUB a 1\r\n" + 2 * b"PUB a 0\r\n\r\n" + b"UNSUB 1 2\r\nPUB a 0\r\n\r\nUNSUB 77\r\nPING\r\n",
    CONNECT + b"SUB a q1 1\r\nSUB a q1 1\r\nPUB a 1\r\nx\r\nPING\r\n",
    CONNECT + b"SUB a 1\r\nHPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\nHPUB a r 0 2\r\nhi\r\nPING\r\n",
    CONNECT + b"SUB a 1\r\nHPUB a 5 7\r\nhello55\r\nPING\r\n",
    CONNECT + b"SUB a 1\r\nHPUB a 14 12\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n",
    b'CONNECT {"verbose":false}\r\nHPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\nPING\r\n',
    CONNECT + b"SUB i.* 9\r\nPUB nobody i.1 2\r\nhi\r\nPUB $JS.API.INFO i.2 0\r\n\r\nPING\r\n",
    CONNECT + b"SUB i.* 9\r\nPUB $SYS.REQ.SERVER.PING i.1 0\r\n\r\nPUB nobody j.1 0\r\n\r\nPING\r\n",
    CONNECT.replace(b"{", b'{"echo":false,') + b"SUB i.* 9\r\nSUB a 1\r\nPUB a i.1 2\r\nhi\r\nPING\r\n",
    b'CONNECT {"verbose":false,"no_responders":true}\r\nPING\r\n',
    CONNECT + b"SUB \x01\xff 1\r\nPUB \x01\xff 1\r\nx\r\nPING\r\n",
    CONNECT + b'CONNECT {"verbose":true}\r\nPING\r\n',
    CONNECT + b"FOO\r\n", CONNECT + b"\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"MSG a 1 1\r\nx\r\n",
    CONNECT + b"PUB a x\r\n", CONNECT + b"PUB a\r\n", CONNECT + b"PUB a b c 3\r\nabc\r\n", CONNECT + b"PUB a -1\r\n",
    CONNECT + b"PUB a 3\r\nabcd\r\n", CONNECT + b"PUB a 3\r\nabc\n", CONNECT + b"PUB a 1048577\r\n",
    CONNECT + b"PUB a 99999999999999999999\r\n", CONNECT + b"PUB " + 5000 * b"a" + b" 1\r\n",
    CONNECT + b"SUB a\r\n", CONNECT + b"SUB a b c d\r\n", b"CONNECT {bad}\r\nPING\r\n", b"CONNECT\r\nPING\r\n",
    b'CONNECT {"verbose":false,"protocol":7}\r\nPING\r\n',
]


class WireTest(Case):
    def talk(self, port, text):
        """INFO, and everything after it."""
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(text)
            got = b""
            wanted = len(re.findall(rb"(?im)^PING", text))
            while got.count(b"PONG\r\n") < wanted or wanted == 0:
                try:
                    piece = connection.recv(65536)
                except ConnectionResetError:
                    break
                if not piece:
                    break
                got += piece
        info, _, rest = got.partition(b"\r\n")
        return info, rest

    def nats_server(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen(["nats-server", "-a", "127.0.0.1", "-p", str(port)], stderr=subprocess.PIPE,
                                   text=True)
        self.addCleanup(lambda: (process.terminate(), process.communicate()))
        for line in process.stderr:
            if "Server is ready" in line:
                return port
        raise AssertionError("nats-server does not start")

    def test_as_nats_server(self):
        theirs, ours = self.nats_server(), Server(self).port
        for text in TALKS:
            with self.subTest(text[:200]):
                self.assertEqual(self.talk(ours, text)[1], self.talk(theirs, text)[1])
        mine, reference = (json.loads(self.talk(port, b"PING\r\n")[0].removeprefix(b"INFO ")) for port in (ours, theirs))
        self.assertEqual(set(reference) - set(mine), {"go"})
        self.assertNotIn("jetstream", mine)
        for key in ("proto", "headers", "max_payload", "host", "client_ip"):
            self.assertEqual(mine[key], reference[key])

    def test_unix_socket(self):
        path = self.path("bus.sock")
        Server(self, "--unix", path, "--token", "secret")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(path)
            connection.sendall(CONNECT + b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n")
            got = b""
            while not got.endswith(b"PONG\r\n"):
                got += connection.recv(65536)
        self.assertTrue(got.endswith(b"}\r\nMSG a 1 1\r\nx\r\nPONG\r\n"), got)


if __name__ == "__main__":
    unittest.main()
