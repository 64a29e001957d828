"""Tiny scans and images for the command line's tests, and the command line itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scanprior.cli.main import main
from scanprior.formats.scan import Scan, Volume
from scanprior.recon.simulate import CTSimulation, MRISimulation, simulate

SIDE = 32


@dataclass(frozen=True)
class Outcome:
    """What a call of the command line left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def scanprior(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """scanprior("reconstruct", path, "-o", out): the real entry point, in this process."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        return Outcome(code, *capsys.readouterr())

    return call


def head(slices: int = 2) -> np.ndarray:
    """A disc with a hole and a rim, 0 to 1, (slices, SIDE, SIDE)."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    radius = np.hypot(x, y)
    image = (
        0.7 * (radius < 0.8) + 0.3 * ((radius < 0.8) & (radius > 0.65)) - 0.4 * (np.hypot(x - 0.2, y) < 0.2)
    )
    return np.stack([image * (1 - 0.1 * z) for z in range(slices)]).astype(np.float32)


@pytest.fixture(scope="session")
def ct_volume() -> Volume:
    return Volume(1000 * (head() - 1) + 300 * (head() > 0.8), "HU", "CT", (2.0, 4.0, 4.0), source="body.h5")


@pytest.fixture(scope="session")
def mr_volume() -> Volume:
    return Volume(100 * head(), "magnitude", "MR", (2.0, 4.0, 4.0), source="head.h5")


@pytest.fixture(scope="session")
def ct_scan(ct_volume: Volume) -> Scan:
    return simulate(ct_volume, CTSimulation(views=12, photons=1e5))


@pytest.fixture(scope="session")
def mri_scan(mr_volume: Volume) -> Scan:
    """Twofold undersampled by three coils, with calibration lines, without maps."""
    return replace(simulate(mr_volume, MRISimulation(accel=2, coils=3, center=0.3)), maps=None)
