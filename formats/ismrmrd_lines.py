"""Which of an ISMRMRD file's readouts make the image, which its coil maps, and which neither; then their place on
the grid. Only headers decide; samples are loaded once it is known whose.

Lines that were measured several times are averaged. Reference (calibration) lines belong to the image where they
were embedded in it, and are kept apart where they were measured with another scaling; the header's
calibrationMode says which, and where it does not, a line measured both ways is one that was measured apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import limits
from .mr_header import MRHeader
from .scan import FormatError

# Bit numbers of ISMRMRD's flags, counted from 1
NOISE, _REFERENCE, _REFERENCE_AND_IMAGE, REVERSED, _NAVIGATOR = 19, 20, 21, 22, 24
_NO_IMAGE = (23, 24, 26, 27, 28, 29, 30, 31)  # navigators, phase correction, feedback, dummies, …
_APART = ("separate", "external", "interleaved")  # calibrationModes

Load = Callable[[int], np.ndarray]  # number of a readout -> (coils, samples) complex


@dataclass(frozen=True)
class Readouts:
    """Numbers of readouts, by what they are for.

    Attributes:
        image: of the image that was chosen, embedded reference lines among them.
        reference: for coil maps only.
        navigators: phase correction lines of the image.
        noise: noise scans.
        remarks: what was assumed or left out.
    """

    image: np.ndarray
    reference: np.ndarray
    navigators: np.ndarray
    noise: np.ndarray
    remarks: tuple[str, ...]


def flagged(heads: np.ndarray, *bits: int) -> np.ndarray:
    """Which readouts have any of these flags."""
    wanted = sum(1 << (bit - 1) for bit in bits)
    return (heads["flags"] & np.uint64(wanted)) != 0


def of_images(heads: np.ndarray) -> np.ndarray:
    """Which readouts are of images and nothing else; reference lines that are of the image as well are."""
    apart = flagged(heads, _REFERENCE) & ~flagged(heads, _REFERENCE_AND_IMAGE)
    return ~apart & ~flagged(heads, NOISE, *_NO_IMAGE)


def space_of(heads: np.ndarray, source: str) -> int:
    """The number of the header's <encoding> that most readouts of images refer to. Raises FormatError where there is
    no such readout."""
    spaces = heads["encoding_space_ref"][of_images(heads)]
    if not len(spaces):
        raise FormatError(
            f"{source}: got {len(heads)} readouts, none of them of an image; expected a scan, not an adjustment"
        )
    return int(np.bincount(spaces).argmax())


def several(heads: np.ndarray) -> dict[str, np.ndarray]:
    """What of the image readouts there may be several of, and is chosen by an option of reading: {option: the number
    of each readout's, from 0}. Times are repetitions, and in each the phases of a cycle."""
    counters = heads["idx"]
    times = counters["repetition"].astype(np.int64) * 65536 + counters["phase"]
    values = {"echo": counters["contrast"], "time": times, "volume": counters["set"]}
    return {name: np.unique(value, return_inverse=True)[1].reshape(-1) for name, value in values.items()}


def sort_readouts(
    heads: np.ndarray, head: MRHeader, space: int, chosen: dict[str, int], source: str
) -> Readouts:
    """Readouts by what they are for.

    Args:
        heads: of all readouts.
        space: the <encoding> of the image (`space_of`).
        chosen: {"echo", "time", "volume": number from 0}; the first where not said.

    Raises:
        FormatError: a choice that is not there.
    """
    remarks: list[str] = []
    here = heads["encoding_space_ref"] == space
    image = of_images(heads)
    if others := int(np.count_nonzero(image & ~here)):
        remarks.append(f"{others} readouts of another encoding than most are left out")
    unused = flagged(heads, *_NO_IMAGE) & ~flagged(heads, NOISE, _NAVIGATOR)
    if unused.any():
        remarks.append(
            f"{np.count_nonzero(unused)} readouts of navigators, dummies and the like are left out"
        )
    image &= here
    reference = flagged(heads, _REFERENCE) & ~flagged(heads, _REFERENCE_AND_IMAGE, NOISE, *_NO_IMAGE)
    if (reference & here).any():
        if strange := int(np.count_nonzero(reference & ~here)):
            remarks.append(f"{strange} calibration lines of another encoding are not used")
        reference &= here
    elif reference.any():  # a scan of its own, with an encoding of its own
        reference &= (
            heads["encoding_space_ref"] == np.bincount(heads["encoding_space_ref"][reference]).argmax()
        )
    same, all_times = _chosen(heads, image, chosen, remarks, source)
    lines, own = image & same, reference & same
    if _embedded(heads, head, lines, own, remarks):
        lines, reference = lines | own, reference & ~same if not own.any() else np.zeros_like(own)
    elif own.any():
        reference = own
    if head.calibration == "interleaved" and not reference.any() and np.any(all_times & ~lines):
        reference = all_times
        remarks.append("interleaved sampling: coil maps are estimated from the mean of all times")
    navigators = flagged(heads, _NAVIGATOR) & here & ~flagged(heads, NOISE)
    for closer in (same, ~flagged(heads, _REFERENCE)):
        navigators = navigators & closer if (navigators & closer).any() else navigators
    if unequal := _repeated(heads, lines):
        remarks.append(unequal)
    return Readouts(
        image=np.flatnonzero(lines),
        reference=np.flatnonzero(reference),
        navigators=np.flatnonzero(navigators),
        noise=np.flatnonzero(flagged(heads, NOISE)),
        remarks=tuple(remarks),
    )


def _chosen(
    heads: np.ndarray, image: np.ndarray, chosen: dict[str, int], remarks: list[str], source: str
) -> tuple[np.ndarray, np.ndarray]:
    """Which readouts have the counters of the chosen image, and which image readouts do at any time."""
    same, all_times = np.ones(len(heads), bool), image.copy()
    for option, number in several(heads).items():
        there = np.unique(number[image])
        wanted = chosen.get(option, 0)
        if not 0 <= wanted < len(there):
            raise FormatError(
                f"{source}: got {option} {wanted}, expected 0 to {len(there) - 1}; choose one of them"
            )
        if len(there) > 1:
            remarks.append(f"{option} {wanted} of {len(there)} is taken; --{option} chooses another")
        same &= number == there[wanted]
        if option != "time":
            all_times &= number == there[wanted]
    return same, all_times


def _embedded(
    heads: np.ndarray, head: MRHeader, lines: np.ndarray, reference: np.ndarray, remarks: list[str]
) -> bool:
    """Whether the reference lines belong to the image."""
    if not reference.any() or head.calibration in _APART:
        return False
    if np.any(heads["encoding_space_ref"][reference] != heads["encoding_space_ref"][lines][0]):
        return False
    if head.calibration == "embedded":
        return True
    twice = np.isin(_places(heads[reference]), _places(heads[lines])).any()
    what = (
        "apart from the image: they are used for coil maps only"
        if twice
        else "with the image: they belong to it"
    )
    remarks.append(
        f"how the calibration lines were measured is not stated (calibrationMode); taken as measured {what}"
    )
    return not twice


def _places(heads: np.ndarray) -> np.ndarray:
    counters = heads["idx"]
    return counters["slice"].astype(np.int64) * 65536 + counters["kspace_encode_step_1"]


def _repeated(heads: np.ndarray, lines: np.ndarray) -> str:
    """What is done about lines that were measured several times; "" where there are none."""
    counts = np.unique(_places(heads[lines]), return_counts=True)[1]
    if not len(counts) or counts.max() == 1:
        return ""
    if counts.min() == counts.max():
        return f"every line was measured {counts.max()} times; the mean is taken"
    return (
        f"{np.count_nonzero(counts > 1)} of {len(counts)} lines were measured several times (up to {counts.max()}); "
        "their mean is taken, with less noise than in the other lines"
    )


def on_grid(
    load: Load,
    heads: np.ndarray,
    numbers: np.ndarray,
    slices: np.ndarray,
    size: tuple[int, int],
    shift: int,
    source: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Readouts on the encoded grid: the mean of the measurements (slices, coils, ky, kx) and their number (slices,
    ky, kx). Reversed readouts are turned, an asymmetric echo is put where its centre sample says.

    Args:
        load: samples of a readout, as they were measured.
        heads: of all readouts.
        numbers: the readouts that are placed.
        slices: counters of the slices, each once, in the order they are wanted.
        size: (readout, phase) of the grid.
        shift: from the counter of a line to its row (`line_shift`).

    Raises:
        FormatError: a readout that does not fit the grid, or the other readouts' coils.
    """
    width, height = size
    coils = int(heads["active_channels"][numbers[0]])
    limits.check_size(12.0 * len(slices) * coils * height * width, source, "k-space as its header has it")
    total = np.zeros((len(slices), coils, height, width), dtype=np.complex64)
    count = np.zeros((len(slices), height, width), dtype=np.uint32)
    place = {counter: i for i, counter in enumerate(slices.tolist())}
    back = flagged(heads, REVERSED)
    for number in numbers:
        readout, data = heads[number], load(int(number))
        line = int(readout["idx"]["kspace_encode_step_1"]) + shift
        first, last, start = _extent(readout, width, bool(back[number]))
        fits = 0 <= line < height and 0 <= start + first <= start + last <= width
        if len(data) != coils or not fits:
            raise FormatError(
                f"{source}: got a readout of {data.shape[1]} samples and {len(data)} coils for line {line}, expected "
                f"at most {width} samples, {coils} coils and lines 0 to {height - 1}; the header and the readouts "
                "disagree"
            )
        if back[number]:
            data = data[:, ::-1]
        z = place[int(readout["idx"]["slice"])]
        total[z, :, line, start + first : start + last] += data[:, first:last]
        count[z, line, start + first : start + last] += 1
    total /= np.maximum(count, 1)[:, None]
    return total, count


def line_shift(heads: np.ndarray, head: MRHeader) -> tuple[int, str]:
    """From the counter of a phase encoding step to its row, and what was assumed for it. Limits that the readouts go
    beyond are not believed."""
    largest = int(heads["idx"]["kspace_encode_step_1"].max())
    if head.centre is None:
        return 0, f"the centre of the phase encoding is not stated; line {head.encoded[1] // 2} is taken"
    if head.last is not None and largest > head.last:
        return 0, (
            f"the phase encoding's limits (up to {head.last}) are not the readouts' (up to {largest}); line "
            f"{head.encoded[1] // 2} is taken as the centre"
        )
    return head.encoded[1] // 2 - head.centre, ""


def _extent(readout: Any, width: int, back: bool) -> tuple[int, int, int]:
    """First and last + 1 of the samples that count, in the forward direction, and where sample 0 lies on the grid."""
    samples, middle = int(readout["number_of_samples"]), int(readout["center_sample"])
    first, last = int(readout["discard_pre"]), samples - int(readout["discard_post"])
    if back:
        first, last, middle = samples - last, samples - first, samples - 1 - middle
    if samples == width:  # a whole line is in place, whatever its centre_sample says
        middle = width // 2
    return first, last, width // 2 - middle
