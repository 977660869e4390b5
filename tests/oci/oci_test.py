# SPDX-License-Identifier: Apache-2.0
"""Fetching from a real registry: with and without accounts, through breaking networks, from the cache.

    FETCH_TOOL   the program under test (fetch_tool.c)

What is in fixtures/ was signed and packed by wasmCloud's own crates (wascap 0.15.3, provider-archive 0.15.0)."""

import base64
import collections
import glob
import json
import os
import random
import shutil
import ssl
import subprocess
import tempfile
import threading
import unittest

import registry
from registry import digest

HERE = os.path.dirname(os.path.abspath(__file__))
TOOL = os.environ.get("FETCH_TOOL", "")
PATIENCE = 120


def fixture(name):
    with open(os.path.join(HERE, "fixtures", name), "rb") as file:
        return file.read()


def component(size, seed=1):
    """A component with a custom section of random bytes."""
    data = random.Random(seed).randbytes(size)
    section = b"\3pad" + data
    length, n = b"", len(section)
    while True:
        length += bytes([n & 0x7f | (0x80 if n > 0x7f else 0)])
        n >>= 7
        if not n:
            return b"\0asm\x0d\0\1\0" + b"\0" + length + section


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.cache = os.path.join(self.folder, "cache")
        self.env = {"PATH": os.environ["PATH"], "HOME": self.folder}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def tool(self, *arguments):
        done = subprocess.run([TOOL, self.cache, *arguments], capture_output=True, text=True, env=self.env, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def fetch(self, *arguments):
        results = self.tool(*arguments)
        self.assertEqual(len(results), 1, results)
        return results[0]

    def check_fails(self, kind, words, *arguments):
        result = self.fetch(*arguments)
        self.assertEqual(result.get("error"), kind, result)
        self.assertIn(words, result["text"])
        return result

    def check_is(self, result, data, from_cache=False):
        self.assertNotIn("error", result, result)
        with open(result["path"], "rb") as file:
            self.assertEqual(file.read(), data)
        self.assertEqual((result["digest"], result["size"], result["from_cache"]), (digest(data), len(data), from_cache))

    def blobs(self):
        return sorted(os.listdir(os.path.join(self.cache, "blobs")))

    def check_no_parts(self):
        self.assertEqual(glob.glob(self.cache + "/*/.part*"), [])

    def file(self, name, data, mode=0o644):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, mode)
        return path

    def registry(self, **options):
        folder = tempfile.mkdtemp(dir=self.folder)
        made = registry.Registry(folder, **options)
        self.addCleanup(made.stop)
        return made

    def proxy_of(self, upstream):
        proxy = registry.Proxy(upstream.address)
        self.addCleanup(proxy.stop)
        return proxy


