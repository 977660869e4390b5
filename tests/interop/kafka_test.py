# SPDX-License-Identifier: Apache-2.0
"""wisp://messaging-kafka against a real broker, in KRaft mode.

    KAFKA       the folder of its jars, of tests/interop/install kafka
    KAFKA_PEER  the program kafka_peer, which tells what the broker has
"""

import collections
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import hosts
import wisp

CONFIG = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%(controller)s
listeners=PLAINTEXT://%(address)s,CONTROLLER://%(controller)s
advertised.listeners=PLAINTEXT://%(address)s
controller.listener.names=CONTROLLER
log.dirs=%(folder)s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


class Broker:
    """Keeps what it has over a kill, though not over a power failure."""

    def __init__(self, case):
        self.case = case
        self.address = wisp.free_address()
        self.config = case.write("kafka.properties", CONFIG % {
            "address": self.address, "controller": wisp.free_address(), "folder": case.path("kafka")})
        self.log = open(case.path("kafka.log"), "wb")
        case.addCleanup(self.log.close)
        case.addCleanup(self.kill)
        subprocess.run(self.java("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", self.config),
                       check=True, stdout=self.log, stderr=self.log)
        self.start()

    def java(self, *args):
        return ["java", "-Xmx512m", "-cp", os.path.join(os.environ["KAFKA"], "*"), *args]

    def start(self):
        self.process = subprocess.Popen(self.java("kafka.Kafka", self.config), stdout=self.log, stderr=self.log)
        wisp.wait_for(lambda: self.peer("committed", "nobody", "nothing", "1", check=False).returncode == 0, "the broker")

    def peer(self, *args, text="", check=True):
        done = subprocess.run([os.environ["KAFKA_PEER"], self.address, *args], input=text, capture_output=True, text=True)
        self.case.assertFalse(check and done.returncode, (args, done.stderr))
        return done

    def create(self, topic, partitions=1):
        self.peer("create", topic, str(partitions))

    def produce(self, topic, texts):
        self.peer("produce", topic, text="".join(text + "\n" for text in texts))

    def records(self, topic, partitions=1):
        """How often it has which text."""
        lines = self.peer("consume", topic, str(partitions)).stdout.splitlines()
        return collections.Counter(line.split(" ", 1)[1] for line in lines)

    def partitions(self, topic, partitions):
        return collections.Counter(line.split(" ", 1)[0] for line in
                                   self.peer("consume", topic, str(partitions)).stdout.splitlines())

    def committed(self, group, topic, partitions):
        return int(self.peer("committed", group, topic, str(partitions)).stdout)

    def kill(self):
        self.process.kill()
        self.process.wait()


