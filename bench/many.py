# SPDX-License-Identifier: Apache-2.0
"""Numbers: 1,000 components on one host, 1,000 hosts in one simulated lattice."""
import json
import statistics
import subprocess
import time

import lattice
import measure

N = 1000
MEMORY = {"anon": "Pss_Anon", "shared": "Pss_Shmem", "file": "Pss_File"}


def make_components(config):
    """Different code for each: another text within the module."""
    folder = config.build / "many"
    folder.mkdir(exist_ok=True)
    hello = (config.guests / "http-hello-rust.wasm").read_bytes()
    for i in range(N):
        path = folder / f"{i}.wasm"
        different = hello.replace(b"Hello from Rust!", b"Hello from %04d!" % i)
        if different == hello:
            raise RuntimeError("http-hello-rust has another text than expected")
        if not path.exists() or path.read_bytes() != different:
            path.write_bytes(different)
    return folder


def start_all(host, folder):
    """Asks for all at once; the seconds until the host says that the last one runs."""
    ended = []
    for event in ("component_scaled", "component_scale_failed"):
        host.bus.subscribe(f"wasmbus.evt.default.{event}", lambda *args: ended.append(args))
    host.bus.flush()
    started = time.monotonic()
    for i in range(N):
        request = host.scale_request(f"c{i}", folder / f"{i}.wasm", 10)
        host.bus.publish(f"{lattice.CTL}component.scale.{host.id}", json.dumps(request))
    while len(ended) < N and time.monotonic() - started < 600:
        time.sleep(0.005)
    seconds = time.monotonic() - started
    failed = [data for subject, _, _, data in ended if subject.endswith("failed")]
    if failed or len(ended) < N:
        raise RuntimeError(f"{len(ended)} of {N} components were started, {len(failed)} failed: {failed[:1]}")
    return seconds


def sizes(host):
    """KiB of the control process and of its worker."""
    control, worker = measure.descendants(host.process.pid)
    all_kib = {name: measure.pss_kib(control, key) for name, key in MEMORY.items()}
    worker_kib = {name: measure.pss_kib(worker, key) for name, key in MEMORY.items()}
    return {"worker": worker_kib, "control": {name: all_kib[name] - worker_kib[name] for name in MEMORY}}


def one_run(config, folder):
    with lattice.Host(config, cache=config.build / "many/cache") as host:
        host.scale("first", config.guests / "http-hello-c.wasm")  # what the first one takes is not of each
        host.serve_http("first").wait("/", "Hello from C!\n")
        before = sizes(host)
        seconds = start_all(host, folder)
        time.sleep(1)
        after = sizes(host)
        host.serve_http(f"c{N // 2}").wait("/", f"Hello from {N // 2:04}!\n")
        run = {"seconds": seconds}
        for process, kib in after.items():
            run.update({f"{process}_{name}_kib": (kib[name] - before[process][name]) / N for name in kib})
        return run


def measure_many(config):
    folder = make_components(config)
    cold = one_run(config, folder)["seconds"]  # fills the code cache, unless it is full
    runs = [one_run(config, folder) for _ in range(config.rounds)]
    median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    print(f"\n{N} different components (http-hello-rust), one host with one worker, warm cache: {median['seconds']:.2f} s "
          f"(aim: 3); the run before it {cold:.0f} s\n"
          f"  {'KiB for each (aim: 100)':24} {'memory':>8} {'code and files':>15}")
    for process in ("worker", "control"):
        own = median[f"{process}_anon_kib"] + median[f"{process}_shared_kib"]
        print(f"  {process:24} {own:8.1f} {median[f'{process}_file_kib']:15.1f}")
    return {"median": median, "runs": runs, "run_before_s": cold}


def measure_lattice(config):
    """What 30 s, a heartbeat's interval, cost a host while links, configurations and components change."""
    results = {}
    print(f"\nsimulated hosts of one lattice, each in 30 s\n  {'hosts':>6} {'messages in':>12} {'out':>8} {'CPU µs':>9}")
    for n_hosts in (10, 100, 1000):
        text = subprocess.run([config.simulation, "--scale", str(n_hosts)], check=True, capture_output=True, text=True,
                              timeout=1800).stdout
        results[n_hosts] = run = json.loads(text)
        print(f"  {n_hosts:6} {run['messages_in']:12.1f} {run['messages_out']:8.1f} {run['cpu_us']:9.1f}"
              f"   the leading one: {run['leader']['messages_in']:.0f}, {run['leader']['messages_out']:.0f}", flush=True)
    return results
