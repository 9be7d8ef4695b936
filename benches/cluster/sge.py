#!/usr/bin/env python3
"""A Grid Engine of one node on this host, with folders and ports of its own, and a pipeline that runs on it by a profile of commands.

    python3 benches/cluster/sge.py --onsager target/release/onsager     # the trial: see `Trial`
    python3 benches/cluster/sge.py run -- qstat -f                      # a command in it; `bash` for a look around

Needs root and Debian's packages gridengine-master, gridengine-exec and gridengine-client.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from slurm import NoCluster, adopt_orphans, descendants, free_ports, kill, wait_until

SHARED, PROGRAMS, RESOURCES = Path("/var/lib/gridengine"), Path("/usr/lib/gridengine"), Path("/usr/share/gridengine/util/resources")
BOOTSTRAP = """\
admin_user none
default_domain none
ignore_fqdn false
spooling_method berkeleydb
spooling_lib libspoolb
spooling_params {folder}/spool/db
binary_path /usr/sbin
qmaster_spool_dir {folder}/spool/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""
HOST = """\
hostname {host}
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""
PIPELINE = """\
name: trial
stages:
  one:
    kind: command
    matrix: {i: [%s]}
    run: sleep %s; echo ${matrix.i} > ${outputs.text}
    outputs: {text: one.txt}
  all:
    kind: command
    inputs: {one: one}
    run: cat ${inputs.one} | sha256sum > ${outputs.text}
    outputs: {text: all.txt}
