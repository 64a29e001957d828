"""What a scan does not say, and what a reconstruction does about it; what it must say. No torch."""

from __future__ import annotations

import numpy as np

from ..formats.scan import Scan
from ..operators.acs import KERNEL, acs_size


def assumed(scan: Scan) -> dict[str, str]:
    """What a reconstruction will estimate or assume: {"noise", "coil_maps" or "mu_water": a sentence}. Noise and coil
    maps are keys of `Problem.facts` too, which say what was found."""
    said = {}
    if scan.kind == "mri" and scan.maps is None:
        if scan.data.shape[1] == 1:
            said["coil_maps"] = "one coil without a map: its sensitivity is taken as 1 everywhere"
        else:
            where = (
                "the fully sampled centre" if scan.calibration is None else "calibration lines measured apart"
            )
            rows, columns = calibration_shape(scan)
            said["coil_maps"] = (
                f"there are no coil maps: a reconstruction estimates them by ESPIRiT from {where} ({rows} x {columns})"
            )
    if scan.noise is None:
        how = (
            "one Gaussian level from the sinogram's differences along the detector"
            if scan.kind == "ct"
            else "it from the outermost samples of k-space"
        )
        said["noise"] = (
            f"the noise level is not known: a reconstruction estimates {how}; state `noise` in the file if you know it"
        )
    if scan.kind == "ct" and "mu_water" not in scan.header:
        said["mu_water"] = (
            "the attenuation of water is not stated (mu_water, 1/mm): the prior's is taken for HU"
        )
    return said


def lacking(scan: Scan) -> list[str]:
    """Without what a scan cannot be reconstructed, a sentence each; none where it can."""
    if scan.kind == "ct":
        return [] if scan.geometry is not None else ["has no geometry; add it to the file (docs/formats.md)"]
    if scan.maps is not None or scan.data.shape[1] == 1 or min(calibration_shape(scan)) >= KERNEL:
        return []
    rows, columns = calibration_shape(scan)
    return [
        f"got no coil maps and a fully sampled centre of {rows} x {columns}, expected maps or at least "
        f"{KERNEL} x {KERNEL} to estimate them; add `maps` or calibration lines"
    ]


def calibration_shape(scan: Scan) -> tuple[int, int]:
    """(rows, columns) of k-space that coil maps can be estimated from: those that every slice has."""
    if scan.calibration is not None:
        rows, columns = scan.calibration.shape[-2:]
        return int(rows), int(columns)
    grid = scan.data.shape[-2:]
    mask = np.ones(grid, bool) if scan.mask is None else np.asarray(scan.mask, bool)
    rows, columns = acs_size(np.asarray(mask.reshape(-1, *grid).all(0)))
    return int(rows), int(columns)
