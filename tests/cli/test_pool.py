"""Work by all cores: in order, and a crash costs nobody else's work. The crashes are real: reading at address 0."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from scanprior.workflows import pool
from scanprior.workflows.pool import cores, in_order


@pytest.fixture(params=[1, 3])
def processes(request, monkeypatch) -> int:
    monkeypatch.setattr(pool, "cores", lambda: request.param)
    return request.param


def test_results_come_in_the_order_of_the_items(processes) -> None:
    assert list(in_order(abs, range(-20, 0))) == list(range(20, 0, -1))
    assert list(in_order(abs, [])) == []


def test_a_crash_costs_its_own_item_only(processes) -> None:
    items = [b"a", b"b", 0, b"c", b"d", 0, b"e"]
    expected = [b"a", b"b", None, b"c", b"d", None, b"e"]
    assert list(in_order(ctypes.string_at, items)) == expected
    assert list(in_order(ctypes.string_at, [0])) == [None]


def test_what_a_function_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        list(in_order(int, ["1", "two"]))


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")


@needs_proc
def test_leaving_early_leaves_no_process(processes) -> None:
    list(in_order(abs, [1]))
    before = descendants(os.getpid())  # the two that multiprocessing keeps
    with closing(in_order(time.sleep, [0.01] * 50)) as results:
        next(results)
        assert len(descendants(os.getpid())) == len(before) + processes
    assert descendants(os.getpid()) == before


@needs_proc
def test_a_killed_parent_leaves_no_process() -> None:
    code = """
import time
from scanprior.workflows.pool import in_order
print(list(in_order(abs, [1])), flush=True)
list(in_order(time.sleep, [60] * 2))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith("[")
        deadline = time.monotonic() + 60
        while len(below := descendants(parent.pid)) < 2 + min(2, cores()):  # two that multiprocessing keeps
            assert time.monotonic() < deadline, "the work never began"
            time.sleep(0.02)
        parent.send_signal(signal.SIGKILL)
    while alive := [pid for pid in below if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.02)


def descendants(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(c) for c in found] + [d for c in found for d in descendants(int(c))]


def test_the_processes_are_those_that_this_one_may_use() -> None:
    assert cores() == len(os.sched_getaffinity(0))
