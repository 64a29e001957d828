"""Stored DICOM pixels -> HU or magnitude. The one file that imports pydicom."""

from __future__ import annotations

import gzip
import io
import sys
import time
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import limits
from .dicom_header import number
from .gzipped import is_gzip
from .isolated import isolated
from .scan import FormatError

AIR_HU = -1024.0
_PATIENCE = 60.0  # s for a header; those of thousands of frames take a few
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
_BLOCK = 1 << 20  # bytes


@contextmanager
def pydicom_quietly() -> Iterator[Any]:
    """pydicom, imported when needed; its remarks about other people's headers are not our user's business."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pydicom")
        # a third of the time that importing pydicom takes; it downloads without as well
        with _absent("requests"):
            import pydicom
            import pydicom.data
            import pydicom.pixels

        yield pydicom


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """A module that was not imported yet cannot be, for a while."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # what `import` takes for "not there"
    try:
        yield
    finally:
        del sys.modules[name]


def check_deflated(path: Path) -> None:
    """Raise FormatError where a deflated DICOM file, which pydicom unpacks before it reads a tag, takes more than
    memory."""
    with path.open("rb") as file:
        start = file.read(1024)
        if start[128:132] != b"DICM" or _DEFLATED not in start:
            return
        file.seek(144 + int.from_bytes(start[140:144], "little"))
        unpack, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        with suppress(zlib.error):  # damaged: pydicom says so
            while not unpack.eof and (packed := unpack.unconsumed_tail or file.read(_BLOCK)):
                size += len(unpack.decompress(packed, _BLOCK))
                limits.check_size(2.0 * size, path.name, "what it unpacks to")


@dataclass(frozen=True, eq=False)
class DicomSlice:
    """One image and what its header says of it.

    Attributes:
        frame: in its file; None for classic objects.
        header: pydicom Dataset without pixels; of an enhanced object, that of the whole file.
        position, orientation: ImagePositionPatient, ImageOrientationPatient, None where not stored.
        spacing: (between rows, between columns) [mm], None where not stored; `assumed`: not measured in the patient;
            `pixel_remark`: what is odd about it.
        size: (rows, columns).
        tile: where in the frame, of a mosaic.
        groups: functional groups of an enhanced frame.
        kind: words of ImageType (of the frame).
        marks: what tells images at one place apart: echo, temporal position, b value, …
        order: where the image stands where positions are missing: instance number, frame.
        remarks: what was assumed or repaired.
    """

    path: Path
    frame: int | None
    header: Any
    position: np.ndarray | None
    orientation: np.ndarray | None
    spacing: tuple[float, float] | None
    size: tuple[int, int]
    tile: tuple[slice, slice] | None = None
    groups: tuple[Any, ...] = ()
    assumed: bool = False
    pixel_remark: str = ""
    kind: list[str] = field(default_factory=list)
    marks: dict[str, float | str] = field(default_factory=dict)
    order: float | None = None
    remarks: tuple[str, ...] = ()


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A DICOM file's bytes, unpacked where it was gzipped. Raises FormatError where that takes too much memory."""
    if not is_gzip(path):
        with path.open("rb") as file:
            yield file
        return
    most = limits.memory() // 4  # pydicom copies it
    with gzip.open(path) as packed:
        unpacked = packed.read(most + 1)
    limits.check_size(4.0 * len(unpacked), path.name, "what it unpacks to")
    yield io.BytesIO(unpacked)


class Hurried:
    """An open file that is read for a while only: pixels that are taken for a sequence can hold millions of items."""

    def __init__(self, file: Any) -> None:
        self._file, self._end = file, time.monotonic() + _PATIENCE

    def read(self, size: int = -1) -> bytes:
        if time.monotonic() > self._end:
            raise TimeoutError(f"its header was not read within {_PATIENCE:g} s")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def pixels(images: list[DicomSlice], headers: list[Any], modality: str) -> np.ndarray:
    """(Z, H, W) float32, HU (CT) or magnitude (MR), of sorted slices of one size and their classic headers."""
    rows, columns = images[0].size
    limits.check_size(4.0 * len(images) * rows * columns, images[0].path.name, f"{len(images)} images")
    out = np.empty((len(images), rows, columns), dtype=np.float32)
    at, decoded = None, np.empty(0)
    for i, (image, header) in enumerate(zip(images, headers, strict=True)):
        if at != image.path:
            at, decoded = image.path, _decoded(image)
        stored = decoded
        if image.frame is not None:
            frames = decoded[None] if decoded.ndim == 2 else decoded
            stored = frames[image.frame] if image.frame < len(frames) else np.empty(0)
        stored = stored if image.tile is None or stored.ndim != 2 else stored[image.tile]
        if stored.shape != (rows, columns):
            raise FormatError(
                f"{image.path.name}: pixels of shape {decoded.shape}, expected {(rows, columns)} from its "
                "header"
                + ("" if image.frame is None else f", and more than {image.frame} frames")
                + "; export it again"
            )
        out[i] = _rescaled(stored, image.path.name, header, modality)
    return out


