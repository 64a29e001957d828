"""Echo-planar readouts run to and fro, and those that run back are a little late and out of phase: uncorrected, a
ghost of half the field of view. Navigators, lines without phase encoding in both directions, say by how much
(Bruder et al. 1992; Reeder et al. 1997)."""

from __future__ import annotations

import numpy as np

from .ismrmrd_lines import REVERSED, Load, flagged
from .kspace import to_image, to_kspace
from .mr_header import MRHeader
from .scan import FormatError


def corrected(
    load: Load, heads: np.ndarray, numbers: np.ndarray, navigators: np.ndarray, head: MRHeader, source: str
) -> tuple[Load, str]:
    """What loads readouts with those that ran back corrected, and what was done; "" for nothing.

    Args:
        load: samples of a readout, as they were measured.
        heads: of all readouts.
        numbers: the readouts that are corrected.
        navigators: the phase correction lines.

    Raises:
        FormatError: EPI without navigators of both directions for a slice, or sampled on the gradient's ramps.
    """
    if head.ramps:
        raise FormatError(
            f"{source}: got EPI that is sampled on the ramps of the readout gradient, expected evenly spaced samples; "
            "regrid the readouts first"
        )
    back, place = flagged(heads, REVERSED), heads["idx"]["slice"]
    mixed = [z for z in np.unique(place[numbers]) if len(np.unique(back[numbers[place[numbers] == z]])) == 2]
    ways = {
        int(z): [navigators[(place[navigators] == z) & (back[navigators] == way)] for way in (False, True)]
        for z in mixed
    }
    if lacking := [z for z, (there, again) in ways.items() if not len(there) or not len(again)]:
        if head.trajectory == "epi":
            raise FormatError(
                f"{source}: got EPI without navigators (phase correction lines) in both directions for "
                f"{len(lacking)} slices (first: {lacking[0]}), expected them; correct the odd/even lines first"
            )
        return load, (
            "lines run in both directions and there are no navigators: they are taken as they are; a ghost of half the "
            "field of view means that they needed a correction"
        )
    shifts = {z: _shift(load, there, again) for z, (there, again) in ways.items()}
    if not shifts:
        return load, ""

    def load_corrected(number: int) -> np.ndarray:
        data = load(number)
        if not back[number] or int(place[number]) not in shifts:
            return data
        offset, slope = shifts[int(place[number])]
        phase = np.exp(1j * (offset + slope * _positions(data.shape[1])))
        return to_kspace(to_image(data[:, ::-1], (-1,)) * phase, (-1,))[:, ::-1]

    return load_corrected, "EPI: lines that ran back are corrected with the navigators (phase and delay)"


def _shift(load: Load, there: np.ndarray, back: np.ndarray) -> tuple[float, float]:
    """(a, b): reversed lines are multiplied with exp i(a + b x) along the readout, x in fields of view. Fitted to the
    navigators' difference, each pixel with the weight of its signal. The two means are of the same time where three
    navigators run to, fro and to."""
    forward = to_image(np.mean([load(int(n)) for n in there], axis=0), (-1,))
    backward = to_image(np.mean([load(int(n))[:, ::-1] for n in back], axis=0), (-1,))
    cross = (forward.astype(np.complex128) * backward.conj()).sum(0)  # k-space has any unit
    if not np.isfinite(cross).all() or not cross.any():
        return 0.0, 0.0
    x = _positions(len(cross))
    slope = len(cross) * np.angle(
        (cross[1:] * cross[:-1].conj()).sum()
    )  # so that what is left needs no unwrapping
    offset = np.angle((cross * np.exp(-1j * slope * x)).sum())
    rest = np.angle(cross * np.exp(-1j * (offset + slope * x)))
    tilt, level = np.polyfit(x, rest, 1, w=np.sqrt(np.abs(cross)))
    return float(offset + level), float(slope + tilt)


def _positions(n: int) -> np.ndarray:
    return (np.arange(n) - n // 2) / n
