"""A source of training images -> its images, one by one: DICOM series, NIfTI volumes, image sets, and fully sampled
k-space, whose coils are combined to one complex image.

Coils: x = sum_c conj(S_c) x_c with ESPIRiT's maps S (operators/coils.py), so that the phase stays and the image is in
the units of an orthonormal k-space, as in a reconstruction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..formats.collect import LeftOut, Source, one_line, refuse_image
from ..formats.dicom import read_volumes
from ..formats.dicom_frames import classic
from ..formats.grid import middle
from ..formats.image_set import read_images
from ..formats.images import kept_for_calibration
from ..formats.read import describe, read
from ..formats.reader import negative
from ..formats.scan import FormatError, Scan, Volume
from ..modality import Modality

CALIBRATION = 24  # width of ESPIRiT's calibration square
_THICK = 1.5  # slices this many times as far apart as pixels: the direction of acquisition


@dataclass(frozen=True)
class Picture:
    """An image, (H, W) float32 or complex64, its pixels (dy, dx) [mm], and the name of its file."""

    image: np.ndarray
    spacing: tuple[float, float]
    name: str


def pictures(source: Source, modality: str) -> Iterator[Picture | LeftOut]:
    """The images of a source in their order, and what of it is not used."""
    read_one = {"dicom": _dicom, "nifti": _nifti, "image-set": _image_set}.get(source.format, _kspace)
    for path, name in zip(source.files, source.names, strict=True):
        try:
            yield from read_one(path, name, source, modality)
        except (
            Exception
        ) as error:  # one damaged file of thousands, whatever it makes pydicom or nibabel raise
            yield LeftOut(name, "cannot be read", one_line(error, path))


def _dicom(path: Path, name: str, source: Source, modality: str) -> Iterator[Picture | LeftOut]:
    for stack, read_stack in read_volumes(path):
        first = stack.images[0]
        reason = refuse_image(classic(first), modality, first.kind)
        reason = reason or ("no pixel size" if first.assumed else "")
        if reason:
            yield LeftOut(name, reason, images=len(stack.images))
            continue
        volume = read_stack()
        if modality == Modality.MR and (odd := negative(volume.data)):
            yield LeftOut(name, "no magnitude (negative values)", odd, len(volume.data))
            continue
        for image in volume.data:
            yield Picture(image, volume.spacing[1:], name)


def _nifti(path: Path, name: str, source: Source, modality: str) -> Iterator[Picture | LeftOut]:
    further = describe(path).get("volumes", 1) - 1
    volume = read(path, modality=source.modality, volume=0)
    if not isinstance(volume, Volume) or volume.modality != modality:
        yield LeftOut(name, "other modality", "" if source.modality else "by its values (--modality says it)")
        return
    if volume.pixel_assumed:
        yield LeftOut(name, "no pixel size", images=len(volume.data))
        return
    data, spacing = volume.data, volume.spacing
    if modality == Modality.MR and (odd := negative(data)):
        yield LeftOut(name, "no magnitude (negative values)", odd, len(data))
        return
    if further:
        yield LeftOut(name, "further volumes of one place", images=further * len(data))
    across = int(np.argmax(spacing)) if max(spacing) > _THICK * min(spacing) else 0
    if modality == Modality.CT and across:
        yield LeftOut(name, "not axial", images=data.shape[across])
        return
    plane = tuple(s for axis, s in enumerate(spacing) if axis != across)
    for image in np.moveaxis(data, across, 0):
        yield Picture(np.ascontiguousarray(image), (plane[0], plane[1]), name)


def _image_set(path: Path, name: str, source: Source, modality: str) -> Iterator[Picture | LeftOut]:
    images = read_images(path)
    reason = ("other modality", "pictures in colour") if images.units == "RGB" else ("", "")
    if why := kept_for_calibration(path, images):
        reason = ("for calibration only", why)
    if images.boxes is not None:  # a pack says how large an image is, not that the body goes on beyond
        reason = ("parts of images (box)", "train on the file itself")
    if reason[0]:
        yield LeftOut(name, *reason, images=int((images.groups == source.patient).sum()))
        return
    for index in np.flatnonzero(images.groups == source.patient).tolist():
        rows, columns = (
            middle(n, keep) for n, keep in zip(images.shape[1:], images.extent(index), strict=True)
        )
        side = float(images.pixel_mm[index])
        yield Picture(images[index][rows, columns], (side, side), name)


def _kspace(path: Path, name: str, source: Source, modality: str) -> Iterator[Picture | LeftOut]:
    facts = describe(path)
    recon = facts.get("recon")
    if source.format == "fastmri":  # slice by slice: a file of many coils is large
        scans = (read(path, slices=[i]) for i in range(facts["slices"]))
        recon = recon and (recon[0], recon[1])  # (readout, phase) = (rows, columns)
    else:
        scans = iter([read(path)])
        recon = recon and (recon[1], recon[0])
    for scan in scans:
        if not isinstance(scan, Scan) or scan.kind != "mri":
            raise FormatError(f"{path.name}: is no k-space")
        reason = "no pixel size" if scan.pixel_assumed else ""
        padded = scan.truth is not None if source.format == "fastmri" else padded_only(scan.mask)
        if not padded:
            reason = "undersampled k-space"
        if reason:
            yield LeftOut(name, reason, images=len(scan.data))
            continue
        spacing = scan.voxel[1:]
        for kspace in scan.data:
            image = combined(kspace)
            if recon:
                rows, columns = (middle(n, min(n, keep)) for n, keep in zip(image.shape, recon, strict=True))
                image = image[rows, columns]
            yield Picture(image, spacing, name)


def padded_only(mask: np.ndarray | None) -> bool:
    """Whether a mask (ky, kx), or each of several, leaves out nothing but a border around a centred block of at least
    half of each side."""
    if mask is None:
        return True
    if mask.ndim == 3:
        return all(padded_only(one) for one in mask)
    block = np.zeros(mask.shape, bool)
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    for inside, n in ((rows, mask.shape[0]), (columns, mask.shape[1])):
        if not len(inside) or abs(inside[0] + inside[-1] - (n - 1)) > 2 or len(inside) < n / 2:
            return False
    block[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return bool((mask.astype(bool) == block).all())


def combined(kspace: np.ndarray) -> np.ndarray:
    """(coils, ky, kx) of a fully sampled slice -> one complex image (ky, kx)."""
    import torch

    from ..operators.coils import Coils, espirit_maps
    from ..operators.fourier import ifft2c

    y = torch.from_numpy(np.ascontiguousarray(kspace, np.complex64))[None]
    maps = espirit_maps(y, calibration=min(CALIBRATION, *y.shape[-2:]))
    return Coils(maps).adjoint(ifft2c(y))[0].numpy()
