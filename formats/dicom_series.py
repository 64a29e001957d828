"""DICOM files of a folder -> the images of one series, and what was left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from .dicom_frames import slices_of
from .dicom_header import numbers, value
from .dicom_kind import Finding, findings
from .dicom_pixels import DicomSlice, Hurried, opened, pydicom_quietly
from .dicom_volumes import listed, without_copies
from .gzipped import beginning
from .scan import FormatError

Files = list[tuple[Path, Any]]  # with their headers
_SAME_SERIES = ("StudyInstanceUID", "SeriesNumber", "SeriesDescription", "Modality", "Rows", "Columns")
_DIRECTORY = "1.2.840.10008.1.3.10"
_NO_PREAMBLE = tuple(
    bytes((group, 0, element, 0)) for group, element in ((2, 0), (8, 0), (8, 1), (8, 5), (8, 8), (8, 22))
)


def looks_like_dicom(start: bytes) -> bool:
    """Whether a file that begins so is DICOM (with its preamble, or with the first tags of one that lost
    it)."""
    return start[128:132] == b"DICM" or start[:4] in _NO_PREAMBLE


def is_dicom(path: Path) -> bool:
    """Whether a file holds DICOM, gzipped or not."""
    return looks_like_dicom(beginning(path, 132))


def headers_of(path: Path, step: int = 1) -> list[tuple[Path, Any]]:
    """(file, dataset without pixels) of the DICOM files with images; DICOMDIR and other files of a folder are
    passed over, as is all but every `step`-th file."""
    with pydicom_quietly() as pydicom:
        found: list[tuple[Path, Any]] = []
        names = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file() and is_dicom(p))
        for name in names[::step]:
            try:
                with opened(name) as file:
                    header = pydicom.dcmread(Hurried(file), stop_before_pixels=True, force=True)
                meta = getattr(header, "file_meta", {})
                kind = meta.get("MediaStorageSOPClassUID", "")
            except (FormatError, MemoryError):
                raise
            except Exception as error:  # pydicom raises a dozen types on damaged files
                raise FormatError(f"{name.name}: damaged DICOM ({error}); copy it again") from error
            if path.is_file() or (kind != _DIRECTORY and "Rows" in header):
                found.append((name, header))
    if not found:
        raise FormatError(
            f"{path.name}: no DICOM image in this folder, only other DICOM objects; pass a folder of images"
        )
    return found


def series_of(files: Files) -> tuple[dict[str, Files], str]:
    """The files by series, and what was repaired: slices with a series UID each are one series."""
    groups: dict[str, Files] = {}
    for file, header in files:
        groups.setdefault(str(value(header, "SeriesInstanceUID") or ""), []).append((file, header))
    if len(groups) > 1 and all(len(group) == 1 for group in groups.values()):
        alike = {tuple(str(value(header, key)) for key in _SAME_SERIES) for _, header in files}
        places = {numbers(header, "ImagePositionPatient", 3) for _, header in files}
        if len(alike) == 1 and None not in places and len(places) == len(files):
            uid = next(iter(groups))
            return {uid: files}, "every slice has a series UID of its own; taken together as one series"
    return groups, ""


def usable_series(groups: dict[str, Files]) -> dict[str, Files]:
    """The series that hold an image to read."""
    return {uid: group for uid, group in groups.items() if not all(_refusal(header) for _, header in group)}


def _refusal(header: Any, kind: list[str] | None = None) -> Finding | None:
    return next((finding for finding in findings(header, kind) if finding.refused), None)


def series_table(groups: dict[str, Files], among: dict[str, Files] | None = None) -> list[str]:
    """A line a series: what `--series` takes for it (`among` all of these), its description, what it holds."""
    names = _names(among or groups)
    rows = []
    for uid, files in groups.items():
        header = files[0][1]
        words, odd = str(value(header, "SeriesDescription") or "no description"), _refusal(header)
        held = [str(value(header, "Modality") or "?"), f"{len(files)} files", *([odd.reason] if odd else [])]
        rows.append(f"{names[uid]}: {words} ({', '.join(held)})")
    return rows


def _names(groups: dict[str, Files]) -> dict[str, str]:
    """By UID: the series' number, where no other has it, else the end of its UID."""
    numbers_of = {uid: str(value(files[0][1], "SeriesNumber") or "") for uid, files in groups.items()}
    counts = Counter(numbers_of.values())
    ends = {
        uid: next((uid[-n:] for n in range(8, 65) if _ends(groups, uid[-n:]) == 1), uid) for uid in groups
    }
    return {
        uid: number if number and counts[number] == 1 else ends[uid] or "no UID"
        for uid, number in numbers_of.items()
    }


