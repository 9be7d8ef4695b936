#!/usr/bin/env python3
"""Blows at random moments of a run on a Slurm of two nodes: nothing may be lost, and no finished result be computed twice.

    python3 benches/torture/cluster.py --onsager target/release/onsager

Struck are pilots, workers, steps, nodes, Slurm's controller and the coordinator; jobs are requeued and preempted; and a job may
take one minute only. What was killed comes back after a while; the coordinator by the same command. At the end the view has the
bytes of a local run, `store verify` is clean, another run executes nothing, and no process and no job is left. Needs root, Slurm
(see benches/cluster/slurm.py) and a program with the feature `science`. Exit code 1 on any violation; its folder is then kept.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cluster"))

import slurm
from project import Project, Violation, view_digests

# `slow` goes on from its own checkpoint, `walk` from the runner's.
PIPELINE = """\
name: torture
stages:
  quick:
    kind: command
    matrix: {i: [%(quick)s]}
    inputs: {source: {file: source.txt}}
    run: |
      echo "start quick ${matrix.i}" >> "$JOURNAL"
      sleep 0.$((${matrix.i} %% 7 + 2))
      sed 's/^/quick ${matrix.i} /' ${inputs.source} > ${outputs.text}
      echo "end quick ${matrix.i}" >> "$JOURNAL"
    outputs: {text: text.txt}
    resources: {retries: {times: 50, wait: 1s, factor: 1}}
  slow:
    kind: command
    matrix: {i: [%(slow)s]}
    inputs: {up: "quick[matching]"}
    run: |
      echo "start slow ${matrix.i}" >> "$JOURNAL"
      mkdir -p ${checkpoint}
      for step in $(seq 1 24); do
        if [ ! -e ${checkpoint}/"$step" ]; then
          sleep 0.5
          { sed "s/^/step $step /" ${inputs.up} | sha256sum; } > ${checkpoint}/new
          mv ${checkpoint}/new ${checkpoint}/"$step"
        elif [ "$step" = 1 ]; then
          echo "resumed slow ${matrix.i}" >> "$JOURNAL"
        fi
      done
      mkdir -p ${outputs.parts}
      for step in $(seq 1 24); do cp ${checkpoint}/"$step" ${outputs.parts}/"$step"; done
      echo "end slow ${matrix.i}" >> "$JOURNAL"
    outputs: {parts: parts/}
    checkpoint: state/
    resources: {retries: {times: 50, wait: 1s, factor: 1}}
  walk:
    kind: random-motion
    matrix: {i: [%(walk)s]}
    params: {seed: "${matrix.i}", particles: 100000000, tubes: 20, estimators: [counting]}
    resources: {retries: {times: 50, wait: 1s, factor: 1}}
  all:
    kind: command
    inputs: {slow: slow, walk: walk.paths}
    run: |
      find ${inputs.slow} -type f -exec cat {} + | sort > ${outputs.all}
      cat ${inputs.walk} | sha256sum >> ${outputs.all}
    outputs: {all: all.txt}
    resources: {retries: {times: 50, wait: 1s, factor: 1}}
