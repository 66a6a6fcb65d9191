"""A service ends with what it is for: its worker with the first process, and that one with the service's owner."""

import signal
import subprocess
import sys

import pytest

from tests.pace import slowness

SECONDS = 60 * slowness()
FIRST = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2]])
"""
WORKER = """
import os, sys, time
from fivefold.serving.parent_watch import ParentWatch
ParentWatch(os.getppid(), int(sys.argv[1])).start()
print("watches", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(("killed", "ended_by"), [("owner", signal.SIGTERM), ("first", signal.SIGKILL)])
def test_a_service_ends_where_its_owner_or_its_first_process_is_killed(killed: str, ended_by: int) -> None:
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    first = subprocess.Popen([sys.executable, "-c", FIRST, WORKER, str(owner.pid)], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "watches\n"
        process = {"owner": owner, "first": first}[killed]
        process.kill()
        process.wait(SECONDS)
        first.communicate(timeout=SECONDS)  # until the worker, which has the same output, has ended too
        assert first.returncode == -ended_by
    finally:
        for process in (owner, first):
            process.kill()
            process.wait(SECONDS)
