"""What may be shown of an HDF5 file's attributes and names: those that a layout defines. Anybody can plant more in a
file, and what people type in (comments, descriptions) can name a person; so everything else is counted, not shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .hdf5 import text

NUMBERS = {  # attributes that hold numbers, of the file and of its groups
    "matrix", "pixel_mm", "pixel_assumed", "spacing_mm", "detector_pixel_mm", "source_origin_mm", "source_detector_mm",
    "detector_offset", "detectors", "object_pixel_mm", "kv", "mu_water", "detector_spacing", "source_origin",
    "source_detector", "curved", "sigma", "photons", "electronic",
}  # fmt: skip
WORDS = {  # attributes that hold words, and the words
    "geometry": {"fan", "parallel", "beam", "flat", "curved", "detector", "arc"},
    "type": {"fan", "parallel", "gaussian", "complex_gaussian", "photon"},
    "angle_direction": {"clockwise", "counter-clockwise", "counterclockwise"},
    "units": {"hu", "1/mm", "magnitude", "arbitrary"},
}
HEADER = {  # of `Scan.header`: what our readers and `simulate` put there
    "acquisition", "body_part", "content", "echo_time_ms", "exposure_mas", "field_tesla", "flip_angle_deg", "groups",
    "images", "kernel", "kv", "kvp", "lossy_compressed", "manufacturer", "modality", "model", "mu_water", "noise",
    "readout", "recon_matrix", "repetition_time_ms", "scanning_sequence", "sequence", "simulated", "slice_thickness_mm",
    "tube_current_ma",
}  # fmt: skip
NAMES = {  # datasets and columns
    "angles_deg", "counts", "data", "images", "kspace", "maps", "calibration", "mask", "mean", "patient", "px_mm",
    "samples", "sinogram", "std", "subject", "truth", "geometry/angles", "anatomy", "bits", "box", "collection",
    "columns", "contrast", "kernel", "label", "licence", "model", "plane", "rows", "scanner", "series", "skull",
    "slice", "thick", "z", "z_mm", "reconstruction_rss", "reconstruction_esc", "ismrmrd_header",
}  # fmt: skip
_AT = re.compile(r"object_pixel_mm_at_\d{1,5}")
_LONGEST = 64


def attributes(found: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a file or one of its groups, and how many were left out."""
    kept = {key: value for key, raw in found.items() if (value := _value(key, raw)) is not None}
    return kept | _rest(
        len(found) - len(kept) - len({"format", "version", "content", "kind", "source"} & set(found))
    )


def header(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of a scan's header."""
    kept = {key: _plain(value) for key, value in found.items() if key in HEADER}
    return kept | _rest(len(found) - len(kept))


def names(found: Iterable[str]) -> list[str]:
    """Names of datasets or columns."""
    every = list(found)
    kept = [name for name in every if name in NAMES]
    return kept + ([f"{len(every) - len(kept)} of other names"] if len(every) > len(kept) else [])


def _value(key: str, raw: Any) -> Any:
    if key in WORDS and isinstance(raw, str | bytes):
        words = re.split(r"[\s,;]+", text(raw).strip().lower())
        return text(raw) if set(words) <= WORDS[key] else None
    if key in NUMBERS or _AT.fullmatch(key):
        value = np.asarray(raw)
        return value.tolist() if value.dtype.kind in "biuf" and value.size <= _LONGEST else None
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, str | bytes):
        return text(value)[:_LONGEST]
    return np.asarray(value).tolist()


def _rest(count: int) -> dict[str, Any]:
    return {"other_attributes": f"{count}, not shown"} if count > 0 else {}
