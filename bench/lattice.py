# SPDX-License-Identifier: Apache-2.0
"""Real hosts of a lattice under measurement: how each is started on core 0, told what to run, and asked."""
import dataclasses
import http.client
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import bus
import servers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/e2e"))
import hosts

CTL = "wasmbus.ctl.v1.default."


class Nats(bus.NatsServer):
    """With JetStream, where hosts keep their lattice's state."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="wisp-bench-")

    def command(self, port):
        return [*super().command(port), "-js", "-sd", self.folder.name]

    def __exit__(self, *_):
        super().__exit__()
        self.folder.cleanup()


class Host(servers.Server):
    """`wisp host` with a state of its own, on its embedded bus or on a NATS server. `port` is that of the bus."""
    name = "wisp host"

    def __init__(self, config, nats=None, workers=1, cache=None):
        self.config, self.nats, self.workers, self.cache = config, nats, workers, cache
        self.folder = tempfile.TemporaryDirectory(prefix="wisp-bench-")
        self.log_path = pathlib.Path(self.folder.name, "log")
        self.bus = None

    def command(self, port):
        where = ["--nats-port", port]
        if self.nats:
            self.port = self.nats.port
            where = ["--nats", f"nats://127.0.0.1:{self.port}"]
        return [self.config.wisp, "host", "--allow-file-load", "--workers", self.workers, "--log-format", "logfmt", *where]

    def environment(self):
        cache = {"WISP_CACHE": self.cache} if self.cache else {}
        return {**super().environment(), "WISP_STATE": f"{self.folder.name}/state", **cache}

    def __enter__(self):
        with open(self.log_path, "wb") as self.stderr:
            return super().__enter__()

    def wait_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while not (found := re.search(r'msg="?host is up"?.* host=(N\w+)', self.log_path.read_text())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the host is not up:\n{self.log_path.read_text()}")
            time.sleep(0.01)
        self.id = found.group(1)
        self.bus = hosts.Bus(self.port)

    def __exit__(self, *_):
        if self.bus:
            self.bus.close()
        super().__exit__()
        self.folder.cleanup()

    def ctl(self, subject, payload):
        answer = self.bus.request(CTL + subject, json.dumps(payload))
        answer = json.loads(answer) if answer else {"success": False, "message": "nobody listens"}
        if not answer["success"]:
            raise RuntimeError(f"{subject}: {answer['message']}")
        return answer.get("response")

    def scale(self, component_id, path, count=1000):
        self.ctl(f"component.scale.{self.id}", self.scale_request(component_id, path, count))

    def scale_request(self, component_id, path, count):
        return {"component_ref": f"file://{path}", "component_id": component_id, "host_id": self.id, "count": count}

    def link(self, source, target, interface, config=(), target_config=()):
        """`interface` is one of a package, "wasi:http/incoming-handler", or several, separated by commas."""
        namespace, package, names = re.split("[:/]", interface)
        self.ctl("link.put", {"source_id": source, "target": target, "name": "default", "wit_namespace": namespace,
                              "wit_package": package, "interfaces": names.split(","), "source_config": list(config),
                              "target_config": list(target_config)})

    def start_provider(self, provider_id, reference):
        self.ctl(f"provider.start.{self.id}", {"provider_id": provider_id, "host_id": self.id,
                                               "provider_ref": reference})

    def serve_http(self, component_id):
        """The built-in HTTP server of this host in front of a component, wherever that runs."""
        server_id, port = f"http-{component_id}", servers.free_port()
        self.ctl(f"config.put.{server_id}", {"address": f"127.0.0.1:{port}"})
        self.start_provider(server_id, "wisp://http-server")
        self.link(server_id, component_id, "wasi:http/incoming-handler", [server_id])
        return Door(self.process, port)


@dataclasses.dataclass
class Door:
    """An address of a host, as measure.wrk wants a server."""
    process: subprocess.Popen
    port: int

    def wait(self, path, expected, seconds=60):
        """Until it answers that."""
        deadline = time.monotonic() + seconds
        while (found := self.get(path)) != (200, expected):
            if time.monotonic() > deadline:
                raise RuntimeError(f"port {self.port} answers {found} to {path}")
            time.sleep(0.01)

    def wait_for_200(self, path, seconds=60):
        deadline = time.monotonic() + seconds
        while (found := self.get(path))[0] != 200:
            if time.monotonic() > deadline:
                raise RuntimeError(f"port {self.port} answers {found} to {path}")
            time.sleep(0.01)

    def get(self, path):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError as error:
            return None, str(error)
