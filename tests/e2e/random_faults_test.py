# SPDX-License-Identifier: Apache-2.0
"""Two hosts on real NATS under HTTP load, and what they are made of is killed in random order: control processes, workers,
a provider process, the NATS server. Each comes back after a while as a service manager would bring it back; meanwhile
the next one is killed.

    WISP_FAULT_SECONDS  how long [25]
    WISP_FAULT_SEED     of the order, to have one again [random; it is printed]
"""

import contextlib
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest

import hosts
import wisp

SECONDS = float(os.environ.get("WISP_FAULT_SECONDS", "25"))
SEED = int(os.environ.get("WISP_FAULT_SEED") or random.SystemRandom().randrange(10**6))


class Load(threading.Thread):
    """Asks again and again, a connection for each request; notes what was not answered: from when to when, and what was
    instead."""

    def __init__(self, address, path):
        super().__init__(daemon=True)
        self.address, self.path, self.bodies, self.failures, self.is_over = address, path, [], [], False
        self.start()

    def run(self):
        while not self.is_over:
            begun = time.monotonic()
            try:
                with wisp.Client(self.address, 60) as client:
                    response = client.request("GET", self.path, [("connection", "close")])
                if response.status == 200:
                    self.bodies.append(response.body)
                    continue
                what = response
            except (OSError, wisp.Broken) as error:
                what = error
            self.failures.append((begun, time.monotonic(), what))
            time.sleep(0.01)

    def wait_for(self, count):
        """So many answers more."""
        goal = len(self.bodies) + count
        wisp.wait_for(lambda: len(self.bodies) >= goal, f"{count} answers of {self.path}; failures: {self.failures[-3:]}")

    def stop(self):
        self.is_over = True
        self.join(wisp.PATIENCE)


def files_of(pid):
    found = []
    with contextlib.suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return found


