# SPDX-License-Identifier: Apache-2.0
"""A component that counts and remembers: by HTTP to the component, by its link to a store of each kind."""

import os
import shutil
import subprocess
import unittest

import hosts
import lattice
import wisp


class RedisServer:
    """Keeps what was acknowledged over a kill."""

    def __init__(self, case):
        if not shutil.which("redis-server"):
            raise unittest.SkipTest("redis-server is not installed: tools/packages-test.txt")
        self.port = int(wisp.free_address().rpartition(":")[2])
        self.folder = case.path(f"redis-{self.port}")
        os.mkdir(self.folder)
        case.addCleanup(self.kill)
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
             "--appendonly", "yes", "--appendfsync", "always"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wisp.wait_for(lambda: self.cli("ping") == "PONG", "redis-server")

    def cli(self, *args):
        done = subprocess.run(["redis-cli", "-p", str(self.port), *args], capture_output=True, text=True)
        return done.stdout.strip()

    def kill(self):
        self.process.kill()
        self.process.wait()


class StoreCase(hosts.ByVerbs):
    def start(self):
        self.start_served("keyvalue-rust", "counter", 20)

    def link(self, provider, *flags):
        self.ok("link", "put", "counter", provider, "wasi", "keyvalue", "--interface", "store", "--interface", "atomics",
                "--interface", "batch", *flags)

    def get(self, path):
        with wisp.Client(self.address) as client:
            response = client.request("GET", path, [("connection", "close")])
        return response.status, response.body.decode().rstrip("\n")

    def wait_for_store(self):
        def answers():
            try:
                return self.get("/get?key=nothing")[0] == 404
            except (OSError, wisp.Broken):
                return False

        wisp.wait_for(answers, f"the store; log: {self.host.log[-3000:]}")


