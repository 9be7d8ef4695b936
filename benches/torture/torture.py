#!/usr/bin/env python3
"""Kills, full disks and flipped bytes, at random moments of a 300-task run with two invocations side by side.

    python3 benches/torture/torture.py --onsager target/release/onsager

Each scenario goes on after every blow until all tasks are done, checks, and starts over with a fresh store until there were
enough blows. Checked: a task that finished never starts again; nothing partial shows in the view; at the end the view has the
bytes of an undisturbed run, and `store verify` is clean. Exit code 1 on any violation; its folder is then kept.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from calls import Calls
from flip import Flip
from project import Project, Violation
from scenarios import FullDisk, Kill

SCENARIOS = {"kill": Kill, "disk": FullDisk, "flip": Flip, "calls": Calls}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onsager", default=shutil.which("onsager"), help="the program [default: from PATH]")
    parser.add_argument("--scenario", default="kill,disk,flip,calls")
    parser.add_argument("--blows", type=int, default=200, help="kills, full disks, flips")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", help="where it works [default: a temporary folder]")
    options = parser.parse_args()
    names = options.scenario.split(",")
    if not options.onsager or set(names) - set(SCENARIOS):
        parser.error("give `--onsager PROGRAM`; `--scenario` takes kill, disk, flip and calls")
    options.onsager = os.path.realpath(options.onsager)
    if "disk" in names and os.environ.get("TORTURE_UNSHARED") != "1":
        # The small disk is a tmpfs, seen by nobody else and gone with the script.
        os.environ["TORTURE_UNSHARED"] = "1"
        os.execvp("unshare", ["unshare", "-rm", sys.executable, os.path.abspath(__file__), *sys.argv[1:]])
    room = Path(tempfile.mkdtemp(prefix="onsager-torture-", dir=options.folder))
    print(f"seed {options.seed}, {options.blows} blows each", flush=True)
    (room / "reference").mkdir()
    undisturbed = Project(options.onsager, room / "reference", room / "reference.journal")
    start = time.monotonic()
    if undisturbed.run() != 0:
        sys.exit(f"the undisturbed run failed: see {room}/reference.log")
    seconds = time.monotonic() - start
    reference = undisturbed.view_digests()
    print(f"an undisturbed run: {len(reference)} files in {seconds:.1f} s", flush=True)
    good = True
    for name in names:
        place = room / name
        place.mkdir()
        if name == "disk":
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "torture", place], check=True)
        scenario = SCENARIOS[name](options, name, place, reference, seconds)
        try:
            scenario.play()
            good &= scenario.good
        except Violation as violation:
            counts = ", ".join(f"{n} {what}" for what, n in scenario.counts.items())
            kept = room / "evidence"
            shutil.copytree(scenario.project.folder, kept, symlinks=True, dirs_exist_ok=True)
            sys.exit(f"{name}: VIOLATION after {counts}: {violation}\nkept: {kept}, beside its journals and logs")
    if "disk" in names:
        subprocess.run(["umount", room / "disk"], check=True)
    shutil.rmtree(room)
    return good


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
