# SPDX-License-Identifier: Apache-2.0
"""Two components composed into one: calls between them cross two memories, and all that the platform gives is empty."""

import subprocess

import wisp


class Composed(wisp.Case):
    def setUp(self):
        super().setUp()
        file = self.path("composed.wasm")
        subprocess.run([wisp.wasm_tools(), "compose", wisp.guest("front-rust"), "-d", wisp.guest("calc-rust"), "-o", file],
                       check=True, capture_output=True)
        self.server = self.serve(file, "--workers", "1")

    def check(self, path, status, text):
        response = self.server.get(path)
        self.assertEqual((response.status, response.body.decode()), (status, text + "\n"), path)

    def test_values_pass(self):
        self.check("/add?a=40&b=2", 200, "42")
        self.check("/concat?part=a&part=b&part=%E2%98%83", 200, "ab\u2603")
        self.check("/echo?name=n&price=1.5&tag=x&tag=y&note=z", 200,
                   'Item { name: "n", price: 1.5, tags: ["x", "y"], note: Some("z") }')
        self.check("/describe?radius=2&perm=read&perm=admin&mark=%E2%98%83", 200,
                   f"\u2603 circle of 2 [read admin] {list(range(26))}")
        self.check("/describe?text=t", 200, f"- text `t` [] {list(range(13))}")
        self.check("/fail?reason=why+not", 422, "why not")
        self.check("/fail", 200, "42")
        self.check("/sleep?ms=10", 200, "slept")

    def test_inner_instance_lives_as_long_as_the_request(self):
        self.check("/count", 200, "1 2")
        self.check("/count", 200, "1 2")

    def test_inner_trap_ends_the_request(self):
        self.assertEqual(self.server.get("/trap").status, 500)
        self.check("/add?a=1&b=1", 200, "2")

    def test_nothing_is_configured(self):
        self.check("/config?key=k", 404, "no configuration `k`")
        self.check("/config", 200, "")
        self.check("/secret?name=s", 404, "no such secret")
        self.check("/link?name=other", 409, "interface `acme:calc/ops` has no link named `other`")
        self.check("/log?level=warn&context=c&message=hello+there", 200, "logged")
        self.server.wait_for_log('message="hello there" context=c')

    def test_missing_component_is_named(self):
        error = self.fails(wisp.EXIT["not-found"], "run", wisp.guest("front-rust"))
        self.assertIn("acme:calc/ops@0.1.0", error)
