"""The columns of every table of figures, and their cells in words: one list for the terminal and the pages."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

COLUMNS = {  # key -> head of the column, format
    "method": ("method", "{}"),
    "psnr": ("PSNR [dB]", "{:.2f}"),
    "ssim": ("SSIM", "{:.3f}"),
    "nrmse": ("NRMSE", "{:.4f}"),
    "rmse_hu": ("RMSE [HU]", "{:.1f}"),
    "vif": ("VIF", "{:.3f}"),
    "residual": ("data residual", "{:.4f}"),
    "place": ("where", "{}"),
    **{f"coverage_{level}": (f"{level} % holds", "{:.0%}") for level in (50, 80, 90, 95)},
    "width": ("90 % width", "{:.3g}"),
    "spread_skill": ("spread/skill", "{:.2f}"),
    "crps": ("CRPS", "{:.3g}"),
    "energy": ("energy score", "{:.3g}"),
    "grain": ("grain", "{:.2f}"),
    "grain_of_mean": ("grain of the mean", "{:.2f}"),
    "uniformity": ("p of ranks", "{:.3f}"),
    "class": ("ideal observer", "{}"),
    "lesions": ("lesions", "{}"),
    "contrast": ("contrast", "{:+g}"),
    "diameter_mm": ("mm", "{:g}"),
    "detectability": ("d'", "{:.1f}"),
    "recovery": ("recovery", "{:.2f}"),
    **{name: (name, "{:.0%}") for name in ("kept", "found", "open", "denied", "off")},
    "false": ("false lesions a picture", "{:.1f}"),
    "nfe": ("NFE", "{}"),
    "seconds": ("s / slice", "{:.2f}"),
    "memory_mib": ("MiB", "{:.0f}"),
}


def columns_of(lines: Iterable[dict[str, Any]], keys: Iterable[str] = COLUMNS) -> list[str]:
    """Those of `keys` that a line has a value of, in their order."""
    known = {key for line in lines for key, value in line.items() if value is not None}
    return [key for key in keys if key in known]


def heads(keys: Iterable[str]) -> list[str]:
    """The heads of columns."""
    return [COLUMNS[key][0] if key in COLUMNS else key.replace("_", " ") for key in keys]


def cells(line: dict[str, Any], keys: Sequence[str], intervals: Container[str] = COLUMNS) -> list[str]:
    """A line of a table in words; the interval of a column of `intervals`, `key_low` to `key_high`, in brackets behind
    its value."""
    out = []
    for key in keys:
        form = COLUMNS.get(key, ("", "{}"))[1]
        value, low, high = (line.get(name) for name in (key, f"{key}_low", f"{key}_high"))
        shown = cell(value, form)
        known = key in intervals and low is not None and high is not None
        out.append(f"{shown} ({cell(low, form)} – {cell(high, form)})" if known else shown)
    return out


def cell(value: Any, form: str) -> str:
    """A value of a table in words: words as they are, a dash for what is missing."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else form.format(value)
