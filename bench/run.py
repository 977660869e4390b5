#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""wisp against its peers: each server alone on core 0, the load on core 1, runs alternating, ratios of medians.

    python3 bench/run.py [--rounds N] [--seconds S] [--only NAME ...] [--build build] [--out build/bench.json]

Prints tables and writes everything measured as JSON. A figure without a ratio in the same run means little: machines
are noisy."""
import argparse
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import apps as application_manager
import bus as embedded_bus
import calls
import capabilities
import many as many_components
import measure
import servers

ROOT = pathlib.Path(__file__).resolve().parent.parent


def hello(config):
    """Requests per second of the hello components, wisp and peers alternating."""
    results = {}
    for guest in ("rust", "js", "python"):
        wasm = config.guests / f"http-hello-{guest}.wasm"
        entries = [servers.Wisp(config, wasm), *servers.peers(config, wasm)]
        if guest == "rust":
            entries.append(servers.Bare(config))
        results[guest] = measure.alternate(entries, config, connections=32)
        measure.print_rates(f"hello, {guest}, 1 worker, 32 connections", results[guest])
    return results


def latency(config):
    """p50 and p99 of the Rust hello by number of connections."""
    wasm = config.guests / "http-hello-rust.wasm"
    results = {}
    for connections in (1, 32, 256):
        entries = [servers.Wisp(config, wasm), servers.Wasmtime(config, wasm, "defaults")]
        results[connections] = measure.alternate(entries, config, connections=connections)
        measure.print_latencies(f"latency, Rust hello, {connections} connections", results[connections])
    return results


def payloads(config):
    """A 64 KiB JSON document, and 1 MiB echoed as a stream."""
    wasm = config.guests / "http-echo-rust.wasm"
    entries = [servers.Wisp(config, wasm), servers.Wasmtime(config, wasm, "defaults")]
    results = {"json": measure.alternate(entries, config, connections=32, path="/json")}
    measure.print_rates("64 KiB JSON, 32 connections", results["json"])
    results["echo"] = measure.alternate(entries, config, connections=4, body_bytes=1 << 20)
    measure.print_rates("1 MiB echoed, 4 connections (each is 1 MiB in and 1 MiB out)", results["echo"])
    return results


def start(config):
    """From process start to the first answer, with a warm and an empty code cache."""
    results = {}
    for guest in ("rust", "js", "python"):
        wasm = config.guests / f"http-hello-{guest}.wasm"
        results[guest] = {"warm_ms": measure.start_times(config, wasm, warm=True),
                          "cold_ms": measure.start_times(config, wasm, warm=False)}
        measure.print_starts(f"start to first answer, {guest}", results[guest])
    return results


def memory(config):
    """Resident memory, idle and with 1,000 requests waiting in the guest."""
    result = measure.memory(config, config.guests / "http-echo-rust.wasm")
    print(f"\nmemory (PSS of all processes): idle {result['idle_kib']} KiB; "
          f"with {result['concurrent']} concurrent instances {result['busy_kib']} KiB")
    return result


def instructions(config):
    """User-space instructions per hello request, by callgrind: repeatable where seconds are not."""
    result = measure.instructions(config, config.guests / "http-hello-rust.wasm")
    baseline = json.loads((config.root / "bench/baseline.json").read_text())["hello_rust_instructions_per_request"]
    change = (result["per_request"] / baseline - 1) * 100
    print(f"\ninstructions per request (callgrind): {result['per_request']}, {change:+.1f} % against the baseline")
    return result


def instantiate(config):
    """Taking, calling and putting back one instance of a small component, in process."""
    result = measure.micro(config, "component_instance_bench")
    print(f"\nsmall instance taken, called and put back: {result['ns']} ns")
    return result


def bus(config):
    """The embedded bus beside nats-server: messages per second, and latency, by number of clients."""
    return embedded_bus.measure_bus(config)


def call(config):
    """A call from component to component in one worker, over the same call in a composed component."""
    return calls.measure_call(config)


def remote(config):
    """Calls and HTTP over nats-server: a call over a bare request, and requests per second with two hosts."""
    return calls.measure_remote(config)


def keyvalue(config):
    """Key-value stores: gets in the host and by a provider process beside hiredis alone, and a counter over HTTP."""
    return capabilities.measure_keyvalue(config)


def wrpc(config):
    """A call of a provider process over nats-server, beside a bare request."""
    return capabilities.measure_wrpc(config)


def restart(config):
    """What clients see when a provider process, or the only worker, is killed."""
    return capabilities.measure_restart(config)


def providers(config):
    """500 idle provider processes on one host: time to start them, CPU time and memory."""
    return capabilities.measure_providers(config)


def many(config):
    """1,000 different components on one host: time to start them, memory of each."""
    return many_components.measure_many(config)


def lattice(config):
    """Simulated hosts of one lattice: messages and CPU time of a host, by their number."""
    return many_components.measure_lattice(config)


def apps(config):
    """1,000 applications over 100 simulated hosts; five real hosts of which one dies."""
    return application_manager.measure_apps(config)


PARTS = {part.__name__: part for part in (hello, latency, payloads, start, memory, instantiate, instructions, bus, call,
                                          remote, keyvalue, wrpc, restart, providers, many, lattice,
                                          apps)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="has guests/ and release/")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench.json")
    arguments = parser.parse_args()
    config = servers.Config(root=ROOT, build=arguments.build.resolve(), rounds=arguments.rounds,
                            seconds=arguments.seconds)
    if (os.cpu_count() or 1) < 2:
        sys.exit("bench: two cores are needed, one for the server and one for the load")
    results = {name: PARTS[name](config) for name in arguments.only}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nwritten to {arguments.out}")


if __name__ == "__main__":
    main()
