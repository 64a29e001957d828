"""What a DICOM object shows, by its header: a scanner's slices, or something else that only looks like them.

One function decides for `read`, which refuses what is no image of intensities and remarks on the rest, and for
`prepare`, which leaves both out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .dicom_header import image_type, value, whole

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_PROJECTIONS = range(
    0x7029, 0x7038, 2
)  # private groups of DICOM-CT-PD: geometry of the detector, source, scan
PROJECTION_TAGS = (0x70291002, 0x70291006, 0x70291010, 0x70311001, 0x70311003, 0x70311031, 0x70331013)
GE_COMPONENT = 0x0043102F  # 0 magnitude, 1 phase, 2 real, 3 imaginary
_COMPONENTS = {
    "P": "phase", "PHASE": "phase", "PHASE MAP": "phase", "R": "real part", "REAL": "real part",
    "I": "imaginary part", "IMAGINARY": "imaginary part", "MIXED": "mixture of magnitude and phase",
    "VELOCITY": "velocity", "FIELD MAP": "field map", "B0": "field map", "B1": "field map",
}  # fmt: skip
_MAPS = {
    "ADC", "EADC", "EXPONENTIAL_ADC", "FA", "FRACTIONAL_ANISOTROPY", "RELATIVE_ANISOTROPY", "VOLUME_RATIO", "TENSOR",
    "COLFA", "RCBF", "RCBV", "RELCBF", "RELCBV", "CBF", "CBV", "MTT", "TTP", "TMAX", "PBP", "GBP", "BAT", "KTRANS",
    "IAUC", "KEP", "TTT", "PERMEABILITY", "T1 MAP", "T2 MAP", "T1_MAP", "T2_MAP", "T2* MAP", "T2_STAR MAP",
    "T2_STAR_MAP", "R2_MAP", "R2* MAP", "R2_STAR_MAP", "FF", "FAT_FRACTION", "FATFRACTION", "SUBTRACTION", "IODINE",
    "ZEFF", "T_TEST", "Z_SCORE", "STIFFNESS", "WAVE",
}  # fmt: skip
_RENDERED = {"SCREEN SAVE", "VRT", "3D RENDERING", "VOLUME_RENDERED", "PROJECTION IMAGE", "CSA REPORT"}
_REFORMATTED = {"MIP", "MINIP", "MAX_IP", "MIN_IP", "MPR", "REFORMATTED", "RESAMPLED", "TRACEW"}


class Finding(NamedTuple):
    """Why an image is not to be learnt from (a few words), the sentence for who reads it, and whether it is refused
    there or read with the sentence as a remark."""

    reason: str
    sentence: str
    refused: bool = True


def findings(header: Any, kind: list[str] | None = None) -> Iterator[Finding]:
    """All that is odd about an image, the worst first.

    Args:
        header: without pixels.
        kind: the frame's own words, in place of ImageType (enhanced objects).
    """
    kind = image_type(header) if kind is None else kind
    modality, words = str(value(header, "Modality") or ""), _sop_class(header)
    if "DirectoryRecordSequence" in header:
        yield Finding(
            "no image (other DICOM object)",
            "an index of DICOM files (DICOMDIR), expected images; pass the folder of one series that lies beside it",
        )
        return
    if "Rows" not in header or "Columns" not in header:
        yield Finding(
            "no image (other DICOM object)",
            f"DICOM without pixel data ({words}), expected CT or MR images; export the images themselves",
        )
        return
    if str(value(header, "SOPClassUID") or "").startswith(_SECONDARY_CAPTURE):
        yield Finding(
            "screenshot (secondary capture)",
            f"a secondary capture ({words}), not a scanner's image; pass the original series",
        )
    if whole(header, "SamplesPerPixel", 1) != 1:
        colours = value(header, "PhotometricInterpretation") or "RGB"
        yield Finding("colour image", f"a colour image ({colours}), expected grey values")
    if modality not in ("CT", "MR"):
        yield Finding("other modality", f"modality {modality!r} ({words}), expected CT or MR")
    if any(tag.group in _PROJECTIONS for tag in header.keys()):  # noqa: SIM118  iterating a dataset parses its values
        yield Finding(
            "raw CT data (reconstruct them first)",
            "raw projections stored as a CT image (DICOM-CT-PD), expected reconstructed slices; convert the series "
            "to a sinogram in HDF5 (docs/formats.md)",
        )
    yield from _contents(header, kind, modality)


def _contents(header: Any, kind: list[str], modality: str) -> Iterator[Finding]:
    """What is odd about what an image shows, by its own words."""
    later = set(kind[2:])
    if component := _component(header, kind, modality):
        yield Finding(
            f"no magnitude ({component})",
            f"a {component} image, expected magnitudes; pass the magnitude images of this scan",
        )
    if found := sorted(later & _MAPS):
        yield Finding(
            "derived image",
            f"a map computed from images ({found[0]}), expected the images themselves; pass the original series",
        )
    if found := sorted(later & _RENDERED):
        yield Finding(
            "derived image", f"a rendered picture ({found[0]}), expected slices; pass the original series"
        )
    if "LOCALIZER" in kind or "SCOUT" in kind or "TOPOGRAM" in kind:
        yield Finding(
            "localizer",
            "a localizer, expected slices through the body; pass the scan that was planned on it"
            if modality == "CT"
            else "a localizer: a few coarse slices to plan a scan on",
            refused=modality == "CT",
        )
    if kind[1:2] == ["SECONDARY"] or later & _REFORMATTED:
        yield Finding(
            "derived image", f"a derived image ({'/'.join(kind)}), not the scanner's own", refused=False
        )
    if str(value(header, "LossyImageCompression") or "") == "01":
        yield Finding(
            "lossy compression", "lossily compressed: fine detail is not the scanner's", refused=False
        )


def _component(header: Any, kind: list[str], modality: str) -> str:
    if modality != "MR":
        return ""
    stated = str(value(header, "ComplexImageComponent") or "").upper()
    found = [_COMPONENTS[word] for word in (*kind[2:], stated) if word in _COMPONENTS]
    if not found and str(value(header, "Manufacturer") or "").upper().startswith("GE"):
        by_ge = value(header, GE_COMPONENT)
        found = (
            [{1: "phase", 2: "real part", 3: "imaginary part"}.get(by_ge, "")] if by_ge in (1, 2, 3) else []
        )
    return found[0] if found else ""


def _sop_class(header: Any) -> str:
    uid = value(header, "SOPClassUID")
    return str(getattr(uid, "name", uid) or "no SOP class")
