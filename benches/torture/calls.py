"""A blow at every system call of a small run in turn: nothing is left to chance."""

import re
import shutil
import sys
from collections import Counter

from project import Project, Violation
from scenarios import Scenario

SMALL = 2
# What changes files; a kill anywhere between two of them leaves the same files behind as one at the second.
CHANGES = "write,pwrite64,ftruncate,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat," \
    "fsync,fdatasync,chmod,fchmod,fchmodat,copy_file_range,ioctl,flock,utimensat"
FULL = "write,pwrite64,ftruncate,rename,link,symlink,mkdir,copy_file_range,fdatasync,fsync"
# (what is injected, into which calls, whether into the children of the first process too)
BLOWS = [
    ("signal=KILL", CHANGES, False),
    ("signal=KILL", CHANGES, True),
    ("error=ENOSPC", FULL, False),
    ("error=ENOSPC", FULL, True),
    ("error=EIO", "fsync,fdatasync,unlink,rename,flock,mkdir,copy_file_range,chmod", False),
]


class Calls(Scenario):
    """The n-th call of a kind is struck, for every kind and n = 1, 2, 3 …, in the coordinator or in every process and thread
    that has so many; then a run goes on in peace."""

    blow = "struck runs"

    def play(self):
        undisturbed = self.project_at("reference")
        if undisturbed.run() != 0:
            raise Violation("the undisturbed run failed")
        self.reference = undisturbed.view_digests()
        super().play()

    def project_at(self, name):
        folder = self.room / name
        folder.mkdir()
        self.project = Project(self.onsager, folder, self.room.parent / f"calls-{name}.journal", SMALL)
        return self.project

    def fresh(self):
        self.blows = 0  # One round is all of them.

    def round(self):
        counted = {(calls, family): self.calls_of_a_run(calls, family) for _, calls, family in BLOWS}
        total = sum(sum(counted[calls, family].values()) for _, calls, family in BLOWS)
        for blow, calls, family in BLOWS:
            about = f"{blow}{' in all processes' if family else ''}"
            for call, count in counted[calls, family].items():
                print(f"calls: {self.counts['struck runs']} of {total} runs struck; {about} at {call}", file=sys.stderr, flush=True)
                for number in range(1, count + 1):
                    self.counts[about] += self.one(blow, call, family, number)
                    self.counts["struck runs"] += 1

    def calls_of_a_run(self, calls, family):
        """How many of each system call the busiest process of an undisturbed run makes."""
        project = self.project_at("counted")
        trace = project.journal.with_suffix(".trace")
        project.run(under=["strace", *(["-f"] if family else []), "-o", str(trace), "-e", f"trace={calls}"])
        found = Counter(re.findall(r"^(?:(\d+) +)?(\w+)\(", trace.read_text(errors="replace"), re.M))
        shutil.rmtree(project.folder)
        most = {}
        for (_, call), count in sorted(found.items()):
            most[call] = max(count, most.get(call, 0))
        return most

    def one(self, blow, call, family, number):
        project = self.project_at(f"{re.sub('[^A-Z]', '', blow)}-{int(family)}-{call}-{number}")
        trace = project.journal.with_suffix(".trace")
        inject = ["strace", "-o", str(trace), "-e", f"trace={call}", "-e", f"inject={call}:{blow}:when={number}"]
        code = project.run(under=[*inject, "-f"] if family else inject)
        told = trace.read_text(errors="replace")
        about = f"{blow} at {call} {number} ({'all processes' if family else 'the coordinator'})"
        if code in (101, 134, -6, -11):
            raise Violation(f"{about}: the run ended with {code}: see {trace}")
        project.note_finished()
        project.check_nothing_partial(self.reference)
        if project.run() != 0:
            raise Violation(f"{about}: the next run failed: see {project.journal.with_suffix('.log')}")
        project.check_no_repetition()
        try:
            self.check_end()
        except Violation as violation:
            raise Violation(f"{about}: {violation}") from violation
        shutil.rmtree(project.folder)
        trace.unlink()
        return "(INJECTED)" in told or "killed by SIGKILL" in told
