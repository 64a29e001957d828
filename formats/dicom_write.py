"""Reconstructions out as a DICOM series, by the rules for derived images (PS3.3 C.7.6.1.1.2;
docs/formats.md).

Every image gets a new SOPInstanceUID, the run one new SeriesInstanceUID; study, patient, frame of reference
and geometry are the source's where there is one. ImageType is DERIVED\\SECONDARY always: a prior adds
content, so the result is never an original. CT is stored as HU + 1024 (slope 1), MR with its own slope.
Pixel sizes that were assumed are not written: an image without PixelSpacing says that nobody knows.
Nothing of the source that describes its pixels (padding, LUTs, smallest and largest value), no private tag
and no signature is taken over.
"""

from __future__ import annotations

import copy
import datetime
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from .dicom_pixels import pydicom_quietly
from .scan import FormatError, Volume
from .write import atomic

WARNING = "NOT FOR DIAGNOSTIC USE"
_CT, _MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
_STALE = (  # noqa: SIM905  describes the source's pixels or frames, or signs them
    "PixelData FloatPixelData DoubleFloatPixelData ExtendedOffsetTable ExtendedOffsetTableLengths "
    "SmallestImagePixelValue LargestImagePixelValue SmallestPixelValueInSeries LargestPixelValueInSeries "
    "PixelPaddingValue PixelPaddingRangeLimit PixelAspectRatio ModalityLUTSequence VOILUTSequence "
    "VOILUTFunction PresentationLUTShape RealWorldValueMappingSequence IconImageSequence RescaleType "
    "RedPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableDescriptor "
    "BluePaletteColorLookupTableDescriptor RedPaletteColorLookupTableData GreenPaletteColorLookupTableData "
    "BluePaletteColorLookupTableData PaletteColorLookupTableUID PixelPresentation VolumetricProperties "
    "VolumeBasedCalculationTechnique ContentQualification AcquisitionContextSequence ReferencedFrameNumber "
    "NumberOfFrames ReferencedRawDataSequence SourceImageSequence DerivationCodeSequence "
    "DerivationDescription "
    "ReferencedImageEvidenceSequence SourceImageEvidenceSequence ConversionSourceAttributesSequence "
    "UnassignedSharedConvertedAttributesSequence UnassignedPerFrameConvertedAttributesSequence "
    "DigitalSignaturesSequence MACParametersSequence EncryptedAttributesSequence DataSetTrailingPadding "
    "ImagerPixelSpacing NominalScannedPixelSpacing PixelSpacingCalibrationType PixelSpacingCalibrationDescription "
    "InstanceCreatorUID SeriesDate SeriesTime ImageComments SpatialLocationsPreserved"
).split()


_EMPTY = (  # noqa: SIM905  required, may be empty
    "PatientBirthDate PatientSex StudyDate StudyTime StudyID AccessionNumber ReferringPhysicianName "
    "Manufacturer "
    "PatientPosition PositionReferenceIndicator AcquisitionNumber"
).split()


@dataclass(frozen=True)
class DicomSeries:
    """What was written: the files, their SeriesInstanceUID, how many pixels were clipped to 16 bits."""

    paths: tuple[Path, ...]
    series_uid: str
    clipped: int


def write_dicom(
    data: np.ndarray,
    source: Volume,
    out_dir: str | Path,
    description: str,
    derivation: dict[str, Any],
    uid_seed: str | None = None,
) -> DicomSeries:
    """Write slices as a new series in a new (or empty) folder.

    Args:
        data: (Z, H, W), HU for CT, magnitude for MR. Another matrix than the source's means other pixels over
            the same field of view: PixelSpacing and ImagePositionPatient are scaled.
        source: the images the data stem from. Without `Volume.dicom` (raw data, NIfTI) a new anonymous study, of its
            modality and spacing; nothing that is assumed of it is written, and `slice_thickness_mm` of its header is.
        description: SeriesDescription; "NOT FOR DIAGNOSTIC USE" is appended.
        derivation: what DerivationDescription says, as key=value pairs (at most 1024 characters).
        uid_seed: makes all UIDs a function of it (and the source), so that a repeated run writes the same
            ones; random by default.

    Raises:
        FormatError: wrong shape, NaN or Inf, a source with another number of DICOM headers, a folder that is not empty.
    """
    out_dir = Path(out_dir)
    _check(data, source, out_dir)
    if source.pixel_assumed:
        derivation = {"pixel size": "not known", **derivation}
    with pydicom_quietly() as pydicom:
        uids = _Uids(pydicom, uid_seed, source)
        series, now = uids("series"), datetime.datetime.now(tz=datetime.UTC).astimezone()
        templates = source.dicom or _anonymous(pydicom, uids, data.shape, source)
        stored, slope, clipped = _quantised(data, source.modality)
        with atomic(out_dir, directory=True) as folder:
            for i, (template, pixels) in enumerate(zip(templates, stored, strict=True)):
                image = _derived(pydicom, template, source.modality, keep_source=bool(source.dicom))
                image.SOPInstanceUID, image.SeriesInstanceUID = uids(f"image {i}"), series
                image.InstanceNumber = i + 1
                image.SeriesNumber = 9000 + int(template.get("SeriesNumber") or 0) % 1000
                image.SeriesDescription = _short(description, 63 - len(WARNING)) + " " + WARNING
                said = "; ".join(f"{k}={v}" for k, v in derivation.items())
                image.DerivationDescription = _short(said, 1024)
                image.InstanceCreationDate = image.ContentDate = now.strftime("%Y%m%d")
                image.InstanceCreationTime = image.ContentTime = now.strftime("%H%M%S")
                _equipment(pydicom, image, now)
                _geometry(image, template, data.shape[1:])
                _pixels(pydicom, image, pixels, source.modality, slope)
                pydicom.dcmwrite(folder / f"{i + 1:04d}.dcm", image, enforce_file_format=True)
    paths = tuple(out_dir / f"{i + 1:04d}.dcm" for i in range(len(data)))
    return DicomSeries(paths, str(series), clipped)


