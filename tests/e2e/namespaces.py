# SPDX-License-Identifier: Apache-2.0
"""Machines on one machine: network namespaces that a bridge joins, for tests of what happens between hosts of a lattice.

A process that calls enter() gets a network of its own, so that names and ports clash with nobody's, and the kernel
removes everything when the last process in it ends, however it ends. It needs root or user namespaces, and `ip`.
"""

import base64
import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import threading
import unittest

import applications
import hosts
import wisp

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
CENTER = "10.77.0.1"  # this process, on the bridge
PORT = 4222
TIED = ("setpriv", "--pdeathsig", "KILL")  # what is started so ends with this process, whatever ends that


# A front with its HTTP server on each host, and what it calls somewhere.
WEB = """
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: web, annotations: {version: VERSION}}
spec:
  components:
    - name: front
      type: component
      properties: {image: "FRONT"}
      traits:
        - {type: daemonscaler, properties: {instances: 20}}
        - {type: link, properties: {target: calc, namespace: acme, package: calc, interfaces: [ops]}}
    - name: calc
      type: component
      properties: {image: "CALC"}
      traits:
        - {type: spreadscaler, properties: SPREAD}
    - name: http
      type: capability
      properties: {image: "wisp://http-server"}
      traits:
        - {type: daemonscaler, properties: {instances: 1}}
        - type: link
          properties: {target: front, namespace: wasi, package: http, interfaces: [incoming-handler],
                       source: {config: [{name: address, properties: {address: "0.0.0.0:8080"}}]}}
"""


def check(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=wisp.PATIENCE)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def enter():
    """Gives this thread, and what it starts from now on, a network of its own; where that is not allowed, skips the tests."""
    if not shutil.which("ip") or not shutil.which("nsenter"):
        raise unittest.SkipTest("`ip` is not installed: tools/packages-test.txt")
    user, group = os.geteuid(), os.getegid()
    try:
        if user == 0 and LIBC.unshare(CLONE_NEWNET) == 0:
            pass
        else:
            check(LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNET))
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)
        run("ip", "link", "set", "lo", "up")
        for words in (["type", "bridge"], ["type", "veth", "peer", "name", "other"]):
            run("ip", "link", "add", "probe", *words)
            run("ip", "link", "del", "probe")
    except OSError as error:
        raise unittest.SkipTest(f"network namespaces are not allowed here (root or user namespaces): {error}")


def web(spread, version="v1"):
    return (WEB.replace("SPREAD", spread).replace("VERSION", version).replace("FRONT", applications.guest("front-rust"))
            .replace("CALC", applications.guest("calc-rust")))


class Machine:
    """A namespace with an address on the bridge."""

    def __init__(self, number):
        self.address = f"10.77.0.{10 + number}"
        self.link = f"port{number}"
        self.fd = None
        self.host = None
        # A namespace lives as long as somebody has it open: no process needs to stay in it.
        maker = threading.Thread(target=self.make)
        maker.start()
        maker.join()
        if self.fd is None:
            raise OSError("a namespace could not be made")
        self.path = f"/proc/{os.getpid()}/fd/{self.fd}"
        self.wrapper = (*TIED, "nsenter", f"--net={self.path}")
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.path)
        run("ip", "link", "set", self.link, "master", "lattice", "up")
        run(*self.wrapper, "ip", "link", "set", "lo", "up")
        run(*self.wrapper, "ip", "address", "add", self.address + "/24", "dev", "eth0")
        run(*self.wrapper, "ip", "link", "set", "eth0", "up")

    def make(self):
        check(LIBC.unshare(CLONE_NEWNET))
        self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    def enter(self):
        """Puts this thread into it."""
        check(LIBC.setns(self.fd, CLONE_NEWNET))

    def cut(self):
        """Takes its cable out: nobody is told, connections just get no answers any more."""
        run("ip", "link", "set", self.link, "down")

    def forget(self):
        """As when it has been cut off for long: its connections to the center break, and each side finds out by itself."""
        run(*self.wrapper, "ss", "-K", "dst", CENTER)

    def heal(self):
        run("ip", "link", "set", self.link, "up")

    def processes(self):
        own = os.fstat(self.fd).st_ino
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{entry}/ns/net").st_ino == own and int(entry) != os.getpid():
                    found.append(int(entry))
        return found

    def kill(self):
        """Everything on it at once, as when its power fails."""
        pids = self.processes()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.host:
            self.host.process.wait()
        wisp.wait_for(lambda: not any(wisp.is_alive(pid) for pid in pids), "the machine's processes to end")


class Load(applications.Load):
    """From within a machine, or from the center."""

    def __init__(self, address, machine=None, **options):
        self.machine = machine
        super().__init__(address, **options)

    def run(self):
        if self.machine:
            self.machine.enter()
        super().run()


