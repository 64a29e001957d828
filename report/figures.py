"""Pictures: a comparison of reconstructions, a sheet of samples, the curves of a training run.

The one file of report/ that imports matplotlib; no pyplot, no display needed. Sizes are in inches at 100 dots an
inch, so that a picture is at most 1600 pixels wide; every axes has its place by numbers, so that nothing
overlaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..formats.write import atomic
from .training_log import read_log

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
    low, high = (f"{value:.4g}".replace("-", "−") for value in window)
    sheet.footer(f"Grey values from {low} to {high} {units}. {FOOTER}")
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


def training_curves(path: Path, log: Path) -> None:
    """Loss, and validation PSNR at each noise level, of a run's log.jsonl, as a PNG. What a resumed run did
    twice is drawn once."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    losses, validation = read_log(log)
    figure = Figure(figsize=(12, 4.2), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2)
    values = [loss for _, loss in losses]
    left.plot([step for step, _ in losses], values, color="#2b6cb0", linewidth=1)
    left.set(title="denoising loss", xlabel="step")
    if values and min(values) > 0:
        left.set_yscale("log")
        left.yaxis.set_major_formatter("{x:g}")
        left.yaxis.set_minor_formatter("{x:g}" if max(values) < 10 * min(values) else NullFormatter())
    for level in sorted({level for _, figures in validation for level in figures}, key=float):
        points = [(step, figures[level]) for step, figures in validation if level in figures]
        right.plot(*zip(*points, strict=True), marker="o", markersize=3, label=f"σ = {level}")
    right.set(title="validation: PSNR of the denoised image [dB]", xlabel="step")
    if validation:
        right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    else:
        right.text(0.5, 0.5, "no --validation images", ha="center", transform=right.transAxes, color=FAINT)
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def pareto(path: Path, lines: list[dict[str, Any]]) -> None:
    """PSNR against network evaluations and against seconds a slice, a row of two panels a task, as a PNG: a dot for
    one sample, a ring for the mean of several, dashed for methods without a network.

    Args:
        lines: with `task`, `label`, `psnr`, `nfe`, `seconds` and `method`.
    """
    from matplotlib import colormaps

    tasks = list(dict.fromkeys(line["task"] for line in lines))
    labels = list(dict.fromkeys(line["label"] for line in lines))
    height = max(3.4 * len(tasks), 0.23 * len(labels) + 1.5) + 0.8
    words = "● one sample   ○ mean of several   – – no network."
    figure, panels = _panels((13, height), words, max(len(tasks), 1), 2, sharey="row")
    named: dict[str, Any] = {}
    for (left, right), task in zip(panels, tasks, strict=False):
        for line in (line for line in lines if line["task"] == task):
            colour = colormaps["tab20"](labels.index(line["label"]) % 20)
            ring = "mean of" in line["method"]
            style = {"marker": "o", "ms": 7, "mfc": "none" if ring else colour, "color": colour, "ls": "none"}
            if line["nfe"]:
                left.plot(line["nfe"], line["psnr"], **style)
            else:
                left.axhline(line["psnr"], color=colour, linestyle="--", linewidth=1)
            (dot,) = right.plot(max(line["seconds"], 1e-3), line["psnr"], **style)
            named.setdefault(line["label"], dot)
        left.set(title=task, ylabel="PSNR [dB]", xlabel="network evaluations", xscale="log")
        right.set(xlabel="seconds a slice", xscale="log")
        for axes in (left, right):
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:e}"[0] in "25" else "")
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
    figure.legend(named.values(), named.keys(), loc="outside right upper", frameon=False, fontsize=9)
    save(figure, path)


def rank_histograms(path: Path, ranks: dict[str, np.ndarray], title: str) -> None:
    """How often the truth has each rank among a method's samples, a panel a method, as a PNG: flat where the spread is
    right, a bowl where the samples agree too well, a slope where they are off.

    Args:
        ranks: method -> (samples + 1,), parts of 1.
    """
    columns = min(len(ranks), 4)
    rows = -(-len(ranks) // columns)
    words = "Rank of the truth among the samples, over its expectation; – – an exact posterior."
    figure, panels = _panels((max(3.2 * columns, 9.5), 2.3 * rows + 0.9), words, rows, columns)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", parse_math=False)
    panels = panels.ravel()
    for axes, (label, parts) in zip(panels, ranks.items(), strict=False):
        axes.bar(np.arange(len(parts)), parts * len(parts), width=0.9, color="#2b6cb0")
        axes.axhline(1.0, color=INK, linewidth=1, linestyle="--")
        axes.set_title(label, size=10, parse_math=False)
        axes.set_ylim(0, max(2.0, 1.05 * float(parts.max()) * len(parts)))
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(ranks) :]:
        axes.set_axis_off()
    save(figure, path)


