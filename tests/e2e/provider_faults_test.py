# SPDX-License-Identifier: Apache-2.0
"""Provider processes that do what they should not, and what a host makes of them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

import archives
import hosts
import wisp

# A provider that does what its config says.
PROVIDER = """#!{python}
import base64, json, os, signal, sys, time
def note(text):
    with open({folder!r} + "/pids-" + sys.argv[0].rpartition("/")[2], "a") as file:
        file.write(text + "\\n")
mode = sys.argv[0].rpartition("/")[2]
note(str(os.getpid()))
if mode == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for own_session in (False, True):
        if os.fork() == 0:
            if own_session:
                os.setsid()
                if os.fork():
                    os._exit(0)
            note(str(os.getpid()))
            time.sleep(1000)
    time.sleep(1000)
data = json.loads(base64.b64decode(sys.stdin.readline()))
if mode == "exit":
    print("boom of", os.getpid(), flush=True)
    sys.exit(3)
if mode == "loud":
    line = b"x" * 150 + b"\\n"
    for _ in range(2000):
        sys.stdout.buffer.write(line * 1000)
    note("done")
if "pw" in data["secrets"]:
    note("secret " + data["secrets"]["pw"]["value"])
sys.path.insert(0, {here!r})
os.environ["WISP"] = "-"
import hosts
bus = hosts.Bus(int(data["lattice_rpc_url"].rpartition(":")[2]))
prefix = f"wasmbus.rpc.{{data['lattice_rpc_prefix']}}.{{data['provider_key']}}"
def answer(text):
    return lambda s, reply, h, d: bus.publish(reply, text)
if mode == "liar":
    bus.subscribe("wasmbus.rpc.default.*.health", answer(b"no json at all"))
    bus.subscribe(prefix + ".health", answer(b'{{"healthy":"maybe"}}'))
elif mode != "quiet":
    bus.subscribe(prefix + ".health", answer(b'{{"healthy":true}}'))
bus.subscribe("work." + data["provider_key"], answer(b"done by " + str(os.getpid()).encode()))
def end(subject, reply, head, payload):
    note("asked to end")
    if reply:
        bus.publish(reply, b"shutting down")
    bus.send("PING\\r\\n")
    os._exit(0)
