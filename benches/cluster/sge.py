#!/usr/bin/env python3
"""A Grid Engine of one node on this host, with folders and ports of its own, and a pipeline that runs on it by a profile of commands.

    python3 benches/cluster/sge.py --onsager target/release/onsager     # the trial, see `trial`
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
# The profile that docs/cluster.md has.
PROFILE = """\
[on.sge]
engine = "command"
submit = "qsub -terse -V -S /bin/bash -N {name} -j y -o {output} -l h_rt={seconds}"
status = "qstat -u '*'"
cancel = "qdel {job}"
jobs = 4
time = "10m"
poll = "2s"
"""
PIPELINE = """\
name: trial
stages:
  one:
    kind: command
    matrix: {i: [%s]}
    run: sleep 0.2; echo ${matrix.i} $JOB_ID > /dev/null; echo ${matrix.i} > ${outputs.text}
    outputs: {text: one.txt}
  all:
    kind: command
    inputs: {one: one}
    run: cat ${inputs.one} | sha256sum > ${outputs.text}
    outputs: {text: all.txt}
"""
TASKS = 40


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
        # The template of a queue is taken as it is, and then changed.
        self.call("qconf", "-aq", "all.q", env=self.env | {"EDITOR": "/bin/true"})
        for field, value in (("hostlist", self.host), ("slots", str(slots)), ("shell", "/bin/bash"), ("load_thresholds", "NONE")):
            self.call("qconf", "-rattr", "queue", field, value, "all.q")
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


def trial(cluster, onsager, room):
    """A run by the profile, a coordinator that is killed in the middle, and `cancel`; the digests are those of a local run."""
    digests = {}
    for name in ("here", "there"):
        folder = room / name
        folder.mkdir()
        (folder / "pipeline.yaml").write_text(PIPELINE % ", ".join(map(str, range(TASKS))))
        (folder / "onsager.toml").write_text(PROFILE)

    def command(name, *words):
        return subprocess.run([onsager, *words], cwd=room / name, env=cluster.env, capture_output=True, text=True)

    def run(name, *words):
        ran = command(name, "run", "pipeline.yaml", "--json", *words)
        if ran.returncode != 0:
            sys.exit(f"`run {' '.join(words)}` ended with {ran.returncode}: {ran.stderr}")
        document = json.loads(ran.stdout)
        digests[name] = {(task, output): made["digest"] for task, outputs in document["outputs"].items() for output, made in outputs.items()}
        return len(document["tasks"]["executed"]), ran.stderr

    run("here")
    killed = subprocess.Popen([onsager, "run", "pipeline.yaml", "--on", "sge"], cwd=room / "there", env=cluster.env,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    outputs = room / "there/artifacts/trial/one"
    wait_until(lambda: len(list(outputs.glob("*/one.txt"))) >= 5, "five tasks", 120)
    killed.kill()
    killed.wait()
    jobs = json.loads(command("there", "jobs", "--json").stdout)["jobs"]
    print(f"killed in the middle; its jobs: {', '.join(job['job'] + ' ' + job['state'] for job in jobs)}")
    start = time.monotonic()
    executed, told = run("there", "--on", "sge")
    print(f"the same command: {executed} executed, {time.monotonic() - start:.1f} s")
    print("".join(f"  {line}\n" for line in told.splitlines() if "note:" in line), end="")
    again, _ = run("there")
    print(f"every digest that of a local run: {digests['here'] == digests['there']}; executed here afterwards: {again}")
    wait_until(lambda: not cluster.jobs(), "the end of all jobs", 60)
    return digests["here"] == digests["there"] and again == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onsager", default=shutil.which("onsager"), help="the program [default: from PATH]")
    actions = parser.add_subparsers(dest="action")
    actions.add_parser("run", help="a command in it").add_argument("command", nargs="+")
    options = parser.parse_args()
    with Sge() as cluster:
        if options.action == "run":
            return subprocess.call(options.command, env=cluster.env)
        if not options.onsager:
            parser.error("give `--onsager PROGRAM`")
        with tempfile.TemporaryDirectory(prefix="onsager-sge-trial-") as room:
            return 0 if trial(cluster, os.path.realpath(options.onsager), Path(room)) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NoCluster as why:
        sys.exit(f"sge.py: {why}")