"""
TASKS = 40


def profile():
    """The one that docs/cluster.md has, but it asks for the jobs more often."""
    text = (Path(__file__).resolve().parent.parent.parent / "docs/cluster.md").read_text()
    return text[text.index("[on.sge]"):].partition("\n\n")[0] + '\npoll = "2s"\n'


class Sge:
    """A started Grid Engine, whose daemons are children of this process. `env` is the environment for its commands."""

    def __init__(self, slots=4):
        if missing := [name for name in ("sge_qmaster", "sge_execd", "qconf", "spoolinit") if not (PROGRAMS / name).exists()]:
            raise NoCluster(f"no {missing[0]} here")
        if os.geteuid() != 0:
            raise NoCluster("only root can start it")
        adopt_orphans()
        self.folder = Path(tempfile.mkdtemp(prefix="onsager-sge-", dir="/tmp"))
        self.host = socket.gethostname()
        self.daemons = []
        for part in SHARED.iterdir():
            if part.name != "default":
                (self.folder / part.name).symlink_to(part)
        for made in ("default/common", "spool/qmaster/job_scripts", "spool/db", "spool/execd"):
            (self.folder / made).mkdir(parents=True)
        common = self.folder / "default/common"
        (common / "bootstrap").write_text(BOOTSTRAP.format(folder=self.folder))
        (common / "act_qmaster").write_text(f"{self.host}\n")
        # Where the host's name is one of 127.0.0.1's, as in a container.
        (common / "host_aliases").write_text(f"{self.host} localhost\n")
        master, node = map(str, free_ports(2))
        self.env = os.environ | {"SGE_ROOT": str(self.folder), "SGE_CELL": "default", "SGE_QMASTER_PORT": master, "SGE_EXECD_PORT": node}
        try:
            self.start(slots)
        except BaseException:
            self.stop()
            raise

    def start(self, slots):
        settings = (RESOURCES.parent.parent / "default-configuration").read_text()
        settings = settings.replace("/var/spool/gridengine/execd", str(self.folder / "spool/execd"))
        settings = settings.replace("min_uid                1000", "min_uid 0").replace("min_gid                1000", "min_gid 0")
        self.call(PROGRAMS / "spoolinit", "berkeleydb", "libspoolb", self.folder / "spool/db", "init")
        self.call(PROGRAMS / "spooldefaults", "configuration", self.file("configuration", settings))
        self.call(PROGRAMS / "spooldefaults", "complexes", RESOURCES / "centry")
        self.call(PROGRAMS / "spooldefaults", "usersets", RESOURCES / "usersets")
        self.call(PROGRAMS / "spooldefaults", "managers", "root")
        self.daemon("sge_qmaster")
        wait_until(lambda: self.command("qconf", "-sh")[0] == 0, "sge_qmaster", 30)
        self.command("qconf", "-ah", self.host)
        self.call("qconf", "-as", self.host)
        self.command("qconf", "-Ae", str(self.file("host", HOST.format(host=self.host))))
        self.daemon("sge_execd")
        # What `qconf` shows in an editor is its template of a queue.
        fields = {"hostlist": self.host, "slots": slots, "shell": "/bin/bash", "pe_list": "NONE", "load_thresholds": "NONE"}
        changes = " ".join(f"-e 's|^{field} .*|{field} {value}|'" for field, value in fields.items())
        editor = self.file("editor", f'#!/bin/sh\nexec sed -i {changes} "$1"\n')
        editor.chmod(0o755)
        self.call("qconf", "-aq", "all.q", env=self.env | {"EDITOR": str(editor)})
        schedule = self.command("qconf", "-ssconf")[1].replace("0:0:15", "0:0:1")
        self.call("qconf", "-Msconf", self.file("schedule", schedule))
        wait_until(lambda: " au" not in self.command("qstat", "-f")[1], "its node", 60)

    def file(self, name, text):
        (self.folder / name).write_text(text)
        return self.folder / name

    def daemon(self, name):
        with open(self.folder / f"{name}.out", "ab") as out:
            self.daemons.append(subprocess.Popen([PROGRAMS / name], env=self.env | {"SGE_ND": "1"}, stdin=subprocess.DEVNULL, stdout=out,
                                                 stderr=out, start_new_session=True))

    def command(self, *words, env=None):
        """What a command of it prints: (exit code, stdout, stderr)."""
        ran = subprocess.run(words, env=env or self.env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return ran.returncode, ran.stdout, ran.stderr

    def call(self, *words, env=None):
        code, out, err = self.command(*words, env=env)
        if code != 0:
            raise NoCluster(f"`{' '.join(map(str, words))}` ended with {code}: {(out + err).strip()}")

    def jobs(self):
        return [line.split()[0] for line in self.command("qstat", "-u", "*")[1].splitlines()[2:]]

    def stop(self):
        """Ends all of it, whatever it still runs, and removes its folder."""
        while pids := descendants(os.getpid()):
            kill(pids)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Trial:
    """A run by the profile whose coordinator is killed in the middle; the digests are those of a local run. Then one whose jobs are
    cancelled."""

    def __init__(self, cluster, onsager, room):
        self.cluster, self.onsager, self.room = cluster, onsager, room

    def project(self, name, pause):
        (self.room / name).mkdir()
        (self.room / name / "pipeline.yaml").write_text(PIPELINE % (", ".join(map(str, range(TASKS))), pause))
        (self.room / name / "onsager.toml").write_text(profile())

    def command(self, name, *words):
        ran = subprocess.run([self.onsager, *words], cwd=self.room / name, env=self.cluster.env, capture_output=True, text=True)
        if ran.returncode != 0:
            sys.exit(f"`onsager {' '.join(words)}` ended with {ran.returncode}: {ran.stderr}")
        return ran

    def run(self, name, *words):
        """(what was executed, the digests, what was told) of a run."""
        ran = self.command(name, "run", "pipeline.yaml", "--json", *words)
        made = json.loads(ran.stdout)
        digests = {(task, output): one["digest"] for task, outputs in made["outputs"].items() for output, one in outputs.items()}
        return made["tasks"]["executed"], digests, ran.stderr

    def killed_when(self, name, ready, what):
        """A run on the cluster, killed when something has come about."""
        command = [self.onsager, "run", "pipeline.yaml", "--on", "sge"]
        run = subprocess.Popen(command, cwd=self.room / name, env=self.cluster.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(ready, what, 120)
        run.kill()
        run.wait()

    def jobs(self, name):
        there = (self.room / name / "artifacts/.onsager").exists()
        return json.loads(self.command(name, "jobs", "--json").stdout)["jobs"] if there else []

    def play(self):
        for name, pause in (("here", 0.2), ("there", 0.2), ("cancelled", 60)):
            self.project(name, pause)
        _, local, _ = self.run("here")
        outputs = self.room / "there/artifacts/trial/one"
        self.killed_when("there", lambda: len(list(outputs.glob("*/one.txt"))) >= 5, "five tasks")
        print(f"killed in the middle; its jobs: {', '.join(job['job'] + ' ' + job['state'] for job in self.jobs('there'))}")
        start = time.monotonic()
        executed, remote, told = self.run("there", "--on", "sge")
        print(f"the same command: {len(executed)} executed, {time.monotonic() - start:.1f} s")
        print("".join(f"  {line}\n" for line in told.splitlines() if "note:" in line), end="")
        again, _, _ = self.run("there")
        print(f"digests of {len(local)} outputs, equal to those of a local run: {local == remote}; executed here afterwards: {len(again)}")
        self.killed_when("cancelled", lambda: len([job for job in self.jobs("cancelled") if job["tasks"]]) == 4, "four jobs")
        print(self.command("cancelled", "cancel", "--all").stdout, end="")
        wait_until(lambda: not self.cluster.jobs(), "the end of all jobs", 60)
        print("no job is left")
        return local == remote and not again


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onsager", default=shutil.which("onsager"), help="the program [default: from PATH]")
    actions = parser.add_subparsers(dest="action")
    actions.add_parser("run", help="a command in it").add_argument("command", nargs="+")
    options = parser.parse_args()
    if options.action != "run" and not options.onsager:
        parser.error("give `--onsager PROGRAM`")
    # What the jobs have in the folder is ended first.
    with tempfile.TemporaryDirectory(prefix="onsager-sge-trial-") as room, Sge() as cluster:
        if options.action == "run":
            return subprocess.call(options.command, env=cluster.env)
        return 0 if Trial(cluster, os.path.realpath(options.onsager), Path(room)).play() else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NoCluster as why:
        sys.exit(f"sge.py: {why}")
