#!/usr/bin/env python3
"""A Slurm of two nodes on this host, with folders and ports of its own; it ends with whoever started it.

    python3 benches/cluster/slurm.py run -- sinfo          # a command in it; `bash` for a look around
    python3 benches/cluster/slurm.py serve                 # for programs: see `serve`, and `Cluster` for Python

Needs Debian's packages slurmctld, slurmd, slurm-client and munge, and root. The nodes are called node1 and node2; they share
this host's processes, memory and clock, and what they claim to have is only what Slurm counts with.
"""

import argparse
import ctypes
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NODES = ("node1", "node2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
PR_SET_CHILD_SUBREAPER = 36
CONF = """\
ClusterName=onsager
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=10,socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/%n
SlurmctldParameters=enable_configless
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1,sched_interval=5
MailProg=/bin/true
ReturnToService=2
MinJobAge={min_job_age}
KillWait=5
SlurmctldTimeout=10
SlurmdTimeout={node_timeout}
MessageTimeout=5
InactiveLimit=0
DefMemPerCPU=100
{nodes}
PartitionName=main Nodes=node1,node2 Default=YES MaxTime=24:00:00 DefaultTime=10 PriorityTier=1 PreemptMode=REQUEUE
PartitionName=urgent Nodes=node1,node2 MaxTime=60 DefaultTime=10 PriorityTier=10 PreemptMode=OFF
"""


class NoCluster(Exception):
    """What keeps it from running here."""


class Slurm:
    """A started cluster, whose daemons are children of this process. `env` is the environment for its commands."""

    def __init__(self, cpus=4, memory=8000, min_job_age=10, node_timeout=10):
        missing = [name for name in PROGRAMS if not shutil.which(name, path=search_path())]
        if missing:
            raise NoCluster(f"no {missing[0]} here")
        if os.geteuid() != 0:
            raise NoCluster("only root can start it")
        adopt_orphans()
        # Its sockets must have short names.
        self.folder = Path(tempfile.mkdtemp(prefix="onsager-slurm-", dir="/tmp"))
        host = socket.gethostname()
        controller, *ports = free_ports(1 + len(NODES))
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={memory}"
            for node, port in zip(NODES, ports)
        )
        conf = self.folder / "slurm.conf"
        conf.write_text(CONF.format(folder=self.folder, host=host, controller=controller, nodes=nodes,
                                    min_job_age=min_job_age, node_timeout=node_timeout))
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        os.chmod(self.folder / "munge.key", 0o600)
        (self.folder / "state").mkdir()
        for node in NODES:
            (self.folder / node).mkdir()
        self.env = os.environ | {"SLURM_CONF": str(conf), "PATH": search_path()}
        self.daemons = {}
        try:
            self.start_daemon("munge", ["munged", "--foreground", "--force", "--num-threads=2",
                                        *(f"--{name}={self.folder}/munge.{end}" for name, end in
                                          [("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"),
                                           ("log-file", "log"), ("seed-file", "seed")])])
            wait_until(lambda: (self.folder / "munge.socket").exists(), "munged", 10)
            self.start_controller()
            for node in NODES:
                self.start_node(node)
            wait_until(self.idle, "its nodes", 30)
        except BaseException:
            self.stop()
            raise

    def start_daemon(self, name, command):
        with open(self.folder / f"{name}.out", "ab") as out:
            self.daemons[name] = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                                  start_new_session=True)

    def kill_daemon(self, name):
        daemon = self.daemons.pop(name, None)
        if daemon is not None:
            daemon.kill()
            daemon.wait()

    def start_controller(self):
        """Starts slurmctld, or starts it again with its state."""
        if "controller" not in self.daemons:
            self.start_daemon("controller", ["slurmctld", "-D", "-i"])

    def kill_controller(self):
        self.kill_daemon("controller")

    def start_node(self, node):
        """Starts a slurmd, or starts it again: it finds the steps that still run."""
        if node not in self.daemons:
            self.start_daemon(node, ["slurmd", "-D", "-N", node])

    def kill_node(self, node, with_steps):
        """Kills a slurmd; what it started runs on, as when a node loses its network, or ends with it, as when it loses its power."""
        self.kill_daemon(node)
        while with_steps and (pids := self.steps(node) + self.started(node)):
            kill(pids)

    def steps(self, node=None):
        """The slurmstepd processes (of a node). They show neither job nor node, but the environment of what they started does."""
        steps = [pid for pid in descendants(os.getpid()) if b"slurmstepd" in read(f"/proc/{pid}/cmdline")]
        return [pid for pid in steps if node is None or set(children(pid)) & set(self.started(node))]

    def started(self, node):
        """What the steps of a node started, whoever is its parent by now."""
        name = f"SLURMD_NODENAME={node}".encode()
        return [pid for pid in descendants(os.getpid()) if name in read(f"/proc/{pid}/environ")]

    def idle(self):
        listed = subprocess.run(["sinfo", "-h", "-N", "-p", "main", "-o", "%N %T"], env=self.env, capture_output=True, text=True)
        return listed.stdout.split("\n")[:-1] == [f"{node} idle" for node in NODES]

    def reap(self, *_):
        """Steps leave their slurmd and are adopted by this process: none shall stay as a zombie."""
        for pid in children(os.getpid()):
            if all(pid != daemon.pid for daemon in self.daemons.values()):
                reap(pid)

    def cpu(self):
        """The CPU seconds of all that ever ran in it."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime + sum(map(cpu_of, descendants(os.getpid())))

    def stop(self):
        """Ends all of it, whatever it still runs, and removes its folder."""
        for name in list(self.daemons):
            self.kill_daemon(name)
        while pids := descendants(os.getpid()):
            kill(pids)
        shutil.rmtree(self.folder, ignore_errors=True)


def search_path():
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_until(ready, what, seconds):
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise NoCluster(f"{what} did not start within {seconds} s")
        time.sleep(0.02)


def adopt_orphans():
    """Steps outlive their slurmd; as children of this process they can be found and ended."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise NoCluster("prctl(PR_SET_CHILD_SUBREAPER) failed")


