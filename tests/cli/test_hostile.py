"""A file that kills its reader: every verb says so in one line, exit code 2, and writes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.cli.main import main
from scanprior.formats import layouts
from scanprior.formats.reader import Reader


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sinogram whose reader dies."""
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["sinogram"], file["angles_deg"] = np.ones((9, 8), np.float32), np.arange(0, 180, 20.0)
        file.attrs.update({"geometry": "parallel", "detector_pixel_mm": 1.0})
    reader = Reader("simple-sinogram", lambda *_, **__: os.abort(), lambda *_, **__: os.abort())
    monkeypatch.setitem(layouts._READERS, "simple-sinogram", reader)
    return tmp_path / "scan.h5"


@pytest.mark.parametrize(
    "verb",
    [
        ["info"],
        ["validate"],
        ["simulate", "--ct", "views=9", "-o", "new.h5"],
        ["reconstruct", "--method", "fbp", "-o", "new"],
    ],
)
def test_one_line_and_nothing_written(
    deadly: Path, verb: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(deadly.parent)
    with pytest.raises(SystemExit) as left:
        main([*verb, str(deadly)])
    out, err = capfd.readouterr()
    words = out if verb == ["validate"] else err
    assert left.value.code == 2
    assert "scan.h5: the file is damaged (the reader crashed); copy it again" in words
    assert len(err.splitlines()) <= 1 and "Traceback" not in err
    assert [path.name for path in deadly.parent.iterdir()] == ["scan.h5"]


def test_what_may_be_taken_and_followed_is_said_on_the_command_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.ones((3, 1000, 500), np.float32)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["sinogram"], file["angles_deg"] = h5py.ExternalLink("other.h5", "data"), np.arange(1000) * 0.18
        file.attrs.update({"geometry": "parallel", "detector_pixel_mm": 1.0})
    for options, code, words in (
        ([], 2, "--allow-external"),
        (["--allow-external", "--max-memory", "0.005"], 2, "would take 0.006 GB, more than the 0.005 GB"),
        (["--allow-external"], 0, "usable"),
    ):
        with pytest.raises(SystemExit) as left:
            main(["validate", *options, str(tmp_path / "scan.h5")])
        assert words in "".join(capfd.readouterr())
        assert (left.value.code or 0) == code
