# SPDX-License-Identifier: Apache-2.0
"""Capabilities: key-value stores in the host and as processes, calls of a provider process, and their supervision."""
import base64
import json
import os
import pathlib
import signal
import socket
import tempfile
import threading
import time

import bus
import lattice
import measure
import servers

KEYVALUE = "wasi:keyvalue/store,atomics"
N_PROVIDERS = 500
IDLE_S = 30  # an interval of health checks
SETTLE_S = 5


# --- servers ---


class Redis(servers.Server):
    name = "redis-server"

    def command(self, port):
        return ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--logfile", "/dev/null"]

    def wait_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(5) == b"+PONG":
                        return
            except OSError:
                time.sleep(0.002)
        raise RuntimeError(f"{self.name} does not answer")


class Embedded(bus.Embedded):
    """On a Unix socket, as a host's own workers and providers have it."""

    def __init__(self, config):
        super().__init__(config)
        self.folder = tempfile.TemporaryDirectory(prefix="wisp-bench-")
        self.url = f"unix:{self.folder.name}/bus.sock"

    def command(self, port):
        return [*super().command(port), "--unix", self.url.removeprefix("unix:")]

    def __exit__(self, *_):
        super().__exit__()
        self.folder.cleanup()


class Nats(lattice.Nats):
    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"


class ProviderProcess(servers.Server):
    """A provider without a host: this gives it its host data. Called `kv` in the lattice `bench`."""

    def __init__(self, config, kind, url, settings):
        self.name, self.program = f"wisp-{kind}", config.providers / f"wisp-{kind}"
        link = {"source_id": "guest", "target": "kv", "name": "default", "wit_namespace": "wasi",
                "wit_package": "keyvalue", "interfaces": ["store"], "source_config": {}, "target_config": settings}
        data = {"host_id": "bench", "lattice_rpc_prefix": "bench", "provider_key": "kv", "link_definitions": [link],
                "lattice_rpc_url": url, "config": {}, "secrets": {}, "log_level": "error"}
        self.stdin = tempfile.TemporaryFile()
        self.stdin.write(base64.b64encode(json.dumps(data).encode()) + b"\n")
        self.stdin.seek(0)

    def command(self, port):
        return [self.program]

    def wait_ready(self, seconds=60):
        pass  # a call waits for it


# --- gets, and calls of a provider process ---


def by_process(config, kind, make_bus):
    """Gets from a provider process, beside bare requests over the same bus, and hiredis alone."""
    runs = []
    for _ in range(config.rounds):
        with make_bus() as server, Redis() as redis, tempfile.TemporaryDirectory() as folder:
            settings = {"url": f"redis://127.0.0.1:{redis.port}", "path": f"{folder}/keyvalue.db"}
            with ProviderProcess(config, kind, server.url, settings):
                runs.append(measure.micro(config, "capability_process_bench", server.url, redis.port, "bench", "kv",
                                          core=servers.SERVER_CORE))
    return {"median": measure.medians(runs), "runs": runs}


def over_http(config):
    """HTTP, component, counter: the same component with each store."""
    kinds = {"nothing to ask": None, "SQLite in the host": "wisp://keyvalue-sqlite",
             "Redis in the host": "wisp://keyvalue-redis",
             "Redis, provider process": f"file://{config.providers}/wisp-keyvalue-redis"}
    results = {}
    with Redis() as redis, lattice.Host(config) as host:
        host.ctl("config.put.redis", {"url": f"redis://127.0.0.1:{redis.port}"})
        doors = {}
        for i, (name, reference) in enumerate(kinds.items()):
            guest = "keyvalue-rust" if reference else "http-hello-rust"
            host.scale(f"counter{i}", config.guests / f"{guest}.wasm")
            if reference:
                host.start_provider(f"store{i}", reference)
                host.link(f"counter{i}", f"store{i}", KEYVALUE, target_config=["redis"])
            doors[name] = host.serve_http(f"counter{i}")
        for name, door in doors.items():
            door.wait_for_200("/increment")
        runs = {name: {1: [], 32: []} for name in kinds}
        for _ in range(config.rounds):
            for name, door in doors.items():
                for connections in (1, 32):
                    runs[name][connections].append(measure.wrk(door, config, connections, path="/increment"))
    for name, list_ in runs.items():
        results[name] = {n: {"median": measure.medians(list_[n]), "runs": list_[n]} for n in list_}
    return results


