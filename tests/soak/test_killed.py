"""`kill -9` at random moments of every run that writes: what is there afterwards is old, whole or absent, and the same
command then ends with the result of a run that was never killed.

    SOAK_MOMENTS=50 pytest -m soak tests/soak/test_killed.py      (docs/reliability.md has what came out)

The runs are forked from a process that has imported everything, so that a moment falls into the work and not into the
imports. Moments are spread evenly over the length of a whole run, at random within their parts.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pydicom
import pytest
import torch
from pydicom.data import get_testdata_file
from safetensors.torch import load_file
from scanprior.cli.main import main
from scanprior.formats.image_set import read_images
from scanprior.formats.scan import Volume
from scanprior.formats.store import read_reconstruction, write_scan
from scanprior.pretrained.load import load
from scanprior.priors.checkpoint import read_checkpoint
from scanprior.recon.simulate import CTSimulation, simulate
from toy_training import CT, changed

pytestmark = pytest.mark.soak
MOMENTS = int(os.environ.get("SOAK_MOMENTS", "50"))
SECONDS = 600  # in which a run ends, or hangs
RUNS = ("train", "reconstruct", "prepare", "benchmark.results", "tune")


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """Starts processes that are copies of one with everything imported."""
    context = multiprocessing.get_context("forkserver")
    heavy = ["optuna", "matplotlib.figure", "torchmetrics.image", "pydicom", "astra"]
    context.set_forkserver_preload([*(f"scanprior.workflows.{run}" for run in RUNS), *heavy])
    with pytest.MonkeyPatch.context() as now:
        now.setenv("SCANPRIOR_HOME", str(tmp_path_factory.mktemp("home")))
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            now.setenv(name, "1")
        context.Process(target=int).start()
    return context


@dataclass
class Tally:
    """What the moments found: nothing yet, an unfinished run, a finished one."""

    killed: int = 0
    finished: int = 0


@pytest.fixture
def killed(context, tmp_path, record_property) -> Callable:
    """killed(arguments, check, same): the loop. `arguments(out)`: the command line; `check(out)`: that all that stands
    there is whole; `same(one, other)`: that two outputs hold the same. `before(out)`: makes an older output. `once`:
    the command refuses an output that is there, which is whole then (killed after the rename, before its end)."""

    def start(arguments: list):
        process = context.Process(target=main, args=([str(a) for a in arguments],))
        process.start()
        return process

    def to_the_end(arguments: list) -> float:
        began = time.monotonic()
        process = start(arguments)
        process.join(SECONDS)
        assert process.exitcode == 0, f"exit code {process.exitcode} of {arguments}"
        return time.monotonic() - began

    def loop(arguments, check, same, before=lambda out: None, once=False) -> None:
        before(tmp_path / "first")
        length = to_the_end(arguments(tmp_path / "first"))
        before(tmp_path / "whole")
        length = min(length, to_the_end(arguments(tmp_path / "whole")))
        check(tmp_path / "whole")
        same(tmp_path / "first", tmp_path / "whole")
        rng, tally = random.Random(0), Tally()
        for moment in range(MOMENTS):
            out = tmp_path / f"out{moment}"
            before(out)
            process = start(arguments(out))
            process.join(length * (moment + rng.random()) / MOMENTS)
            process.kill()
            process.join()
            tally.killed += process.exitcode == -signal.SIGKILL
            tally.finished += process.exitcode == 0
            check(out)
            if process.exitcode and not (once and out.exists()):
                to_the_end(arguments(out))
            check(out)
            same(tmp_path / "whole", out)
        print(f"\n{MOMENTS} moments over {length:.1f} s: {tally}")
        assert tally.killed >= MOMENTS / 2, "most moments came too late"

    return loop


def gone(out: Path) -> bool:
    return not out.exists()


def pictures_are_whole(folder: Path) -> None:
    from matplotlib.image import imread

    for path in folder.rglob("*.png"):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            assert imread(path).size, path


def visible(folder: Path) -> set[str]:
    """A kill while a file is written leaves its hidden beginning."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def all_of(path: Path) -> dict:
    return json.loads(path.read_text()) if path.exists() else {}


