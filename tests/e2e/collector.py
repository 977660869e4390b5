# SPDX-License-Identifier: Apache-2.0
"""An OpenTelemetry collector that keeps what it gets, decoded by OpenTelemetry's own classes."""

import glob
import http.server
import os
import ssl
import subprocess
import sys
import threading

import wisp

PACKAGES = ["opentelemetry-proto==1.45.2", "protobuf==7.36.2"]


def load():
    """Installs the official package into the user's cache, once, and makes it importable."""
    cache = os.environ.get("WISP_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "wisp")
    root = os.path.join(cache, "interop", f"otlp-py-1.45.2-{sys.version_info.major}.{sys.version_info.minor}")
    done = os.path.join(root, "done")
    if not os.path.exists(done):
        subprocess.run([sys.executable, "-m", "venv", root], check=True)
        subprocess.run([os.path.join(root, "bin", "pip"), "--disable-pip-version-check", "--quiet", "install", *PACKAGES],
                       check=True)
        open(done, "w").close()
    sys.path.insert(0, glob.glob(os.path.join(root, "lib", "python3*", "site-packages"))[0])


def messages():
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    return {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest,
            "/v1/logs": ExportLogsServiceRequest}


def attributes(pairs):
    return {pair.key: pair.value.int_value if pair.value.HasField("int_value") else pair.value.string_value
            for pair in pairs}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        collector = self.server.collector
        body = self.rfile.read(int(self.headers["content-length"]))
        status, headers = collector.answer(self.path)
        if status == 200:
            collector.take(self.path, self.headers, body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Collector:
    def __init__(self, case, port=0, tls=None):
        load()
        self.lock = threading.Lock()
        self.types = messages()
        self.received = []  # (path, headers, message)
        self.refusals = {}  # path: answers to give before it takes something: (status, headers)
        self.n_asked = 0
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.server.collector = self
        self.port = self.server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        case.addCleanup(self.close)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path):
        with self.lock:
            self.n_asked += 1
            waiting = self.refusals.get(path)
            return waiting.pop(0) if waiting else (200, {})

    def take(self, path, headers, body):
        message = self.types[path].FromString(body)
        with self.lock:
            self.received.append((path, headers, message))

    def messages(self, path):
        with self.lock:
            return [message for at, _, message in self.received if at == path]

    def spans(self):
        return [span for message in self.messages("/v1/traces") for resource in message.resource_spans
                for scope in resource.scope_spans for span in scope.spans]

    def logs(self):
        return [record for message in self.messages("/v1/logs") for resource in message.resource_logs
                for scope in resource.scope_logs for record in scope.log_records]

    def metric(self, name):
        """All points of a metric, in the order they came, with their metric."""
        return [(metric, point) for message in self.messages("/v1/metrics") for resource in message.resource_metrics
                for scope in resource.scope_metrics for metric in scope.metrics if metric.name == name
                for point in getattr(metric, metric.WhichOneof("data")).data_points]

    def wait_for_span(self, **wanted):
        """The first span with this name, this kind, or these attributes (dots as __)."""
        wanted = {name.replace("__", "."): value for name, value in wanted.items()}

        def find():
            for span in self.spans():
                have = {"name": span.name, "kind": span.kind, **attributes(span.attributes)}
                if all(have.get(name) == value for name, value in wanted.items()):
                    return span
            return None

        try:
            return wisp.wait_for(find, "", 60)
        except AssertionError:
            raise AssertionError(f"no span {wanted} in {self.spans()}") from None
