#!/usr/bin/env python3
"""onsager on a Slurm of two nodes, beside one `sbatch` for each task and beside HyperQueue.

    python3 benches/peers/cluster.py --onsager target/release/onsager

First 500 tasks that sleep for a second, in at most 4 jobs of 1 CPU each: the wall time beside 500 s / 4, and the CPU time of the
coordinator. Then trivial tasks (`echo i > file`), with 4 at a time for every tool: what a task costs. See README.md.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cluster"))

import measure
import slurm

AT_A_TIME = 4
PIPELINE = """\
name: many
stages:
  one:
    kind: command
    matrix: {i: [%s]}
    run: %s
    outputs: {out: out.txt}
"""
PROFILE = f"""\
[on.cluster]
engine = "slurm"
jobs = {AT_A_TIME}
threads = 1
memory = "200MiB"
time = "1h"
"""


def project(folder, total, run):
    folder.mkdir()
    (folder / "pipeline.yaml").write_text(PIPELINE % (", ".join(map(str, range(total))), run))
    (folder / "onsager.toml").write_text(PROFILE)
    return folder


def expect(what, made, wanted):
    if made != wanted:
        raise measure.Failed(f"{what}: made {made} files, not {wanted}")


def onsager(options, cluster, folder, total, run, *arguments):
    """(wall s, CPU s of the coordinator with the commands that it starts, CPU s of everything) of a run with a fresh store."""
    where = project(folder, total, run)
    before = cluster.act("cpu")
    cpu, wall = measure.run_alone([options.onsager, "run", "pipeline.yaml", *arguments], where, cluster.env, folder / "output")
    settle(cluster)
    expect("onsager", len(list(where.glob("artifacts/many/one/*/out.txt"))), total)
    return wall, cpu, cpu + cluster.act("cpu") - before


def settle(cluster):
    """Jobs that wait for another task end by themselves, but that is no cost of the tasks."""
    cluster.command("scancel", "--user=root")
    while cluster.jobs():
        time.sleep(0.1)


def sbatch(cluster, folder, total):
    """The same by one `sbatch` a task."""
    folder.mkdir()
    before, start = cluster.act("cpu"), time.perf_counter()
    used = children_cpu()
    for i in range(total):
        script = f"echo {i} > {folder}/{i}.txt"
        command = ["sbatch", "-Q", "-n1", "--mem=200", "-t60", "-o", "/dev/null", "--wrap", script]
        subprocess.run(command, env=cluster.env, check=True)
    used = children_cpu() - used
    while len(list(folder.glob("*.txt"))) < total:
        time.sleep(0.05)
    wall = time.perf_counter() - start
    settle(cluster)
    return wall, used, used + cluster.act("cpu") - before


def children_cpu():
    times = os.times()
    return times.children_user + times.children_system


def hyperqueue(python, folder, total):
    """The same by HyperQueue's server and one worker with 4 cores, both inside the process that submits."""
    folder.mkdir()
    output = folder / "output"
    cpu, _ = measure.run_alone([python, __file__, "--as-hyperqueue", folder, str(total)], folder, dict(os.environ), output)
    expect("HyperQueue", len(list(folder.glob("*.txt"))), total)
    return float(output.read_text().split()[-1]), None, cpu


def as_hyperqueue(folder, total):
    from hyperqueue import Job, LocalCluster
    from hyperqueue.cluster import WorkerConfig

    with LocalCluster() as cluster:
        cluster.start_worker(WorkerConfig(cores=AT_A_TIME))
        client = cluster.client()
        start = time.perf_counter()
        job = Job()
        for i in range(total):
            job.program(["sh", "-c", f"echo {i} > {folder}/{i}.txt"], stdout=None, stderr=None)
        client.wait_for_jobs([client.submit(job)])
        print(time.perf_counter() - start)