# --- train
PRESET = changed(CT, multipliers=[1], steps=30)
COARSE = """
[coarse]
factor = 2
above = 1.5
network = { name = "unet", base = 8, multipliers = [1] }
crops = { size = 12, batch = 2 }
training = { steps = 20, warmup = 2 }
"""


@pytest.fixture
def images(tmp_path) -> Path:
    rng, (y, x) = np.random.default_rng(0), np.mgrid[-1:1:32j, -1:1:32j]
    stack = [-1000 + 1040 * (np.hypot(x, y) < 0.8) + 60 * rng.standard_normal((32, 32)) for _ in range(6)]
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["images"] = np.asarray(stack, np.float32)
        file["images"].attrs["units"] = "HU"
        file["patient"] = np.array(list("aabbcd"), dtype=h5py.string_dtype())
        file["px_mm"] = np.full(6, 4.0)
    return tmp_path / "images.h5"


def files_are_whole(out: Path) -> None:
    for path in out.glob("*.json"):
        json.loads(path.read_text())
    for path in out.glob("*.safetensors"):
        assert load_file(path), path
    pictures_are_whole(out)


def run_is_whole(out: Path) -> None:
    for folder in (out, out / "coarse"):
        all_of(folder / "config.json")
        if (folder / "checkpoint.safetensors").exists():
            read_checkpoint(folder / "checkpoint.safetensors")
        if (folder / "prior.safetensors").exists():
            load(folder / "prior.safetensors")
    pictures_are_whole(out)


def same_run(one: Path, other: Path) -> None:
    for name in ("checkpoint.safetensors", "prior.safetensors", "coarse/checkpoint.safetensors"):
        if (one / name).exists():
            a, b = load_file(one / name), load_file(other / name)
            assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a), name
    logs = [[json.loads(line) for line in (f / "log.jsonl").read_text().splitlines()] for f in (one, other)]
    a, b = ([{k: v for k, v in entry.items() if k != "seconds"} for entry in log] for log in logs)
    assert a == b
    assert visible(one) == visible(other)


@pytest.mark.parametrize(("kind", "minutes"), [("prior", 0.1), ("coarse", 5.0), ("supervised", 5.0)])
def test_train(killed, images, tmp_path, kind, minutes) -> None:
    (tmp_path / "tiny.toml").write_text(PRESET + (COARSE if kind == "coarse" else ""))
    options = ["--data", images, "--preset", tmp_path / "tiny.toml", "--device", "cpu"]
    options += ["--checkpoint-minutes", minutes]
    options += ["--supervised", "ct:views=8"] if kind == "supervised" else ["--validation", images]
    check = files_are_whole if kind == "supervised" else run_is_whole
    killed(lambda out: ["train", *options, "-o", out], check, same_run if minutes > 1 else same_end)


def same_end(one: Path, other: Path) -> None:
    """Validation figures along the way depend on when a run was killed; what it ends with does not."""
    for name in ("checkpoint.safetensors", "prior.safetensors"):
        a, b = load_file(one / name), load_file(other / name)
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a), name
    logs = [[json.loads(line) for line in (f / "log.jsonl").read_text().splitlines()] for f in (one, other)]
    a, b = ([(e["step"], e["loss"]) for e in log if "loss" in e] for log in logs)
    assert a == b


