"""Raw data of synchrotrons, MATLAB, BART and NumPy through the command line: the right values, and what was assumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.workflows.request import fingerprint

N, VIEWS, MU, RADIUS = 40, 60, 0.02, 14.0
LINE = 2 * MU * np.sqrt(np.maximum(RADIUS**2 - (np.arange(N) - (N - 1) / 2) ** 2, 0))
DEGREES = np.linspace(0, 180, VIEWS, endpoint=False)
THROUGH = np.tile(np.exp(-LINE), (VIEWS, 1, 1))
RNG = np.random.default_rng(0)
KSPACE = (RNG.normal(size=(1, 1, 16, 12)) + 1j * RNG.normal(size=(1, 1, 16, 12))).astype(np.complex64)


def normalised(path: Path) -> str:
    with h5py.File(path, "w") as file:
        file["exchange/data"], file["exchange/theta"] = THROUGH.astype(np.float32), DEGREES
        file["exchange/data_white"] = np.ones((1, 1, N), np.float32)
        file["exchange/data_dark"] = np.zeros((0, 1, N), np.float32)
    return "1 slice, 60 views, 40 detectors"


def dead_column(path: Path) -> str:
    counts, white = np.round(THROUGH * 10000).astype(np.uint16), np.full((2, 1, N), 10000, np.uint16)
    counts[..., 15] = white[..., 15] = 0
    with h5py.File(path, "w") as file:
        file["exchange/data"], file["exchange/data_white"], file["exchange/theta"] = counts, white, DEGREES
    return "60 of 2400 rays"


def nexus(path: Path) -> str:
    with h5py.File(path, "w") as file:
        group = file.create_group("entry1/tomo_entry")
        group["definition"] = "NXtomo"
        frames = np.concatenate([np.zeros((2, 1, N)), np.full((3, 1, N), 10000), THROUGH * 10000])
        group["instrument/camera/data"] = frames.astype(np.uint16)
        group["instrument/camera/image_key"] = np.r_[[2] * 2, [1] * 3, [0] * VIEWS]
        group["sample/rotation_angle"] = np.r_[np.zeros(5), DEGREES]
    return "the rotation axis is taken to be in the middle"


def sidecar(path: Path) -> str:
    np.save(path.with_suffix(".npy"), np.tile(LINE, (VIEWS, 1)))
    path.with_suffix(".npy").rename(path)
    said = {"geometry": "parallel", "angles_deg": DEGREES.tolist(), "detector_pixel_mm": 1.0}
    path.with_suffix(".json").write_text(json.dumps(said))
    return "to 40 x 40 pixels of 1 mm"


@pytest.mark.parametrize("write", [normalised, dead_column, nexus, sidecar])
def test_a_disc_has_its_attenuation(write: Callable[[Path], str], scanprior, tmp_path) -> None:
    """0.02/mm inside, which is 0 HU where water has as much, and air around."""
    words = write(tmp_path / "scan.x")
    assert scanprior("info", tmp_path / "scan.x").code == 0
    found = scanprior("validate", tmp_path / "scan.x")
    assert found.code == 0 and words in found.out
    arguments = ("--method", "fbp", "--no-baselines", "--mu-water", MU)
    done = scanprior("reconstruct", tmp_path / "scan.x", "-o", tmp_path / "out", *arguments)
    assert done.code == 0, done.err
    with h5py.File(tmp_path / "out" / "reconstruction.h5") as file:
        image = file["mean"][0]
    y, x = np.mgrid[:N, :N] - (N - 1) / 2
    assert np.abs(image[np.hypot(x, y) < RADIUS - 4].mean()) < 20
    assert np.abs(image[(np.hypot(x, y) > RADIUS + 4) & (np.hypot(x, y) < N / 2)].mean() + 1000) < 20


def matlab(folder: Path) -> Path:
    stored = np.zeros((1, 1, 12, 16), [("real", "<f4"), ("imag", "<f4")])
    stored["real"], stored["imag"] = KSPACE.swapaxes(-1, -2).real, KSPACE.swapaxes(-1, -2).imag
    with h5py.File(folder / "k.mat", "w", userblock_size=512) as file:
        file["kspace"] = stored
    return folder / "k.mat"


def bart(folder: Path) -> Path:
    (folder / "k.hdr").write_text("# Dimensions\n12 16 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n")
    KSPACE.tofile(folder / "k.cfl")
    return folder / "k"


def array(folder: Path) -> Path:
    np.save(folder / "k.npy", KSPACE)
    return folder / "k.npy"


def averages(folder: Path) -> Path:
    with h5py.File(folder / "k.h5", "w") as file:
        file["kspace"], file["reconstruction_rss"] = np.stack([KSPACE] * 3), np.zeros((1, 12, 12), "f4")
    return folder / "k.h5"


@pytest.mark.parametrize("write", [matlab, bart, array, averages])
def test_k_space_becomes_its_image(write: Callable[[Path], Path], scanprior, tmp_path) -> None:
    path = write(tmp_path)
    assert scanprior("info", path).code == 0
    found = scanprior("validate", path)
    assert found.code == 0 and "1 slice, 1 coil, 16 lines, 12 columns" in found.out
    arguments = ("--method", "zero-filled", "--no-baselines")
    done = scanprior("reconstruct", path, "-o", tmp_path / "out", *arguments)
    assert done.code == 0, done.err
    with h5py.File(tmp_path / "out" / "reconstruction.h5") as file:
        image = file["mean"][()]
    shifted = np.fft.ifftshift(KSPACE, axes=(-2, -1))
    right = np.fft.fftshift(np.fft.ifft2(shifted, norm="ortho"), axes=(-2, -1))
    assert np.allclose(np.abs(image), np.abs(right[:, 0]), atol=1e-5)


def test_the_hash_of_an_input_covers_all_its_files(tmp_path: Path) -> None:
    base = bart(tmp_path)
    whole = fingerprint(base)
    assert whole == fingerprint(Path(f"{base}.cfl")) == fingerprint(Path(f"{base}.hdr"))
    Path(f"{base}.hdr").write_text(Path(f"{base}.hdr").read_text() + "\n")
    assert fingerprint(base) != whole
    path = array(tmp_path)
    for text in ("{}", '{"pixel_mm": 2}'):
        before = fingerprint(path)
        path.with_suffix(".json").write_text(text)
        assert fingerprint(path) != before
