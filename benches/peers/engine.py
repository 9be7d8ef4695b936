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
import shutil
import sys
import tempfile
from pathlib import Path

import measure
from tools import LAYERS, TOOLS, Loop, install


def expect(tool, what, executed, wanted):
    if executed != wanted:
        raise measure.Failed(f"{tool.name}: {what} executed {executed} stages, not {wanted}")


def series(names, total, programs, repeats, first_repeats, folder):
    """Runs all tools on `total` stages, one after the other in every round. Returns figure → tool → list of values."""
    figures = {}

    def note(tool, what, measured):
        cpu, wall, orphans, executed = measured
        for key, value in (("cpu", cpu), ("wall", wall), ("left behind", orphans), ("executed", executed)):
            figures.setdefault(what, {}).setdefault(tool.name, {}).setdefault(key, []).append(value)
        print(f"{total} stages, {tool.name}: {what}: {cpu:.3f} s CPU, {wall:.3f} s, {executed} executed", file=sys.stderr)
        return executed

    def projects(of, name):
        """New ones; nothing is removed before the end, for many file systems are slow to make files after a removal."""
        return [TOOLS[tool](folder / name, total // LAYERS, programs, dict(os.environ)) for tool in of]

    for round in range(first_repeats):
        tools = projects(names, f"first-{round}")
        for tool in tools:
            expect(tool, "first run", note(tool, "first run", tool.run()), total)
            if not isinstance(tool, Loop):
                expect(tool, "no-op", note(tool, "no-op after the first run", tool.run()), 0)
    names = [name for name in names if name != Loop.name]
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
    for tool in projects(names, "memory"):
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
    options = parser.parse_args()
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
        for total in dict.fromkeys(sizes + ([options.slow_stages] if slow else [])):
            chosen = fast + (slow if total == options.slow_stages else []) + ["loop"]
            where = Path(folder) / str(total)
            results[total] = series(chosen, total, programs, options.repeats, options.first_repeats, where)
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
