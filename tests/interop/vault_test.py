# SPDX-License-Identifier: Apache-2.0
"""wisp://keyvalue-vault, and secrets of hosts, against a real server: OpenBao, whose API is Vault's.

    OPENBAO  its program, of tests/interop/install openbao
"""

import concurrent.futures
import json
import os
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import hosts
import wisp

CONFIG = """
storage "raft" {
  path = "%(folder)s"
  node_id = "one"
  performance_multiplier = 1
}
listener "tcp" {
  address = "%(address)s"
  cluster_address = "%(cluster)s"
  tls_disable = true
}
api_addr = "http://%(address)s"
cluster_addr = "http://%(cluster)s"
"""

# What a component may do in `secret/data/mine/...` and in `secret/data/default`.
POLICY = """
path "secret/data/default" { capabilities = ["create", "read", "update"] }
path "secret/data/mine/*" { capabilities = ["create", "read", "update"] }
path "secret/data/apps/*" { capabilities = ["read"] }
path "one/*" { capabilities = ["create", "read", "update"] }
path "nowhere/*" { capabilities = ["create", "read", "update"] }
"""


class Server:
    """With a mount of KV version 2 at `secret` and one of version 1 at `one`. Keeps what it has over a kill, but then it
    is sealed."""

    def __init__(self, case):
        self.address = wisp.free_address()
        self.folder = case.path("vault")
        os.mkdir(self.folder)
        self.config = case.path("vault.hcl")
        with open(self.config, "w") as file:
            file.write(CONFIG % {"folder": self.folder, "address": self.address, "cluster": wisp.free_address()})
        self.log = open(case.path("vault.log"), "wb")
        case.addCleanup(self.log.close)
        case.addCleanup(self.kill)
        self.token = None
        self.start()
        made = self.ask("sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self.key, self.token = made["keys"][0], made["root_token"]
        self.unseal()
        self.ask("sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        self.ask("sys/mounts/one", {"type": "kv", "options": {"version": "1"}})
        self.ask("sys/policies/acl/mine", {"policy": POLICY})

    def start(self):
        self.process = subprocess.Popen([os.environ["OPENBAO"], "server", "-config", self.config],
                                        stdout=self.log, stderr=self.log)
        wisp.wait_for(lambda: self.health() != 0, "OpenBao")

    def health(self):
        """200: ready; 501: not initialized; 503: sealed."""
        try:
            return urllib.request.urlopen(f"http://{self.address}/v1/sys/health", timeout=5).status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def unseal(self):
        self.ask("sys/unseal", {"key": self.key})
        wisp.wait_for(lambda: self.health() == 200, "OpenBao to be unsealed")

    def ask(self, path, body=None):
        headers = {"X-Vault-Token": self.token} if self.token else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.address}/v1/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def new_token(self, **fields):
        made = self.ask("auth/token/create", {"policies": ["mine"], "no_default_policy": False, **fields})
        return made["auth"]["client_token"]

    def kill(self):
        self.process.kill()
        self.process.wait()


class VaultTest(hosts.ByVerbs):
    def setUp(self):
        super().setUp()
        if not os.environ.get("OPENBAO"):
            raise unittest.SkipTest("OPENBAO is not set: tests/interop/with openbao -- ...")

    def start(self):
        self.vault = Server(self)
        self.start_served("keyvalue-rust", "counter", 20)
        self.ok("start", "provider", "wisp://keyvalue-vault", "kv")

    def link(self, token, *settings):
        self.ok("config", "put", "vault", f"addr=http://{self.vault.address}", f"token={token}", *settings)
        self.ok("link", "put", "counter", "kv", "wasi", "keyvalue", "--interface", "store", "--target-config", "vault")

    def wait_for(self, path, status, text=""):
        def answers():
            self.last = self.ask_text(path)
            return self.last[0] == status and text in self.last[1]

        try:
            wisp.wait_for(answers, "")
        except AssertionError:
            raise AssertionError(f"{path}: not {status} {text!r} but {self.last}; log: {self.host.log[-3000:]}") from None

    def test_a_store(self):
        self.start()
        self.link(self.vault.new_token())
        self.wait_for("/get?key=a", 404)
        self.assertEqual(self.ask_text("/set?key=a&value=ab"), (200, "done"))
        self.assertEqual(self.ask_text("/set?key=b&value="), (200, "done"))
        self.assertEqual(self.ask_text("/get?key=a"), (200, "ab"))
        self.assertEqual(self.ask_text("/get?key=b"), (200, ""))
        self.assertEqual(self.ask_text("/exists?key=b"), (200, "true"))
        self.assertEqual(self.ask_text("/keys"), (200, "a\nb"))
        self.assertEqual(self.ask_text("/set?bucket=mine/of/all&key=k&value=v"), (200, "done"))
        self.assertEqual(self.ask_text("/get?bucket=mine/of/all&key=k"), (200, "v"))
        self.assertEqual(self.ask_text("/get?bucket=mine/other&key=k")[0], 404)
        # As the original keeps it: base64 without padding; it reads what others write.
        secret = self.vault.ask("secret/data/default")["data"]
        self.assertEqual((secret["data"], secret["metadata"]["version"]), ({"a": "YWI", "b": ""}, 2))
        self.vault.ask("secret/data/default", {"data": {"theirs": "eHl6", "plain": "no base64!"}})
        self.assertEqual(self.ask_text("/get?key=theirs"), (200, "xyz"))
        self.assertEqual(self.ask_text("/get?key=plain")[0], 502)
        self.assertEqual(self.ask_text("/delete?key=plain"), (200, "done"))
        self.assertEqual(self.ask_text("/keys"), (200, "theirs"))
        # A deleted secret has a version all the same.
        request = urllib.request.Request(f"http://{self.vault.address}/v1/secret/data/default", method="DELETE",
                                         headers={"X-Vault-Token": self.vault.token})
        urllib.request.urlopen(request, timeout=60).close()
        self.assertEqual(self.ask_text("/keys"), (200, ""))
        self.assertEqual(self.ask_text("/set?key=new&value=1"), (200, "done"))
        self.assertEqual(self.ask_text("/keys"), (200, "new"))
        # Nothing but the store.
        self.assertEqual(self.ask_text("/increment?key=n")[0], 502)
        self.host.stop()

    def test_writers_of_one_secret(self):
        self.start()
        self.link(self.vault.new_token())
        self.wait_for("/get?key=a", 404)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda n: self.ask_text(f"/set?key=k{n}&value={n}"), range(40)))
        self.assertEqual(set(done), {(200, "done")})
        self.assertEqual(self.ask_text("/keys")[1].split(), sorted(f"k{n}" for n in range(40)))
        self.host.stop()

    def test_what_a_token_may_not(self):
        self.start()
        self.link("s.nobodys")
        self.wait_for("/get?key=a", 502, "access denied")
        self.link(self.vault.new_token())
        self.wait_for("/get?key=a", 404)
        self.assertEqual(self.ask_text("/get?bucket=others&key=a"), (502, "access denied"))
        self.assertEqual(self.ask_text("/set?bucket=others&key=a&value=1"), (502, "access denied"))
        self.assertEqual(self.ask_text("/get?bucket=mine/../others&key=a"), (502, "no such store"))
        self.host.wait_for_log("permission denied")
        self.assertNotIn("s.nobodys", self.host.log)
        self.host.stop()

    def test_mounts_that_will_not_do(self):
        """None there, or one of version 1, where what is written would be something else."""
        self.start()
        token = self.vault.new_token()
        self.link(token, "mount=nowhere")
        self.wait_for("/get?key=a", 502, "no handler for route")
        self.assertEqual(self.ask_text("/set?key=a&value=1")[0], 502)
        self.vault.ask("one/data/old", {"some": "thing"})
        self.link(token, "mount=one")
        self.wait_for("/get?bucket=old&key=a", 502, "version 2")
        self.assertEqual(self.ask_text("/set?bucket=old&key=a&value=1")[0], 502)
        self.assertEqual(self.vault.ask("one/data/old")["data"], {"some": "thing"})
        status, text = self.ask_text("/set?bucket=new&key=a&value=1")
        self.assertEqual(status, 502)
        self.assertIn("version 2", text)
        self.host.stop()

    def test_tokens_are_renewed(self):
        self.start()
        short = {"ttl": "4s", "renewable": True, "explicit_max_ttl": "0s"}
        kept = self.vault.new_token(**short)
        self.link(kept, "token_refresh_interval=1", "token_increment_ttl=4s")
        began = time.monotonic()
        self.wait_for("/get?key=a", 404)
        while time.monotonic() < began + 8:
            self.assertEqual(self.ask_text("/get?key=a")[0], 404)
            time.sleep(0.2)
        # One that nobody renews in time ends, and the component is told.
        self.link(self.vault.new_token(ttl="2s", renewable=False), "token_refresh_interval=1")
        self.wait_for("/get?key=a", 502, "access denied")
        self.host.wait_for_log("token was not renewed")
        # One that takes its place.
        self.link(self.vault.new_token())
        self.wait_for("/get?key=a", 404)
        self.host.stop()

    def test_sealed(self):
        self.start()
        self.link(self.vault.new_token())
        self.wait_for("/set?key=a&value=1", 200)
        self.vault.ask("sys/seal", {})
        self.wait_for("/get?key=a", 502, "sealed")
        self.vault.unseal()
        self.wait_for("/get?key=a", 200, "1")
        self.host.stop()

    def test_killed_under_load(self):
        """Every call is answered, in time; what was acknowledged is there; and all goes on by itself."""
        self.start()
        self.link(self.vault.new_token())
        self.wait_for("/set?key=a&value=1", 200)
        stop, acknowledged, failed, slow, others = threading.Event(), [-1] * 4, [0], [0.0], []

        def load(number):
            n = 0
            while not stop.is_set():
                began = time.monotonic()
                status, text = self.ask_text(f"/set?bucket=mine/{number}&key=n&value={n}")
                slow[0] = max(slow[0], time.monotonic() - began)
                if status == 200:
                    acknowledged[number] = n
                elif status == 502:
                    failed[0] += 1
                else:
                    others.append((status, text))
                n += 1

        threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                before = list(acknowledged)
                wisp.wait_for(lambda: all(now != then for now, then in zip(acknowledged, before)), "writes of each")
                self.vault.kill()
                wisp.wait_for(lambda: failed[0] > 0, "a failure")
                failed[0] = 0
                self.vault.start()
                self.vault.unseal()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(others, [])
        self.assertLess(slow[0], 30)
        for number in range(4):
            status, text = self.ask_text(f"/get?bucket=mine/{number}&key=n")
            self.assertEqual(status, 200)
            # What failed may have been done all the same, once: never what came before what was acknowledged.
            self.assertGreaterEqual(int(text), acknowledged[number])
        self.host.stop()