"""
# A job's minute is over 15 s after it has asked its tasks to stop.
PROFILE = """\
[on.cluster]
engine = "slurm"
jobs = 6
memory = "300MiB"
time = "1m"
drain = "15s"
idle = "10s"
poll = "5s"
"""
QUICK, SLOW, WALK = 260, 210, 10
# How long a blow may take to heal, and the whole campaign at its end.
LONGEST = 1200


class OnCluster(Project):
    """A project on the cluster, and everything that its pilots ever said."""

    def __init__(self, onsager, folder, journal, env):
        super().__init__(onsager, folder, journal)
        self.env = env
        values = {name: ", ".join(map(str, range(n))) for name, n in [("quick", QUICK), ("slow", SLOW), ("walk", WALK)]}
        (folder / "pipeline.yaml").write_text(PIPELINE % values)
        (folder / "onsager.toml").write_text(PROFILE)
        self.told = {}
        self.watching = threading.Event()

    def watch(self):
        """Notes what is in the mailboxes, until they are removed at the end of a run; a file never changes."""
        self.watching.set()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while self.watching.is_set():
            try:
                for path in self.store.glob("pilots/*/*/*/*.json"):
                    if path not in self.told:
                        self.told[path] = json.loads(path.read_text())
            except (ValueError, OSError):
                pass  # It is gone, or the next look will find it whole.
            time.sleep(0.1)

    def computed(self):
        """task → the pilots that finished it, each with its attempt and when; a task has one key in a campaign."""
        tasks, done = {}, {}
        for path, messages in sorted(self.told.items()):
            for message in messages:
                if isinstance(message, dict) and "assign" in message:
                    assignment = message["assign"]["assignment"]
                    tasks[message["assign"]["run"], assignment["number"]] = assignment["task"]
        for path, messages in sorted(self.told.items()):
            for said in (message.get("said") for message in messages if isinstance(message, dict)):
                ended = said["message"].get("ended") if said and isinstance(said["message"], dict) else None
                if isinstance(ended, dict) and "done" in ended:
                    attempt = said["attempt"]["run"], said["attempt"]["number"]
                    done.setdefault(tasks[attempt], []).append((path.parent.parent.name, attempt))
        return done

    def check_computed_once(self):
        twice = {task: where for task, where in self.computed().items() if len(where) > 1}
        if twice:
            task, where = sorted(twice.items())[0]
            raise Violation(f"{len(twice)} tasks were finished twice, for instance {task}: {where}")


class Campaign:
    """One run of the pipeline, by as many coordinators as it takes, under blows."""

    def __init__(self, options, room, cluster, reference):
        self.options, self.cluster, self.reference = options, cluster, reference
        self.random = random.Random(options.seed)
        self.counts = Counter()
        self.project = OnCluster(options.onsager, room, room.parent / "campaign.journal", cluster.env)
        self.later = []
        self.coordinator = None
        self.blows = [self.pilot, self.worker, self.step, self.node, self.node_and_steps, self.controller,
                      self.kill_coordinator, self.end_coordinator, self.requeue, self.preempt]

    def play(self):
        self.project.watch()
        try:
            while sum(self.counts.values()) < self.options.blows:
                self.keep()
                if self.coordinator is None:
                    raise Violation(f"all was done after {self.told()}: give more tasks or fewer blows")
                time.sleep(self.random.uniform(0, self.options.pause))
                blow = self.random.choice(self.blows)
                if blow():
                    self.counts[blow.__name__.replace("_", " ")] += 1
                    print(f"{time.strftime('%T')} {blow.__name__}", file=sys.stderr, flush=True)
                self.heal()
                self.project.note_finished()
                self.project.check_no_repetition()
                self.project.check_computed_once()
            self.end()
        finally:
            self.project.watching.clear()
            if self.coordinator:
                self.coordinator.kill()

    def keep(self):
        """Sees to it that there is a coordinator, unless all is done."""
        if self.coordinator is None:
            self.coordinator = self.project.start("--on", "cluster")
        elif self.coordinator.poll() is not None:
            code, self.coordinator = self.coordinator.returncode, None
            if code != 0:
                raise Violation(f"a run that was not struck ended with {code}")

    def heal(self, at_once=False):
        """Brings back what was killed, when its time has come."""
        for entry in list(self.later):
            if at_once or time.monotonic() >= entry[0]:
                self.later.remove(entry)
                self.cluster.act(*entry[1])
        # A controller that was killed may think that a node is faulty; somebody looks after that.
        self.cluster.command("scontrol", "update", "nodename=node1,node2", "state=resume")

    def bring_back(self, seconds, *act):
        self.later.append((time.monotonic() + self.random.uniform(0, seconds), act))

    def away(self, *act):
        return any(entry[1] == act for entry in self.later)

    def any_of(self, word):
        found = [pid for pid in self.cluster.processes() if word in slurm.read(f"/proc/{pid}/cmdline").split(b"\0")]
        return self.random.choice(found) if found else None

    def strike(self, pid):
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def pilot(self):
        return self.strike(self.any_of(b"onsager-pilot"))

    def worker(self):
        return self.strike(self.any_of(b"onsager-worker"))

    def step(self):
        """Its pilot runs on, unknown to Slurm."""
        steps = self.cluster.act("steps")
        return self.strike(self.random.choice(steps)) if steps else False

    def node(self):
        return self.kill_node("kill-node")

    def node_and_steps(self):
        return self.kill_node("kill-node-and-steps")

    def kill_node(self, act):
        node = self.random.choice(slurm.NODES)
        if self.away("start-node", node):
            return False
        self.cluster.act(act, node)
        self.bring_back(40, "start-node", node)
        return True

    def controller(self):
        if self.away("start-controller"):
            return False
        self.cluster.act("kill-controller")
        self.bring_back(15, "start-controller")
        return True

    def kill_coordinator(self):
        if not self.strike(self.coordinator.pid):
            return False
        self.coordinator.wait()
        self.coordinator = None
        time.sleep(self.random.choice([0, self.random.uniform(0, 5)]))
        self.keep()
        return True

    def end_coordinator(self):
        """SIGTERM, as at the end of a session: it leaves its jobs, which the next one takes over."""
        self.coordinator.terminate()
        try:
            self.coordinator.wait(60)
        except subprocess.TimeoutExpired:
            raise Violation("a run that was told to end did not")
        self.coordinator = None
        self.keep()
        return True

    def requeue(self):
        running = [job for job, state, *_ in self.cluster.jobs() if state == "RUNNING"]
        return bool(running) and self.cluster.command("scontrol", "requeue", self.random.choice(running))[0] == 0

    def preempt(self):
        """Something urgent takes a whole node for some seconds."""
        urgent = ["sbatch", "-Q", "-p", "urgent", "-N1", "--exclusive", "-t2", "-o", "/dev/null", "--wrap", "sleep 3"]
        return self.cluster.command(*urgent)[0] == 0

    def end(self):
        self.heal(at_once=True)
        deadline = time.monotonic() + LONGEST
        self.keep()
        while self.coordinator is not None:
            if time.monotonic() > deadline:
                raise Violation(f"the run did not end within {LONGEST} s after the last blow")
            time.sleep(0.2)
            self.heal()
            self.keep()
        self.check_end()

    def check_end(self):
        project = self.project
        project.note_finished()
        before = len(project.journal_lines())
        if project.run() != 0 or (again := project.started_since(before)):
            raise Violation(f"a local run afterwards failed or executed {again[:5]}")
        project.check_no_repetition()
        project.check_computed_once()
        stray, litter = project.check_end(self.reference)
        self.counts["temporary files left in the view"] += len(stray)
        self.counts["left in the store"] += len(litter)
        self.check_nothing_left()
        starts = Counter(project.started_since(0))
        self.counts["tasks started again by blows"] = sum(starts.values()) - len(starts)
        self.counts["went on from a checkpoint"] = sum(line.startswith("resumed") for line in project.journal_lines())
        self.counts["went on from a checkpoint"] += len(list(project.events("task-resumed")))

    def check_nothing_left(self):
        """No process of ours, and no job: all within what a job may take to end by itself."""
        deadline = time.monotonic() + 120
        while True:
            ours = [pid for pid in self.cluster.processes() if str(self.project.store).encode() in slurm.read(f"/proc/{pid}/cmdline")]
            jobs = self.cluster.jobs()
            if not ours and not jobs:
                return
            if time.monotonic() > deadline:
                commands = [slurm.read(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode() for pid in ours]
                raise Violation(f"left at the end: processes {commands}, jobs {jobs}")
            time.sleep(1)

    def told(self):
        return ", ".join(f"{n} {what}" for what, n in self.counts.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onsager", default=shutil.which("onsager"), help="the program [default: from PATH]")
    parser.add_argument("--blows", type=int, default=100)
    parser.add_argument("--pause", type=float, default=6, help="the longest time between two blows, in seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", help="where it works [default: a temporary folder]")
    options = parser.parse_args()
    if not options.onsager:
        parser.error("give `--onsager PROGRAM`")
    options.onsager = os.path.realpath(options.onsager)
    room = Path(tempfile.mkdtemp(prefix="onsager-torture-", dir=options.folder))
    for name in ("reference", "campaign"):
        (room / name).mkdir()
    with slurm.Cluster() as cluster:
        undisturbed = OnCluster(options.onsager, room / "reference", room / "reference.journal", os.environ)
        if undisturbed.run("--jobs", "32", "--threads", "32") != 0:
            sys.exit(f"the undisturbed local run failed: see {room}/reference.log")
        reference = view_digests(undisturbed.folder)
        print(f"seed {options.seed}; an undisturbed local run: {len(reference)} files", flush=True)
        start = time.monotonic()
        campaign = Campaign(options, room / "campaign", cluster, reference)
        try:
            campaign.play()
        except Violation as violation:
            shutil.copytree(cluster.folder, room / "slurm", ignore=lambda folder, names: [n for n in names if not n.endswith((".log", ".conf"))])
            sys.exit(f"VIOLATION after {campaign.told()}: {violation}\nkept: {room}")
    print(f"{campaign.told()}; store verify clean, same bytes, no process left; no violation; {time.monotonic() - start:.0f} s")
    shutil.rmtree(room)


if __name__ == "__main__":
    try:
        main()
    except slurm.NoCluster as why:
        sys.exit(f"cluster.py: {why}")
