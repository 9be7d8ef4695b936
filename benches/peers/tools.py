"""The same stages as a project of each tool."""

import os
import re
import shutil
import subprocess
import sys
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
    """A tool's project in its own folder; a subclass writes its file and reads its report."""

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

    def executed(self, text):
        return max((int(n) for n in re.findall(r"^\[(\d+)/\d+\]", text, re.M)), default=0)


class Dvc(Tool):
    name = "dvc"

    def write(self):
        self.env |= {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(self.folder / "site")}
        (self.folder / "out").mkdir()
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

    def executed(self, text):
        # The `all` rule is one of its jobs and executes nothing.
        return max((int(n) - 1 for n in re.findall(r"^\d+ of (\d+) steps", text, re.M)), default=0)


class Loop(Tool):
    """The floor: `sh -c 'cat parents > out'` for each stage, one after the other; this file with the width."""

    name = "loop"

    def write(self):
        (self.folder / "out").mkdir()

    def command(self):
        return [sys.executable, "-S", str(Path(__file__).resolve()), str(self.width)]

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


if __name__ == "__main__":
    loop = object.__new__(Loop)
    loop.width = int(sys.argv[1])
    loop.every_stage()
