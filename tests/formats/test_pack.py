"""Training packs: what is written is what is read, flat memory, one open file a process, and the split."""

import json
import multiprocessing
import os
import pickle
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.formats.collect import LeftOut
from scanprior.formats.image_set import read_images
from scanprior.formats.pack import SPLITS, PackWriter, place_of, secret_of, split_of, stored
from scanprior.formats.scan import FormatError


def pack(folder, images, units="HU"):
    """One series of one patient in train."""
    folder.mkdir()
    with PackWriter(folder, units, images.shape[-1], b"key") as writer:
        rows = np.stack([stored(image, units) for image in images])
        writer.add("SECRET", "train", rows, [0.7] * len(images), [(6, 8)] * len(images), "dicom")
        writer.finish({"preset": "x"}, [])
    return folder / "train.h5"


@pytest.mark.parametrize("units", ["HU", "magnitude", "complex"])
def test_round_trip(units, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(-1024, 3000, (5, 8, 8)).astype(np.float32)
    if units != "HU":
        images = np.abs(images) * 1e-7
    if units == "complex":
        images = (images * np.exp(1j * rng.uniform(-3, 3, images.shape))).astype(np.complex64)
    back = read_images(pack(tmp_path / "p", images, units))
    assert back.units == units and back.shape == (5, 8, 8)
    np.testing.assert_array_equal(back.load(), images)
    np.testing.assert_array_equal(np.stack([back[i] for i in range(5)]), images)
    assert back[-1].dtype == images.dtype and np.array_equal(back[-1], images[-1])
    assert back.extent(2) == (6, 8) and np.allclose(back.pixel_mm, 0.7)
    assert list(back.columns["slice"]) == [0, 1, 2, 3, 4]
    assert np.array_equal(back.volume([0]).data, np.abs(images[:1]) if units == "complex" else images[:1])
    with h5py.File(tmp_path / "p" / "train.h5") as file:
        assert file["images"].chunks == (1, 8, 8)


def test_hu_are_rounded_and_kept_within_16_bits(tmp_path):
    values = np.asarray([[-5000.0, -1024.4, 0.4], [0.6, 3000.5, 1e6], [1, 2, 3]], np.float32)
    back = read_images(pack(tmp_path / "p", values[None]))[0]
    np.testing.assert_array_equal(back, [[-1024, -1024, 0], [1, 3000, 65535 - 1024], [1, 2, 3]])


def test_series_are_appended_under_labels_of_the_pack(tmp_path):
    labels = []
    for run in "ab":
        (tmp_path / run).mkdir()
        with PackWriter(tmp_path / run, "magnitude", 4, run.encode()) as writer:
            image = np.ones((2, 4, 4), np.float32)
            writer.add("one", "train", image, [1.0] * 2, [(4, 4)] * 2, "nifti")
            writer.add("two", "val", 2 * image[:1], [2.0], [(4, 4)], "dicom")
            writer.add("one", "train", 3 * image[:1], [1.5], [(4, 4)], "dicom")
            left = [LeftOut("a/b.dcm", "localizer"), LeftOut("c.nii", "empty", "why", 4)]
            manifest = writer.finish({"preset": "mine"}, left)
        assert json.loads((tmp_path / run / "manifest.json").read_text()) == manifest
        assert manifest["counts"] == {
            "train": {"patients": 1, "images": 3},
            "val": {"patients": 1, "images": 1},
            "test": {"patients": 0, "images": 0},
            "calib": {"patients": 0, "images": 0},
        }
        assert manifest["left_out"] == {"empty": 4, "localizer": 1} and manifest["preset"] == "mine"
        one = manifest["patients"][0]
        assert one["sources"] == ["dicom", "nifti"] and one["pixel_mm"] == [1.0, 1.5] and one["images"] == 3
        train = read_images(tmp_path / run / "train.h5")
        assert list(train.load()[:, 0, 0]) == [1, 1, 3] and set(train.groups) == {one["patient"]}
        assert list(train.columns["series"]) == [0, 0, 2]
        assert (tmp_path / run / "left_out.csv").read_text().splitlines() == [
            "file,images,reason,detail",
            "a/b.dcm,1,localizer,",
            "c.nii,4,empty,why",
        ]
        assert not (tmp_path / run / "test.h5").exists()
        labels += [p["patient"] for p in manifest["patients"]]
    assert len(set(labels)) == 4


def test_labels_and_order_follow_from_all_files_and_nothing_else(tmp_path):
    for name, size in (("a", 10_000), ("b", 5_000), ("c", 10)):
        (tmp_path / name).write_bytes(np.random.default_rng(size).bytes(size))
    files = [tmp_path / name for name in "abc"]
    secret, order = secret_of(files), lambda key: sorted(map(str, range(50)), key=lambda p: place_of(p, key))
    assert secret_of(files) == secret and order(secret) == order(secret) != order(secret_of(files[:2]))
    pixels = bytearray((tmp_path / "a").read_bytes())
    pixels[5_000] ^= 1  # in the middle
    (tmp_path / "a").write_bytes(pixels)
    assert secret_of(files) != secret
    (tmp_path / "b").unlink()
    assert len(secret_of(files)) == 32  # what cannot be read has its reason elsewhere


# --- the split
def test_the_split_has_the_parts_asked_for_and_is_a_function_of_the_patient():
    keys = [f"patient {k}" for k in range(4000)]
    splits = [split_of(key, 0, 0.1, 0.2) for key in keys]
    shares = [splits.count(name) / len(keys) for name in SPLITS]
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2, 0], atol=0.02)
    calibrated = [split_of(key, 0, 0.1, 0.2, 0.3) for key in keys]  # it takes from train only
    assert abs(calibrated.count("calib") / len(keys) - 0.3) < 0.02
    assert {a for a, b in zip(splits, calibrated, strict=True) if a != b} == {"train"}
    assert splits == [split_of(key, 0, 0.1, 0.2) for key in keys]
    assert splits != [split_of(key, 1, 0.1, 0.2) for key in keys]
    assert {split_of(key, 0, 0.0, 0.0) for key in keys} == {"train"}
    more = [split_of(key, 0, 0.2, 0.2) for key in keys]  # a larger part for validation takes from train only
    assert {(a, b) for a, b in zip(splits, more, strict=True) if a != b} == {("train", "val")}


