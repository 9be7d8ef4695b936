"""The pipeline that is tortured, and what its runs must never do to it."""

import hashlib
import json
import os
import subprocess
from collections import Counter

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


def write_project(folder, size):
    values = ", ".join(str(i) for i in range(size))
    sleep = "case ${matrix.i} in *[05]) sleep 0.005;; *3) sleep 0.03;; *7) sleep 0.015;; esac"
    (folder / "pipeline.yaml").write_text(PIPELINE % (values, sleep, values, sleep, values, sleep))
    (folder / "source.txt").write_text("".join(f"line {n} of the source\n" for n in range(1000)))


def view_digests(folder):
    """path → digest of every file in the view of the project in `folder`, temporary ones too."""
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

    env = os.environ

    def __init__(self, onsager, folder, journal, size=SIZE):
        self.onsager, self.folder, self.journal = onsager, folder, journal
        self.store = folder / "artifacts/.onsager"
        self.finished_at = {}
        write_project(folder, size)

    def start(self, *arguments, under=()):
        """An invocation in a process group of its own, perhaps as the argument of another program."""
        log = open(self.journal.with_suffix(".log"), "ab")
        command = [*under, self.onsager, "run", "pipeline.yaml", *arguments]
        env = self.env | {"JOURNAL": str(self.journal)}
        with log:
            return subprocess.Popen(command, cwd=self.folder, env=env, stdout=log, stderr=log, process_group=0)

    def run(self, *arguments, under=()):
        """An invocation's exit code."""
        return self.start(*arguments, under=under).wait()

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

    def view_digests(self):
        return view_digests(self.folder)

    def check_nothing_partial(self, reference):
        for path, digest in self.view_digests().items():
            if path in reference and digest != reference[path]:
                raise Violation(f"the view shows a wrong `{path}`")

    def check_end(self, reference):
        """Compares the view with that of an undisturbed run; returns the temporary files that killed runs left behind, as
        (in the view, in the store)."""
        shown = self.view_digests()
        stray = {path for path in shown if ".tmp" in path}
        different = {p for p in shown.keys() | reference.keys() if shown.get(p) != reference.get(p)} - stray
        if different:
            raise Violation(f"the view is not that of an undisturbed run: {', '.join(sorted(different)[:5])}")
        self.check_objects()
        litter = [str(p.relative_to(self.store)) for p in self.store.rglob("*.tmp")]
        litter += [f"work/{p.name}" for p in (self.store / "work").iterdir()]
        self.verify(clean=True)
        return sorted(stray), litter

    def check_objects(self):
        """That every object has the bytes of its name, whatever `store verify` says."""
        for path in self.store.glob("objects/*/*"):
            if ".tmp" not in path.name and hashlib.sha256(path.read_bytes()).hexdigest() != path.parent.name + path.name:
                raise Violation(f"object {path.parent.name}{path.name} holds other bytes")

    def verify(self, clean):
        """Runs `store verify`; returns what it printed."""
        ran = subprocess.run([self.onsager, "store", "verify"], cwd=self.folder, capture_output=True, text=True)
        if (ran.returncode == 0) != clean:
            told = (ran.stdout + ran.stderr).strip()
            raise Violation(f"`store verify` ended with {ran.returncode}, with the store {'sound' if clean else 'damaged'}: {told}")
        return ran.stdout + ran.stderr