def hyperqueue_python():
    """A throw-away environment with HyperQueue in it, outside the clone."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onsager-peers-hyperqueue"
    python = cache / "bin/python"
    if not python.exists():
        venv.create(cache, with_pip=True)
    if subprocess.run([python, "-c", "import hyperqueue"], capture_output=True).returncode != 0:
        subprocess.run([cache / "bin/pip", "install", "-q", "hyperqueue"], check=True)
    code = "import importlib.metadata as m; print(m.version('hyperqueue'))"
    return str(python), subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def row(label, total, measured):
    wall, coordinator, everything = measured
    shown = "" if coordinator is None else f"{coordinator / total * 1000:.2f}"
    return f"| {label} | {total} | {wall:.1f} | {wall / total * 1000:.2f} | {shown} | {everything / total * 1000:.2f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onsager", default=shutil.which("onsager"), help="the program [default: from PATH]")
    parser.add_argument("--seconds", type=int, default=500, help="tasks of one second")
    parser.add_argument("--trivial", type=int, default=10_000, help="trivial tasks of onsager and HyperQueue")
    parser.add_argument("--submitted", type=int, default=1000, help="trivial tasks by one `sbatch` each, which takes long")
    parser.add_argument("--folder", help="where the projects go [default: a temporary folder, removed]")
    parser.add_argument("--json", help="a file for every single measurement")
    parser.add_argument("--as-hyperqueue", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_hyperqueue:
        return as_hyperqueue(options.as_hyperqueue[0], int(options.as_hyperqueue[1]))
    if not options.onsager:
        parser.error("give `--onsager PROGRAM`")
    options.onsager = os.path.realpath(options.onsager)
    found = {}
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="onsager-peers-") as room, slurm.Cluster() as cluster:
        room = Path(room)
        release = cluster.command("sinfo", "--version")[1].strip()
        print(f"{measure.host(room)}; {release}, two nodes of 4 CPUs on this host, {AT_A_TIME} tasks at a time.\n", flush=True)
        if options.seconds:
            sleep = "sleep 1; echo ${matrix.i} > ${outputs.out}"
            wall, cpu, _ = found["seconds"] = onsager(options, cluster, room / "seconds", options.seconds, sleep, "--on", "cluster")
            ratio, each = wall / (options.seconds / AT_A_TIME), cpu / options.seconds * 1000
            print(f"| {options.seconds} tasks of 1 s | measured | at most | |\n| --- | --- | --- | --- |")
            print(f"| wall time × {options.seconds} s / {AT_A_TIME} | {ratio:.3f} | 1.15 | {verdict(ratio, 1.15)} |")
            print(f"| CPU of the coordinator a task | {each:.2f} ms | 5 ms | {verdict(each, 5)} |\n", flush=True)
        if options.trivial:
            python, version = hyperqueue_python()
            print("| trivial tasks | number | wall, s | wall a task, ms | CPU of the coordinator a task, ms | CPU of all a task, ms |")
            print("| --- | --- | --- | --- | --- | --- |")
            echo = "echo ${matrix.i} > ${outputs.out}"
            tools = {
                "onsager `--on cluster`": (options.trivial, lambda at, n: onsager(options, cluster, at, n, echo, "--on", "cluster")),
                "onsager on this machine": (options.trivial, lambda at, n: onsager(options, cluster, at, n, echo, "--jobs", str(AT_A_TIME))),
                f"HyperQueue {version}": (options.trivial, lambda at, n: hyperqueue(python, at, n)),
                "one `sbatch` a task": (options.submitted, lambda at, n: sbatch(cluster, at, n)),
            }
            for k, (label, (total, measured)) in enumerate(tools.items()):
                found[label] = measured(room / f"trivial-{k}", total)
                print(row(label, total, found[label]), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n")


def verdict(measured, limit):
    return "met" if measured <= limit else "**missed**"


if __name__ == "__main__":
    try:
        main()
    except (measure.Failed, slurm.NoCluster) as failed:
        sys.exit(f"cluster.py: {failed}")
