"""The machine that the numbers belong to."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

import msgspec
import psutil


class Machine(msgspec.Struct, frozen=True):
    """One line about it."""

    cores: int
    processor: str
    memory_gb: float
    kernel: str
    python: str
    disk_sync_ms: float
    """How long 4 KiB take to the disk of the data directory: median of 100 synchronous writes."""
    load: float
    """What others ran here when we began: load average of the last minute."""
    roadstead: str

    def describe(self) -> str:
        """For people."""
        return (
            f"{self.cores} cores {self.processor}, {self.memory_gb:.0f} GB, Linux {self.kernel}, Python {self.python}, "
            f"4 KiB synced to disk in {self.disk_sync_ms:.2f} ms, load before {self.load:.1f}, "
            f"roadstead {self.roadstead}"
        )


def look_at(directory: Path) -> Machine:
    """This machine; `directory` lies on the disk that counts."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=_processor(),
        memory_gb=psutil.virtual_memory().total / 1e9,
        kernel=platform.release(),
        python=platform.python_version(),
        disk_sync_ms=_disk_sync_ms(directory),
        load=os.getloadavg()[0],
        roadstead=version("roadstead"),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _disk_sync_ms(directory: Path) -> float:
    file = directory / "sync-probe"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_DSYNC, 0o600)
    try:
        took = []
        for _ in range(100):
            began = time.perf_counter()
            os.write(descriptor, bytes(4096))
            took.append(time.perf_counter() - began)
        return 1000 * median(took)
    finally:
        os.close(descriptor)
        file.unlink()
