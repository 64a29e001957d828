"""Small scans and the shared real data."""

from pathlib import Path

import numpy as np
import pytest
from scanprior.formats.scan import Scan
from scanprior.geometry import FanBeam

_DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture
def shared() -> Path:
    if not _DATA.is_dir():
        pytest.skip(f"the shared data are not at {_DATA}")
    return _DATA


@pytest.fixture
def ct_scan() -> Scan:
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    geometry = FanBeam(angles, 8, 1.2, 500.0, 900.0, curved=True, offset=0.25)
    return Scan(
        "ct",
        rng.random((3, 6, 8), dtype=np.float32),
        (7, 5),
        1.5,
        geometry=geometry,
        noise={"type": "photon", "photons": 1e5, "electronic": 3.0},
        counts=rng.poisson(100, (3, 6, 8)).astype(np.float32),
        truth=rng.random((3, 7, 5), dtype=np.float32),
        header={"modality": "CT", "mu_water": 0.019, "views": 6},
        source="scan.h5",
    )


@pytest.fixture
def mri_scan() -> Scan:
    rng = np.random.default_rng(1)
    mask = np.zeros((6, 4), dtype=bool)
    mask[:, [1, 2]] = True
    noise = rng.standard_normal((2, 3, 6, 4, 2)).astype(np.float32)
    kspace = (noise[..., 0] + 1j * noise[..., 1]) * mask
    maps = (noise[..., 1] + 1j * noise[..., 0]).astype(np.complex64)
    truth = maps[:, 0]
    return Scan(
        "mri",
        kspace.astype(np.complex64),
        (6, 4),
        0.9,
        mask=mask,
        maps=maps,
        noise={"type": "complex_gaussian", "sigma": 0.1},
        truth=truth,
        header={"modality": "MR"},
        source="brain.h5",
    )