class Files(Case):
    def test_component(self):
        path = self.file("a b.wasm", fixture("signed.wasm"))
        for reference in (path, "file://" + path.replace(" ", "%20"), "file://localhost" + path):
            result = self.fetch("--files", "component", reference)
            self.assertEqual(result["path"], path)
            self.check_is(result, fixture("signed.wasm"))
            self.assertNotIn("manifest", result)
        self.assertEqual(result["claims"], {
            "issuer": "ABXHUHG5FGYLPD6RHL2MKWMP572O6KUXCZXDZJXS4T57ZTMAKBN7DAQI",
            "subject": "MCFIOX77D2ZYIUKXPLGVV7XEAVCWK2G5PSE6BEEGHICVPPD26SPRO546",
            "name": "Signed", "version": "1.2.3", "call_alias": "an/alias", "revision": 4, "tags": ["one", "two"]})

    def test_signed_by_other_ways(self):
        for name, revision in (("signed_twice.wasm", 5), ("signed_loose.wasm", 4)):
            result = self.fetch("--files", "component", self.file(name, fixture(name)))
            self.assertEqual(result["claims"]["revision"], revision)
        self.assertNotIn("claims", self.fetch("--files", "component", self.file("p.wasm", fixture("plain.wasm"))))

    def test_bad_claims(self):
        for name, kind, words in (("expired.wasm", "denied", "expired"), ("early.wasm", "denied", "are valid in"),
                                  ("changed.wasm", "denied", "its hash is another")):
            self.check_fails(kind, words, "--files", "component", self.file(name, fixture(name)))
        signed = bytearray(fixture("signed.wasm"))
        signed[-10] = ord("A") if signed[-10] != ord("A") else ord("B")
        self.check_fails("denied", "signature", "--files", "component", self.file("forged.wasm", signed))

    def test_refused(self):
        path = self.file("x.wasm", b"text")
        self.check_fails("denied", "not allowed", "component", path)
        self.check_fails("denied", "not allowed", "component", "file://" + path)
        self.check_fails("invalid", "not a WebAssembly binary", "--files", "component", path)
        self.check_fails("not-found", "No such file", "--files", "component", path + "x")
        self.check_fails("invalid", "not a regular file", "--files", "component", self.folder)
        os.mkfifo(path + ".fifo")
        self.check_fails("invalid", "not a regular file", "--files", "component", path + ".fifo")
        self.check_fails("limit", "larger than 3", "--files", "--size-max", "3", "component", path)
        self.check_fails("invalid", "path is not absolute", "--files", "component", "file://x.wasm")

    def check_provider(self, reference, *arguments):
        result = self.fetch(*arguments, "provider", reference)
        self.assertNotIn("error", result)
        self.assertEqual(subprocess.check_output([result["path"]]), b"the provider runs\n")
        self.assertEqual(os.stat(result["path"]).st_mode & 0o7777, 0o755)
        self.assertEqual(result["claims"], {
            "issuer": "ABXHUHG5FGYLPD6RHL2MKWMP572O6KUXCZXDZJXS4T57ZTMAKBN7DAQI",
            "subject": result["claims"]["subject"], "name": "Test Provider", "version": "0.1.0", "vendor": "ACME",
            "config_schema": '{"type":"object"}', "revision": 3, "tags": []})
        self.check_no_parts()
        return result

    def test_provider(self):
        for name in ("provider.par", "provider.par.gz"):
            self.check_provider(self.file(name, fixture(name)), "--files")

    def test_provider_in_no_archive(self):
        path = self.file("program", b"#!/bin/sh\necho plain\n", 0o755)
        result = self.fetch("--files", "provider", path)
        self.assertEqual((result["path"], result["digest"]), (path, digest(b"#!/bin/sh\necho plain\n")))
        os.chmod(path, 0o644)
        self.check_fails("invalid", "neither a provider archive nor executable", "--files", "provider", path)

    def test_provider_of_other_machines(self):
        path = self.file("elsewhere.par.gz", fixture("elsewhere.par.gz"))
        self.check_fails("not-found", "but for: s390x-linux", "--files", "provider", path)

    def test_damaged_archives(self):
        data = fixture("provider.par.gz")
        self.check_fails("invalid", "provider archive", "--files", "provider", self.file("cut.par.gz", data[:len(data) // 2]))
        data = bytearray(fixture("provider.par"))
        at = data.index(b"the provider runs")
        data[at:at + 3] = b"THE"
        self.check_fails("invalid", "not what its claims were signed for", "--files", "provider", self.file("x.par", data))
        self.check_no_parts()


class Open(Case):
    """A registry that lets everybody in, by plain HTTP."""

    def setUp(self):
        super().setUp()
        self.server = self.registry()
        self.proxy = self.proxy_of(self.server)
        self.options = ["--insecure", self.proxy.address]

    def reference(self, rest):
        return f"{self.proxy.address}/{rest}"

    def stall(self, after):
        """Layers of more than so many bytes stop there."""
        free = threading.Event()
        self.addCleanup(free.set)

        def rule(handler, response):
            if "/blobs/" not in handler.path or len(response[2]) <= after:
                return False
            self.proxy.send(handler, 200, {"Content-Length": str(len(response[2]))}, response[2], after)
            handler.wfile.flush()
            free.wait(PATIENCE)
            return True

        self.proxy.rules.append(rule)


class Plain(Open):
    def test_component(self):
        data = fixture("signed.wasm")
        pushed = self.server.push("test/signed", "1.0", data)
        result = self.fetch(*self.options, "component", self.reference("test/signed:1.0"))
        self.check_is(result, data)
        self.assertEqual(result["manifest"], pushed["digest"])
        self.assertEqual(result["claims"]["name"], "Signed")
        self.assertEqual(os.stat(result["path"]).st_mode & 0o777, 0o600)
        for spelling in ("oci://", "https://", "http://"):
            result = self.fetch(*self.options, "component", spelling + self.reference("Test/Signed:1.0"))
            self.check_is(result, data)
        self.assertEqual(len(self.proxy.paths("/blobs/")), 1)  # the others asked only what the tag is
        self.check_no_parts()

    def test_provider(self):
        self.server.push("test/par", "1", fixture("provider.par.gz"), registry.PAR)
        Files.check_provider(self, self.reference("test/par:1"), *self.options)
        result = self.fetch(*self.options, "file", self.reference("test/par:1"))
        self.check_is(result, fixture("provider.par.gz"))
        self.assertNotIn("claims", result)

    def test_layer_types(self):
        data = fixture("plain.wasm")
        for i, media_type in enumerate((registry.WASM, registry.OLD_WASM, "application/vnd.oci.image.layer.v1.tar")):
            self.server.push("types", str(i), data, media_type)
            self.check_is(self.fetch(*self.options, "component", self.reference(f"types:{i}")), data)
        self.server.push("types", "par", data, registry.PAR)
        self.check_fails("invalid", "is a provider", *self.options, "component", self.reference("types:par"))
        self.check_fails("invalid", "is a component", *self.options, "provider", self.reference("types:0"))
        self.server.push("types", "text", data, "text/plain")
        self.check_fails("invalid", "text/plain", *self.options, "component", self.reference("types:text"))
        self.server.push("types", "two", [data, data + b"\0\1\0"])
        self.check_fails("invalid", "2 layers", *self.options, "component", self.reference("types:two"))
        self.server.push("types", "docker", data, manifest_type=registry.DOCKER_MANIFEST)
        self.check_is(self.fetch(*self.options, "component", self.reference("types:docker")), data)

    def test_indexes(self):
        wasm, other = fixture("plain.wasm"), component(10)
        entries = [(self.server.push("index", None, other), "linux/amd64"), (self.server.push("index", None, wasm), "wasip2/wasm")]
        top = self.server.push_index("index", "1", entries)
        result = self.fetch(*self.options, "component", self.reference("index:1"))
        self.check_is(result, wasm)
        self.assertEqual(result["manifest"], top["digest"])
        self.server.push_index("index", "none", entries[:1])
        self.check_fails("not-found", "linux/amd64", *self.options, "component", self.reference("index:none"))
        par = self.server.push("index", None, fixture("provider.par.gz"), registry.PAR, registry.DOCKER_MANIFEST)
        wrong = self.server.push("index", None, fixture("elsewhere.par.gz"), registry.PAR, registry.DOCKER_MANIFEST)
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
        self.server.push_index("index", "par", [(wrong, "linux/s390x"), (par, "linux/" + machine)], registry.DOCKER_LIST)
        Files.check_provider(self, self.reference("index:par"), *self.options)

    def test_digests(self):
        data = component(1000)
        pinned = self.reference("pinned@" + self.server.push("pinned", "1", data)["digest"])
        self.check_is(self.fetch(*self.options, "component", pinned), data)
        asked = len(self.proxy.log)
        self.check_is(self.fetch(*self.options, "component", pinned), data)
        self.assertEqual(len(self.proxy.log), asked)  # all of it was there
        self.check_fails("not-found", "no such artifact", *self.options, "component", self.reference("pinned@sha256:" + 64 * "0"))

    def test_names(self):
        data = component(10)
        self.server.push("names", "latest", data)
        self.server.push("names", "rc1", data)
        self.check_fails("denied", "`latest`", *self.options, "component", self.reference("names"))
        self.check_fails("denied", "`latest`", *self.options, "component", self.reference("names:latest"))
        self.check_is(self.fetch(*self.options, "--latest", "component", self.reference("names")), data)
        # Other tools push every reference in lower case; a tag in upper case is another one, where it exists.
        self.check_is(self.fetch(*self.options, "component", self.reference("names:RC1")), data)
        other = component(20)
        self.server.push("names", "RC1", other)
        self.check_is(self.fetch(*self.options, "component", self.reference("names:RC1")), other)
        self.check_fails("not-found", "no such artifact", *self.options, "component", self.reference("names:none"))
        self.check_fails("not-found", "no such artifact", *self.options, "component", self.reference("nowhere:1"))
        self.check_fails("invalid", "tag is not valid", "component", self.reference("names:-"))

    def test_not_insecure_means_tls(self):
        self.check_fails("unavailable", "https://", "component", self.reference("names:1"))
        self.assertEqual(self.proxy.log, [])

    def test_many_at_once(self):
        references = []
        for i in range(40):
            self.server.push("many", str(i), component(2000, i))
            references.append(self.reference(f"many:{i}"))
        results = self.tool(*self.options, "--parallel", "3", "component", *references)
        self.assertEqual(sorted(result["reference"] for result in results), sorted(references))
        for result in results:
            self.check_is(result, component(2000, int(result["reference"].rpartition(":")[2])))

    def test_shared(self):
        self.server.push("shared", "1", component(100000))
        results = self.tool(*self.options, "component", *30 * [self.reference("shared:1")])
        self.assertEqual(len(results), 30)
        for result in results:
            self.check_is(result, component(100000))
        self.assertEqual((len(self.proxy.paths("/manifests/")), len(self.proxy.paths("/blobs/"))), (1, 1))

    def test_size_limit(self):
        self.server.push("large", "1", component(5000))
        self.check_fails("limit", "more than 4000", *self.options, "--size-max", "4000", "component", self.reference("large:1"))
        self.assertEqual(self.proxy.paths("/blobs/"), [])

    def test_cancel(self):
        self.server.push("cancel", "1", component(100000))
        self.server.push("cancel", "2", component(10))
        self.stall(5000)
        results = self.tool(*self.options, "--parallel", "1", "--cancel", "1", "component", self.reference("cancel:1"),
                            self.reference("cancel:2"))
        self.assertEqual(results[0]["cancelled"], True)
        self.check_is(results[1], component(10))
        self.check_no_parts()

    def test_end_of_the_client(self):
        self.server.push("end", "1", component(100000))
        self.stall(5000)
        references = [self.reference(name) for name in ("end:1", "end:2", "end:1")]
        self.assertEqual(len(self.tool(*self.options, "--quit-ms", "500", "component", *references)), 1)  # that of end:2
        self.check_no_parts()
        path = self.file("large.par.gz", fixture("provider.par.gz"))
        self.tool("--files", "--quit-ms", "0", "provider", *20 * [path])


class Broken(Open):
    """What networks and registries do."""

    def setUp(self):
        super().setUp()
        self.data = component(300000)
        self.server.push("a", "1", self.data)
        self.blob = "/blobs/" + digest(self.data)

    def get(self, *options):
        return self.fetch(*self.options, *options, "component", self.reference("a:1"))

    def rule(self, part, *answers):
        """The nth request whose path has the part is answered by the nth function."""
        left = collections.deque(answers)

        def rule(handler, response):
            return part in handler.path and bool(left) and left.popleft()(handler, response) is not False

        self.proxy.rules.append(rule)

    def cut(self, after):
        def answer(handler, response):
            headers = dict(response[1], **{"Content-Length": str(len(response[2]))})
            self.proxy.send(handler, response[0], headers, response[2], after)
        return answer

    def status(self, status, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return lambda handler, response: self.proxy.send(handler, status, headers, b"no")

    def ranges(self):
        return [headers.get("Range") for path, headers in self.proxy.log if self.blob in path]

    def test_resume(self):
        self.rule(self.blob, self.cut(100000), self.cut(50000), self.cut(0))
        self.check_is(self.get(), self.data)
        starts = [0 if given is None else int(given.removeprefix("bytes=").removesuffix("-")) for given in self.ranges()]
        self.assertEqual((starts[0], len(starts)), (0, 4))
        # A connection that ends may take the last bytes with it: what counts is that nothing came twice.
        self.assertTrue(0 < starts[1] <= 100000 and starts[1] <= starts[2] <= 150000 and starts[3] == starts[2], starts)

    def test_resume_without_ranges(self):
        whole = lambda handler, response: self.proxy.send(handler, 200, {}, self.data)
        self.rule(self.blob, self.cut(100000), whole)
        self.check_is(self.get(), self.data)

    def test_resume_with_another_range(self):
        def other(handler, response):
            self.proxy.send(handler, 206, {"Content-Range": f"bytes 5-{len(self.data) - 1}/{len(self.data)}"}, self.data[5:])
        self.rule(self.blob, self.cut(100000), other, self.cut(1000))
        self.check_is(self.get(), self.data)

    def test_resume_refused(self):
        self.rule(self.blob, self.cut(100000), self.status(416))
        self.check_is(self.get(), self.data)
        self.assertEqual(self.ranges()[2], None)

    def test_never_complete(self):
        self.rule(self.blob, *100 * [self.cut(0)])
        result = self.get()
        self.assertEqual(result["error"], "unavailable")
        self.assertLess(len(self.ranges()), 10)
        self.check_no_parts()
        self.assertNotIn("sha256-" + digest(self.data)[7:], self.blobs())

    def test_ends_early_without_length(self):
        short = lambda handler, response: self.proxy.send(handler, 200, {}, self.data[:1000], length=False)
        self.rule(self.blob, short)
        self.check_is(self.get(), self.data)

    def test_flipped_once(self):
        flipped = bytearray(self.data)
        flipped[1000] ^= 1
        lie = lambda handler, response: self.proxy.send(handler, 200, {}, bytes(flipped))
        self.rule(self.blob, lie)
        self.check_is(self.get(), self.data)
        self.assertEqual(self.ranges(), [None, None])

    def test_lies(self):
        flipped = bytearray(self.data)
        flipped[1000] ^= 1
        lie = lambda handler, response: self.proxy.send(handler, 200, {}, bytes(flipped))
        self.rule(self.blob, *20 * [lie])
        self.check_fails("invalid", "layer is not what its digest says", *self.options, "component", self.reference("a:1"))
        self.assertEqual(len(self.ranges()), 2)
        self.check_no_parts()

    def test_sends_more(self):
        more = lambda handler, response: self.proxy.send(handler, 200, {}, self.data + b"x", length=False)
        self.rule(self.blob, more)
        self.check_fails("invalid", "more than the", *self.options, "component", self.reference("a:1"))

    def test_manifest_lies(self):
        header = lambda handler, response: self.proxy.send(
            handler, 200, dict(response[1], **{"Docker-Content-Digest": "sha256:" + 64 * "0"}), response[2])
        self.rule("/manifests/", header)
        self.check_fails("invalid", "manifest is not what", *self.options, "component", self.reference("a:1"))
        pinned = self.server.push("a", "2", component(5))["digest"]
        body = lambda handler, response: self.proxy.send(handler, 200, {}, response[2] + b" ")
        self.rule("/manifests/", body)
        self.check_fails("invalid", "manifest is not what", *self.options, "component", self.reference("a@" + pinned))

    def test_manifest_too_large(self):
        self.rule("/manifests/", lambda handler, response: self.proxy.send(handler, 200, {}, b" " * (5 << 20)))
        self.check_fails("limit", "answer has more", *self.options, "component", self.reference("a:1"))

    def test_overload_passes(self):
        self.rule("/manifests/", self.status(503), self.status(429, Retry_After="1"))
        self.rule(self.blob, self.status(502), self.status(500))
        self.check_is(self.get(), self.data)

    def test_overload_stays(self):
        self.rule("/manifests/", *20 * [self.status(503)])
        self.check_fails("unavailable", "answered 503", *self.options, "component", self.reference("a:1"))
        self.assertEqual(len(self.proxy.log), 3)

    def test_forbidden(self):
        self.rule("/manifests/", self.status(403))
        self.check_fails("denied", "does not allow", *self.options, "component", self.reference("a:1"))

    def test_stall(self):
        self.stall(100000)
        stall = self.proxy.rules.pop()
        self.rule(self.blob, stall)
        self.check_is(self.get("--stall-ms", "700"), self.data)
        self.assertTrue(self.ranges()[1].startswith("bytes="))

    def test_redirects(self):
        store = registry.Proxy(self.server.address)
        self.addCleanup(store.stop)
        to_store = lambda handler, response: self.proxy.send(
            handler, 307, {"Location": f"http://{store.address}{handler.path}?signature=secret"}, b"")
        store.rules.append(lambda handler, response: store.send(handler, 200, {}, self.data) or True)
        self.rule(self.blob, to_store)
        self.check_is(self.get("--login", self.proxy.address, "u", "p"), self.data)
        self.assertEqual(len(store.log), 1)

    def test_redirects_for_ever(self):
        again = lambda handler, response: self.proxy.send(handler, 307, {"Location": handler.path + "?secret=x"}, b"")
        self.rule(self.blob, *100 * [again])
        result = self.check_fails("denied", "redirects", *self.options, "component", self.reference("a:1"))
        self.assertNotIn("secret", result["text"])
        self.rule("/manifests/", lambda handler, response: self.proxy.send(handler, 302, {"Location": "file:///etc/passwd"}, b""))
        self.check_fails("denied", "no URL of http", *self.options, "component", self.reference("a:1"))

    def test_offline(self):
        self.check_is(self.get(), self.data)
        self.server.push("index", "1", self.data)
        entry = self.server.push("index", None, self.data)
        self.server.push_index("index", "2", [(entry, "wasi/wasm")])
        self.check_is(self.fetch(*self.options, "component", self.reference("index:2")), self.data)
        self.rule("/v2/", *100 * [self.status(503)])
        self.check_is(self.get(), self.data, from_cache=True)
        self.proxy.stop()
        self.check_is(self.get(), self.data, from_cache=True)
        self.check_is(self.fetch(*self.options, "component", self.reference("index:2")), self.data, from_cache=True)
        self.check_fails("unavailable", "", *self.options, "component", self.reference("a:2"))
        # Without the file there is no fallback, and the reason is why the registry was not there.
        for path in glob.glob(self.cache + "/blobs/*" + digest(self.data)[7:]):
            os.unlink(path)
        self.check_fails("unavailable", "onnect", *self.options, "component", self.reference("a:1"))
        self.proxy.stop = lambda: None

    def test_online_is_asked_first(self):
        self.check_is(self.get(), self.data)
        other = component(10)
        self.server.push("a", "1", other)
        self.check_is(self.get(), other)
        self.rule("/manifests/", self.status(404))
        self.check_fails("not-found", "no such artifact", *self.options, "component", self.reference("a:1"))

    def test_damaged_cache(self):
        path = self.get()["path"]
        with open(path, "r+b") as file:
            file.seek(1000)
            file.write(b"damaged")
        self.check_is(self.get(), self.data)  # had again
        os.truncate(path, 5)
        self.check_is(self.get(), self.data)
        for path in glob.glob(self.cache + "/blobs/*") + glob.glob(self.cache + "/refs/*"):
            os.truncate(path, 0)
        self.check_is(self.get(), self.data)
        os.chmod(glob.glob(self.cache + "/blobs/*" + digest(self.data)[7:])[0], 0o666)
        asked = len(self.ranges())
        self.check_is(self.get(), self.data)
        self.assertEqual(len(self.ranges()), asked + 1)  # what others can write to is not trusted

    def test_cache_of_others(self):
        for name in ("", "/blobs"):
            os.makedirs(self.cache + name, exist_ok=True)
            os.chmod(self.cache + name, 0o777)
            done = subprocess.run([TOOL, self.cache, "component", "x"], capture_output=True, text=True, env=self.env)
            self.assertEqual(done.returncode, 1)
            self.assertIn("others can write", json.loads(done.stdout)["text"])
            os.chmod(self.cache + name, 0o700)
        os.rename(self.cache, self.cache + "2")
        os.symlink(self.cache + "2", self.cache)
        done = subprocess.run([TOOL, self.cache, "component", "x"], capture_output=True, text=True, env=self.env)
        self.assertEqual(done.returncode, 1)


class Accounts(Case):
    def check_both(self, server, reference, data, *options):
        """Denied without the options, fetched with them; no secret in sight."""
        result = self.fetch("--insecure", server.address, "component", reference)
        self.assertEqual(result["error"], "denied", result)
        shutil.rmtree(self.cache)
        self.check_is(self.fetch("--insecure", server.address, *options, "component", reference), data)

    def basic(self):
        folder = tempfile.mkdtemp(dir=self.folder)
        users = os.path.join(folder, "users")
        subprocess.run(["htpasswd", "-Bbc", users, "user", "pass:word"], check=True, capture_output=True)
        login = "Basic " + base64.b64encode(b"user:pass:word").decode()
        server = self.registry(auth={"htpasswd": {"realm": "test", "path": users}}, login=login)
        server.push("private", "1", component(50))
        return server, f"{server.address}/private:1"

    def test_basic(self):
        server, reference = self.basic()
        self.check_both(server, reference, component(50), "--login", server.address, "user", "pass:word")
        shutil.rmtree(self.cache)
        result = self.check_fails("denied", "refuses", "--insecure", server.address, "--login", server.address, "user", "sesame",
                                  "component", reference)
        self.assertNotIn("sesame", result["text"])

    def docker(self, config):
        os.makedirs(self.folder + "/.docker", exist_ok=True)
        with open(self.folder + "/.docker/config.json", "w") as file:
            json.dump(config, file)

    def test_docker_config(self):
        server, reference = self.basic()
        auth = base64.b64encode(b"user:pass:word").decode()
        for key in (server.address, f"https://{server.address}/v1/"):
            self.docker({"auths": {key: {"auth": auth}}})
            self.check_both(server, reference, component(50), "--docker")
        self.docker({"auths": {"elsewhere": {"auth": auth}}})
        shutil.rmtree(self.cache)
        self.check_fails("denied", "there are none", "--insecure", server.address, "--docker", "component", reference)
        with open(self.folder + "/.docker/config.json", "w") as file:
            file.write("{secret")
        result = self.check_fails("denied", "not valid JSON", "--insecure", server.address, "--docker", "component", reference)
        self.assertNotIn("secret", result["text"])

    def test_docker_helper(self):
        server, reference = self.basic()
        self.file("docker-credential-test", f"""#!/bin/sh
read registry
[ "$1 $registry" = "get {server.address}" ] || exit 1
echo '{{"ServerURL":"x","Username":"user","Secret":"pass:word"}}'
""".encode(), 0o755)
        self.env["PATH"] = self.folder + ":" + self.env["PATH"]
        for config in ({"credsStore": "test"}, {"credHelpers": {server.address: "test"}, "auths": {server.address: {}}}):
            self.docker(config)
            self.check_both(server, reference, component(50), "--docker")
        self.docker({"credsStore": "none"})
        shutil.rmtree(self.cache)
        self.check_fails("denied", "docker-credential-none", "--insecure", server.address, "--docker", "component", reference)
        self.docker({"credsStore": "../test"})
        self.check_fails("denied", "not valid", "--insecure", server.address, "--docker", "component", reference)

    def token_server(self):
        folder = tempfile.mkdtemp(dir=self.folder)
        tokens = registry.TokenServer(folder)
        self.addCleanup(tokens.stop)
        server = self.registry(auth=tokens.auth_config())
        push = {"type": "repository", "name": "private", "actions": ["pull", "push"]}
        server.login = "Bearer " + tokens.token([push])
        for i in range(5):
            server.push("private", str(i), component(50, i))
        return server, tokens, f"{server.address}/private:"

    def test_tokens_for_everybody(self):
        server, tokens, reference = self.token_server()
        results = self.tool("--insecure", server.address, "--parallel", "1", "component", *[reference + str(i) for i in range(5)])
        for i, result in enumerate(results):
            self.check_is(result, component(50, i))
        self.assertEqual(len(tokens.log), 1)  # good for all of them
        self.assertIn("scope=repository%3Aprivate%3Apull", tokens.log[0][0].replace("%3a", "%3A"))
        self.assertNotIn("Authorization", tokens.log[0][1])

    def test_tokens_for_some(self):
        server, tokens, reference = self.token_server()
        tokens.user = "user:password"
        self.check_both(server, reference + "1", component(50, 1), "--login", server.address, "user", "password")
        shutil.rmtree(self.cache)
        pull = {"type": "repository", "name": "private", "actions": ["pull"]}
        self.check_is(self.fetch("--insecure", server.address, "--token", server.address, tokens.token([pull]), "component",
                                 reference + "2"), component(50, 2))
        result = self.check_fails("denied", "refuses", "--insecure", server.address, "--token", server.address, "a.b.c",
                                  "component", reference + "3")
        self.assertNotIn("a.b.c", result["text"])

    def test_no_authorization_for_others(self):
        """A redirect to another server doesn't take it along, one to the same does."""
        server, tokens, reference = self.token_server()
        proxy, store = self.proxy_of(server), self.proxy_of(server)
        data = component(50, 1)
        store.rules.append(lambda handler, response: store.send(handler, 200, {}, data) or True)

        def redirect(handler, response):
            if "/blobs/" not in handler.path or response[0] != 200:
                return False
            target = f"http://{store.address}/elsewhere" if "again" in handler.path else handler.path + "?again"
            proxy.send(handler, 307, {"Location": target}, b"")
            return True

        proxy.rules.append(redirect)
        result = self.fetch("--insecure", proxy.address, "component", f"{proxy.address}/private:1")
        self.check_is(result, data)
        self.assertEqual(["Authorization" in headers for _, headers in store.log], [False])
        self.assertEqual(["Authorization" in headers for path, headers in proxy.log if "again" in path], [True])


class Tls(Case):
    def setUp(self):
        super().setUp()
        key, self.certificate = self.folder + "/key.pem", self.folder + "/cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", self.certificate,
                        "-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"], check=True,
                       capture_output=True)
        self.server = self.registry(http={"tls": {"certificate": self.certificate, "key": key}},
                                    tls=ssl.create_default_context(cafile=self.certificate))
        self.server.push("tls", "1", component(50))
        self.reference = f"{self.server.address}/tls:1"

    def test_unknown_certificate(self):
        self.check_fails("denied", "certificate", "component", self.reference)

    def test_known_certificate(self):
        self.check_is(self.fetch("--ca", self.certificate, "component", self.reference), component(50))

    def test_plain_token_server(self):
        """A registry behind TLS that sends us to a token server without."""
        tokens = registry.TokenServer(tempfile.mkdtemp(dir=self.folder))
        self.addCleanup(tokens.stop)
        self.server.stop()
        with open(self.server.config) as file:
            config = json.load(file)
        with open(self.server.config, "w") as file:
            json.dump(dict(config, auth=tokens.auth_config()), file)
        self.server.start()
        self.check_fails("denied", "token server that is not at an https://", "--ca", self.certificate, "component", self.reference)
        self.assertEqual(tokens.log, [])


if __name__ == "__main__":
    unittest.main()
