#!/usr/bin/env python3
"""Kills, full disks and flipped bytes, at random moments of a 300-task run with two invocations side by side.

    python3 benches/torture.py --onsager target/release/onsager

Each scenario goes on after every blow until all tasks are done, checks, and starts over with a fresh store until there were
enough blows. Checked: a task that finished never starts again; nothing partial shows in the view; at the end the view has the
bytes of an undisturbed run, and `store verify` is clean. Exit code 1 on any violation; its folder is then kept.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

SIZE = 100
# What a shell can do in little time, with content of its own for every task; the journal tells what started and what ended.
PIPELINE = """\
name: torture
params: {last: first}
stages:
  a:
    kind: command
    matrix: {i: [%s]}
    inputs: {source: {file: source.txt}}
    run: |
      echo "start a ${matrix.i}" >> "$JOURNAL"
      %s
      sed 's/^/a ${matrix.i} /' ${inputs.source} > ${outputs.text}
      echo "end a ${matrix.i}" >> "$JOURNAL"
    outputs: {text: text.txt}
  b:
    kind: command
    matrix: {i: [%s]}
    inputs: {up: "a[matching]"}
    run: |
      echo "start b ${matrix.i}" >> "$JOURNAL"
      mkdir -p ${outputs.parts}/deep
      head -n 100 ${inputs.up} | sed 's/^/b /' > ${outputs.parts}/head
      %s
      tail -n 100 ${inputs.up} | sed 's/^/b /' > ${outputs.parts}/deep/tail
      echo "end b ${matrix.i}" >> "$JOURNAL"
    outputs: {parts: parts/}
  c:
    kind: command
    matrix: {i: [%s]}
    inputs: {up: "b[matching]", first: "a[i=0]"}
    run: |
      echo "start c ${matrix.i}" >> "$JOURNAL"
      %s
      cat ${inputs.up}/head ${inputs.up}/deep/tail ${inputs.first} > ${outputs.all}
      echo "${params.last} ${matrix.i}" >> ${outputs.all}
      echo "end c ${matrix.i}" >> "$JOURNAL"
    outputs: {all: all.txt}
"""


class Violation(Exception):
    """A promise that was broken."""


def write_project(folder):
    values = ", ".join(str(i) for i in range(SIZE))
    sleep = "case ${matrix.i} in *[05]) sleep 0.005;; *3) sleep 0.03;; *7) sleep 0.015;; esac"
    (folder / "pipeline.yaml").write_text(PIPELINE % (values, sleep, values, sleep, values, sleep))
    (folder / "source.txt").write_text("".join(f"line {n} of the source\n" for n in range(1000)))


def view_digests(folder):
    """path → digest of every file in the view, hidden and temporary ones too."""
    view = folder / "artifacts/torture"
    digests = {}
    for path in sorted(view.rglob("*")):
        try:
            if path.is_file():
                digests[str(path.relative_to(view))] = hashlib.sha256(path.read_bytes()).hexdigest()
        except FileNotFoundError:
            pass  # The other run has just renamed it.
    return digests


class Project:
    """A project and everything that its runs left behind."""

    def __init__(self, onsager, folder, journal):
        self.onsager, self.folder, self.journal = onsager, folder, journal
        self.store = folder / "artifacts/.onsager"
        self.finished_at = {}
        write_project(folder)

    def start(self, *arguments):
        """An invocation in a process group of its own."""
        log = open(self.journal.with_suffix(".log"), "ab")
        command = [self.onsager, "run", "pipeline.yaml", *arguments]
        env = os.environ | {"JOURNAL": str(self.journal)}
        with log:
            return subprocess.Popen(command, cwd=self.folder, env=env, stdout=log, stderr=log, process_group=0)

    def run(self, *arguments):
        """An undisturbed invocation's exit code."""
        return self.start(*arguments).wait()

    def journal_lines(self):
        return self.journal.read_text().splitlines() if self.journal.exists() else []

    def events(self, name):
        for path in sorted(self.store.glob("runs/*.jsonl")):
            for line in path.read_text(errors="replace").splitlines():
                try:
                    event = json.loads(line)
                except ValueError:
                    continue  # A torn line.
                if event.get("event") == name:
                    yield event

    def finished(self):
        """The tasks whose results count: a finished event, or an action record."""
        done = {event["task"] for event in self.events("task-finished")}
        for path in self.store.glob("actions/*/*.json"):
            try:
                done.add(json.loads(path.read_text())["task"])
            except (ValueError, FileNotFoundError):
                pass
        return done

    def started_since(self, line):
        lines = [line.split() for line in self.journal_lines()[line:]]
        return [f"{stage}[i={i}]" for what, stage, i in lines if what == "start"]

    def note_finished(self):
        """Remembers how far the journal was when a task was first seen to be finished."""
        done = self.finished()
        position = len(self.journal_lines())
        for task in done:
            self.finished_at.setdefault(task, position)

    def check_no_repetition(self):
        for task, position in self.finished_at.items():
            if task in self.started_since(position):
                raise Violation(f"{task} had finished and started again (journal line {position} on)")
        twice = [t for t, n in Counter(e["task"] for e in self.events("task-finished")).items() if n > 1]
        if twice:
            raise Violation(f"finished twice, by the runs' records: {', '.join(twice)}")

    def check_nothing_partial(self, reference):
        for path, digest in view_digests(self.folder).items():
            if path in reference and digest != reference[path]:
                raise Violation(f"the view shows a wrong `{path}`")

    def check_end(self, reference):
        shown = view_digests(self.folder)
        if shown != reference:
            different = {p for p in shown.keys() | reference.keys() if shown.get(p) != reference.get(p)}
            raise Violation(f"the view is not that of an undisturbed run: {', '.join(sorted(different)[:5])}")
        litter = [str(p.relative_to(self.store)) for p in self.store.rglob("*.tmp")] + [
            f"work/{p.name}" for p in (self.store / "work").iterdir()
        ]
        self.verify(clean=True)
        return litter

    def can_verify(self):
        return subprocess.run([self.onsager, "store", "--help"], capture_output=True).returncode == 0

    def verify(self, clean):
        """Runs `store verify` where there is one; returns what it printed."""
        if not self.can_verify():
            return None
        ran = subprocess.run([self.onsager, "store", "verify"], cwd=self.folder, capture_output=True, text=True)
        if (ran.returncode == 0) != clean:
            told = (ran.stdout + ran.stderr).strip()
            raise Violation(f"`store verify` ended with {ran.returncode}, with the store {'sound' if clean else 'damaged'}: {told}")
        return ran.stdout + ran.stderr


