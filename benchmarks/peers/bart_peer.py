"""BART's `pics` (Uecker et al.; Debian package `bart`) for Cartesian MRI, with our maps and mask, one slice a call:

    wavelet           bart pics -S -i 100 -R W:3:0:lambda       FISTA, as many iterations as our L1-wavelet
    total variation   bart pics -S -i 100 -R T:3:0:lambda       ADMM

Everything else is BART's default (random shifts of the wavelet grid included); it finds the mask by the zeros of
k-space and scales the data itself, so that lambda belongs to images of size one. The time of a call includes BART's
start and its files, some 0.1 s.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from scanprior.operators.mri import CartesianMRI
from scanprior.recon.problem import Problem
from torch import Tensor

from .cfl import read_cfl, write_cfl

WAVELET, TOTAL_VARIATION = "W", "T"


def available() -> bool:
    return shutil.which("bart") is not None


def pics(problem: Problem, weight: float, kind: str, iterations: int = 100) -> Tensor:
    """One slice: (1, H, W) complex64, in the units of k-space. Raises ValueError for another operator or more
    slices, and CalledProcessError where BART fails."""
    operator = problem.operator
    if not isinstance(operator, CartesianMRI) or len(problem.y) != 1:
        raise ValueError(
            f"got {len(problem.y)} slices of {operator!r}, expected one of a CartesianMRI operator"
        )
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder) / name for name in ("kspace", "maps", "image")]
        for name, array in zip(names, (problem.y, operator.maps), strict=False):
            coils = array.reshape(operator.range).cpu().numpy()
            write_cfl(name, coils.transpose(1, 2, 0)[:, :, None])  # (H, W, 1, coils)
        command = [
            "bart",
            "pics",
            "-S",
            "-i",
            str(iterations),
            "-R",
            f"{kind}:3:0:{weight:g}",
            *map(str, names),
        ]
        subprocess.run(command, check=True, capture_output=True)
        image = read_cfl(names[2])
    return torch.from_numpy(image.reshape(operator.domain)[None].copy())
