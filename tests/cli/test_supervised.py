"""`scanprior train --supervised` and `reconstruct --method supervised` on toys, and the baselines by name."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scanprior.formats.scan import Scan, Volume
from scanprior.formats.store import read_reconstruction, write_scan
from scanprior.pretrained.load import load, load_supervised
from scanprior.recon.simulate import CTSimulation, simulate
from scanprior.workflows import train as training
from toy_training import CT, changed, mr

PRESET = changed(CT, base=16, size=32, learning_rate=3e-3, steps=6, warmup=2, gain=0.0)
PRESET = PRESET.replace("[training]", "degrees = 0.0\nzoom = [1.0, 1.0]\n[training]\nema = 0.9").replace(
    "blocks = 1\n", ""
)
SPEC = "ct:views=12,photons=1e5"


@pytest.fixture
def files(tmp_path: Path, ct_volume: Volume) -> dict[str, Path]:
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["images"] = ct_volume.data
        file["images"].attrs["units"] = "HU"
        file["px_mm"] = np.full(len(ct_volume.data), 4.0, np.float32)
        file["patient"] = np.array(["a", "b"], dtype=h5py.string_dtype())
    (tmp_path / "tiny.toml").write_text(PRESET)
    return {"data": tmp_path / "train.h5", "preset": tmp_path / "tiny.toml", "run": tmp_path / "run"}


@pytest.fixture
def train(scanprior, files):
    def call(*more: object, output: Path | None = None, spec: str = SPEC):
        options = (
            "--data",
            files["data"],
            "--preset",
            files["preset"],
            "--supervised",
            spec,
            "--device",
            "cpu",
        )
        return scanprior("train", *options, "-o", output or files["run"], *more)

    return call


def test_a_network_learns_is_applied_and_warns(train, files, scanprior, tmp_path, ct_volume, ct_scan) -> None:
    done = train("--steps", 60, "--validation", files["data"])
    assert done.code == 0, done.err
    network, card = load_supervised(files["run"])
    assert card.measurement == {
        "spec": SPEC,
        "beam": "parallel",
        "views": 12,
        "arc": 180.0,
        "photons": 1e5,
        "rays lost": "no",
    }
    assert card.training["images"] == 2 and card.modality == "CT" and network.channels == 1
    assert card.validation["psnr"] > card.validation["first_psnr"] + 3  # better than the backprojection

    write_scan(tmp_path / "scan.h5", ct_scan)  # 12 views, 1e5 photons: what it was trained for
    options = ("--method", "supervised", "--prior", files["run"])
    done = scanprior("reconstruct", tmp_path / "scan.h5", "-o", tmp_path / "out", *options)
    assert done.code == 0 and "warning" not in done.err, done.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    rows = {row["method"]: row for row in report["table"]}
    assert list(rows) == ["FBP", "FISTA-TV", "supervised"]
    assert rows["supervised"]["psnr"] > rows["FBP"]["psnr"] + 1
    assert report["warnings"] == []

    write_scan(tmp_path / "other.h5", simulate(ct_volume, CTSimulation(views=20)))
    done = scanprior(
        "reconstruct", tmp_path / "other.h5", "-o", tmp_path / "out2", *options, "--no-baselines"
    )
    assert done.code == 0
    assert "views: trained for 12, the scan has 20" in done.err
    assert "photons: trained for 100000, the scan has none" in done.err
    report = json.loads((tmp_path / "out2" / "report.json").read_text())
    assert len([line for line in report["warnings"] if "trained for" in line]) == 2

    with pytest.raises(
        ValueError, match=r"no prior but a supervised network, trained for ct:views=12,photons=1e5"
    ):
        load(files["run"])


def test_a_resumed_run_is_the_run_that_was_never_stopped(train, files, tmp_path, monkeypatch) -> None:
    assert train(output=tmp_path / "whole").code == 0
    original = training.Trainer._one_step

    def stops(self):
        if self.step == 3:
            raise KeyboardInterrupt
        return original(self)

    monkeypatch.setattr(training.Trainer, "_one_step", stops)
    assert train("--checkpoint-minutes", 0).code == 130
    monkeypatch.setattr(training.Trainer, "_one_step", original)
    assert train().code == 0
    a, b = (load_file(folder / "checkpoint.safetensors") for folder in (tmp_path / "whole", files["run"]))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_mri_pairs_are_complex(train, files, mr_volume) -> None:
    with h5py.File(files["data"], "r+") as file:
        file["images"][...] = mr_volume.data
        file["images"].attrs["units"] = "magnitude"
    files["preset"].write_text(mr(preset=PRESET))
    done = train("--steps", 1, spec="mri:accel=2,coils=3,center=0.3")
    assert done.code == 0, done.err
    network, card = load_supervised(files["run"])
    assert network.channels == 2 and card.measurement["coils"] == 3
    assert card.measurement["snr"] == pytest.approx(30, abs=0.5)


@pytest.mark.parametrize(
    ("more", "spec", "words"),
    [
        ((), "mri:accel=4", "the preset is one of CT images"),
        ((), "ct:vews=4", "got 'vews'"),
        ((), "pet:views=4", "--supervised: got 'pet:views=4'"),
        (("--start-from", "ct-256"), SPEC, "--start-from is for priors"),
    ],
)
def test_refusals_of_training(train, files, more, spec: str, words: str) -> None:
    done = train(*more, spec=spec)
    assert done.code == 2 and words in done.err
    assert not files["run"].exists()


def test_a_folder_of_another_run_is_refused(train, files, scanprior) -> None:
    assert train("--steps", 1).code == 0
    done = train("--steps", 2, spec="ct:views=13")
    assert done.code == 2 and "this is one of a supervised network for ct:views=13" in done.err
    done = scanprior("train", "--data", files["data"], "--preset", files["preset"], "-o", files["run"])
    assert done.code == 2 and "this is one of a prior" in done.err


def test_a_prior_is_no_supervised_network(scanprior, tmp_path, ct_scan: Scan, ct_prior) -> None:
    write_scan(tmp_path / "scan.h5", ct_scan)
    options = ("-o", tmp_path / "out", "--method", "supervised")
    done = scanprior("reconstruct", tmp_path / "scan.h5", *options, "--prior", ct_prior)
    assert done.code == 2 and "is a prior, not a supervised network" in done.err
    done = scanprior("reconstruct", tmp_path / "scan.h5", *options)
    assert done.code == 2 and "as --prior" in done.err
    assert not (tmp_path / "out").exists()


# --- baselines by name
@pytest.mark.parametrize("name", ["sirt", "cgls"])
def test_a_baseline_by_name_needs_no_prior(scanprior, tmp_path, ct_scan: Scan, name: str) -> None:
    write_scan(tmp_path / "scan.h5", ct_scan)
    options = ("--method", name, "--options", "iterations=15", "-o", tmp_path / "out")
    done = scanprior("reconstruct", tmp_path / "scan.h5", *options)
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [row["method"] for row in report["table"]] == ["FBP", "FISTA-TV", name.upper()]
    assert report["settings"]["iterations"] == 15 and report["prior"] == {}
    assert read_reconstruction(tmp_path / "out" / "reconstruction.h5").samples.shape[0] == 1


def test_a_baseline_of_the_other_modality_is_refused(scanprior, tmp_path, ct_scan: Scan) -> None:
    write_scan(tmp_path / "scan.h5", ct_scan)
    done = scanprior("reconstruct", tmp_path / "scan.h5", "--method", "cg-sense", "-o", tmp_path / "out")
    assert (
        done.code == 2
        and "CG-SENSE reconstructs MRI, the scan is CT; for CT there are ADMM-TV, CGLS" in done.err
    )
    done = scanprior(
        "reconstruct",
        tmp_path / "scan.h5",
        "--method",
        "sirt",
        "--options",
        "iters=3",
        "-o",
        tmp_path / "out",
    )
    assert done.code == 2 and "got 'iters'" in done.err
    assert "admm-tv" in scanprior("reconstruct", "--help").out
