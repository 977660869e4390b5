# SPDX-License-Identifier: Apache-2.0
"""Control groups (version 2) of provider processes: what they limit, and that nothing gets out of them. A host of these
tests has a group of its own below the folder WISP_TEST_CGROUP, which allows memory and cpu to be divided below; `make
kernel` has one."""

import glob
import os
import signal
import sys
import unittest

import hosts
import wisp

PARENT = os.environ.get("WISP_TEST_CGROUP")

# A provider that does what its name says. It is ready when it has noted so.
PROVIDER = """#!{python}
import os, sys, time
folder, mode = {folder!r}, sys.argv[0].rpartition("/")[2]
def note(text):
    with open(folder + "/notes-" + mode, "a") as file:
        file.write(text + "\\n")
def own_group():
    with open("/proc/self/cgroup") as file:
        return "/sys/fs/cgroup" + [line[3:-1] for line in file if line.startswith("0::")][0]
def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        note(str(os.getpid()))
        os.execve("/bin/sleep", ["sleep", "1000"], {{}})
    os.wait()
note(str(os.getpid()))
note("group " + own_group())
if mode == "greedy" and not os.path.exists(folder + "/has-eaten"):
    open(folder + "/has-eaten", "w").close()
    if os.fork() == 0:
        eaten = [bytearray(os.urandom(1 << 20)) for _ in range(200)]
        note("has eaten")
if mode == "busy":
    for _ in range(2):
        if os.fork() == 0:
            while True:
                pass
if mode == "daemons":
    daemon()
if mode == "nested":
    inner = own_group() + "/inner/innermost"
    os.makedirs(inner)
    if os.fork() == 0:
        with open(inner + "/cgroup.procs", "w") as file:
            file.write("0")
        daemon()
        note("nested")
        time.sleep(1000)
note("ready")
time.sleep(1000)
"""

# The same for users who may not run the Python that runs this.
PLAIN = """#!/bin/sh
echo $$ >>{folder}/notes-plain
setsid env -i sh -c 'echo $$ >>{folder}/notes-plain; exec sleep 1000' &
while [ "$(wc -l <{folder}/notes-plain)" -lt 2 ]; do sleep 0.1; done
echo ready >>{folder}/notes-plain
sleep 1000
"""


def read(path):
    with open(path) as file:
        return file.read()


def counts(path):
    """Of a file with a name and a number in each line."""
    return {name: int(value) for name, value in (line.split() for line in read(path).splitlines())}


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


