"""The part of an ISMRMRD XML header that a Cartesian reconstruction needs (fastMRI files carry the same
header), as vendors write it: whole numbers may be "1.0000", reconSpace and fields of view may be missing or 0.

What is not stated is assumed and said in `remarks`. Nothing of the subject, study or institution is read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from xml.etree import ElementTree

from .reader import NO_PIXEL, told_pixel
from .scan import FormatError, Header

_LARGEST = 65535  # the schema's unsignedShort


@dataclass(frozen=True)
class MRHeader:
    """Sizes and lengths as (readout, phase).

    Attributes:
        encoded, recon: matrix sizes.
        encoded_mm, recon_mm: fields of view [mm].
        thickness_mm: of a slice; None where not stated.
        trajectory: "cartesian" or another.
        ramps: EPI that is sampled while the readout gradient still changes.
        centre, last: of the phase encoding steps; None where not stated.
        acceleration: of the phase encoding.
        calibration: "embedded", "separate", … (the schema's calibrationMode); "" where not stated.
        noise_bandwidth: of the receiver, relative to its sampling rate; None where not stated.
        pixel_assumed: the pixel size is not stated.
        remarks: what was assumed.
        facts: vendor, model, field strength.
    """

    encoded: tuple[int, int]
    encoded_mm: tuple[float, float]
    recon: tuple[int, int]
    recon_mm: tuple[float, float]
    thickness_mm: float | None
    trajectory: str
    ramps: bool
    centre: int | None
    last: int | None
    acceleration: float
    calibration: str
    noise_bandwidth: float | None
    pixel_assumed: bool
    remarks: tuple[str, ...]
    facts: Header

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Of the encoded grid, also after the readout's oversampling is removed: (readout, phase)."""
        return self.encoded_mm[0] / self.encoded[0], self.encoded_mm[1] / self.encoded[1]

    def same_field(self, other: MRHeader) -> bool:
        """Whether the encoded field of view is that of the other, so that lines lie equally far apart in k-space."""
        return all(abs(a / b - 1) < 0.01 for a, b in zip(self.encoded_mm, other.encoded_mm, strict=True))

    def readout(self, samples: int) -> int:
        """How many of the readout's `samples` pixels lie in the reconstructed field of view."""
        return min(samples, max(1, round(samples * self.recon_mm[0] / self.encoded_mm[0])))

    def with_pixel(self, pixel_mm: float | None, source: str) -> MRHeader:
        """The same with pixels of this side, for a file that does not say it. Raises as `told_pixel`."""
        if pixel_mm is None:
            return self
        side = told_pixel(source, pixel_mm, None if self.pixel_assumed else self.pixel_mm)
        if not self.pixel_assumed:
            return self
        return replace(
            self,
            encoded_mm=(self.encoded[0] * side, self.encoded[1] * side),
            recon_mm=(self.recon[0] * side, self.recon[1] * side),
            pixel_assumed=False,
            remarks=tuple(remark for remark in self.remarks if remark != NO_PIXEL),
        )


def parse_header(xml: str, source: str, space: int = 0) -> MRHeader:
    """Read the XML; `space` is the number of the <encoding> (readouts name it as encoding_space_ref).

    Raises:
        FormatError: no XML, no such encoding, or a matrix that is no pair of whole numbers.
    """
    try:
        root = ElementTree.fromstring(xml.strip("\0\ufeff \r\n\t"))
        encodings = root.findall("{*}encoding")
        if space >= len(encodings):
            raise ValueError(f"no encoding number {space}, {len(encodings)} in all")
        encoding = encodings[space]
        encoded = _matrix(encoding, "encodedSpace")
        if encoded is None:
            raise ValueError("no matrix size in encodedSpace")
        recon = _matrix(encoding, "reconSpace") or encoded
        encoded_mm, recon_mm, remarks = _fields(encoding, encoded, recon)
        thickness = _length(encoding, "reconSpace", "z") or _length(encoding, "encodedSpace", "z")
        if thickness is None:
            remarks.append("the slice thickness is not stored; 1 mm is assumed")
        return MRHeader(
            encoded=encoded,
            encoded_mm=encoded_mm,
            recon=recon,
            recon_mm=recon_mm,
            thickness_mm=thickness,
            trajectory=(_text(encoding, "trajectory") or "cartesian").lower(),
            ramps=_on_ramps(encoding),
            centre=_count(encoding, "encodingLimits", "kspace_encoding_step_1", "center"),
            last=_count(encoding, "encodingLimits", "kspace_encoding_step_1", "maximum"),
            acceleration=_positive(
                _text(encoding, "parallelImaging", "accelerationFactor", "kspace_encoding_step_1")
            )
            or 1.0,
            calibration=(_text(encoding, "parallelImaging", "calibrationMode") or "").lower(),
            noise_bandwidth=_positive(
                _text(root, "acquisitionSystemInformation", "relativeReceiverNoiseBandwidth")
            ),
            pixel_assumed=NO_PIXEL in remarks,
            remarks=tuple(remarks),
            facts=_facts(root),
        )
    except (ElementTree.ParseError, ValueError) as error:
        raise FormatError(
            f"{source}: the ISMRMRD header cannot be read ({error}), expected XML with an encodedSpace; repair it"
        ) from error


def _text(root: ElementTree.Element, *names: str) -> str | None:
    words = root.findtext("/".join(f"{{*}}{name}" for name in names))
    return words.strip() if words and words.strip() else None


def _positive(words: str | None) -> float | None:
    """A positive number; None for anything else, which vendors write for "not known"."""
    try:
        value = float(words or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _count(root: ElementTree.Element, *names: str) -> int | None:
    """A whole number of at least 0, also one written as "32.0". Raises ValueError for another one."""
    words = _text(root, *names)
    if words is None:
        return None
    value = float(words)
    if not 0 <= value <= _LARGEST or value != int(value):
        raise ValueError(f"{'/'.join(names)} {words}")
    return int(value)


def _matrix(encoding: ElementTree.Element, space: str) -> tuple[int, int] | None:
    """(x, y); None where the space has no matrix. Raises ValueError for half of one, or a side of 0."""
    x, y = (_count(encoding, space, "matrixSize", axis) for axis in "xy")
    if x is None and y is None:
        return None
    if not x or not y:
        raise ValueError(f"{space} matrixSize {x} x {y}")
    return x, y


def _length(encoding: ElementTree.Element, space: str, axis: str) -> float | None:
    """The field of view of a space along an axis [mm], for z that of one partition; None where not stated."""
    whole = _positive(_text(encoding, space, "fieldOfView_mm", axis))
    if whole is not None and axis == "z":
        whole /= _positive(_text(encoding, space, "matrixSize", "z")) or 1.0
    return whole


def _fields(
    encoding: ElementTree.Element, encoded: tuple[int, int], recon: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float], list[str]]:
    """Fields of view, encoded and reconstructed; one that is missing has the other's pixels, an axis without any
    those of the other axis, and without these 1 mm."""
    spaces = [[_length(encoding, space, axis) for axis in "xy"] for space in ("encodedSpace", "reconSpace")]
    fields = [
        [e or (r and r / m * n), r or (e and e / n * m)]
        for e, r, n, m in zip(*spaces, encoded, recon, strict=True)
    ]
    pixels = [field[0] and field[0] / n for field, n in zip(fields, encoded, strict=True)]
    remarks = []
    if None in pixels:
        known = pixels[0] or pixels[1]
        remarks.append(
            NO_PIXEL if known is None else "the pixel size of one axis is not stored; the other's is taken"
        )
        fields = [
            field if pixel else [n * (known or 1.0), m * (known or 1.0)]
            for field, pixel, n, m in zip(fields, pixels, encoded, recon, strict=True)
        ]
    (ex, rx), (ey, ry) = ((float(e or 0), float(r or 0)) for e, r in fields)
    return (ex, ey), (rx, ry), remarks


def _on_ramps(encoding: ElementTree.Element) -> bool:
    """Whether samples lie outside of the readout gradient's flat top, as the converter of Siemens data says it [µs]."""
    described: dict[str, float] = {}
    for parameter in encoding.findall("{*}trajectoryDescription/*"):
        name, value = _text(parameter, "name"), _text(parameter, "value")
        if name and value:
            described[name] = _positive(value) or 0.0
    names = ("rampUpTime", "flatTopTime", "numSamples", "dwellTime")
    if not all(name in described for name in names):
        return False
    ramp, flat, samples, dwell = (described[name] for name in names)
    start = described.get("acqDelayTime", ramp + (flat - samples * dwell) / 2)
    return ramp > 0 and (start < ramp - dwell or start + samples * dwell > ramp + flat + dwell)


def _facts(root: ElementTree.Element) -> Header:
    names = {"manufacturer": "systemVendor", "model": "systemModel", "field_tesla": "systemFieldStrength_T"}
    found = {key: _text(root, "acquisitionSystemInformation", name) for key, name in names.items()}
    found["sequence"] = _text(root, "sequenceParameters", "sequence_type")
    facts: Header = {key: words for key, words in found.items() if words and key != "field_tesla"}
    if field := _positive(found["field_tesla"]):
        facts["field_tesla"] = field
    return facts