def _decoded(image: DicomSlice) -> np.ndarray:
    """A file's pixels; the libraries that decompress are no Python and may crash, so they do it in another process."""
    syntax = str(getattr(image.header, "file_meta", {}).get("TransferSyntaxUID", _PLAIN[0]))
    return _decode(image.path) if syntax in _PLAIN else isolated(_decode, image.path)


def _decode(path: Path) -> np.ndarray:
    with pydicom_quietly() as pydicom:
        try:
            with opened(path) as file:
                dataset = pydicom.dcmread(file, force=True)
            if not any(
                keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
            ):
                raise FormatError(
                    f"{path.name}: DICOM without pixel data, expected CT or MR images; export the images themselves"
                )
            if not dataset.file_meta.get("TransferSyntaxUID"):
                dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
            pixels = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("NumberOfFrames", 1) or 1)
            limits.check_size(12.0 * pixels, path.name, "the pixels")  # stored, decoded, rescaled
            return dataset.pixel_array
        except (FormatError, MemoryError):
            raise
        except Exception as error:  # pydicom and its plugins raise many types
            syntax = _syntax(path)
            if isinstance(error, (RuntimeError, NotImplementedError)) and syntax is not None:
                raise FormatError(
                    f"{path.name}: compressed as {syntax}, which nothing installed here decodes; "
                    "pip install scanprior[dicom]"
                ) from error
            raise FormatError(
                f"{path.name}: pixels cannot be read ({error}); the file is damaged: copy it again"
            ) from error


def _syntax(path: Path) -> str | None:
    """The name of the compression, None where there is none, or none that is known."""
    with pydicom_quietly() as pydicom, opened(path) as file:
        uid = pydicom.dcmread(file, stop_before_pixels=True, force=True).file_meta.get("TransferSyntaxUID")
        return uid.name if uid is not None and uid.is_transfer_syntax and uid.is_compressed else None


def _rescaled(stored: np.ndarray, name: str, header: Any, modality: str) -> np.ndarray:
    if "ModalityLUTSequence" in header:
        with pydicom_quietly() as pydicom:
            values = np.asarray(pydicom.pixels.apply_modality_lut(stored, header), dtype=np.float64)
    else:
        slope, intercept = number(header, "RescaleSlope"), number(header, "RescaleIntercept")
        slope, intercept = (1.0 if slope is None else slope), (0.0 if intercept is None else intercept)
        values = slope * stored.astype(np.float64) + intercept
    if modality != "CT":
        return values.astype(np.float32)
    kind = str(header.get("RescaleType", "HU") or "HU")
    if kind not in ("HU", "US"):
        raise FormatError(
            f"{name}: CT with values in {kind!r}, expected HU; pass the standard reconstruction"
        )
    if "PixelPaddingValue" in header:
        edges = [_padding(header, k) for k in ("PixelPaddingValue", "PixelPaddingRangeLimit") if k in header]
        values[(stored >= min(edges)) & (stored <= max(edges))] = AIR_HU
    return np.maximum(values, AIR_HU).astype(np.float32)


def _padding(header: Any, keyword: str) -> int:
    """Stored as US or SS; where the dictionary's choice and the pixels' sign disagree, the bits count."""
    value = header[keyword].value
    value = int.from_bytes(value[:2], "little") if isinstance(value, bytes) else int(value)
    signed = int(header.get("PixelRepresentation", 0)) == 1
    return value - 65536 if signed and value > 32767 else value + 65536 if not signed and value < 0 else value