# --- prepare
@pytest.mark.parametrize("overwrite", [False, True])
def test_prepare(killed, tmp_path, overwrite) -> None:
    scan = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
    for k in range(24):
        scan.PatientID, scan.SOPInstanceUID = f"{k // 4}", f"1.2.3.{k}"
        scan.SeriesInstanceUID = f"1.9.{k // 2}"
        scan.PixelData = np.roll(scan.pixel_array, k).tobytes()
        scan.ImagePositionPatient = [0, 0, k]
        (tmp_path / "scans").mkdir(exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scan.save_as(tmp_path / "scans" / f"{k}.dcm")

    def arguments(out: Path) -> list:
        flags = ["--overwrite"] if overwrite else []
        return ["prepare", tmp_path / "scans", "--matrix", 64, "--val", 0.3, "--test", 0.2, "-o", out, *flags]

    def older(out: Path) -> None:
        if overwrite:
            out.mkdir()
            (out / "manifest.json").write_text('{"counts": {}, "old": true}')

    def check(out: Path) -> None:
        if gone(out) or all_of(out / "manifest.json").get("old"):
            return
        for split, count in all_of(out / "manifest.json")["counts"].items():
            if count["images"]:
                assert len(read_images(out / f"{split}.h5").load()) == count["images"]
        pictures_are_whole(out)

    def same(one: Path, other: Path) -> None:
        assert sorted(p.name for p in one.iterdir()) == sorted(p.name for p in other.iterdir())
        for path in one.iterdir():
            assert path.read_bytes() == (other / path.name).read_bytes(), path.name

    killed(arguments, check, same, older, once=not overwrite)


# --- reconstruct
@pytest.mark.parametrize("overwrite", [False, True])
def test_reconstruct(killed, tmp_path, ct_prior, overwrite) -> None:
    y, x = np.mgrid[-1:1:24j, -1:1:24j]
    slices = [-1000 + 1040 * (np.hypot(x, y) < 0.5 + 0.05 * k) for k in range(3)]
    volume = Volume(np.asarray(slices, np.float32), "HU", "CT", (2.0, 4.0, 4.0), source="body")
    write_scan(tmp_path / "scan.h5", simulate(volume, CTSimulation(views=12, photons=1e5)))
    options = ["--prior", ct_prior, "--method", "dds", "--options", "steps=4", "--samples", 2]
    options += ["--device", "cpu", "--batch", 1]

    def arguments(out: Path) -> list:
        flags = ["--overwrite"] if overwrite else []
        return ["reconstruct", tmp_path / "scan.h5", "-o", out, *options, *flags]

    def older(out: Path) -> None:
        if overwrite:
            out.mkdir()
            (out / "report.json").write_text('{"old": true}')

    def check(out: Path) -> None:
        assert not (overwrite and gone(out)), "neither the old nor the new result is there"
        if gone(out) or all_of(out / "report.json").get("old"):
            return
        assert read_reconstruction(out / "reconstruction.h5").mean.shape == (3, 24, 24)
        assert all_of(out / "report.json")
        pictures_are_whole(out)

    def same(one: Path, other: Path) -> None:
        a, b = (read_reconstruction(out / "reconstruction.h5") for out in (one, other))
        assert np.array_equal(a.mean, b.mean) and np.array_equal(a.samples, b.samples)
        assert np.array_equal(a.std, b.std)

    killed(arguments, check, same, older, once=not overwrite)


# --- benchmark and tune
@pytest.fixture
def suite(tmp_path, images) -> Path:
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\nmethods = ["fbp", "sirt:iterations=20", "dds:steps=4"]\nsamples = 2\n[data]\n'
        'ct = "nowhere.h5"\n[tasks]\n"8 views" = "ct:views=8"\n"5 views" = "ct:views=5"\n'
    )
    return tmp_path / "mine.toml"


CHANGING = ("seconds", "memory_mib", "date")


def test_benchmark(killed, suite, images, ct_prior) -> None:
    def arguments(out: Path) -> list:
        return ["benchmark", suite, "-o", out, "--prior", ct_prior, "--data", images, "--device", "cpu"]

    def check(out: Path) -> None:
        for path in (*out.glob("rows/*.json"), *out.glob("*.json")):
            json.loads(path.read_text())
        for path in out.glob("rows/*.npz"):
            with np.load(path, allow_pickle=False) as stored:
                assert [stored[name].size for name in stored.files]
        pictures_are_whole(out)

    def rows(out: Path) -> list:
        return [
            {k: v for k, v in row.items() if k not in CHANGING}
            for row in all_of(out / "results.json")["rows"]
        ]

    def same(one: Path, other: Path) -> None:
        assert rows(one) == rows(other)
        assert visible(one) == visible(other)

    killed(arguments, check, same)


def test_tune(killed, suite, images, ct_prior) -> None:
    def arguments(out: Path) -> list:
        options = ["--options", "steps=3", "--trials", 6, "--data", images, "--prior", ct_prior]
        options += ["--device", "cpu"]
        return ["tune", "diffpir", suite, *options, "-o", out.with_suffix(".toml")]

    def presets(out: Path) -> list:
        path = out.with_suffix(".toml")
        return tomllib.loads(path.read_text())["preset"] if path.exists() else []

    def same(one: Path, other: Path) -> None:
        assert presets(one) == presets(other) and len(presets(one)) == 2

    killed(arguments, presets, same)
