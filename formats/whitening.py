"""The coils' noise from a noise scan: what makes it independent and of variance 1 in every coil (Pruessmann et al.
2001), or why that cannot be had."""

from __future__ import annotations

import numpy as np

_BANDWIDTH = (
    0.79  # of the receiver, relative to its sampling rate; Siemens' usual value (Kellman & McVeigh 2005)
)
_SAMPLES = 10  # for each coil, at least: the covariance of fewer is no more than a guess
_DEAD, _SINGULAR = 1e-6, 1e-7  # of the coils' median variance; of the largest eigenvalue of their correlation


def whitening(
    noise: np.ndarray, alive: np.ndarray, bandwidth: float | None, dwell_ratio: float | None
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The matrix W (coils that are left, coils) whose W y has noise CN(0, 1) in every coil, None where the noise scan
    does not give it; and remarks.

    Args:
        noise: (coils, samples) without signal.
        alive: (coils,) bool, which coils measured anything in the image.
        bandwidth: of the receiver, relative; None where not stated.
        dwell_ratio: sampling times, the noise scan's to the image's; None where not stated.
    """
    coils, samples = noise.shape
    if samples < _SAMPLES * coils:
        return None, (
            f"the noise scan is not used: {samples} samples for {coils} coils, expected at least {_SAMPLES * coils}",
        )
    noise = noise.astype(np.complex128)
    variance = (np.abs(noise) ** 2).mean(1)
    if not np.isfinite(variance).all() or not variance.any():
        return None, ("the noise scan is not used: it is empty or holds NaN",)
    silent = variance <= _DEAD * np.median(variance[variance > 0])
    names = ", ".join(map(str, np.flatnonzero(silent)))
    if (alive & silent).any():
        return None, (f"the noise scan is not used: no noise in coil {names}, which measured a signal",)
    kept = np.flatnonzero(~silent)
    scale = np.sqrt(variance[kept])[:, None]
    correlation = (noise[kept] / scale) @ (noise[kept] / scale).conj().T / samples
    if np.linalg.eigvalsh(correlation)[0] < _SINGULAR * len(kept):
        return None, (
            "the noise scan is not used: the noise of some coils is a sum of the others' (singular)",
        )
    remarks = [f"coil {names} is dead (no noise, no signal) and left out"] if silent.any() else []
    factor = 1.0
    if dwell_ratio is None:
        remarks.append("sampling times are not stated; the noise scan's bandwidth is taken for the image's")
    else:
        factor = dwell_ratio * (bandwidth or _BANDWIDTH)
        if bandwidth is None:
            remarks.append(
                f"the receiver's noise bandwidth is not stated; {_BANDWIDTH} of its sampling rate is taken"
            )
    lower = np.linalg.cholesky(correlation * factor) * scale
    matrix = np.zeros((len(kept), coils), np.complex128)
    matrix[:, kept] = np.linalg.inv(lower)
    return matrix, tuple(remarks)
