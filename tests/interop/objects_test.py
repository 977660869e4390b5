# SPDX-License-Identifier: Apache-2.0
"""wisp://blobstore-nats and other clients of object stores, in the same buckets.

    NATS_PY   a Python with nats-py
    NATS_CLI  the command line `nats`
"""

import base64
import hashlib
import json
import os
import random
import subprocess
import sys
import unittest

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "e2e"))

import hosts
import lattice
import wisp

SIZE = (3 << 20) + 5


class ObjectsTest(hosts.ByVerbs):
    def setUp(self):
        super().setUp()
        for name in "NATS_PY", "NATS_CLI":
            if not os.environ.get(name):
                raise unittest.SkipTest(f"{name} is not set: tests/interop/with nats-py nats-cli -- ...")

    def start(self):
        nats = lattice.NatsServer(self, "-js", "-sd", self.path("jetstream"))
        self.url = f"nats://127.0.0.1:{nats.port}"
        self.start_served("blobstore-rust", "files", 20)
        self.ok("config", "put", "nats", f"cluster_uri={self.url}")
        self.ok("start", "provider", "wisp://blobstore-nats", "store")
        self.ok("link", "put", "files", "store", "wasi", "blobstore", "--interface", "blobstore", "--target-config",
                "nats")

        def answers():
            try:
                return self.ask("GET", "/nothing")[0] == 404
            except (OSError, wisp.Broken):
                return False

        wisp.wait_for(answers, f"the store; log: {self.host.log[-3000:]}")

    def ask(self, method, path, body=b""):
        with wisp.Client(self.address) as client:
            response = client.request(method, path, [("connection", "close")], body)
        return response.status, response.body

    def run_peer(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**self.env, "NATS_URL": self.url})
        self.assertEqual(done.returncode, 0, (command, done.stdout, done.stderr))
        return done.stdout

    def python(self, *args):
        return self.run_peer(os.environ["NATS_PY"], os.path.join(here, "objects_peer.py"), self.url, *args)

    def cli(self, *args):
        return self.run_peer(os.environ["NATS_CLI"], "object", *args)

    def test_theirs_and_ours(self):
        self.start()
        data = random.Random(1).randbytes(SIZE)
        with open(self.path("data"), "wb") as file:
            file.write(data)
        # A bucket of ours, and one of theirs.
        self.assertEqual(self.ask("PUT", "/ours"), (200, b"done"))
        self.cli("add", "theirs")
        for bucket in "ours", "theirs":
            with self.subTest(bucket=bucket):
                self.assertEqual(self.ask("PUT", f"/{bucket}/wisp/deep", data), (201, f"{SIZE} bytes".encode()))
                self.assertEqual(self.ask("PUT", f"/{bucket}/empty", b""), (201, b"0 bytes"))
                self.python("put", bucket, "python", self.path("data"))
                self.cli("put", "--name", "cli", "--no-progress", "--force", bucket, self.path("data"))
                names = ["cli", "empty", "python", "wisp/deep"]
                self.assertEqual(json.loads(self.python("names", bucket)), names)
                self.assertEqual(self.ask("GET", f"/{bucket}")[1].decode().split(), names)
                listed = self.cli("ls", bucket)
                for name in names:
                    self.assertIn(name, listed)
                # Everyone reads everything, and checks its digest.
                for name in "cli", "python", "wisp/deep":
                    self.assertTrue(self.ask("GET", f"/{bucket}/{name}") == (200, data), name)
                    self.python("get", bucket, name, self.path("by-python"))
                    self.cli("get", "--output", self.path("by-cli"), "--no-progress", "--force", bucket, name)
                    for by in "by-python", "by-cli":
                        with open(self.path(by), "rb") as file:
                            self.assertTrue(file.read() == data, (by, name))
                digest = "SHA-256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
                for name in "cli", "python", "wisp/deep":
                    info = json.loads(self.python("info", bucket, name))
                    self.assertEqual([info[0], info[1], info[3]], [name, SIZE, digest])
                # What one removes or replaces is gone for all.
                self.python("delete", bucket, "cli")
                self.assertEqual(self.ask("GET", f"/{bucket}/cli")[0], 404)
                self.assertEqual(self.ask("DELETE", f"/{bucket}/python"), (200, b"done"))
                self.assertEqual(json.loads(self.python("names", bucket)), ["empty", "wisp/deep"])
                self.assertEqual(self.ask("PUT", f"/{bucket}/cli", b"again"), (201, b"5 bytes"))
                self.python("get", bucket, "cli", self.path("by-python"))
                with open(self.path("by-python"), "rb") as file:
                    self.assertEqual(file.read(), b"again")
                self.python("put", bucket, "wisp/deep", self.write("small", "small"))
                self.assertEqual(self.ask("GET", f"/{bucket}/wisp/deep"), (200, b"small"))
        self.host.stop()


if __name__ == "__main__":
    wisp.main()
