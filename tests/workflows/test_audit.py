"""`scanprior audit`: a table of checks of a scan, flags in words, and a refusal in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scanprior.cli.main import main
from scanprior.formats.scan import Volume
from scanprior.formats.store import write_scan
from scanprior.workflows.progress import SILENT
from scanprior.workflows.simulate import simulate

SETTINGS = ["--options", "steps=2", "--device", "cpu", "--quiet"]


def phantom(size: int = 48) -> np.ndarray:
    """A body with lungs, in HU, (1, size, size)."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    body = np.where((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1, 40.0, -1000.0)
    for side in (-1, 1):
        body[((x - 0.35 * side) / 0.2) ** 2 + (y / 0.35) ** 2 < 1] = -800
    return body[None].astype(np.float32)


@pytest.fixture(scope="module")
def ct_scan(tmp_path_factory) -> Path:
    """A simulated CT scan of the phantom."""
    volume = Volume(phantom(), "HU", "CT", (1.0, 4.0, 4.0))  # type: ignore[arg-type]
    path = tmp_path_factory.mktemp("scan") / "ct.h5"
    write_scan(path, simulate(volume, "ct:views=24,photons=1e5", progress=SILENT))
    return path


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["audit", *words])
    return int(left.value.code or 0)


def test_a_scan_in_a_table_out(ct_scan, ct_prior, capsys) -> None:
    assert run(str(ct_scan), "--prior", str(ct_prior), "--json", *SETTINGS) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"residual of the samples, over the noise", "error in data held out, relative"} <= {
        line["check"] for line in found["table"]
    }
    (one,) = found["by_slice"]
    assert 0 <= one["data_share"] <= 1
    assert one["centre"] < 0.1 and one["sway"] < 0.1  # the simulation's geometry is right
    assert found["compared"]["with"] == "the limits of theory"
