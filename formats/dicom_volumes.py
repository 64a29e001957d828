"""Slices of one series -> its volumes, one image a place, and the choice of one of them.

Where several images lie at one place, what they differ in tells the volumes apart: echo, b value, temporal position and
the like; where nothing does, they are repetitions in the order of their instance numbers. Images of another size,
direction or pixel size are volumes of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .dicom_header import value
from .dicom_pixels import DicomSlice
from .scan import FormatError

_SAME_PLACE = 0.01  # of a pixel's side
_SAME_SIZE = 1e-3  # relative difference of pixel sizes, and of the directions' cosines
_TIMES = ("temporal position", "trigger time", "acquisition")
_MARKS = ("kernel", "echo", "b value", "inversion time", "flip angle", "type", "stack", *_TIMES)
_UNITS = {"echo": " ms", "inversion time": " ms", "trigger time": " ms", "flip angle": "°"}
_SHOWN = 12  # rows of a table that a message shows


@dataclass(frozen=True)
class Stack:
    """A volume's slices in the order of their places, and what tells it from the others of its series."""

    images: list[DicomSlice]
    marks: dict[str, float | str | int]

    @property
    def time(self) -> tuple[Any, ...]:
        """What of the marks is time, comparable."""
        return tuple(self.marks.get(name, -1) for name in (*_TIMES, "repetition"))

    def words(self) -> str:
        marks = (f"{name} {value}{_UNITS.get(name, '')}" for name, value in self.marks.items())
        n, first = len(self.images), self.images[0]
        size = f"{first.size[0]} x {first.size[1]}"
        side = f" of {first.spacing[1]:.3g} mm" if first.spacing else ""
        return ", ".join([f"{n} slice{'s' * (n != 1)} of {size} pixels{side}", *marks])


def without_copies(images: list[DicomSlice]) -> tuple[list[DicomSlice], int]:
    """Images that occur once (SOPInstanceUID, frame, place), and how many more files there were."""
    seen: set[Any] = set()
    kept = []
    for image in images:
        uid = str(value(image.header, "SOPInstanceUID") or "")
        place = None if image.position is None else tuple(image.position)
        key = (uid or image.path, image.frame, str(image.tile), place, image.order if uid else None)
        if key not in seen:
            kept.append(image)
        seen.add(key)
    return kept, len(images) - len(kept)


def stacks(images: list[DicomSlice]) -> list[Stack]:
    """The volumes of a series."""
    found: list[Stack] = []
    shapes = list(_alike(images))
    for group in shapes:
        places, order = (
            _places(group),
            np.argsort([_order(image, i) for i, image in enumerate(group)], kind="stable"),
        )
        members = [(group[i], int(places[i])) for i in order]
        marks: dict[str, float | str | int] = {}
        if len(shapes) > 1:
            marks["direction"] = _direction(group[0])
        found += _apart(members, marks, _MARKS)
    return found


def choose_stack(found: list[Stack], name: str, **chosen: int | None) -> Stack:
    """The one volume that echo, time and volume (indices from 0) leave.

    Raises:
        FormatError: a choice that is not there, or several volumes that are left, with the list of them.
    """
    by: dict[str, Callable[[Stack], Any]] = {
        "echo": lambda s: s.marks.get("echo", ""),
        "time": lambda s: s.time,
    }
    left = list(found)
    for option, key in by.items():
        values = sorted({key(stack) for stack in found}, key=_sortable)
        if (k := chosen.get(option)) is not None:
            if not 0 <= k < len(values):
                raise FormatError(
                    f"{name}: got --{option} {k}, expected 0 to {len(values) - 1}: {listed(table(found))}"
                )
            left = [stack for stack in left if key(stack) == values[k]]
    k = chosen.get("volume")
    if k is not None:
        if not 0 <= k < len(left):
            raise FormatError(
                f"{name}: got --volume {k}, expected 0 to {len(left) - 1}: {listed(table(left))}"
            )
        return left[k]
    if len(left) == 1:
        return left[0]
    ways = [f"--volume 0 to {len(left) - 1}"]
    for option, key in by.items():
        count = len({key(stack) for stack in left})
        if count > 1:
            ways.append(f"--{option} 0 to {count - 1}")
    raise FormatError(
        f"{name}: holds {len(left)} volumes, expected one: {listed(table(left))}; choose with {' or '.join(ways)}"
    )


