# ruff: noqa: F811 (fixtures of another file)
"""What `scanprior train` learns from: files of any kind, parts of images, images that are kept for calibration; where
its crops are made."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.pretrained.load import load
from scanprior.workflows import train as training
from scanprior.workflows.images import ImageSets
from scanprior.workflows.progress import SILENT
from scanprior.workflows.training_preset import read_preset
from toy_training import COARSE, image_set
from toy_training import CT as PRESET

from .test_train import files, losses, one_thread, run, same, undrawn  # noqa: F401 (fixtures)


def test_a_dicom_series_is_training_data(files, undrawn, tmp_path: Path, shared_data) -> None:
    series = shared_data("ct", "dicom", "kits-00072")
    _, card = load(run(files, steps=1, data=[series, files["data"]]))
    assert card.training["patients"] == 4
    assert card.pixel_mm[0] == pytest.approx(0.664, abs=1e-3)


def test_larger_sets_stay_on_disk_and_train_the_same(files, undrawn, tmp_path: Path, monkeypatch) -> None:
    whole = run(files, tmp_path / "memory", steps=4)
    monkeypatch.setattr("scanprior.workflows.images.IN_MEMORY", 0)
    same(whole, run(files, steps=4))


def test_crops_made_on_the_device_train_a_prior_too(files, undrawn, tmp_path: Path) -> None:
    """Forced on the processor, where nothing would make them by itself; both networks of a coarse preset."""
    files["preset"].write_text(PRESET + COARSE)
    found = [
        training.train(
            files["data"],
            tmp_path / name,
            files["preset"],
            files["other"],
            training.TrainSettings(device="cpu", crops_on_device=on_device),
            SILENT,
        )
        for name, on_device in (("host", None), ("device", True))
    ]
    assert [run.step for run in found] == [12, 12]
    host, device = (losses(run.folder) for run in found)
    assert host != device and np.mean(list(device.values())) == pytest.approx(
        np.mean(list(host.values())), rel=0.3
    )
    assert set(found[1].figures["denoising_psnr"]) == {"0.02", "0.1", "0.5", "2.0"}
    assert found[1].weights.is_file() and found[1].card.training["finished_steps"] == 12


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(files, scanprior) -> None:
    files["preset"].write_text(PRESET + COARSE)
    options = ("--data", files["data"], "--validation", files["other"], "--preset", files["preset"])
    done = scanprior("train", *options, "-o", files["run"], "--steps", 5, "--dry-run", "--json")
    assert done.code == 0, done.err
    plan = json.loads(done.out)
    assert (plan["learns_from"], plan["judged_by"]["images"]) == ({"images": 9, "patients": 3}, 3)
    assert list(plan["networks"]) == [str(files["run"] / "coarse"), str(files["run"])]
    assert [(n["steps"], n["goes_on"]) for n in plan["networks"].values()] == [(5, False)] * 2
    done = scanprior("train", *options, "-o", files["run"], "--dry-run", "--supervised", "ct:views=9")
    assert done.code == 0 and "images a step" in done.out and "nothing was written" in done.out
    assert not files["run"].exists()


def test_only_the_box_of_an_image_is_learned_from(files, undrawn) -> None:
    """What lies around it is bright metal here; the card has the matrix of the whole ones."""
    with h5py.File(image_set(files["other"], images=6), "r+") as file:
        stack, boxes = file["images"][()], np.array([[2 + k % 3, 1, 18, 20] for k in range(6)], np.int16)
        for image, (top, left, height, width) in zip(stack, boxes, strict=True):
            inside = image[top : top + height, left : left + width].copy()
            image[:] = 4000
            image[top : top + height, left : left + width] = inside
        file["images"][...], file["box"] = stack, boxes
    card = read_preset(files["preset"]).card
    images = ImageSets([files["other"], files["data"]], card)
    assert images[0].shape == (18, 20) and images[6].shape == images.matrix == (24, 24)
    assert images.parts.tolist() == [[18, 20]] * 6 + [[0, 0]] * 9
    crops = training.crops_of(read_preset(files["preset"]), images)
    assert (
        max(float(crops(step).max()) for step in range(20)) < 1.5
    )  # bone at 0.7, and interpolation's overshoot
    with h5py.File(files["other"], "r+") as file:
        file["box"][0] = [10, 1, 18, 20]
    with pytest.raises(ValueError, match=r"val\.h5: got a column box"):
        ImageSets([files["other"]], card)


@pytest.mark.parametrize("what", ["data", "other"])
@pytest.mark.parametrize("how", ["name", "attribute"])
def test_images_for_calibration_are_refused(files, tmp_path: Path, what: str, how: str) -> None:
    if how == "name":
        files[what] = files[what].rename(tmp_path / "t1_calib.h5")
    else:
        with h5py.File(files[what], "r+") as file:
            file.attrs["split"] = "calib"
    with pytest.raises(ValueError, match=f"its {how}( split)? says so") as raised:
        run(files, validation=files["other"])
    assert str(files[what]) in str(raised.value)
    assert not files["run"].exists()


def test_images_come_in_the_units_of_the_card(files) -> None:
    card = training.card_of(read_preset(files["preset"]))
    water = ImageSets([files["data"]], card)[0]
    card.intensity.update(hu_per_unit=2000.0, hu_at_zero=-1000.0)  # 0 is air, 0.5 water
    np.testing.assert_allclose(ImageSets([files["data"]], card)[0], (water + 1) / 2, atol=1e-6)