bus.subscribe(prefix + ".default.shutdown", end)
bus.flush()
note("ready")
bus.thread.join()
"""


def nacl():
    """PyNaCl, once for all runs."""
    version = "1.5.0"
    folder = os.path.expanduser(f"~/.cache/wisp/pynacl-{version}-{sys.version_info[0]}.{sys.version_info[1]}")
    if not os.path.isdir(folder):
        fresh = f"{folder}.{os.getpid()}"
        done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", fresh, f"pynacl=={version}"],
                              capture_output=True)
        if done.returncode:
            raise unittest.SkipTest("PyNaCl can't be installed: " + done.stderr.decode()[-300:])
        os.rename(fresh, folder)
    sys.path.insert(0, folder)
    import nacl.public
    return nacl.public


class Backend:
    """A secrets backend of the protocol that hosts speak, in a mood."""

    def __init__(self, bus):
        self.nacl = nacl()
        self.bus, self.mode, self.secret = bus, "good", "one"
        self.key = self.nacl.PrivateKey.generate()
        self.public = archives.nkey(23 << 3, bytes(self.key.public_key))
        self.come()

    def come(self):
        prefix = "wasmcloud.secrets.v1alpha1.scripted."
        self.sids = [self.bus.subscribe(prefix + "server_xkey", lambda s, reply, h, d: self.bus.publish(reply, self.public)),
                     self.bus.subscribe(prefix + "get", self.get)]
        self.bus.flush()

    def leave(self):
        for sid in self.sids:
            self.bus.send(f"UNSUB {sid}\r\n")
        self.bus.flush()

    def get(self, subject, reply, head, data):
        if self.mode == "error":
            return self.bus.publish(reply, {"error": {"UpstreamError": "the vault is sealed"}})
        if self.mode == "garbage":
            return self.bus.publish(reply, os.urandom(100))
        if self.mode == "slow":
            time.sleep(1)
        asker = hosts.headers_of(head)[b"WasmCloud-Host-Xkey"].decode()
        box = self.nacl.Box(self.key, self.nacl.PublicKey(archives.nkey_bytes(asker)))
        json.loads(box.decrypt(data[4:]))
        sealed = b"xkv1" + bytes(box.encrypt(json.dumps({"secret": {"version": "1", "string_secret": self.secret}}).encode()))
        self.bus.publish(reply, sealed, headers={"Server-Response-Xkey": self.public})


class FaultsTest(hosts.ByControl):
    def start_host(self, *args, **options):
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host("--provider-shutdown-delay-ms", "300", *args, **options)
        self.bus = self.lattice.bus()
        self.events = hosts.Events(self.bus)

    def program(self, mode):
        path = self.write(mode, PROVIDER.format(python=sys.executable, here=wisp.HERE, folder=self.folder))
        os.chmod(path, 0o755)
        return path

    def start(self, mode, reference=None):
        self.ok(f"provider.start.{self.host.id}", {"provider_id": mode, "host_id": self.host.id,
                                                   "provider_ref": reference or "file://" + self.program(mode)})

    def stop(self, mode):
        self.ok(f"provider.stop.{self.host.id}", {"provider_id": mode, "host_id": self.host.id})
        self.events.wait_for("provider_stopped", provider_id=mode)

    def notes(self, mode):
        try:
            with open(self.path("pids-" + mode)) as file:
                return file.read().split("\n")[:-1]
        except FileNotFoundError:
            return []

    def pids(self, mode):
        return [int(note) for note in self.notes(mode) if note.isdigit()]

    def inventory(self):
        return {entry["id"]: entry for entry in self.ok(f"host.get.{self.host.id}")["providers"]}

    def check_responsive(self):
        begin = time.monotonic()
        self.inventory()
        return time.monotonic() - begin

    def test_one_that_exits_at_once_for_ever(self):
        self.start_host("--provider-failed-after", "4", "--provider-restart-max", "500ms")
        self.start("exit")
        failed = self.events.wait_for("provider_failed", provider_id="exit")
        self.assertEqual((failed["status"], failed["failures"]), (3, 4))
        self.assertIn("boom of", failed["last_output"][0])
        self.events.wait_for("provider_exited", 6, provider_id="exit")
        exits = self.events.named("provider_exited")
        self.assertEqual([event["failures"] for event in exits[:6]], [1, 2, 3, 4, 5, 6])
        pauses = [event["restart_in_ms"] for event in exits]
        self.assertEqual(pauses[0], 0)
        self.assertTrue(50 <= pauses[1] <= 100 and 250 <= pauses[3] <= 500 and 250 <= pauses[5] <= 500, pauses)
        self.assertEqual(len(self.events.named("provider_failed")), 1)
        self.assertEqual(self.inventory()["exit"]["wisp"]["state"], "failed")
        self.assertIn("failed", self.lattice.wisp("get", "inventory").stdout)
        self.host.wait_for_log(r"msg=\"child has failed too often.*exit_code=3.*last_output=\"boom of")
        self.stop("exit")
        count = len(self.pids("exit"))
        time.sleep(1)
        self.assertEqual(len(self.pids("exit")), count)
        self.host.stop()

    def test_neighbours_from_hell(self):
        self.start_host("--provider-health-interval", "1s", "--provider-hung-after", "2", "--rpc-timeout-ms", "300")
        self.start("loud")
        self.start("deaf")
        family = wisp.wait_for(lambda: len(self.pids("deaf")) == 3 and self.pids("deaf"), "the family of deaf")
        self.check_responsive()
        self.stop("deaf")
        for pid in family:
            wisp.wait_for(lambda: not wisp.is_alive(pid), f"process {pid} to be gone")

        wisp.wait_for(lambda: "ready" in self.notes("loud"), "300 MB to be taken")
        self.assertLess(len(self.host.log), 20 << 20)
        with open(f"/proc/{self.host.pid}/status") as file:
            resident = int(file.read().split("VmRSS:")[1].split()[0])
        self.assertLess(resident, 400 << 10)
        self.stop("loud")
        self.host.wait_for_log("output came too fast, lines are left out")
        self.assertIn("asked to end", self.notes("loud"))

        self.start("quiet")
        killed = self.events.wait_for("provider_exited", provider_id="quiet")
        self.assertEqual((killed["signal"], killed["reason"]), (9, "no answer to 2 health checks in a row"))
        self.events.wait_for("provider_restarted", provider_id="quiet")
        self.stop("quiet")

        self.start("liar")
        self.start("honest")
        self.events.wait_for("provider_started", provider_id="honest")
        self.host.wait_for_log("provider `liar` gave no health: its answer is not", 3)
        self.assertEqual(set(self.inventory()), {"liar", "honest"})
        self.assertEqual([event for event in self.events.named("provider_exited") if event["provider_id"] != "quiet"], [])
        last = self.pids("honest") + self.pids("liar")
        wisp.wait_for(lambda: "ready" in self.notes("honest"), "honest to be ready")
        self.host.stop()
        for pid in last:
            wisp.wait_for(lambda: not wisp.is_alive(pid), f"process {pid} to be gone with its host")
        self.assertIn("asked to end", self.notes("honest"))

    def refused(self, name, reference):
        self.start(name, reference)
        return self.events.wait_for("provider_start_failed", provider_id=name)["error"]

    def test_archives_that_are_not_what_they_should_be(self):
        self.start_host()
        with open(self.program("honest"), "rb") as file:
            program = file.read()
        with open("/bin/true", "rb") as file:
            foreign = bytearray(file.read())
        foreign[18:20] = b"\x16\x00"
        good = archives.write(self.path("good.par.gz"), program)
        with open(good, "rb") as file:
            content = file.read()
        self.start("good", "file://" + good)
        self.events.wait_for("provider_started", provider_id="good")
        other = archives.write(self.path("other.par.gz"), program, signed=b"something else")
        error = self.refused("mismatch", "file://" + other)
        self.assertIn("not what its claims were signed for", error)
        self.assertIn("--allow-file-load", error)
        broken = archives.write(self.path("broken.par.gz"), program, breaks_signature=True)
        error = self.refused("signature", "file://" + broken)
        self.assertIn("signature", error)
        self.assertIn("--allow-file-load", error)
        cut = self.write("cut.par.gz", content[: len(content) // 2])
        self.assertIn("archive", self.refused("cut", "file://" + cut))
        wrong = self.write("wrong", bytes(foreign))
        os.chmod(wrong, 0o755)
        self.assertIn("Exec format error", self.refused("wrong", "file://" + wrong))
        wrong_in = archives.write(self.path("wrong.par.gz"), bytes(foreign))
        self.assertIn("Exec format error", self.refused("wrong-in", "file://" + wrong_in))
        plain = self.write("plain", program)
        os.chmod(plain, 0o644)
        self.refused("plain", "file://" + plain)
        self.assertEqual(set(self.inventory()), {"good"})
        self.stop("good")
        self.host.stop()

    @unittest.skipUnless(os.geteuid() == 0, "only root can mount a small file system")
    def test_cache_on_a_full_disk(self):
        small = self.path("small")
        os.mkdir(small)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "none", small], capture_output=True)
        if mounted.returncode:
            self.skipTest("a small file system can't be mounted here: " + mounted.stderr.decode())
        self.addCleanup(subprocess.run, ["umount", "-l", small], check=False)
        self.start_host(env={"XDG_CACHE_HOME": small})
        large = archives.write(self.path("large.par.gz"), os.urandom(2 << 20))
        self.assertIn("No space left", self.refused("large", "file://" + large))
        with open(self.program("honest"), "rb") as file:
            fits = archives.write(self.path("fits.par.gz"), file.read())
        self.start("honest", "file://" + fits) # nothing of the large one is left in the way
        self.events.wait_for("provider_started", provider_id="honest")
        self.host.stop()

    def test_killed_ten_times_under_calls(self):
        self.start_host("--provider-failed-after", "1000", "--provider-restart-max", "100ms")
        self.start("worker")
        wisp.wait_for(lambda: "ready" in self.notes("worker"), "the provider")
        caller, ends, answers = self.lattice.bus(), threading.Event(), []

        def call():
            while not ends.is_set():
                try:
                    answers.append(caller.request("work.worker", patience=0.5))
                except AssertionError:
                    pass  # the one that had it in hand was killed
                time.sleep(0.01)

        thread = threading.Thread(target=call)
        thread.start()
        self.addCleanup(ends.set)
        for n in range(1, 11):
            os.kill(self.pids("worker")[-1], signal.SIGKILL)
            wisp.wait_for(lambda: self.notes("worker").count("ready") == n + 1, f"start {n + 1}")
        last = f"done by {self.pids('worker')[-1]}".encode()
        wisp.wait_for(lambda: answers and answers[-1] == last, "an answer of the last one")
        ends.set()
        thread.join()
        self.events.wait_for("provider_restarted", 10, provider_id="worker")
        own = self.inventory()["worker"]["wisp"]
        self.assertEqual((own["state"], own["restarts"]), ("running", 10))
        self.assertEqual({event["signal"] for event in self.events.named("provider_exited")}, {9})
        self.stop("worker")
        self.host.stop()

    def test_secrets_backend_that_fails_while_a_provider_is_started_again(self):
        self.start_host("--secrets-topic", "wasmcloud.secrets")
        backend = Backend(self.lattice.bus())
        self.ok("config.put.SECRET_pw", {"name": "pw", "type": "secret.wasmcloud.dev/v1alpha1", "backend": "scripted",
                                         "key": "k", "policy": json.dumps({"type": "t", "properties": {}})})
        with open(self.program("secretive"), "rb") as file:
            archive = archives.write(self.path("secretive.par.gz"), file.read())
        # The name of the file in the cache is not the mode: nothing special is wanted of it.
        self.ok(f"provider.start.{self.host.id}", {"provider_id": "secretive", "host_id": self.host.id,
                                                   "provider_ref": "file://" + archive, "config": ["SECRET_pw"]})
        self.events.wait_for("provider_started", provider_id="secretive")

        def secrets():
            notes = [note for name in os.listdir(self.folder) if name.startswith("pids-") for note in self.notes(name[5:])]
            return [note for note in notes if note.startswith("secret")], [int(note) for note in notes if note.isdigit()]

        wisp.wait_for(lambda: secrets()[0] == ["secret one"], "the secret")
        backend.mode, backend.secret = "error", "two"
        os.kill(secrets()[1][0], signal.SIGKILL)
        self.host.wait_for_log("can't be started again yet: secret `pw`: the backend says UpstreamError")
        backend.mode = "garbage"
        self.host.wait_for_log("can't be started again yet: secret `pw`: the backend's answer is neither")
        backend.leave()
        self.host.wait_for_log("can't be started again yet: secret `pw`: .*(nobody|no responders|no one)")
        self.assertEqual(len(secrets()[1]), 1)
        backend.mode = "slow"
        backend.come()
        wisp.wait_for(lambda: secrets()[0] == ["secret one", "secret two"], "the new secret")
        self.assertNotIn("secret two", self.host.log)
        self.events.wait_for("provider_restarted", provider_id="secretive")
        self.host.stop()

    def test_nothing_stale_is_left_by_a_host_that_was_killed(self):
        self.start_host()
        self.start("deaf")
        family = wisp.wait_for(lambda: len(self.pids("deaf")) == 3 and self.pids("deaf"), "the family of deaf")
        self.host.kill_control()
        wisp.wait_for(lambda: not wisp.is_alive(family[0]), "the provider to be gone with its host")
        self.host = self.lattice.host()
        wisp.wait_for(lambda: len(self.pids("deaf")) == 6, "it to be started again, by what was saved")
        if os.path.exists("/sys/fs/cgroup/cgroup.procs") or os.path.exists("/sys/fs/cgroup/unified/cgroup.procs"):
            if os.geteuid() == 0:
                for pid in family:
                    wisp.wait_for(lambda: not wisp.is_alive(pid), f"process {pid} to be gone")
        self.host.stop()
        for pid in self.pids("deaf")[3:]:
            wisp.wait_for(lambda: not wisp.is_alive(pid), f"process {pid} to be gone")

    def test_confinement(self):
        self.start_host(env={"WISP_TEST_X": "seen"})
        probe = self.write("probe", "#!/bin/sh\ngrep Seccomp: /proc/self/status > $0.out\n"
                                    "grep -i 'max data' /proc/self/limits >> $0.out\n"
                                    "cat /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/memory.max >> $0.out\n"
                                    "/usr/bin/env >> $0.out\n"
                                    "exec sleep 1000\n")
        os.chmod(probe, 0o755)
        request = {"provider_id": "probe", "provider_ref": "file://" + probe, "host_id": self.host.id,
                   "annotations": {"wisp.confine.seccomp": "default", "wisp.confine.env": "WISP_TEST_*",
                                   "wisp.confine.memory": "64M"}}
        self.ok(f"provider.start.{self.host.id}", request)
        wisp.wait_for(lambda: os.path.exists(probe + ".out") and "WISP_TEST" in open(probe + ".out").read(), "the probe")
        with open(probe + ".out") as file:
            told = file.read()
        self.assertRegex(told, r"Seccomp:\s+2")
        self.assertIn("67108864", told)  # of its control group, or of the process alone
        self.assertIn("WISP_TEST_X=seen", told)
        self.assertNotIn("HOME=", told)
        request["provider_id"] = "impossible"
        request["annotations"] = {"wisp.confine.user": "nobody-of-that-name"}
        self.ok(f"provider.start.{self.host.id}", request)
        error = self.events.wait_for("provider_start_failed", provider_id="impossible")["error"]
        self.assertIn("wisp.confine.user: there is no user", error)
        self.host.stop()


if __name__ == "__main__":
    wisp.main()
