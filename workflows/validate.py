"""`scanprior validate`: what is wrong with a file, what it does not say, and what a reconstruction does about
that.

Problems make a reconstruction impossible or wrong (exit code 2); notes do not. No torch, and nothing is
printed that identifies a person.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from ..formats.scan import Scan, Volume
    from ..geometry import Geometry

TRUNCATED = 0.05  # of the largest line integral: what the outermost detectors may see
WIDE_ARC = 0.17  # rad; to miss less is no limited angle
FEW_PATIENTS = 20


def examine(path: Path, views: str | None = None, arc: str | None = None, **reader: Any) -> dict[str, Any]:
    """Of a file, or of some views of it (views.py): {"file", "format", "what", "usable", "problems": [...], "notes":
    [...]}. Raises FormatError where the
    file is of no known format; defects of a known one are problems."""
    from ..formats.isolated import guarded
    from ..formats.limits import allowing
    from ..formats.read import read, sniff
    from ..formats.scan import FormatError, Scan, problems
    from .views import of_views

    name = sniff(path, **reader)
    found: dict[str, Any] = {
        "file": path.name,
        "format": name,
        "what": "",
        "usable": False,
        "problems": [],
        "notes": [],
    }
    try:
        with guarded(path), allowing(reader.get("max_memory"), reader.get("allow_external")):
            if name == "image-set":
                from ..formats.image_set import read_images

                images = read_images(path)
                found["what"], found["problems"], found["notes"] = _image_set(images)
            else:
                item = read(path, check_data=False, **reader)
                found["problems"] = problems(item)
                if isinstance(item, Scan):
                    item = item if found["problems"] else of_views(item, views, arc)
                    found["what"] = _what(item)
                    if not found["problems"]:
                        found["problems"], found["notes"] = _scan(item)
                else:
                    found["what"], found["notes"] = _volume(item)
                found["notes"] = [*item.remarks, *found["notes"]]
    except FormatError as error:
        found["problems"] = [str(error)]
    found["usable"] = not found["problems"]
    return found


def found_in_words(found: dict[str, Any]) -> str:
    """What `examine` found, as text."""
    lines = [f"{found['file']}: {found['what'] or found['format']}"]
    for title in ("problems", "notes"):
        if found[title]:
            lines += [f"{title}:", *(f"  - {line}" for line in found[title])]
    return "\n".join([*lines, "usable" if found["usable"] else "not usable as it is"])


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}{'s' * (n != 1)}"


def _what(scan: Scan) -> str:
    axes = ("slice", "view", "detector") if scan.kind == "ct" else ("slice", "coil", "line", "column")
    sizes = ", ".join(_count(n, axis) for n, axis in zip(scan.data.shape, axes, strict=False))
    beam = f" {scan.geometry.kind} beam," if scan.geometry else ""
    grid = " x ".join(map(str, scan.matrix))
    dy, dx = (f"{side:.4g}" for side in scan.voxel[1:])
    return f"{scan.kind.upper()} scan,{beam} {sizes}; to {grid} pixels of {dx if dx == dy else f'{dy} x {dx}'} mm"


def _scan(scan: Scan) -> tuple[list[str], list[str]]:
    """Problems beyond the format's and notes of a scan without defects: with what a reconstruction will assume."""
    from ..recon.assumed import assumed, lacking

    missing, notes = lacking(scan), []
    if scan.kind == "mri":
        notes = _mri(scan)
    elif scan.geometry is not None:
        wrong, notes = _ct(scan, scan.geometry)
        missing += wrong
    said = {} if missing else assumed(scan)
    return missing, [*notes, *said.values()]


