# SPDX-License-Identifier: Apache-2.0
"""A lattice for tests of its clients: a NATS server, and hosts that answer as the control interface says but run
nothing, so that they can also refuse, fail, or stay silent when a test wants it."""

import json
import shutil
import socket
import subprocess
import time
import unittest
import uuid

import hosts
import wisp


class Callee:
    """Answers wRPC calls of one component: `answers` maps "INTERFACE.FUNCTION" to a function from the parameters' bytes,
    and those of a body, to the result's bytes, and those of the body's stream (None: the function has no streams).
    A result of None: it fails."""

    def __init__(self, server, component, answers):
        self.prefix = f"default.{component}.wrpc.0.0.1."
        self.answers = answers
        self.inbox = f"_INBOX.{uuid.uuid4().hex}"
        self.streams, self.calls, self.headers = {}, {}, []
        self.nats = hosts.Bus(server.port)
        for name in answers:
            self.nats.subscribe(self.prefix + name, self.on_message, f"default.{component}")
        self.nats.subscribe(self.inbox + ".>", self.on_message)
        self.nats.flush()

    def on_message(self, subject, reply, head, payload):
        if subject.startswith(self.prefix):
            self.headers.append(hosts.headers_of(head))
            own = f"{self.inbox}.{len(self.calls)}"
            self.calls[own] = [subject[len(self.prefix):], reply, payload]
            self.nats.publish(reply, b"", reply=own)
            return
        own, _, path = subject.partition(".params")
        if payload and not path:
            self.calls[own][2] += payload
        elif payload:
            self.streams[own + path] = self.streams.get(own + path, b"") + payload
        elif path == (".0.0" if "/incoming-handler" in self.calls[own][0] else ""):
            self.answer(*self.calls[own], self.streams.get(own + path, b""))

    def answer(self, name, caller, params, stream):
        result, body = self.answers[name](params, stream)
        if result:
            self.nats.publish(caller + ".results", result)
        self.nats.publish(caller + ".results", b"")
        if body is not None:
            for path, data in ((".0.0", body), (".0.1", b"\0")):
                self.nats.publish(caller + ".results" + path, data)
                self.nats.publish(caller + ".results" + path, b"")

    def close(self):
        self.nats.close()


class NatsServer:
    def __init__(self, case, *args):
        program = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")
        if not program:
            raise unittest.SkipTest("nats-server is not installed: tools/packages-test.txt")
        self.port = int(wisp.free_address().rpartition(":")[2])
        self.command = [program, "-a", "127.0.0.1", "-p", str(self.port), *args]
        case.addCleanup(self.stop)
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wisp.wait_for(self.answers, "nats-server")

    def restart(self):
        self.stop()
        self.start()

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.kill()
        self.process.wait()


