# SPDX-License-Identifier: Apache-2.0
"""The servers under measurement: how each is started on core 0 and known to be ready and alone on its port."""
import dataclasses
import http.client
import os
import pathlib
import socket
import subprocess
import time

SERVER_CORE, LOAD_CORE = "0", "1"


@dataclasses.dataclass
class Config:
    root: pathlib.Path
    build: pathlib.Path  # with guests/ and release/
    rounds: int
    seconds: int

    def __post_init__(self):
        self.guests = self.build / "guests"
        self.wisp = self.build / "release/wisp"
        self.release = self.build / "release/src"
        self.providers = self.build / "release/providers"
        self.simulation = self.build / "release/tests/sim/lattice_sim"
        self.wasmtime = reference_tool(self.root, "wasmtime")
        self.wasm_tools = reference_tool(self.root, "wasm-tools")


def reference_tool(root, name):
    prefix = subprocess.run([root / "tools/guests/install", "reference"], check=True, capture_output=True, text=True)
    return pathlib.Path(prefix.stdout.strip().splitlines()[-1]) / "python/bin" / name


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """with server.running(): ...   starts it on a port of its own and ends it, by its process id."""
    name = "?"
    process = None
    stdin = subprocess.DEVNULL
    stderr = subprocess.DEVNULL

    def command(self, port):
        raise NotImplementedError

    def environment(self):
        return dict(os.environ, RUST_LOG="off")

    def __enter__(self):
        self.port = free_port()
        self.process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *map(str, self.command(self.port))], env=self.environment(),
            stdin=self.stdin, stdout=subprocess.DEVNULL, stderr=self.stderr, start_new_session=True)
        try:
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with status {self.process.returncode}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                connection.request("GET", "/")
                connection.getresponse().read()
                return
            except OSError:
                time.sleep(0.002)
        raise RuntimeError(f"{self.name} does not answer on port {self.port}")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Wisp(Server):
    def __init__(self, config, wasm, workers=1):
        self.name, self.config, self.wasm, self.workers = "wisp", config, wasm, workers

    def command(self, port):
        return [self.config.wisp, "run", self.wasm, "--addr", f"127.0.0.1:{port}", "--workers", self.workers,
                "--max-instances", 1100, "--log-level", "error"]


class WorkerInCallgrind(Server):
    """One worker without its control process, under callgrind; see src/worker/serve_bench.c."""

    def __init__(self, config, wasm, out):
        self.name, self.config, self.wasm, self.out = "worker under callgrind", config, wasm, out

    def command(self, port):
        return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.out}",
                self.config.release / "worker_serve_bench", self.wasm, port]


class Bare(Server):
    """The same HTTP server answering by itself: what WebAssembly costs."""

    def __init__(self, config):
        self.name, self.config = "same server without WebAssembly", config

    def command(self, port):
        return [self.config.release / "http_server_bench", port]


class Wasmtime(Server):
    FLAGS = {
        # What `wasmtime serve FILE` does.
        "defaults": ["--max-instance-reuse-count", "1"],
        # A fresh instance per request, with everything the command line offers to make that cheap.
        "tuned pooling": [
            "--max-instance-reuse-count", "1", "-O", "pooling-allocator=y", "-O", "pooling-total-core-instances=1000",
            "-O", "pooling-memory-keep-resident=16777216", "-O", "pooling-table-keep-resident=16777216",
            "-O", "pooling-async-stack-keep-resident=65536", "-O", "pooling-max-unused-warm-slots=1000",
            "-O", "pooling-pagemap-scan=auto"],
        # No isolation between requests.
        "instances reused": ["--max-instance-reuse-count", "1000000000"],
    }

    def __init__(self, config, wasm, kind):
        self.name, self.config, self.wasm, self.kind = f"wasmtime serve, {kind}", config, wasm, kind

    def command(self, port):
        return [self.config.wasmtime, "serve", "-S", "cli=y", *self.FLAGS[self.kind], "--addr", f"127.0.0.1:{port}",
                self.wasm]


def peers(config, wasm):
    return [Wasmtime(config, wasm, kind) for kind in Wasmtime.FLAGS]