def _ct(scan: Scan, beam: Geometry) -> tuple[list[str], list[str]]:
    """Problems beyond the format's and notes of a CT scan without defects."""
    import numpy as np

    from ..operators.consistency import angles_reversed
    from ..operators.coverage import coverage

    notes = []
    mask = None if scan.mask is None else np.asarray(scan.mask, bool)
    wrong = angles_reversed(scan.data[len(scan.data) // 2], beam, mask)
    if mask is not None and not mask.all():
        notes.append(
            f"the sinogram has gaps: {1 - mask.mean():.1%} of the rays were lost. Filtered backprojection fills them "
            "from their neighbours along the detector, the other methods do without them"
        )
    missing = np.pi - coverage(beam.angles, np.pi).covered
    if missing > WIDE_ARC:
        notes.append(
            f"no view looks along {np.degrees(missing):.0f}° of the 180° of directions (limited angle): edges along "
            "them come from the prior, not from data"
        )
    full = np.pi / 2 * scan.data.shape[2]
    directions = coverage(beam.angles, 2 * np.pi if beam.kind == "fan" else np.pi).directions
    if directions < full / 2:
        views = _count(len(beam.angles), "view")
        again = "" if directions == len(beam.angles) else f" of {_count(directions, 'direction')}"
        notes.append(
            f"{views}{again} where filtered backprojection wants about {full:.0f}: what it cannot resolve, "
            "the prior fills in; look at the standard deviation"
        )
    edge, largest = float(np.abs(scan.data[..., [0, -1]]).max(axis=(0, 1)).mean()), float(scan.data.max())
    if edge > TRUNCATED * largest:
        notes.append(
            f"the outermost detectors see {edge:.2g} where the object's maximum is {largest:.2g}: it reaches "
            "beyond the field of view; values near the border will be wrong"
        )
    return [wrong] if wrong else [], notes


def _mri(scan: Scan) -> list[str]:
    """Notes on an MRI scan without defects."""
    import numpy as np

    notes = []
    _, *grid = scan.data.shape[1:]
    mask = np.ones(grid, bool) if scan.mask is None else np.asarray(scan.mask, bool)
    if mask.all():
        notes.append("k-space is fully sampled: nothing is missing, the prior only takes noise away")
    else:
        notes.append(f"{mask.mean():.1%} of k-space was measured, a factor of {1 / mask.mean():.2g}")
    if _conjugate_symmetric(scan.data[0, 0], mask.reshape(-1, *grid)[0]):
        notes.append(
            "k-space is conjugate symmetric, so it was computed from magnitude images: phase and true noise "
            "are lost, figures measured on it are optimistic"
        )
    return notes


def _conjugate_symmetric(kspace: np.ndarray, mask: np.ndarray) -> bool:
    """Whether k(-f) = conj k(f) wherever both were measured: the transform of a real image."""
    import numpy as np

    def mirror(a: np.ndarray) -> np.ndarray:
        """The value at -f: index n // 2 stays, as frequencies count from there."""
        return np.roll(a[::-1, ::-1], [(n + 1) % 2 for n in a.shape], axis=(0, 1))

    both = mask & mirror(mask)
    # in float64: k-space has any unit, and float32 does not hold the squares of many
    power = float((np.abs(kspace[both]).astype(np.float64) ** 2).sum())
    difference = float((np.abs(kspace - mirror(kspace).conj())[both].astype(np.float64) ** 2).sum())
    return power > 0 and difference < 1e-6 * power


def _volume(volume: Volume) -> tuple[str, list[str]]:
    shape, spacing = " x ".join(map(str, volume.data.shape)), " x ".join(f"{s:.4g}" for s in volume.spacing)
    notes = [
        "images, not measurements: `scanprior simulate` makes a measurement of them, `scanprior train` "
        "learns from them"
    ]
    if volume.units == "magnitude":
        notes.append(
            "magnitudes only: the phase is lost; simulations and training give them a random smooth one"
        )
    return f"{volume.modality} images, {shape}, {volume.units}, voxels of {spacing} mm", notes


def _image_set(images: Any) -> tuple[str, list[str], list[str]]:
    """What an image set is, its problems and notes; read in blocks."""
    import numpy as np

    bad = []
    for start in range(0, len(images), 64):
        block = images.load(slice(start, start + 64))
        bad += [
            start + int(k) for k in np.flatnonzero(~np.isfinite(block).all(axis=tuple(range(1, block.ndim))))
        ]
    lacking = []
    notes = [
        "training images: for `scanprior train`; `scanprior simulate` makes a measurement of some of them"
    ]
    if bad:
        lacking.append(
            f"got NaN or Inf in {_count(len(bad), 'image')} (first in image {bad[0]}), expected finite "
            "numbers; repair them"
        )
    patients = len(set(images.groups))
    if patients < FEW_PATIENTS:
        notes.append(
            f"{_count(patients, 'patient')}: a prior trained on these alone may memorise them; add patients, "
            "keep some for --validation"
        )
    shape = " x ".join(map(str, images.shape[1:]))
    low, high = (f"{float(size):.3g}" for size in (images.pixel_mm.min(), images.pixel_mm.max()))
    sizes = f"{low} mm" if low == high else f"{low} to {high} mm"
    what = f"{_count(len(images), 'image')} of {_count(patients, 'patient')}, {shape}, {images.units}"
    return f"{what}, pixels of {sizes}", lacking, notes