def measure_keyvalue(config):
    runs = [measure.micro(config, "capability_keyvalue_bench") for _ in range(config.rounds)]
    inside = measure.medians(runs)
    processes = {"embedded bus": by_process(config, "keyvalue-redis", lambda: Embedded(config)),
                 "nats-server": by_process(config, "keyvalue-redis", Nats)}
    print(f"\nkey-value gets a second, everything on one core {'':4} {'one at a time':>14} {'of hiredis':>10} "
          f"{'64 at a time':>14} {'of hiredis':>10}\n"
          f"  {'SQLite, in the host':48} {inside['sqlite_get']:14,.0f}\n"
          f"  {'Redis, hiredis alone':48} {inside['hiredis_get']:14,.0f} {'':10} {inside['hiredis_get_64']:14,.0f}\n"
          f"  {'Redis, in the host':48} {inside['redis_get']:14,.0f} {inside['redis_ratio']:9.2f}× "
          f"{inside['redis_get_64']:14,.0f} {inside['redis_ratio_64']:9.2f}×")
    for name, process in processes.items():
        redis = process["median"]
        print(f"  {'Redis, our provider process, ' + name:48} {1e6 / redis['provider_p50_us']:14,.0f} "
              f"{redis['hiredis_p50_us'] / redis['provider_p50_us']:9.2f}× {redis['provider_64']:14,.0f} "
              f"{redis['provider_64'] / redis['hiredis_64']:9.2f}×\n"
              f"    p50 / p99 µs: hiredis {redis['hiredis_p50_us']:.1f} / {redis['hiredis_p99_us']:.1f}, bare request "
              f"{redis['bare_p50_us']:.1f} / {redis['bare_p99_us']:.1f}, provider process "
              f"{redis['provider_p50_us']:.1f} / {redis['provider_p99_us']:.1f}", flush=True)
    http = over_http(config)
    print(f"\nHTTP, component, counter: one host, one worker, embedded bus\n  {'':26} {'p50 ms, alone':>14} "
          f"{'p99':>8} {'requests/s, 32 connections':>28} {'CPU µs each':>12}")
    for name, run in http.items():
        one, many = run[1]["median"], run[32]["median"]
        print(f"  {name:26} {one['p50_ms']:14.3f} {one['p99_ms']:8.3f} {many['rate']:28,.0f} {many['cpu_us']:12.1f}")
    return {"inside": {"median": inside, "runs": runs}, "process": processes, "http": http}


def measure_wrpc(config):
    call = by_process(config, "keyvalue-sqlite", Nats)
    median = call["median"]
    print(f"\na call of a provider process (SQLite, get) over nats-server, one at a time, all on one core\n"
          f"  {'':30} {'p50 µs':>9} {'p99 µs':>9}")
    for name, key in (("bare request and reply", "bare"), ("call of the provider", "provider")):
        print(f"  {name:30} {median[key + '_p50_us']:9.1f} {median[key + '_p99_us']:9.1f}")
    print(f"  p50 {median['provider_p50_us'] / median['bare_p50_us']:.2f}×, p99 "
          f"{median['provider_p99_us'] / median['bare_p99_us']:.2f}×; 64 at a time {median['provider_64']:,.0f} a second")
    return call


# --- what a client sees of a kill ---


