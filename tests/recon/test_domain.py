"""Outside of a prior's world, and worse than what anything must beat."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scanprior.operators.noise import Gaussian
from scanprior.operators.pixel import Inpainting
from scanprior.recon.domain import beyond, noise_residual, outside, worse
from scanprior.recon.problem import Problem

CARD = {"pixel_mm": (1.08, 1.95), "matrix": (256, 256), "window": (-1024.0, 3071.0)}


@pytest.mark.parametrize(
    ("matrix", "pixel", "words"),
    [
        ((256, 256), (1.5, 1.5), []),
        ((128, 200), (1.0, 1.0), []),  # half of the training's, a tenth below its range
        ((256, 256), (0.1, 0.1), ["pixel size: the prior learned from 1.08 to 1.95 mm, the scan has 0.1 mm"]),
        ((256, 256), (2.5, 2.5), ["pixel size: the prior learned from 1.08 to 1.95 mm, the scan has 2.5 mm"]),
        (
            (256, 256),
            (1.5, 2.5),
            ["pixel size: the prior learned from 1.08 to 1.95 mm, the scan has 1.5 x 2.5 mm"],
        ),
        ((256, 256), None, []),  # not known: it cannot be said
        ((512, 512), (1.5, 1.5), ["matrix: the prior learned from 256 x 256, the scan has 512 x 512"]),
        ((100, 256), (1.5, 1.5), ["matrix: the prior learned from 256 x 256, the scan has 100 x 256"]),
    ],
)
def test_pixels_and_matrix(matrix, pixel, words) -> None:
    assert outside(CARD, matrix, pixel) == words
    assert outside({}, matrix, pixel) == []


def test_intensities() -> None:
    image = np.full((1, 10, 10), 40.0, np.float32)
    assert beyond(CARD, image, "HU") == []
    image[0, 0, :2] = -1500.0, 9000.0
    assert beyond(CARD, image, "HU")[0].startswith(
        "intensities: 2.0% of the pixels lie outside of -1024 to 3071 HU"
    )
    assert beyond({}, image, "HU") == []


def figures(psnr: list[float], residual: list[float]) -> dict[str, np.ndarray]:
    return {"psnr": np.array(psnr), "residual": np.array(residual)}


def test_worse_than_the_floor() -> None:
    none, floor = np.zeros(3), figures([21.7, 21.7, 21.7], [0.03, 0.03, 0.03])
    good = figures([30.0, 30, 30], [0.02, 0.02, 0.02])
    assert worse(good, floor, "FBP", none, [4, 5, 6]) == []
    bad = figures([18.9, 30, 18.9], [0.02, 0.02, 0.02])
    assert worse(bad, floor, "FBP", none, [4, 5, 6]) == [
        "worse than FBP: PSNR 18.90 dB, FBP has 21.70, in slices 4, 6; do not trust this reconstruction"
    ]
    off = figures([30.0, 30, 30], [0.02, 0.05, 0.02])
    (line,) = worse(off, floor, "FBP", none, [4, 5, 6])
    assert "data residual 0.0500, FBP has 0.0300 and the noise leaves 0.0000, in slice 5;" in line
    assert worse(off, floor, "FBP", none + 0.03, [4, 5, 6]) == []  # the noise alone leaves as much
    residuals = {"residual": np.array([0.009])}  # one coil, zero-filled: fits its samples exactly
    assert worse(residuals, {"residual": np.zeros(1)}, "zero-filled", np.zeros(1), [0]) == []
    assert worse({"residual": np.ones(1)}, {"residual": np.zeros(1)}, "zero-filled", np.zeros(1), [0])


def test_what_the_noise_leaves_is_what_the_truth_leaves() -> None:
    mask = torch.zeros(40, 40, dtype=torch.bool)
    mask[::2] = True
    A = Inpainting(mask)
    x = torch.rand(2, 40, 40, generator=torch.Generator().manual_seed(0)) + 1
    n = 0.1 * torch.randn(2, 40, 40, generator=torch.Generator().manual_seed(1)) * mask
    y = A(x) + n
    got = noise_residual(Problem(y, A, Gaussian(0.1)))
    want = n.flatten(1).norm(dim=1) / y.flatten(1).norm(dim=1)
    np.testing.assert_allclose(got, want, rtol=0.1)
    np.testing.assert_array_equal(noise_residual(Problem(y, A)), [0, 0])