class HostSecretsTest(hosts.ByVerbs):
    """The host's own backend `vault`, for a component that reads secrets."""

    def setUp(self):
        super().setUp()
        if not os.environ.get("OPENBAO"):
            raise unittest.SkipTest("OPENBAO is not set: tests/interop/with openbao -- ...")
        self.vault = Server(self)
        self.token_file = self.path("token")
        self.put_token(self.vault.new_token())
        self.vault.ask("secret/data/apps/db", {"data": {"value": "s3cret-1", "password": "s3cret-2", "port": 5432}})
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host("--secrets-vault", f"http://{self.vault.address}", "--secrets-vault-token-file",
                                      self.token_file)
        self.events = hosts.Events(self.lattice.bus())
        self.serve_http("front")

    def put_token(self, token):
        with open(self.token_file, "w") as file:
            file.write(token + "\n")

    def start(self, *names):
        self.ok("config", "put", "plain", "a=1")
        flags = [word for name in names for word in ("--config", "SECRET_" + name)] + ["--config", "plain"]
        return self.lattice.wisp("start", "component", "file://" + os.path.abspath(wisp.guest("front-rust")), "front", *flags)

    def read(self, name):
        try:
            with wisp.Client(self.address) as client:
                answer = client.request("GET", "/secret?name=" + name, [("connection", "close")])
                return answer.status, answer.body.decode().strip()
        except (OSError, wisp.Broken):
            return None

    def refused(self, words):
        done = self.start("odd")
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, "secret `odd`: key `[^`]*` of backend `vault`: .*" + words)

    def check_nothing_is_known(self):
        self.assertNotIn("s3cret", self.host.log)
        self.assertNotIn("s3cret", json.dumps(self.events.all))

    def test_fields_and_versions(self):
        self.vault.ask("secret/data/apps/db", {"data": {"value": "s3cret-3", "password": "s3cret-4"}})
        self.ok("secrets", "put", "value", "vault", "apps/db")
        self.ok("secrets", "put", "old", "vault", "apps/db", "--field", "password", "--version", "1")
        self.assertEqual(self.start("value", "old").returncode, 0)
        wisp.wait_for(lambda: self.read("value") == (200, "s3cret-3"), "the secret")
        self.assertEqual(self.read("old"), (200, "s3cret-2"))
        # It has changed, and the token too: read anew when something else changes.
        self.vault.ask("secret/data/apps/db", {"data": {"value": "s3cret-5"}})
        self.put_token(self.vault.new_token())
        self.ok("config", "put", "plain", "a=2")
        wisp.wait_for(lambda: self.read("value") == (200, "s3cret-5"), "the new one")
        self.check_nothing_is_known()
        self.host.stop()

    def test_what_can_not_be_had(self):
        self.vault.ask("secret/data/others", {"data": {"value": "s3cret-6"}})
        for place, words in ((["others"], "Vault answered 403: .*permission denied"),
                             (["apps/none"], "Vault has no such secret"),
                             (["apps/../others"], "no path of a secret"),
                             (["apps/db", "--field", "port"], "`port` is no text"),
                             (["apps/db", "--field", "none"], "no field `none`"),
                             (["apps/db", "--version", "9"], "Vault has no such secret"),
                             (["apps/db", "--version", "x"], "version is no number")):
            with self.subTest(place=place):
                self.ok("secrets", "put", "odd", "vault", *place)
                self.refused(words)
        self.ok("secrets", "put", "odd", "vault", "apps/db")
        self.put_token("s.nobodys")
        self.refused("Vault answered 403")
        os.unlink(self.token_file)
        self.refused("token of Vault")
        self.put_token(self.vault.new_token())
        self.vault.ask("sys/seal", {})
        self.refused("sealed")
        self.vault.kill()
        self.refused("127.0.0.1")
        self.assertNotIn("s.nobodys", self.host.log)
        self.check_nothing_is_known()
        self.host.stop()


if __name__ == "__main__":
    wisp.main()