class Case(applications.Case):
    """A lattice of machines `a`, `b`, ... with a host on each, labelled with its letter as `zone`."""

    def network(self, names):
        run("ip", "link", "add", "lattice", "type", "bridge")
        self.machines = {}
        self.addCleanup(self.remove_network)
        run("ip", "address", "add", CENTER + "/24", "dev", "lattice")
        run("ip", "link", "set", "lattice", "up")
        for number, name in enumerate(names):
            self.machines[name] = Machine(number)
        self.lattice = hosts.Lattice(self, port=PORT)

    def remove_network(self):
        """Whatever is left of a test runs in its machines."""
        run("ip", "link", "del", "lattice")
        for machine in self.machines.values():
            machine.kill()
            run("ip", "link", "del", machine.link)
            os.close(machine.fd)

    def nats_server(self, name, *args, wrapper=()):
        program = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")
        if not program:
            raise unittest.SkipTest("nats-server is not installed: tools/packages-test.txt")
        with open(self.path(name + ".log"), "ab") as log:
            server = subprocess.Popen([*(wrapper or TIED), program, "-js", "-a", "0.0.0.0", "-p", str(PORT),
                                       "-sd", self.path(name), *args], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        return server

    def connect(self, address=CENTER, patience=wisp.PATIENCE):
        """A connection to the server there, once it answers."""
        def bus():
            with contextlib.suppress(OSError):
                return hosts.Bus(PORT, address)

        found = wisp.wait_for(bus, f"nats-server at {address}", patience)
        self.addCleanup(found.close)
        return found

    def host_on(self, name, *urls):
        """A host with a state of its own, as on a machine of its own."""
        machine = self.machines[name]
        flags = [word for url in urls or (f"nats://{CENTER}:{PORT}",) for word in ("--nats", url)]
        self.lattice.host_flags = ["--workers", "2", "--label", f"zone={name}", *flags]
        machine.host = self.lattice.host(wrapper=machine.wrapper, env={"WISP_STATE": self.path("state-" + name)})
        return machine.host

    def load(self, name, path="/", is_inside=False, **options):
        """Requests to the HTTP server on a machine, from the center or from the machine itself."""
        machine = self.machines[name]
        options = {"threads": 1, "patience": 30, "pause": 0.005, **options}
        load = Load(("127.0.0.1" if is_inside else machine.address) + ":8080", machine if is_inside else None, path=path,
                    **options)
        self.addCleanup(load.stop)
        return load

    def get_on(self, name, path="/"):
        self.address = self.machines[name].address + ":8080"
        return self.get(path)

    def begin(self, text, *flags, **front):
        """The application on hosts `a`, `b` and `c`, and a NATS server in the center."""
        self.network("abc")
        self.nats_server("nats", *flags)
        self.bus = self.connect()
        self.living = {name: self.host_on(name) for name in "abc"}
        self.host = self.living["a"]
        self.deploy(text)
        for name in self.living:
            self.wait_for_front(name, **front)

    def wait_for_front(self, name, path="/add?a=1&b=2", answer="3\n"):
        wisp.wait_for(lambda: self.get_on(name, path) == answer, f"an answer of {name}", 60)

    def ask(self, subject, payload=b""):
        """The answer, or None: a request may be lost with a connection, and while nobody leads nobody answers."""
        try:
            answer = self.bus.request(subject, payload, patience=2)
            return answer and json.loads(answer)
        except AssertionError:
            return None

    def inventory(self, name):
        """What runs on a machine."""
        answer = self.ask(f"wasmbus.ctl.v1.default.host.get.{self.living[name].id}")
        return answer and answer["response"]

    def counts(self, component="web-calc"):
        """Instances by machine."""
        found = {}
        for name in self.living:
            for entry in (self.inventory(name) or {"components": []})["components"]:
                if entry["id"] == component:
                    found[name] = entry["max_instances"]
        return found

    def wait_for_counts(self, wanted, component="web-calc", patience=60):
        """`wanted`: the counts, or what they are when they are sorted."""
        def is_there():
            self.seen = self.counts(component)
            return self.seen == wanted or sorted(self.seen.values()) == wanted

        try:
            wisp.wait_for(is_there, "", patience)
        except AssertionError:
            self.fail(f"{component}: wanted {wanted}, there is {self.seen}; status: {self.status()}")

    def status(self, name="web"):
        answer = self.ask(f"wadm.api.default.model.status.{name}")
        return answer and answer["status"]

    def wait_until_deployed(self, name="web"):
        wisp.wait_for(lambda: (status := self.status(name)) and status["status"]["type"] == "deployed",
                      f"{name} to be deployed", 60)

    def leader(self):
        """The machine whose host holds the managers' lease."""
        answer = self.ask("$JS.API.STREAM.MSG.GET.KV_wadm_manifests",
                          {"last_by_subj": "$KV.wadm_manifests.wisp.default.lease"})
        if not answer or "message" not in answer:
            return None
        value = json.loads(base64.b64decode(answer["message"]["data"]))
        return next((name for name, host in self.living.items() if host.id == value["host"]), None)

    def leaders_by_their_logs(self):
        """Those that say last that they manage the applications."""
        found = []
        for name, host in self.living.items():
            lines = [line for line in host.log.splitlines() if "the applications" in line and "manage" in line]
            if lines and "any more" not in lines[-1]:
                found.append(name)
        return found

    def check_that_one_leads(self):
        wisp.wait_for(lambda: self.leader() in self.living and self.leaders_by_their_logs() == [self.leader()],
                      "one leader", 60)

    def stop_all(self):
        for host in self.living.values():
            host.stop()
