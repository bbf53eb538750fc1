"""What processes use: processor time and memory, by role."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

OTHERS = "(others)"
"""What is not ours: other programs, the kernel, the machine below a virtual one. Beside much of it numbers lie."""

_ROLE = re.compile(r"\brun (api|gateway|store|worker)$")


def roles_below(pid: int) -> dict[str, list[int]]:
    """The platform's processes by role, of the supervisor with this id."""
    supervisor = psutil.Process(pid)
    found: dict[str, list[int]] = {"supervisor": [pid]}
    for child in supervisor.children(recursive=True):
        try:
            arguments = " ".join(child.cmdline())
            name = child.name()
        except psutil.Error:
            continue
        match = _ROLE.search(arguments)
        role = match[1] if match else "postgres" if "postgres" in name else "nats" if "nats" in name else name
        found.setdefault(role, []).append(child.pid)
    return found


def cpu_seconds(roles: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Processor time used so far, by role, and by all `OTHERS` on this machine.

    Of processes that have ended nothing is known any more.
    """
    used = {role: sum(_cpu_of(pid) for pid in pids) for role, pids in roles.items()}
    times = psutil.cpu_times()
    busy = sum(times[:3]) + times.irq + times.softirq + times.steal
    return used | {OTHERS: busy - sum(used.values())}


def shares(before: Mapping[str, float], after: Mapping[str, float], seconds: float) -> dict[str, float]:
    """Per cent of one core, by role."""
    return {role: 100 * max(after[role] - before.get(role, 0.0), 0.0) / seconds for role in after}


def memory_mb(roles: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Proportional set size in MB: pages that several processes share are counted once in all."""
    return {role: sum(_pss_of(pid) for pid in pids) / 1e6 for role, pids in roles.items()}


def _cpu_of(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _pss_of(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        return 0
    except OSError:
        return 0
