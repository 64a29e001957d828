"""HDF5 files that refer to other files: not followed, or only to their own folder; no fill values in place of data."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.formats.read import describe, read
from scanprior.formats.scan import FormatError
from scanprior.workflows.validate import examine

VALUES = np.arange(1, 73, dtype=np.float32).reshape(9, 8) / 72


def started(path: Path) -> h5py.File:
    file = h5py.File(path, "w")
    file["angles_deg"] = np.linspace(0, 180, 9, endpoint=False)
    file.attrs.update({"geometry": "parallel", "detector_pixel_mm": 1.0})
    return file


def virtual(file: h5py.File, source: str, name: str, rows: int = 9) -> None:
    """The sinogram's first rows from another dataset."""
    layout = h5py.VirtualLayout((9, 8), np.float32)
    layout[:rows] = h5py.VirtualSource(source, name, (rows, 8))
    file.create_virtual_dataset("sinogram", layout)


@pytest.fixture(params=["link", "storage", "virtual", "group"])
def referring(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A sinogram of which the values are in another file of its folder."""
    (tmp_path / "raw.bin").write_bytes(VALUES.tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = VALUES
    path = tmp_path / "scan.h5"
    with started(path) as file:
        if request.param == "link":
            file["sinogram"] = h5py.ExternalLink("other.h5", "data")
        elif request.param == "storage":
            file.create_dataset("sinogram", (9, 8), np.float32, external=[("raw.bin", 0, VALUES.nbytes)])
        elif request.param == "virtual":
            virtual(file, "other.h5", "data")
        else:
            file["sinogram"] = VALUES
            file["deep/down"] = h5py.ExternalLink("other.h5", "data")
    return path


def test_other_files_are_not_read_unless_allowed(
    referring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for verb in (read, describe):
        with pytest.raises(FormatError, match=r"^scan.h5: the .* refers to another file.*--allow-external"):
            verb(referring)
    monkeypatch.chdir("/")  # the folder of the file counts, not the one we are in
    assert np.array_equal(read(referring, allow_external=True).data[0], VALUES)
    assert examine(referring, allow_external=True)["usable"]


@pytest.mark.parametrize("place", ["/etc/passwd", "../outside", "below/inside", "nowhere"])
def test_files_elsewhere_are_never_read(tmp_path: Path, place: str) -> None:
    (tmp_path / "here" / "below").mkdir(parents=True)
    for path in (tmp_path / "outside", tmp_path / "here" / "below" / "inside"):
        path.write_bytes(b"x" * 72)
    (tmp_path / "here" / "soft").symlink_to(tmp_path / "outside")
    path = tmp_path / "here" / "scan.h5"
    for target in (place, "soft"):
        with started(path) as file:
            file.create_dataset("sinogram", (9, 8), np.uint8, external=[(target, 0, 72)])
        with pytest.raises(FormatError, match="refers to a file that is not in the same folder"):
            read(path, allow_external=True)


def test_what_a_file_beside_refers_to_counts_too(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset("data", (9, 8), np.uint8, external=[("/etc/passwd", 0, 72)])
    with started(tmp_path / "scan.h5") as file:
        file["sinogram"] = h5py.ExternalLink("other.h5", "data")
    with pytest.raises(
        FormatError, match=r"other.h5: the dataset 'data' refers to a file that is not in the same"
    ):
        read(tmp_path / "scan.h5", allow_external=True)


def test_a_virtual_dataset_of_its_own_file_is_read(tmp_path: Path) -> None:
    with started(tmp_path / "scan.h5") as file:
        file["part"] = VALUES
        virtual(file, ".", "part")
    assert np.array_equal(read(tmp_path / "scan.h5").data[0], VALUES)


def test_a_virtual_dataset_lacks_its_source(tmp_path: Path) -> None:
    with started(tmp_path / "scan.h5") as file:
        virtual(file, ".", "lost")
    with pytest.raises(
        FormatError, match=r"put together from 'lost' of scan.h5, where there is no such dataset"
    ):
        read(tmp_path / "scan.h5")


def test_a_virtual_dataset_lacks_rows(tmp_path: Path) -> None:
    with started(tmp_path / "scan.h5") as file:
        file["part"] = VALUES[:4]
        virtual(file, ".", "part", rows=4)
    with pytest.raises(FormatError, match="which give 32 of its 72 numbers"):
        read(tmp_path / "scan.h5")