class KeyvalueTest(StoreCase):
    def check_store(self, has_buckets=True):
        self.assertEqual(self.get("/increment?key=n&delta=5"), (200, "5"))
        self.assertEqual(self.get("/increment?key=n"), (200, "6"))
        self.assertEqual(self.get("/get?key=n"), (200, "6"))
        self.assertEqual(self.get("/set?key=word&value=hello"), (200, "done"))
        self.assertEqual(self.get("/exists?key=word"), (200, "true"))
        self.assertEqual(self.get("/increment?key=word")[0], 502)
        self.assertEqual(self.get("/set-many?key=a&value=1&key=b&value=2"), (200, "done"))
        self.assertEqual(self.get("/get-many?key=b&key=none&key=a"), (200, "b=2\n-\na=1"))
        self.assertEqual(self.get("/keys"), (200, "a\nb\nn\nword"))
        if has_buckets:
            self.assertEqual(self.get("/get?key=word&bucket=other"), (404, "no such key"))
        self.assertEqual(self.get("/delete-many?key=a&key=b&key=n"), (200, "done"))
        self.assertEqual(self.get("/delete?key=word"), (200, "done"))
        self.assertEqual(self.get("/keys"), (200, ""))

    def test_sqlite(self):
        self.start()
        self.ok("start", "provider", "wisp://keyvalue-sqlite", "kv")
        self.link("kv")
        self.wait_for_store()
        self.check_store()
        # Two workers, one file.
        for n in range(20):
            self.assertEqual(self.get("/"), (200, str(n + 1)))
        self.host.stop()

    def test_sqlite_remembers_over_a_restart_of_the_host(self):
        self.start()
        self.ok("start", "provider", "wisp://keyvalue-sqlite", "kv")
        self.link("kv")
        self.wait_for_store()
        self.assertEqual(self.get("/set?key=kept&value=yes"), (200, "done"))
        self.host.kill()
        self.host = self.lattice.host()
        self.wait_for_store()
        self.assertEqual(self.get("/get?key=kept"), (200, "yes"))
        self.host.stop()

    def test_redis(self):
        self.start()
        redis = RedisServer(self)
        self.ok("config", "put", "redis", f"url=redis://127.0.0.1:{redis.port}")
        self.ok("start", "provider", "wisp://keyvalue-redis", "kv")
        self.link("kv", "--target-config", "redis")
        self.wait_for_store()
        self.check_store(has_buckets=False)
        redis.cli("set", "theirs", "as it is")
        self.assertEqual(self.get("/get?key=theirs"), (200, "as it is"))
        # It restarts: calls meanwhile wait, the component notices nothing.
        self.assertEqual(self.get("/"), (200, "1"))
        redis.kill()
        redis.start()
        self.assertEqual(self.get("/"), (200, "2"))
        self.host.stop()

    def check_load(self, restart):
        """What was acknowledged is there, and nothing twice."""
        load = hosts.Load(lambda name: self.get(f"/increment?key=n{name[0]}")[0] == 200)
        load.survives(restart)
        for number in "0123":
            done = sum(name[0] == number for name in load.done)
            failed = sum(name[0] == number for name in load.failed)
            status, text = self.get(f"/get?key=n{number}")
            self.assertEqual(status, 200)
            self.assertTrue(done <= int(text) <= done + failed, (text, done, failed))
        self.assertLess(len(load.failed), 40)
        self.assertLess(load.slowest, 20)

    def test_redis_killed_under_load(self):
        self.start()
        redis = RedisServer(self)
        self.ok("config", "put", "redis", f"url=redis://127.0.0.1:{redis.port}")
        self.ok("start", "provider", "wisp://keyvalue-redis", "kv")
        self.link("kv", "--target-config", "redis")
        self.wait_for_store()
        self.check_load(lambda: (redis.kill(), redis.start()))
        self.host.stop()

    def test_nats_killed_under_load(self):
        nats = lattice.NatsServer(self, "-js", "-sd", self.path("jetstream"))
        self.start()
        self.ok("config", "put", "kv", f"cluster_uri=nats://127.0.0.1:{nats.port}", "bucket=shop",
                "enable_bucket_auto_create=true")
        self.ok("start", "provider", "wisp://keyvalue-nats", "kv")
        self.link("kv", "--target-config", "kv")
        self.wait_for_store()
        self.check_load(nats.restart)
        self.host.stop()

    def test_nats(self):
        nats = lattice.NatsServer(self, "-js", "-sd", self.path("jetstream"))
        self.start()
        self.ok("config", "put", "kv", f"cluster_uri=nats://127.0.0.1:{nats.port}", "bucket=shop",
                "enable_bucket_auto_create=true")
        self.ok("start", "provider", "wisp://keyvalue-nats", "kv")
        self.link("kv", "--target-config", "kv")
        self.wait_for_store()
        self.check_store(has_buckets=False)
        self.host.stop()

    def test_nats_without_jetstream_is_a_file(self):
        self.start()
        self.ok("start", "provider", "wisp://keyvalue-nats", "kv")
        self.link("kv")
        self.wait_for_store()
        self.check_store()
        self.host.wait_for_log("has no JetStream")
        self.host.stop()

    def test_a_store_on_another_host(self):
        """The provider is in a process of another host: calls go over the bus."""
        self.start()
        other = self.lattice.host()
        redis = RedisServer(self)
        self.ok("config", "put", "redis", f"url=redis://127.0.0.1:{redis.port}")
        self.ok("start", "provider", "wisp://keyvalue-redis", "kv", "--host-id", other.id)
        self.link("kv", "--target-config", "redis")
        self.wait_for_store()
        self.check_store(has_buckets=False)
        self.host.stop()
        other.stop()

    def test_errors_reach_the_component(self):
        self.start()

        def asked():
            try:
                status, text = self.get("/")
            except (OSError, wisp.Broken):
                return None
            return text if status == 502 else None

        wisp.wait_for(asked, f"an answer without a link; log: {self.host.log[-3000:]}")
        self.ok("config", "put", "redis", "url=redis://127.0.0.1:1")
        self.ok("start", "provider", "wisp://keyvalue-redis", "kv")
        self.link("kv", "--target-config", "redis")
        wisp.wait_for(lambda: "refused" in (asked() or ""), f"the store's error; log: {self.host.log[-3000:]}")
        self.host.stop()


if __name__ == "__main__":
    wisp.main()