def table(found: list[Stack]) -> list[str]:
    """A line a volume."""
    return [f"{k}: {stack.words()}" for k, stack in enumerate(found)]


def listed(rows: list[str]) -> str:
    """The rows of a table in one line, the first of many."""
    more = [f"… ({len(rows)} in all; `scanprior info` lists them)"] if len(rows) > _SHOWN else []
    return "; ".join([*rows[:_SHOWN], *more])


# --- how
def _alike(images: list[DicomSlice]) -> Iterator[list[DicomSlice]]:
    """Images of one size, direction and pixel size, within what rounding in headers does."""
    groups: list[list[DicomSlice]] = []
    for image in images:
        for group in groups:
            if _same(group[0], image):
                group.append(image)
                break
        else:
            groups.append([image])
    yield from groups


def _same(a: DicomSlice, b: DicomSlice) -> bool:
    if a.size != b.size or (a.spacing is None) != (b.spacing is None):
        return False
    if (a.orientation is None) != (b.orientation is None) or (a.position is None) != (b.position is None):
        return False
    if a.spacing is not None and not np.allclose(a.spacing, np.asarray(b.spacing), rtol=_SAME_SIZE, atol=0):
        return False
    return a.orientation is None or bool(
        np.abs(a.orientation - np.asarray(b.orientation)).max() <= _SAME_SIZE
    )


def places_of(images: list[DicomSlice]) -> np.ndarray | None:
    """Where along the first one's normal parallel images lie [mm]; None where their headers do not say."""
    direction = images[0].orientation
    if direction is None or any(image.position is None for image in images):
        return None
    normal = np.cross(direction[:3], direction[3:])
    return np.asarray([float(normal @ np.asarray(image.position)) for image in images])


def _order(image: DicomSlice, i: int) -> float:
    return float(i) if image.order is None else image.order


def _places(group: list[DicomSlice]) -> np.ndarray:
    """A number a place, growing along the slices' normal; where positions are missing, along the instance numbers."""
    values, tolerance = places_of(group), _SAME_PLACE * min(group[0].spacing or (1.0, 1.0))
    if values is None:
        values, tolerance = np.asarray([_order(image, i) for i, image in enumerate(group)]), 0.0
    order = np.argsort(values, kind="stable")
    places = np.zeros(len(group), int)
    places[order[1:]] = np.cumsum(np.diff(values[order]) > tolerance)
    return places


def _apart(
    members: list[tuple[DicomSlice, int]], marks: dict[str, float | str | int], names: tuple[str, ...]
) -> list[Stack]:
    """One image a place: by the first mark with at most as many values as there are images at a place, and so on."""
    counts = np.bincount([place for _, place in members])
    most = int(counts.max())
    if most == 1:
        return [Stack([image for image, _ in sorted(members, key=lambda m: m[1])], marks)]
    for i, name in enumerate(names):
        values = sorted({image.marks.get(name, "") for image, _ in members}, key=_sortable)
        if 1 < len(values) <= most:
            return [
                stack
                for value in values
                for stack in _apart(
                    [m for m in members if m[0].marks.get(name, "") == value],
                    marks | {name: value},
                    names[i + 1 :],
                )
            ]
    seen = np.zeros(len(counts), int)
    repeats: list[list[tuple[DicomSlice, int]]] = [[] for _ in range(most)]
    for image, place in members:
        repeats[seen[place]].append((image, place))
        seen[place] += 1
    return [
        Stack([image for image, _ in sorted(part, key=lambda m: m[1])], marks | {"repetition": k})
        for k, part in enumerate(repeats)
    ]


def _sortable(value: Any) -> tuple[Any, ...]:
    """Numbers before words."""
    if isinstance(value, tuple):
        return tuple(_sortable(part) for part in value)
    return (isinstance(value, str), value)


def _direction(image: DicomSlice) -> str:
    if image.orientation is None:
        return "unknown"
    normal = np.abs(np.cross(image.orientation[:3], image.orientation[3:]))
    return ("sagittal", "coronal", "axial")[int(np.argmax(normal))]
