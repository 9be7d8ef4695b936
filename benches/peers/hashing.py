#!/usr/bin/env python3
"""A 2 GiB input beside `openssl dgst -sha256`, and how often a 2 GiB input and output are read.

    python3 benches/peers/hashing.py --onsager target/release/onsager

CPU time: `onsager run` of a pipeline whose only stage asks for the input's size, with a fresh store, against openssl on
the same file, interleaved. Reads: what `strace` counts on the files of that size, `mmap` among them. See README.md.
"""

import argparse
import os
import random
import re
import shutil
import sys
import tempfile
from pathlib import Path

import measure

INPUT = """\
name: size
stages:
  size:
    kind: command
    inputs: {big: {file: big.bin}}
    run: stat -L -c %s ${inputs.big} > ${outputs.size}
    outputs: {size: size.txt}
"""
OUTPUT = """\
name: write
stages:
  write:
    kind: command
    run: head -c SIZE /dev/zero > ${outputs.big}
    outputs: {big: big.out}
"""
READS = "read,pread64,readv,preadv,preadv2,mmap,copy_file_range,sendfile,splice"
MOVES = "rename,renameat,renameat2,link,linkat,ioctl"


def make_input(path, size, seed):
    """Bytes of a seeded generator: 1 MiB of noise, its number before every repetition."""
    block = random.Random(seed).randbytes((1 << 20) - 8)
    with open(path, "wb") as file:
        for number in range(size >> 20):
            file.write(number.to_bytes(8, "little") + block)
        file.flush()
        os.fsync(file.fileno())


def timed(onsager, folder, repeats):
    """CPU and wall seconds of both, interleaved: tool → list."""
    found = {"onsager run": [], "openssl dgst -sha256": []}
    commands = {"onsager run": [onsager, "run", "size.yaml"], "openssl dgst -sha256": ["openssl", "dgst", "-sha256", "big.bin"]}
    for _ in range(repeats):
        for name, command in commands.items():
            os.utime(folder / "big.bin")
            shutil.rmtree(folder / "artifacts", ignore_errors=True)
            cpu, wall, _ = measure.run(command, folder, os.environ, folder / "output")
            found[name].append((cpu, wall))
            print(f"{name}: {cpu:.3f} s CPU, {wall:.3f} s", file=sys.stderr)
    return found


def traced(onsager, folder, pipeline):
    """The system calls of a run on the files whose path has `big.` or is an object's, as lines of strace."""
    trace = folder / "trace"
    command = ["strace", "-f", "-y", "-s", "0", "-e", f"trace={READS},{MOVES}", "-o", str(trace), onsager, "run", pipeline]
    measure.run(command, folder, os.environ, folder / "output")
    return join_lines(trace.read_text(errors="replace").splitlines())


def join_lines(lines):
    """Puts the two halves of interrupted calls together."""
    waiting, whole = {}, []
    for line in lines:
        pid, _, rest = line.partition(" ")
        rest = rest.lstrip()
        if rest.endswith("<unfinished ...>"):
            waiting[pid] = rest.removesuffix("<unfinished ...>")
        elif resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", rest):
            whole.append(waiting.pop(pid, "") + resumed[1])
        else:
            whole.append(rest)
    return whole


def reads(lines, size, within):
    """Bytes read through each system call from files below `within` (mapped bytes count as read)."""
    found = {}
    for line in lines:
        call = line.partition("(")[0]
        if call not in READS.split(","):
            continue
        paths = re.findall(r"\d<(/[^>]*)>", line.rpartition(" = ")[0])
        # copy_file_range names the source first, sendfile the target.
        source = paths[-1] if call == "sendfile" and paths else paths[0] if paths else ""
        amount = re.search(r"mmap\(\w+, (\d+)", line) if call == "mmap" else re.search(r" = (\d+)", line)
        if not (source.startswith(str(within)) and amount):
            continue
        kind = "store" if "/.onsager/objects/" in source else "work" if "/.onsager/work/" in source else "input"
        if kind == "input" and not source.endswith("big.bin"):
            continue
        found[kind, call] = found.get((kind, call), 0) + int(amount[1])
    return {key: n for key, n in found.items() if n >= size // 100}


def check(ok, what):
    print(f"| {what} | {'yes' if ok else '**no**'} |")
    return ok


def times(found, size):
    """`{('work', 'read'): bytes}` as text, in multiples of the file's size."""
    return ", ".join(f"{n / size:.2f} × by {call} of the {kind} file" for (kind, call), n in found.items()) or "nothing"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onsager", default=shutil.which("onsager"), help="the program [default: from PATH]")
    parser.add_argument("--mib", type=int, default=2048, help="size of the file")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", help="where the project goes [default: a temporary folder, removed]")
    options = parser.parse_args()
    for program in (options.onsager, "openssl", "strace"):
        if not program or not shutil.which(program):
            parser.error(f"`{program or 'onsager'}` is not there: install it, or give `--onsager PROGRAM`")
    onsager, size = os.path.realpath(options.onsager), options.mib << 20
    measure.adopt_orphans()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="onsager-hashing-") as name:
        folder = Path(os.path.realpath(name))
        (folder / "size.yaml").write_text(INPUT)
        (folder / "write.yaml").write_text(OUTPUT.replace("SIZE", str(size)))
        make_input(folder / "big.bin", size, options.seed)
        print(f"{measure.host(folder)}; {options.mib} MiB, seed {options.seed}, medians of {options.repeats}.\n")
        measured = timed(onsager, folder, options.repeats)
        medians = {tool: [measure.median(column) for column in zip(*values)] for tool, values in measured.items()}
        print("| | CPU, s | wall, s | GB/s of CPU |\n| --- | --- | --- | --- |")
        for tool, (cpu, wall) in medians.items():
            print(f"| {tool} | {cpu:.3f} | {wall:.3f} | {size / cpu / 1e9:.2f} |")
        print("\n| check | |\n| --- | --- |")
        ratio = medians["onsager run"][0] / medians["openssl dgst -sha256"][0]
        good = check(ratio <= 1.1, f"CPU against openssl: {ratio:.3f} ×, at most 1.1 ×")

        shutil.rmtree(folder / "artifacts", ignore_errors=True)
        found = reads(traced(onsager, folder, "size.yaml"), size, folder)
        good &= check(0.99 <= sum(found.values()) / size <= 1.01, f"the first run reads the input once: {times(found, size)}")
        found = reads(traced(onsager, folder, "size.yaml"), size, folder)
        good &= check(not found, f"the next run reads nothing of it: {times(found, size)}")
        (folder / "big.bin").unlink()

        lines = traced(onsager, folder, "write.yaml")
        found = reads(lines, size, folder)
        worked = sum(n for (kind, _), n in found.items() if kind == "work")
        good &= check(0.99 <= worked / size <= 1.01, f"a stage's output is read once, then stored: {times(found, size)}")
        moved = [line for line in lines if line.startswith("rename") and re.search(r'/work/.*"/?.*/objects/', line)]
        good &= check(bool(moved), f"it moves into the store by rename: {len(moved)} rename from work/ to objects/")
        cloned = [line for line in lines if "FICLONE" in line]
        linked = any(line.endswith("= 0") for line in cloned)
        print("\nThe view got", "a reflink of it." if linked else "a copy of it: the file system has no reflinks.")
    return good


if __name__ == "__main__":
    try:
        sys.exit(0 if main() else 1)
    except measure.Failed as failed:
        sys.exit(f"hashing.py: {failed}")
