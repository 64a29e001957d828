"""Changes of a sound file: of its structure (a dataset, an attribute, an element, a header field gets another type,
shape or value, or is lost) or of its bytes."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Change = tuple[str, float, int]  # what, where (0 to 1), which value
STRUCTURE, BYTES = ("drop", "swap", "say"), ("flip", "word", "cut", "repeat", "zero")
ODD: list[Any] = [
    np.float64("nan"), np.inf, -1, 0, 1 << 40, "", "nan", "Jane Doe", b"\xff\xfe", True, 1e300, [], [1.0, 2.0],
    ["a", "b"], np.zeros((0, 4)), np.full((2, 2), np.nan), np.ones(3, bool), np.ones((1, 1, 1, 1, 1)), np.array(3j),
    np.zeros(2, [("a", "i4"), ("b", "f8")]), h5py.Empty("f4"), np.array([b"x" * 300]), np.ones((2, 3), np.int8),
]  # fmt: skip
WORDS = [
    b"1,5",
    b"nan",
    b"",
    b"\\\\",
    b"1e999",
    b"-1",
    b"9" * 40,
    b"\xff\x00",
    b"0",
    b"1\\2\\3\\4",
    b"Z" * 200,
]
TOKENS = [
    *WORDS,
    b"NaN",
    b"1e400",
    b"-0",
    b"true",
    b"null",
    b'"Jane Doe"',
    b"[[1], 2]",
    b"{}",
    b"]",
    b"\n",
    b"8",
    b"1e3",
]
BESIDE = (".hdr", ".json")  # what may lie beside a file


def changes(rng: np.random.Generator) -> list[Change]:
    """One to four, half of them near the beginning of the file."""
    kinds = (STRUCTURE, BYTES)[int(rng.integers(2))]
    return [
        (str(rng.choice(kinds)), float(rng.random() ** int(rng.integers(1, 4))), int(rng.integers(1 << 32)))
        for _ in range(int(rng.integers(1, 5)))
    ]


def mutate(seed: Path, target: Path, wanted: Iterable[Change]) -> None:
    """Write the changed copy of a sound file, and of what lies beside it (the header of a .cfl, the sidecar of a
    .npy), which gets every other change."""
    wanted = list(wanted)
    beside = [end for end in BESIDE if seed.with_suffix(end).exists()]
    for end in beside:
        _in_text(seed.with_suffix(end), target.with_suffix(end), [c for c in wanted if c[2] % 2])
    if beside:
        wanted = [change for change in wanted if change[2] % 2 == 0]
    structure = [change for change in wanted if change[0] in STRUCTURE]
    shutil.copy(seed, target)
    if seed.suffix == ".h5" and structure:
        with h5py.File(target, "r+") as file:
            for change in structure:
                _in_hdf5(file, *change)
    raw = target.read_bytes()
    packed = raw[:2] == b"\x1f\x8b"
    raw = bytearray(gzip.decompress(raw) if packed else raw)
    if ".dcm" in seed.suffixes:
        raw = _in_dicom(raw, structure)
    for change in structure if seed.name.startswith("nifti") else ():
        _in_header(raw, *change)
    rest = [change for change in wanted if change[0] in BYTES]
    outside = packed and bool(rest) and rest[0][2] % 4 == 0  # the bytes of the gzip file itself
    if outside:
        raw = bytearray(gzip.compress(raw, 1, mtime=0))
    for change in rest:
        _in_bytes(raw, *change)
    target.write_bytes(gzip.compress(raw, 1, mtime=0) if packed and not outside else raw)


def _in_text(seed: Path, target: Path, wanted: Iterable[Change]) -> None:
    """A word of the text, with what separates it, becomes another one; or its bytes change."""
    raw = bytearray(seed.read_bytes())
    for what, where, which in wanted:
        if what in BYTES:
            _in_bytes(raw, what, where, which)
            continue
        words = re.split(rb"([\s,:\[\]{}]+)", raw)
        words[int(where * len(words))] = b"" if what == "drop" else TOKENS[which % len(TOKENS)]
        raw = bytearray(b"".join(words))
    target.write_bytes(raw)


def _in_hdf5(file: h5py.File, what: str, where: float, which: int) -> None:
    places: list[tuple[str, str | None]] = [("/", key) for key in file.attrs]
    file.visititems(lambda name, item: places.extend([(name, None), *((name, key) for key in item.attrs)]))
    if not places:
        return
    name, key = places[int(where * len(places))]
    owner, key = (file[name].attrs, key) if key is not None else (file, name)
    if what == "swap" and isinstance(old := owner[key] if owner is file else None, h5py.Dataset):
        new = _another(old, which)
    else:
        new = ODD[which % len(ODD)]
    del owner[key]
    if what != "drop":
        try:
            owner[key] = new
        except (TypeError, ValueError):  # what h5py cannot write
            owner[key] = 1.0


def _another(data: h5py.Dataset, which: int) -> Any:
    """The same numbers as another type or shape."""
    values = np.asarray(data[()]) if data.shape is not None and data.dtype.names is None else np.ones(3)
    types = ["f8", "i4", "u1", "c8", "?", ">f4", "f2"]
    ways: list[Callable[[], Any]] = [
        lambda: values[..., None],
        lambda: values[None],
        lambda: values.reshape(-1),
        lambda: values.reshape(-1)[:0],
        lambda: values.reshape(-1)[:1].reshape(()),
        lambda: values.T,
        lambda: values * np.float32("nan"),
        *(lambda t=t: values.astype(t) for t in types),
    ]
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            return ways[which % len(ways)]()
    except (TypeError, ValueError):
        return np.ones((2, 2))


def _in_dicom(raw: bytearray, wanted: list[Change]) -> bytearray:
    """Elements of the data set, or of an item in it, get other bytes."""
    import pydicom

    # after one change pydicom may not write it any more
    with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):
        for what, where, which in wanted:
            image = pydicom.dcmread(io.BytesIO(raw))
            places = list(_elements(image))
            owner, tag = places[int(where * len(places))]
            old = owner.get_item(tag)
            del owner[tag]
            if what != "drop":
                new = WORDS[which % len(WORDS)] + b" " * (len(WORDS[which % len(WORDS)]) % 2)
                owner[tag] = pydicom.dataelem.RawDataElement(tag, old.VR, len(new), new, 0, False, True)
            written = io.BytesIO()
            image.save_as(written)
            raw = bytearray(written.getvalue())
    return raw


def _elements(image: Any) -> Iterator[tuple[Any, Any]]:
    """(data set, tag) of every element, those in sequences too."""
    for tag in sorted(image.keys()):
        yield image, tag
        if image.get_item(tag).VR == "SQ":
            for item in image[tag].value:
                yield from _elements(item)


def _in_header(raw: bytearray, what: str, where: float, which: int) -> None:
    """A field of the NIfTI header gets another value."""
    import nibabel

    kind = nibabel.Nifti2Header if raw[4:6] == b"n+" else nibabel.Nifti1Header
    fields = kind.template_dtype.fields
    dtype, offset = list(fields.values())[int(where * len(fields))][:2]
    base, shape = dtype.subdtype or (dtype, ())
    at = offset + (which >> 8) % max(int(np.prod(shape, dtype=int)), 1) * base.itemsize
    values = [0, -1, 1, 2, 7, 16, 255, 1 << 14, 1 << 30, np.nan, np.inf, -np.inf, 1e30, 1e-40, 0.5]
    with np.errstate(all="ignore"):
        new = np.array(values[which % len(values)]).astype(base if base.kind in "iuf" else "u1")
    raw[at : at + new.nbytes] = new.tobytes()


def _in_bytes(raw: bytearray, what: str, where: float, which: int) -> None:
    if not raw:
        return
    at = min(int(where * len(raw)), len(raw) - 1)
    if what == "flip":
        raw[at] ^= which % 255 + 1
    elif what == "word":
        words = [0, 1, -1, 1 << 31, 1 << 63, (1 << 63) - 1, len(raw), len(raw) + 1, at, 96, 1 << 20]
        size = (1, 2, 4, 8)[which // 16 % 4]
        raw[at : at + size] = (words[which % len(words)] % (1 << 8 * size)).to_bytes(size, "little")
    elif what == "cut":
        del raw[at:]
    elif what == "repeat":
        block = raw[at : at + 64]
        to = which % len(raw)
        raw[to : to + len(block)] = block
    else:
        raw[at : at + 64] = bytes(len(raw[at : at + 64]))
