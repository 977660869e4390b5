# SPDX-License-Identifier: Apache-2.0
"""What end-to-end tests are written with: real processes, real sockets, nothing but the standard library.

    WISP         the program under test
    WISP_GUESTS  a folder of NAME.wasm, the built examples; when it is set, a missing one is a failure, not a skip
    WASM_TOOLS   the program wasm-tools, likewise

A test is a method of a Case, which ends and removes whatever the method left behind.
"""

import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.environ.get("WISP", "")
GUESTS = os.environ.get("WISP_GUESTS", "")
# Where it was built: providers and the SDK are there too.
BUILD = os.environ.get("WISP_BUILD") or os.path.dirname(os.path.abspath(PROGRAM))

# Far more than anything takes, also on a loaded machine with sanitizers: it ends what hangs.
PATIENCE = 120
# What sanitizers say before everything else.
SANITIZER = "(Sanitizer|runtime error):"
# Until a server answers for the first time: compiling the largest example on two busy cores.
START_PATIENCE = 300


def guest(name):
    """Path of an example, built."""
    path = os.path.join(GUESTS, name + ".wasm")
    if os.path.exists(path):
        return path
    if GUESTS:
        raise AssertionError(f"{path} is not there, though the build should have made it")
    raise unittest.SkipTest(f"WISP_GUESTS is not set: no {name}.wasm")


