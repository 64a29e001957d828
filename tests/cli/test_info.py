"""`scanprior info`: readable, JSON for scripts, no person in it."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.cli.main import app
from scanprior.formats.scan import Scan
from scanprior.formats.store import write_scan
from scanprior.geometry import ParallelBeam
from scanprior.report.words import lines
from typer.testing import CliRunner


def call(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def scan_file(tmp_path: Path) -> Path:
    geometry = ParallelBeam(np.linspace(0, 3, 7), 9, 1.5)
    data = np.ones((2, 7, 9), np.float32)
    write_scan(tmp_path / "scan.h5", Scan("ct", data, (8, 8), 1.5, geometry, header={"kv": 120}))
    return tmp_path / "scan.h5"


def test_info_says_what_the_file_is(scan_file: Path) -> None:
    out = call("info", scan_file)
    assert "scan.h5" in out
    assert "scanprior-scan" in out
    assert "(2, 7, 9) float32" in out
    assert "detector spacing" in out
    assert str(scan_file.parent) not in out  # folders can hold names of patients


def test_info_json_is_json_and_holds_the_same(scan_file: Path) -> None:
    facts = json.loads(call("info", scan_file, "--json"))
    assert facts["kind"] == "ct"
    assert facts["matrix"] == [8, 8]
    assert facts["header"] == {"kv": 120}


def test_facts_are_aligned_and_long_lists_cut() -> None:
    got = list(lines({"a": 1.0, "bb_c": True, "t": {"x": list(range(20))}, "d": [{"n": 1}, {"n": 2}]}))
    assert got[:2] == ["a     1", "bb c  yes"]
    assert got[2:4] == ["t", "  x  0, 1, 2, 3, 4, 5, 6, 7, … (20 in all)"]
    assert got[4:] == ["d 1", "  n  1", "d 2", "  n  2"]


def test_info_does_not_print_who_was_scanned(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "set.h5", "w") as file:
        file["images"] = np.zeros((2, 4, 4), np.uint16)
        file["images"].attrs["units"] = "HU + 1024"
        file["px_mm"] = np.ones(2)
        file["patient"] = np.array(["DOE^JANE", "DOE^JOHN"], dtype=h5py.string_dtype())
    for verb in ("info", "validate"):
        assert "DOE" not in call(verb, tmp_path / "set.h5")
        assert "DOE" not in call(verb, tmp_path / "set.h5", "--json")
