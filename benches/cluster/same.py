#!/usr/bin/env python3
"""Pipelines by `--on cluster` beside the same on this machine: every digest has to be equal, and nothing is left to execute.

    python3 benches/cluster/same.py --onsager target/release/onsager

On a Slurm of two nodes (see slurm.py). Afterwards a run on this machine, with the store of the cluster's run, may execute nothing.
Needs a program with the feature `science`. Exit code 1 where anything differs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import slurm

ROOT = Path(__file__).resolve().parent.parent.parent
SMALLER = {"particles": 10_000_000, "particles_each": 1_000_000, "tubes": 20, "deep_tubes": 40, "walkers": 128, "repeats": 8}
PIPELINES = {
    "quickstart": ["experiments/quickstart.yaml"],
    "path-law": ["pipelines/path-law.yaml", *(word for name, value in SMALLER.items() for word in ("--set", f"{name}={value}"))],
}
PROFILE = """\
[on.cluster]
engine = "slurm"
jobs = 4
threads = 2
memory = "2GiB"
time = "1h"
poll = "5s"
"""


def run(onsager, artifacts, env, words):
    """(the document, its wall time) of a run of the repository's pipeline into this folder."""
    start = time.perf_counter()
    ran = subprocess.run([onsager, "run", *words, "--artifacts", artifacts, "--json"], cwd=ROOT, env=env, capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"`onsager run {' '.join(words)}` ended with {ran.returncode}:\n{ran.stderr}")
    return json.loads(ran.stdout), time.perf_counter() - start


def digests(document):
    return {f"{task}.{name}": made["digest"] for task, outputs in document["outputs"].items() for name, made in outputs.items()}


def where(artifacts):
    """The nodes and the jobs that tasks ran in, by the runs' records."""
    lines = (line for record in (artifacts / ".onsager/runs").glob("*.jsonl") for line in record.read_text().splitlines())
    jobs = [event["job"] for event in map(json.loads, lines) if event["event"] == "task-started" and event.get("job")]
    return sorted({job["node"] for job in jobs}), sorted({job["job"] for job in jobs})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onsager", default=shutil.which("onsager"), help="the program [default: from PATH]")
    parser.add_argument("--pipelines", default=",".join(PIPELINES))
    parser.add_argument("--folder", help="where the stores go [default: a temporary folder, removed]")
    options = parser.parse_args()
    names = options.pipelines.split(",")
    if not options.onsager or set(names) - set(PIPELINES):
        parser.error(f"give `--onsager PROGRAM`; `--pipelines` takes {' and '.join(PIPELINES)}")
    onsager, good = os.path.realpath(options.onsager), True
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="onsager-same-") as room, slurm.Cluster() as cluster:
        settings = Path(room) / "settings/onsager"
        settings.mkdir(parents=True)
        (settings / "onsager.toml").write_text(PROFILE)
        env = cluster.env | {"XDG_CONFIG_HOME": str(settings.parent)}
        print("| pipeline | tasks | outputs | equal | here, s | `--on cluster`, s | jobs | nodes | executed here afterwards |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
        for name in names:
            here, there = Path(room) / f"{name}-here", Path(room) / f"{name}-there"
            local, seconds_here = run(onsager, here, env, PIPELINES[name])
            remote, seconds_there = run(onsager, there, env, [*PIPELINES[name], "--on", "cluster"])
            after, _ = run(onsager, there, env, PIPELINES[name])
            one, other = digests(local), digests(remote)
            differ = sorted(output for output in one.keys() | other.keys() if one.get(output) != other.get(output))
            nodes, jobs = where(there)
            again = after["tasks"]["executed"]
            print(f"| {name} | {len(remote['tasks']['executed'])} | {len(one)} | {len(one) - len(differ)} | {seconds_here:.0f} | "
                  f"{seconds_there:.0f} | {len(jobs)} | {len(nodes)} | {len(again)} |", flush=True)
            if differ or again:
                print(f"{name}: differ: {', '.join(differ[:10]) or 'none'}; executed: {', '.join(again[:10]) or 'none'}", file=sys.stderr)
                good = False
    return good


if __name__ == "__main__":
    try:
        sys.exit(0 if main() else 1)
    except slurm.NoCluster as why:
        sys.exit(f"same.py: {why}")
