# SPDX-License-Identifier: Apache-2.0
"""A component that asks other servers: examples/http-proxy-rust, with `wisp run` and over a link to `wisp://http-client`."""

import hashlib
import os
import socket
import threading
import time

import hosts
import wisp


class FarServer:
    """One that speaks HTTP by hand, a thread for each connection. What it does depends on the path."""

    def __init__(self, case):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        self.requests = []  # (line, headers) of all that came
        self.n_gone = 0
        self.gate = threading.Event()
        case.addCleanup(self.stop)
        threading.Thread(target=self.accept, daemon=True).start()

    def stop(self):
        self.gate.set()
        self.socket.close()

    def accept(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with wisp.Client.__new__(wisp.Client) as client:
            client.socket, client.buffer = peer, b""
            try:
                while True:
                    self.answer(client)
            except (wisp.Broken, OSError):
                self.n_gone += 1

    def answer(self, client):
        line, headers = client.line(), dict(client.header_lines())
        self.requests.append((line, headers))
        getattr(self, line.split()[1].strip("/").split("?")[0] or "hello")(client, headers)

    def hello(self, client, headers):
        self.body_of(client, headers)
        client.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nx-far: 1\r\n\r\nhello\n")

    def moved(self, client, headers):
        client.send(b"HTTP/1.1 302 Found\r\nlocation: /hello\r\ncontent-length: 0\r\n\r\n")

    def body_of(self, client, headers):
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while data := client.read_chunk():
                body += data
            return body, client.header_lines()
        return client.exactly(int(headers.get("content-length", 0))), []

    def upload(self, client, headers):
        body, trailers = self.body_of(client, headers)
        text = f"{len(body)} {hashlib.sha256(body).hexdigest()} {trailers}".encode()
        client.send(b"HTTP/1.1 201 Created\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text))

    def echo(self, client, headers):
        """Each piece comes back before the next one is read, and the trailers at the end."""
        client.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while data := client.read_chunk():
            client.chunk(data)
        trailers = "".join(f"{name}: {value}\r\n" for name, value in client.header_lines())
        client.send("0\r\n" + trailers + "\r\n")

    def download(self, client, headers):
        client.send(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n")
        for _ in range(500):
            client.send(b"x" * 100000)

    def wait(self, client, headers):
        self.gate.wait()
        self.hello(client, headers)

    def silent(self, client, headers):
        while client.more():
            pass
        raise wisp.Broken("gone")

    def cut(self, client, headers):
        client.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        client.socket.shutdown(socket.SHUT_RDWR)

    def rubbish(self, client, headers):
        client.send(b"this is no HTTP\r\n\r\n")
        client.socket.shutdown(socket.SHUT_RDWR)


class Outgoing:
    """The same for all ways by which a component gets out; `self.address` is where it is served."""

    def ask(self, path, method="GET", headers=(), body=b"", far="/"):
        with wisp.Client(self.address) as client:
            return client.request(method, far, [("x-target", self.far.url + path), *headers, ("connection", "close")], body)

    def test_a_request(self):
        response = self.ask("/hello?a=b")
        self.assertEqual((response.status, response.body, response.header("x-far")), (200, b"hello\n", "1"))
        line, headers = self.far.requests[-1]
        self.assertEqual(line, "GET /hello?a=b HTTP/1.1")
        self.assertEqual(headers["host"], self.far.url[len("http://"):])
        self.assertNotIn("transfer-encoding", headers)

    def test_redirects_are_answers(self):
        response = self.ask("/moved")
        self.assertEqual((response.status, response.header("location")), (302, "/hello"))

    def test_bodies(self):
        for size in (0, 1, 70000, 5_000_000):
            body = os.urandom(size)
            response = self.ask("/upload", "POST", body=body)
            self.assertEqual(response.status, 201, response)
            self.assertEqual(response.body.decode(), f"{size} {hashlib.sha256(body).hexdigest()} []")
            self.assertEqual(self.far.requests[-1][1]["content-length"], str(size))

    def test_both_directions_at_once(self):
        with wisp.Client(self.address) as client:
            client.request("POST", "/", [("x-target", self.far.url + "/echo"), ("transfer-encoding", "chunked")], read=False)
            client.chunk(b"first")
            status, _ = client.head()
            self.assertEqual(status, 200)
            self.assertEqual(client.read_chunk(), b"first")
            for i in range(20):
                client.chunk(b"piece %d" % i)
                self.assertEqual(client.read_chunk(), b"piece %d" % i)
            client.send(b"0\r\nx-sum: 42\r\n\r\n")
            self.assertEqual(client.read_chunk(), b"")
            self.assertEqual(client.header_lines(), [("x-sum", "42")])

    def test_a_large_answer(self):
        self.assertEqual(len(self.ask("/download").body), 50_000_000)

    def test_a_slow_reader_slows_the_far_server(self):
        with wisp.Client(self.address) as client:
            client.request("GET", "/", [("x-target", self.far.url + "/download")], read=False)
            client.head()
            time.sleep(1)
            gone = self.far.n_gone
        # Its client has left, with most of the answer still to come: so does ours.
        wisp.wait_for(lambda: self.far.n_gone > gone, "the far server to notice")

    def test_many_at_once(self):
        count = 20
        answers = []
        asking = threading.Thread(target=lambda: answers.append(self.ask("/wait", headers=[("x-count", str(count))], far="/many")))
        asking.start()
        # All are there before the first is answered.
        wisp.wait_for(lambda: sum(line.startswith("GET /wait") for line, _ in self.far.requests) == count, "all requests")
        self.far.gate.set()
        asking.join()
        self.assertEqual(answers[0].body.decode(), "200 6\n" * count)

    def test_leaving_with_requests_in_flight(self):
        response = self.ask("/silent", headers=[("x-count", "5")], far="/leave")
        self.assertEqual(response.body, b"left\n")
        # Those that were on their way already.
        wisp.wait_for(lambda: sum(line.startswith("GET /silent") for line, _ in self.far.requests) <= self.far.n_gone,
                      "the requests to be given up")
        self.assertEqual(self.ask("/hello").body, b"hello\n")

    def test_a_client_that_leaves(self):
        client = wisp.Client(self.address)
        client.request("GET", "/", [("x-target", self.far.url + "/silent")], read=False)
        wisp.wait_for(lambda: self.far.requests, "the request")
        client.reset()
        wisp.wait_for(lambda: self.far.n_gone, "the request to be given up")

    def test_what_goes_wrong(self):
        self.assertEqual(self.ask("/rubbish").status, 502)
        response = self.ask("/silent", headers=[("x-first-byte-ms", "100")])
        self.assertEqual((response.status, response.body), (502, b"ErrorCode::ConnectionReadTimeout"))
        try:
            self.assertEqual(self.ask("/cut").status, 500)  # nothing was sent on yet
        except wisp.Broken:
            pass
        address = wisp.free_address()
        self.far.url = "http://" + address
        self.assertEqual(self.ask("/").body, b"ErrorCode::ConnectionRefused")
        self.far.url = "http://nothing.invalid"
        self.assertIn(b"ErrorCode::DnsError", self.ask("/").body)
        self.far.url = "ftp://127.0.0.1"
        self.assertEqual(self.ask("/").body, b"ErrorCode::HttpRequestUriInvalid")


class Run(Outgoing, wisp.Case):
    def setUp(self):
        super().setUp()
        self.far = FarServer(self)
        self.server = self.serve(wisp.guest("http-proxy-rust"))
        self.address = self.server.address

    def tearDown(self):
        self.server.stop()


class Linked(Outgoing, hosts.ByVerbs):
    def setUp(self):
        super().setUp()
        self.far = FarServer(self)
        self.start_served("http-proxy-rust", "proxy", 50)
        self.start_client()
        self.ok("link", "put", "proxy", "client", "wasi", "http", "--interface", "outgoing-handler")
        wisp.wait_for(self.is_up, f"the proxy; log: {self.host.log[-3000:]}")
        self.far.requests.clear()

    def start_client(self):
        self.ok("start", "provider", "wisp://http-client", "client")

    def is_up(self):
        try:
            return self.ask("/hello").status == 200
        except (OSError, wisp.Broken):
            return False

    def tearDown(self):
        self.host.stop()

    def test_denied_hosts_and_no_link(self):
        self.ok("config", "put", "few", "allowed_hosts=*.example.com")
        self.ok("start", "provider", "wisp://http-client", "strict", "--config", "few")
        self.ok("link", "del", "proxy", "wasi", "http")
        wisp.wait_for(lambda: self.ask("/hello").body == b"ErrorCode::HttpRequestDenied", "the link to go")
        self.ok("link", "put", "proxy", "strict", "wasi", "http", "--interface", "outgoing-handler")
        n = len(self.far.requests)
        for _ in range(5):
            self.assertEqual(self.ask("/hello").body, b"ErrorCode::HttpRequestDenied")
        self.assertEqual(len(self.far.requests), n)


class Elsewhere(Linked):
    """The client runs on another host: requests and their bodies go over the bus."""

    def start_client(self):
        self.other = self.lattice.host()  # the second one: all else is on the first
        self.ok("start", "provider", "wisp://http-client", "client", "--host-id", self.other.id)

    def tearDown(self):
        self.other.stop()
        super().tearDown()

    # That nobody waits for an answer any more can't be said over the bus: timeouts end such a request.
    test_a_client_that_leaves = test_leaving_with_requests_in_flight = None


del Outgoing  # no case of its own

if __name__ == "__main__":
    wisp.main()
