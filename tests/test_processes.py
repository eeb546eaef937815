import multiprocessing
import os
import signal
import subprocess
import sys
import time

from patience import PATIENCE

from rfm.processes import worker_number

PARENT = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from rfm.processes import die_with_parent

def pid(_):
    import os
    return os.getpid()

if __name__ == "__main__":
    pool = ProcessPoolExecutor(2, multiprocessing.get_context(sys.argv[1]), die_with_parent)
    print(*set(pool.map(pid, range(2))), flush=True)
    sys.stdin.read()
"""


def test_workers_of_a_killed_parent_end(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    for method in ("fork", "spawn"):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([sys.executable, str(script), method], **pipes) as parent:
            workers = [int(word) for word in parent.stdout.readline().split()]
            assert len(workers) >= 1
            assert all(map(_is_running, workers))
            parent.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while any(map(_is_running, workers)) and time.monotonic() < deadline:
            os.sched_yield()
        assert not any(map(_is_running, workers)), method


def _is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_workers_are_numbered_in_the_order_of_their_start(monkeypatch):
    assert worker_number() == 0
    for name, number in (("SpawnProcess-1", 0), ("SpawnProcess-4", 3), ("ForkProcess-2:1", 0), ("mine", 0)):
        monkeypatch.setattr(multiprocessing.current_process(), "name", name)
        assert worker_number() == number