def threads_of(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


@unittest.skipUnless(shutil.which("nats-server"), "nats-server is not installed")
class RandomFaultsTest(hosts.ByControl):
    # --- what there is ---

    def start(self):
        self.lattice = hosts.Lattice(self)
        self.nats = None
        self.start_nats()
        self.bus = self.connect()
        # A name that no other program has: what is left of it is found by it.
        self.program = self.path("keyvalue")
        shutil.copy(os.path.join(wisp.BUILD, "providers", "wisp-keyvalue-sqlite"), self.program)
        self.address = {name: wisp.free_address() for name in "ab"}
        self.states = {name: self.path("state-" + name) for name in "ab"}
        self.hosts = {name: self.start_host(name) for name in "ab"}
        for host in self.hosts.values():
            host.wait_until_up()
        self.ids = {name: host.id for name, host in self.hosts.items()}
        self.ok("config.put.data", {"data_dir": self.path("data")})
        for name in "ab":
            self.component(name, "hello-" + name, "http-hello-rust")
            self.ok("config.put.web-" + name, {"address": self.address[name]})
            self.provider(name, "web-" + name, "wisp://http-server")
            self.link("web-" + name, "hello-" + name, "wasi:http", "incoming-handler", "web-" + name)
        self.component("a", "counter", "keyvalue-rust")
        self.provider("a", "store", "file://" + self.program, "data")
        self.link("counter", "store", "wasi:keyvalue", "store", "")
        self.counting = wisp.free_address()
        self.ok("config.put.counting", {"address": self.counting})
        self.provider("a", "counting", "wisp://http-server")
        self.link("counting", "counter", "wasi:http", "incoming-handler", "counting")

    def start_nats(self):
        with open(self.path("nats.log"), "ab") as log:
            self.nats = subprocess.Popen(["nats-server", "-js", "-a", "127.0.0.1", "-p", str(self.lattice.port), "-sd",
                                          self.path("nats")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(self.nats.wait)
        self.addCleanup(self.nats.kill)

    def connect(self):
        def bus():
            with contextlib.suppress(OSError):
                return hosts.Bus(self.lattice.port)

        found = wisp.wait_for(bus, "nats-server")
        self.addCleanup(found.close)
        return found

    def start_host(self, name):
        host = self.lattice.host("--nats", f"nats://127.0.0.1:{self.lattice.port}", "--provider-restart-max", "200ms",
                                 env={"WISP_STATE": self.states[name]}, wait=False)
        self.controls.append(host.pid)
        return host

    def component(self, name, component, guest):
        self.ok(f"component.scale.{self.ids[name]}", {
            "component_ref": "file://" + os.path.abspath(wisp.guest(guest)), "component_id": component,
            "host_id": self.ids[name], "count": 100})

    def provider(self, name, provider, reference, *config):
        self.ok(f"provider.start.{self.ids[name]}", {"provider_id": provider, "provider_ref": reference,
                                                     "host_id": self.ids[name], "config": list(config)})

    def link(self, source, target, package, interface, config):
        namespace, package = package.split(":")
        self.ok("link.put", {
            "source_id": source, "target": target, "name": "default", "wit_namespace": namespace, "wit_package": package,
            "interfaces": [interface, "atomics"] if package == "keyvalue" else [interface],
            "source_config": [config] if config else [], "target_config": []})

    # --- processes ---

    def processes(self, state=None, program=None):
        """Those of a host by the state that their environment or command line names, or of a program."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if program and os.readlink(f"/proc/{pid}/exe") == program:
                    found.append(int(pid))
                elif state:
                    with open(f"/proc/{pid}/environ", "rb") as file:
                        if f"WISP_STATE={state}".encode() in file.read().split(b"\0"):
                            found.append(int(pid))
        return [pid for pid in found if wisp.is_alive(pid)]

    def workers(self, name):
        return [pid for pid in self.processes(state=self.states[name]) if pid != self.hosts[name].pid]

    def serve(self, name):
        """Workers that listen on the host's address: one that is just starting does not yet."""
        port = "%04X" % int(self.address[name].rpartition(":")[2])
        with open("/proc/net/tcp") as file:
            rows = [line.split() for line in file]
        sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(":" + port) and row[3] == "0A"}
        return [pid for pid in self.workers(name) if sockets & set(files_of(pid))]

    # --- faults ---

    def kill(self, pid):
        """Returns from when to when it died."""
        begun = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        # Its files are closed when the last of its threads has ended.
        wisp.wait_for(lambda: not any(wisp.is_alive(f"{pid}/task/{task}") for task in threads_of(pid)), "a process to be dead")
        return begun, time.monotonic()

    def lose_control(self, name):
        if self.down.get(name):
            return None
        self.hosts[name].kill_control()
        self.down[name] = lambda: self.hosts.update({name: self.start_host(name)})
        return "control process of " + name

    def lose_worker(self, name):
        alive, serving = self.workers(name), self.serve(name)
        victim = self.random.choice(alive) if alive else None
        # The promise is about those that live: somebody has to.
        if not set(serving) - {victim}:
            return None
        self.deaths[name].append(self.kill(victim))
        return f"worker {victim} of {name}"

    def lose_provider(self):
        alive = self.processes(program=self.program)
        if not alive:
            return None
        self.kill(self.random.choice(alive))
        return "provider"

    def lose_nats(self):
        if self.down.get("nats"):
            return None
        self.nats.kill()
        self.nats.wait()
        self.down["nats"] = self.start_nats
        return "NATS server"

    def bring_back(self, everything=False):
        for what, start in list(self.down.items()):
            if start and (everything or self.random.random() < 0.4):
                self.down[what] = None
                start()
                self.say("back: " + what)
        for name, host in self.hosts.items():
            # A host that can't begin without its bus ends, and is started again.
            if not self.down.get(name) and host.process.poll() is not None:
                self.assertNotRegex(host.log, "Sanitizer|runtime error:")
                self.hosts[name] = self.start_host(name)

    def say(self, what):
        self.story.append(f"{time.monotonic() - self.begun:6.2f} {what}")

    # --- the test ---

    def is_answered(self, address, path):
        try:
            with wisp.Client(address) as client:
                return client.request("GET", path, [("connection", "close")]).status == 200
        except (OSError, wisp.Broken):
            return False

    def test_everything_dies_in_any_order(self):
        print(f"WISP_FAULT_SEED={SEED} ", end="", file=sys.stderr, flush=True)
        self.random, self.down, self.deaths = random.Random(SEED), {}, {"a": [], "b": []}
        self.story, self.controls = [], []
        self.start()
        for address, path in [*((address, "/") for address in self.address.values()), (self.counting, "/increment?key=n")]:
            wisp.wait_for(lambda: self.is_answered(address, path), "the first answer", wisp.START_PATIENCE)
        loads = {name: Load(address, "/") for name, address in self.address.items()}
        counts = Load(self.counting, "/increment?key=n")
        for load in (*loads.values(), counts):
            self.addCleanup(load.stop)
            load.wait_for(10)
        self.begun = time.monotonic()
        try:
            while time.monotonic() < self.begun + SECONDS:
                fault = self.random.choice([lambda: self.lose_control("a"), lambda: self.lose_control("b"),
                                            lambda: self.lose_worker("a"), lambda: self.lose_worker("b"),
                                            self.lose_provider, self.lose_nats])
                if done := fault():
                    self.say("dead: " + done)
                time.sleep(self.random.random() * 0.8)
                self.bring_back()
            self.check_end(loads, counts)
        except BaseException:
            print(f"\nWISP_FAULT_SEED={SEED}", *self.story, sep="\n", file=sys.stderr)
            raise

    def check_end(self, loads, counts):
        self.say("all shall be well")
        self.wait_until_well()
        well = time.monotonic()
        for name, load in loads.items():
            load.wait_for(50)
            load.stop()
            unexplained = [failure for failure in load.failures if not self.was_in(failure, self.deaths[name])]
            self.assertEqual(unexplained, [], f"deaths of workers: {self.deaths[name]}")
            # What a worker has in hand when it dies, of one client: one.
            self.assertLessEqual(len(load.failures), len(self.deaths[name]))
        counts.wait_for(50)
        counts.stop()
        self.assertEqual([failure for failure in counts.failures if failure[0] > well], [])
        values = [int(body) for body in counts.bodies]
        self.assertEqual(values, sorted(set(values)), "an answer was repeated or lost")
        self.assertLessEqual(values[-1] - values[0], len(values) + len(counts.failures))
        self.check_nothing_is_left()
        print(f"{len(self.story)} events, {[len(load.bodies) for load in (*loads.values(), counts)]} answers, "
              f"{[len(load.failures) for load in (*loads.values(), counts)]} failures ", end="", file=sys.stderr, flush=True)

    def was_in(self, failure, deaths):
        """It was under way when a worker died."""
        return any(failure[0] <= dead and failure[1] >= killed for killed, dead in deaths)

    def wait_until_well(self):
        wanted = {"a": {"hello-a", "counter", "web-a", "store", "counting"}, "b": {"hello-b", "web-b"}}
        self.bring_back(everything=True)
        self.bus = self.connect()

        def is_well(name):
            self.bring_back(everything=True)
            try:
                answer = self.bus.request(f"wasmbus.ctl.v1.default.host.get.{self.ids[name]}", patience=2)
            except AssertionError:
                return False
            inventory = answer and json.loads(answer)["response"]
            return inventory and {entry["id"] for kind in ("components", "providers") for entry in inventory[kind]} == wanted[name]

        for name in "ab":
            wisp.wait_for(lambda: is_well(name), f"host {name} to be as it was; {self.hosts[name].log[-3000:]}", 90)
            wisp.wait_for(lambda: len(self.workers(name)) == 2, f"two workers of {name}, not {self.workers(name)}", 60)
        wisp.wait_for(lambda: len(self.processes(program=self.program)) == 1, "one provider", 60)

    def check_nothing_is_left(self):
        for name, host in self.hosts.items():
            host.stop()
            self.assertEqual(self.processes(state=self.states[name]), [])
            # Who was killed while nobody looked after it left its socket. The next start removes that.
            again = self.start_host(name)
            again.wait_until_up()
            again.stop()
            left = [path for path in glob.glob(self.states[name] + "/**/*", recursive=True) if path.endswith(".sock")]
            self.assertEqual(left, [])
        self.assertEqual(self.processes(program=self.program), [])
        # Control groups are named after the control process that made them.
        groups = [path for path in glob.glob("/sys/fs/cgroup/**/wisp-child-*", recursive=True)
                  if int(path.rsplit("-", 2)[1]) in self.controls]
        self.assertEqual(groups, [])


if __name__ == "__main__":
    wisp.main()
