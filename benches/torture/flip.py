"""A byte of an object flips between two runs."""

import hashlib
import json
import os
import shutil
from collections import Counter

from project import SIZE, Violation
from scenarios import Scenario

LIST = b"onsager folder\n"


class Flip(Scenario):
    """Flips with a trace in the object's modification time are for the run to notice when it needs the bytes; those without
    one, as of a failing disk, only for `store verify`, which finds both and names them. What `store verify` found is executed again,
    with everything that was computed from it: nobody can tell whether that read the damage. What a run finds is executed again if its
    bytes are needed and the view has no copy of them; with a copy, either is right."""

    blow = "flips"

    def round(self):
        self.latest, self.edits = "first", 0
        if self.project.run() != 0:
            raise Violation("the first run failed")
        for _ in range(20):
            if self.counts["flips"] < self.blows:
                self.one()
        if self.project.run() != 0:
            raise Violation("the last run failed")
        self.check_end()
        shutil.rmtree(self.project.folder)

    def one(self):
        digest, task = self.random.choice(sorted(self.owners().items()))
        path = self.project.store / "objects" / digest[:2] / digest[2:]
        silent = self.random.random() < 0.5
        verified = silent or self.random.random() < 0.5
        removed, edited = self.random.random() < 0.5, self.random.random() < 0.3
        flip(path, self.random, silent)
        self.counts["flips"] += 1
        self.counts["without a trace"] += silent
        self.counts["found by verify before the run"] += verified
        about = f"a flip in object {digest[:12]} of {task} ({silent=}, {verified=}, view {removed=}, last stage {edited=})"
        if verified:
            self.verify_names(digest, task, about)
        must, may = set(), set()
        # With an edited last stage, what its earlier results held is needed no more.
        needed = not (edited and task.startswith("c"))
        if removed:
            stage, _, instance = task.rstrip("]").partition("[")
            shutil.rmtree(self.project.folder / "artifacts/torture" / stage / instance)
        if edited:
            self.edits += 1
            self.latest = f"edit-{self.edits}"
            must = {f"c[i={i}]" for i in range(SIZE)}
        if needed and verified:
            must |= {task} | readers(task)
        elif needed:
            (must if removed else may).add(task)
        self.run_executes(must, may, about)
        if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            # Nobody read the bytes, so nobody noticed.
            self.verify_names(digest, task, f"{about}, afterwards")
            self.counts["found by verify after the run"] += 1
            self.run_executes({task} | readers(task) if needed else set(), set(), f"{about}, then found")
        self.project.verify(clean=True)

    def verify_names(self, digest, task, about):
        told = self.project.verify(clean=False)
        if digest[:12] not in told or task not in told:
            raise Violation(f"{about}: `store verify` does not name it: {told.strip()}")

    def run_executes(self, must, may, about):
        before = len(self.project.journal_lines())
        if self.project.run("--set", f"last={self.latest}") != 0:
            raise Violation(f"{about}: the run after it failed")
        executed = Counter(self.project.started_since(before))
        more, less = sorted(set(executed) - must - may), sorted(must - set(executed))
        twice = [task for task, n in executed.items() if n > 1]
        self.counts["tasks executed"] += len(executed)
        if more or less or twice:
            raise Violation(f"{about}: executed too much {more[:5]}, too little {less[:5]}, twice {twice[:5]}")
        shown = self.project.view_digests()
        wrong = [p for p, digest in self.reference.items() if not p.startswith("c/") and shown.get(p) != digest]
        for i in range(SIZE):
            text = (self.project.folder / f"artifacts/torture/c/i={i}/all.txt").read_text()
            if text != f"{self.reference_text(i)}{self.latest} {i}\n":
                wrong.append(f"c/i={i}/all.txt")
        if wrong:
            raise Violation(f"{about}: the view shows a wrong {', '.join(wrong[:5])}")

    def reference_text(self, i):
        """What `c[i]` holds above its last line."""
        view = self.project.folder / "artifacts/torture"
        parts = [f"b/i={i}/parts/head", f"b/i={i}/parts/deep/tail", "a/i=0/text.txt"]
        return "".join((view / part).read_text() for part in parts)

    def owners(self):
        """digest → task, for every object of what the view shows; a folder has its list and its files."""
        owners = {}
        shown = set(self.project.view_digests().values())
        for path in self.project.store.glob("actions/*/*.json"):
            action = json.loads(path.read_text())
            for _, content in action["outputs"]:
                digest = content["digest"]
                if content["shape"] == "file":
                    if digest in shown:
                        owners[digest] = action["task"]
                    continue
                listed = (self.project.store / "objects" / digest[:2] / digest[2:]).read_bytes()
                owners[digest] = action["task"]
                for entry in json.loads(listed.removeprefix(LIST)):
                    owners[entry["digest"]] = action["task"]
        return owners


def readers(task):
    """Everything that is computed from the result of a task."""
    stage, _, i = task.rstrip("]").partition("[i=")
    last = range(SIZE) if (stage, i) == ("a", "0") else [i]
    return {"a": {f"b[i={i}]"} | {f"c[i={n}]" for n in last}, "b": {f"c[i={i}]"}, "c": set()}[stage]


def flip(path, generator, silent):
    """Changes one bit of a file in place; `silent` keeps its modification time."""
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
