"""`scanprior likelihood`: a table, a CSV, figures that do not depend on the other images; refusals."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.formats.scan import Scan
from scanprior.formats.store import write_scan

SIDE = 16


def image_set(path: Path, units: str, images: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        file["images"] = images
        file["images"].attrs["units"] = units
        file["px_mm"] = np.ones(len(images), np.float32)
        file["patient"] = np.array([b"secret-name"] * len(images))
    return path


@pytest.fixture
def ct_images(tmp_path: Path) -> Path:
    """Five images, ever noisier."""
    noise = np.random.default_rng(0).normal(size=(5, SIDE, SIDE))
    images = np.arange(5)[:, None, None] * 150 * noise
    return image_set(tmp_path / "ct.h5", "HU", images.astype(np.float32))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_table_and_csv(scanprior, tmp_path: Path, ct_images: Path, ct_prior: Path) -> None:
    done = scanprior("likelihood", ct_images, "--prior", ct_prior, "-o", tmp_path / "all.csv")
    assert done.code == 0, done.err
    assert "5 images, mean" in done.out
    assert "standard error" in done.out
    assert "1 HU" in done.out
    rows = read_csv(tmp_path / "all.csv")
    assert [row["image"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert list(rows[0]) == ["image", "bits_per_dim", "nfe", "seconds"]
    assert all(int(row["nfe"]) > 20 for row in rows)
    bits = [float(row["bits_per_dim"]) for row in rows]
    assert bits == sorted(bits)  # an untrained prior is about N(0, 0.5²): noisier images cost more
    assert f"{np.mean(bits):.3f}" in done.out
    assert "secret" not in done.out + (tmp_path / "all.csv").read_text()


def test_untrained_prior_is_nearly_a_gaussian(scanprior, tmp_path: Path, ct_prior: Path) -> None:
    """F = 0 makes D that of N(0, sigma_data²): the command's figure of white noise is the Gaussian's."""
    from scanprior.pretrained.load import load, save

    prior, card = load(ct_prior)
    weights = prior.state_dict()
    zero = {k: v.zero_() if "leave.2" in k else v for k, v in weights.items()}
    save(tmp_path / "zero.safetensors", zero, card)
    x = 0.5 * np.random.default_rng(1).normal(size=(2, SIDE, SIDE))
    images = image_set(tmp_path / "noise.h5", "HU", (1000 * x).astype(np.float32))
    out = tmp_path / "noise.csv"
    done = scanprior("likelihood", images, "--prior", tmp_path / "zero.safetensors", "-o", out)
    assert done.code == 0, done.err
    x = np.clip(x, -1.024, 3.071)
    nats = 0.5 * (x**2).mean((1, 2)) / 0.25 + 0.5 * np.log(2 * np.pi * 0.25)
    expected = (nats - np.log(0.001)) / np.log(2)
    got = [float(row["bits_per_dim"]) for row in read_csv(out)]
    np.testing.assert_allclose(got, expected, atol=0.02)  # the probe's variance included


def test_limit_spreads_and_does_not_change_a_figure(scanprior, tmp_path: Path, ct_images, ct_prior) -> None:
    common = ("likelihood", ct_images, "--prior", ct_prior, "--tolerance", "1e-2")
    for name, more in (("all", ()), ("some", ("--limit", 3)), ("seed", ("--limit", 3, "--seed", 1))):
        assert scanprior(*common, "-o", tmp_path / f"{name}.csv", *more).code == 0
    everything, some, seed = (read_csv(tmp_path / f"{name}.csv") for name in ("all", "some", "seed"))
    assert [row["image"] for row in some] == ["0", "2", "4"]
    assert [row["bits_per_dim"] for row in some] == [row["bits_per_dim"] for row in everything[::2]]
    assert [row["bits_per_dim"] for row in some] != [row["bits_per_dim"] for row in seed]


def test_magnitude_images_under_a_complex_prior(scanprior, tmp_path: Path, mr_prior: Path) -> None:
    magnitude = np.abs(np.random.default_rng(0).normal(size=(1, SIDE, SIDE))).astype(np.float32)
    images = image_set(tmp_path / "mr.h5", "magnitude", magnitude)
    done = scanprior("likelihood", images, "--prior", mr_prior)
    assert done.code == 0, done.err
    assert "1 image, mean" in done.out
    phase_zero = image_set(tmp_path / "complex.h5", "complex", magnitude.astype(np.complex64))
    again = scanprior("likelihood", phase_zero, "--prior", mr_prior)
    assert again.out.splitlines()[-1] == done.out.splitlines()[-1]


def test_refusals(scanprior, tmp_path: Path, ct_images: Path, ct_prior, mr_prior, ct_scan: Scan) -> None:
    write_scan(tmp_path / "scan.h5", ct_scan)
    (tmp_path / "old.csv").write_text("precious")
    before = sorted(tmp_path.iterdir())
    cases = [
        ((tmp_path / "scan.h5",), "holds measured data"),
        ((tmp_path / "gone.h5",), "does not exist"),
        ((ct_images, "--prior", mr_prior), "is of MR images, ct.h5 holds CT; choose another --prior"),
        ((ct_images, "--limit", 0), "--limit: got 0, expected at least 1"),
        ((ct_images, "--tolerance", 0), "--tolerance: got 0"),
        ((ct_images, "-o", tmp_path / "old.csv"), "add --overwrite"),
        ((ct_images, "-o", tmp_path / "no" / "x.csv"), "its parent folder does not exist"),
    ]
    for arguments, words in cases:
        done = scanprior("likelihood", *arguments)
        assert done.code == 2, done
        assert words in done.err
        assert done.err.strip().count("\n") == 0
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "old.csv").read_text() == "precious"


def test_images_come_in_the_units_of_the_card(tmp_path: Path) -> None:
    """A network that saw -1000 to 1000 HU as [0, 1]; and one whose card leaves the map to its defaults."""
    from scanprior.pretrained.card import Card
    from scanprior.workflows.images import ImageSets

    hu = np.full((1, 4, 4), -1000, np.float32)
    hu[0, 0] = 1000
    hu[0, 1] = 5000  # beyond the window
    path = image_set(tmp_path / "ct.h5", "HU", hu)
    expected = {"hu_per_unit=2000": (1, 1, 0), "default": (1, 1, -1)}
    maps = {"hu_per_unit=2000": {"hu_per_unit": 2000.0, "hu_at_zero": -1000.0}, "default": {}}
    for name, numbers in maps.items():
        intensity = {"kind": "attenuation", **numbers}
        card = Card("any", "CT", 1, 0.5, intensity, {"name": "unet"}, (-1000.0, 1000.0))
        image = ImageSets([path], card)[0]
        assert image.dtype == np.float32
        np.testing.assert_allclose(image[:3, 0], expected[name], atol=1e-6)
