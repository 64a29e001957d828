"""Curves, as PNGs: of a training run, a benchmark, a calibration, lesions. The style of figures.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .figures import DPI, FAINT, FOOT, FOOTER, INK, save
from .training_log import read_log

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