def _check(data: np.ndarray, source: Volume, out_dir: Path) -> None:
    """Refuse what cannot be written; as `write_dicom`."""
    if data.ndim != 3 or not data.size or np.iscomplexobj(data):
        raise FormatError(
            f"{out_dir}: got {data.dtype} data of shape {data.shape}, expected real (slices, rows, columns)"
        )
    if not np.isfinite(data).all():
        raise FormatError(
            f"{out_dir}: got NaN or Inf in the images, expected finite numbers; the reconstruction diverged"
        )
    if source.dicom and len(source.dicom) != len(data):
        raise FormatError(
            f"{out_dir}: got {len(data)} slices for a source of {len(source.dicom)}; read the same slices of it"
        )


class _Uids:
    """New UIDs: random, or a function of the seed and the source."""

    def __init__(self, pydicom: Any, seed: str | None, source: Volume) -> None:
        self.generate = pydicom.uid.generate_uid
        origin = source.dicom[0].get("SOPInstanceUID", "") if source.dicom else ""
        self.entropy = None if seed is None else f"{seed}|{origin}"

    def __call__(self, purpose: str) -> Any:
        if self.entropy is None:
            return self.generate()
        return self.generate(entropy_srcs=[self.entropy, "|", purpose])


def _derived(pydicom: Any, template: Any, modality: str, *, keep_source: bool) -> Any:
    """A copy of the source's header without what is not true of the new pixels."""
    image = copy.deepcopy(template)
    image.remove_private_tags()
    for keyword in _STALE:
        if keyword in image:
            del image[keyword]
    for element in list(image):
        if 0x5000 <= element.tag.group <= 0x501F or 0x6000 <= element.tag.group <= 0x601F:  # curves, overlays
            del image[element.tag]
    image.ImageType = ["DERIVED", "SECONDARY", "AXIAL" if modality == "CT" else "OTHER"]
    image.SOPClassUID = _CT if modality == "CT" else _MR
    image.Modality = modality
    image.BurnedInAnnotation = "NO"
    if str(template.get("LossyImageCompression", "")) != "01":  # once lossy, always lossy (C.7.6.1.1.5)
        image.LossyImageCompression = "00"
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in image:
                del image[keyword]
    if keep_source:
        reference = pydicom.Dataset()
        reference.ReferencedSOPClassUID = template.SOPClassUID
        reference.ReferencedSOPInstanceUID = template.SOPInstanceUID
        if "ReferencedFrameNumber" in template:
            reference.ReferencedFrameNumber = template.ReferencedFrameNumber
        code = _code(pydicom, "121322", "Source Image for Image Processing Operation")
        reference.PurposeOfReferenceCodeSequence = [code]
        image.SourceImageSequence = [reference]
    return image


def _code(pydicom: Any, value: str, meaning: str) -> Any:
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _equipment(pydicom: Any, image: Any, now: datetime.datetime) -> None:
    """Say who changed the image (C.12.1.1.5), after those who did before."""
    item = pydicom.Dataset()
    item.Manufacturer = item.ManufacturerModelName = "scanprior"
    try:
        item.SoftwareVersions = version("scanprior")
    except PackageNotFoundError:
        item.SoftwareVersions = "source"
    item.ContributionDateTime = now.strftime("%Y%m%d%H%M%S%z")
    item.ContributionDescription = (
        f"Reconstruction with a learned prior. Research use only, {WARNING.lower()}."
    )
    item.PurposeOfReferenceCodeSequence = [_code(pydicom, "109103", "Modifying Equipment")]
    image.ContributingEquipmentSequence = [*(image.get("ContributingEquipmentSequence") or []), item]