def reap(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def cpu_of(pid):
    """User and system time of a process, and of its children that it has waited for."""
    fields = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def read(path):
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            pass
    return found


def descendants(pid):
    found = children(pid)
    for child in found:
        found += children(child)
    return found


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    time.sleep(0.01)
    for pid in pids:
        reap(pid)


def serve(options):
    """Prints one line when it is ready, `{"SLURM_CONF": …, "PATH": …, "folder": …}`, or `{"skipped": why}`. Then each line of
    its input is one act, answered by a line of JSON; `ACTS` lists them. It ends all when its input ends, so with the process
    that started it, however that ended."""
    try:
        cluster = Slurm(options.cpus, options.memory, options.min_job_age, options.node_timeout)
    except NoCluster as why:
        print(json.dumps({"skipped": str(why)}), flush=True)
        return
    # Only the end of the input ends it: a Ctrl-C of its starter must not.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, cluster.reap)
    try:
        shown = {name: cluster.env[name] for name in ("SLURM_CONF", "PATH")}
        print(json.dumps(shown | {"folder": str(cluster.folder)}), flush=True)
        for line in sys.stdin:
            act, *arguments = line.split()
            print(json.dumps(ACTS[act](cluster, *arguments)), flush=True)
    finally:
        cluster.stop()


ACTS = {
    "kill-controller": Slurm.kill_controller,
    "start-controller": Slurm.start_controller,
    "kill-node": lambda cluster, node: cluster.kill_node(node, with_steps=False),
    "kill-node-and-steps": lambda cluster, node: cluster.kill_node(node, with_steps=True),
    "start-node": Slurm.start_node,
    "steps": Slurm.steps,
    "cpu": Slurm.cpu,
}


class Cluster:
    """A cluster in a process of its own, by `serve`; `env` is the environment for its commands."""

    def __init__(self, *options):
        command = [sys.executable, os.path.abspath(__file__), *options, "serve"]
        self.server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        told = json.loads(self.server.stdout.readline())
        if "skipped" in told:
            raise NoCluster(told["skipped"])
        self.folder = Path(told.pop("folder"))
        self.env = os.environ | told

    def act(self, *words):
        """One of `ACTS`."""
        self.server.stdin.write(" ".join(words) + "\n")
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline())

    def command(self, *words):
        """What a command of Slurm prints: (exit code, stdout, stderr)."""
        ran = subprocess.run(words, env=self.env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return ran.returncode, ran.stdout, ran.stderr

    def jobs(self):
        """(job or element of an array, state, reason, node) of all that wait or run."""
        _, out, _ = self.command("squeue", "-h", "-r", "-o", "%i|%T|%r|%N")
        return [tuple(line.split("|")) for line in out.splitlines()]

    def processes(self):
        """All processes in it: its daemons, its steps and what these started."""
        return descendants(self.server.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpus", type=int, default=4, help="of each node, whatever this host has")
    parser.add_argument("--memory", type=int, default=8000, help="of each node, in MB")
    parser.add_argument("--min-job-age", type=int, default=10, help="seconds for which squeue knows an ended job")
    parser.add_argument("--node-timeout", type=int, default=10, help="seconds until a node without its slurmd is down")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("serve", help="until its input ends")
    actions.add_parser("run", help="a command in it").add_argument("command", nargs="+")
    options = parser.parse_args()
    if options.action == "serve":
        return serve(options)
    given = [f"--{name}={getattr(options, name.replace('-', '_'))}" for name in ("cpus", "memory", "min-job-age", "node-timeout")]
    try:
        with Cluster(*given) as cluster:
            return subprocess.call(options.command, env=cluster.env)
    except NoCluster as why:
        sys.exit(f"slurm.py: {why}")


if __name__ == "__main__":
    sys.exit(main())
