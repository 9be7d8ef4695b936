#!/usr/bin/env python3
"""Random paths counted in 100 tubes: `random-motion` beside NumPy and a C program, in one interleaved run.

    python3 benches/peers/motion.py --onsager target/release/onsager

Free particle, 10 steps, the same 100 tubes of width σ for all, two threads or processes each. onsager is timed as a user has it:
`onsager run` of a pipeline with a fresh store, from the start of the program to its end. See README.md.
"""

import argparse
import csv
import math
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import measure

STEPS, TUBES, WIDTH = 10, 100, 1.0
PIPELINE = """\
name: motion
params: {particles: 1000, threads: 1}
stages:
  motion:
    kind: random-motion
    resources: {threads: "${params.threads}"}
    params: {diffusion: 0.5, tubes: %d, width: %g, particles: "${params.particles}", estimators: [counting]}
  paths:
    kind: table
    inputs: {paths: motion.paths}
  counts:
    kind: table
    inputs: {tubes: motion.tubes}
""" % (TUBES, WIDTH)

# Vector instructions without moves for the 16 normals of a register of 8 lanes, counted in the machine code at AVX-512: ten rounds of Philox
# and one Box-Muller transform. The processor begins two of them in a cycle.
INSTRUCTIONS = 158


def numpy_python():
    """A Python with NumPy; where this one has none, one in a throw-away environment."""
    if subprocess.run([sys.executable, "-c", "import numpy"], capture_output=True).returncode == 0:
        return sys.executable
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onsager-peers"
    python = cache / "bin" / "python"
    if not python.exists():
        venv.create(cache, with_pip=True)
    if subprocess.run([python, "-c", "import numpy"], capture_output=True).returncode != 0:
        subprocess.run([python, "-m", "pip", "install", "-q", "numpy"], check=True)
    return str(python)


class Onsager:
    name = "onsager"

    def __init__(self, program, folder, threads):
        self.folder, self.threads, self.output = folder / "onsager", threads, folder / "onsager.output"
        self.folder.mkdir()
        (self.folder / "pipeline.yaml").write_text(PIPELINE)
        self.program = program

    def command(self, particles, *tasks):
        settings = ["--set", f"particles={particles}", "--set", f"threads={self.threads}", "--threads", str(self.threads)]
        return [self.program, "run", "pipeline.yaml", *(tasks or ["motion"]), *settings]

    def run(self, particles):
        shutil.rmtree(self.folder / "artifacts", ignore_errors=True)
        return measure.run(self.command(particles), self.folder, os.environ, self.output)[:2]

    def rows(self, particles, task):
        measure.run(self.command(particles, task), self.folder, os.environ, self.output)
        with open(self.folder / f"artifacts/motion/{task}/table.csv") as file:
            return list(csv.DictReader(file))

    def counted(self, particles):
        rows = self.rows(particles, "counts")
        return int(rows[0]["arrived"]), sum(int(row["count"]) for row in rows)

    def write_tubes(self, path):
        """The centre lines, as offsets from the least-action path in units of σ = 1."""
        least, tubes = [], {}
        for row in self.rows(1000, "paths"):
            if row["kind"] == "least-action":
                least.append(float(row["x"]))
            elif row["kind"] == "tube":
                step = int(row["step"])
                tubes.setdefault(row["tube"], []).append(float(row["x"]) - least[step])
        lines = [" ".join(map(repr, offsets[1:])) for offsets in tubes.values()]
        path.write_text("\n".join([f"{len(lines)} {len(least) - 1}", *lines]) + "\n")


class Peer:
    """A program that takes tubes, width, particles and threads, and prints two numbers."""

    def __init__(self, name, command, folder, threads):
        self.name, self.start, self.folder, self.threads = name, command, folder, threads
        self.output = folder / f"{name}.output"

    def run(self, particles):
        command = [*self.start, "tubes.txt", str(WIDTH), str(particles), str(self.threads)]
        return measure.run(command, self.folder, os.environ, self.output)[:2]

    def counted(self, _):
        return tuple(map(int, self.output.read_text().split()))


