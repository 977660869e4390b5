# SPDX-License-Identifier: Apache-2.0
"""Calls between components: within one worker, and over a real nats-server."""
import subprocess
import tempfile

import lattice
import measure

# Of the original, for HTTP over NATS: somebody else's measurement on another machine, quoted and not repeated here.
QUOTED_RATE = 3330
ADD = "/add?a=40&b=2"


def micro(config, program):
    runs = [measure.micro(config, program) for _ in range(config.rounds)]
    return {"median": measure.medians(runs), "runs": runs}


# --- within one worker ---


def load(doors, config):
    """Requests that make no call and one call, to all doors in turn; the medians."""
    runs = {(name, path): [] for name in doors for path in ("/", ADD)}
    for _ in range(config.rounds):
        for name, path in runs:
            runs[name, path].append(measure.wrk(doors[name], config, connections=32, path=path))
    return {name: {"no_call": measure.medians(runs[name, "/"]), "one_call": measure.medians(runs[name, ADD])}
            for name in doors}


def over_http(config):
    """Two linked components, and the same two composed into one, on the same host."""
    with tempfile.NamedTemporaryFile(suffix=".wasm") as composed, lattice.Host(config) as host:
        front, calc = config.guests / "front-rust.wasm", config.guests / "calc-rust.wasm"
        subprocess.run([config.wasm_tools, "compose", front, "-d", calc, "-o", composed.name], check=True,
                       capture_output=True)
        for name, path in (("front", front), ("calc", calc), ("composed", composed.name)):
            host.scale(name, path)
        host.link("front", "calc", "acme:calc/ops")
        doors = {"linked": host.serve_http("front"), "composed": host.serve_http("composed")}
        for door in doors.values():
            door.wait(ADD, "42\n")
        return load(doors, config)


def measure_call(config):
    bare, worker = micro(config, "component_call_bench"), micro(config, "worker_call_bench")
    requests = over_http(config)
    composed, linked, call = (bare["median"]["composed_ns"], bare["median"]["linked_ns"], worker["median"]["call_ns"])
    print(f"\na call between two components, the callee as new for each call (aim: 2,000 ns over a composed call)\n"
          f"  a string there and back: composed into one {composed:.0f} ns, two components in process {linked:.0f} ns\n"
          f"  two numbers, in a worker: {call:.0f} ns, which is {call - composed:.0f} ns over the composed string\n"
          f"  {'over HTTP, Rust, 32 connections':34} {'requests/s':>12} {'CPU µs each':>12}")
    for name, paths in requests.items():
        for what, run in paths.items():
            print(f"  {f'{name}, {what}'.replace('_', ' '):34} {run['rate']:12,.0f} {run['cpu_us']:12.1f}")
    more = requests["linked"]["one_call"]["cpu_us"] - requests["composed"]["one_call"]["cpu_us"]
    print(f"  a request that makes one call: {more:+.1f} µs of CPU when linked instead of composed")
    return {"bare": bare, "worker": worker, "requests": requests, "one_call_more_us": more}


# --- over nats-server ---


def http_over_nats(config, connections):
    """Host A has the HTTP server, host B the component; both and nats-server on core 0."""
    with lattice.Nats() as nats, lattice.Host(config, nats=nats) as front, lattice.Host(config, nats=nats) as back:
        back.scale("hello", config.guests / "http-hello-rust.wasm")
        door = front.serve_http("hello")
        door.wait("/", "Hello from Rust!\n")
        pids = [server.process.pid for server in (front, back, nats)]
        before = [measure.cpu_us(pid) for pid in pids]
        run = measure.wrk(door, config, connections=connections)
        used = [(measure.cpu_us(pid) - start) for pid, start in zip(pids, before)]
        n_requests = run["rate"] * config.seconds
        return {**run, **{f"{name}_cpu_us": us / n_requests for name, us in zip(("front", "back", "nats"), used)}}


def measure_remote(config):
    call = micro(config, "wrpc_call_bench")
    median = call["median"]
    print(f"\nover nats-server, 128 bytes, one at a time, all on one core {'':3} {'p50 µs':>9} {'p99 µs':>9}\n"
          f"  {'bare request and reply':58} {median['bare_p50_us']:9.1f} {median['bare_p99_us']:9.1f}\n"
          f"  {'call':58} {median['wrpc_p50_us']:9.1f} {median['wrpc_p99_us']:9.1f}\n"
          f"  p50 {median['p50_ratio']:.2f}× (aim: 1.5×)")
    print(f"\nHTTP over nats-server, two hosts, all on one core\n  {'connections':>11} {'requests/s':>12} {'p50 ms':>9} "
          f"{'p99 ms':>9} {'CPU µs: HTTP side':>18} {'component':>10} {'nats-server':>12}")
    http = {}
    for connections in (1, 32, 128):
        runs = [http_over_nats(config, connections) for _ in range(config.rounds)]
        http[connections] = {"median": measure.medians(runs), "runs": runs}
        row = http[connections]["median"]
        print(f"  {connections:11} {row['rate']:12,.0f} {row['p50_ms']:9.3f} {row['p99_ms']:9.3f} "
              f"{row['front_cpu_us']:18.1f} {row['back_cpu_us']:10.1f} {row['nats_cpu_us']:12.1f}", flush=True)
    print(f"  quoted of the original, on another machine, not measured here: {QUOTED_RATE:,} requests/s")
    return {"call": call, "http": http, "quoted_rate": QUOTED_RATE}
