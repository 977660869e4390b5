# SPDX-License-Identifier: Apache-2.0
"""The hello of every language, built by its own tools: one command, and it answers."""

import wisp


class Hello(wisp.Case):
    def check(self, name, text):
        server = self.serve(wisp.guest(name), "--workers", "1")
        response = server.get()
        self.assertEqual((response.status, response.body), (200, text.encode()))
        self.assertEqual(response.header("content-type"), "text/plain")
        self.assertIn("GMT", response.header("date"))

        head = server.get(method="HEAD")
        self.assertEqual((head.status, head.body), (200, b""))

        # One connection, one request after the other, then many at once without waiting.
        client = server.client()
        for _ in range(5):
            self.assertEqual(client.request().body, text.encode())
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n" * 20)
        for _ in range(20):
            self.assertEqual(client.response().body, text.encode())
        server.stop()

    def test_rust(self):
        self.check("http-hello-rust", "Hello from Rust!\n")

    def test_c(self):
        self.check("http-hello-c", "Hello from C!\n")

    def test_go(self):
        self.check("http-hello-go", "Hello from Go!\n")

    def test_javascript(self):
        self.check("http-hello-js", "Hello from JavaScript!\n")

    def test_python(self):
        self.check("http-hello-python", "Hello from Python!\n")

    def test_text_component(self):
        server = self.serve(self.http_component("ok"))
        self.assertEqual(server.get("/ok").body, b"ok\n")
        self.assertEqual(server.get("/").body, b"faulty\n")
        server.stop()


if __name__ == "__main__":
    wisp.main()
