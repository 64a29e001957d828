"""CIFAR-10's binary version and image sets in colour: the right bytes, found by content; refusals."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.formats.cifar import CLASSES, read_cifar
from scanprior.formats.image_set import read_images
from scanprior.formats.read import describe, read, sniff
from scanprior.formats.scan import FormatError


def batch(path: Path, labels: list[int], seed: int = 0) -> np.ndarray:
    """Writes records of noise; returns the pictures (n, 3, 32, 32)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), np.uint8)
    path.write_bytes(
        b"".join(bytes([label]) + row.tobytes() for label, row in zip(labels, pixels, strict=True))
    )
    return pixels.reshape(-1, 3, 32, 32)


def test_a_folder_is_its_training_batches_in_order(tmp_path: Path) -> None:
    first = batch(tmp_path / "data_batch_1.bin", [6, 9, 9])
    second = batch(tmp_path / "data_batch_2.bin", [4], seed=1)
    test = batch(tmp_path / "test_batch.bin", [3, 8], seed=2)
    (tmp_path / "batches.meta.txt").write_text("airplane\n")
    pictures = read_cifar(tmp_path)
    assert pictures.shape == (4, 3, 32, 32) and len(pictures) == 4
    np.testing.assert_array_equal(pictures.load(), np.concatenate([first, second]))
    np.testing.assert_array_equal(pictures.load([3, 0, -2]), np.stack([second[0], first[0], first[2]]))
    np.testing.assert_array_equal(pictures[3], second[0])
    assert pictures[3].dtype == np.float32
    assert pictures.columns["label"].tolist() == ["frog", "truck", "truck", "deer"]
    assert len(set(pictures.groups)) == 4
    np.testing.assert_array_equal(read_cifar(tmp_path / "test_batch.bin").load(), test)


def test_red_green_blue_row_by_row(tmp_path: Path) -> None:
    record = bytearray(3073)
    record[1 + 0 * 1024 + 2 * 32 + 5] = 10  # red, row 2, column 5
    record[1 + 2 * 1024 + 31 * 32] = 30  # blue, row 31, column 0
    (tmp_path / "one.bin").write_bytes(bytes(record))
    picture = read_cifar(tmp_path / "one.bin")[0]
    assert (picture[0, 2, 5], picture[2, 31, 0], picture.sum()) == (10, 30, 40)


def test_known_by_content(tmp_path: Path) -> None:
    batch(tmp_path / "data_batch_1.bin", [1, 2])
    assert sniff(tmp_path) == sniff(tmp_path / "data_batch_1.bin") == "cifar-10"
    facts = describe(tmp_path)
    assert facts["shape"] == (2, 3, 32, 32) and facts["classes"] == list(CLASSES)
    with pytest.raises(FormatError, match="pictures in colour"):
        read(tmp_path)
    batch(tmp_path / "labels.bin", [1, 10])  # no class 10
    (tmp_path / "short.bin").write_bytes(bytes(3072))
    for name in ("labels.bin", "short.bin"):
        with pytest.raises(FormatError, match="unknown binary file"):
            sniff(tmp_path / name)
        with pytest.raises(FormatError, match="no batch of CIFAR-10"):
            read_cifar(tmp_path / name)


def colour_set(path: Path, images: np.ndarray, units: str = "RGB, 0 to 255") -> Path:
    with h5py.File(path, "w") as file:
        file["images"] = images
        file["images"].attrs["units"] = units
        file["label"] = np.array([b"a"] * len(images))
    return path


def test_image_sets_in_colour_need_nothing_but_units(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 6), np.uint8)
    images = read_images(colour_set(tmp_path / "set.h5", pixels))
    assert (images.shape, images.units, images.extent(0)) == ((5, 3, 8, 6), "RGB", (8, 6))
    np.testing.assert_array_equal(images[2], pixels[2])
    np.testing.assert_array_equal(images.load([4, 1]), pixels[[4, 1]])
    assert len(set(images.groups)) == 5
    assert list(images.columns) == ["label"]
    with pytest.raises(FormatError, match="pictures in colour"):
        read(tmp_path / "set.h5")
    for wrong, units in ((pixels[:, :2], "RGB"), (pixels[:, 0], "RGB"), (pixels, "HU")):
        with pytest.raises(FormatError, match="got images of shape"):
            read_images(colour_set(tmp_path / "wrong.h5", wrong, units))
