# SPDX-License-Identifier: Apache-2.0
"""Applications: the manager of a simulated lattice, and what clients see when a real host with a part of one dies."""
import contextlib
import json
import os
import signal
import statistics
import subprocess
import time

import capabilities
import lattice
import measure
import servers

APPLICATIONS = (10, 100, 1000)
HOSTS = 5


# --- simulated ---


def simulated(config):
    """The time of these runs is that of the machines themselves: see src/host/apps_bench.c."""
    results = {}
    print(f"\napplications of three components, each twice, and two links; 100 simulated hosts\n"
          f"  {'':12} {'converged s':>12} {'a minute without changes:':>26} {'messages':>9} {'leader in':>10} {'out':>5} "
          f"{'its CPU ms':>11} {'followers':>10}  {'one change, first / last host ms:':>34} {'p50':>13} {'p99':>13} "
          f"{'leader CPU ms':>14}")
    for n in APPLICATIONS:
        text = subprocess.run(["taskset", "-c", servers.LOAD_CORE, config.release / "host_apps_bench", str(n), "100",
                               "50"], check=True, capture_output=True, text=True, timeout=1200).stdout
        results[n] = run = json.loads(text)
        minute, change = run["minute"], run["changes"]
        p50 = f"{change['first_p50_ms']:.0f} / {change['last_p50_ms']:.0f}"
        p99 = f"{change['first_p99_ms']:.0f} / {change['last_p99_ms']:.0f}"
        print(f"  {n:12,} {run['converged_s']:12.2f} {'':26} {minute['messages']:9,} {minute['leader_in']:10,} "
              f"{minute['leader_out']:5} {minute['leader_cpu_ms']:11.1f} {minute['follower_cpu_ms']:10.1f}  {'':34} "
              f"{p50:>13} {p99:>13} {change['leader_cpu_ms']:14.1f}", flush=True)
    return results


# --- real hosts, one killed ---


def manifest(config):
    return {"apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
            "metadata": {"name": "bench", "annotations": {"version": "v1"}},
            "spec": {"components": [{
                "name": "hello", "type": "component", "properties": {
                    "id": "hello", "image": f"file://{config.guests}/http-hello-rust.wasm"},
                "traits": [{"type": "spreadscaler", "properties": {"instances": 1}}]}]}}


def ask(bus, verb, payload):
    """Asks the manager until there is one."""
    deadline = time.monotonic() + 30
    while True:
        answer = bus.request(f"wadm.api.default.model.{verb}", json.dumps(payload))
        answer = json.loads(answer) if answer else {"result": "error", "message": "nobody listens"}
        if answer["result"] not in ("error", "notfound"):
            return answer
        if time.monotonic() > deadline:
            raise RuntimeError(f"{verb}: {answer}")
        time.sleep(0.1)


def runs_on(hosts):
    found = [host for host in hosts if host.ctl(f"host.get.{host.id}", {})["components"]]
    return found[0] if found else None


def leader(hosts):
    """The host that said last that it manages the applications."""
    lines = [(line, host) for host in hosts for line in host.log_path.read_text().splitlines()
             if "this host manages the applications" in line]
    return max(lines, key=lambda pair: pair[0])[1]


def kill_all_of(host):
    """As if the machine had lost its power: the control process and its workers at once."""
    for pid in measure.descendants(host.process.pid)[::-1]:
        os.kill(pid, signal.SIGKILL)


def one_death(config, with_leader):
    with contextlib.ExitStack() as stack:
        nats = stack.enter_context(lattice.Nats())
        hosts = [stack.enter_context(lattice.Host(config, nats=nats)) for _ in range(HOSTS)]
        time.sleep(2)
        ask(hosts[0].bus, "put", manifest(config))
        ask(hosts[0].bus, "deploy.bench", {"version": "v1"})
        deadline = time.monotonic() + 30
        while not (owner := runs_on(hosts)):
            if time.monotonic() > deadline:
                raise RuntimeError("the application is not deployed")
            time.sleep(0.05)
        leads = leader(hosts)
        victims = {owner, leads} if with_leader else {owner}
        front = next(host for host in hosts if host not in victims and host is not leads)
        door = front.serve_http("hello")
        door.wait("/", "Hello from Rust!\n")
        with capabilities.Clients(door.port, "/", patience=1) as clients:
            time.sleep(2)
            begun = time.monotonic()
            before = clients.gap(begun - 1.5, begun)
            for host in victims:
                kill_all_of(host)
            time.sleep(8)
            seen = clients.gap(begun, begun + 8)
        survivors = [host for host in hosts if host not in victims]
        return {**seen, "before_ms": before["gap_ms"], "led": owner is leads,
                "is_replaced": runs_on(survivors) is not None}


def measure_death(config):
    results = {}
    print(f"\n{HOSTS} hosts and nats-server on one core; the one host with the component is killed under load (8 clients, "
          f"HTTP by another host), what they see (aim: 3 s)\n  {'':34} {'gap s':>7} {'longest':>8} "
          f"{'answered':>9} {'refused':>8} {'no answer in 1 s':>17}")
    for with_leader, name in ((False, "the host with the component"), (True, "and the leading one at once")):
        runs = [one_death(config, with_leader) for _ in range(config.rounds)]
        results[name] = runs
        lost = sum(not run["is_replaced"] for run in runs)
        print(f"  {name:34} {statistics.median(run['gap_ms'] for run in runs) / 1000:7.2f} "
              f"{max(run['gap_ms'] for run in runs) / 1000:8.2f} {statistics.median(run['answered'] for run in runs):9.0f} "
              f"{statistics.median(run['failed'] - run['given_up'] for run in runs):8.0f} "
              f"{statistics.median(run['given_up'] for run in runs):17.0f}{f'   NOT REPLACED: {lost}' if lost else ''}",
              flush=True)
    return results


def measure_apps(config):
    return {"simulated": simulated(config), "death": measure_death(config)}