def _ends(groups: dict[str, Files], words: str) -> int:
    return sum(uid.endswith(words) for uid in groups)


def _one_series(path: Path, files: Files, series: str | int | None) -> tuple[Files, list[str]]:
    everything, joined = series_of(files)
    groups = everything
    if series is not None:
        groups = _matching(groups, str(series))
        if not groups:
            raise FormatError(
                f"{path.name}: got series {str(series)!r}, which is none of {listed(series_table(everything))}; "
                "choose one of them"
            )
    remarks = [joined] if joined else []
    usable = usable_series(groups)
    if len(groups) > 1 and len(usable) == 1:
        others = {uid: group for uid, group in groups.items() if uid not in usable}
        remarks.append(f"left out, no images of the scan: series {listed(series_table(others, everything))}")
        groups = usable
    if len(groups) > 1:
        rows = listed(series_table(groups, everything))
        raise FormatError(
            f"{path.name}: holds {len(groups)} series, expected one: {rows}; choose with --series and what "
            "stands before the colon, or a part of the description"
        )
    return next(iter(groups.values())), remarks


def _matching(groups: dict[str, Files], wanted: str) -> dict[str, Files]:
    """The series of this UID, number or name in the table; where there is none, with these words in its description."""
    names = _names(groups)
    headers = {uid: files[0][1] for uid, files in groups.items()}
    exact = {
        uid: groups[uid]
        for uid, header in headers.items()
        if wanted in (uid, names[uid], str(value(header, "SeriesNumber")))
    }
    return exact or {
        uid: groups[uid]
        for uid, header in headers.items()
        if wanted.lower() in str(value(header, "SeriesDescription") or "").lower()
    }


def images_of(path: Path, files: Files, series: str | int | None) -> tuple[list[DicomSlice], list[str]]:
    """The images of the one series that are to be read, and what was left out, or is to be known of them."""
    files, remarks = _one_series(path, files, series)
    if len(files) == 1 and (
        finding := _refusal(files[0][1], [])
    ):  # before a damaged header is looked at closely
        raise FormatError(f"{files[0][0].name}: {finding.sentence}")
    images, copies = without_copies([image for file, header in files for image in slices_of(file, header)])
    if copies:
        remarks.append(
            f"{copies} {'copies' if copies > 1 else 'copy'} of images counted once (same SOPInstanceUID)"
        )
    kept, left, noted = [], Counter[str](), Counter[str]()
    for image in images:
        odd = list(findings(image.header, image.kind))
        if refused := [finding for finding in odd if finding.refused]:
            left[refused[0].reason] += 1
            continue
        kept.append(image)
        noted.update(finding.sentence for finding in odd)
    if not kept:
        finding = _refusal(images[0].header, images[0].kind)
        raise FormatError(f"{images[0].path.name}: {finding.sentence if finding else 'no image'}")
    remarks += [f"{n} image{'s' * (n > 1)} left out: {reason}" for reason, n in left.items()]
    remarks += [text if n == len(kept) else f"{n} of {len(kept)} images: {text}" for text, n in noted.items()]
    return kept, remarks