class Scenario:
    """Rounds of blows against fresh stores."""

    def __init__(self, options, name, room, reference, seconds):
        self.onsager, self.blows, self.name, self.reference = options.onsager, options.blows, name, reference
        self.room, self.seconds = room, seconds
        self.random = random.Random(f"{options.seed} {name}")
        self.counts = Counter()

    def fresh(self):
        self.counts["rounds"] += 1
        folder = self.room / f"{self.name}-{self.counts['rounds']}"
        folder.mkdir()
        self.project = Project(self.onsager, folder, self.room.parent / f"{self.name}-{self.counts['rounds']}.journal")

    def all_done(self):
        return len(self.project.finished()) == 3 * SIZE

    def end_round(self):
        """All tasks are done: one more run, which may execute nothing, and the checks."""
        self.project.note_finished()
        before = len(self.project.journal_lines())
        if self.project.run() != 0:
            raise Violation("the last run failed")
        if again := self.project.started_since(before):
            raise Violation(f"the last run executed {', '.join(again[:5])}")
        self.project.check_no_repetition()
        litter = self.project.check_end(self.reference)
        self.counts["stray files"] += len(litter)
        if litter:
            print(f"{self.name}: left behind: {', '.join(litter[:5])}", file=sys.stderr)
        shutil.rmtree(self.project.folder)

    def summary(self, elapsed):
        counts = ", ".join(f"{n} {what}" for what, n in self.counts.items())
        verified = "store verify clean" if self.project.can_verify() else "no `store verify` in this program"
        print(f"{self.name}: {counts}; {verified}; no violation; {elapsed:.0f} s", flush=True)

    def play(self):
        start = time.monotonic()
        while self.counts[self.blow] < self.blows:
            self.fresh()
            try:
                self.round()
            finally:
                self.stop()
        self.summary(time.monotonic() - start)

    def stop(self):
        for run in getattr(self, "running", []):
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
        self.running = []

    def keep_two(self):
        """Two invocations at work; one that ended by itself is told apart by `self.ended`."""
        for run in [run for run in self.running if run.poll() is not None]:
            self.running.remove(run)
            self.ended(run.returncode)
        while len(self.running) < 2:
            self.running.append(self.project.start())


