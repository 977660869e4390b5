# SPDX-License-Identifier: Apache-2.0
"""Real hosts of a lattice for end-to-end tests, and a NATS client by hand to speak to them with bytes of one's own."""

import json
import os
import re
import signal
import socket
import threading
import time

import wisp


def headers_of(head):
    """Names and values, as bytes, of the block in front of a message."""
    return dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)


class Bus:
    """A connection to a bus: the NATS client protocol by hand. Messages arrive in a thread."""

    def __init__(self, port, host="127.0.0.1", **connect):
        self.socket = socket.create_connection((host, port), timeout=wisp.PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.info = json.loads(self.file.readline().split(b" ", 1)[1])
        self.lock, self.sending = threading.Lock(), threading.Lock()
        self.handlers = {}
        self.errors = []
        self.pongs = 0
        self.next_sid = 1
        self.inbox = f"_INBOX.{os.urandom(8).hex()}"
        self.replies = {}
        self.send("CONNECT " + json.dumps({"verbose": False, "headers": True, "no_responders": True, **connect}) + "\r\n")
        self.socket.settimeout(None)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        self.subscribe(self.inbox + ".*", self.on_reply)
        self.flush()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.thread.join(wisp.PATIENCE)
        self.file.close()
        self.socket.close()

    def send(self, text):
        with self.sending:
            self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def read(self):
        try:
            while line := self.file.readline():
                self.take(line.split())
        except (OSError, ValueError):
            pass

    def take(self, words):
        if words[0] == b"PING":
            self.send("PONG\r\n")
        elif words[0] == b"PONG":
            self.pongs += 1
        elif words[0] == b"-ERR":
            self.errors.append(b" ".join(words).decode())
        elif words[0] in (b"MSG", b"HMSG"):
            total = int(words[-1])
            data = self.file.read(total + 2)[:total]
            head = b""
            if words[0] == b"HMSG":
                size = int(words[-2])
                head, data = data[:size], data[size:]
                words = words[:-1]
            reply = words[3].decode() if len(words) == 5 else ""
            with self.lock:
                handler = self.handlers.get(int(words[2]))
            if handler:
                handler(words[1].decode(), reply, head, data)

    def subscribe(self, subject, handler, queue=""):
        with self.lock:
            sid = self.next_sid
            self.next_sid += 1
            self.handlers[sid] = handler
        self.send(f"SUB {subject} {queue} {sid}\r\n" if queue else f"SUB {subject} {sid}\r\n")
        return sid

    def publish(self, subject, payload=b"", reply="", headers=None):
        """Bytes and text as they are, anything else as JSON."""
        if not isinstance(payload, bytes):
            payload = (payload if isinstance(payload, str) else json.dumps(payload)).encode()
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items()) if headers else ""
        head = f"NATS/1.0\r\n{head}\r\n" if head else ""
        verb, sizes = ("HPUB", f"{len(head)} {len(head) + len(payload)}") if head else ("PUB", len(payload))
        self.send(f"{verb} {subject} {reply} {sizes}\r\n{head}".encode() + payload + b"\r\n")

    def flush(self):
        want = self.pongs + 1
        self.send("PING\r\n")
        wisp.wait_for(lambda: self.pongs >= want, "PONG")

    def on_reply(self, subject, _reply, head, data):
        self.replies.setdefault(subject, []).append((head, data))

    def gather(self, subject, payload=b"", seconds=1.0):
        """All answers that come within the time."""
        inbox = f"{self.inbox}.{os.urandom(6).hex()}"
        self.publish(subject, payload, inbox)
        time.sleep(seconds)
        return [data for _, data in self.replies.pop(inbox, [])]

    def request(self, subject, payload=b"", patience=30, headers=None):
        """Payload of the first answer; None when nobody listens."""
        inbox = f"{self.inbox}.{os.urandom(6).hex()}"
        self.publish(subject, payload, inbox, headers)
        wisp.wait_for(lambda: inbox in self.replies, f"an answer on {subject}", patience)
        head, data = self.replies.pop(inbox)[0]
        return None if b" 503" in head.split(b"\r\n")[0] else data


class Host(wisp.Program):
    """`wisp host`, or `wisp up`, in front."""

    def __init__(self, lattice, *args, env=None, wait=True, wrapper=(), verb="host"):
        self.lattice = lattice
        super().__init__(lattice.case, [*wrapper, wisp.PROGRAM, verb, "--allow-file-load", "--log-format", "logfmt",
                                        *lattice.host_flags, *args], {**lattice.env, **(env or {})})
        self.id = None
        if wait:
            self.wait_until_up()

    def wait_until_up(self):
        def host_id():
            if self.process.poll() is not None:
                raise AssertionError(f"wisp host ended with {self.process.returncode}:\n{self.log}")
            return re.search(r'msg="?host is up"?.* host=(N\w+)', self.log)

        self.id = wisp.wait_for(host_id, "the host to be up", wisp.START_PATIENCE).group(1)

    def stop(self):
        super().stop(signal.SIGTERM)

    def end(self):
        """With everything it left behind."""
        super().end()
        for pid in self.lattice.left_behind():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def kill_control(self):
        """The control process alone, at once."""
        self.process.kill()
        self.process.wait()


