#!/usr/bin/env python3
"""onsager beside ninja, DVC and Snakemake on the same stages, in one interleaved run.

    python3 benches/peers/engine.py --onsager target/release/onsager

A project of N `command` stages written out one by one, 10 layers of N/10: stage (l, i) runs `cat parents > out` on
(l-1, i) and, for even i, also on (l-1, i+1); layer 0 reads source files. Measured: first run, no-op, touch and edit of
source 0, as CPU time of the whole process tree, wall time, and peak memory of the coordinator. See README.md.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import measure

LAYERS = 10


def parents(width, layer, i):
    """The inputs of stage (layer, i), as (layer, i); layer -1 is the sources."""
    beside = [i + 1] if i % 2 == 0 and i + 1 < width else []
    return [(layer - 1, p) for p in [i, *beside]]


def stages(width):
    return ((layer, i) for layer in range(LAYERS) for i in range(width))


class Tool:
    """A tool's project in its own folder. `first`, `noop` … are commands given by the subclasses."""

    def __init__(self, folder, width, programs, env):
        self.folder, self.width, self.programs = folder / self.name, width, programs
        self.output = folder / f"{self.name}.output"
        self.env = env | {"XDG_CACHE_HOME": str(self.folder / "cache"), "HOME": str(self.folder)}
        (self.folder / "src").mkdir(parents=True)
        for i in range(width):
            (self.folder / f"src/{i}.txt").write_text(f"source {i}\n")
        self.write()

    def at(self, layer, i):
        return f"src/{i}.txt" if layer < 0 else f"out/{layer}-{i}"

    def inputs(self, layer, i):
        return " ".join(self.at(*p) for p in parents(self.width, layer, i))

    def remove(self, *names):
        for name in names:
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def run(self):
        """CPU seconds, wall seconds, processes left behind, stages executed (as the tool tells)."""
        cpu, wall, orphans = measure.run(self.command(), self.folder, self.env, self.output)
        return cpu, wall, orphans, self.executed(self.output.read_text(errors="replace"))

    def last_output(self):
        return (self.folder / self.at(LAYERS - 1, 0)).read_text()


class Onsager(Tool):
    name = "onsager"

    def write(self):
        with open(self.folder / "pipeline.yaml", "w") as file:
            file.write("name: layers\nstages:\n")
            for layer, i in stages(self.width):
                up = parents(self.width, layer, i)
                given = (f"{{file: src/{p}.txt}}" if l < 0 else f"s{l}-{p}" for l, p in up)
                inputs = ", ".join(f"p{k}: {what}" for k, what in enumerate(given))
                names = " ".join(f"${{inputs.p{k}}}" for k in range(len(up)))
                file.write(
                    f"  s{layer}-{i}:\n    kind: command\n    inputs: {{{inputs}}}\n"
                    f"    run: cat {names} > ${{outputs.out}}\n    outputs: {{out: out.txt}}\n"
                )

    def command(self):
        return [self.programs["onsager"], "run", "pipeline.yaml"]

    def clean(self):
        self.remove("artifacts", "cache")

    def executed(self, text):
        return int(re.search(r"(\d+) executed", text)[1])

    def last_output(self):
        return (self.folder / f"artifacts/layers/s{LAYERS - 1}-0/out.txt").read_text()


class Ninja(Tool):
    name = "ninja"

    def write(self):
        with open(self.folder / "build.ninja", "w") as file:
            file.write("rule cat\n  command = cat $in > $out\n")
            for layer, i in stages(self.width):
                file.write(f"build {self.at(layer, i)}: cat {self.inputs(layer, i)}\n")

    def command(self):
        return [self.programs["ninja"]]

    def clean(self):
        self.remove("out", ".ninja_log", ".ninja_deps")

    def executed(self, text):
        return max((int(n) for n in re.findall(r"^\[(\d+)/\d+\]", text, re.M)), default=0)


class Dvc(Tool):
    name = "dvc"

    def write(self):
        self.env |= {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(self.folder / "site")}
        dvc = self.programs["dvc"]
        for arguments in (["init", "-q", "--no-scm"], ["config", "core.check_update", "false"]):
            subprocess.run([dvc, *arguments], cwd=self.folder, env=self.env, check=True)
        with open(self.folder / "dvc.yaml", "w") as file:
            file.write("stages:\n")
            for layer, i in stages(self.width):
                inputs = self.inputs(layer, i)
                file.write(
                    f"  s{layer}-{i}:\n    cmd: cat {inputs} > {self.at(layer, i)}\n"
                    f"    deps: [{', '.join(inputs.split())}]\n    outs: [{self.at(layer, i)}]\n"
                )

    def command(self):
        return [self.programs["dvc"], "repro"]

    def clean(self):
        self.remove("out", "dvc.lock", ".dvc/cache", ".dvc/tmp", "site")
        (self.folder / "out").mkdir()

    def executed(self, text):
        return len(re.findall(r"^Running stage ", text, re.M))


