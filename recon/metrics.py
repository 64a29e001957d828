"""How far a reconstruction is from the truth, and from the data.

    PSNR = 20 log10(range / rms(x - t)),      NRMSE = ||x - t|| / ||t||,      SSIM: Wang et al. 2004
    (10.1109/TIP.2003.819861)

PSNR and SSIM depend on conventions (the same pair of images has an SSIM of .339 in one and .325 in another),
so the data range and the variant are always named by the caller, and the two helpers at the end say which
they fix. Every metric is taken slice by slice: (H, W) or (B, H, W), numpy or torch, gives one number a slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..operators.linear import LinearOperator

LEAST_VIF = 41
WINDOW_HU = (-1000.0, 1000.0)  # of CT's figures, unless another is named
Image = Tensor | NDArray[Any]
Floats = NDArray[np.float64]


def psnr(image: Image, truth: Image, *, data_range: float) -> Floats:
    """Peak signal-to-noise ratio [dB] of each slice, (B,); infinite where the images are equal.

    Args:
        image: (H, W) or (B, H, W), real.
        truth: same shape.
        data_range: the peak, in the images' units.
    """
    x, t = _pair(image, truth, data_range)
    error = ((x - t) ** 2).mean((1, 2))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(data_range**2 / error)


def nrmse(image: Image, truth: Image) -> Floats:
    """||x - t|| / ||t|| of each slice, (B,)."""
    x, t = _pair(image, truth)
    return np.sqrt(((x - t) ** 2).sum((1, 2)) / (t**2).sum((1, 2)))


def rmse(image: Image, truth: Image) -> Floats:
    """Root mean square error of each slice, in the images' units, (B,)."""
    x, t = _pair(image, truth)
    return np.sqrt(((x - t) ** 2).mean((1, 2)))


def ssim(
    image: Image, truth: Image, *, data_range: float, variant: Literal["uniform7", "gaussian"]
) -> Floats:
    """Structural similarity of each slice, (B,), by scikit-image.

    Args:
        data_range: as in `psnr`.
        variant: "uniform7": 7 x 7 uniform windows and the sample covariance, as fastMRI and scikit-image's
            default; "gaussian": Gaussian windows of sigma 1.5 and the population covariance, as Wang et al.
    """
    from skimage.metrics import structural_similarity

    x, t = _pair(image, truth, data_range)
    if variant == "uniform7":
        options: dict[str, Any] = {"win_size": 7}
    elif variant == "gaussian":
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    else:
        raise ValueError(f"ssim: got variant={variant!r}, expected 'uniform7' or 'gaussian'")
    values = [structural_similarity(t[i], x[i], data_range=data_range, **options) for i in range(len(x))]
    return np.array(values, dtype=np.float64)


def vif(image: Image, truth: Image, *, data_range: float) -> Floats:
    """Visual information fidelity in the pixel domain of each slice, (B,), by torchmetrics: 1 for equal images
    (Sheikh & Bovik 2006, 10.1109/TIP.2005.859378); of the metrics in use, among the nearest to what radiologists
    see in MRI (Mason et al. 2020, 10.1109/TMI.2019.2930338). NaN below `LEAST_VIF` pixels a side.

    Args:
        data_range: width of the grey scale, in the images' units; it is mapped to the 255 of the paper.
    """
    from torchmetrics.functional.image import visual_information_fidelity

    x, t = (torch.from_numpy(a)[:, None] * (255 / data_range) for a in _pair(image, truth, data_range))
    if min(x.shape[-2:]) < LEAST_VIF:
        return np.full(len(x), np.nan)
    values = [visual_information_fidelity(x[i : i + 1], t[i : i + 1]) for i in range(len(x))]
    return np.array([float(value) for value in values])


def ct_slices(image_hu: Image, truth_hu: Image, window: tuple[float, float] = WINDOW_HU) -> dict[str, Floats]:
    """PSNR [dB], SSIM (uniform7) and RMSE [HU] of each slice, (B,), of images clipped to the window, whose width is the
    data range. Name the window wherever the numbers go.

    Args:
        image_hu: (H, W) or (B, H, W) in HU.
        truth_hu: same shape.
        window: (lowest, highest) HU; lung (-1350, 150), soft tissue (-160, 240), bone (-500, 1300).
    """
    low, high = window
    if not low < high:
        raise ValueError(f"got window={window}, expected (lowest, highest) HU")
    x, t = (np.clip(a, low, high) for a in _pair(image_hu, truth_hu))
    width = high - low
    return {
        "psnr": psnr(x, t, data_range=width),
        "ssim": ssim(x, t, data_range=width, variant="uniform7"),
        "rmse_hu": rmse(x, t),
    }


