"""One command with all its processes: seconds, processor seconds, and most memory of all together."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

LOOKS_A_SECOND = 20


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Attributes:
        seconds: from the start of the process to its end, imports included.
        processor_seconds: of all its threads and processes, as they were seen last.
        peak_bytes: most resident memory of all its processes at once; they are looked at twenty times a second.
    """

    seconds: float
    processor_seconds: float
    peak_bytes: int


def take(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Usage:
    """Run a command to its end.

    Raises:
        SystemExit: it failed; what it said is in the message.
    """
    ended = threading.Event()
    process = psutil.Popen(
        command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    peaks, used = [0], dict[int, float]()
    looker = threading.Thread(target=_look, args=(process, ended, peaks, used))
    begun = time.perf_counter()
    looker.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - begun
    ended.set()
    looker.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output.decode()[-2000:]}")
    return Usage(seconds, sum(used.values()), peaks[0])


def _look(process: psutil.Process, ended: threading.Event, peaks: list[int], used: dict[int, float]) -> None:
    """Keep the most memory, and the processor seconds of each process: Python does not wait for Spark's Java."""
    while not ended.wait(1 / LOOKS_A_SECOND):
        resident = 0
        try:
            for each in (process, *process.children(recursive=True)):
                resident += each.memory_info().rss
                times = each.cpu_times()
                used[each.pid] = times.user + times.system
        except psutil.Error:  # one of them ended meanwhile
            continue
        peaks[0] = max(peaks[0], resident)
