"""What happens to the runs: kills, full disks, flipped bytes."""

import os
import random
import shutil
import signal
import sys
import time
from collections import Counter

from project import SIZE, Project, Violation


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
        self.check_end()
        shutil.rmtree(self.project.folder)

    def check_end(self):
        """What a killed run left in the view is a violation, though no reason to stop; in the store it is only untidy."""
        stray, litter = self.project.check_end(self.reference)
        self.counts["temporary files left in the view"] += len(stray)
        self.counts["left in the store"] += len(litter)
        if stray and self.counts["temporary files left in the view"] == len(stray):
            print(f"{self.name}: left in the view, for instance: {', '.join(stray[:3])}", file=sys.stderr)
        if litter and self.counts["left in the store"] == len(litter):
            print(f"{self.name}: left in the store, for instance: {', '.join(litter[:3])}", file=sys.stderr)

    def summary(self, elapsed):
        counts = ", ".join(f"{n} {what}" for what, n in self.counts.items())
        self.good = self.counts["temporary files left in the view"] == 0
        told = "no violation" if self.good else "VIOLATION: the view holds more than outputs"
        print(f"{self.name}: {counts}; store verify clean; {told}; {elapsed:.0f} s", flush=True)

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
            victims = self.random.choice([self.running[:1], self.running[1:], self.running[:]])
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
        if not self.all_done():
            # The last blow ended both.
            self.ended(self.project.run())
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
