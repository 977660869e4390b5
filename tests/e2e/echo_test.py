# SPDX-License-Identifier: Apache-2.0
"""Bodies that stream, both ways, and requests that wait without holding up others."""

import hashlib
import json
import os
import threading
import time

import wisp


class Echo(wisp.Case):
    def setUp(self):
        super().setUp()
        self.server = self.serve(wisp.guest("http-echo-rust"), "--workers", "1", "--env", "GREETING=hello there")

    def tearDown(self):
        self.server.stop()

    def test_body_of_known_length(self):
        for path in ("/", "/splice"):
            for size in (0, 1, 65535, 65536, 65537, 3_000_000):
                body = os.urandom(size)
                response = self.server.get(path, "POST", body=body)
                self.assertEqual(response.status, 200)
                self.assertEqual(hashlib.sha256(response.body).digest(), hashlib.sha256(body).digest(), (path, size))

    def test_body_in_chunks(self):
        client = self.server.client()
        client.request("POST", "/", [("transfer-encoding", "chunked"), ("content-type", "text/x-test")], read=False)
        for i in range(100):
            client.chunk(b"%d," % i)
        client.send(b"0\r\n\r\n")
        response = client.response()
        self.assertEqual(response.body, b"".join(b"%d," % i for i in range(100)))
        self.assertEqual(response.header("content-type"), "text/x-test")
        # And the connection goes on.
        self.assertEqual(client.request("GET", "/status/204").status, 204)

    def test_response_begins_before_the_request_ends(self):
        client = self.server.client()
        client.request("POST", "/", [("transfer-encoding", "chunked")], read=False)
        client.chunk(b"first")
        status, headers = client.head()
        self.assertEqual(status, 200)
        self.assertEqual(dict(headers)["transfer-encoding"], "chunked")
        self.assertEqual(client.read_chunk(), b"first")
        for i in range(10):
            client.chunk(b"piece %d" % i)
            self.assertEqual(client.read_chunk(), b"piece %d" % i)
        client.send(b"0\r\n\r\n")
        self.assertEqual(client.read_chunk(), b"")
        self.assertEqual(client.header_lines(), [])

    def test_trailers_come_back(self):
        client = self.server.client()
        client.request("POST", "/", [("transfer-encoding", "chunked"), ("trailer", "x-sum")], read=False)
        client.chunk(b"data")
        client.send(b"0\r\nx-sum: 42\r\n\r\n")
        response = client.response()
        self.assertEqual(response.body, b"data")
        self.assertEqual(response.trailers, [("x-sum", "42")])

    def test_expect_continue(self):
        client = self.server.client()
        client.request("POST", "/", [("content-length", "5"), ("expect", "100-continue")], read=False)
        self.assertEqual(client.line(), "HTTP/1.1 100 Continue")
        self.assertEqual(client.line(), "")
        client.send(b"hello")
        self.assertEqual(client.response().body, b"hello")

    def test_body_of_unknown_length(self):
        client = self.server.client()
        response = client.request("GET", "/stream?n=50&size=1000")
        self.assertEqual(response.header("transfer-encoding"), "chunked")
        self.assertEqual(response.body, b"".join(bytes([ord("a") + i % 26]) * 1000 for i in range(50)))

    def test_slow_reader_slows_the_component_and_nobody_else(self):
        client = self.server.client()
        total = 64 << 20
        client.request("GET", f"/stream?n={total >> 16}&size=65536", read=False)
        client.head()
        # While nobody reads, the component must wait: it can't have sent more than buffers hold.
        before = self.memory()
        for _ in range(20):
            self.assertEqual(self.server.get("/status/200").status, 200)
        self.assertLess(self.memory() - before, 16 << 20)
        got = 0
        while data := client.read_chunk():
            got += len(data)
        self.assertEqual(got, total)

    def memory(self):
        with open(f"/proc/{self.server.workers()[0]}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def test_headers_arrive(self):
        response = self.server.get("/headers", headers=[("X-One", "1"), ("x-two", "a, b"), ("x-two", "c")])
        lines = response.body.decode().splitlines()
        for line in ("x-one: 1", "x-two: a, b", "x-two: c"):
            self.assertIn(line, lines)

    def test_json(self):
        response = self.server.get("/json")
        self.assertEqual(response.header("content-length"), "65536")
        self.assertEqual(len(json.loads(response.body)), 1024)

    def test_status(self):
        for status in (200, 201, 204, 304, 404, 418, 500, 503):
            self.assertEqual(self.server.get(f"/status/{status}").status, status)

    def test_environment(self):
        self.assertEqual(self.server.get("/env").body, b"GREETING=hello there\n")

    def test_waiting_suspends_one_request_only(self):
        sleeper = self.server.client()
        start = time.monotonic()
        sleeper.request("GET", "/sleep?ms=1500", read=False)
        for _ in range(20):
            self.assertEqual(self.server.get("/status/200").status, 200)
        self.assertFalse(sleeper.buffer)
        self.assertEqual(sleeper.response().body, b"slept 1500 ms\n")
        self.assertGreaterEqual(time.monotonic() - start, 1.5)

    def test_many_wait_at_once(self):
        clients = [self.server.client() for _ in range(100)]
        for client in clients:
            client.request("GET", "/sleep?ms=1000", read=False)
        for client in clients:
            self.assertEqual(client.response().status, 200)

    def test_computing_is_preempted(self):
        spinner = self.server.client()
        done = threading.Event()

        def spin():
            spinner.request("GET", "/spin?ms=2000")
            done.set()

        thread = threading.Thread(target=spin)
        thread.start()
        answered = 0
        while not done.is_set():
            answered += self.server.get("/status/200").status == 200
        thread.join()
        # One worker, one thread: without preemption there would be one answer at most.
        self.assertGreater(answered, 5)

    def test_a_trap_is_told_to_the_log_and_not_to_the_client(self):
        response = self.server.get("/trap")
        self.assertEqual(response.status, 500)
        self.assertNotIn(b"asked to", response.body)
        self.assertNotIn(b"wasm", response.body)
        self.server.wait_for_log("asked to")
        self.assertEqual(self.server.get("/status/200").status, 200)


if __name__ == "__main__":
    wisp.main()
