"""DICOM images made from scratch."""

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT, MR, ENHANCED_MR = (f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("2", "4", "4.1"))
SIDE = 8


def image(pixels: np.ndarray | int = 100, modality: str = "MR", z: float = 0.0, **changes: Any) -> Dataset:
    """A classic image; an int fills it. `changes`: elements, None for none."""
    pixels = np.full((SIDE, SIDE), pixels) if isinstance(pixels, int) else pixels
    out, meta = Dataset(), FileMetaDataset()
    out.SOPClassUID = CT if modality == "CT" else MR
    out.SOPInstanceUID, out.StudyInstanceUID, out.SeriesInstanceUID = generate_uid(), "1.2.3", "1.2.4"
    out.Modality, out.SeriesNumber, out.InstanceNumber = modality, 1, 1
    out.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if modality == "CT" else "M"]
    out.Rows, out.Columns = pixels.shape[-2:]
    out.SamplesPerPixel, out.PhotometricInterpretation = 1, "MONOCHROME2"
    out.BitsAllocated = out.BitsStored = 16
    out.HighBit, out.PixelRepresentation = 15, 0
    out.PixelSpacing, out.SliceThickness = [0.8, 0.8], 5
    out.ImageOrientationPatient, out.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-50, -50, z]
    if modality == "CT":
        out.RescaleSlope, out.RescaleIntercept = 1, -1024
    out.PixelData = pixels.astype("<u2").tobytes()
    for keyword, value in changes.items():
        if value is None:
            del out[keyword]
        else:
            setattr(out, keyword, value)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = out.SOPClassUID, out.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out.file_meta = meta
    return out


def enhanced(frames: list[dict[str, Any]], **changes: Any) -> Dataset:
    """An enhanced MR object whose frame k is filled with 10 k; a frame's groups: z, echo, time, kind."""
    pixels = np.stack([np.full((SIDE, SIDE), 10 * k) for k in range(len(frames))])
    out = image(pixels, NumberOfFrames=len(frames), ImagePositionPatient=None, PixelSpacing=None, **changes)
    out.SOPClassUID = out.file_meta.MediaStorageSOPClassUID = ENHANCED_MR
    groups = []
    for stated in frames:
        group = Dataset()
        for sequence, keyword, value in (
            ("PlanePositionSequence", "ImagePositionPatient", [0, 0, stated["z"]] if "z" in stated else None),
            ("PixelMeasuresSequence", "PixelSpacing", [0.5, 0.5]),
            ("MREchoSequence", "EffectiveEchoTime", stated.get("echo")),
            ("FrameContentSequence", "TemporalPositionIndex", stated.get("time")),
            ("MRImageFrameTypeSequence", "FrameType", stated.get("kind")),
        ):
            if value is not None:
                item = Dataset()
                setattr(item, keyword, value)
                setattr(group, sequence, [item])
        groups.append(group)
    out.PerFrameFunctionalGroupsSequence = groups
    return out


def save(path: Path, item: Dataset) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    item.save_as(path, enforce_file_format=True)
    return path


def series(folder: Path, images: list[Dataset]) -> Path:
    """Files whose instance numbers grow from 1."""
    for i, item in enumerate(images):
        item.InstanceNumber = i + 1
        save(folder / f"{i:03d}.dcm", item)
    return folder