class Snakemake(Tool):
    name = "snakemake"

    def write(self):
        with open(self.folder / "Snakefile", "w") as file:
            last = ", ".join(repr(self.at(LAYERS - 1, i)) for i in range(self.width))
            file.write(f"rule all:\n    input: {last}\n")
            for layer, i in stages(self.width):
                inputs = ", ".join(repr(name) for name in self.inputs(layer, i).split())
                file.write(
                    f"rule s{layer}_{i}:\n    input: {inputs}\n    output: {self.at(layer, i)!r}\n"
                    "    shell: 'cat {input} > {output}'\n"
                )

    def command(self):
        return [self.programs["snakemake"], "--cores", str(os.cpu_count())]

    def clean(self):
        self.remove("out", ".snakemake", "cache")

    def executed(self, text):
        # The `all` rule is one of its jobs and executes nothing.
        return max((int(n) - 1 for n in re.findall(r"^\d+ of (\d+) steps", text, re.M)), default=0)


class Loop(Tool):
    """The floor: `sh -c 'cat parents > out'` for each stage, one after the other; this file with `--loop`."""

    name = "loop"

    def write(self):
        pass

    def command(self):
        return [sys.executable, str(Path(__file__).resolve()), "--loop", str(self.width)]

    def clean(self):
        self.remove("out")
        (self.folder / "out").mkdir()

    def executed(self, text):
        return int(text)

    def every_stage(self):
        for layer, i in stages(self.width):
            line = f"cat {self.inputs(layer, i)} > {self.at(layer, i)}"
            pid = os.posix_spawn("/bin/sh", ["sh", "-c", line], os.environ)
            if os.waitpid(pid, 0)[1] != 0:
                raise measure.Failed(line)
        print(self.width * LAYERS)


TOOLS = {tool.name: tool for tool in (Onsager, Ninja, Dvc, Snakemake, Loop)}