class Load:
    """Asks again and again, in several threads: ask(name) for a name that is used once, and True when it was done. With
    what was `done`, and what `failed` and may have been done all the same."""

    def __init__(self, ask, threads=4):
        self.done, self.failed, self.slowest = [], [], 0.0
        self.ask, self.is_over = ask, threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        n = 0
        while not self.is_over.is_set():
            name, began = f"{number}-{n}", time.monotonic()
            (self.done if self.ask(name) else self.failed).append(name)
            self.slowest = max(self.slowest, time.monotonic() - began)
            n += 1

    def survives(self, restart, times=3, each=50):
        """So much is done before and after each restart."""
        try:
            for number in range(times + 1):
                before = len(self.done)
                wisp.wait_for(lambda: len(self.done) >= before + each, f"calls that are done; {len(self.failed)} failed")
                if number < times:
                    restart()
        finally:
            self.is_over.set()
            for thread in self.threads:
                thread.join()


class Lattice:
    """A lattice of its own for a test: state, cache and a free port."""

    def __init__(self, case, port=None, flags=()):
        self.case = case
        self.port = port or int(wisp.free_address().rpartition(":")[2])
        self.state = os.path.join(case.folder, "state")
        self.env = {**case.env, "HOME": case.folder, "WISP_STATE": self.state, "WASMCLOUD_CTL_PORT": str(self.port)}
        # Compiled code is kept over tests: its keys are contents.
        self.env.setdefault("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
        self.host_flags = ["--nats-port", str(self.port), "--workers", "2", *flags]

    def host(self, *args, **options):
        return Host(self, *args, **options)

    def left_behind(self):
        """Processes of this lattice that run."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if f"WISP_STATE={self.state}".encode() in file.read().split(b"\0"):
                        found.append(int(entry))
            except OSError:
                pass
        return [pid for pid in found if wisp.is_alive(pid)]

    def bus(self, **connect):
        bus = Bus(self.port, **connect)
        self.case.addCleanup(bus.close)
        return bus

    def wisp(self, *args, **options):
        return self.case.wisp(*args, env=self.env, **options)

    def ask(self, *args):
        """The verb's JSON; it must succeed."""
        done = self.wisp(*args, "-o", "json")
        self.case.assertEqual(done.returncode, 0, (done.stdout, done.stderr))
        return json.loads(done.stdout)

    def ctl(self, bus, subject, payload=None, lattice="default"):
        """A control request by hand: the envelope of the answer."""
        data = b"" if payload is None else payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        answer = bus.request(f"wasmbus.ctl.v1.{lattice}.{subject}", data)
        return None if answer is None else json.loads(answer)


class Events:
    """Events of a lattice from now on."""

    def __init__(self, bus, lattice="default"):
        self.all = []
        bus.subscribe(f"wasmbus.evt.{lattice}.>", lambda subject, reply, head, data: self.all.append(json.loads(data)))
        bus.flush()

    def named(self, name):
        return [event["data"] for event in self.all if event["type"] == "com.wasmcloud.lattice." + name]

    def wait_for(self, name, count=1, **fields):
        def found():
            matching = [data for data in self.named(name) if all(data.get(key) == value for key, value in fields.items())]
            return matching if len(matching) >= count else None

        try:
            return wisp.wait_for(found, "")[-1]
        except AssertionError:
            raise AssertionError(f"no event {name} {fields} in {self.all}") from None


class ByVerbs(wisp.Case):
    """Drives `self.lattice` by wisp's verbs; `self.host` is its first host, whose log failures show."""

    def ok(self, *args):
        done = self.lattice.wisp(*args)
        self.assertEqual(done.returncode, 0, (args, done.stdout, done.stderr, self.host.log[-2000:]))

    def start_served(self, guest, component, max_instances=20):
        """A lattice of one host, and in it the component behind its HTTP server."""
        self.lattice = Lattice(self)
        self.host = self.lattice.host()
        self.ok("start", "component", "file://" + os.path.abspath(wisp.guest(guest)), component, "--max-instances",
                str(max_instances))
        self.serve_http(component)

    def serve_http(self, component):
        self.address = wisp.free_address()
        self.ok("config", "put", "http", f"address={self.address}")
        self.ok("start", "provider", "wisp://http-server", "http")
        self.ok("link", "put", "http", component, "wasi", "http", "--interface", "incoming-handler", "--source-config",
                "http")

    def ask_text(self, path, method="GET", body=b""):
        """Status and text of an answer; 0 when there is none."""
        try:
            with wisp.Client(self.address) as client:
                response = client.request(method, path, [("connection", "close")], body)
        except (OSError, wisp.Broken):
            return 0, ""
        return response.status, response.body.decode().rstrip("\n")


class ByControl(wisp.Case):
    """Drives `self.lattice` by control requests of `self.bus`."""

    def ok(self, subject, payload=None):
        answer = self.lattice.ctl(self.bus, subject, payload)
        self.assertTrue(answer and answer["success"], (subject, answer))
        return answer.get("response")