class Kill(Scenario):
    blow = "kills"

    def ended(self, code):
        if code != 0:
            raise Violation(f"a run that was not killed ended with {code}")

    def round(self):
        self.running = []
        while not self.all_done() and self.counts[self.blow] < self.blows:
            self.keep_two()
            time.sleep(self.random.uniform(0, 0.25 * self.seconds))
            victims = self.random.choice([self.running[:1], self.running[1:], self.running])
            struck = 0
            for run in victims:
                # The whole group at once, or the coordinator alone: its workers have to follow by themselves.
                kill = self.random.choice([os.killpg, os.kill])
                if run.poll() is None:
                    kill(run.pid, signal.SIGKILL)
                    run.wait()
                    self.running.remove(run)
                    struck += 1
            self.counts["kills"] += struck > 0
            self.counts["killed invocations"] += struck
            self.project.note_finished()
            self.project.check_no_repetition()
            self.project.check_nothing_partial(self.reference)
        while self.running:
            self.ended(self.running.pop().wait())
        self.end_round()


class FullDisk(Scenario):
    blow = "full disks"

    def ended(self, code):
        # 1 is a task that failed for want of space, 2 a store that could not be opened.
        if code not in (0, 1, 2):
            raise Violation(f"on a full disk a run ended with {code}")
        self.counts[f"runs that ended with {code}"] += 1

    def round(self):
        self.running = []
        balloon = self.room / "balloon"
        while not self.all_done() and self.counts[self.blow] < self.blows:
            self.keep_two()
            time.sleep(self.random.uniform(0, 0.15 * self.seconds))
            fill(balloon)
            self.counts["full disks"] += 1
            until = time.monotonic() + self.random.uniform(0, 0.3)
            while time.monotonic() < until:
                time.sleep(0.01)
                fill(balloon)  # What a run freed meanwhile is taken too.
                if self.random.random() < 0.2:
                    self.keep_two()
            balloon.unlink()
            self.project.note_finished()
            self.project.check_no_repetition()
            self.project.check_nothing_partial(self.reference)
        while self.running:
            self.ended(self.running.pop().wait())
        if not self.all_done() and self.project.run() != 0:
            raise Violation("a run with free space failed")
        self.end_round()


def fill(path):
    """Appends to a file until not one byte fits any more."""
    size = 1 << 20
    with open(path, "ab", buffering=0) as file:
        while size:
            try:
                if file.write(bytes(size)) == size:
                    continue
            except OSError:
                pass
            size //= 2