def spectra(path: Path, lines: Sequence[dict[str, Any]], title: str) -> None:
    """The grain of the samples and of their mean by band of frequencies, a colour a method, as a PNG: samples of an
    exact posterior lie on 1, means below.

    Args:
        lines: with `label`, `place` (a band), `grain` and `grain_of_mean`.
    """
    from matplotlib import colormaps

    labels, places = (list(dict.fromkeys(line[key] for line in lines)) for key in ("label", "place"))
    words = "Grain by frequency, inside: — the samples, ··· their mean; – – an exact sample."
    figure, ((axes,),) = _panels((9.5, max(3.4, 0.23 * len(labels) + 1.5)), words)
    for k, label in enumerate(labels):
        own = {line["place"]: line for line in lines if line["label"] == label}
        colour = colormaps["tab20"](k % 20)
        at = [x for x, place in enumerate(places) if place in own]
        for key, style in (("grain", "o-"), ("grain_of_mean", "o:")):
            values = [own[place][key] for place in places if place in own]
            shown = np.array([np.nan if value is None else value for value in values], float)
            axes.plot(at, shown, style, color=colour, ms=4, label=label if key == "grain" else None)
    axes.axhline(1.0, color=INK, linewidth=1, linestyle="--")
    axes.set_title(title, loc="left", weight="bold", parse_math=False)
    axes.set(xticks=range(len(places)), xticklabels=places, ylim=(0, None), ylabel="rms over the truth's")
    axes.set_xlabel("cycles a pixel")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    save(figure, path)


def smallest_lesions(path: Path, kept: list[dict[str, Any]], told: list[dict[str, Any]]) -> None:
    """The smallest lesion that survives, task by task, as a PNG: a panel a site and contrast, a line a method. Solid:
    its contrast is kept; dotted: kept, or the interval holds the truth. In the grey: not even the largest.

    Args:
        kept, told: with `task`, `label`, `site`, `contrast`, `diameter_mm` (None: none) and `largest_mm`.
    """
    from matplotlib import colormaps

    names = ("task", "label")
    tasks, labels = (list(dict.fromkeys(line[name] for line in kept)) for name in names)
    panels = list(dict.fromkeys((line["site"], line["contrast"]) for line in kept))
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    words = "––  contrast kept   ···  kept, or the interval of its mean holds the truth."
    figure, grid = _panels((max(4.2 * columns + 2.4, 9.5), 2.9 * rows + 1.0), words, rows, columns)
    grid = grid.ravel()
    named: dict[str, Any] = {}
    for axes, (site, contrast) in zip(grid, panels, strict=False):
        own = [[x for x in lines if (x["site"], x["contrast"]) == (site, contrast)] for lines in (kept, told)]
        top = max(line["largest_mm"] for line in own[0]) + 2
        for lines, style in zip(own, ("-", ":"), strict=True):
            for number, label in enumerate(labels):
                found = {x["task"]: x["diameter_mm"] or top for x in lines if x["label"] == label}
                shift = 0.12 * (number - (len(labels) - 1) / 2)  # lines that agree stay apart
                (line,) = axes.plot(
                    [i for i, task in enumerate(tasks) if task in found],
                    [found[task] + shift for task in tasks if task in found],
                    style, marker="o", ms=4, color=colormaps["tab10"](number % 10),
                )  # fmt: skip
                named.setdefault(label, line)
        unit = f"{contrast:+g} HU" if abs(contrast) > 5 else f"{contrast:+.0%} of the signal"
        axes.set_title(f"{site}, {unit}", size=10)
        axes.set(xlim=(-0.4, len(tasks) - 0.6), ylim=(0, top + 1), ylabel="smallest that survives [mm]")
        axes.set_xticks(range(len(tasks)), [task.replace(", ", ",\n") for task in tasks], size=8)
        axes.axhspan(top - 1, top + 1, color="#eeeeee", zorder=0)
        axes.text(-0.35, top + 0.4, "none", size=8, color=FAINT)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.legend(named.values(), named.keys(), loc="outside right upper", frameon=False, fontsize=9)
    save(figure, path)


def _panels(
    size: tuple[float, float], words: str, rows: int = 1, columns: int = 1, **shared: Any
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes (rows, columns), with `words` and the footer below them."""
    from matplotlib.figure import Figure

    figure, foot = Figure(figsize=size, dpi=DPI, facecolor="white", layout="constrained"), FOOT / size[1]
    figure.get_layout_engine().set(rect=(0, foot, 1, 1 - foot))  # pyright: ignore
    figure.text(0.01, 0.1 / size[1], f"{words}   {FOOTER}", size=9, color=FAINT)
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


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

    def footer(self, words: str) -> None:
        """The line at the bottom."""
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
        width = right - left
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
