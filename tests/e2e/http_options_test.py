# SPDX-License-Identifier: Apache-2.0
"""What a link can say about the HTTP it serves: TLS, CORS, read-only mode, timeouts, cache-control."""

import os
import ssl
import subprocess

import hosts
import wisp


class Options(hosts.ByVerbs):
    def setUp(self):
        super().setUp()
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host()
        self.ok("start", "component", "file://" + os.path.abspath(wisp.guest("http-echo-rust")), "echo", "--max-instances", "20")
        self.ok("start", "provider", "wisp://http-server", "http")
        self.n_links = 0

    def tearDown(self):
        self.host.stop()

    def link(self, *settings, address=None):
        """A link with these settings; its address."""
        address = address or wisp.free_address()
        self.n_links += 1
        name = f"link-{self.n_links}"
        self.ok("config", "put", name, f"address={address}", *settings)
        self.ok("link", "put", "http", "echo", "wasi", "http", "--interface", "incoming-handler",
                "--source-config", name, "--link-name", name)
        return address

    def ask(self, address, method="GET", path="/json", headers=(), body=b""):
        with wisp.Client(address) as client:
            return client.request(method, path, [*headers, ("connection", "close")], body)

    def wait_for(self, address, **options):
        def answers():
            try:
                return self.ask(address, **options)
            except (OSError, wisp.Broken):
                return None

        return wisp.wait_for(answers, f"{address}; log: {self.host.log[-3000:]}")

    def test_read_only_and_cache_control(self):
        address = self.link("readonly_mode=true", "cache_control=no-store")
        response = self.wait_for(address)
        self.assertEqual((response.status, response.header("cache-control")), (200, "no-store"))
        response = self.ask(address, "POST", "/", body=b"x")
        self.assertEqual((response.status, response.header("allow"), response.header("cache-control")),
                         (405, "GET, HEAD", "no-store"))
        self.assertEqual(self.ask(address, "HEAD").status, 200)

    def test_timeout(self):
        address = self.link("timeout_ms=200")
        self.assertEqual(self.wait_for(address).status, 200)
        self.assertEqual(self.ask(address, path="/sleep?ms=60000").status, 408)

    def test_cors(self):
        address = self.link('cors_allowed_origins=["https://good.example"]', "cors_max_age_secs=60")
        origin = ("origin", "https://good.example")
        self.assertIsNone(self.wait_for(address).header("access-control-allow-origin"))
        response = self.ask(address, headers=[origin])
        self.assertEqual(response.header("access-control-allow-origin"), "https://good.example")
        self.assertEqual(response.header("access-control-expose-headers"), "*")
        self.assertIn("origin", response.header("vary"))
        self.assertIsNone(self.ask(address, headers=[("origin", "https://bad.example")]).header("access-control-allow-origin"))
        response = self.ask(address, "OPTIONS", headers=[origin, ("access-control-request-method", "PUT")])
        self.assertEqual((response.status, response.body), (200, b""))
        self.assertEqual(response.header("access-control-allow-origin"), "https://good.example")
        self.assertEqual(response.header("access-control-allow-methods"), "GET, POST, PUT, DELETE, HEAD, OPTIONS")
        self.assertEqual(response.header("access-control-allow-headers"),
                         "accept, accept-language, content-type, content-language")
        self.assertEqual(response.header("access-control-max-age"), "60")

    def test_whole_settings_in_one(self):
        address = wisp.free_address()
        self.link('config_json={"address": "%s", "cache_control": "private", "cors": {"allowed_methods": []}}' % address)
        response = self.wait_for(address)
        self.assertEqual((response.header("cache-control"), response.header("access-control-allow-origin")), ("private", "*"))
        response = self.ask(address, "OPTIONS", headers=[("origin", "http://a"), ("access-control-request-method", "PUT")])
        self.assertEqual(response.header("access-control-allow-methods"), "*")

    def test_mistakes_are_named(self):
        for setting, words in (("cors_allowed_origins=[\"good.example\"]", "cors_allowed_origins"),
                               ("tls_cert_file=/nowhere.pem", "tls_priv_key_file"),
                               ("timeout_ms=soon", "timeout_ms")):
            self.link(setting)
            self.host.wait_for_log(f"a route is left out.*{words}")

    # --- TLS ---

    def make_certificate(self, name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "2", "-subj", "/CN=" + name, "-addext", "subjectAltName=DNS:localhost", "-keyout",
                        self.path(name + ".key"), "-out", self.path(name + ".pem")], check=True, stderr=subprocess.DEVNULL)
        return self.path(name + ".pem"), self.path(name + ".key")

    def tls_client(self, address, certificate):
        context = ssl.create_default_context(cafile=certificate)
        context.set_alpn_protocols(["h2", "http/1.1"])
        client = wisp.Client(address)
        client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
        return client

    def wait_for_tls(self, address, certificate):
        def connects():
            try:
                return self.tls_client(address, certificate)
            except OSError:
                return None

        return wisp.wait_for(connects, f"TLS at {address}; log: {self.host.log[-3000:]}")

    def test_tls(self):
        certificate, key = self.make_certificate("first")
        address = self.link(f"tls_cert_file={certificate}", f"tls_priv_key_file={key}", "cache_control=no-store")
        with self.wait_for_tls(address, certificate) as client:
            self.assertEqual(client.socket.selected_alpn_protocol(), "http/1.1")
            self.assertIn(client.socket.version(), ("TLSv1.3", "TLSv1.2"))
            response = client.request("GET", "/json")
            self.assertEqual((response.status, response.header("cache-control")), (200, "no-store"))
            body = os.urandom(2_000_000)
            client.request("POST", "/", [("transfer-encoding", "chunked")], read=False)
            client.head()
            for at in range(0, len(body), 50000):
                client.chunk(body[at:at + 50000])
                received = b""
                while len(received) < 50000:
                    received += client.read_chunk()
                self.assertEqual(received, body[at:at + 50000])
            client.send(b"0\r\n\r\n")
            self.assertEqual(client.read_chunk(), b"")
        # Plain HTTP gets nothing of it.
        with self.assertRaises(wisp.Broken), wisp.Client(address) as client:
            client.request("GET", "/json")
        # A renewed certificate is seen.
        other, other_key = self.make_certificate("second")
        os.replace(other_key, key)
        os.replace(other, certificate)

        def is_renewed():
            try:
                with self.tls_client(address, certificate) as client:
                    return client.request("GET", "/json").status == 200
            except (OSError, wisp.Broken):
                return False

        wisp.wait_for(is_renewed, "the new certificate")

    def test_tls_and_plain_on_one_address(self):
        certificate, key = self.make_certificate("first")
        address = self.link(f"tls_cert_file={certificate}", f"tls_priv_key_file={key}")
        with self.wait_for_tls(address, certificate) as client:
            self.assertEqual(client.request("GET", "/json").status, 200)
        self.link("host=other.example", address=address)
        self.host.wait_for_log("a route is left out.*is HTTPS by another route")
        with self.tls_client(address, certificate) as client:
            self.assertEqual(client.request("GET", "/json").status, 200)


if __name__ == "__main__":
    wisp.main()
