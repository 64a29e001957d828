"""`scanprior prepare` for MR: NIfTI, BIDS, fully sampled k-space to complex images, packs of packs; and training."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import torch
from scanprior.formats.image_set import read_images
from scanprior.formats.kspace import to_kspace
from scanprior.formats.pack import split_of
from scanprior.operators.coils import smooth_maps
from scanprior.pretrained.card import Card
from scanprior.workflows import prepare as preparation
from scanprior.workflows import train as training
from scanprior.workflows.images import ImageSets
from toy_training import CT, changed, mr

SIDE = 48
PRESETS = {
    channels: mr(channels, changed(CT, sigma_data=0.3, gain=0.0, steps=2)).replace(
        "[network]", "matrix = [48, 48]\n[network]"
    )
    for channels in (1, 2)
}
HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <subjectInformation><patientName>Xylophone</patientName><patientID>{patient}</patientID></subjectInformation>
 <encoding>
  <encodedSpace><matrixSize><x>{x}</x><y>{y}</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>{x}</x><y>{y}</y><z>3</z></fieldOfView_mm></encodedSpace>
  <reconSpace><matrixSize><x>48</x><y>48</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>48</x><y>48</y><z>3</z></fieldOfView_mm></reconSpace>
  <trajectory>cartesian</trajectory>
 </encoding>
</ismrmrdHeader>"""


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    monkeypatch.setattr(preparation, "_draw", lambda *_: None)
    monkeypatch.setattr(training, "_draw", lambda *_: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for channels in (1, 2):
        (tmp_path / f"mr{channels}.toml").write_text(PRESETS[channels])
    (tmp_path / "scans").mkdir()
    return tmp_path


def run(scanprior, folder: Path, *options: object, channels: int = 2, parts: tuple[float, float] = (0, 0)):
    pack = folder / "pack"
    preset = folder / f"mr{channels}.toml"
    val, test = parts
    outcome = scanprior(
        "prepare", folder / "scans", "--preset", preset, "-o", pack, "--val", val, "--test", test, *options
    )
    return outcome, pack


def left_out(pack: Path) -> dict[str, tuple[str, int]]:
    with (pack / "left_out.csv").open() as file:
        return {Path(r["file"]).name: (r["reason"], int(r["images"])) for r in csv.DictReader(file)}


def head(seed: int, side: int = SIDE) -> np.ndarray:
    """Magnitudes of an ellipse with texture, arbitrary units."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    texture = np.random.default_rng(seed).uniform(0.5, 1.0, (side, side))
    return (800 * texture * (x**2 / 0.6 + y**2 / 0.7 < 1)).astype(np.float32)


def nifti(path: Path, volume: np.ndarray, zooms: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> None:
    """(Z, H, W) as seen in DICOM's axes; zooms x, y, z."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.ascontiguousarray(volume.transpose(2, 1, 0)[::-1, ::-1])
    nibabel.save(nibabel.Nifti1Image(data, np.diag([*zooms, 1.0])), path)


def fastmri(path: Path, image: np.ndarray, *, patient: str, mask: np.ndarray | None = None) -> np.ndarray:
    """4 coils, the readout twofold oversampled, rows wider than the reconstruction; returns the 48 x 48 object."""
    full = np.zeros((2, 2 * SIDE, 60), np.complex64)
    full[:, SIDE - 24 : SIDE + 24, 30 - 24 : 30 + 24] = image
    maps = smooth_maps(4, full.shape[1:]).numpy()
    kspace = to_kspace(full[:, None] * maps[None])
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace if mask is None else kspace * mask
        file["ismrmrd_header"] = HEADER.format(x=2 * SIDE, y=60, patient=patient)
        file["reconstruction_rss"] = np.abs(image)
        if mask is not None:
            file["mask"] = mask
    return image


def with_phase(magnitude: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    return (magnitude * np.exp(1j * (2 * x + 1.5 * y * y))).astype(np.complex64)


# --- magnitudes
def test_magnitudes_keep_their_units_and_empty_slices_go(scanprior, folder) -> None:
    volume = np.stack([0 * head(0), head(1), 0.05 * head(2), head(3)])
    nifti(folder / "scans" / "a.nii.gz", volume)
    nifti(folder / "scans" / "ct.nii", 1000.0 - 2000.0 * (volume < 1))
    outcome, pack = run(scanprior, folder)
    assert outcome.code == 0, outcome.err
    images = read_images(pack / "train.h5")
    assert images.units == "magnitude" and np.allclose(images.pixel_mm, 1.0)
    np.testing.assert_array_equal(images.load(), volume[[1, 3]])
    assert left_out(pack)["ct.nii"][0] == "other modality"
    with (pack / "left_out.csv").open() as file:
        rows = [(Path(r["file"]).name, r["reason"]) for r in csv.DictReader(file)]
    assert rows.count(("a.nii.gz", "constant")) == 1 and rows.count(("a.nii.gz", "empty")) == 1


def test_a_bids_subject_is_one_patient_wherever_its_files_lie(scanprior, folder) -> None:
    for k in range(12):
        for session in ("ses-1", "ses-2"):
            nifti(
                folder / "scans" / f"sub-{k:02d}" / session / "anat" / "T1w.nii",
                head(k)[None] + (session == "ses-2"),
            )
    nifti(folder / "scans" / "T1w.nii", head(90)[None])
    nifti(folder / "scans" / "other" / "T1w.nii", head(91)[None])
    outcome, pack = run(scanprior, folder, parts=(0.3, 0.2))
    assert outcome.code == 0, outcome.err
    patients = json.loads((pack / "manifest.json").read_text())["patients"]
    assert sorted(p["images"] for p in patients) == [1, 1] + [2] * 12
    counted = {
        s: sum(p["split"] == s and p["images"] == 2 for p in patients) for s in ("train", "val", "test")
    }
    splits = [split_of(f"sub-{k:02d}", 0, 0.3, 0.2) for k in range(12)]
    assert counted == {s: splits.count(s) for s in counted}


def test_thick_slices_are_taken_as_they_were_acquired(scanprior, folder) -> None:
    sagittal = np.stack([head(k) for k in range(3)])  # along x
    volume = np.ascontiguousarray(np.moveaxis(sagittal, 0, 2))  # (Z, H, 3)
    nifti(folder / "scans" / "sagittal.nii", volume, (5.0, 1.0, 1.0))
    outcome, pack = run(scanprior, folder)
    assert outcome.code == 0, outcome.err
    np.testing.assert_array_equal(read_images(pack / "train.h5").load(), sagittal)


# --- k-space
def test_fully_sampled_kspace_becomes_complex_images(scanprior, folder) -> None:
    truth = with_phase(np.stack([head(1), head(2)]))
    fastmri(folder / "scans" / "full.h5", truth, patient="MRN1")
    mask = (np.arange(60) % 4 == 0) | (abs(np.arange(60) - 30) < 8)
    fastmri(folder / "scans" / "under.h5", truth, patient="MRN2", mask=mask)
    outcome, pack = run(scanprior, folder)
    assert outcome.code == 0, outcome.err
    assert left_out(pack) == {"under.h5": ("undersampled k-space", 1)}
    images = read_images(pack / "train.h5")
    assert images.units == "complex" and images.shape == (2, SIDE, SIDE) and np.allclose(images.pixel_mm, 1.0)
    for image, expected in zip(images, truth, strict=True):
        inside = np.abs(expected) > 0
        error = np.abs(np.abs(image) - np.abs(expected))[inside].max() / np.abs(expected).max()
        assert error < 0.02, error
        ratio = image / np.where(inside, expected, 1)  # a smooth phase of the coils is left
        steps = ratio[:, 1:] * ratio[:, :-1].conj()
        assert np.abs(np.angle(steps))[inside[:, 1:] & inside[:, :-1]].max() < 0.3
    content = b"".join(path.read_bytes() for path in pack.iterdir())
    assert b"Xylophone" not in content and b"MRN1" not in content


def test_two_files_of_one_patient_stay_together(scanprior, folder) -> None:
    for name in "ab":
        truth = with_phase(np.stack([head(ord(name)), head(ord(name) + 5)]))
        fastmri(folder / "scans" / f"{name}.h5", truth, patient="MRN1")
    outcome, pack = run(scanprior, folder, channels=1)
    assert outcome.code == 0, outcome.err
    facts = json.loads((pack / "manifest.json").read_text())
    assert [p["images"] for p in facts["patients"]] == [4]
    assert read_images(pack / "train.h5").units == "magnitude"  # a prior of one channel


def test_kspace_without_a_pixel_size_and_partial_fourier_are_left_out(scanprior, folder) -> None:
    image = with_phase(head(1))
    kspaces = {"full": to_kspace(image), "no_size": to_kspace(image), "partial": to_kspace(image)}
    kspaces["partial"][:10] = 0
    kspaces["padded"] = np.pad(to_kspace(image), 6)
    for name, kspace in kspaces.items():
        with h5py.File(folder / "scans" / f"{name}.h5", "w") as file:
            file["kspace"] = kspace[None, None]
            if name != "no_size":
                file.attrs["pixel_mm"] = 1.0
    outcome, pack = run(scanprior, folder, "--matrix", 60)
    assert outcome.code == 0, outcome.err
    assert left_out(pack) == {"no_size.h5": ("no pixel size", 1), "partial.h5": ("undersampled k-space", 1)}
    images = read_images(pack / "train.h5")
    full = next(k for k in range(len(images)) if images.extent(k) == (SIDE, SIDE))
    np.testing.assert_allclose(images[full][6:54, 6:54], image, atol=1e-3)
    assert not images[full][:6].any()


# --- the way to training
def test_a_mixture_trains_and_its_padding_does_not(scanprior, folder) -> None:
    fastmri(folder / "scans" / "full.h5", with_phase(np.stack([head(1), head(2)])), patient="MRN1")
    nifti(folder / "scans" / "wide.nii", np.stack([head(5)[:30], head(6)[:30]]) + 1)
    outcome, pack = run(scanprior, folder)
    assert outcome.code == 0, outcome.err
    card = Card.from_dict({"name": "x", **_table(PRESETS[2])})
    images = ImageSets([pack / "train.h5"], card)
    assert sorted(image.shape for image in (images[k] for k in range(4))) == [(30, 48)] * 2 + [(48, 48)] * 2
    before = images[0].copy()
    assert np.array_equal(before, images[0]) and before.dtype == np.complex64
    sizes = [np.abs(images[k]) for k in range(4)]
    assert all(0.7 < np.quantile(size, 0.99) < 0.85 and size.max() < 4 for size in sizes)
    flat = ImageSets([pack / "train.h5"], Card.from_dict({"name": "x", **_table(PRESETS[1])}))
    np.testing.assert_allclose(flat[0], sizes[0], atol=1e-5)
    assert len(set(images.groups)) == 2
    torch.set_num_threads(1)
    trained = scanprior(
        "train",
        "--data",
        pack / "train.h5",
        "--preset",
        folder / "mr2.toml",
        "-o",
        folder / "run",
        "--device",
        "cpu",
    )
    assert trained.code == 0, trained.err
    assert (folder / "run" / "prior.safetensors").is_file()


def test_a_pack_of_packs_is_the_same_again(scanprior, folder) -> None:
    nifti(folder / "scans" / "wide.nii", np.stack([head(5)[:30], head(6)[:30]]) + 1)
    _, pack = run(scanprior, folder)
    before = read_images(pack / "train.h5")
    outcome = scanprior(
        "prepare",
        pack,
        folder / "scans",
        "--preset",
        folder / "mr2.toml",
        "-o",
        folder / "again",
        "--val",
        0,
        "--test",
        0,
    )
    assert outcome.code == 0, outcome.err
    after = read_images(folder / "again" / "train.h5")
    np.testing.assert_array_equal(before.load(), after.load())  # each image once
    assert after.extent(0) == (30, 48)
    rows = (folder / "again" / "left_out.csv").read_text().splitlines()
    assert sum("duplicate" in row for row in rows) == 2


def _table(preset: str) -> dict:
    import tomllib

    table = tomllib.loads(preset)
    return {**table["prior"], "network": table["network"]}