def wasm_tools():
    """Path of the program wasm-tools: of the build, of the system, or where tools/guests/install has put it."""
    named = os.environ.get("WASM_TOOLS")
    if named:
        return named
    cache = os.environ.get("WISP_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "wisp")
    found = [shutil.which("wasm-tools"), *sorted(glob.glob(os.path.join(cache, "guests/*/python/bin/wasm-tools")))]
    for path in found:
        if path and os.access(path, os.X_OK):
            return path
    raise unittest.SkipTest("wasm-tools is not installed: tools/guests/install python")


def wait_for(condition, what, patience=PATIENCE):
    """The first true value of condition()."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s for {what}")
        time.sleep(0.01)


def on_machine(*words):
    """What to put before a command to run it on a smaller or older machine; the words are those of machine.py."""
    return (sys.executable, os.path.join(HERE, "machine.py"), *words, "--")


def free_address():
    """An address that is free now. Prefer port 0, where the program tells which port it got."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % probe.getsockname()[1]


def is_alive(pid):
    """A zombie that nobody has reaped yet is dead."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid):
    """Of whichever thread made them."""
    found = []
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        try:
            with open(path) as file:
                found += map(int, file.read().split())
        except OSError:
            pass
    return found


class Response:
    def __init__(self, status, headers, body, trailers=None):
        self.status = status
        self.headers = headers  # list of (lower-case name, value)
        self.body = body
        self.trailers = trailers or []

    def header(self, name):
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


class Broken(Exception):
    """The server ended the connection in the middle of a response."""


class Client:
    """One connection, HTTP/1.1 spoken by hand."""

    def __init__(self, address, patience=PATIENCE):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Goes away without a word: the server gets RST, not FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def request(self, method="GET", path="/", headers=(), body=b"", read=True):
        head = f"{method} {path} HTTP/1.1\r\nhost: test\r\n"
        names = [name.lower() for name, _ in headers]
        if (body or method in ("POST", "PUT")) and "content-length" not in names and "transfer-encoding" not in names:
            head += f"content-length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
        self.send(head.encode("latin-1") + body)
        return self.response(method) if read else None

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    # --- reading ---

    def more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def line(self):
        while b"\r\n" not in self.buffer:
            if not self.more():
                raise Broken(f"in a line: {self.buffer[:200]!r}")
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def exactly(self, size):
        while len(self.buffer) < size:
            if not self.more():
                raise Broken(f"{len(self.buffer)} bytes of {size}")
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def header_lines(self):
        headers = []
        while line := self.line():
            name, _, value = line.partition(":")
            headers.append((name.lower(), value.strip()))
        return headers

    def head(self):
        """Status and headers of the next response that is not a 1xx one."""
        while True:
            version, status, *_ = self.line().split(" ", 2)
            assert version == "HTTP/1.1", version
            headers = self.header_lines()
            if int(status) >= 200:
                return int(status), headers

    def read_chunk(self):
        """The next chunk; b"" is the last one, its trailers are still to be read."""
        size = int(self.line().split(";")[0], 16)
        data = self.exactly(size)
        if size and self.line():
            raise Broken("a chunk without its end")
        return data

    def response(self, method="GET"):
        status, headers = self.head()
        fields = dict(headers)
        if method == "HEAD" or status in (204, 304):
            return Response(status, headers, b"")
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while data := self.read_chunk():
                body += data
            return Response(status, headers, body, self.header_lines())
        if "content-length" in fields:
            return Response(status, headers, self.exactly(int(fields["content-length"])))
        while self.more():
            pass
        body, self.buffer = self.buffer, b""
        return Response(status, headers, body)

    def is_closed(self):
        """The server has closed and sent nothing more."""
        return not self.buffer and not self.more()


class Program:
    """A process of wisp that runs in the background, with its log. `case` ends it."""

    def __init__(self, case, command, env, **popen):
        self.case = case
        self.log_path = os.path.join(case.folder, f"log-{time.monotonic_ns()}")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, **popen)
        case.addCleanup(self.kill)

    @property
    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    @property
    def pid(self):
        return self.process.pid

    def wait_for_log(self, pattern, count=1, patience=PATIENCE):
        def found():
            return len(re.findall(pattern, self.log)) >= count

        try:
            wait_for(found, f"`{pattern}` in the log", patience)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.log}") from None

    def workers(self):
        return [pid for pid in children(self.pid) if is_alive(pid)]

    def stop(self, number=signal.SIGINT):
        """Ctrl-C: it must end by itself, with success, and without a complaint of a sanitizer."""
        self.signal(number)
        code = self.wait()
        self.case.assertNotRegex(self.log, SANITIZER)
        self.case.assertEqual(code, 0, self.log)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, patience=PATIENCE):
        return self.process.wait(patience)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def kill(self):
        """Ends it, and shows its log when the test has failed. It has failed as well when a sanitizer complained in a
        process that the test did not look at: a worker that was replaced, a host that was killed."""
        self.end()
        complaint = re.search(SANITIZER + ".*", self.log)
        if complaint or self.case.has_failed():
            sys.stderr.write(f"--- log of {' '.join(self.process.args)}\n{self.log[-20000:]}---\n")
        if complaint:
            self.case.fail(complaint.group())


class Server(Program):
    """`wisp run FILE`, serving."""

    def __init__(self, case, file, *args, env=None, wrapper=(), rest=(), wait=True, address="127.0.0.1:0", **popen):
        command = [*wrapper, PROGRAM, "run", file, "--addr", address, "--log-format", "logfmt", *args]
        if rest:
            command += ["--", *rest]
        super().__init__(case, command, {**case.env, **(env or {})}, **popen)
        self.address = None
        if wait:
            self.wait_until_serving()

    def wait_until_serving(self):
        def url():
            found = re.search(r"msg=serving url=http://(\S+)", self.log)
            if not found and self.process.poll() is not None:
                raise AssertionError(f"wisp run ended with {self.process.returncode}:\n{self.log}")
            return found

        self.address = wait_for(url, "the server to start", START_PATIENCE).group(1)

    def wait_for_workers(self, count):
        return wait_for(lambda: len(self.workers()) == count and self.workers(), f"{count} workers")

    def client(self, **options):
        client = Client(self.address, **options)
        self.case.addCleanup(client.close)
        return client

    def get(self, path="/", method="GET", headers=(), body=b""):
        """One request on a connection of its own."""
        with Client(self.address) as client:
            return client.request(method, path, [*headers, ("connection", "close")], body)


class Case(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if not PROGRAM:
            raise unittest.SkipTest("WISP is not set: no program to test")

    def setUp(self):
        # In /tmp itself: others must be able to get there (tests that drop their rights), and names stay short.
        self.folder = tempfile.mkdtemp(prefix="wisp-e2e-")
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith("WISP") or name == "WISP_CACHE"}

    def has_failed(self):
        result = self._outcome.result
        return any(test is self for test, _ in [*result.failures, *result.errors])

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    # --- components written by hand ---

    def component(self, name):
        """Path of tests/e2e/components/NAME.wat."""
        return os.path.join(HERE, "components", name + ".wat")

    def http_component(self, name):
        """components/http.wat with its fault from components/http-NAME.wat; GET /ok always answers."""
        return self.framed("http", name)

    def command_component(self, name):
        """components/command.wat with its body from components/command-NAME.wat."""
        return self.framed("command", name)

    def embedded(self, name, world, more=""):
        """components/NAME.wat, a core module, with more in it, as a component of that world of NAME.wit."""
        core, path, wit = self.path(name + ".core.wasm"), self.path(name + ".wasm"), self.component(name)[:-3] + "wit"
        with open(self.component(name)) as file:
            text = self.write(name + ".wat", file.read().rstrip()[:-1] + more + ")")
        for args in (["embed", wit, "-w", world, text, "-o", core], ["new", core, "-o", path]):
            subprocess.run([wasm_tools(), "component", *args], check=True)
        return path

    def framed(self, frame, name):
        with open(self.component(frame)) as file:
            text = file.read()
        with open(self.component(f"{frame}-{name}")) as file:
            return self.write(name + ".wat", text.replace(";; BODY", file.read()))

    # --- running ---

    def wisp(self, *args, stdin=b"", env=None, patience=START_PATIENCE, **options):
        """Runs the program to its end; .returncode, .stdout, .stderr (text)."""
        done = subprocess.run([PROGRAM, *args], input=stdin, capture_output=True, timeout=patience,
                              env={**self.env, **(env or {})}, **options)
        done.stdout = done.stdout.decode(errors="replace")
        done.stderr = done.stderr.decode(errors="replace")
        self.assertNotRegex(done.stderr, SANITIZER)
        return done

    def fails(self, code, *args, **options):
        """It ends with this code and one line on standard error, which is returned."""
        done = self.wisp(*args, **options)
        self.assertEqual(done.returncode, code, done)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("wisp: error: "), done.stderr)
        self.assertEqual(done.stdout, "")
        return lines[0]

    def serve(self, file, *args, **options):
        return Server(self, file, *args, **options)


# Exit codes of src/base/err.h.
EXIT = {"invalid": 2, "usage": 2, "unsupported": 3, "not-found": 4, "exists": 5, "denied": 6, "unavailable": 7,
        "timeout": 8, "limit": 9, "guest": 10, "cancelled": 11, "os": 12, "internal": 13}
EXIT_TRAP = 134
EXIT_TIMEOUT = 124

main = unittest.main
