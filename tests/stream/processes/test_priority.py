"""How a process steps back and comes forward again, in a process of its own."""

import json
import os
import subprocess
import sys

from neurosono.stream.processes.priority import NICE

WORDS = """
import json, os, threading
from neurosono.stream.processes.priority import Priority

def places():
    threads = map(int, os.listdir("/proc/self/task"))
    return sorted(os.getpriority(os.PRIO_PROCESS, each) for each in threads)

priority, done = Priority(), threading.Event()
said = [places()]
priority.step_back()
threading.Thread(target=done.wait).start()
said.append(places())
priority.come_forward()
said.append(places())
done.set()
print(json.dumps(said))
"""


def test_threads_that_begin_meanwhile_come_forward_too() -> None:
    found = subprocess.run(
        [sys.executable, "-P", "-c", WORDS], stdout=subprocess.PIPE, check=True, timeout=60
    )
    (own,), behind, after = json.loads(found.stdout)
    assert after == [own, own]
    allowed = os.geteuid() == 0
    assert behind == [min(own + NICE, 19)] * 2 or (not allowed and behind == [own, own])
