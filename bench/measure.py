# SPDX-License-Identifier: Apache-2.0
"""Load, timing and counting. Every loop is bounded in count or time; all traffic stays on loopback."""
import os
import pathlib
import re
import socket
import statistics
import subprocess
import tempfile
import time

import servers

UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


def cpu_us(pid):
    """User and system time so far of the process and those below it."""
    ticks = 0
    for process in descendants(pid):
        fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * 1e6 / os.sysconf("SC_CLK_TCK")


def cpu_ns(pid):
    """Of the process alone, without those below it; finer than cpu_us. Of threads that have ended nothing is known."""
    return sum(int(task.read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))


def wrk(server, config, connections, path="/", body_bytes=0):
    """One run of wrk on the load's core; requests per second, latencies in ms, and the server's CPU time per request,
    which other programs on the machine disturb least."""
    before = cpu_us(server.process.pid)
    command = ["taskset", "-c", servers.LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{config.seconds}s", "--latency"]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        if body_bytes:
            script.write(f'wrk.method = "POST"\nwrk.body = string.rep("x", {body_bytes})\n')
            script.flush()
            command += ["-s", script.name]
        text = subprocess.run([*command, f"http://127.0.0.1:{server.port}{path}"], check=True, capture_output=True,
                              text=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"not every request was answered:\n{text}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    n_requests = int(re.search(r"(\d+) requests in", text).group(1))
    run = {"rate": rate, "cpu_us": (cpu_us(server.process.pid) - before) / n_requests}
    for percent in (50, 99):
        value, unit = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s|m)", text).groups()
        run[f"p{percent}_ms"] = float(value) * UNITS[unit]
    return run


def alternate(entries, config, **load):
    """Runs every server in turn, `rounds` times over; the medians, and ratios of the first one to the others."""
    runs = {entry.name: [] for entry in entries}
    for _ in range(config.rounds):
        for entry in entries:
            with entry:
                runs[entry.name].append(wrk(entry, config, **load))
    medians = {name: {key: statistics.median(run[key] for run in list_) for key in list_[0]}
               for name, list_ in runs.items()}
    ours = medians[entries[0].name]
    for median in medians.values():
        median["ratio"] = ours["rate"] / median["rate"]
        median["cpu_ratio"] = median["cpu_us"] / ours["cpu_us"]
    return {"median": medians, "runs": runs}


def print_rates(title, result):
    print(f"\n{title}\n  {'':34} {'requests/s':>12} {'wisp is':>8} {'CPU µs each':>12} {'wisp needs':>11}")
    for name, median in result["median"].items():
        print(f"  {name:34} {median['rate']:12,.0f} {median['ratio']:7.2f}× {median['cpu_us']:12.1f} "
              f"{1 / median['cpu_ratio']:10.2f}×", flush=True)


def print_latencies(title, result):
    print(f"\n{title}\n  {'':34} {'p50 ms':>9} {'p99 ms':>9}")
    for name, median in result["median"].items():
        print(f"  {name:34} {median['p50_ms']:9.3f} {median['p99_ms']:9.3f}")


def first_answer_ms(server):
    """Starts the server and asks until it answers, without sleeping longer than a millisecond."""
    server.port = servers.free_port()
    request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    started = time.monotonic()
    server.process = subprocess.Popen([*map(str, server.command(server.port))], env=server.environment(),
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.monotonic() - started < 120:
            try:
                with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
                    client.sendall(request)
                    if client.recv(12) == b"HTTP/1.1 200":
                        return (time.monotonic() - started) * 1000
            except OSError:
                time.sleep(0.0005)
        raise RuntimeError(f"{server.name} does not answer")
    finally:
        server.__exit__()


class WithCache(servers.Wisp):
    cache = None

    def environment(self):
        return dict(super().environment(), WISP_CACHE=self.cache)


def start_times(config, wasm, warm):
    times = []
    for _ in range(config.rounds if warm else min(config.rounds, 3)):
        with tempfile.TemporaryDirectory() as cache:
            server = WithCache(config, wasm)
            server.cache = cache
            if warm:
                first_answer_ms(server)
            times.append(first_answer_ms(server))
    return {"median": statistics.median(times), "runs": times}


def print_starts(title, result):
    print(f"\n{title}: warm {result['warm_ms']['median']:.1f} ms, cold {result['cold_ms']['median']:.0f} ms")


def descendants(pid):
    """The process and all below it."""
    found = [pid]
    for parent in found:
        for path in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):  # of whichever thread made them
            found += [int(child) for child in path.read_text().split()]
    return found


def pss_kib(pid, what="Pss"):
    """Of the process and those below it; Pss_Anon and Pss_File are parts of Pss."""
    total = 0
    for process in descendants(pid):
        text = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text()
        total += int(re.search(rf"^{what}:\s+(\d+)", text, re.M).group(1))
    return total


def memory(config, wasm, concurrent=1000):
    with servers.Wisp(config, wasm) as server:
        idle = pss_kib(server.process.pid)
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(concurrent)]
        for client in clients:
            client.sendall(b"GET /sleep?ms=4000 HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(2.5)
        busy = pss_kib(server.process.pid)
        answered = 0
        for client in clients:
            client.settimeout(30)
            answered += client.recv(12) == b"HTTP/1.1 200"
            client.close()
    if answered != concurrent:
        raise RuntimeError(f"only {answered} of {concurrent} concurrent requests were answered")
    return {"idle_kib": idle, "busy_kib": busy, "concurrent": concurrent}


def micro(config, program, *arguments, core=servers.LOAD_CORE):
    text = subprocess.run(["taskset", "-c", core, config.release / program, *map(str, arguments)], check=True,
                          capture_output=True, text=True).stdout
    return {name: float(value) for name, value in re.findall(r"^(\w+)\s+([\d.]+)$", text, re.M)}


def send_requests(port, n):
    with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
        for _ in range(n):
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            received = b""
            while b"Hello from Rust!" not in received:
                received += client.recv(65536)


def worker_instructions(config, wasm, n):
    """Of a whole run: start, n requests, end."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "callgrind.out"
        with servers.WorkerInCallgrind(config, wasm, out) as server:
            send_requests(server.port, n)
        return int(re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.M).group(1))


def medians(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def instructions(config, wasm, few=200, many=1200):
    """The difference of two runs is the cost of the requests alone."""
    worker_instructions(config, wasm, 1)  # fills the code cache for the processor that valgrind shows
    difference = worker_instructions(config, wasm, many) - worker_instructions(config, wasm, few)
    return {"per_request": round(difference / (many - few))}