def install(names):
    """The programs' paths and versions; what is missing goes into a throw-away environment outside the clone."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onsager-peers"
    programs, versions = {}, {}
    for name in names:
        path = shutil.which(name) or str(cache / "bin" / name)
        if not os.path.exists(path):
            if not (cache / "bin" / "pip").exists():
                venv.create(cache, with_pip=True)
            subprocess.run([cache / "bin" / "pip", "install", "-q", name], check=True)
        programs[name] = path
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
        versions[name] = told.stdout.strip().splitlines()[-1].split()[-1]
    return programs, versions


def expect(tool, what, executed, wanted):
    if executed != wanted:
        raise measure.Failed(f"{tool.name}: {what} executed {executed} stages, not {wanted}")


def series(names, total, programs, repeats, first_repeats, folder):
    """Runs all tools on `total` stages, one after the other in every round. Returns figure → tool → list of values."""
    tools = [TOOLS[name](folder, total // LAYERS, programs, dict(os.environ)) for name in names]
    figures = {}

    def note(tool, what, measured):
        cpu, wall, orphans, executed = measured
        for key, value in (("cpu", cpu), ("wall", wall), ("left behind", orphans), ("executed", executed)):
            figures.setdefault(what, {}).setdefault(tool.name, {}).setdefault(key, []).append(value)
        print(f"{total} stages, {tool.name}: {what}: {cpu:.3f} s CPU, {wall:.3f} s, {executed} executed", file=sys.stderr)
        return executed

    for _ in range(first_repeats):
        for tool in tools:
            tool.clean()
            expect(tool, "first run", note(tool, "first run", tool.run()), total)
            if not isinstance(tool, Loop):
                expect(tool, "no-op", note(tool, "no-op after the first run", tool.run()), 0)
    tools = [tool for tool in tools if not isinstance(tool, Loop)]
    for round in range(repeats):
        for tool in tools:
            tool.run()
            expect(tool, "no-op", note(tool, "no-op", tool.run()), 0)
        for tool in tools:
            os.utime(tool.folder / "src/0.txt")
            note(tool, "touch of source 0", tool.run())
        for tool in tools:
            tool.run()
            (tool.folder / "src/0.txt").write_text(f"edit {round}\n")
            expect(tool, "edit", note(tool, "edit of source 0", tool.run()), LAYERS)
            if not tool.last_output().startswith(f"edit {round}\n"):
                raise measure.Failed(f"{tool.name}: the edit did not reach the last layer")
    for tool in tools:
        tool.clean()
        peaks = {"first run": measure.peak_memory(tool.command(), tool.folder, tool.env, tool.output)}
        peaks["no-op"] = measure.peak_memory(tool.command(), tool.folder, tool.env, tool.output)
        (tool.folder / "src/0.txt").write_text("edit for memory\n")
        peaks["edit of source 0"] = measure.peak_memory(tool.command(), tool.folder, tool.env, tool.output)
        for what, peak in peaks.items():
            figures[what][tool.name]["peak MB"] = [peak]
    return figures


def middle(figures, what, name, key):
    return measure.median(figures[what][name][key])


def table(figures, total):
    reference = "ninja" if "ninja" in figures["no-op"] else None
    lines = [
        f"### {total} stages\n",
        f"| | tool | CPU, s | × {reference} | wall, s | executed | coordinator's peak, MB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for what, tools in figures.items():
        for name, of in tools.items():
            cpu = measure.median(of["cpu"])
            ratio = f"{cpu / middle(figures, what, reference, 'cpu'):.2f}" if reference else ""
            peak = f"{of['peak MB'][0]:.1f}" if "peak MB" in of else ""
            label = "bare `sh -c` loop" if name == "loop" else name
            executed = f"{measure.median(of['executed']):.0f}"
            lines.append(f"| {what} | {label} | {cpu:.3f} | {ratio} | {measure.median(of['wall']):.3f} | {executed} | {peak} |")
    left = {name for tools in figures.values() for name, of in tools.items() if any(of["left behind"])}
    if left:
        lines.append(f"\nProcesses that {', '.join(sorted(left))} did not wait for are counted too.")
    return "\n".join(lines)


def verdicts(figures, total):
    """(what, measured, limit, unit) for each target."""
    cpu = lambda what, name: middle(figures, what, name, "cpu")
    found = []
    if "ninja" in figures["no-op"]:
        found.append(("no-op: CPU against ninja", cpu("no-op", "onsager") / cpu("no-op", "ninja"), 1.5, "×"))
        ratio = cpu("edit of source 0", "onsager") / cpu("edit of source 0", "ninja")
        found.append(("edit of source 0: CPU against ninja", ratio, 3.0, "×"))
    above = (cpu("first run", "onsager") - cpu("first run", "loop")) / total * 1000
    found.append(("first run: CPU per stage above the bare loop", above, 1.0, "ms"))
    peak = max(of["onsager"]["peak MB"][0] for of in figures.values() if "peak MB" in of["onsager"])
    found.append(("the coordinator's peak memory", peak, 60.0, "MB"))
    return found


def growth(small, large):
    """How much more ten times the stages cost onsager."""
    for what in large:
        for key in ("cpu", "wall", "peak MB"):
            if key in large[what]["onsager"]:
                ratio = middle(large, what, "onsager", key) / middle(small, what, "onsager", key)
                yield f"{what}: {key}, ten times the stages", ratio, 12.0, "×"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onsager", default=shutil.which("onsager"), help="the program [default: from PATH]")
    parser.add_argument("--stages", type=int, default=10_000)
    parser.add_argument("--slow-stages", type=int, default=100, help="for DVC and Snakemake, which need minutes")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--first-repeats", type=int, default=3, help="of first runs")
    parser.add_argument("--tools", default="onsager,ninja,dvc,snakemake")
    parser.add_argument("--folder", help="where the projects go [default: a temporary folder, removed]")
    parser.add_argument("--json", help="a file for every single measurement")
    parser.add_argument("--loop", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.loop:
        loop = object.__new__(Loop)
        loop.width = options.loop
        return loop.every_stage()
    names = options.tools.split(",")
    if not options.onsager or "onsager" not in names or set(names) - set(TOOLS):
        parser.error("give `--onsager PROGRAM`; `--tools` names onsager and any of ninja, dvc, snakemake")
    programs, versions = install([name for name in names if name != "onsager"])
    programs["onsager"] = os.path.realpath(options.onsager)
    measure.adopt_orphans()
    slow = [name for name in names if name in ("dvc", "snakemake")]
    fast = [name for name in names if name not in slow]
    sizes = [options.stages] + ([options.stages // 10] if options.stages >= 100_000 else [])
    results, found = {}, []
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="onsager-peers-") as folder:
        print(f"{measure.host(folder)}; {', '.join(f'{n} {v}' for n, v in versions.items())}. Medians of", end=" ")
        print(f"{options.repeats} rounds, {options.first_repeats} for the first run.\n")
        for total in sizes + ([options.slow_stages] if slow else []):
            chosen = fast + (slow if total == options.slow_stages else []) + ["loop"]
            where = Path(folder) / str(total)
            results[total] = series(chosen, total, programs, options.repeats, options.first_repeats, where)
            shutil.rmtree(where)
            print(table(results[total], total) + "\n", flush=True)
    for total in sizes:
        found += [(f"{total} stages: {what}", *rest) for what, *rest in verdicts(results[total], total)]
    if len(sizes) == 2:
        found += growth(results[sizes[1]], results[sizes[0]])
    print("| target | measured | at most | |\n| --- | --- | --- | --- |")
    for what, measured, limit, unit in found:
        print(f"| {what} | {measured:.2f} {unit} | {limit:g} {unit} | {'met' if measured <= limit else '**missed**'} |")
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except measure.Failed as failed:
        sys.exit(f"engine.py: {failed}")