# --- lazy reading
def large(path, count=400, n=64):
    """A compressible image set of 400 images whose pixels say which it is."""
    with h5py.File(path, "w") as file:
        file.create_dataset("images", (count, n, n), "u2", chunks=(1, n, n), compression="gzip").attrs[
            "units"
        ] = "HU + 1024"
        for k in range(count):
            file["images"][k] = k + 1024
        file["px_mm"], file["patient"] = np.ones(count, "f4"), np.full(count, b"a", "S1")
    return path


def test_memory_stays_flat_however_many_images_are_read(tmp_path):
    images = read_images(large(tmp_path / "l.h5", 300, 256))
    whole = 4 * np.prod(images.shape)  # 79 MB
    order = np.random.default_rng(0).permutation(len(images))
    assert images[0][5, 5] == 0
    before = resident()
    tracemalloc.start()
    assert all(images[int(k)][5, 5] == k for k in order)
    peak, grown = tracemalloc.get_traced_memory()[1], resident() - before  # Python's, and with HDF5's
    tracemalloc.stop()
    assert peak < 0.03 * whole, (peak, whole)
    assert grown < 0.3 * whole, (grown, whole)


def resident():
    """Memory of this process [bytes]."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if pages.exists() else 0


def test_the_file_is_opened_once(tmp_path, monkeypatch):
    images = read_images(large(tmp_path / "l.h5", 3))
    opened = []
    original = h5py.File.__init__

    def counting(self, *arguments, **options):
        opened.extend(a for a in arguments[:1] if isinstance(a, Path))
        original(self, *arguments, **options)

    monkeypatch.setattr(h5py.File, "__init__", counting)
    for k in (0, 2, 1, 0):
        assert images[k][0, 0] == k
    assert len(opened) == 1
    assert pickle.loads(pickle.dumps(images))[2][0, 0] == 2
    assert len(opened) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_processes_read_at_the_same_time(tmp_path):
    images = read_images(large(tmp_path / "l.h5"))
    assert images[7][0, 0] == 7  # open before the fork
    children = []
    for seed in range(3):
        child = os.fork()
        if child == 0:
            order = np.random.default_rng(seed).integers(0, len(images), 300)
            os._exit(0 if all((images[int(k)] == k).all() for k in order) else 1)
        children.append(child)
    assert all((images[int(k)] == k).all() for k in range(300))
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]


def test_spawned_processes_open_their_own(tmp_path):
    images = read_images(large(tmp_path / "l.h5", 20))
    assert images[3][0, 0] == 3
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        values = pool.map(images.__getitem__, [4, 19])
    assert [int(v[0, 0]) for v in values] == [4, 19]


def test_a_file_that_broke_meanwhile_is_one_clear_error(tmp_path):
    path = large(tmp_path / "l.h5", 20)
    images = read_images(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FormatError, match=r"l\.h5: the HDF5 file cannot be read"):
        images[15]


# --- refusals
def test_complex_numbers_and_units_must_agree(tmp_path):
    for units, kind in (("complex", "f4"), ("magnitude", "c8"), ("HU", "c8")):
        with h5py.File(tmp_path / "i.h5", "w") as file:
            file["images"], file["px_mm"], file["patient"] = np.ones((1, 2, 2), kind), [1.0], ["a"]
            file["images"].attrs["units"] = units
        with pytest.raises(FormatError, match="expected complex numbers for"):
            read_images(tmp_path / "i.h5")
