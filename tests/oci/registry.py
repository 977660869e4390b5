# SPDX-License-Identifier: Apache-2.0
"""A real registry, what pushes to it by plain HTTP, a token server, and a proxy that breaks what passes."""

import base64
import hashlib
import http.client
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse

PATIENCE = 60

WASM = "application/wasm"
OLD_WASM = "application/vnd.module.wasm.content.layer.v1+wasm"
PAR = "application/vnd.wasmcloud.provider.archive.layer.v1+par"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Registry:
    """Debian's docker-registry over a folder. `http` and `auth` are parts of its configuration."""

    def __init__(self, folder, http=None, auth=None, login=None, tls=None):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.folder, self.login, self.tls = folder, login, tls
        config = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": os.path.join(folder, "data")}},
            "http": {"addr": self.address, **(http or {})},
        }
        if auth:
            config["auth"] = auth
        self.config = os.path.join(folder, "registry.json")
        with open(self.config, "w") as file:
            json.dump(config, file)  # JSON is YAML
        self.process = None
        self.start()

    def start(self):
        self.output = open(os.path.join(self.folder, "registry.log"), "a")
        self.process = subprocess.Popen([shutil.which("docker-registry"), "serve", self.config], stdout=self.output,
                                        stderr=subprocess.STDOUT)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    with open(self.output.name) as log:
                        raise AssertionError("registry does not start: " + log.read())
                time.sleep(0.02)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.output.close()
            self.process = None

    # --- pushing ---

    def request(self, method, path, body=None, headers=None):
        connection = (http.client.HTTPSConnection(self.address, context=self.tls) if self.tls
                      else http.client.HTTPConnection(self.address))
        headers = dict(headers or {})
        if self.login:
            headers["Authorization"] = self.login
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        assert response.status < 300, (method, path, response.status, body)
        return response

    def push_blob(self, name, data):
        location = self.request("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
        parts = urllib.parse.urlsplit(location)
        query = parts.query + ("&" if parts.query else "") + urllib.parse.urlencode({"digest": digest(data)})
        self.request("PUT", f"{parts.path}?{query}", data, {"Content-Type": "application/octet-stream"})
        return digest(data)

    def push_manifest(self, name, tag, manifest):
        data = json.dumps(manifest).encode()
        self.request("PUT", f"/v2/{name}/manifests/{tag or digest(data)}", data, {"Content-Type": manifest["mediaType"]})
        return {"mediaType": manifest["mediaType"], "digest": digest(data), "size": len(data)}

    def push(self, name, tag, data, media_type=WASM, manifest_type=MANIFEST, config_type="application/vnd.wasm.config.v0+json"):
        """One artifact of one layer; its descriptor."""
        config = b'{"architecture":"wasm","os":"wasip2"}'
        layers = data if isinstance(data, list) else [data]
        return self.push_manifest(name, tag, {
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": {"mediaType": config_type, "digest": self.push_blob(name, config), "size": len(config)},
            "layers": [{"mediaType": media_type, "digest": self.push_blob(name, layer), "size": len(layer)}
                       for layer in layers],
        })

    def push_index(self, name, tag, entries, index_type=INDEX):
        """Entries are pairs of a descriptor and a platform ("os/architecture" or None)."""
        manifests = []
        for descriptor, platform in entries:
            entry = dict(descriptor)
            if platform:
                entry["platform"] = dict(zip(("os", "architecture"), platform.split("/")))
            manifests.append(entry)
        return self.push_manifest(name, tag, {"schemaVersion": 2, "mediaType": index_type, "manifests": manifests})


class Server:
    """An HTTP server on a thread of its own, with a log of what it was asked."""

    def __init__(self):
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                owner.log.append((self.path, dict(self.headers)))
                self.close_connection = True
                try:
                    owner.answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def log_message(self, *arguments):
                pass

        self.log = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def paths(self, part=""):
        return [path for path, _ in self.log if part in path]

    @staticmethod
    def send(handler, status, headers, body, cut=None, length=True):
        """With `cut`, the connection ends after so many bytes of the body."""
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if length and "Content-Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(body if cut is None else body[:cut])


class Proxy(Server):
    """Before a registry. Each rule is asked, in order, with (handler, response) and returns whether it has answered;
    a response is (status, headers, body) of the registry."""

    def __init__(self, upstream):
        super().__init__()
        self.upstream = upstream
        self.rules = []

    def ask_upstream(self, handler):
        connection = http.client.HTTPConnection(self.upstream)
        kept = {name: value for name, value in handler.headers.items() if name.lower() not in ("host", "connection")}
        connection.request("GET", handler.path, headers=kept)
        response = connection.getresponse()
        body = response.read()
        headers = {name: value for name, value in response.headers.items()
                   if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server")}
        connection.close()
        return response.status, headers, body

    def answer(self, handler):
        response = self.ask_upstream(handler)
        for rule in self.rules:
            if rule(handler, response):
                return
        self.send(handler, *response)


class TokenServer(Server):
    """Gives out JSON Web Tokens that docker-registry accepts: RS256, signed by the openssl program."""

    def __init__(self, folder, issuer="wisp-test", service="registry"):
        super().__init__()
        self.folder, self.issuer, self.service = folder, issuer, service
        self.user = None  # "USER:PASSWORD" that is wanted, or None: everybody
        self.key, self.certificate = os.path.join(folder, "token.key"), os.path.join(folder, "token.crt")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out",
                        self.certificate, "-days", "2", "-subj", "/CN=token"], check=True, capture_output=True)

    def auth_config(self):
        return {"token": {"realm": f"http://{self.address}/token", "service": self.service, "issuer": self.issuer,
                          "rootcertbundle": self.certificate}}

    def token(self, access):
        der = subprocess.run(["openssl", "x509", "-in", self.certificate, "-outform", "DER"], check=True,
                             capture_output=True).stdout
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": "someone", "aud": self.service, "exp": now + 300, "nbf": now - 10, "iat": now,
                  "jti": os.urandom(8).hex(), "access": access}
        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
        text = b".".join(parts)
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text, check=True,
                                   capture_output=True).stdout
        return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()

    def answer(self, handler):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(handler.path).query)
        given = handler.headers.get("Authorization")
        wanted = "Basic " + base64.b64encode(self.user.encode()).decode() if self.user else None
        if wanted and given != wanted:
            self.send(handler, 401, {}, b"{}")
            return
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        body = json.dumps({"token": self.token(access), "expires_in": 300}).encode()
        self.send(handler, 200, {"Content-Type": "application/json"}, body)