class ChangesTest(StoreCase):
    """Changes of keys in buckets, by the store's own components."""

    def watch(self, kind, *settings):
        self.start()
        self.ok("config", "put", "kv", "bucket=default", *settings)
        self.ok("config", "put", "watch", "bucket=default", "watch=SET@a,DEL@a", *settings)
        self.ok("start", "component", "file://" + self.embedded("keyvalue-watcher", "watching"), "watcher",
                "--max-instances", "20")
        self.ok("start", "provider", f"wisp://{kind}", "kv")
        self.link("kv", "--target-config", "kv")
        self.ok("link", "put", "watcher", "kv", "wasi", "keyvalue", "--interface", "store", "--target-config", "kv")
        self.ok("link", "put", "kv", "watcher", "wasi", "keyvalue", "--interface", "watcher", "--source-config", "watch")
        self.wait_for_store()
        self.n = 0

    def expect_copies(self):
        def is_copied():
            self.n += 1
            self.assertEqual(self.get(f"/set?key=a&value=first-{self.n}"), (200, "done"))
            return self.get("/get?key=copy")[0] == 200

        wisp.wait_for(is_copied, f"the first change; log: {self.host.log[-3000:]}")
        self.assertEqual(self.get("/set?key=a&value=second"), (200, "done"))
        wisp.wait_for(lambda: self.get("/get?key=copy") == (200, "second"), "a change")
        self.assertEqual(self.get("/delete?key=a"), (200, "done"))
        wisp.wait_for(lambda: self.get("/get?key=copy")[0] == 404, "a deletion")

    def test_file(self):
        self.watch("keyvalue-sqlite")
        self.expect_copies()
        self.host.stop()

    def test_nats(self):
        nats = lattice.NatsServer(self, "-js", "-sd", self.path("jetstream"))
        self.watch("keyvalue-nats", f"cluster_uri=nats://127.0.0.1:{nats.port}", "enable_bucket_auto_create=true")
        self.expect_copies()
        self.host.stop()

    def test_nats_without_jetstream_is_a_file(self):
        self.watch("keyvalue-nats")
        self.expect_copies()
        self.host.stop()


class WatcherTest(hosts.ByVerbs):
    """A component is told of changes of keys, with a bucket as an object."""

    def start(self, *where):
        self.redis = RedisServer(self)
        self.redis.cli("config", "set", "notify-keyspace-events", "K$gx")
        self.ok("start", "component", "file://" + self.embedded("keyvalue-watcher", "watching"), "watcher",
                "--max-instances", "20", "--host-id", self.host.id)
        url = f"url=redis://127.0.0.1:{self.redis.port}/2"
        self.ok("config", "put", "store", url)
        self.ok("config", "put", "watch", url, "watch=SET@a:b, DEL@a:b,set@other")
        self.ok("start", "provider", "wisp://keyvalue-redis", "kv", *where)
        self.ok("link", "put", "watcher", "kv", "wasi", "keyvalue", "--interface", "store", "--target-config", "store")
        self.ok("link", "put", "kv", "watcher", "wasi", "keyvalue", "--interface", "watcher", "--source-config",
                "watch")
        wisp.wait_for(self.copies, f"the first change; log: {self.host.log[-3000:]}")

    def cli(self, *args):
        return self.redis.cli("-n", "2", *args)

    def copies(self):
        self.cli("set", "a:b", "first")
        return self.cli("get", "copy") == "first"

    def expect(self, copy):
        wisp.wait_for(lambda: self.cli("get", "copy") == copy, f"the copy {copy!r}; log: {self.host.log[-3000:]}")

    def check(self):
        self.cli("set", "a:b", "second")
        self.expect("second")
        self.cli("set", "unwatched", "x")
        self.cli("del", "other")
        for n in range(20):
            self.cli("set", "other", str(n))
        self.expect("19")
        self.cli("del", "a:b")
        self.expect("")
        self.cli("set", "a:b", "trap")
        self.host.wait_for_log("the component trapped")
        self.cli("incr", "number")
        self.cli("mset", "a:b", "after it", "more", "x")
        self.expect("after it")
        self.cli("pexpire", "a:b", "1")
        self.expect("")

    def test_redis(self):
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host()
        self.start()
        self.check()
        self.redis.kill()
        self.redis.start()
        self.redis.cli("config", "set", "notify-keyspace-events", "K$gx")
        wisp.wait_for(lambda: self.cli("set", "a:b", "again") and self.cli("get", "copy") == "again",
                      "the subscription after a restart")
        self.ok("link", "del", "kv", "wasi", "keyvalue")
        self.host.stop()

    def test_provider_on_another_host(self):
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host()
        other = self.lattice.host()
        self.start("--host-id", other.id)
        self.check()
        self.host.stop()
        other.stop()