class KafkaTest(hosts.ByVerbs):
    def setUp(self):
        super().setUp()
        for name in "KAFKA", "KAFKA_PEER":
            if not os.environ.get(name):
                raise unittest.SkipTest(f"{name} is not set: make interop")
        if not shutil.which("java") or not glob.glob(os.environ["KAFKA"] + "/kafka_*.jar"):
            raise unittest.SkipTest("there is no Java, or no Kafka: tests/interop/install kafka")

    def start(self, *settings, hosts_are=None):
        self.broker = Broker(self)
        self.broker.create("talk", 4)
        self.broker.create("talk.reply", 2)
        self.start_served("messaging-rust", "talker", 50)
        self.link(*settings, hosts_are=hosts_are)

    def link(self, *settings, hosts_are=None):
        self.ok("config", "put", "talk", f"hosts={hosts_are or self.broker.address}", "topic=talk", *settings)
        self.ok("start", "provider", "wisp://messaging-kafka", "messages")
        self.ok("link", "put", "talker", "messages", "wasmcloud", "messaging", "--interface", "consumer",
                "--interface", "handler", "--target-config", "talk")

    def wait_until_heard(self):
        """New groups begin at the end: so one tells until one is heard."""
        def is_heard():
            self.broker.produce("talk", ["warm"])
            return self.replies()["WARM"]

        wisp.wait_for(is_heard, f"the first record; log: {self.host.log[-3000:]}")

    def wait_until_refused(self):
        """Of what goes wrong in a second the log has the first."""
        def is_told():
            self.broker.produce("talk", ["fail"])
            return re.search("did not handle a message.*that is no message", self.host.log)

        wisp.wait_for(is_told, f"a message that is refused; log: {self.host.log[-3000:]}")

    def replies(self):
        return self.broker.records("talk.reply", 2)

    def wait_until_committed(self):
        """Everything has been handled, then."""
        n = sum(self.broker.records("talk", 4).values())
        wisp.wait_for(lambda: self.broker.committed("shop", "talk", 4) == n, f"{n} commits; log: {self.host.log[-3000:]}")

    def wait_for_replies(self, texts):
        def have_all():
            replies = self.replies()
            return replies if all(replies[text] for text in texts) else None

        return wisp.wait_for(have_all, f"answers; log: {self.host.log[-3000:]}")

    def check_all_heard(self, texts, at_most=None):
        texts = [text.upper() for text in texts]
        replies = self.wait_for_replies(texts)
        self.assertLessEqual(max(replies[text] for text in texts), at_most or 1)

    def test_records_and_publishing(self):
        self.start("consumer_group=shop")
        self.wait_until_heard()
        texts = [f"number {n}" for n in range(200)]
        self.broker.produce("talk", texts)
        self.check_all_heard(texts)
        self.wait_until_committed()
        self.assertEqual(self.ask_text("/publish/talk.reply?published"), (200, "published"))
        self.assertEqual(self.replies()["published"], 1)
        status, text = self.ask_text("/talk?is+there+an+answer")
        self.assertEqual(status, 502)
        self.assertIn("Kafka has no requests", text)
        self.wait_until_refused()
        began = time.monotonic()
        status, text = self.ask_text("/publish/unknown?x")
        self.assertEqual(status, 502)
        self.assertIn("Unknown topic", text)
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(self.ask_text("/publish/not%20a%20topic?x")[0], 502)
        self.host.stop()

    def test_a_group_goes_on_where_it_was(self):
        self.start("consumer_group=shop")
        self.wait_until_heard()
        self.host.stop()
        texts = [f"meanwhile {n}" for n in range(20)]
        self.broker.produce("talk", texts)
        self.host = self.lattice.host()
        self.check_all_heard(texts)
        # Two hosts share the partitions.
        other = self.lattice.host()
        self.ok("start", "component", "file://" + os.path.abspath(wisp.guest("messaging-rust")), "talker",
                "--max-instances", "50", "--host-id", other.id)
        self.ok("start", "provider", "wisp://messaging-kafka", "messages", "--host-id", other.id)
        texts = [f"shared {n}" for n in range(200)]
        for begin in range(0, 200, 20):
            self.broker.produce("talk", texts[begin:begin + 20])
        self.check_all_heard(texts, 2)  # once more if it was just being handled when the group was shared out anew
        workers = self.host.workers()
        self.host.kill_control()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        texts = [f"alone {n}" for n in range(20)]
        self.broker.produce("talk", texts)
        self.check_all_heard(texts, 2)
        other.stop()

    def test_partitions(self):
        self.start("consumer_partitions=1, 3", "producer_partitions=0,1")
        self.wait_until_heard()
        before = self.broker.partitions("talk.reply", 2)
        self.assertEqual(self.ask_text("/publish/talk.reply?both"), (200, "published"))
        self.assertEqual(self.replies()["both"], 2)
        self.assertEqual(set(before), {"0", "1"})
        self.host.stop()

    def test_a_topic_that_is_made_later(self):
        self.start("consumer_group=late")
        self.ok("config", "put", "talk", f"hosts={self.broker.address}", "topic=later", "consumer_group=late")
        self.host.wait_for_log("Unknown topic")
        self.broker.create("later")
        self.broker.create("later.reply")

        def is_heard():
            self.broker.produce("later", ["at last"])
            return self.broker.records("later.reply")["AT LAST"]

        wisp.wait_for(is_heard, f"the first record; log: {self.host.log[-3000:]}")
        self.host.stop()

    def test_nobody_there(self):
        self.start("consumer_group=shop", hosts_are=wisp.free_address())
        wisp.wait_for(lambda: "brokers" in self.ask_text("/publish/talk?x")[1], "an answer of the link")
        began = time.monotonic()
        status, text = self.ask_text("/publish/talk.reply?x")
        self.assertEqual(status, 502)
        self.assertIn("brokers", text)
        self.assertLess(time.monotonic() - began, 20)
        # A link with the right ones, and all is well.
        self.ok("config", "put", "talk", f"hosts={self.broker.address}", "topic=talk", "consumer_group=shop")
        wisp.wait_for(lambda: self.ask_text("/publish/talk.reply?now")[0] == 200, "a record")
        self.host.stop()

    def test_broker_killed_under_load(self):
        self.start("consumer_group=shop")
        self.wait_until_heard()
        others, rounds = [], iter(range(3))
        self.broker.create("load")

        def publish(text):
            status, answer = self.ask_text(f"/publish/load?{text}")
            if status not in (200, 502):
                others.append(answer)
            return status == 200

        def restart():
            n = next(rounds)
            self.broker.produce("talk", [f"before {n} {i}" for i in range(20)])
            self.broker.kill()
            self.broker.start()
            self.broker.produce("talk", [f"after {n} {i}" for i in range(20)])

        load = hosts.Load(publish)
        load.survives(restart)
        self.assertEqual(others, [])
        self.assertLess(load.slowest, 30)
        have = self.broker.records("load")
        print(f"{len(load.done)} acknowledged, {len(load.failed)} failed, the slowest took {load.slowest:.1f} s", file=sys.stderr)
        self.assertEqual([text for text in load.done if have[text] != 1], [])
        self.assertEqual([text for text in load.failed if have[text] > 1], [])
        # A component that can't answer has had its record all the same; every other one is answered.
        self.wait_until_committed()
        replies = self.replies()
        texts = [f"{when} {n} {i}".upper() for when in ("before", "after") for n in range(3) for i in range(20)]
        missing = [text for text in texts if not replies[text]]
        print(f"{len(missing)} of {len(texts)} records were handled without an answer", file=sys.stderr)
        if missing:
            self.host.wait_for_log("did not handle a message.*the brokers did not take the record in time")
        self.assertLess(len(missing), 20)
        self.assertLessEqual(max(replies[text] for text in texts), 4)
        self.host.stop()

    def test_a_component_of_0_3_0(self):
        """To which records are objects; and its answers are records."""
        self.broker = Broker(self)
        self.broker.create("talk", 4)
        self.broker.create("talk.reply", 2)
        self.lattice = hosts.Lattice(self)
        self.host = self.lattice.host()
        self.ok("start", "component", "file://" + self.embedded("messaging-objects", "objects"), "talker",
                "--max-instances", "50")
        self.link("consumer_group=shop")

        def is_heard():
            self.broker.produce("talk", ["warm"])
            return self.replies()["warm"]

        wisp.wait_for(is_heard, f"the first record; log: {self.host.log[-3000:]}")
        texts = [f"number {n}" for n in range(50)]
        self.broker.produce("talk", ["trap", *texts])
        replies = self.wait_for_replies(texts)
        self.assertEqual({replies[text] for text in texts}, {1})
        self.host.wait_for_log("the component trapped")
        self.wait_until_refused()
        self.host.stop()


if __name__ == "__main__":
    wisp.main()
