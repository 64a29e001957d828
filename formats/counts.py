"""A detector's counts -> line integrals p = -log((d - dark) / (white - dark)), and the rays that were not measured.

white and dark are means over their frames. The scale does not matter: counts, their means, or transmissions from 0 to 1
under a flat field of 1. Where less than the least that can be told apart got through (one count; of numbers that are no
whole ones 1/65536 of the beam), that least is taken.

A ray is lost where its element is dead (it sees less than 1/100 of the beam in the flat field, or no light in any
view), where a count is no number or the detector was at its end (255, 4095, 65535 ...), and where a view has no light
at all. The mask of a scan holds for all its slices: it leaves out what was lost in every one of them, and gaps of more
than 3 elements in any (unless those are a tenth of all rays). What was lost in some slices only and is not masked is
interpolated along the detector there. None of it is ever a measured zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scan import FormatError

DEAD = 0.01  # of the beam: an element that sees less has measured nothing
LEAST = 2.0**-16  # of the beam, told apart by numbers that are no whole counts
NARROW = 3  # elements: a gap that is interpolated where other slices have none
SPARED = 0.1  # of the rays: what slices may be masked for the wide gaps of others


@dataclass(frozen=True)
class LineIntegrals:
    """(slices, views, detectors) float32; mask (views, detectors), False where a ray was lost, or None; what was
    repaired, a sentence each."""

    data: np.ndarray
    mask: np.ndarray | None
    remarks: tuple[str, ...]


def line_integrals(
    counts: np.ndarray, white: np.ndarray, dark: np.ndarray | None, source: str
) -> LineIntegrals:
    """Line integrals of the projections `counts`.

    Args:
        counts: (views, rows, columns), of any type of numbers; rows are the slices.
        white: flat field, a frame (rows, columns) or several of them (frames, rows, columns).
        dark: dark field likewise; None, or no frames: zero.

    Raises:
        FormatError: frames of another shape, a flat field that is nowhere above the dark one, or a saturated one.
    """
    shape = counts.shape[1:]
    end = _full_scale(counts, white)
    saturated = (_frames(white) >= end).any(0)
    if saturated.mean() > 0.5:
        raise FormatError(
            f"{source}: {saturated.mean():.0%} of the flat field is saturated (at {end:.0f}, the detector's end), "
            "expected counts below it; measure it with less exposure (transmissions: store them as floats)"
        )
    dark_mean = np.zeros(shape, np.float32) if dark is None else _mean(dark, shape, "dark", source)
    beam = _mean(white, shape, "flat", source) - dark_mean
    lit = beam[np.isfinite(beam) & (beam > 0)]
    if not lit.size:
        raise FormatError(
            f"{source}: the flat field is nowhere above the dark field, expected an image of the beam"
        )
    level = float(np.median(lit))
    dead = ~(beam >= DEAD * level) | saturated
    least = 1.0 if counts.dtype.kind in "ui" else LEAST * level
    lost = ~np.isfinite(counts) | (counts >= end) | dead
    signal = counts.astype(np.float32)
    signal -= dark_mean
    floored = ~(signal >= least)
    nothing = floored | lost
    lost |= nothing.all(axis=0) | nothing.all(axis=2, keepdims=True)
    floored &= ~lost
    with np.errstate(invalid="ignore", divide="ignore"):  # of dead elements, which are filled
        data = -np.log(np.maximum(signal, least) / beam)
    data, lost = (np.ascontiguousarray(a.transpose(1, 0, 2)) for a in (data, lost))
    remarks = []
    if floored.any():
        remarks.append(
            f"{_share(floored)} let less through than can be told apart: taken for {least:.3g} (of {level:.4g}), a "
            f"line integral of {np.log(level / least):.1f}"
        )
    if not lost.any():
        return LineIntegrals(data, None, tuple(remarks))
    return _repaired(data, lost, remarks)


def _repaired(data: np.ndarray, lost: np.ndarray, remarks: list[str]) -> LineIntegrals:
    """Lost rays filled, and masked where all slices lost them or a gap is wide. All (slices, views, detectors)."""
    without = np.asarray(lost.all(axis=(1, 2)))
    widths = np.zeros(lost.shape, np.int32)
    for picture, gone, width, nothing in zip(data, lost, widths, without, strict=True):
        if nothing:
            picture[:] = 0
        elif gone.any():
            width[gone] = _fill(picture, gone)
    whole = widths == data.shape[2]  # nothing to interpolate between
    mask = ~np.asarray(lost[~without].all(axis=0)) & ~whole.any(axis=0)
    wide = (widths > NARROW).any(axis=0)
    if wide.mean() <= SPARED:
        mask &= ~wide
    if without.any():
        remarks.append(f"{without.sum()} of {len(without)} slices see no beam: they are zero")
    if not mask.all():
        remarks.append(
            f"{_share(~mask)} were lost (dead or saturated elements, no light): left out by the mask"
        )
    filled = widths * mask
    if filled.any():
        remarks.append(
            f"{_share(filled > 0)} were lost in some slices and not in others: interpolated along the detector there, "
            f"over at most {filled.max()} elements (slices that are read alone get them masked)"
        )
    return LineIntegrals(data, None if mask.all() else mask, tuple(remarks))


def _fill(picture: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Fill a slice's lost rays in place, linearly between the next ones that were measured in their view (the next
    one, at an end; zero in a view without any). Both (views, detectors); how wide the gap of each lost ray is."""
    view, here = np.nonzero(gone)
    n = picture.shape[1]
    k = np.arange(n, dtype=np.int32)
    left = np.maximum.accumulate(np.where(gone, np.int32(-1), k), axis=1)[gone]
    right = np.minimum.accumulate(np.where(gone, np.int32(n), k)[:, ::-1], axis=1)[:, ::-1][gone]
    before = np.where(left < 0, right, left).clip(max=n - 1)
    after = np.where(right == n, left, right).clip(min=0)
    part = (here - before) / np.maximum(after - before, 1)
    start, end = picture[view, before], picture[view, after]
    width = right - left - 1
    with np.errstate(invalid="ignore"):  # in a view without any
        picture[view, here] = np.where(width == n, 0, start + part * (end - start))
    return width


def _frames(field: np.ndarray) -> np.ndarray:
    return field if field.ndim == 3 else field[None]


def _mean(field: np.ndarray, shape: tuple[int, ...], name: str, source: str) -> np.ndarray:
    """The mean frame, float32; without frames zero."""
    frames = _frames(field)
    if frames.shape[1:] != shape:
        raise FormatError(
            f"{source}: got a {name} field of shape {field.shape}, expected frames of {tuple(shape)}"
        )
    return (
        frames.mean(axis=0, dtype=np.float64).astype(np.float32)
        if len(frames)
        else np.zeros(shape, np.float32)
    )


def _full_scale(counts: np.ndarray, white: np.ndarray) -> float:
    """The count at which the detector ends, inf where none is seen: of whole numbers the largest, if it is 2^n - 1."""
    top = max((int(a.max(initial=0)) for a in (counts, white) if a.dtype.kind in "ui"), default=0)
    return float(top) if top >= 255 and top & (top + 1) == 0 else np.inf


def _share(rays: np.ndarray) -> str:
    return f"{rays.sum()} of {rays.size} rays ({100 * rays.mean():.2g}%)"
