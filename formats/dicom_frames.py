"""A DICOM file -> its slices: classic images, the frames of multi-frame objects, the tiles of mosaics; and the classic
header of each."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .dicom_header import image_type, number, numbers, pixel_size, put, repair, value, whole
from .dicom_mosaic import taken_apart
from .dicom_pixels import DicomSlice, pydicom_quietly
from .scan import FormatError

_FUNCTIONAL = {  # what belongs to a frame of an enhanced object, and becomes part of its classic header
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth"),
}
_MARKS = {  # what tells images at one place apart: keyword -> (mark, functional group)
    "ConvolutionKernel": ("kernel", "CTReconstructionSequence"),
    "EchoTime": ("echo", ""),
    "EffectiveEchoTime": ("echo", "MREchoSequence"),
    "DiffusionBValue": ("b value", "MRDiffusionSequence"),
    "InversionTime": ("inversion time", ""),
    "InversionTimes": ("inversion time", "MRModifierSequence"),
    "FlipAngle": ("flip angle", "MRTimingAndRelatedParametersSequence"),
    "StackID": ("stack", "FrameContentSequence"),
    "TemporalPositionIdentifier": ("temporal position", ""),
    "TemporalPositionIndex": ("temporal position", "FrameContentSequence"),
    "TriggerTime": ("trigger time", ""),
    "NominalCardiacTriggerDelayTime": ("trigger time", "CardiacSynchronizationSequence"),
    "AcquisitionNumber": ("acquisition", ""),
    "FrameAcquisitionNumber": ("acquisition", "FrameContentSequence"),
}
TAGS = (
    "ImageOrientationPatient", "ImagePositionPatient", "ImageType", "InstanceNumber", "PixelSpacing", "Rows", "Columns",
    "ImagerPixelSpacing", "NominalScannedPixelSpacing", "SliceThickness", "SOPInstanceUID", "NumberOfFrames",
    *(keyword for keyword, (_, group) in _MARKS.items() if not group or keyword in ("ConvolutionKernel", "FlipAngle")),
)  # fmt: skip
_PLANE = 0.5  # row and column direction span one: the length of their product
_FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence")
_MULTIFRAME = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "NumberOfFrames")


def slices_of(path: Path, header: Any) -> list[DicomSlice]:
    """The slices in a file. Raises FormatError for a mosaic whose tiles cannot be told."""
    frames = whole(header, "NumberOfFrames", 1)
    if frames > path.stat().st_size:
        raise FormatError(f"{path.name}: got {frames} frames in a file of fewer bytes; copy it again")
    if value(header, "PerFrameFunctionalGroupsSequence"):
        return list(_enhanced(path, header))
    if frames > 1:
        return [one_slice(path, header, frame=i) for i in range(frames)]
    return taken_apart(one_slice(path, header))


def classic(image: DicomSlice) -> Any:
    """The slice's header in the classic form. Of a frame, ReferencedFrameNumber says which it was."""
    if image.frame is None and image.tile is None:
        repair(image.header)
        return image.header
    with pydicom_quietly() as pydicom:
        plain = pydicom.Dataset(dict(_of_all_frames(image.header)))
        for sequence, keywords in _FUNCTIONAL.items():
            for group in image.groups:
                if items := value(group, sequence):
                    for keyword in keywords:
                        if keyword in items[0]:
                            plain[keyword] = copy.copy(items[0][keyword])
                    break
        repair(plain)
        if image.frame is not None:
            put(plain, "ReferencedFrameNumber", image.frame + 1)
        if image.tile is not None:
            put(plain, "Rows", image.size[0])
            put(plain, "Columns", image.size[1])
        if image.tile is not None or not image.groups:  # else the position is the first frame's
            put(plain, "ImagePositionPatient", image.position)
    return plain