def mri_slices(image: Image, truth: Image) -> dict[str, Floats]:
    """PSNR [dB], SSIM (uniform7) and NRMSE of the magnitudes of each slice, (B,); the data range is the largest
    magnitude of the truth in all the slices given (fastMRI's convention, Zbontar et al. 2018): give whole volumes.

    Args:
        image: (H, W) or (B, H, W), complex or magnitude.
        truth: same shape.
    """
    x, t = (abs(_numpy(a)) for a in (image, truth))
    peak = float(t.max())
    return {
        "psnr": psnr(x, t, data_range=peak),
        "ssim": ssim(x, t, data_range=peak, variant="uniform7"),
        "nrmse": nrmse(x, t),
    }


def ct_metrics(image_hu: Image, truth_hu: Image, window: tuple[float, float] = WINDOW_HU) -> dict[str, float]:
    """Means over the slices of `ct_slices`."""
    return {key: float(values.mean()) for key, values in ct_slices(image_hu, truth_hu, window).items()}


def mri_metrics(image: Image, truth: Image) -> dict[str, float]:
    """Means over the slices of `mri_slices`."""
    return {key: float(values.mean()) for key, values in mri_slices(image, truth).items()}


@torch.no_grad()
def data_residual(A: LinearOperator, x: Tensor, y: Tensor, weights: Tensor | None = None) -> Floats:
    """||W^1/2 (A x - y)|| / ||W^1/2 y|| of each item, (B,). Needs no truth.

    Args:
        x: (B, *domain).
        y: (B, *range).
        weights: W, broadcastable to y (`noise.weights(y)`); None for the identity.
    """
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"got {x.shape[0]} images and {y.shape[0]} measurements, expected one for each")
    root = torch.ones((), device=y.device) if weights is None else weights.sqrt()
    residual, norm = ((root * a).flatten(1).abs().double().square().sum(1).sqrt() for a in (A(x) - y, y))
    return (residual / norm).cpu().numpy()


def bootstrap_interval(
    values: Sequence[float] | Floats,
    groups: Sequence[Any] | NDArray[Any],
    level: float = 0.95,
    seed: int = 0,
    resamples: int = 10_000,
) -> dict[str, float]:
    """Mean and percentile bootstrap interval over patients: whole patients are drawn with replacement, each
    with all of its slices, which are not independent (cluster bootstrap; Davison & Hinkley 1997, 3.8).

    Args:
        values: one number a slice.
        groups: the patient of each.
        level: of the interval.

    Returns:
        {"mean", "low", "high"}; low and high are NaN with fewer than two patients.
    """
    v = np.asarray(values, dtype=np.float64)
    if v.ndim != 1 or len(v) != len(groups) or not len(v):
        raise ValueError(
            f"got values of shape {v.shape} and {len(groups)} groups, expected one group for each value"
        )
    if not 0 < level < 1:
        raise ValueError(f"got level={level}, expected a number between 0 and 1, e.g. 0.95")
    _, patient = np.unique(np.asarray(groups), return_inverse=True)
    total, count = np.bincount(patient, weights=v), np.bincount(patient)
    mean = float(v.mean())
    if len(count) < 2:
        return {"mean": mean, "low": float("nan"), "high": float("nan")}
    drawn = np.random.default_rng(seed).integers(len(count), size=(resamples, len(count)))
    means = total[drawn].sum(1) / count[drawn].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return {"mean": mean, "low": float(low), "high": float(high)}


def _numpy(a: Image) -> NDArray[Any]:
    """As (B, H, W), float64 or complex128."""
    array = a.detach().cpu().numpy() if isinstance(a, Tensor) else np.asarray(a)
    if array.ndim not in (2, 3):
        raise ValueError(f"got an image of shape {array.shape}, expected (H, W) or (B, H, W)")
    array = array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)
    return array[None] if array.ndim == 2 else array


def _pair(image: Image, truth: Image, data_range: float = 1.0) -> tuple[Floats, Floats]:
    x, t = _numpy(image), _numpy(truth)
    if x.shape != t.shape:
        raise ValueError(f"got an image of {x.shape} and a truth of {t.shape}; crop or resample one of them")
    if np.iscomplexobj(x) or np.iscomplexobj(t):
        raise ValueError("got complex images; compare magnitudes, image.abs(), or use mri_metrics")
    if not data_range > 0:
        raise ValueError(f"got data_range={data_range}, expected a positive number in the images' units")
    return x, t
