# SPDX-License-Identifier: Apache-2.0
"""A file server by HTTP to a component, by its link to a store of each kind.

    BLOBSTORE_S3_TEST, BLOBSTORE_AZURE_TEST   the unit tests of these kinds, which want a real server for some of their
                                              tests"""

import json
import os
import random
import subprocess
import unittest

import azurite
import hosts
import lattice
import s3
import wisp

LARGE = 32 << 20


class BlobstoreTest(hosts.ByVerbs):
    def start(self):
        self.start_served("blobstore-rust", "files", 20)

    def link(self, kind, *flags):
        self.ok("start", "provider", f"wisp://{kind}", "store")
        self.ok("link", "put", "files", "store", "wasi", "blobstore", "--interface", "blobstore", *flags)

    def link_s3(self, server, **more):
        settings = {"access_key_id": "key", "secret_access_key": "secret", "endpoint": server.url, **more}
        self.ok("config", "put", "s3", "config_json=" + json.dumps(settings), "alias_nick=proper-name")
        self.link("blobstore-s3", "--target-config", "s3")

    def ask(self, method, path, body=b"", headers=()):
        with wisp.Client(self.address) as client:
            response = client.request(method, path, [("connection", "close"), *headers], body)
        return response.status, response.body

    def text(self, method, path, body=b"", headers=()):
        status, body = self.ask(method, path, body, headers)
        return status, body.decode()

    def wait_for_store(self):
        def answers():
            try:
                return self.ask("GET", "/nothing")[0] == 404
            except (OSError, wisp.Broken):
                return False

        wisp.wait_for(answers, f"the store; log: {self.host.log[-3000:]}")

    def check_store(self):
        self.assertEqual(self.text("PUT", "/box"), (200, "done"))
        self.assertEqual(self.text("GET", "/box"), (200, ""))
        self.assertEqual(self.text("GET", "/box/a"), (404, "no such object"))
        self.assertEqual(self.text("PUT", "/box/a", b"hello"), (201, "5 bytes"))
        self.assertEqual(self.text("GET", "/box/a"), (200, "hello"))
        self.assertEqual(self.text("GET", "/box/a", headers=[("range", "bytes=1-2")]), (200, "el"))
        self.assertEqual(self.text("GET", "/box/a?info"), (200, "box/a 5 bytes"))
        self.assertEqual(self.text("PUT", "/box/empty", b""), (201, "0 bytes"))
        self.assertEqual(self.text("POST", "/box/a?copy=b"), (200, "done"))
        self.assertEqual(self.text("POST", "/box/b?move=c"), (200, "done"))
        self.assertEqual(self.text("GET", "/box"), (200, "a\nc\nempty"))
        self.assertEqual(self.text("DELETE", "/box/a"), (200, "done"))
        self.assertEqual(self.text("DELETE", "/box/a"), (200, "done"))
        self.assertEqual(self.text("GET", "/box/c"), (200, "hello"))
        large = random.Random(1).randbytes(LARGE)
        self.assertEqual(self.text("PUT", "/box/large", large), (201, f"{LARGE} bytes"))
        status, body = self.ask("GET", "/box/large")
        self.assertEqual(status, 200)
        self.assertTrue(body == large, len(body))
        self.assertEqual(self.text("DELETE", "/box?clear"), (200, "done"))
        self.assertEqual(self.text("GET", "/box"), (200, ""))
        self.assertEqual(self.text("DELETE", "/box"), (200, "done"))
        self.assertEqual(self.text("GET", "/box")[0], 404)

    def check_broken_upload(self):
        """A client that goes away in the middle leaves what was there."""
        self.assertEqual(self.text("PUT", "/kept"), (200, "done"))
        self.assertEqual(self.text("PUT", "/kept/a", b"before"), (201, "6 bytes"))
        client = wisp.Client(self.address)
        client.request("PUT", "/kept/a", [("content-length", str(LARGE))], bytes(LARGE // 2), read=False)
        client.reset()
        self.assertEqual(self.text("GET", "/kept/a"), (200, "before"))

    def test_files(self):
        self.start()
        self.ok("config", "put", "files", f"root={self.path('blobs')}")
        self.link("blobstore-fs", "--target-config", "files")
        self.wait_for_store()
        self.check_store()
        self.check_broken_upload()
        self.assertEqual(self.text("PUT", "/kept/deep/er", b"x"), (201, "1 bytes"))
        with open(self.path("blobs/kept/deep/er")) as file:
            self.assertEqual(file.read(), "x")
        self.assertEqual(self.text("PUT", "/kept/../../escaped", b"x")[0], 502)
        self.assertEqual(self.text("GET", "/kept//etc/passwd")[0], 502)
        wisp.wait_for(lambda: not os.listdir(self.path("blobs/.wisp-uploads")), "the end of what was broken off")
        self.host.stop()

    def test_files_are_there_after_a_restart_of_the_host(self):
        self.start()
        self.link("blobstore-fs")
        self.wait_for_store()
        self.assertEqual(self.text("PUT", "/box"), (200, "done"))
        self.assertEqual(self.text("PUT", "/box/a", b"kept"), (201, "4 bytes"))
        self.host.kill()
        self.host = self.lattice.host()
        self.wait_for_store()
        self.assertEqual(self.text("GET", "/box/a"), (200, "kept"))
        self.host.stop()

    def test_s3(self):
        server = s3.Server(self)
        self.start()
        self.link_s3(server)
        self.wait_for_store()
        self.check_store()
        self.check_broken_upload()
        self.assertEqual(self.text("PUT", "/nick"), (200, "done"))
        self.assertEqual(self.text("GET", "/proper-name"), (200, ""))
        self.host.stop()

    def test_azure(self):
        server = azurite.Server(self)
        self.start()
        self.ok("config", "put", "azure", f"STORAGE_ACCOUNT={azurite.ACCOUNT}", f"STORAGE_ACCESS_KEY={azurite.KEY}",
                f"CLOUD_LOCATION={server.url}")
        self.link("blobstore-azure", "--target-config", "azure")
        self.wait_for_store()
        self.check_store()
        self.check_broken_upload()
        self.host.stop()

    def test_nats(self):
        """By the image's name, which is the built-in one."""
        nats = lattice.NatsServer(self, "-js", "-sd", self.path("jetstream"))
        self.start()
        self.ok("config", "put", "nats", f"cluster_uri=nats://127.0.0.1:{nats.port}", "storage_type=memory")
        self.ok("start", "provider", "ghcr.io/wasmcloud/blobstore-nats:0.1.0", "store")
        self.ok("link", "put", "files", "store", "wasi", "blobstore", "--interface", "blobstore", "--target-config",
                "nats")
        self.wait_for_store()
        self.check_store()
        self.check_broken_upload()
        self.host.stop()

    def test_s3_goes_away(self):
        server = s3.Server(self)
        self.start()
        self.link_s3(server, max_attempts=1)
        self.wait_for_store()
        self.assertEqual(self.text("PUT", "/box"), (200, "done"))
        self.assertEqual(self.text("PUT", "/box/large", bytes(LARGE)), (201, f"{LARGE} bytes"))
        # In the middle of an upload, and of a download.
        uploading, downloading = wisp.Client(self.address), wisp.Client(self.address)
        uploading.request("PUT", "/box/new", [("content-length", str(LARGE))], bytes(LARGE // 2), read=False)
        downloading.request("GET", "/box/large", read=False)
        downloading.exactly(1 << 20)
        server.kill()
        try:
            uploading.send(bytes(LARGE - LARGE // 2))
            self.assertEqual(uploading.response("PUT").status, 502)
        except (OSError, wisp.Broken):
            pass
        with self.assertRaises((OSError, wisp.Broken)):
            while True:
                downloading.exactly(1 << 20)
        uploading.close()
        downloading.close()
        self.assertEqual(self.ask("GET", "/box")[0], 502)
        server.start()
        self.assertEqual(self.text("PUT", "/box"), (200, "done"))
        self.assertEqual(self.text("PUT", "/box/a", b"again"), (201, "5 bytes"))
        self.host.stop()

    def test_a_store_on_another_host(self):
        """The provider is in a process of another host: streams go over the bus."""
        self.start()
        other = self.lattice.host()
        self.ok("config", "put", "files", f"root={self.path('blobs')}")
        self.ok("start", "provider", "wisp://blobstore-fs", "store", "--host-id", other.id)
        self.ok("link", "put", "files", "store", "wasi", "blobstore", "--interface", "blobstore", "--target-config",
                "files")
        self.wait_for_store()
        self.check_store()
        self.host.stop()
        other.stop()


class KindTest(wisp.Case):
    """What every kind must do."""

    def run_kind(self, name, env):
        done = subprocess.run([os.environ[name], "real_"], capture_output=True, text=True, env={**os.environ, **env},
                              timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("skip", done.stdout)

    @unittest.skipUnless("BLOBSTORE_S3_TEST" in os.environ, "BLOBSTORE_S3_TEST is not set")
    def test_s3(self):
        self.run_kind("BLOBSTORE_S3_TEST", {"WISP_S3_ENDPOINT": s3.Server(self).url})

    @unittest.skipUnless("BLOBSTORE_AZURE_TEST" in os.environ, "BLOBSTORE_AZURE_TEST is not set")
    def test_azure(self):
        self.run_kind("BLOBSTORE_AZURE_TEST", {"WISP_AZURE_ENDPOINT": azurite.Server(self).url,
                                               "WISP_AZURE_ACCOUNT": azurite.ACCOUNT,
                                               "WISP_AZURE_KEY": azurite.KEY})
