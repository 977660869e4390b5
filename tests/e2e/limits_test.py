# SPDX-License-Identifier: Apache-2.0
"""Every limit that a flag sets is kept."""

import time

import wisp


class Limits(wisp.Case):
    def echo(self, *args):
        return self.serve(wisp.guest("http-echo-rust"), "--workers", "1", *args)

    def test_body(self):
        server = self.echo("--max-body", "1000")
        self.assertEqual(server.get(method="POST", body=b"x" * 1000).body, b"x" * 1000)
        self.assertEqual(server.get(method="POST", body=b"x" * 1001).status, 413)
        server.stop()

    def test_time(self):
        server = self.echo("--timeout", "500ms")
        self.assertEqual(server.get("/sleep?ms=50").status, 200)
        self.assertEqual(server.get("/sleep?ms=60000").status, 504)
        self.assertEqual(server.get("/spin?ms=60000").status, 504)
        self.assertIn("level=error", server.log)
        server.stop()

    def test_time_in_the_middle_of_the_response(self):
        server = self.echo("--timeout", "1s")
        client = server.client()
        client.request("POST", "/", [("transfer-encoding", "chunked")], read=False)
        client.chunk(b"begun")
        self.assertEqual(client.head()[0], 200)
        self.assertEqual(client.read_chunk(), b"begun")
        with self.assertRaises(wisp.Broken):
            client.read_chunk()
        server.stop()

    def test_memory(self):
        server = self.serve(self.http_component("grow"), "--workers", "1", "--max-memory", "8M")
        self.assertLessEqual(int(server.get("/").body), 8)
        server.stop()

    def test_memory_too_little_to_start(self):
        error = self.fails(wisp.EXIT["limit"], "run", "--max-memory", "64K", "--addr", "127.0.0.1:0",
                           wisp.guest("http-hello-rust"))
        self.assertIn("64 KiB", error)

    def test_instances(self):
        server = self.echo("--max-instances", "1")
        clients = [server.client() for _ in range(3)]
        start = time.monotonic()
        for client in clients:
            client.request("GET", "/sleep?ms=300", read=False)
        for client in clients:
            self.assertEqual(client.response().status, 200)
        self.assertGreaterEqual(time.monotonic() - start, 0.9)
        server.stop()

    def test_queue(self):
        """What neither runs nor fits into the queue is told to come back later."""
        server = self.echo("--max-instances", "1")
        first = server.client()
        first.request("GET", "/sleep?ms=3000", read=False)
        time.sleep(0.2)
        clients = [server.client() for _ in range(1005)]
        for client in clients:
            client.request("GET", "/status/200", read=False)
        responses = [client.response() for client in clients]
        refused = [response for response in responses if response.status == 503]
        self.assertEqual(len(refused), 5)
        self.assertTrue(all(response.header("retry-after") for response in refused))
        self.assertEqual({response.status for response in responses}, {200, 503})
        server.stop()


if __name__ == "__main__":
    wisp.main()