class Clients:
    """`n` clients in threads, one request a millisecond each at most; when answers came, and what failed. One that has
    no answer within `patience` seconds gives up and asks again over another connection."""

    def __init__(self, port, path, patience=10, n=8):
        self.address, self.path, self.patience, self.ends = ("127.0.0.1", port), path, patience, threading.Event()
        self.answers, self.failures = [], []
        self.threads = [threading.Thread(target=self.run) for _ in range(n)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        for thread in self.threads:
            thread.join()

    def run(self):
        request = f"GET {self.path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
        connection = None
        while not self.ends.is_set():
            begun = time.monotonic()
            try:
                if not connection:
                    connection = socket.create_connection(self.address, self.patience)
                connection.sendall(request)
                status = connection.recv(65536)[9:12]
                if status != b"200":
                    raise OSError(f"status {status}")
                self.answers.append((time.monotonic(), time.monotonic() - begun))
                time.sleep(0.001)
            except OSError as error:
                self.failures.append((time.monotonic(), isinstance(error, TimeoutError)))
                if connection:
                    connection.close()
                connection = None
                time.sleep(0.002)
        if connection:
            connection.close()

    def gap(self, begin, end):
        """The longest time between two answers, the longest that a single one took, and what failed."""
        within = [answer for answer in list(self.answers) if begin <= answer[0] <= end]
        times = [begin, *sorted(at for at, _ in within), end]
        failures = [is_late for at, is_late in list(self.failures) if begin <= at <= end]
        return {"gap_ms": max(b - a for a, b in zip(times, times[1:])) * 1000,
                "slowest_ms": max((took for _, took in within), default=0) * 1000,
                "answered": len(within), "failed": len(failures), "given_up": sum(failures)}


def kill_under_load(clients, victim, seconds=2.5):
    """Kills it; what the clients saw from then on, and what they saw as long before, for comparison."""
    time.sleep(seconds)
    begun = time.monotonic()
    before = clients.gap(begun - seconds + 0.2, begun)
    os.kill(victim(), signal.SIGKILL)
    time.sleep(seconds)
    return {**clients.gap(begun, begun + seconds), "before_ms": before["gap_ms"]}


def processes_of(host, program):
    found = []
    for pid in measure.descendants(host.process.pid)[1:]:
        try:
            if os.readlink(f"/proc/{pid}/exe") == str(program):
                found.append(pid)
        except OSError:
            pass  # it ended meanwhile
    return found


def only_process_of(host, program):
    found = processes_of(host, program)
    if len(found) != 1:
        raise RuntimeError(f"{len(found)} processes of {program} instead of one")
    return found[0]


def restarts(config, what, kills):
    """One host, killed `kills` times; the gaps in order."""
    program = config.providers / "wisp-keyvalue-sqlite"
    with lattice.Host(config) as host:
        host.scale("counter", config.guests / "keyvalue-rust.wasm")
        host.start_provider("store", f"file://{program}" if what == "provider" else "wisp://keyvalue-sqlite")
        host.link("counter", "store", KEYVALUE)
        door = host.serve_http("counter")
        door.wait_for_200("/increment")
        victim = (program if what == "provider" else config.wisp).resolve()
        with Clients(door.port, "/increment") as clients:
            return [kill_under_load(clients, lambda: only_process_of(host, victim)) for _ in range(kills)]


def measure_restart(config):
    results = {}
    print(f"\nkill -9 under load (8 clients through a component to SQLite), what they see: median of {config.rounds} "
          f"hosts (aim: first gap of a provider under 100 ms)\n  {'':34} {'gap ms':>8} {'longest':>8} {'before':>8} "
          f"{'slowest answer':>15} {'failed':>7} {'of':>7}")
    for what, name in (("provider", "provider process"), ("worker", "the only worker")):
        runs = [restarts(config, what, 3) for _ in range(config.rounds)]
        results[what] = runs
        for i, nth in enumerate(("first", "second", "third")):
            median = measure.medians([run[i] for run in runs])
            longest = max(run[i]["gap_ms"] for run in runs)
            print(f"  {f'{name}, {nth} kill':34} {median['gap_ms']:8.1f} {longest:8.1f} {median['before_ms']:8.1f} "
                  f"{median['slowest_ms']:15.1f} {median['failed']:7.0f} {median['answered'] + median['failed']:7.0f}",
                  flush=True)
    return results


# --- many of them ---


def idle_cpu(host, others=()):
    """Milliseconds of CPU time in IDLE_S seconds: of the control process, of workers, of the others together."""
    control, worker = measure.descendants(host.process.pid)[:2]
    groups = {"control": [control], "worker": [worker], "providers": others}
    before = {name: sum(map(measure.cpu_ns, pids)) for name, pids in groups.items()}
    time.sleep(IDLE_S)
    return {name: (sum(map(measure.cpu_ns, pids)) - before[name]) / 1e6 for name, pids in groups.items()}


def start_providers(host, program):
    """All at once. Seconds until the host has started the last one, until all are up and none has ended for SETTLE_S,
    and how often one ended in between."""
    started, ended = [], []
    for event, list_ in (("provider_started", started), ("provider_start_failed", started), ("provider_exited", ended)):
        host.bus.subscribe(f"wasmbus.evt.default.{event}",
                           lambda subject, *_, list_=list_: list_.append((time.monotonic(), subject)))
    host.bus.flush()
    begun = time.monotonic()
    for i in range(N_PROVIDERS):
        request = {"provider_id": f"idle{i}", "host_id": host.id, "provider_ref": f"file://{program}"}
        host.bus.publish(f"{lattice.CTL}provider.start.{host.id}", request)
    while time.monotonic() - begun < 300:
        last = max((at for at, _ in [*started, *ended]), default=begun)
        pids = processes_of(host, program)
        if len(started) >= N_PROVIDERS and len(pids) == N_PROVIDERS and time.monotonic() - last > SETTLE_S:
            failed = sum(subject.endswith("failed") for _, subject in started)
            if failed:
                raise RuntimeError(f"{failed} of {N_PROVIDERS} providers could not be started")
            return {"started_s": max(at for at, _ in started) - begun, "settled_s": last - begun, "ends": len(ended)}, pids
        time.sleep(0.2)
    raise RuntimeError(f"{len(started)} of {N_PROVIDERS} providers were started, {len(pids)} run, {len(ended)} ended")


def measure_providers(config):
    program = (config.providers / "wisp-keyvalue-sqlite").resolve()
    with lattice.Host(config) as host:
        control = host.process.pid
        time.sleep(SETTLE_S)
        alone = idle_cpu(host)
        before_kib = process_kib(control)
        start, pids = start_providers(host, program)
        busy = idle_cpu(host, pids)
        each_kib = (process_kib(control) - before_kib) / N_PROVIDERS
        provider_kib = sum(map(process_kib, pids)) / len(pids)
    more = {name: busy[name] - alone[name] for name in busy}
    print(f"\n{N_PROVIDERS} idle provider processes on one host, asked for at once: the last one is started after "
          f"{start['started_s']:.1f} s, all are up after {start['settled_s']:.1f} s, in between {start['ends']} ended again\n"
          f"  memory of each {provider_kib:,.0f} KiB, and {each_kib:.1f} KiB in the control process\n"
          f"  CPU ms in {IDLE_S} s: control process {busy['control']:.0f} (without them {alone['control']:.0f}), "
          f"{more['control'] / IDLE_S / 10:.2f} % of a core more; worker {busy['worker']:.0f} ({alone['worker']:.0f}); "
          f"the providers together {busy['providers']:.0f}", flush=True)
    return {"n": N_PROVIDERS, "start": start, "alone_ms": alone, "with_ms": busy, "control_kib_each": each_kib,
            "provider_kib_each": provider_kib}


def process_kib(pid):
    """PSS of the process alone."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("no Pss")