def _of_all_frames(header: Any) -> Iterator[tuple[Any, Any]]:
    """The elements that are no frame's own; shared between the frames' headers, never changed in place."""
    for tag in list(header.keys()):
        try:
            element = header[tag]
        except Exception:  # a value that pydicom cannot make sense of
            continue
        if element.keyword not in _MULTIFRAME and not element.keyword.startswith("Dimension"):
            yield tag, element


def stated_mm(image: DicomSlice, keyword: str) -> float | None:
    """A length that the frame's header states."""
    return number(_Groups((*image.groups, image.header)), keyword)


# --- frames
def one_slice(path: Path, header: Any, frame: int | None = None) -> DicomSlice:
    """A classic image, or one of several frames that say nothing of themselves."""
    position = None if frame is not None else numbers(header, "ImagePositionPatient", 3)
    instance = number(header, "InstanceNumber")
    remarks = [] if frame is None else ["the frames' positions are not stored; taken in their order"]
    return _slice(path, frame, header, header, position, frame if frame is not None else instance, remarks)


def _enhanced(path: Path, header: Any) -> Iterator[DicomSlice]:
    shared = value(header, "SharedFunctionalGroupsSequence") or [None]
    for i, frame in enumerate(header.PerFrameFunctionalGroupsSequence):
        groups = tuple(group for group in (frame, shared[0]) if group is not None)
        found = _Groups((*groups, header))
        position = numbers(found, "ImagePositionPatient", 3)
        kind = [str(word).upper() for word in found.frame_type() or image_type(header)]
        yield replace(_slice(path, i, header, found, position, i, [], kind), groups=groups)


class _Groups:
    """A frame's functional groups, the shared ones and the header, looked through in this order, as one header."""

    _GROUP = {keyword: sequence for sequence, keywords in _FUNCTIONAL.items() for keyword in keywords} | {
        keyword: group for keyword, (_, group) in _MARKS.items() if group
    }

    def __init__(self, groups: tuple[Any, ...]) -> None:
        self.groups = groups

    def _item(self, keyword: str) -> Any:
        sequence = self._GROUP.get(keyword)
        for group in self.groups[:-1]:
            items = value(group, sequence) if sequence else None
            if items and keyword in items[0]:
                return items[0]
        return self.groups[-1]

    def get(self, keyword: str) -> Any:
        return self._item(keyword).get(keyword)

    def get_item(self, keyword: str) -> Any:
        return self._item(keyword).get_item(keyword)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self._item(keyword)

    def frame_type(self) -> list[Any]:
        """FrameType, and what of magnitude and phase the frame is."""
        for group in self.groups[:-1]:
            for sequence in _FRAME_TYPES:
                if items := value(group, sequence):
                    stated = [items[0].get("ComplexImageComponent")]
                    return [*(items[0].get("FrameType") or []), *(word for word in stated if word)]
        return []


def _slice(
    path: Path,
    frame: int | None,
    header: Any,
    found: Any,
    position: tuple[float, ...] | None,
    order: float | None,
    remarks: list[str],
    kind: list[str] | None = None,
) -> DicomSlice:
    size = pixel_size(found)
    orientation = np.asarray(numbers(found, "ImageOrientationPatient", 6) or np.zeros(6))
    is_known = np.linalg.norm(np.cross(orientation[:3], orientation[3:])) > _PLANE
    kind = image_type(header) if kind is None else kind
    marks: dict[str, float | str] = {"type": "/".join(kind[2:])}
    for keyword, (mark, _) in _MARKS.items():
        if keyword in found and mark not in marks and (stated := value(found, keyword)) not in (None, ""):
            parsed = number(found, keyword)
            marks[mark] = round(parsed, 4) if parsed is not None else str(stated)
    return DicomSlice(
        path,
        frame,
        header,
        None if position is None else np.asarray(position),
        orientation if is_known else None,
        size.spacing,
        (whole(header, "Rows"), whole(header, "Columns")),
        assumed=size.assumed,
        pixel_remark=size.remark,
        remarks=tuple(remarks),
        kind=kind,
        marks=marks,
        order=order,
    )
