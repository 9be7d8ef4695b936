"""CPU time, wall time and peak memory of a command, and the host's description for the tables."""

import ctypes
import os
import platform
import signal
import statistics
import subprocess
import time

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long
PR_SET_CHILD_SUBREAPER = 36
PTRACE_CONT, PTRACE_SEIZE, PTRACE_O_TRACEEXIT, PTRACE_EVENT_EXIT = 7, 0x4206, 0x40, 6
WALL = 0x40000000


class Failed(Exception):
    """A command that ended with another status than 0, or a check that does not hold."""


def adopt_orphans():
    """Makes this process the parent of every process whose parent ends, so that none escapes the sums."""
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def run(command, folder, env, output):
    """Runs a command with stdout and stderr going to the file `output`.

    Returns CPU seconds (user + system) and wall seconds. The CPU time is that of the command and of every descendant that it
    waited for, as the kernel adds it up, plus that of the descendants that it left behind, whose number is the third value.
    """
    cpu, wall = run_alone(command, folder, env, output)
    orphans = 0
    while True:
        try:
            _, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu += usage.ru_utime + usage.ru_stime
        orphans += 1
    return cpu, wall, orphans


def run_alone(command, folder, env, output):
    """The same where this process has other children: what the command leaves behind is neither waited for nor counted."""
    with open(output, "wb") as out:
        start = time.perf_counter()
        child = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    _check(command, child.returncode, output)
    return usage.ru_utime + usage.ru_stime, wall


def peak_memory(command, folder, env, output):
    """The peak resident memory in MB (10^6 bytes) of the command's own process, its descendants not counted.

    The kernel stops the process when it is about to exit, its memory still in place, and `VmHWM` is read there: exact, not
    sampled. It is not combined with a measurement of time, since tracing costs some.
    """
    with open(output, "wb") as out:
        child = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        if _libc.ptrace(PTRACE_SEIZE, child.pid, None, PTRACE_O_TRACEEXIT) != 0:
            raise OSError(ctypes.get_errno(), "ptrace: cannot trace a child")
        peak = None
        while True:
            _, status = os.waitpid(child.pid, WALL)
            if not os.WIFSTOPPED(status):
                break
            event = status >> 16
            if event == PTRACE_EVENT_EXIT:
                peak = _high_water(child.pid)
            pass_on = 0 if event else os.WSTOPSIG(status)
            _libc.ptrace(PTRACE_CONT, child.pid, None, pass_on)
    child.returncode = os.waitstatus_to_exitcode(status)
    _check(command, child.returncode, output)
    if peak is None:
        raise Failed(f"{command[0]}: ended before its memory was read")
    return peak


def _high_water(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


def _check(command, code, output):
    if code != 0:
        with open(output, errors="replace") as file:
            tail = file.read()[-2000:]
        name = signal.Signals(-code).name if code < 0 else code
        raise Failed(f"{' '.join(map(str, command))}: ended with {name}\n{tail}")


def median(values):
    return statistics.median(values)


def host(folder):
    """One line about the machine; nothing that names it."""
    model = "unknown processor"
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    listed = subprocess.run(["df", "--output=fstype", folder], capture_output=True, text=True, check=True).stdout
    kind = listed.split()[-1]
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}, {kind}"
