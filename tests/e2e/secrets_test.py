# SPDX-License-Identifier: Apache-2.0
"""Secrets from a backend to providers, their links and components, and nowhere else. How a restart fares without the
backend is in provider_faults_test."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading

import archives
import hosts
import wisp
from provider_faults_test import Backend
from provider_sdk_test import install_sdk

# All secret values have it, and it is looked for everywhere: as it is, in base64 at any place in it, as JSON's numbers.
MARK = "S3CRET!"
TRACES = [MARK.encode(), b"UzNDUkVUI", b"MzQ1JFVC", b"TM0NSRVQh", b"83,51,67,82", b"83, 51, 67, 82"]


class Vault(Backend):
    """With many secrets, and a mood for each. `asked` has what hosts have asked."""

    def __init__(self, bus):
        self.secrets, self.moods, self.asked = {}, {}, []
        self.release = threading.Event()
        super().__init__(bus)

    def put(self, key, text=None, mood="good"):
        self.secrets[key] = text or f"{MARK}{key}-{os.urandom(4).hex()}"
        self.moods[key] = mood
        return self.secrets[key]

    def change_key(self):
        self.key = self.nacl.PrivateKey.generate()
        self.public = archives.nkey(23 << 3, bytes(self.key.public_key))

    def answer(self, key):
        value = self.secrets[key]
        if self.moods[key] == "neither":
            return {"secret": {"version": "1"}, "note": MARK}
        if isinstance(value, bytes):
            return {"secret": {"version": "1", "string_secret": None, "binary_secret": list(value)}}
        return {"secret": {"version": "1", "string_secret": value}}

    def get(self, subject, reply, head, data):
        asker = self.nacl.PublicKey(archives.nkey_bytes(hosts.headers_of(head)[b"WasmCloud-Host-Xkey"].decode()))
        try:
            request = json.loads(self.nacl.Box(self.key, asker).decrypt(data[4:]))
        except Exception:
            return self.bus.publish(reply, {"error": "DecryptionError"})
        self.asked.append(request)
        key = request["key"]
        mood = self.moods.get(key)
        if mood is None:
            return self.bus.publish(reply, {"error": "SecretNotFound"})
        if mood == "denying":
            return self.bus.publish(reply, {"error": {"PolicyError": "not for you"}})
        if mood == "garbage":
            return self.bus.publish(reply, os.urandom(50), headers={"Server-Response-Xkey": self.public})
        if mood == "held":
            self.release.wait(wisp.PATIENCE)
        sealer = self.nacl.PrivateKey.generate() if mood == "forged" else self.key
        sealed = b"xkv1" + bytes(self.nacl.Box(sealer, asker).encrypt(json.dumps(self.answer(key)).encode()))
        if mood == "cut":
            sealed = sealed[:30]
        self.bus.publish(reply, sealed, headers={"Server-Response-Xkey": self.public})


def signed(component):
    """The component with claims in it, of a revision that has no hash."""
    account, module = archives.Key(), archives.Key()
    claims = {"jti": "x", "iat": 1700000000, "iss": archives.nkey(0, account.public),
              "sub": archives.nkey(12 << 3, module.public), "wascap": {"name": "front", "hash": ""}, "wascap_revision": 2}
    body = archives.part(json.dumps({"typ": "jwt", "alg": "Ed25519"}).encode()) + b"." + archives.part(json.dumps(claims).encode())
    section = b"\x03jwt" + body + b"." + archives.part(account.sign(body))
    return component + b"\x00" + bytes([len(section) & 127 | 128, len(section) >> 7]) + section


class SecretsTest(hosts.ByControl):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.built = tempfile.mkdtemp(prefix="wisp-vault-")
        cls.addClassCleanup(shutil.rmtree, cls.built)
        env = install_sdk(os.path.join(cls.built, "sdk"))
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "wisp-provider"], env=env, check=True,
                               capture_output=True, text=True).stdout.split()
        providers = os.path.join(wisp.HERE, "providers")
        subprocess.run([wisp.PROGRAM, "bindgen", "provider", os.path.join(providers, "vault.wit"), "-d", cls.built],
                       check=True, stdout=subprocess.DEVNULL)
        cls.program = os.path.join(cls.built, "program")
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-g", "-I", cls.built, "-o", cls.program,
                        os.path.join(providers, "vault.c"), os.path.join(cls.built, "vault.c"), *flags], check=True)
        with open(cls.program, "rb") as file:
            cls.archive = archives.write(os.path.join(cls.built, "vault.par.gz"), file.read())
        cls.component = os.path.join(cls.built, "front.wasm")
        with open(wisp.guest("front-rust"), "rb") as file, open(cls.component, "wb") as copy:
            copy.write(signed(file.read()))

    def start_host(self, *args, env=None):
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host("--log-level", "debug", *args, env=env)
        self.bus = self.lattice.bus()
        self.events = hosts.Events(self.bus)
        self.messages = []
        self.bus.subscribe(">", lambda subject, reply, head, data: self.messages.append((subject, head + data)))
        self.vault = Vault(self.lattice.bus())

    def start(self):
        self.start_host("--secrets-topic", "wasmcloud.secrets")

    def secret(self, name, text=None, mood="good", **fields):
        """A secret of the backend's and a configuration SECRET_... that refers to it."""
        value = self.vault.put(name, text, mood)
        self.refer(name, **fields)
        return value

    def refer(self, name, **fields):
        self.ok("config.put.SECRET_" + name, {
            "name": name, "type": "secret.wasmcloud.dev/v1alpha1", "backend": "scripted", "key": name,
            "policy": json.dumps({"type": "properties.secret.wasmcloud.dev/v1alpha1", "properties": {"p": name}}), **fields})

    def start_provider(self, *config, archive=None, provider_id="vault", **fields):
        self.ok(f"provider.start.{self.host.id}", {
            "provider_id": provider_id, "host_id": self.host.id, "provider_ref": "file://" + (archive or self.archive),
            "config": list(config), **fields})

    def link(self, *target_config, name="default", source="app", target="vault", package="test:vault", interface="vault",
             source_config=()):
        namespace, package = package.split(":")
        self.ok("link.put", {"source_id": source, "target": target, "name": name, "wit_namespace": namespace,
                             "wit_package": package, "interfaces": [interface], "source_config": list(source_config),
                             "target_config": list(target_config)})

    def told(self, setting, source="app", link="default", patience=wisp.PATIENCE):
        """What the provider tells, forwards: None, or the value and whether it is a secret."""
        results = []
        inbox = f"_INBOX.{os.urandom(8).hex()}"
        sids = [self.bus.subscribe(inbox + ".results", lambda subject, reply, head, data: results.append(data)),
                self.bus.subscribe(inbox, lambda subject, reply, head, data: None)]
        self.bus.publish("default.vault.wrpc.0.0.1.test:vault/vault@1.0.0.tell", bytes([len(setting)]) + setting.encode(),
                         inbox, {"source-id": source, "link-name": link})
        try:
            wisp.wait_for(lambda: b"" in results, "an answer", patience)
        except AssertionError:
            return "nobody is there"  # the bus does not tell, since this test listens to all there is
        finally:
            for sid in sids:
                self.bus.send(f"UNSUB {sid}\r\n")
        answer = b"".join(results)
        return (answer[2:2 + answer[1]][::-1].decode(), answer[-1] == 1) if answer[0] else None

    def wait_until_told(self, expected, *args, **options):
        wisp.wait_for(lambda: self.told(*args, patience=2, **options) == expected, f"{expected} of {args}")

    def provider_pids(self):
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and self.is_provider(pid)]

    def is_provider(self, pid):
        """It has its environment from the host: none. Its program is in the cache."""
        try:
            with open(f"/proc/{pid}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            return parent == self.host.pid and "wisp" not in os.path.basename(os.readlink(f"/proc/{pid}/exe"))
        except (OSError, ValueError):
            return False

    def check_nothing_is_known(self):
        for where, text in self.places():
            for trace in TRACES:
                self.assertNotIn(trace, text, where)

    def places(self):
        yield "log", self.host.log.encode()
        for subject, data in list(self.messages):
            yield "message to " + subject, data
        for event in self.events.all:
            yield "event", json.dumps(event).encode()
        for subject in f"host.get.{self.host.id}", "link.get", "claims.get":
            yield subject, json.dumps(self.ok(subject)).encode()
        yield "hosts", b"".join(self.bus.gather("wasmbus.ctl.v1.default.host.ping", b"", 0.2))
        for pid in [*self.lattice.left_behind(), *self.provider_pids()]:
            for name in "cmdline", "environ":
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    yield f"{name} of {pid}", file.read()
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        yield path, file.read()

    # --- what arrives ---

    def test_providers_and_their_links(self):
        self.start()
        own, linked, other = self.secret("own"), self.secret("linked"), self.secret("other", field="f", version="7")
        binary = self.secret("bin", (MARK + "\x01binary").encode())
        self.ok("config.put.plain", {"plain": "text", "linked": "of no secret"})
        self.link("SECRET_linked", "plain")
        self.start_provider("SECRET_own", "SECRET_bin", "plain", annotations={"wasmcloud.dev/appspec": "shop"})
        self.events.wait_for("provider_started", provider_id="vault")
        self.wait_until_told((linked, True), "linked")
        self.assertEqual(self.told("own"), (own, True))
        self.assertEqual(self.told("bin"), (binary.decode(), True))
        self.assertEqual(self.told("plain"), ("text", False))
        self.assertEqual(self.told("own", source="stranger"), (own, True))
        self.assertIsNone(self.told("other"))

        # While it runs: a link of its own, and one that changes.
        self.link("SECRET_other", name="second")
        self.wait_until_told((other, True), "other", link="second")
        self.assertIsNone(self.told("other"))
        linked = self.vault.put("linked")
        self.link("SECRET_linked", "SECRET_other")
        self.wait_until_told((linked, True), "linked")
        self.assertEqual(self.told("other"), (other, True))

        # What the backend was asked, and for whom.
        for request in self.vault.asked:
            context = request["context"]
            self.assertEqual((context["entity_jwt"].count("."), context["host_jwt"].count(".")), (2, 2))
            self.assertEqual(json.loads(context["application"]["policy"])["properties"], {"p": request["key"]})
        self.assertIn(("other", "f", "7"), [(asked["key"], asked["field"], asked["version"]) for asked in self.vault.asked])
        self.assertIn("shop", [asked["context"]["application"]["name"] for asked in self.vault.asked])

        # It dies, and the backend has been started again with another key and other values meanwhile.
        self.vault.change_key()
        own, linked = self.vault.put("own"), self.vault.put("linked")
        (pid,) = self.provider_pids()
        os.kill(pid, signal.SIGKILL)
        self.wait_until_told((own, True), "own")
        self.wait_until_told((linked, True), "linked")
        self.assertEqual(self.told("other", link="second"), (other, True))
        self.check_nothing_is_known()
        self.host.stop()
        self.assertNotIn(MARK, self.host.log)

    def test_components(self):
        self.start()
        text, binary = self.secret("text"), self.secret("bin", MARK.encode() + b"\x00\xff")
        self.ok("config.put.plain", {"plain": "text"})
        get = self.serve_front("SECRET_text", "SECRET_bin", "plain")
        wisp.wait_for(lambda: get("/secret?name=text") == (200, text), f"the secret, not {get('/secret?name=text')}")
        self.assertEqual(get("/secret?name=bin"), (200, str(list(binary))))
        self.assertEqual(get("/secret?name=own")[0], 404)
        self.assertEqual(get("/config?key=plain"), (200, "text"))
        # Secrets are no configuration.
        self.assertNotIn(MARK, get("/config")[1])
        for worker in self.host.workers():
            os.kill(worker, signal.SIGKILL)
        wisp.wait_for(lambda: get("/secret?name=text") == (200, text), "the secret in another worker")
        self.check_nothing_is_known()
        self.host.stop()

    def serve_front(self, *config, component=None):
        """What asks the component, when it runs."""
        address = wisp.free_address()
        self.ok("config.put.http", {"address": address})
        self.start_provider(archive="", provider_id="http", provider_ref="wisp://http-server")
        self.link(source="http", target="front", package="wasi:http", interface="incoming-handler", source_config=["http"])
        self.scale(*config, component=component)
        self.events.wait_for("component_scaled", component_id="front")
        return self.asker(address)

    @staticmethod
    def asker(address):
        def get(path):
            try:
                with wisp.Client(address) as client:
                    answer = client.request("GET", path, [("connection", "close")])
                    return answer.status, answer.body.decode().strip()
            except (OSError, wisp.Broken):
                return None

        return get

    # --- backends of the host itself, for what nobody has signed ---

    def start_with_own(self):
        """A directory beside all that is looked through for values, and variables."""
        self.secrets = tempfile.mkdtemp(prefix="wisp-secrets-")
        self.addCleanup(shutil.rmtree, self.secrets)
        self.keep("db/password", MARK + "of a file")
        self.keep("api.json", json.dumps({"key": MARK + "of a field", "port": 1}))
        self.keep("bin", MARK.encode() + b"\x00\xff")
        self.start_host("--secrets-dir", self.secrets, "--secrets-env-prefix", "APP_SECRET_",
                        env={"APP_SECRET_TOKEN": MARK + "of a variable", "APP_OTHER": "not given"})

    def keep(self, name, value):
        path = os.path.join(self.secrets, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(value if isinstance(value, bytes) else value.encode())

    def put(self, *args):
        done = self.lattice.wisp("secrets", "put", *args)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_files_and_variables_for_components(self):
        self.start_with_own()
        self.put("password", "file", "db/password")
        self.put("key", "file", "api.json", "--field", "key")
        self.put("bin", "file", "bin")
        self.put("token", "env", "TOKEN")
        get = self.serve_front("SECRET_password", "SECRET_key", "SECRET_bin", "SECRET_token",
                               component=os.path.abspath(wisp.guest("front-rust")))
        wisp.wait_for(lambda: get("/secret?name=password") == (200, MARK + "of a file"), "the secret")
        self.assertEqual(get("/secret?name=key"), (200, MARK + "of a field"))
        self.assertEqual(get("/secret?name=bin"), (200, str(list(MARK.encode() + b"\x00\xff"))))
        self.assertEqual(get("/secret?name=token"), (200, MARK + "of a variable"))
        for worker in self.host.workers():
            os.kill(worker, signal.SIGKILL)
        wisp.wait_for(lambda: get("/secret?name=token") == (200, MARK + "of a variable"), "the secret in another worker")
        self.check_nothing_is_known()
        self.assertEqual(self.vault.asked, [])
        self.host.stop()

    def test_files_and_variables_for_an_application(self):
        self.start_with_own()
        address = wisp.free_address()
        kind = "policy.secret.wasmcloud.dev/v1alpha1"
        manifest = {
            "apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
            "metadata": {"name": "shop", "annotations": {"version": "v1"}},
            "spec": {"policies": [{"name": "files", "type": kind, "properties": {"backend": "file"}},
                                  {"name": "variables", "type": kind, "properties": {"backend": "env"}}],
                     "components": [
                {"name": "front", "type": "component", "properties": {
                    "image": "file://" + os.path.abspath(wisp.guest("front-rust")),
                    "secrets": [{"name": "key", "properties": {"policy": "files", "key": "api.json", "field": "key"}},
                                {"name": "token", "properties": {"policy": "variables", "key": "TOKEN"}}]},
                 "traits": [{"type": "spreadscaler", "properties": {"instances": 1}}]},
                {"name": "http", "type": "capability", "properties": {"image": "wisp://http-server"}, "traits": [
                    {"type": "link", "properties": {
                        "target": "front", "namespace": "wasi", "package": "http", "interfaces": ["incoming-handler"],
                        "source": {"config": [{"name": "address", "properties": {"address": address}}]}}}]}]}}
        with open(self.path("shop.json"), "w") as file:
            json.dump(manifest, file)
        done = self.lattice.wisp("app", "deploy", self.path("shop.json"))
        self.assertEqual(done.returncode, 0, done.stderr)
        get = self.asker(address)
        wisp.wait_for(lambda: get("/secret?name=key") == (200, MARK + "of a field"), "the secret")
        self.assertEqual(get("/secret?name=token"), (200, MARK + "of a variable"))
        self.check_nothing_is_known()
        self.host.stop()

    def test_files_and_variables_for_providers(self):
        self.start_with_own()
        program = self.path("program")
        shutil.copy(self.program, program)
        self.put("password", "file", "db/password")
        self.put("token", "env", "TOKEN")
        self.ok("config.put.confine", {"wisp.confine.env": "APP_*"})
        self.link("SECRET_token")
        self.start_provider("SECRET_password", "confine", archive=program)
        self.wait_until_told((MARK + "of a file", True), "password")
        self.assertEqual(self.told("token"), (MARK + "of a variable", True))
        # Others' variables are handed on, secrets never.
        (pid,) = self.provider_pids()
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read()
        self.assertIn(b"APP_OTHER=not given", environment)
        self.assertNotIn(b"APP_SECRET_", environment)
        self.check_nothing_is_known()
        # Read anew at each start.
        self.keep("db/password", MARK + "changed")
        os.kill(pid, signal.SIGKILL)
        self.wait_until_told((MARK + "changed", True), "password")
        self.check_nothing_is_known()
        self.host.stop()

    def test_files_and_variables_that_can_not_be_had(self):
        self.start_with_own()
        os.symlink("/etc/passwd", os.path.join(self.secrets, "link"))
        for key, field, words in (("../wisp", None, "leads out of the directory"), ("link", None, "leads out"),
                                  ("/etc/passwd", None, "leads out"), ("none", None, "No such file"),
                                  ("db", None, "it is no file"), ("api.json", "port", "`port` is no text"),
                                  ("api.json", "none", "no field `none`"), ("db/password", "x", "no JSON object")):
            with self.subTest(key=key, field=field):
                self.put("odd", "file", key, *(["--field", field] if field else []))
                self.refused(f"secret `odd`: key `{key}` of backend `file`: .*{words}", "SECRET_odd")
        self.put("odd", "env", "NOTHING")
        self.refused("secret `odd`: key `NOTHING` of backend `env`: ", "SECRET_odd")
        self.put("odd", "vault", "db")
        self.refused("secret `odd`: this host has no secrets topic, and itself no backend of that name", "SECRET_odd")
        self.check_nothing_is_known()
        self.host.stop()

    def test_settings_of_backends_that_can_not_be(self):
        lattice = hosts.Lattice(self)
        for flags, words in ((["--secrets-dir", "/nowhere"], "--secrets-dir.*/nowhere"),
                             (["--secrets-env-prefix", "WISP_"], "the host's own setting WISP_[A-Z_]* begins with"),
                             (["--secrets-env-prefix="], "--secrets-env-prefix"),
                             (["--secrets-vault-mount", "kv"], "need --secrets-vault"),
                             (["--secrets-vault", "https://x"], "VAULT_TOKEN")):
            with self.subTest(flags=flags):
                host = lattice.host(*flags, wait=False)
                self.assertEqual(host.process.wait(wisp.PATIENCE) != 0, True)
                self.assertRegex(host.log, words)

    def scale(self, *config, component=None):
        self.ok(f"component.scale.{self.host.id}", {
            "component_id": "front", "count": 10, "host_id": self.host.id, "config": list(config),
            "component_ref": "file://" + (component or self.component)})

    # --- what does not ---

    def failures(self, name, **fields):
        return [event["error"] for event in self.events.named(name)
                if all(event.get(key) == value for key, value in fields.items())]

    def refused(self, words, config, **options):
        """Neither a provider nor a component starts with it."""
        n = len(self.failures("provider_start_failed")), len(self.failures("component_scale_failed"))
        self.start_provider(config, **options)
        wisp.wait_for(lambda: len(self.failures("provider_start_failed")) > n[0], f"a failure; {self.host.log[-2000:]}")
        self.assertRegex(self.failures("provider_start_failed")[-1], words)
        self.scale(config)
        wisp.wait_for(lambda: len(self.failures("component_scale_failed")) > n[1], f"a failure; {self.host.log[-2000:]}")
        self.assertRegex(self.failures("component_scale_failed")[-1], words)

    def test_a_backend_that_is_wrong(self):
        self.start()
        for mood, words in (("denying", "secret `denying`: the backend says PolicyError: not for you"),
                            ("garbage", "secret `garbage`: "), ("forged", "secret `forged`: "), ("cut", "secret `cut`: "),
                            ("neither", "secret `neither`: .*neither a string nor bytes")):
            with self.subTest(mood=mood):
                self.secret(mood, mood=mood)
                self.refused(words, "SECRET_" + mood)
        self.refer("unknown")
        self.refused("secret `unknown`: the backend says SecretNotFound", "SECRET_unknown")
        self.ok("config.put.SECRET_odd", {"name": "odd", "backend": "x.>", "key": "k", "type": "t", "policy": "{}"})
        self.refused("secret `odd`: its backend's name is not", "SECRET_odd")
        self.vault.leave()
        self.secret("gone")
        self.refused("secret `gone`: ", "SECRET_gone")
        self.check_nothing_is_known()
        self.assertEqual(self.ok(f"host.get.{self.host.id}")["providers"], [])
        self.host.stop()

    def test_a_backend_that_is_slow_holds_nothing_up(self):
        self.start()
        value = self.secret("slow", mood="held")
        self.start_provider("SECRET_slow")
        self.scale("SECRET_slow")
        wisp.wait_for(lambda: self.vault.asked, "the host to ask")
        self.ok("config.put.other", {"a": "b"})
        self.assertEqual(self.ok(f"host.get.{self.host.id}")["components"], [])
        self.assertEqual(self.events.named("provider_started"), [])
        self.vault.release.set()
        self.events.wait_for("provider_started", provider_id="vault")
        self.events.wait_for("component_scaled", component_id="front")
        self.wait_until_told((value, True), "slow")
        self.check_nothing_is_known()
        self.host.stop()

    def test_a_link_waits_for_its_secret(self):
        self.start()
        value = self.secret("late")
        self.start_provider()
        self.events.wait_for("provider_started", provider_id="vault")
        self.vault.leave()
        self.link("SECRET_late")
        self.host.wait_for_log("secret `late`")
        self.assertIsNone(self.told("late"))
        self.vault.come()
        self.wait_until_told((value, True), "late")
        self.check_nothing_is_known()
        self.host.stop()

    def test_who_may_have_none(self):
        self.start()
        self.secret("own")
        plain = self.path("program")
        shutil.copy(self.program, plain)
        self.start_provider("SECRET_own", archive=plain)
        failed = self.events.wait_for("provider_start_failed")
        self.assertIn("only signed components and providers may have secrets", failed["error"])
        self.scale("SECRET_own", component=os.path.abspath(wisp.guest("front-rust")))
        failed = self.events.wait_for("component_scale_failed")
        self.assertIn("only signed components and providers may have secrets", failed["error"])
        self.assertEqual(self.vault.asked, [])
        answer = self.lattice.ctl(self.bus, "link.put", {
            "source_id": "app", "target": "vault", "name": "default", "wit_namespace": "test", "wit_package": "vault",
            "interfaces": ["vault"], "source_config": [], "target_config": ["SECRET_nowhere"]})
        self.assertFalse(answer["success"])
        self.assertRegex(answer["message"], "SECRET_nowhere.*not found")
        self.host.stop()

    def test_a_host_without_secrets(self):
        self.start_host()
        self.secret("own")
        self.refused("secret `own`: this host has no secrets topic", "SECRET_own")
        self.assertEqual(self.vault.asked, [])
        self.host.stop()


if __name__ == "__main__":
    wisp.main()