class Flip(Scenario):
    """A byte of an object flips between two runs, with or without a trace in its time stamps."""

    blow = "flips"

    def round(self):
        if self.project.run() != 0:
            raise Violation("the first run failed")
        objects = self.owners()
        latest, edits = "first", 0
        for _ in range(20):
            if self.counts[self.blow] >= self.blows:
                break
            digest = self.random.choice(sorted(objects))
            task = objects[digest]
            path = self.project.store / "objects" / digest[:2] / digest[2:]
            if not path.exists():
                raise Violation(f"object {digest} of {task} is missing")
            silent = self.random.random() < 0.5
            flip(path, self.random, silent)
            self.counts["flips"] += 1
            self.counts["flips without a trace"] += silent
            verified = self.project.can_verify() and (silent or self.random.random() < 0.5)
            if verified:
                told = self.project.verify(clean=False)
                if digest[:12] not in told or task not in told:
                    raise Violation(f"`store verify` does not name {digest[:12]} or {task}: {told}")
            elif silent:
                flip_back = path.read_bytes()  # Nothing can notice it: no time stamp tells, nobody rehashes.
                if hashlib.sha256(flip_back).hexdigest() == digest:
                    raise Violation("the flip did not change the object")
            before = len(self.project.journal_lines())
            # What needs the bytes: a view without the task's outputs, or all of the last stage.
            need = self.random.choice(["view", "view", "last stage", "nothing"])
            arguments, wanted = [], {task} if verified or need == "view" else set()
            if need == "view":
                shutil.rmtree(self.project.folder / "artifacts/torture" / task.partition("[")[0] / task[task.index("["):].strip("[]"))
            elif need == "last stage":
                edits += 1
                latest = f"edit-{edits}-{self.counts['rounds']}"
                wanted |= {f"c[i={i}]" for i in range(SIZE)}
                # Of the earlier stages it reads all of `b`, and `a[i=0]`.
                if task.startswith("b") or task == "a[i=0]":
                    wanted |= {task}
                elif task.startswith("c") and not verified:
                    wanted |= set()
            arguments = ["--set", f"last={latest}"]
            if self.project.run(*arguments) != 0:
                raise Violation(f"the run after a flip in {task} failed ({need} needed)")
            executed = Counter(self.project.started_since(before))
            if set(executed) != wanted or max(executed.values(), default=1) > 1:
                more, less = sorted(set(executed) - wanted), sorted(wanted - set(executed))
                kind = "silent" if silent else "with a trace"
                raise Violation(
                    f"a flip ({kind}) in {task}, {'found by verify' if verified else 'not verified'}, {need} needed: "
                    f"executed too much: {more[:5]}, too little: {less[:5]}"
                )
            self.check_view(latest)
            if need == "nothing" and not verified:
                path.unlink(missing_ok=True)  # Nobody needed it; the next flips start from a sound store.
                self.project.run("--set", f"last={latest}", "--force", task)
            if latest != "first":
                objects = self.owners()
            self.project.verify(clean=True)
        self.counts["edits of the last stage"] += edits
        if self.project.run() != 0:
            raise Violation("the last run failed")
        self.project.check_end(self.reference)
        shutil.rmtree(self.project.folder)

    def owners(self):
        """digest → task, for every object that exactly one task of the view's outputs has."""
        owners = {}
        for path in self.project.store.glob("actions/*/*.json"):
            action = json.loads(path.read_text())
            if (digest := action["outputs"][0][1]["digest"]) and (self.project.store / "objects" / digest[:2] / digest[2:]).exists():
                owners[digest] = action["task"]
        shown = {hashlib.sha256(p.read_bytes()).hexdigest() for p in (self.project.folder / "artifacts/torture").rglob("*.txt")}
        return {digest: task for digest, task in owners.items() if task.startswith("b") or digest in shown}

    def check_view(self, latest):
        for path, digest in view_digests(self.project.folder).items():
            if path.startswith("c/"):
                continue
            if self.reference.get(path) != digest:
                raise Violation(f"the view shows a wrong `{path}`")
        for i in range(SIZE):
            text = (self.project.folder / f"artifacts/torture/c/i={i}/all.txt").read_text()
            if not text.endswith(f"{latest} {i}\n"):
                raise Violation(f"the view shows an old `c[i={i}]`")


def flip(path, generator, silent):
    """Changes one byte of a file in place; `silent` keeps its modification time, as a failing disk would."""
    data = path.stat()
    os.chmod(path, 0o644)
    at = generator.randrange(data.st_size)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ (1 << generator.randrange(8))]))
    os.chmod(path, data.st_mode & 0o777)
    if silent:
        os.utime(path, ns=(data.st_atime_ns, data.st_mtime_ns))


SCENARIOS = {"kill": Kill, "disk": FullDisk, "flip": Flip}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onsager", default=shutil.which("onsager"), help="the program [default: from PATH]")
    parser.add_argument("--scenario", default="kill,disk,flip")
    parser.add_argument("--blows", type=int, default=200, help="kills, full disks, flips")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", help="where it works [default: a temporary folder]")
    options = parser.parse_args()
    names = options.scenario.split(",")
    if not options.onsager or set(names) - set(SCENARIOS):
        parser.error("give `--onsager PROGRAM`; `--scenario` takes kill, disk and flip")
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
    reference = view_digests(undisturbed.folder)
    print(f"an undisturbed run: {len(reference)} files in {seconds:.1f} s", flush=True)
    for name in names:
        place = room / name
        place.mkdir()
        if name == "disk":
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "torture", place], check=True)
        scenario = SCENARIOS[name](options, name, place, reference, seconds)
        try:
            scenario.play()
        except Violation as violation:
            counts = ", ".join(f"{n} {what}" for what, n in scenario.counts.items())
            kept = room / "evidence"
            shutil.copytree(scenario.project.folder, kept, symlinks=True, dirs_exist_ok=True)
            sys.exit(f"{name}: VIOLATION after {counts}: {violation}\nkept: {kept}, beside its journals and logs")
    if "disk" in names:
        subprocess.run(["umount", room / "disk"], check=True)
    shutil.rmtree(room)


if __name__ == "__main__":
    main()
