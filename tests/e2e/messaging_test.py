# SPDX-License-Identifier: Apache-2.0
"""A component that answers messages and sends some: over the lattice's own bus, and over a NATS server by its links."""

import collections
import os
import shutil
import subprocess
import unittest

import hosts
import lattice
import wisp


class MessagingTest(hosts.ByVerbs):
    def start(self, *settings):
        self.start_served("messaging-rust", "talker", 20)
        self.ok("config", "put", "talk", "subscriptions=talk.>", *settings)
        self.ok("config", "put", "server", "kind=nats", *settings)
        self.ok("start", "provider", "wisp://messaging-nats", "messages")
        self.ok("link", "put", "talker", "messages", "wasmcloud", "messaging", "--interface", "consumer",
                "--target-config", "server")
        self.ok("link", "put", "messages", "talker", "wasmcloud", "messaging", "--interface", "handler",
                "--source-config", "talk")
        wisp.wait_for(lambda: self.ask_text("/talk.first?hello") == (200, "HELLO"),
                      f"the component to answer itself; log: {self.host.log[-3000:]}")

    def check(self, bus):
        self.assertEqual(bus.request("talk.to.me", b"hi"), b"HI")
        heard = []
        bus.subscribe("heard", lambda subject, reply, head, data: heard.append(data))
        bus.flush()
        # Several workers, and each message once.
        for n in range(50):
            bus.publish("talk.on", f"number {n}")
        wisp.wait_for(lambda: len(heard) >= 50, "what was passed on")
        bus.flush()
        self.assertEqual(sorted(heard), sorted(f"NUMBER {n}".encode() for n in range(50)))
        told = []
        bus.subscribe("elsewhere", lambda subject, reply, head, data: told.append(data))
        bus.flush()
        self.assertEqual(self.ask_text("/publish/elsewhere?news"), (200, "published"))
        wisp.wait_for(lambda: told, "what was published")
        self.assertEqual(told, [b"news"])
        status, text = self.ask_text("/nobody.listens?x")
        self.assertEqual(status, 502)
        self.assertIn("nobody answers", text)
        self.assertEqual(self.ask_text("/publish/not..valid?x")[0], 502)
        bus.publish("talk.badly", "fail")
        self.host.wait_for_log("did not handle a message.*that is no message")

    def test_bus_of_the_lattice(self):
        self.start()
        self.check(self.lattice.bus())
        self.host.stop()

    def test_nats_server(self):
        if not shutil.which("nats-server", path=os.environ["PATH"] + ":/usr/sbin"):
            raise unittest.SkipTest("nats-server is not installed: tools/packages-test.txt")
        port = int(wisp.free_address().rpartition(":")[2])

        def start_server():
            server = subprocess.Popen(["nats-server", "-a", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL,
                                      env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
            self.addCleanup(lambda: (server.kill(), server.wait()))
            return server

        server = start_server()
        self.start(f"cluster_uris=nats://127.0.0.1:{port}")
        bus = hosts.Bus(port)
        self.check(bus)
        bus.close()
        server.kill()
        server.wait()
        start_server()
        wisp.wait_for(lambda: self.ask_text("/talk.again?hello") == (200, "HELLO"), "the server to be back")
        self.host.stop()


    def test_nats_server_killed_under_load(self):
        """What is published is there once or not at all, and requests are answered again."""
        nats = lattice.NatsServer(self)
        self.start(f"cluster_uris=nats://127.0.0.1:{nats.port}")
        heard = []

        def listen():
            bus = hosts.Bus(nats.port)
            self.addCleanup(bus.close)
            bus.subscribe("count", lambda subject, reply, head, data: heard.append(data.decode()))
            bus.flush()

        def restart():
            nats.restart()
            listen()

        listen()
        publishing = hosts.Load(lambda name: self.ask_text(f"/publish/count?{name}") == (200, "published"))
        asking = hosts.Load(lambda name: self.ask_text(f"/talk.load?n{name}") == (200, f"N{name}"), 2)
        try:
            publishing.survives(restart)
        finally:
            asking.survives(lambda: None, 0)
        told = collections.Counter(heard)
        self.assertEqual([name for name, n in told.items() if n > 1], [])
        self.assertGreater(len(told), 100)
        self.assertLess(max(publishing.slowest, asking.slowest), 30)
        self.host.stop()


class ObjectsTest(hosts.ByVerbs):
    """A component of 0.3.0, to which messages are objects: its incoming-handler answers for 0.2.0's handler."""

    def start(self, *where):
        self.ok("start", "component", "file://" + self.embedded("messaging-objects", "objects"), "talker",
                "--max-instances", "20", "--host-id", self.host.id)
        self.ok("config", "put", "talk", "subscriptions=talk.>")
        self.ok("start", "provider", "wisp://messaging-nats", "messages", *where)
        self.ok("link", "put", "talker", "messages", "wasmcloud", "messaging", "--interface", "consumer")
        self.ok("link", "put", "messages", "talker", "wasmcloud", "messaging", "--interface", "handler",
                "--source-config", "talk")
        self.bus = self.lattice.bus()
        wisp.wait_for(self.answers, f"the component's first answer; log: {self.host.log[-3000:]}")

    def answers(self):
        try:
            return self.bus.request("talk.first", b"hello", patience=1) == b"hello"
        except (AssertionError, OSError):
            return False

    def check(self, teller):
        for n in range(50):
            self.assertEqual(self.bus.request("talk.to.me", b"number %d" % n), b"number %d" % n)
        self.bus.publish("talk.badly", "fail")
        teller.wait_for_log("did not handle a message.*that is no message")
        self.bus.publish("talk.to.nobody", "no reply is wanted")
        self.bus.publish("talk.badly", "trap")
        self.host.wait_for_log("the component trapped")
        self.assertEqual(self.bus.request("talk.to.me", b"still there"), b"still there")

    def test_provider_here(self):
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host()
        self.start()
        self.check(self.host)
        self.host.stop()

    def test_provider_on_another_host(self):
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host()
        other = self.lattice.host()
        self.start("--host-id", other.id)
        self.check(other)
        self.host.stop()
        other.stop()

    def test_a_component_that_never_gets_its_message(self):
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host()
        path = self.embedded("messaging-objects", "objects", "(func $start unreachable) (start $start)")
        self.ok("start", "component", "file://" + path, "talker", "--max-instances", "20")
        self.ok("config", "put", "talk", "subscriptions=talk.>")
        self.ok("start", "provider", "wisp://messaging-nats", "messages")
        self.ok("link", "put", "messages", "talker", "wasmcloud", "messaging", "--interface", "handler",
                "--source-config", "talk")
        bus = self.lattice.bus()

        def is_tried():
            bus.publish("talk.now", "x")
            return "the component trapped" in self.host.log

        wisp.wait_for(is_tried, "the component to be tried")
        self.host.stop()  # leaks show here, with sanitizers
