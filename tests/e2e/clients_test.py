# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, wrong, hostile or gone: what they get, and that nobody else notices."""

import threading
import time

import wisp


class Clients(wisp.Case):
    def setUp(self):
        super().setUp()
        self.server = self.serve(wisp.guest("http-echo-rust"), "--workers", "1", "--timeout", "5s", "--max-body", "1M",
                                 "--log-level", "debug")

    def tearDown(self):
        self.check_others()
        self.server.stop()

    def check_others(self):
        for _ in range(3):
            self.assertEqual(self.server.get("/status/200").status, 200)

    def answer(self, data, patience=wisp.PATIENCE):
        """Status of the answer to these bytes; None when the connection is closed without one."""
        client = self.server.client(patience=patience)
        try:
            client.send(data)
        except OSError:
            pass
        try:
            return client.response().status
        except wisp.Broken:
            return None

    # --- slow ---

    def test_head_at_one_byte_a_second(self):
        client = self.server.client()
        start = time.monotonic()
        closed = None
        for byte in b"GET /status/200 HTTP/1.1\r\nhost: test\r\nx-slow: " + b"x" * 120:
            try:
                client.send(bytes([byte]))
                client.socket.settimeout(1)
                client.more()
                closed = True
                break
            except TimeoutError:
                self.check_others()
            except OSError:
                closed = True
                break
        self.assertTrue(closed, "it may trickle for ever")
        self.assertLess(time.monotonic() - start, 60)
        self.assertRegex(client.buffer, rb"^(HTTP/1\.1 408 |$)")

    def test_body_at_one_byte_a_second(self):
        client = self.server.client()
        client.request("POST", "/", [("content-length", "1000")], read=False)
        sent = b""
        status = None
        for _ in range(60):
            try:
                client.send(b"x")
                sent += b"x"
                time.sleep(1)
                client.socket.settimeout(0.01)
                while client.more():
                    pass
                break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            self.fail("it may trickle for ever")
        # The component has echoed what came before the time limit, and the response must not look complete.
        client.socket.settimeout(wisp.PATIENCE)
        try:
            status = client.response().status
        except wisp.Broken:
            pass
        self.assertIn(status, (None, 504, 408))
        self.check_others()

    def test_many_slow_clients(self):
        """Half-open connections cost next to nothing and hold up nobody."""
        clients = [self.server.client() for _ in range(300)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nho")
        self.check_others()
        for client in clients:
            client.send("st: test\r\n\r\n")
        for client in clients:
            self.assertEqual(client.response().status, 200)

    def test_half_a_request(self):
        for half in ("", "GET", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: te",
                     "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf",
                     "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhal"):
            for leave in (wisp.Client.close, wisp.Client.reset):
                client = self.server.client()
                client.send(half)
                leave(client)
        self.check_others()

    def test_half_a_request_and_silence(self):
        """The client stays, and says nothing more: it is let go, within the server's own limits."""
        client = self.server.client()
        client.send("GET / HTTP/1.1\r\nhost: te")
        while client.more():
            pass
        self.assertRegex(client.buffer, rb"^(HTTP/1\.1 408 |$)")

    # --- too much ---

    def test_a_mebibyte_of_headers(self):
        one = self.answer(b"GET / HTTP/1.1\r\nhost: test\r\nx-big: " + b"x" * (1 << 20) + b"\r\n\r\n")
        self.assertIn(one, (431, None))
        many = self.answer(b"GET / HTTP/1.1\r\nhost: test\r\n" + b"x: y\r\n" * (1 << 17) + b"\r\n")
        self.assertIn(many, (431, None))
        self.assertIn(self.answer(b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\nhost: test\r\n\r\n"), (414, 431, None))

    def test_status_of_too_much_is_told(self):
        """Just over the limits, so that no reset overtakes the answer."""
        self.assertEqual(self.answer(b"GET / HTTP/1.1\r\nhost: test\r\n" + b"x: y\r\n" * 101 + b"\r\n"), 431)
        self.assertEqual(self.answer(b"GET /" + b"x" * 8192 + b" HTTP/1.1\r\nhost: test\r\n\r\n"), 414)

    def test_body_over_the_limit(self):
        self.assertEqual(self.answer(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1048577\r\n\r\n"), 413)
        client = self.server.client()
        client.request("POST", "/", [("transfer-encoding", "chunked")], read=False)
        status = None
        try:
            for _ in range(40):
                client.chunk(b"x" * 65536)
        except OSError:
            pass
        try:
            status = client.response().status
        except wisp.Broken:
            pass
        self.assertIn(status, (413, None))

    # --- lies ---

    def test_less_than_content_length(self):
        client = self.server.client()
        client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\nonly this")
        client.socket.shutdown(1)
        try:
            response = client.response()
            self.assertNotEqual(response.status, 200)
        except wisp.Broken:
            pass

    def test_more_than_content_length(self):
        """What is too much is the next request, and a bad one."""
        client = self.server.client()
        client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\nfourand more\r\n\r\n")
        self.assertEqual(client.response().body, b"four")
        self.assertEqual(client.response().status, 400)
        self.assertTrue(client.is_closed())

    def test_smuggling(self):
        """Everything that two servers might read in two ways."""
        start = "POST / HTTP/1.1\r\nhost: test\r\n"
        for head in ("content-length: 4\r\ncontent-length: 5\r\n\r\nfour",
                     "content-length: 4, 5\r\n\r\nfour",
                     "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
                     "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
                     "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
                     "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
                     "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
                     "content-length: +4\r\n\r\nfour",
                     "content-length: 0x4\r\n\r\nfour",
                     "content-length: -4\r\n\r\nfour",
                     "content-length:\r\n\r\nfour",
                     "content-length: 99999999999999999999\r\n\r\nfour",
                     "x: a\r\n b\r\ncontent-length: 0\r\n\r\n",
                     "x: a\rb\r\ncontent-length: 0\r\n\r\n",
                     "x: a\0b\r\ncontent-length: 0\r\n\r\n",
                     "x y: z\r\ncontent-length: 0\r\n\r\n",
                     ": z\r\ncontent-length: 0\r\n\r\n",
                     "host: other\r\ncontent-length: 0\r\n\r\n",
                     "transfer-encoding: chunked\r\n\r\n5;\n\r\nhello\r\n0\r\n\r\n",
                     "transfer-encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
                     "transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
                     "transfer-encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n"):
            client = self.server.client()
            client.send(start + head + "GET /status/418 HTTP/1.1\r\nhost: test\r\n\r\n")
            statuses = []
            try:
                while True:
                    statuses.append(client.response().status)
            except (wisp.Broken, ValueError):
                pass
            self.assertNotIn(418, statuses, head)
            self.assertNotIn(200, statuses, head)

    def test_no_http_at_all(self):
        for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 1000, b"SSH-2.0-OpenSSH_9\r\n",
                     b"GET / HTTP/9.9\r\nhost: x\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            self.assertIn(self.answer(data, patience=30), (400, 404, 408, 505, None), data)

    # --- gone ---

    def test_gone_in_the_middle_of_the_body(self):
        for leave in (wisp.Client.close, wisp.Client.reset):
            for framing in (("content-length", "1000000"), ("transfer-encoding", "chunked")):
                client = self.server.client()
                client.request("POST", "/", [framing], read=False)
                client.send(b"fff\r\n" + b"x" * 2000)
                time.sleep(0.05)
                leave(client)
        self.check_others()
        self.check_nothing_left()

    def test_gone_in_the_middle_of_the_response(self):
        for leave in (wisp.Client.close, wisp.Client.reset):
            client = self.server.client()
            client.request("GET", "/stream?n=100000&size=65536", read=False)
            client.head()
            client.read_chunk()
            leave(client)
        self.check_nothing_left()

    def test_gone_while_the_component_waits(self):
        client = self.server.client()
        client.request("GET", "/sleep?ms=100000", read=False)
        time.sleep(0.2)
        client.reset()
        self.check_nothing_left()

    def check_nothing_left(self):
        """The worker comes to rest: it uses no processor any more."""
        worker = self.server.workers()[0]

        def ticks():
            with open(f"/proc/{worker}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
            return int(fields[11]) + int(fields[12])

        def is_at_rest():
            before = ticks()
            time.sleep(0.5)
            return ticks() - before <= 2

        wisp.wait_for(is_at_rest, "the worker to come to rest", 30)

    # --- many ---

    def test_many_at_once(self):
        failed = []

        def ask():
            try:
                client = self.server.client()
                for i in range(50):
                    body = b"x" * (i * 37)
                    if client.request("POST", "/", body=body).body != body:
                        failed.append(i)
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])


if __name__ == "__main__":
    wisp.main()
