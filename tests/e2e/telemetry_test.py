# SPDX-License-Identifier: Apache-2.0
"""A host tells an OpenTelemetry collector what it does: metrics, logs, and traces that go through components."""

import os
import re
import subprocess
import time

import collector
import hosts
import wisp

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SERVER, CLIENT, INTERNAL, ERROR = 2, 3, 1, 2
HTTP_OPERATION = "wrpc:http/incoming-handler@0.1.0/handle"


class TelemetryTest(hosts.ByControl):
    def start(self, *flags, url=None, verb="host", **env):
        self.collector = collector.Collector(self)
        self.lattice = hosts.Lattice(self)
        self.variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": url or self.collector.url, "OTEL_METRIC_EXPORT_INTERVAL": "300", **env}
        self.host = self.lattice.host(*(flags or ["--enable-observability"]), env=self.variables, verb=verb)
        self.bus = self.lattice.bus()
        self.events = hosts.Events(self.bus)

    def run_component(self, host, component_id, guest):
        self.ok(f"component.scale.{host.id}", {"component_ref": "file://" + os.path.abspath(wisp.guest(guest)),
                                               "component_id": component_id, "host_id": host.id, "count": 20})
        self.events.wait_for("component_scaled", component_id=component_id, max_instances=20)

    def link(self, source, target, package, interfaces, **config):
        namespace, package = package.split(":")
        self.ok("link.put", {"source_id": source, "target": target, "name": "default", "wit_namespace": namespace,
                             "wit_package": package, "interfaces": interfaces, "source_config": [], "target_config": [],
                             **config})

    def serve(self, component_id):
        address = wisp.free_address()
        self.ok("config.put.http", {"address": address})
        self.ok(f"provider.start.{self.host.id}", {"provider_id": "http", "host_id": self.host.id,
                                                   "provider_ref": "wisp://http-server"})
        self.link("http", component_id, "wasi:http", ["incoming-handler"], source_config=["http"])
        return address

    def get(self, address, path, *headers):
        with wisp.Client(address) as client:
            return client.request("GET", path, [*headers, ("connection", "close")])

    def wait_for_answer(self, address, path, status=200, body=None):
        def answered():
            try:
                response = self.get(address, path, ("traceparent", f"00-{TRACE}-{PARENT}-00"))
                return response.status == status and body in (None, response.body)
            except (OSError, wisp.Broken):
                return False

        wisp.wait_for(answered, f"{status} at {path}; log: {self.host.log[-2000:]}")

    def serve_calc(self, other=None):
        """front-rust, which calls calc-rust."""
        self.run_component(self.host, "front", "front-rust")
        self.run_component(other or self.host, "calc", "calc-rust")
        self.link("front", "calc", "acme:calc", ["ops"])
        address = self.serve("front")
        self.wait_for_answer(address, "/add?a=1&b=2", body=b"3\n")
        return address

    def traced(self, address, path, flags="01"):
        return self.get(address, path, ("traceparent", f"00-{TRACE}-{PARENT}-{flags}"), ("tracestate", "vendor=1"))

    # --- signals ---

    def test_metrics_logs_and_a_trace_through_components(self):
        self.start(OTEL_EXPORTER_OTLP_HEADERS="x-key=top%20secret", OTEL_RESOURCE_ATTRIBUTES="deployment.environment=test")
        address = self.serve_calc()
        self.assertEqual(self.traced(address, "/add?a=20&b=22").body, b"42\n")

        http = self.collector.wait_for_span(name="GET front")
        self.assertEqual((http.trace_id.hex(), http.parent_span_id.hex()), (TRACE, PARENT))
        self.assertEqual((http.kind, http.trace_state, http.status.code), (SERVER, "vendor=1", 0))
        self.assertLess(http.start_time_unix_nano, http.end_time_unix_nano)
        self.assertEqual(collector.attributes(http.attributes),
                         {"component.id": "front", "http.request.method": "GET", "url.path": "/add",
                          "http.response.status_code": 200})
        call = self.collector.wait_for_span(component__id="calc")
        self.assertEqual((call.trace_id.hex(), call.parent_span_id, call.kind), (TRACE, http.span_id, INTERNAL))
        self.assertRegex(call.name, r"^acme:calc/ops(@[0-9.]+)?/add$")

        self.assertEqual(self.get(address, "/trap").status, 500)
        trap = self.collector.wait_for_span(url__path="/trap")
        self.assertEqual((trap.status.code, trap.parent_span_id), (ERROR, b""))
        self.assertNotEqual(trap.trace_id.hex(), TRACE)

        def told(body):
            return [record for record in self.collector.logs() if record.body.string_value == body]

        wisp.wait_for(lambda: told("host is up"), "the host's log")
        record = wisp.wait_for(lambda: told("the component trapped"), "the worker's log")[0]
        self.assertEqual((record.severity_text, record.severity_number), ("ERROR", 17))
        self.assertIn("component", collector.attributes(record.attributes))

        self.check_metrics()
        resource = collector.attributes(self.collector.messages("/v1/metrics")[-1].resource_metrics[0].resource.attributes)
        self.assertEqual((resource["service.name"], resource["service.instance.id"], resource["deployment.environment"]),
                         ("wasmcloud-host", self.host.id, "test"))
        for _, headers, _ in self.collector.received:
            self.assertEqual((headers["x-key"], headers["content-type"]), ("top secret", "application/x-protobuf"))
        self.host.stop()
        self.assertNotIn("top secret", self.host.log)

    def check_metrics(self):
        def value(name, component="front"):
            found = [point for _, point in self.collector.metric(name)
                     if collector.attributes(point.attributes)["component.id"] == component]
            return found[-1] if found else None

        wisp.wait_for(lambda: value("wasmcloud_host.component.invocation.errors")
                      and value("wasmcloud_host.component.invocation.errors").as_int >= 1, "the errors")
        calls = value("wasmcloud_host.component.invocations")
        have = collector.attributes(calls.attributes)
        self.assertEqual(have["operation"], HTTP_OPERATION)
        self.assertEqual((have["lattice"], have["host"]), ("default", self.host.id))
        self.assertRegex(have["component.ref"], "front-rust.wasm$")
        self.assertGreaterEqual(calls.as_int, 2)
        self.assertGreaterEqual(value("wisp.component.traps", "calc").as_int, 1)
        self.assertGreater(value("wisp.component.cpu.time").as_double, 0)
        duration = value("wasmcloud_host.handle_rpc_message.duration")
        self.assertEqual(duration.count, sum(duration.bucket_counts))
        self.assertEqual(len(duration.bucket_counts), len(duration.explicit_bounds) + 1)
        self.assertGreater(duration.sum, 0)
        metric, point = self.collector.metric("wisp.component.latency")[-1]
        self.assertEqual((metric.unit, metric.histogram.aggregation_temporality), ("s", 2))
        self.assertLess(point.start_time_unix_nano, point.time_unix_nano)
        metric, _ = self.collector.metric("wisp.component.calls")[-1]
        self.assertTrue(metric.sum.is_monotonic)
        self.assertEqual(self.collector.metric("wisp.component.instances")[-1][0].WhichOneof("data"), "gauge")

    def test_trace_over_two_hosts(self):
        self.start("--enable-traces")
        other = self.lattice.host("--enable-traces", env=self.variables)
        address = self.serve_calc(other)
        self.assertEqual(self.traced(address, "/add?a=20&b=22").body, b"42\n")
        http = self.collector.wait_for_span(name="GET front")
        client = self.collector.wait_for_span(component__id="front", rpc__method="add")
        server = self.collector.wait_for_span(component__id="calc", rpc__method="add")
        self.assertEqual((http.kind, client.kind, server.kind), (SERVER, CLIENT, SERVER))
        self.assertEqual({span.trace_id.hex() for span in (http, client, server)}, {TRACE})
        self.assertEqual((client.parent_span_id, server.parent_span_id), (http.span_id, client.span_id))
        self.assertEqual(server.trace_state, "vendor=1")
        self.assertEqual((self.collector.logs(), self.collector.messages("/v1/metrics")), ([], []))
        other.stop()
        self.host.stop()

    def test_trace_reaches_a_component_behind_a_forward(self):
        self.start("--enable-traces")
        other = self.lattice.host("--enable-traces", env=self.variables)
        self.run_component(other, "front", "front-rust")
        address = self.serve("front")
        self.wait_for_answer(address, "/config")
        self.assertEqual(self.traced(address, "/config").status, 200)
        client = self.collector.wait_for_span(name="GET front", kind=CLIENT)
        server = self.collector.wait_for_span(name="GET front", kind=SERVER)
        self.assertEqual((client.trace_id.hex(), client.parent_span_id.hex(), client.trace_state),
                         (TRACE, PARENT, "vendor=1"))
        self.assertEqual((server.trace_id, server.parent_span_id, server.trace_state),
                         (client.trace_id, client.span_id, "vendor=1"))
        for span in (client, server):
            self.assertEqual(collector.attributes(span.attributes),
                             {"component.id": "front", "http.request.method": "GET", "url.path": "/config",
                              "http.response.status_code": 200, "operation": HTTP_OPERATION})
        other.stop()
        self.host.stop()

    def test_sampling_follows_the_parent_or_the_ratio(self):
        self.start("--enable-traces", OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0")
        address = self.serve_calc()
        for _ in range(20):
            self.assertEqual(self.get(address, "/add?a=1&b=1").status, 200)
        self.assertEqual(self.traced(address, "/add?a=1&b=1", "00").status, 200)
        self.assertEqual(self.traced(address, "/add?a=20&b=22", "01").status, 200)
        self.host.stop()
        self.assertEqual({span.trace_id.hex() for span in self.collector.spans()}, {TRACE})
        self.assertEqual(len(self.collector.spans()), 2)

    def test_up_traces_as_host_does(self):
        self.start("--enable-traces", verb="up")
        address = self.serve_calc()
        self.assertEqual(self.traced(address, "/add?a=20&b=22").status, 200)
        self.host.stop()
        self.assertEqual(len([span for span in self.collector.spans() if span.trace_id.hex() == TRACE]), 2)

    def test_spans_of_a_provider_process(self):
        self.start("--enable-traces")
        program = os.path.realpath(os.path.join(wisp.BUILD, "providers", "wisp-keyvalue-sqlite"))
        self.run_component(self.host, "counter", "keyvalue-rust")
        self.ok(f"provider.start.{self.host.id}", {"provider_id": "kv", "host_id": self.host.id,
                                                   "provider_ref": "file://" + program})
        self.link("counter", "kv", "wasi:keyvalue", ["store", "atomics", "batch"])
        address = self.serve("counter")
        self.wait_for_answer(address, "/")
        self.assertEqual(self.traced(address, "/set?key=a&value=b").status, 200)
        http = self.collector.wait_for_span(name="GET counter", url__path="/set")
        span = self.collector.wait_for_span(provider__id="kv", rpc__method="set")
        self.assertEqual((span.trace_id.hex(), span.kind, span.status.code), (TRACE, SERVER, 0))
        client = next(above for above in self.collector.spans() if above.span_id == span.parent_span_id)
        self.assertEqual((client.kind, client.parent_span_id), (CLIENT, http.span_id))
        self.assertEqual(collector.attributes(span.attributes),
                         {"provider.id": "kv", "rpc.service": "wrpc:keyvalue/store@0.2.0-draft", "rpc.method": "set",
                          "rpc.system": "wrpc", "source.id": "counter", "link.name": "default"})
        # Nobody on the bus can make the host send what collectors refuse.
        subject = f"wisp.spans.default.{self.host.id}"
        for payload in (b"", b"{", b"[]", b'{"spans":[1,{},{"traceparent":"00"}]}'):
            self.bus.publish(subject, payload)
        self.bus.flush()
        before = len(self.collector.spans())
        self.assertEqual(self.traced(address, "/get?key=a").status, 200)
        self.collector.wait_for_span(provider__id="kv", rpc__method="get")
        wisp.wait_for(lambda: len(self.collector.spans()) - before == 3, "those of the request and the call")
        self.host.stop()

    # --- collectors that don't do well ---

    def test_collector_that_refuses_is_asked_again(self):
        self.start()
        path = "/v1/traces"
        self.collector.refusals[path] = [(503, {"Retry-After": "1"}), (429, {}), (504, {})]
        address = self.serve_calc()
        self.traced(address, "/add?a=20&b=22")
        self.collector.wait_for_span(component__id="calc")
        self.assertEqual(self.collector.refusals[path], [])
        self.assertEqual(len([span for span in self.collector.spans() if span.name == "GET front"]), 1)
        self.host.wait_for_log(r'scope=telemetry msg="the collector takes it again" signal=traces dropped=0')
        self.host.stop()

    def test_what_a_collector_does_not_want_is_dropped_and_counted(self):
        admin = wisp.free_address()
        self.start("--enable-logs", "--http-admin", admin)
        self.collector.refusals["/v1/logs"] = [(400, {})]
        self.run_component(self.host, "front", "front-rust")

        def dropped():
            found = re.search(rb'wisp_telemetry_dropped_total\{signal="logs"\} (\d+)', self.get(admin, "/metrics").body)
            return int(found.group(1)) > 0

        wisp.wait_for(dropped, "the count")
        self.host.wait_for_log(r"scope=telemetry .*answers with 400")
        self.host.stop()

    def test_no_collector_breaks_nothing_and_what_waited_comes_later(self):
        gone = wisp.free_address()
        self.start(url="http://" + gone)
        address = self.serve_calc()
        self.host.wait_for_log(r"scope=telemetry .*not delivered, trying again.* signal=traces", 0)
        for _ in range(50):
            self.assertEqual(self.traced(address, "/add?a=20&b=22").body, b"42\n")
        self.host.wait_for_log("scope=telemetry .*signal=logs")
        late = collector.Collector(self, int(gone.rpartition(":")[2]))
        late.wait_for_span(component__id="calc")
        wisp.wait_for(lambda: [record for record in late.logs() if record.body.string_value == "host is up"], "old logs")
        self.host.stop()

    def test_what_is_left_is_sent_when_the_host_stops(self):
        self.start(OTEL_METRIC_EXPORT_INTERVAL="3600000")
        address = self.serve_calc()
        self.traced(address, "/add?a=20&b=22")
        self.host.stop()
        self.assertTrue([span for span in self.collector.spans() if span.name == "GET front"])
        self.assertTrue(self.collector.metric("wisp.component.calls"))

    def test_collector_that_never_answers_does_not_keep_the_host(self):
        self.start()
        with self.collector.lock:  # its threads hang
            self.run_component(self.host, "front", "front-rust")
            begun = time.monotonic()
            self.host.stop()
            self.assertLess(time.monotonic() - begun, 60)

    def test_collector_behind_tls(self):
        key, certificate = self.path("key.pem"), self.path("certificate.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=collector", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        secure = collector.Collector(self, tls=(certificate, key))
        self.start("--enable-logs", url=secure.url)
        self.host.wait_for_log("scope=telemetry .*signal=logs")  # nobody vouches for it
        self.host.stop()
        self.assertEqual(secure.logs(), [])
        self.start("--enable-logs", "--tls-ca-path", certificate, url=secure.url)
        wisp.wait_for(secure.logs, "a log")
        self.host.stop()

    # --- flags ---

    def test_flags_that_make_no_sense(self):
        self.lattice = hosts.Lattice(self)
        line = self.fails(wisp.EXIT["unsupported"], "host", "--enable-traces", "--observability-protocol", "grpc")
        self.assertIn("http", line)
        self.assertIn("--enable-observability", self.fails(wisp.EXIT["usage"], "host", "--enable-observability", "--enable-logs"))
        for url in ("ftp://collector", "http://", "http://user:word@collector"):
            line = self.fails(wisp.EXIT["usage"], "host", "--enable-logs", "--override-logs-endpoint", url)
            self.assertNotIn("word", line)
        line = self.fails(wisp.EXIT["usage"], "host", "--enable-logs", env={"OTEL_EXPORTER_OTLP_HEADERS": "a=1,password"})
        self.assertNotIn("password", line)


if __name__ == "__main__":
    wisp.main()
