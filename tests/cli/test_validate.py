"""`scanprior validate`: defects are found, notes are right, the exit code follows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.cli.main import app
from scanprior.formats.scan import FormatError, Scan
from scanprior.formats.store import write_scan
from scanprior.geometry import ParallelBeam
from typer.testing import CliRunner


def call(path: Path) -> tuple[int, dict]:
    done = CliRunner().invoke(app, ["validate", str(path), "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    found = json.loads(done.stdout)
    assert found["usable"] == (done.exit_code == 0)
    return done.exit_code, found


def ct(angles: np.ndarray, **changes) -> Scan:
    """A disc in the middle, seen by 33 detectors."""
    profile = np.sqrt(np.clip(1 - (np.arange(-16, 17) / 12) ** 2, 0, None))
    data = np.broadcast_to(profile, (1, len(angles), 33)).astype(np.float32)
    geometry = ParallelBeam(angles, data.shape[-1], 1.0)
    return replace(Scan("ct", data, (32, 32), 1.0, geometry, source="disc.h5"), **changes)


def mri(mask: np.ndarray | None, coils: int = 4, seed: int = 0, **changes) -> Scan:
    rng = np.random.default_rng(seed)
    data = (rng.standard_normal((1, coils, 32, 32)) + 1j * rng.standard_normal((1, coils, 32, 32))).astype(
        np.complex64
    )
    return replace(Scan("mri", data if mask is None else data * mask, (32, 32), 1.0, mask=mask), **changes)


def lines_mask(centre: int) -> np.ndarray:
    mask = np.zeros((32, 32), bool)
    mask[::4] = True
    mask[16 - centre // 2 : 16 - centre // 2 + centre] = True
    return mask


def notes(tmp_path: Path, scan: Scan) -> str:
    write_scan(tmp_path / "scan.h5", scan)
    code, found = call(tmp_path / "scan.h5")
    assert code == 0, found
    return "\n".join(found["notes"])


# --- CT
FULL = np.linspace(0, np.pi, 60, endpoint=False)


def test_a_good_sinogram_has_nothing_to_note(tmp_path: Path) -> None:
    scan = ct(FULL, noise={"type": "photon", "photons": 1e5, "electronic": 0.0}, header={"mu_water": 0.02})
    assert notes(tmp_path, scan) == ""


def test_what_is_not_stated_is_noted(tmp_path: Path) -> None:
    said = notes(tmp_path, ct(FULL))
    assert "noise level is not known" in said
    assert "mu_water" in said
    assert "limited angle" not in said


def test_few_views_and_a_limited_arc(tmp_path: Path) -> None:
    assert "12 views" in notes(tmp_path, ct(np.linspace(0, np.pi, 12, endpoint=False)))
    said = notes(tmp_path, ct(np.linspace(0, 2 * np.pi / 3, 60)))
    assert "58° of the 180°" in said  # 60 views of 2° each


def test_views_across_the_circle_count_as_opposite(tmp_path: Path) -> None:
    two_arcs = np.concatenate([np.linspace(0, 1.6, 50), np.linspace(1.6 + np.pi, 2 * np.pi, 50)])
    assert "limited angle" not in notes(tmp_path, ct(two_arcs))
    twice = notes(tmp_path, ct(np.linspace(0, 4 * np.pi, 48, endpoint=False)))
    assert "48 views of 12 directions" in twice and "limited angle" not in twice


def test_a_truncated_object_is_noted(tmp_path: Path) -> None:
    data, beam = ct(FULL).data[..., 8:-8].copy(), ParallelBeam(FULL, 17, 1.0)
    assert "field of view" in notes(tmp_path, ct(FULL, data=data, geometry=beam))


def test_a_defective_scan_is_not_usable(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    write_scan(path, ct(FULL))
    with h5py.File(path, "r+") as file:
        file["data"][0, 3, 3] = np.nan
        file["geometry"].attrs["detector_spacing"] = -1.0
    code, found = call(path)
    assert code == 2
    assert len(found["problems"]) == 2  # all of them, not the first only
    assert "NaN" in found["problems"][0]
    assert "detector spacing" in found["problems"][1]
    text = CliRunner().invoke(app, ["validate", str(path)])
    assert text.exit_code == 2
    assert "not usable" in text.stdout


def test_no_geometry_is_a_problem(tmp_path: Path) -> None:
    write_scan(tmp_path / "scan.h5", ct(FULL))
    with h5py.File(tmp_path / "scan.h5", "r+") as file:
        del file["geometry"]
    assert "no geometry" in call(tmp_path / "scan.h5")[1]["problems"][0]


def test_an_unknown_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(FormatError, match="text file"):
        call(tmp_path / "notes.txt")


# --- MRI
def test_calibration_lines_decide(tmp_path: Path) -> None:
    assert "ESPIRiT from the fully sampled centre (9 x 32)" in notes(tmp_path, mri(lines_mask(9)))
    write_scan(tmp_path / "few.h5", mri(lines_mask(3)))
    code, found = call(tmp_path / "few.h5")
    assert code == 2
    assert "no coil maps" in found["problems"][0]
    maps = np.full((1, 4, 32, 32), 0.5, np.complex64)
    assert "coil maps" not in notes(tmp_path, mri(lines_mask(3), maps=maps))
    assert "one coil" in notes(tmp_path, mri(lines_mask(3), coils=1))


def test_full_sampling_and_symmetry(tmp_path: Path) -> None:
    assert "fully sampled: nothing is missing" in notes(tmp_path, mri(None))
    for size in (32, 31):  # a real image has a symmetric transform, whatever the parity
        image = np.random.default_rng(1).random((size, size))
        k = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image), norm="ortho")).astype(np.complex64)[
            None, None
        ]
        for unit in (1e-30, 1, 1e30):
            scan = mri(None, data=k * np.float32(unit), matrix=(size, size))
            assert "magnitude images" in notes(tmp_path, scan), unit
        turned = k * np.exp(0.3j * np.arange(size))[:, None].astype(np.complex64)
        assert "magnitude images" not in notes(tmp_path, mri(None, data=turned, matrix=(size, size)))


# --- images
def test_image_sets(tmp_path: Path) -> None:
    path = tmp_path / "set.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((3, 4, 4), np.float32)
        file["images"].attrs["units"] = "magnitude"
        file["px_mm"] = np.array([0.5, 1.0, 1.0])  # of several sizes: fine for training, no volume
        file["patient"] = np.array(["a", "a", "b"], dtype=h5py.string_dtype())
    code, found = call(path)
    assert code == 0
    assert "3 images of 2 patients" in found["what"]
    assert any("memorise" in note for note in found["notes"])
    with h5py.File(path, "r+") as file:
        file["images"][1, 0, 0] = np.inf
    code, found = call(path)
    assert code == 2
    assert "image 1" in found["problems"][0]
