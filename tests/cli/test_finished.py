"""A reconstruction that is stopped loses nothing: finished slices stay, and the same command goes on after them."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scanprior.formats.scan import Scan
from scanprior.formats.store import read_reconstruction, write_scan
from scanprior.recon import FBP
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.study import problem_of
from scanprior.workflows.finished import by_slices
from scanprior.workflows.progress import SILENT

FAST = (
    "--method",
    "dds",
    "--samples",
    2,
    "--batch",
    2,
    "--options",
    "steps=3",
    "--no-baselines",
)  # a slice at a time


@pytest.fixture
def many(ct_scan: Scan, tmp_path: Path) -> Path:
    """A scan of four slices."""
    several = {name: np.concatenate([getattr(ct_scan, name)] * 2) for name in ("data", "truth")}
    write_scan(tmp_path / "scan.h5", replace(ct_scan, **several))
    return tmp_path / "scan.h5"


@pytest.fixture
def stops(monkeypatch):
    """stops(after, how): sampling `after` times works, then `how` is called; returns the list of calls."""
    original, calls = DDS.__call__, []

    def arrange(after: int, how) -> list[int]:
        calls.clear()

        def call(self, *arguments, **options):
            calls.append(1)
            if len(calls) > after:
                how()
            return original(self, *arguments, **options)

        monkeypatch.setattr(DDS, "__call__", call)
        return calls

    return arrange


def interrupt() -> None:
    raise KeyboardInterrupt


def full() -> None:
    raise OSError(28, "No space left on device", "somewhere")


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        (interrupt, 130, "Interrupted"),
        (lambda: signal.raise_signal(signal.SIGTERM), 143, ""),
        (full, 2, "somewhere: No space left on device"),
    ],
    ids=["SIGINT", "SIGTERM", "full disk"],
)
def test_what_was_stopped_goes_on(how, code, words, many, ct_prior, scanprior, stops, tmp_path) -> None:
    command = ("reconstruct", many, "--prior", ct_prior, *FAST, "-o")
    assert scanprior(*command, tmp_path / "whole").code == 0

    stops(3, how)
    done = scanprior(*command, tmp_path / "out")
    assert done.code == code and words in done.err
    assert ".out.unfinished; the same command goes on from there" in done.err
    assert "Traceback" not in done.err and not (tmp_path / "out").exists()
    kept = tmp_path / ".out.unfinished"
    assert len(list((kept / "done").iterdir())) == 3

    other = scanprior(*command, tmp_path / "out", "--seed", 9)
    assert other.code == 2 and len(other.err.strip().splitlines()) == 1
    assert "another command has done so far (seed differ)" in other.err
    assert len(list((kept / "done").iterdir())) == 3

    calls = stops(99, how)
    again = scanprior(*command, tmp_path / "out")
    assert again.code == 0, again.err
    assert len(calls) == 1  # of four slices
    assert "goes on with the slices" in again.err and not kept.exists()
    one, two = (read_reconstruction(tmp_path / name / "reconstruction.h5") for name in ("whole", "out"))
    np.testing.assert_array_equal(one.samples, two.samples)


def test_less_at_once_goes_on_too(many, ct_prior, scanprior, stops, tmp_path) -> None:
    """What ran out of memory goes on with a smaller batch."""
    command = ("reconstruct", many, "--prior", ct_prior, *FAST, "-o", tmp_path / "out", "--batch")

    def no_memory() -> None:
        raise MemoryError

    stops(1, no_memory)
    assert scanprior(*command, 6).code == 2
    calls = stops(99, no_memory)
    assert scanprior(*command, 2).code == 0
    assert len(calls) == 1  # three slices had been done at once


def test_parts_of_a_scan_are_the_scan(ct_scan: Scan, ct_prior, tmp_path) -> None:
    """Slices are functions of the seed and of their number; a damaged file is done again."""
    from scanprior.pretrained.load import load

    prior, _ = load(ct_prior)
    problem, method = problem_of(ct_scan), DDS(steps=2)
    whole = method(problem, prior, samples=2, seed=3, batch=2)
    solvers = {
        "dds": lambda part, first: method(part, prior, samples=2, seed=3),
        "fbp": lambda part, first: FBP()(part),
    }
    found = by_slices(problem, solvers, 1, tmp_path)
    np.testing.assert_array_equal(found["dds"].samples, whole.samples)
    np.testing.assert_allclose(found["fbp"].mean, FBP()(problem).mean, rtol=0, atol=1e-8)
    assert found["dds"].provenance == whole.provenance and found["dds"].nfe == 2
    last = sorted(tmp_path.iterdir())[-1]
    last.write_bytes(last.read_bytes()[:-100])
    again = by_slices(problem, solvers, 1, tmp_path)
    np.testing.assert_array_equal(again["dds"].samples, found["dds"].samples)


def test_a_slice_alone_is_the_slice_of_the_whole(many, ct_prior, scanprior, stops, tmp_path) -> None:
    """Seeds go by a slice's number in the scan: on the command line, from Python, and where a run goes on."""
    import scanprior as package

    def samples(name: str) -> np.ndarray:
        return read_reconstruction(tmp_path / name / "reconstruction.h5").samples

    command = ("reconstruct", many, "--prior", ct_prior, *FAST, "-o")
    assert scanprior(*command, tmp_path / "whole").code == 0
    whole = samples("whole")
    assert np.abs(whole[:, 1] - whole[:, 3]).max() > 1  # equal data, other seeds
    assert scanprior(*command, tmp_path / "one", "--slices", 3).code == 0
    np.testing.assert_array_equal(samples("one")[:, 0], whole[:, 3])
    stops(1, interrupt)
    assert scanprior(*command, tmp_path / "two", "--slices", "3,1").code == 130
    stops(99, interrupt)
    assert scanprior(*command, tmp_path / "two", "--slices", "3,1").code == 0
    np.testing.assert_array_equal(samples("two"), whole[:, [3, 1]])
    settings = {"method": "dds", "prior": str(ct_prior), "options": "steps=3", "batch": 2, "baselines": False}
    found = package.reconstruct(many, samples=2, slices=[3], progress=SILENT, **settings)
    np.testing.assert_array_equal(found.samples[:, 0], whole[:, 3])


@pytest.mark.soak
def test_killed_at_any_moment(many, ct_prior, scanprior, tmp_path) -> None:
    """kill -9 at random moments: started again, it ends with what a run gives that is left alone."""
    options = [many, "--prior", ct_prior, *FAST, "--device", "cpu", "-o"]
    assert scanprior("reconstruct", *options, tmp_path / "whole").code == 0
    want = read_reconstruction(tmp_path / "whole" / "reconstruction.h5").samples
    command = [sys.executable, "-m", "scanprior", "reconstruct", *options, tmp_path / "out", "--overwrite"]
    words, chance = [str(word) for word in command], random.Random(0)
    began = time.monotonic()
    subprocess.run(words, check=True, capture_output=True)
    length = time.monotonic() - began
    for _ in range(50):
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(chance.uniform(0.5, 1.1) * length)
            process.kill()
        there = [path for path in (tmp_path / "out", tmp_path / ".out.old") if path.exists()]
        np.testing.assert_array_equal(read_reconstruction(there[0] / "reconstruction.h5").samples, want)
    subprocess.run(words, check=True, capture_output=True)
    np.testing.assert_array_equal(read_reconstruction(tmp_path / "out" / "reconstruction.h5").samples, want)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["out", "scan.h5", "whole"]
