"""Facts about the machine that need no framework."""

import contextlib
import math
import os
import pathlib
import platform
import sys

MEMORY_IS_WATCHED = sys.platform == "linux"  # whether `free_memory` and `session_memory` know their answer
# The files of a container's memory, for the two versions of cgroups. The cache of files can be freed at any time.
_CONTAINERS = (
    (pathlib.Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (
        pathlib.Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)
_SESSION, _RESIDENT = 3, 21  # places in /proc/PID/stat after the program's name, see proc_pid_stat(5)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Return the name of the processor, or its architecture."""
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def memory() -> int:
    """Return the bytes of memory that this process may use: those of the machine or of its container."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")] if hasattr(os, "sysconf") else [2**36]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            limits.append(int(file.read()))  # or "max"
    return min(limits)


def free_memory() -> float:
    """Return the bytes of memory that are free, in the machine and in its container; infinity but on Linux."""
    if not MEMORY_IS_WATCHED:
        return math.inf
    with open("/proc/meminfo", encoding="ascii") as lines:
        sizes = dict(line.split(":", 1) for line in lines)
    free = [1024.0 * int(sizes["MemAvailable"].split()[0])]
    for folder, limit, usage, cache in _CONTAINERS:
        with contextlib.suppress(OSError, ValueError):  # no container of this kind, or no limit: "max"
            statistics = dict(
                line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines()
            )
            used = int((folder / usage).read_text(encoding="ascii")) - int(statistics.get(cache, 0))
            free.append(int((folder / limit).read_text(encoding="ascii")) - used)
    return max(0.0, min(free))


def forget_peak_memory() -> bool:
    """Set the peak of this process's memory to its present size; return whether the system can (proc(5))."""
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return True
    return False


def peak_memory() -> int | None:
    """Return the largest number of resident bytes of this process since `forget_peak_memory`; None but on Linux."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return None


def session_memory(leader: int) -> int:
    """Return the resident bytes of all processes of a session; 0 but on Linux.

    Args:
        leader: the number of the process that leads the session.
    """
    if not MEMORY_IS_WATCHED:
        return 0
    pages = 0
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdecimal():
                with contextlib.suppress(OSError), open(f"{entry.path}/stat", "rb") as file:  # it may have ended
                    fields = file.read().rpartition(b")")[2].split()
                    if int(fields[_SESSION]) == leader:
                        pages += int(fields[_RESIDENT])
    return pages * os.sysconf("SC_PAGE_SIZE")
