"""A training pack: image sets split by patient, with a manifest. Written image by image, so that memory stays flat.

train.h5, val.h5, test.h5   image sets (formats/image_set.py), one chunk an image; a split without patients has no file
calib.h5                    images for calibration only (recon/conformal.py), which `train` refuses
manifest.json               what is inside: settings, counts, and for each patient its split, images, pixel sizes
left_out.csv                what was left out and why; names files, and is the one part that is not anonymous

Units: CT as uint16 HU + 1024; MR as float32 magnitudes or complex64, in the units of the source (the scale is taken
when training). Patients are labels, and stand in an order, that follow from their keys and a secret: bytes from the
middle of every file that was read (`secret_of`). The same files give the same pack, other files other labels, and who
has not all the files cannot tell from a label whose it is. Which split a patient is in follows from a keyed hash of the
key that identifies it, so that it is the same in every run with the same seed and does not depend on the other patients
(`split_of`). Neither keys nor secret are written.
"""

from __future__ import annotations

import csv
import hmac
import json
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .collect import LeftOut

SAMPLE = 4096  # bytes of a file
SPLITS = ("train", "val", "test", "calib")
MANIFEST, LEFT_OUT = "manifest.json", "left_out.csv"
_STORED = {
    "HU": (np.uint16, "HU + 1024"),
    "magnitude": (np.float32, "magnitude, units of the source"),
    "complex": (np.complex64, "complex, units of the source"),
}
_COLUMNS = {"patient": "S8", "px_mm": "f4", "rows": "u2", "columns": "u2", "series": "u4", "slice": "u4"}


def split_of(patient: str, seed: int, val: float, test: float, calib: float = 0.0) -> str:
    """The split of a patient: u = HMAC-SHA256(seed, patient) / 2^256 is uniform; test below `test`, val below
    `test + val`, calib below `test + val + calib`, otherwise train."""
    digest = hmac.digest(str(seed).encode(), patient.encode(), "sha256")
    u = int.from_bytes(digest[:8], "big") / 2**64
    if u < test + val:
        return "test" if u < test else "val"
    return "calib" if u < test + val + calib else "train"


def secret_of(files: Iterable[Path]) -> bytes:
    """What only those know who have all these files: a hash of `SAMPLE` bytes from the middle of each, where images
    have their pixels."""
    digest = blake2b(digest_size=32)
    for path in files:
        try:
            with path.open("rb") as file:
                file.seek(max(0, (path.stat().st_size - SAMPLE) // 2))
                digest.update(file.read(SAMPLE))
        except OSError:  # left out later, with its reason
            continue
    return digest.digest()


def place_of(patient: str, secret: bytes) -> str:
    """Where a patient stands in a pack: an order that says nothing of their keys."""
    return hmac.digest(secret, f"place {patient}".encode(), "sha256").hex()


def stored(image: np.ndarray, units: str) -> np.ndarray:
    """An image as a pack of these units has it: HU rounded, shifted and within 16 bits."""
    kind = _STORED[units][0]
    if units == "HU":
        return np.clip(np.rint(image + 1024), 0, 65535).astype(kind)
    return (np.abs(image) if units == "magnitude" else image).astype(kind)


class PackWriter:
    """Writes a pack into a folder that exists and is empty. Use as a context, then `finish`.

    Args:
        units: of the images: "HU", "magnitude" or "complex".
        matrix: n; images are (n, n).
        secret: of the labels; see `secret_of`.
    """

    def __init__(self, folder: Path, units: str, matrix: int, secret: bytes) -> None:
        self.folder, self.units, self.matrix, self._secret = folder, units, matrix, secret
        self._files: dict[str, h5py.File] = {}
        self._labels: dict[str, str] = {}  # key -> label
        self.patients: dict[str, dict[str, Any]] = {}  # label -> its entry in the manifest
        self._series = 0

    def __enter__(self) -> PackWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def add(
        self,
        patient: str,
        split: str,
        images: np.ndarray,
        pixel_mm: list[float],
        extents: list[tuple[int, int]],
        source: str,
    ) -> None:
        """Append a series.

        Args:
            patient: key, replaced by a label here.
            images: (Z, n, n), as `stored` gives them.
            pixel_mm: (Z,) [mm].
            extents: (Z,) rows and columns of the image within the matrix, centred.
            source: format it came from.
        """
        count = len(images)
        if patient not in self._labels:
            self._labels[patient] = self._label(patient)
        label = self._labels[patient]
        file = self._files.get(split) or self._create(split)
        rows = {
            "images": images,
            "patient": np.full(count, label.encode(), "S8"),
            "px_mm": pixel_mm,
            "rows": [e[0] for e in extents],
            "columns": [e[1] for e in extents],
            "series": np.full(count, self._series),
            "slice": np.arange(count),
        }
        for name, values in rows.items():
            data: Any = file[name]
            data.resize(len(data) + count, axis=0)
            data[-count:] = values
        self._series += 1
        entry = self.patients.setdefault(
            label, {"patient": label, "split": split, "images": 0, "series": 0, "sources": [], "pixel_mm": []}
        )
        entry["images"] += count
        entry["series"] += 1
        entry["sources"] = sorted({*entry["sources"], source})
        entry["pixel_mm"] = sorted({*entry["pixel_mm"], *(round(float(p), 4) for p in pixel_mm)})

    def finish(self, about: dict[str, Any], left_out: Iterable[LeftOut]) -> dict[str, Any]:
        """Write the manifest, with the settings `about`, and the list of what was left out; returns the manifest."""
        reasons: Counter[str] = Counter()
        with (self.folder / LEFT_OUT).open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(("file", "images", "reason", "detail"))
            for item in left_out:
                table.writerow((item.file, item.images, item.reason, item.detail))
                reasons[item.reason] += item.images
        entries = list(self.patients.values())
        counts = {
            split: {
                "patients": sum(e["split"] == split for e in entries),
                "images": sum(e["images"] for e in entries if e["split"] == split),
            }
            for split in SPLITS
        }
        manifest = {
            "format": "scanprior-pack",
            "version": 1,
            **about,
            "units": _STORED[self.units][1],
            "matrix": self.matrix,
            "counts": counts,
            "left_out": dict(reasons.most_common()),
            "patients": entries,
        }
        (self.folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
        return manifest

    def _label(self, patient: str) -> str:
        """Eight digits, others than all before."""
        tries = (hmac.digest(self._secret, f"label {n} {patient}".encode(), "sha256") for n in count())
        return next(label for try_ in tries if (label := try_.hex()[:8]) not in self.patients)

    def _create(self, split: str) -> h5py.File:
        """An empty image set that grows."""
        kind, units = _STORED[self.units]
        n = self.matrix
        file = self._files[split] = h5py.File(self.folder / f"{split}.h5", "w")
        file.attrs["split"] = split
        file.create_dataset(
            "images",
            shape=(0, n, n),
            maxshape=(None, n, n),
            chunks=(1, n, n),
            dtype=kind,
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        ).attrs["units"] = units
        for name, column in _COLUMNS.items():
            file.create_dataset(name, shape=(0,), maxshape=(None,), chunks=(4096,), dtype=column)
        return file
