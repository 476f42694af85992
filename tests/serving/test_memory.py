"""What requests have used and freed goes back to the system."""

import subprocess
import sys

# In a process of its own, as the memory of a process of tests has a history.
_SCRIPT = """
import re, sys, time
from pathlib import Path
from serving import memory

def resident_mb():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

memory.EVERY_S = 3600  # however slow this machine is
trimmer = memory.Trimmer()
before = resident_mb()
blocks = [bytes(1000) for _ in range(200_000)]
last = bytes(1000)  # above them: only a pass over all that is free finds them
blocks.clear()
trimmer.trim()
kept = resident_mb()
memory.EVERY_S = 0.1
trimmer = memory.Trimmer()
time.sleep(0.2)
trimmer.trim()
print(before, kept, resident_mb())
"""


def test_freed_memory_is_given_back_but_not_all_the_time() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, check=True, text=True
    )
    before, kept, after = map(float, run.stdout.split())

    assert kept > before + 150
    assert after < before + 20
