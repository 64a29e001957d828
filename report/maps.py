"""Maps beside a slice: how far an interval reaches, what an audit saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .figures import FOOTER, Sheet, top_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def audit_maps(
    image: np.ndarray, maps: dict[str, np.ndarray], window: tuple[float, float], title: str
) -> Figure:
    """A slice (H, W) beside its maps, name -> (H, W), each with a scale of its own: from 0 to 1 of a share."""
    sheet = Sheet(1 + len(maps), 1, image.shape, title, bar=True)
    sheet.cell(0, 0).imshow(image, cmap="gray", vmin=window[0], vmax=window[1])
    sheet.label(0, 0, "mean", "of the samples")
    for column, (name, values) in enumerate(maps.items(), 1):
        scale = {
            "cmap": "viridis",
            "vmin": 0.0,
            "vmax": 1.0 if values.max() <= 1 else max(2.0, top_of(values)),
        }
        sheet.bar(sheet.cell(0, column).imshow(values, **scale), column, column, name)
    sheet.footer(FOOTER)
    return sheet.figure


def interval_maps(
    low: np.ndarray, mean: np.ndarray, high: np.ndarray, window: tuple[float, float], units: str, title: str
) -> Figure:
    """The lower ends, the mean and the upper ends of a slice (H, W) in one window, and how far apart the ends are."""
    sheet = Sheet(4, 1, mean.shape, title, bar=True)
    for column, (name, image) in enumerate({"lower": low, "mean": mean, "upper": high}.items()):
        sheet.cell(0, column).imshow(image, cmap="gray", vmin=window[0], vmax=window[1])
        sheet.label(0, column, name, "")
    width = high - low
    shown = sheet.cell(0, 3).imshow(width, cmap="viridis", vmin=0.0, vmax=top_of(width))
    sheet.label(0, 3, "width", "upper − lower")
    sheet.bar(shown, 3, 3, f"width [{units}]")
    sheet.footer(FOOTER, window, units)
    return sheet.figure