def _geometry(image: Any, template: Any, matrix: tuple[int, ...]) -> None:
    """Pixels of another size over the same field of view: the first pixel's centre moves by half the
    difference."""
    old = (int(template.Rows), int(template.Columns))
    if old == tuple(matrix) or "PixelSpacing" not in template:
        return
    before = np.asarray([float(s) for s in template.PixelSpacing])
    after = before * np.asarray(old) / np.asarray(matrix)  # (between rows, between columns) [mm]
    image.PixelSpacing = [_decimal(s) for s in after]
    position, direction = template.get("ImagePositionPatient"), template.get("ImageOrientationPatient")
    if position and direction:
        along_row, along_column = np.split(np.asarray([float(v) for v in direction]), 2)
        shift = (after[1] - before[1]) / 2 * along_row + (after[0] - before[0]) / 2 * along_column
        image.ImagePositionPatient = [
            _decimal(p + s) for p, s in zip(map(float, position), shift, strict=True)
        ]


def _decimal(value: float) -> Any:
    """A DICOM decimal string: at most 16 characters."""
    text = repr(float(value))
    digits = 15
    while len(text) > 16:
        text, digits = f"{float(value):.{digits}g}", digits - 1
    return text


def _quantised(data: np.ndarray, modality: str) -> tuple[np.ndarray, float, int]:
    """(Z, H, W) uint16, the slope, and how many pixels did not fit."""
    if modality == "CT":
        stored, slope = np.rint(data.astype(np.float64) + 1024), 1.0
    else:
        slope = float(_decimal(max(float(data.max()), 0.0) / 65000 or 1.0))
        stored = np.rint(data.astype(np.float64) / slope)
    clipped = int(np.count_nonzero((stored < 0) | (stored > 65535)))
    return np.clip(stored, 0, 65535).astype(np.uint16), slope, clipped


def _pixels(pydicom: Any, image: Any, stored: np.ndarray, modality: str, slope: float) -> None:
    image.Rows, image.Columns = stored.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.RescaleSlope = _decimal(slope)
    image.RescaleIntercept = "-1024" if modality == "CT" else "0"
    image.RescaleType = "HU" if modality == "CT" else "US"
    if modality == "MR":
        top = max(float(np.percentile(stored, 99.5)) * slope, slope)
        image.WindowCenter, image.WindowWidth = _decimal(top / 2), _decimal(top)
        if "WindowCenterWidthExplanation" in image:
            del image.WindowCenterWidthExplanation
    image.PixelData = stored.astype("<u2").tobytes()
    image["PixelData"].VR = "OW"
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    image.file_meta, image.preamble = meta, b"\0" * 128


def _anonymous(pydicom: Any, uids: _Uids, shape: tuple[int, ...], source: Volume) -> list[Any]:
    """Headers of a new study of nobody: raw data carry no patient. The volume's middle is the origin; of assumed pixels
    nothing is said of lengths and places, of assumed slices nothing of what lies between them."""
    modality, spacing = source.modality, None
    thickness = float(source.header.get("slice_thickness_mm") or 0)
    if not source.pixel_assumed:  # another matrix is the same field of view
        (dz, dy, dx), (_, H, W) = source.spacing, source.data.shape
        spacing = (None if source.slice_assumed else dz, dy * H / shape[1], dx * W / shape[2])
    depth, rows, columns = shape
    study, frame = uids("study"), uids("frame of reference")
    headers = []
    for i in range(depth):
        header = pydicom.Dataset()
        header.SpecificCharacterSet = "ISO_IR 100"
        header.SOPClassUID, header.SOPInstanceUID = (_CT if modality == "CT" else _MR), uids(f"template {i}")
        header.StudyInstanceUID, header.FrameOfReferenceUID = study, frame
        header.PatientName, header.PatientID = "Anonymous", "ANONYMOUS"
        header.PatientIdentityRemoved, header.DeidentificationMethod = "YES", "raw data without patient data"
        for keyword in _EMPTY:
            setattr(header, keyword, "")
        types = {
            "CT": {"KVP": None},
            "MR": {
                "ScanningSequence": "RM",
                "SequenceVariant": "NONE",
                "ScanOptions": "",
                "MRAcquisitionType": "2D",
            }
            | dict.fromkeys(("EchoTime", "EchoTrainLength", "RepetitionTime")),
        }
        for keyword, value in types[modality].items():
            setattr(header, keyword, value)
        header.Rows, header.Columns = rows, columns
        if spacing is None:
            header.SliceThickness = None
        else:
            dz, dy, dx = spacing
            header.PixelSpacing = [_decimal(dy), _decimal(dx)]
            header.SliceThickness = None if dz is None else _decimal(thickness or dz)
            if modality == "MR" and dz is not None:
                header.SpacingBetweenSlices = _decimal(dz)
            if dz is not None or depth == 1:
                origin = (-(columns - 1) * dx / 2, -(rows - 1) * dy / 2, (i - (depth - 1) / 2) * (dz or 0))
                header.ImagePositionPatient = [_decimal(v) for v in origin]
                header.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
        headers.append(header)
    return headers


def _short(words: str, limit: int) -> str:
    """ASCII without backslashes (they separate values in DICOM), at most `limit` characters."""
    plain = words.replace("\\", "/").encode("ascii", "replace").decode()
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."
