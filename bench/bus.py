# SPDX-License-Identifier: Apache-2.0
"""The embedded bus beside nats-server: the same load (src/bus/load_bench.c) by number of clients."""
import json
import socket
import statistics
import subprocess
import time

import measure
import servers

CLIENTS = (1, 8, 64)
WINDOW = 512  # messages of a client under way, for throughput


class Bus(servers.Server):
    def wait_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with status {self.process.returncode}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
                    if connection.recv(4) == b"INFO":
                        return
            except OSError:
                time.sleep(0.002)
        raise RuntimeError(f"{self.name} does not answer on port {self.port}")


class Embedded(Bus):
    name = "embedded bus"

    def __init__(self, config):
        self.program = config.release / "bus_server_bench"

    def command(self, port):
        return [self.program, "--port", port]


class NatsServer(Bus):
    name = "nats-server"

    def command(self, port):
        return ["nats-server", "-a", "127.0.0.1", "-p", port]


def load(server, config, **options):
    """One run; messages per second, µs of the way through the server, and the server's CPU time per message."""
    before = measure.cpu_us(server.process.pid)
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    text = subprocess.run(["taskset", "-c", servers.LOAD_CORE, config.release / "bus_load_bench", "--port",
                           str(server.port), "--seconds", str(config.seconds), *arguments], check=True,
                          capture_output=True, text=True, timeout=config.seconds + 60).stdout
    run = json.loads(text)
    run["cpu_us"] = (measure.cpu_us(server.process.pid) - before) / max(run["messages"], 1)
    return run


def alternate(entries, config, **options):
    runs = {entry.name: [] for entry in entries}
    for _ in range(config.rounds):
        for entry in entries:
            with entry:
                runs[entry.name].append(load(entry, config, **options))
    medians = {name: {key: statistics.median(run[key] for run in list_) for key in list_[0]}
               for name, list_ in runs.items()}
    return {"median": medians, "runs": runs}


def measure_bus(config):
    entries = [Embedded(config), NatsServer()]
    results = {}
    print(f"\nbus, 128-byte messages: {WINDOW} under way per client, and one at a time\n"
          f"  {'':24} {'messages/s':>12} {'of other':>8} {'CPU µs each':>12} {'p50 µs':>9} {'p99 µs':>9}")
    for clients in CLIENTS:
        many = alternate(entries, config, clients=clients, window=WINDOW)
        single = alternate(entries, config, clients=clients, window=1)
        results[clients] = {"throughput": many, "latency": single}
        for entry, other in (entries, entries[::-1]):
            rate = many["median"][entry.name]
            latency = single["median"][entry.name]
            ratio = rate["rate"] / many["median"][other.name]["rate"]
            print(f"  {f'{entry.name}, {clients}':24} {rate['rate']:12,.0f} {ratio:7.2f}× {rate['cpu_us']:12.3f} "
                  f"{latency['p50_us']:9.1f} {latency['p99_us']:9.1f}", flush=True)
    return results