class Host:
    """Its knobs: `silent` (verbs that it accepts and then never reports on), `mute` (verbs it does not even answer),
    `refusals` (verb: message), `failures` (verb: error of the event)."""

    def __init__(self, server, number=0, lattice="default", labels=None, prefix="wasmbus.ctl"):
        self.id = "N" + chr(ord("A") + number) * 55
        self.name = f"calm-lake-{number:04}"
        self.number = number
        self.lattice = lattice
        self.labels = {"hostcore.os": "linux", **(labels or {})}
        self.components, self.providers, self.links, self.configs, self.asked = {}, {}, [], {}, []
        self.silent, self.mute, self.refusals, self.failures = set(), set(), {}, {}
        self.control = f"{prefix}.v1.{lattice}."
        self.nats = hosts.Bus(server.port)
        for tail in ("host.ping", "link.*", "claims.get", "config.>", "component.auction", "provider.auction",
                     f"component.*.{self.id}", f"provider.*.{self.id}", f"label.*.{self.id}", f"host.*.{self.id}"):
            queue = self.control + tail.split(".")[0] if tail.split(".")[0] in ("link", "claims", "config") else ""
            self.nats.subscribe(self.control + tail, self.on_message, queue)
        self.nats.flush()

    def inventory(self):
        return {"host_id": self.id, "friendly_name": self.name, "version": "1.6.2", "labels": self.labels,
                "uptime_human": "1m", "uptime_seconds": 60 + self.number,
                "components": list(self.components.values()), "providers": list(self.providers.values())}

    def event(self, name, data, source=None):
        self.nats.publish(f"wasmbus.evt.{self.lattice}.{name}", {
            "specversion": "1.0", "id": str(uuid.uuid4()), "type": "com.wasmcloud.lattice." + name,
            "source": source or self.id, "datacontenttype": "application/json",
            "time": time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime()), "data": data})

    def on_message(self, subject, reply, _headers, payload):
        words = subject[len(self.control):].split(".")
        verb = ".".join(words[:2])
        body = json.loads(payload) if payload else None
        self.asked.append((verb, body))
        if verb in self.mute:
            return
        if verb in self.refusals:
            self.nats.publish(reply, {"success": False, "message": self.refusals[verb]})
            return
        answer = getattr(self, verb.replace(".", "_"))(words, body)
        if answer is None:
            return
        message, response, *events = answer
        envelope = {"success": True, "message": message}
        if response is not None:
            envelope["response"] = response
        # Whoever waits for an event must have asked for events before: they may come before the answer.
        for name, data in events if verb not in self.silent else ():
            self.event(name, data)
        self.nats.publish(reply, envelope)

    def host_ping(self, _words, _body):
        return "", {"id": self.id, "friendly_name": self.name, "labels": self.labels, "lattice": self.lattice,
                    "uptime_seconds": 60 + self.number, "uptime_human": "1m", "version": "1.6.2",
                    "ctl_host": "nats://127.0.0.1", "rpc_host": "nats://127.0.0.1"}

    def host_get(self, _words, _body):
        return "", self.inventory()

    def host_stop(self, _words, _body):
        return "successfully handled stop host", None

    def label_put(self, _words, body):
        self.labels[body["key"]] = body["value"]
        return "successfully put label", None

    def label_del(self, _words, body):
        self.labels.pop(body["key"], None)
        return "successfully deleted label", None

    def auction(self, body, running, kind):
        fits = all(self.labels.get(key) == value for key, value in body["constraints"].items())
        return ("", {**body, "host_id": self.id}) if fits and body[kind + "_id"] not in running else None

    def component_auction(self, _words, body):
        return self.auction(body, self.components, "component")

    def provider_auction(self, _words, body):
        return self.auction(body, self.providers, "provider")

    def component_scale(self, _words, body):
        data = {"host_id": self.id, "component_id": body["component_id"], "image_ref": body["component_ref"],
                "max_instances": body["count"], "annotations": body.get("annotations") or {}}
        other = ("component_scaled", {**data, "component_id": "somebody-else"})
        if "component.scale" in self.failures:
            return "", None, other, ("component_scale_failed", {**data, "error": self.failures["component.scale"]})
        if body["count"]:
            self.components[body["component_id"]] = {
                "id": body["component_id"], "image_ref": body["component_ref"], "annotations": {}, "revision": 0,
                "max_instances": body["count"]}
        else:
            self.components.pop(body["component_id"], None)
        return "", None, other, ("component_scaled", data)

    def component_update(self, _words, body):
        component = self.components[body["component_id"]]
        component["image_ref"] = body["new_component_ref"]
        data = {"host_id": self.id, "component_id": component["id"], "image_ref": component["image_ref"],
                "max_instances": component["max_instances"], "annotations": {}}
        return "updating", None, ("component_scaled", data), ("component_scaled", {**data, "max_instances": 0})

    def provider_start(self, _words, body):
        data = {"host_id": self.id, "provider_id": body["provider_id"], "image_ref": body["provider_ref"]}
        if "provider.start" in self.failures:
            return "", None, ("provider_start_failed", {**data, "error": self.failures["provider.start"]})
        self.providers[body["provider_id"]] = {"id": body["provider_id"], "image_ref": body["provider_ref"],
                                               "annotations": {}, "revision": 0}
        return "successfully started provider", None, ("provider_started", data)

    def provider_stop(self, _words, body):
        del self.providers[body["provider_id"]]
        return "successfully stopped provider", None, ("provider_stopped", {"provider_id": body["provider_id"]})

    def link_put(self, _words, body):
        self.links.append(body)
        return "successfully set link", None

    def link_del(self, _words, body):
        keys = ("source_id", "name", "wit_namespace", "wit_package")
        self.links = [link for link in self.links if any(link[key] != body[key] for key in keys)]
        return "successfully deleted link", None

    def link_get(self, _words, _body):
        return "", self.links

    def claims_get(self, _words, _body):
        return "", [{"sub": "MABC", "name": "echo", "iss": "AABC", "rev": "1", "version": "1.0.0"}]

    def config_put(self, words, body):
        self.configs[words[2]] = body
        return "successfully put config", None

    def config_get(self, words, _body):
        found = self.configs.get(words[2])
        return ("Configuration not found", None) if found is None else ("", found)

    def config_del(self, words, _body):
        self.configs.pop(words[2], None)
        return "successfully deleted config", None

    def close(self):
        self.nats.close()
