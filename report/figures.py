"""Pictures of images: a comparison of reconstructions, maps, a sheet of samples.

This, curves.py and maps.py are the files of report/ that import matplotlib; no pyplot, no display needed. Sizes are
in inches at 100 dots an inch, so that a picture is at most 1600 pixels wide; every axes has its place by numbers, so
that nothing overlaps.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..formats.write import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOOTER = "Research use only. Not for diagnosis."
DPI, WIDEST, CELL = 100, 16.0, 4.2  # inches
GAP, SIDE, HEAD, LABEL, BAR, FOOT, WORDS = 0.08, 0.25, 0.5, 0.52, 0.62, 0.35, 2.05  # WORDS: room for a name
INK, FAINT = "#1c1f24", "#6a717c"


def overview(
    images: dict[str, np.ndarray],
    *,
    truth: np.ndarray | None,
    std: np.ndarray | None,
    window: tuple[float, float],
    units: str,
    title: str,
    captions: dict[str, str],
) -> Figure:
    """Reconstructions side by side. With a truth, the absolute error below each on one shared
    scale, and the standard deviation below the truth; without, the standard deviation at the end of the row.

    Args:
        images: method -> (H, W).
        truth: (H, W), or None for measured data.
        std: (H, W), standard deviation over the samples of the last method, or None.
        window: grey values shown as black and as white.
        units: of all pictures.
        captions: method -> its figures, e.g. "31.2 dB · SSIM 0.891".

    Raises:
        ValueError: no image, or images of different shapes.
    """
    pictures = ({} if truth is None else {"truth": truth}) | images
    maps = [*pictures.values()] + ([] if std is None else [std])
    if not images or any(np.shape(m) != np.shape(maps[0]) or np.ndim(m) != 2 for m in maps):
        shapes = ", ".join(str(np.shape(m)) for m in maps) or "none"
        raise ValueError(f"got images of shape {shapes}, expected at least one, all of one shape (H, W)")
    columns = len(pictures) + (truth is None and std is not None)
    rows = 1 if truth is None else 2
    sheet = Sheet(columns, rows, maps[0].shape, title, bar=truth is not None or std is not None)
    grey = {"cmap": "gray", "vmin": window[0], "vmax": window[1]}
    for column, (name, image) in enumerate(pictures.items()):
        axes = sheet.cell(0, column)
        axes.imshow(image, **grey)
        sheet.label(0, column, name, captions.get(name, ""))
    sheet.footer(FOOTER, window, units)
    spread = {"cmap": "viridis", "vmin": 0.0, "vmax": top_of(std)}
    if std is not None:
        column = columns - 1 if truth is None else 0
        spread_map = sheet.cell(rows - 1, column).imshow(std, **spread)
        name, caption = ("", "spread of the samples") if truth is not None else ("spread", "of the samples")
        sheet.label(rows - 1, column, name, caption)
        sheet.bar(spread_map, column, column, f"standard deviation [{units}]")
    if truth is not None:
        errors = [np.abs(np.asarray(image, np.float64) - truth) for image in images.values()]
        scale = {"cmap": "magma", "vmin": 0.0, "vmax": float(np.median([top_of(error) for error in errors]))}
        for column, error in enumerate(errors, 1):
            error_map = sheet.cell(1, column).imshow(error, **scale)
            sheet.label(1, column, "", "error")
            if column == 1:
                sheet.bar(error_map, 1, columns - 1, f"error |image − truth| [{units}], one scale for all")
    return sheet.figure


def sample_grid(
    path: Path,
    images: np.ndarray,
    window: tuple[float, float],
    title: str,
    labels: list[str] | None = None,
) -> None:
    """Images (N, H, W), or (N, 3, H, W) in colour, on one sheet, with a line of text above each where there are
    `labels`, as a PNG. Raises ValueError for another shape."""
    if images.ndim not in (3, 4) or not len(images):
        raise ValueError(
            f"got images of shape {images.shape}, expected (N, H, W) or (N, 3, H, W), at least one"
        )
    if images.ndim == 4:
        images = np.clip((np.moveaxis(images, 1, -1) - window[0]) / (window[1] - window[0]), 0, 1)
    columns = int(np.ceil(np.sqrt(2 * len(images))))
    rows = -(-len(images) // columns)
    sheet = Sheet(columns, rows, images.shape[1:3], title, bar=False, labels=labels is not None)
    for index, image in enumerate(images):
        sheet.cell(index // columns, index % columns).imshow(
            image, cmap="gray", vmin=window[0], vmax=window[1]
        )
        if labels is not None:
            sheet.label(index // columns, index % columns, "", labels[index])
    sheet.footer(FOOTER)
    save(sheet.figure, path)


class Sheet:
    """A figure of equal cells under a title, each with two lines of text above it, and colour bars below the
    last row."""

    def __init__(
        self,
        columns: int,
        rows: int,
        shape: tuple[int, ...],
        title: str,
        *,
        bar: bool,
        labels: bool = True,
    ) -> None:
        from matplotlib.figure import Figure

        height, width = shape
        room = (WIDEST - 2 * SIDE + GAP) / columns - GAP
        self.width = min(CELL, CELL * width / height, room)
        self.pitch = GAP + (max(self.width, min(WORDS, room)) if labels else self.width)
        self.height = self.width * height / width
        self.space = [LABEL if labels else GAP] + [0.3 if labels else GAP] * (rows - 1)  # above each row
        inner = columns * self.pitch - GAP
        self.total = (
            max(inner + 2 * SIDE, 6.5),
            HEAD + sum(self.space) + rows * self.height + bar * BAR + FOOT,
        )
        self.figure = Figure(figsize=self.total, dpi=DPI, facecolor="white")
        self.figure.set_layout_engine(
            "none"
        )  # every place is said here, whatever the user's rcParams ask for
        fits = int(9 * (self.total[0] - 2 * SIDE))  # letters
        title = title if len(title) <= fits else title[: fits - 1] + "…"
        self._text(SIDE, self.total[1] - 0.34, title, size=13, weight="bold")

    def cell(self, row: int, column: int) -> Axes:
        """The axes of a picture."""
        left, bottom = self._corner(row, column)
        axes = self._axes(left, bottom, self.width, self.height)
        axes.set_axis_off()
        return axes

    def footer(self, words: str, window: tuple[float, float] | None = None, units: str = "") -> None:
        """The line at the bottom; of a window it says which values are black and white."""
        if window is not None:
            low, high = (f"{value:.4g}".replace("-", "−") for value in window)
            words = f"Grey values from {low} to {high} {units}. {words}"
        self._text(SIDE, 0.13, words, size=9, color=FAINT)

    def label(self, row: int, column: int, name: str, caption: str) -> None:
        """What a picture is, and its figures."""
        left, bottom = self._corner(row, column)
        top = bottom + self.height
        if name:
            self._text(left, top + 0.29, name, size=10.5, weight="bold")
        self._text(left, top + 0.09, caption, size=9, color=FAINT)

    def bar(self, shown: Any, first: int, last: int, label: str) -> None:
        """A colour bar below the last row, across some columns."""
        (left, bottom), right = (
            self._corner(len(self.space) - 1, first),
            self._corner(0, last)[0] + self.width,
        )
        width = right - left - 0.05 * self.width  # the last number of one bar is off the next one's first
        axes = self._axes(left, bottom - 0.17, width, 0.1)
        beyond = {"extend": "max", "extendfrac": 0.12 / width}
        bar = self.figure.colorbar(shown, cax=axes, orientation="horizontal", **beyond)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        axes.tick_params(labelsize=8, length=2, pad=1.5, color=FAINT, labelcolor=INK)
        axes.locator_params(nbins=4 if first == last else 8)
        axes.set_xlabel(label, size=8.5, color=INK, labelpad=1.5, loc="left")

    def _corner(self, row: int, column: int) -> tuple[float, float]:
        """Left and bottom of a cell."""
        bottom = self.total[1] - HEAD - sum(self.space[: row + 1]) - (row + 1) * self.height
        return SIDE + column * self.pitch, bottom

    def _axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        across, up = self.total
        return self.figure.add_axes((left / across, bottom / up, width / across, height / up))

    def _text(self, x: float, y: float, words: str, **style: Any) -> None:
        style = {"color": INK, **style}
        self.figure.text(x / self.total[0], y / self.total[1], words, parse_math=False, **style)


def top_of(values: np.ndarray | None) -> float:
    """Upper end of a colour scale: nearly the largest value, and not zero."""
    return 1.0 if values is None else max(float(np.quantile(values, 0.995)), 1e-12)


def save(figure: Figure, path: Path) -> None:
    """As a PNG, whole or not at all."""
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png")