def check(tool, particles):
    """The same job: the fraction that arrives is erf(δ/√(8N)), within five standard errors; returns tubes per particle."""
    arrived, inside = tool.counted(particles)
    p = math.erf(WIDTH / math.sqrt(8 * STEPS))
    if abs(arrived - particles * p) > 5 * math.sqrt(particles * p * (1 - p)):
        raise measure.Failed(f"{tool.name}: {arrived} of {particles} arrived, not {p:.5f} of them")
    return inside / particles


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onsager", default=shutil.which("onsager"), help="the program [default: from PATH]")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--particles", type=int, default=200_000_000, help="for onsager")
    parser.add_argument("--c-particles", type=int, default=20_000_000)
    parser.add_argument("--numpy-particles", type=int, default=4_000_000)
    parser.add_argument("--large", type=int, default=1_000_000_000, help="for the memory and the time of a large ensemble; 0 for none")
    options = parser.parse_args()
    if not options.onsager:
        parser.error("give `--onsager PROGRAM`")
    here = Path(__file__).resolve().parent
    with tempfile.TemporaryDirectory(prefix="onsager-peers-") as name:
        folder = Path(name)
        subprocess.run(["cc", "-O3", "-march=native", "-pthread", here / "motion.c", "-lm", "-o", folder / "motion"], check=True)
        onsager = Onsager(os.path.realpath(options.onsager), folder, options.threads)
        onsager.write_tubes(folder / "tubes.txt")
        python = numpy_python()
        tools = [
            (onsager, options.particles),
            (Peer("C", [folder / "motion"], folder, options.threads), options.c_particles),
            (Peer("NumPy", [python, here / "motion_numpy.py"], folder, options.threads), options.numpy_particles),
        ]
        rates = {tool.name: {"cpu": [], "wall": []} for tool, _ in tools}
        for _ in range(options.rounds):
            for tool, particles in tools:
                cpu, wall = tool.run(particles)
                rates[tool.name]["cpu"].append(particles / cpu / 1e6)
                rates[tool.name]["wall"].append(particles / wall / 1e6)
                print(f"{tool.name}: {particles / wall / 1e6:.2f} M particles/s", file=sys.stderr)
        print(f"{measure.host(folder)}. Medians of {options.rounds} rounds, {options.threads} threads each.\n")
        print("| | particles | M particles/s | M particles per CPU second | tubes hit per particle |\n| --- | --- | --- | --- | --- |")
        for tool, particles in tools:
            cpu, wall = measure.median(rates[tool.name]["cpu"]), measure.median(rates[tool.name]["wall"])
            print(f"| {tool.name} | {particles:.0e} | {wall:.2f} | {cpu:.2f} | {check(tool, particles):.5f} |")
        print("\n| target | wall | CPU | at least | |\n| --- | --- | --- | --- | --- |")
        for peer, limit in (("NumPy", 30), ("C", 2)):
            pairs = {key: zip(rates["onsager"][key], rates[peer][key]) for key in ("wall", "cpu")}
            wall, cpu = (measure.median([a / b for a, b in pairs[key]]) for key in ("wall", "cpu"))
            met = "met" if min(wall, cpu) >= limit else "**missed**"
            print(f"| onsager against {peer}, ratio in each round | {wall:.1f} × | {cpu:.1f} × | {limit} × | {met} |")
        told = subprocess.run([folder / "motion", "--clock"], capture_output=True, text=True, check=True).stdout
        clock, normals = float(told), measure.median(rates["onsager"]["cpu"]) * STEPS
        bound = 2 * 8 * 2 / INSTRUCTIONS * clock * 1e3
        print(f"\nNormals: {normals:.0f} M a CPU second with all that is done to them. The bound of the method at AVX-512 is {bound:.0f} M: "
              f"{INSTRUCTIONS} vector instructions for 16 normals, two a cycle at {clock:.2f} GHz.")
        if options.large:
            cpu, wall = onsager.run(options.large)
            print(f"\n{options.large:.0e} particles of {STEPS} steps, `onsager run` from start to end: {wall:.1f} s, {cpu:.1f} s of CPU.")


if __name__ == "__main__":
    try:
        main()
    except measure.Failed as failed:
        sys.exit(f"motion.py: {failed}")
