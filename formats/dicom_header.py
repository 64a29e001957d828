"""Other people's DICOM headers: numbers whatever their VR, the size of pixels, and what had to be assumed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

ASSUMED_MM = 1.0
_GEOMETRY = {"PixelSpacing": 2, "ImagePositionPatient": 3, "ImageOrientationPatient": 6}
_NEXT_BEST = {  # where PixelSpacing is missing: sizes that were measured somewhere else than in the patient
    "ImagerPixelSpacing": "at the detector, not in the patient",
    "NominalScannedPixelSpacing": "of the scanned picture",
}


class PixelSize(NamedTuple):
    """(between rows, between columns) [mm], None where the file says nothing; whether it is a guess; in words."""

    spacing: tuple[float, float] | None
    assumed: bool = False
    remark: str = ""


def value(header: Any, key: Any) -> Any:
    """An element's value; None where there is none, or none that pydicom can make sense of."""
    try:
        element = header.get(key)
    except Exception:  # a value that is no number where one is expected: half a dozen types
        return None
    return element if isinstance(key, str) else getattr(element, "value", element)


def numbers(header: Any, key: str, count: int) -> tuple[float, ...] | None:
    """So many finite numbers, also where they are stored as text or with a decimal comma; None for anything else."""
    found = _split(_raw(header, key))
    try:
        out = tuple(float(part) for part in found)
    except (TypeError, ValueError):
        return None
    return out if len(out) == count and all(math.isfinite(v) for v in out) else None


def number(header: Any, key: str) -> float | None:
    """One finite number, or None."""
    found = numbers(header, key, 1)
    return found[0] if found else None


def whole(header: Any, key: str, default: int = 0) -> int:
    """One whole number, or the default."""
    found = number(header, key)
    return default if found is None else int(found)


def image_type(header: Any) -> list[str]:
    """The words of ImageType in capitals."""
    found = value(header, "ImageType")
    return [str(word).strip().upper() for word in ([found] if isinstance(found, str) else found or [])]


def pixel_size(header: Any) -> PixelSize:
    """What a classic header says of the size of its pixels."""
    found = numbers(header, "PixelSpacing", 2)
    if found and min(found) > 0:
        odd = _raw(header, "PixelSpacing")
        remark = f"PixelSpacing is written {odd!r}, read as {_mm(found)}" if isinstance(odd, str) else ""
        return PixelSize((found[0], found[1]), False, remark)
    one = number(header, "PixelSpacing")
    if one and one > 0:
        return PixelSize((one, one), False, f"PixelSpacing holds one value, taken for both: {one:g} mm")
    for key, where in _NEXT_BEST.items():
        found = numbers(header, key, 2)
        if found and min(found) > 0:
            words = f"the pixel size is not stored; {key} ({where}) taken for it: {_mm(found)}"
            return PixelSize((found[0], found[1]), True, words)
    return PixelSize(None, True)


def repair(header: Any) -> None:
    """Geometry that is stored as text (a wrong VR, a decimal comma), or one value for two, becomes the numbers it
    means, for whoever writes it again."""
    for key, count in _GEOMETRY.items():
        raw = _raw(header, key)
        if raw is None or (not isinstance(raw, str) and numbers(header, key, count)):
            continue
        found = numbers(header, key, count) or numbers(header, key, 1)
        put(header, key, found if found is None or len(found) == count else found * count)


def put(header: Any, key: str, found: Any) -> None:
    """Replace an element (headers may share them); no value, no element. Of lengths as many digits as fit."""
    if key in header:
        del header[key]
    if found is not None:
        setattr(header, key, found if isinstance(found, int) else [f"{v:.10g}" for v in found])


def _mm(found: tuple[float, ...]) -> str:
    return " x ".join(f"{v:g}" for v in found) + " mm"


def _raw(header: Any, key: str) -> Any:
    """The value: numbers, or the text that pydicom could make no numbers of."""
    found = value(header, key)
    if found is None and key in header:
        try:
            found = header.get_item(key).value
        except Exception:  # of a VR that there is none of
            return None
    if isinstance(found, bytes):
        return found.decode("ascii", "replace").strip(" \0")
    if isinstance(found, Iterable) and not isinstance(found, str):
        parts = list(found)
        return "\\".join(map(str, parts)) if any(type(part) is str for part in parts) else parts
    return found


def _split(found: Any) -> list[Any]:
    if found is None:
        return []
    if isinstance(found, str):
        parts = found.strip(" \0").split("\\")
        if len(parts) == 1 and "." in found:  # 0.5,0.5: a comma between numbers with points
            parts = found.split(",")
        return [part.strip().replace(",", ".") for part in parts]
    return found if isinstance(found, list) else [found]
