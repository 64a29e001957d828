"""The layouts of HDF5 files: which one a file has, and the reader of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..modality import Modality
from . import dxchange, fastmri, image_set, ismrmrd_file, matlab, nxtomo, parallel, shown, simple, store
from .hdf5 import datasets, open_hdf5, text
from .reader import Reader, Slices, choose, told_pixel
from .scan import FormatError, Volume

_KNOWN = (
    "scanprior scans, reconstructions and image sets, simple sinograms (sinogram, angles_deg), simple "
    "k-space (kspace), "
    "fastMRI (kspace, ismrmrd_header), ISMRMRD (dataset/xml, dataset/data), DXchange (exchange/data), "
    "NXtomo (definition), MATLAB 7.3 (kspace)"
)


def reader_of(path: Path) -> Reader:
    """The reader of an HDF5 file. Raises FormatError for an unknown layout or a damaged file."""
    with open_hdf5(path) as file:
        if text(file.attrs.get("format", "")) == "scanprior":
            name = f"scanprior-{text(file.attrs.get('content', 'scan'))}"
            if name in _READERS:
                return _READERS[name]
        layouts: dict[str, Callable[[h5py.File], bool]] = {
            "matlab": matlab.is_matlab,
            "fastmri": fastmri.is_fastmri,
            "ismrmrd": ismrmrd_file.is_ismrmrd,
            "dxchange": lambda file: "exchange/data" in file,
            "simple-sinogram": lambda file: "sinogram" in file,
            "simple-kspace": lambda file: "kspace" in file,
            "image-set": lambda file: "images" in file,
            "nxtomo": nxtomo.is_nxtomo,
        }
        for name, matches in layouts.items():
            if matches(file):
                return _READERS[name]
        names = datasets(file)
        found = ", ".join(f"{key} {item.shape}" for key, item in list(names.items())[:12])
    parts = all(any(word in name.lower() for name in names) for word in ("real", "imag"))
    advice = "; join real and imaginary part to one complex kspace" if parts else ""
    raise FormatError(
        f"{path.name}: HDF5 with an unknown layout: {found or 'no datasets'}{advice}. Known: {_KNOWN} "
        "(docs/formats.md)"
    )


# --- our own and the simple layouts
def _read_images(path: Path, slices: Slices = None) -> Volume:
    return image_set.read_images(path).volume(slices)


def _read_reconstruction(path: Path, slices: Slices = None, pixel_mm: float | None = None) -> Volume:
    stored = store.read_reconstruction(path)
    spacing, assumed = stored.pixel_mm, bool(stored.attrs.get("pixel_assumed", False))
    if pixel_mm is not None:
        side = told_pixel(path.name, pixel_mm, None if assumed else spacing[1:])
        spacing, assumed = (spacing[0], side, side), False
    mean = np.abs(stored.mean) if np.iscomplexobj(stored.mean) else stored.mean
    units = stored.units if stored.units in ("HU", "1/mm") else "magnitude"
    return Volume(
        data=mean[choose(len(mean), slices, path.name)].astype(np.float32),
        units=units,  # pyright: ignore[reportArgumentType]
        modality=Modality.MR if units == "magnitude" else Modality.CT,
        spacing=spacing,
        header={"content": "mean of a reconstruction"},
        source=path.name,
        pixel_assumed=assumed,
        remarks=("the pixel size was assumed when it was reconstructed (--pixel-mm says it)",)
        if assumed
        else (),
    )


def _describe_images(path: Path) -> dict[str, Any]:
    images = image_set.read_images(path)
    return {
        "kind": "images",
        "shape": images.shape,
        "units": images.units,
        "groups": len(set(images.groups)),
        "pixel_mm": (float(images.pixel_mm.min()), float(images.pixel_mm.max())),
        "columns": shown.names(sorted(images.columns)),
    }


def _describe_hdf5(path: Path) -> dict[str, Any]:
    """Datasets and short attributes of the layouts that are flat."""
    with open_hdf5(path) as file:
        facts: dict[str, Any] = {}
        if "sinogram" in file or text(file.attrs.get("kind", "")) == "ct":
            facts["kind"] = "ct"
        elif "kspace" in file or text(file.attrs.get("kind", "")) == "mri":
            facts["kind"] = "mri"
        else:
            facts["kind"] = "images"
        if facts["kind"] == "ct" and "mask" in file:
            lost = 1 - float(np.mean(np.asarray(file["mask"]) != 0))
            facts["gaps"] = f"{lost:.1%} of the rays were lost"
        found = datasets(file)
        facts["datasets"] = {
            name: f"{found[name].shape} {found[name].dtype}" if name in found else "not shown"
            for name in shown.names(found)
        }
        facts |= shown.attributes(dict(file.attrs))
        for group in ("geometry", "noise", "header"):
            if isinstance(file.get(group), h5py.Group):
                show = shown.header if group == "header" else shown.attributes
                facts[group] = show(dict(file[group].attrs))
    return facts


_READOUTS = ("echo", "time", "volume", "pixel_mm")
_READERS = {
    reader.name: reader
    for reader in (
        Reader("scanprior-scan", store.read_scan, _describe_hdf5),
        Reader("scanprior-reconstruction", _read_reconstruction, _describe_hdf5, ("pixel_mm",)),
        Reader("image-set", _read_images, _describe_images),
        Reader("simple-sinogram", simple.read_sinogram, _describe_hdf5, ("angle_sign",)),
        Reader("simple-kspace", simple.read_kspace, _describe_hdf5, ("pixel_mm",)),
        Reader("fastmri", fastmri.read_fastmri, fastmri.describe_fastmri, ("pixel_mm",), ("pixel_mm",)),
        Reader("ismrmrd", ismrmrd_file.read_ismrmrd, ismrmrd_file.describe_ismrmrd, _READOUTS, _READOUTS),
        Reader("dxchange", dxchange.read_dxchange, dxchange.describe_dxchange, parallel.OPTIONS),
        Reader(
            "nxtomo", nxtomo.read_nxtomo, nxtomo.describe_nxtomo, ("volume", *parallel.OPTIONS), ("volume",)
        ),
        Reader("matlab", matlab.read_matlab, matlab.describe_matlab, ("pixel_mm",)),
    )
}