@unittest.skipUnless(PARENT, "WISP_TEST_CGROUP names no folder of control groups (version 2) that we may divide")
class LimitsTest(hosts.ByControl):
    def setUp(self):
        super().setUp()
        self.group = os.path.join(PARENT, os.path.basename(self.folder))
        self.make_group(self.group)
        self.make_group(self.group + "/wisp-host")

    def make_group(self, path):
        os.mkdir(path)
        self.addCleanup(self.remove_group, path)

    def remove_group(self, path):
        write(path + "/cgroup.kill", "1")
        for inner, _, _ in os.walk(path, topdown=False):
            wisp.wait_for(lambda: "populated 0" in read(inner + "/cgroup.events"), "processes to end")
            os.rmdir(inner)

    def start_host(self, *args, leaf="/wisp-host", **options):
        self.lattice = hosts.Lattice(self)
        self.start_host_again(*args, leaf=leaf, **options)

    def start_host_again(self, *args, leaf="/wisp-host", as_user=(), **options):
        enter = ("/bin/sh", "-c", 'echo 0 >"$0" && exec "$@"', self.group + leaf + "/cgroup.procs", *as_user)
        self.host = self.lattice.host("--provider-shutdown-delay-ms", "300", *args, wrapper=enter, **options)
        self.bus = self.lattice.bus()
        self.events = hosts.Events(self.bus)

    def start(self, mode, **confine):
        text = PLAIN if mode == "plain" else PROVIDER
        path = self.write(mode, text.format(python=sys.executable, folder=self.folder))
        os.chmod(path, 0o755)
        self.ok(f"provider.start.{self.host.id}", {
            "provider_id": mode, "host_id": self.host.id, "provider_ref": "file://" + path,
            "annotations": {f"wisp.confine.{key}": value for key, value in confine.items()}})

    def start_and_wait(self, mode, **confine):
        self.start(mode, **confine)
        wisp.wait_for(lambda: "ready" in self.notes(mode), f"{mode} to be ready; {self.host.log[-2000:]}")

    def stop(self, mode):
        self.ok(f"provider.stop.{self.host.id}", {"provider_id": mode, "host_id": self.host.id})
        self.events.wait_for("provider_stopped", provider_id=mode)

    def notes(self, mode):
        path = self.path("notes-" + mode)
        return read(path).split("\n")[:-1] if os.path.exists(path) else []

    def pids(self, mode):
        return [int(note) for note in self.notes(mode) if note.isdigit()]

    def groups(self, mode):
        return [note.split()[1] for note in self.notes(mode) if note.startswith("group ")]

    def left(self):
        return glob.glob(self.group + "/**/wisp-child-*", recursive=True)

    def check_gone(self, pids):
        for pid in pids:
            wisp.wait_for(lambda: not wisp.is_alive(pid), f"process {pid} to be gone")
        wisp.wait_for(lambda: not self.left(), f"the groups to be gone, {self.left()}", patience=10)

    def test_out_of_memory(self):
        """The kernel ends all of it, and nobody else; the host says why, and starts it again."""
        self.start_host()
        self.start_and_wait("quiet")
        self.start("greedy", memory="64M")
        exited = self.events.wait_for("provider_exited", provider_id="greedy")
        self.assertEqual(exited["signal"], 9)
        self.assertIn("64 MiB", exited["reason"])
        self.host.wait_for_log(r'msg="child died, replacing it" child=greedy .*reason="[^"]*64 MiB')
        self.events.wait_for("provider_restarted", provider_id="greedy")
        wisp.wait_for(lambda: len(self.pids("greedy")) == 2 and self.notes("greedy")[-1] == "ready", "greedy to be back")
        self.assertNotIn("has eaten", self.notes("greedy"))
        self.assertGreater(counts(self.group + "/memory.events")["oom_kill"], 0)
        self.assertEqual(counts(self.group + "/wisp-host/memory.events")["oom_kill"], 0)
        self.assertEqual(read(self.groups("greedy")[-1] + "/memory.max"), f"{64 << 20}\n")
        self.assertEqual(len(self.pids("quiet")), 1)
        self.assertTrue(wisp.is_alive(self.pids("quiet")[0]))
        self.host.stop()
        self.assertEqual(self.left(), [])

    def test_killed_is_not_out_of_memory(self):
        self.start_host()
        self.start_and_wait("quiet", memory="64M")
        os.kill(self.pids("quiet")[0], signal.SIGKILL)
        exited = self.events.wait_for("provider_exited", provider_id="quiet")
        self.assertEqual((exited["signal"], exited.get("reason")), (9, None))
        self.host.stop()

    def test_cpu(self):
        """Two that spin in one group have half a core together: the kernel holds them back."""
        self.start_host()
        self.start_and_wait("busy", cpu="0.5")
        group = self.groups("busy")[0]
        self.assertEqual(read(group + "/cpu.max"), "50000 100000\n")
        wisp.wait_for(lambda: counts(group + "/cpu.stat")["nr_throttled"] > 2, "it to be held back")
        before = counts(group + "/cpu.stat")
        wisp.wait_for(lambda: counts(group + "/cpu.stat")["nr_periods"] >= before["nr_periods"] + 10, "ten periods")
        after = counts(group + "/cpu.stat")
        periods = after["nr_periods"] - before["nr_periods"] + 1
        # Each processor takes its share in slices, and may keep a part of one for the next period.
        self.assertLess(after["usage_usec"] - before["usage_usec"], periods * 50000 * 1.5)
        self.stop("busy")
        self.check_gone(self.pids("busy"))
        self.host.stop()

    def test_daemons_end_with_it(self):
        """What it forked, in a session of its own, with an empty environment, adopted by somebody else."""
        self.start_host()
        self.start_and_wait("daemons")
        first = self.pids("daemons")
        self.assertEqual(len(first), 2)
        os.kill(first[0], signal.SIGKILL)
        self.events.wait_for("provider_restarted", provider_id="daemons")
        wisp.wait_for(lambda: not wisp.is_alive(first[1]), "the first one's daemon to be gone")
        wisp.wait_for(lambda: self.notes("daemons").count("ready") == 2, "the second one")
        self.assertEqual(len(self.left()), 1)
        self.stop("daemons")
        self.check_gone(self.pids("daemons"))
        self.host.stop()

    def test_groups_in_its_group_end_with_it(self):
        self.start_host()
        self.start_and_wait("nested")
        wisp.wait_for(lambda: "nested" in self.notes("nested"), "what is nested")
        self.stop("nested")
        self.check_gone(self.pids("nested"))
        self.host.stop()

    def test_left_by_a_host_that_was_killed(self):
        self.start_host()
        self.start_and_wait("daemons")
        self.start_and_wait("nested")
        wisp.wait_for(lambda: "nested" in self.notes("nested"), "what is nested")
        family, groups = self.pids("daemons") + self.pids("nested"), self.left()
        self.assertEqual(len(groups), 2)
        self.host.kill_control()
        self.start_host_again()
        for pid in family:
            wisp.wait_for(lambda: not wisp.is_alive(pid), f"process {pid} to be gone")
        wisp.wait_for(lambda: not set(groups) & set(self.left()), "the old groups to be gone", patience=10)
        self.host.stop()
        self.assertEqual(self.left(), [])

    def test_group_that_is_not_to_be_divided(self):
        """The host is in the group itself, which the kernel then does not divide: nothing is limited that can't be."""
        self.start_host(leaf="")
        self.start("busy", cpu="0.5")
        error = self.events.wait_for("provider_start_failed", provider_id="busy")["error"]
        self.assertIn("DelegateSubgroup=wisp-host", error)
        self.start_and_wait("quiet", memory="1G")
        self.host.wait_for_log(r'level=warn .*RLIMIT_DATA.*cause="[^"]*DelegateSubgroup=wisp-host')
        self.assertRegex(read(f"/proc/{self.pids('quiet')[0]}/limits"), rf"Max data size +{1 << 30} +{1 << 30} ")
        self.start_and_wait("daemons")  # a group without limits can be had
        self.assertIn("/wisp-child-", self.groups("daemons")[0])
        self.stop("daemons")
        wisp.wait_for(lambda: not any(map(wisp.is_alive, self.pids("daemons"))), "the daemon to be gone")
        self.host.stop()
        self.assertEqual(self.left(), [])

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_group_of_somebody_else(self):
        """A host without rights in its group says so, and contains its providers all the same."""
        nobody = ("/usr/bin/setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")
        os.chown(self.folder, 12345, 12345)
        self.start_host(as_user=nobody, env={"XDG_CACHE_HOME": self.path("cache")})
        self.start("plain", cpu="0.5")
        error = self.events.wait_for("provider_start_failed", provider_id="plain")["error"]
        self.assertIn(f"{self.group}`: ", error)
        self.assertIn("Permission denied", error)
        self.start_and_wait("plain", memory="1G")
        self.host.wait_for_log(rf'level=warn .*RLIMIT_DATA.*cause="[^"]*{self.group}`: [^"]*Permission denied')
        self.assertEqual(self.left(), [])
        self.stop("plain")
        wisp.wait_for(lambda: not any(map(wisp.is_alive, self.pids("plain"))), "all of it to be gone")
        self.assertEqual(len(self.pids("plain")), 2)
        self.host.stop()


if __name__ == "__main__":
    wisp.main()
