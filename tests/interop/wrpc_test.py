# SPDX-License-Identifier: Apache-2.0
"""wRPC with those who speak it already: the original's crates, and its command line.

    WRPC_PEER   the program of wrpc_peer.c
    WRPC_TOOLS  what is to be tried, of: wrpc-rust wash. tests/interop/install makes them
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 120
TOOLS = {tool: subprocess.check_output([os.path.join(HERE, "install"), tool], text=True).strip()
         for tool in os.environ.get("WRPC_TOOLS", "").split()}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Case(unittest.TestCase):
    tool = None

    def setUp(self):
        if self.tool not in TOOLS:
            self.skipTest(f"WRPC_TOOLS does not name {self.tool}")
        self.folder = tempfile.mkdtemp(prefix="wisp-wrpc-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.port = free_port()
        server = shutil.which("nats-server", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        self.start([server, "-a", "127.0.0.1", "-p", str(self.port), "-l", os.path.join(self.folder, "log"),
                    "--ports_file_dir", self.folder])
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                continue

    def start(self, command):
        """Runs it until the test is over."""
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

        def stop():
            process.terminate()
            process.communicate(timeout=PATIENCE)

        self.addCleanup(stop)
        return process

    def peer(self, verb, target):
        """Starts ours, and waits for the line that says that it is there."""
        process = self.start([os.environ["WRPC_PEER"], verb, str(self.port), target])
        return process.stdout.readline().strip()

    def output(self, *command, **more):
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, **more)
        self.assertEqual(done.returncode, 0, (command, done.stdout, done.stderr))
        return done.stdout


class RustTest(Case):
    tool = "wrpc-rust"

    def test_their_caller_our_callee(self):
        self.assertEqual(self.peer("serve", "echo"), "serving")
        expected = ('mirror ok\nunserved true\n/whole 200 Some("5")\n[b"whole"]\n/nothing 204 None\n[]\n')
        output = self.output(TOOLS[self.tool], "call", str(self.port), "echo")
        for size in (0, 5, 3000000):
            # An answer that is whole before its head leaves says how long it is.
            output = output.replace(f"header content-length {size}\n", "")
            expected += ("status 200\nheader x-method PUT\nheader x-target /p?q=1\nheader x-authority example.com:81\n"
                         f'body {size} true\ntrailers Some("{size}")\n')
        self.assertEqual(output, expected)

    def rust_serves(self):
        self.assertEqual(self.start([TOOLS[self.tool], "serve", str(self.port), "rust"]).stdout.readline(), "serving\n")

    def test_our_caller_their_callee(self):
        self.rust_serves()
        self.assertEqual(self.output(os.environ["WRPC_PEER"], "call", str(self.port), "rust"), "mirror ok\n")

    def test_their_caller_our_streams(self):
        self.assertEqual(self.peer("serve", "blobs"), "serving")
        self.assertEqual(self.output(TOOLS[self.tool], "stream", str(self.port), "blobs"),
                         'wrote Err("0")\nwrote Err("5")\nwrote Err("3000000")\n'
                         'listed 0 to None, Ok(())\nlisted 1000 to Some("n999"), Ok(())\n'
                         'got 0, Ok(())\ngot 3000000, Ok(())\nmissing: Some("no such object")\n')

    def our_streams(self):
        self.assertEqual(self.output(os.environ["WRPC_PEER"], "stream", str(self.port), "rust"),
                         "wrote 0\nwrote 5\nwrote 3000000\nlisted 0 to nothing, ok\nlisted 1000 to n999, ok\n"
                         "got 0, ok\ngot 3000000, ok\nmissing: no such object\n")

    def test_our_caller_their_streams(self):
        self.rust_serves()
        self.our_streams()

    def test_our_caller_our_streams(self):
        self.assertEqual(self.peer("serve", "rust"), "serving")
        self.our_streams()

    def test_our_forward_their_handler(self):
        self.rust_serves()
        front = http.client.HTTPConnection("127.0.0.1", int(self.peer("forward", "rust").split()[-1]), timeout=PATIENCE)
        self.addCleanup(front.close)
        for method, body in (("GET", None), ("POST", b"abc"), ("POST", b"x" * 3_000_000),
                             ("PUT", iter([b"in ", b"pieces"]))):
            front.request(method, "/p?q=1", body=body, headers={"X-A": "1"})
            response = front.getresponse()
            received = response.read()
            self.assertEqual((response.status, response.headers["x-method"]), (201, method))
            self.assertTrue(response.headers["x-uri"].endswith("/p?q=1"), response.headers["x-uri"])
            self.assertEqual(received, b"in pieces" if method == "PUT" else body or b"")
        front.request("GET", "/error")
        response = front.getresponse()
        self.assertEqual((response.status, response.read()), (500, b"Internal Server Error\n"))

    def test_our_forward_their_handler_with_trailers(self):
        self.rust_serves()
        front = int(self.peer("forward", "rust").split()[-1])
        with socket.create_connection(("127.0.0.1", front), timeout=PATIENCE) as client:
            client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
                           b"5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n")
            received = b""
            while not received.endswith(b"0\r\nx-sum: 5\r\n\r\n"):
                more = client.recv(65536)
                self.assertTrue(more, received)
                received += more
            self.assertIn(b"hello", received)


class WashTest(Case):
    tool = "wash"

    def test_call(self):
        self.assertEqual(self.peer("serve", "echo"), "serving")
        text = self.output(TOOLS[self.tool], "call", "echo", "wrpc:http/incoming-handler.handle", "--rpc-port",
                           str(self.port), "--http-method", "POST", "--http-body", "hello", "-o", "json",
                           env={**os.environ, "HOME": self.folder})
        response = json.loads(text)["response"]
        self.assertEqual((response["status"], response["body"]), (200, "hello"))


if __name__ == "__main__":
    unittest.main()
