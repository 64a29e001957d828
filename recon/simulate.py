"""From images to measured data, for retrospective studies: `Volume -> Scan`.

The data never come from the operator that will invert them: objects are projected on a grid twice as fine as the
reconstruction's, detector elements and pixels have a size, and noise is drawn from its law (no inverse crime).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from ..formats.limits import check_size
from ..formats.scan import FormatError, Scan, Volume
from ..geometry import FanBeam, Grid, ParallelBeam
from ..modality import Modality
from ..operators.attenuation import MU_WATER, mu_from_hu
from ..operators.coils import smooth_maps, smooth_phase
from ..operators.mri import sigma_for_snr, simulate_kspace
from ..operators.noise import Photon
from ..operators.radon import simulate_sinogram
from ..operators.sampling import equispaced, gaussian_2d, gaussian_lines, poisson_disc, radial, random_lines
from .metal import crossed, metal_discs
from .options import parse

MASKS = {
    "equispaced": equispaced,
    "random": random_lines,
    "gaussian1d": gaussian_lines,
    "gaussian2d": gaussian_2d,
    "poisson": poisson_disc,
    "radial": radial,
}
LARGEST_MATRIX = (
    400  # images above it are reconstructed at half their matrix, the size the bundled priors know
)
COPIES = 4  # of the data that a simulation holds at a time
BODY_HU = -200.0  # metal lies in pixels above it


@dataclass(frozen=True)
class CTSimulation:
    """A CT scan of an image.

    Attributes:
        views: number of views.
        photons: per ray; auto: noise-free data.
        fan: fan beam (flat detector) instead of parallel rays.
        curved: a fan with a detector on an arc.
        arc: covered angle [degrees]; auto: the usual 180 (parallel) or 360 (fan).
        electronic: readout noise [photons].
        source_origin, source_detector: of the fan [mm].
        matrix: of the reconstruction [pixels]; auto: the image's (half of it above 400).
        metal: discs of metal of 2 to 6 mm radius in the body, through all slices; the rays that cross one are lost
            (mask False, data zero), the truth has none: a sinogram whose metal trace has been segmented.
    """

    modality: ClassVar[Modality] = Modality.CT
    views: int = 23
    photons: float | None = None
    fan: bool = False
    curved: bool = False
    arc: float | None = None
    electronic: float = 0.0
    source_origin: float = 595.0
    source_detector: float = 1085.6
    matrix: int | None = None
    metal: int = 0


@dataclass(frozen=True)
class MRISimulation:
    """A multi-coil Cartesian scan of a magnitude image.

    Attributes:
        accel: acceleration.
        center: fully sampled part of the lines; auto: .08 (accel < 8) or .04.
        coils: simulated coils, smooth maps around the head.
        snr: of the sampled k-space [dB]; auto: noise-free data.
        mask: equispaced, random, gaussian1d, gaussian2d, poisson or radial (spokes on the Cartesian grid).
    """

    modality: ClassVar[Modality] = Modality.MR
    accel: float = 4.0
    center: float | None = None
    coils: int = 8
    snr: float | None = 30.0
    mask: str = "equispaced"


# By the word that `--simulate` begins with.
SIMULATIONS: dict[str, type[CTSimulation] | type[MRISimulation]] = {
    one.modality.kind: one for one in (CTSimulation, MRISimulation)
}


def simulation_of(spec: str, option: str) -> CTSimulation | MRISimulation:
    """`ct:views=23,photons=1e5` or `mri:accel=4` -> settings. Raises ValueError, in the name of the option."""
    kind, _, text = spec.partition(":")
    if kind not in SIMULATIONS:
        raise ValueError(f"{option}: got {spec!r}, expected ct:views=23,photons=1e5 or mri:accel=4,coils=8")
    return parse(text, SIMULATIONS[kind], f"{kind} simulation")


def simulate(volume: Volume, settings: CTSimulation | MRISimulation, seed: int = 0) -> Scan:
    """Measure a volume: a scan with its truth. Raises FormatError for images of the wrong kind, and for a measurement
    that memory does not hold."""
    _check_size(volume, settings)
    if isinstance(settings, CTSimulation):
        return simulate_ct(volume, settings, seed)
    return simulate_mri(volume, settings, seed)


def simulate_pair(
    volume: Volume, changed: Volume, settings: CTSimulation | MRISimulation, seed: int = 0
) -> tuple[Scan, Scan]:
    """Measure a volume and a changed one with the same noise: two scans that differ by the change and nothing else. The
    law of the noise is the first's. Raises as `simulate`."""
    scan = simulate(volume, settings, seed)
    quiet = {"photons": None, "metal": 0} if isinstance(settings, CTSimulation) else {"snr": None}
    before, after = (simulate(item, replace(settings, **quiet), seed) for item in (volume, changed))
    change = after.data - before.data
    if isinstance(settings, CTSimulation) and scan.mask is not None:
        change = change * scan.mask
    return scan, replace(scan, data=scan.data + change, truth=after.truth)


def simulate_ct(volume: Volume, settings: CTSimulation, seed: int = 0) -> Scan:
    """Line integrals of a CT volume in HU. The truth is in 1/mm on the reconstruction's grid.

    Raises:
        FormatError: for images of another kind or without square pixels.
        ValueError: for a negative number of metal discs, or metal in images without a body.
    """
    _check_ct(volume, settings)
    mu = torch.from_numpy(np.maximum(mu_from_hu(volume.data.astype(np.float32)), 0))
    H, W = mu.shape[1:]
    factor = max(1, round(H / settings.matrix)) if settings.matrix else 2 if min(H, W) > LARGEST_MATRIX else 1
    mu = mu[:, : H - H % factor, : W - W % factor]
    grid = Grid((mu.shape[1] // factor, mu.shape[2] // factor), volume.spacing[2] * factor)
    truth = torch.nn.functional.avg_pool2d(mu[:, None], factor)[:, 0] if factor > 1 else mu
    arc = math.radians(settings.arc or (360 if settings.fan else 180))
    if settings.fan:
        geometry = FanBeam.covering(
            grid,
            settings.views,
            source_origin=settings.source_origin,
            source_detector=settings.source_detector,
            curved=settings.curved,
            arc=arc,
        )
    else:
        geometry = ParallelBeam.covering(grid, settings.views, arc=arc)
    clean = simulate_sinogram(
        mu, geometry.refine(factor), grid.refine(factor), oversample=1 if factor > 1 else 2
    )
    clean = clean.unflatten(-1, (geometry.detectors, factor)).mean(-1)
    noise: dict | None = {"type": "gaussian", "sigma": 0.0}
    if settings.photons is not None:
        model = Photon(settings.photons, settings.electronic)
        clean = model.sample(clean, torch.Generator().manual_seed(seed))
        noise = {"type": "photon", "photons": settings.photons, "electronic": settings.electronic}
    mask = None
    if settings.metal:
        body = volume.data[:, : mu.shape[1], : mu.shape[2]].mean(0) > BODY_HU
        mask = ~crossed(geometry, metal_discs(body, volume.spacing[2], settings.metal, seed))
        clean = clean * torch.from_numpy(mask)
    return Scan(
        modality=Modality.CT,
        data=clean.numpy().astype(np.float32),
        matrix=grid.matrix,
        pixel_mm=grid.pixel,
        geometry=geometry,
        mask=mask,
        noise=noise,
        truth=truth.numpy(),
        header={**volume.header, "mu_water": MU_WATER, "simulated": "yes"},
        source=volume.source,
        spacing=None if volume.slice_assumed else (volume.spacing[0], grid.pixel, grid.pixel),
        pixel_assumed=volume.pixel_assumed,
        remarks=(*volume.remarks, *_resized((H, W), grid.matrix)),
    )


def _check_size(volume: Volume, settings: CTSimulation | MRISimulation) -> None:
    """Refuse, before anything is allocated, what memory does not hold: the data, and what they are made of."""
    slices, side = len(volume.data), max(volume.data.shape[1:])
    if isinstance(settings, CTSimulation):
        what, size = f"{settings.views:g} views", 4.0 * slices * settings.views * 2 * side
    else:
        what, size = f"{settings.coils:g} coils", 8.0 * slices * settings.coils * side**2
    check_size(COPIES * size, volume.source, f"a simulation of {what}")


def _check_ct(volume: Volume, settings: CTSimulation) -> None:
    """Refuse what cannot be simulated; as `simulate_ct`."""
    if settings.metal < 0:
        raise ValueError(f"ct simulation: got metal={settings.metal}, expected a number of discs, 0 or more")
    for name in ("photons", "arc", "matrix"):
        if (value := getattr(settings, name)) is not None and not 0 < value < math.inf:
            raise ValueError(
                f"ct simulation: got {name}={value:g}, expected a positive number, or {name}=auto (the default)"
            )
    if volume.units != "HU":
        raise FormatError(
            f"{volume.source}: got {volume.units} images, expected CT in HU; for MR use an mri simulation"
        )
    if abs(volume.spacing[1] / volume.spacing[2] - 1) > 0.01:
        raise FormatError(
            f"{volume.source}: pixels of {volume.spacing[1:]} mm are not square; resample them first"
        )


def _resized(images: tuple[int, int], matrix: tuple[int, int]) -> list[str]:
    """What to say where the reconstruction has another matrix than the images."""
    if images == matrix:
        return []
    had, has = (" x ".join(map(str, shape)) for shape in (images, matrix))
    return [f"images of {had} are reconstructed as {has}; matrix={images[0]} in the simulation keeps theirs"]


def simulate_mri(volume: Volume, settings: MRISimulation, seed: int = 0) -> Scan:
    """Multi-coil k-space of magnitude images with a smooth random phase. The truth is complex; the maps are the true
    ones (remove them from the scan to have them estimated)."""
    if volume.units != "magnitude":
        raise FormatError(
            f"{volume.source}: got {volume.units} images, expected MR magnitudes; for CT use a ct simulation"
        )
    if settings.mask not in MASKS:
        raise ValueError(f"got mask={settings.mask!r}, expected one of {', '.join(MASKS)}")
    for name, least in (("accel", 1.0), ("coils", 1.0), ("center", 0.0), ("snr", -math.inf)):
        if (value := getattr(settings, name)) is not None and not least <= value < math.inf:
            raise ValueError(
                f"mri simulation: got {name}={value:g}, expected a finite number, at least {least:g}"
            )
    magnitude = torch.from_numpy(volume.data.astype(np.float32))
    phase = torch.stack(
        [smooth_phase(magnitude.shape[1:], seed=1000 * seed + k) for k in range(len(magnitude))]
    )
    image = torch.polar(magnitude, phase)
    maps = smooth_maps(settings.coils, magnitude.shape[1:], seed=seed)
    accel = int(settings.accel) if settings.accel == int(settings.accel) else settings.accel
    center = (0.08 if settings.accel < 8 else 0.04) if settings.center is None else settings.center
    if settings.mask == "poisson":
        mask = poisson_disc(magnitude.shape[1:], accel, seed=seed)
    else:
        mask = MASKS[settings.mask](magnitude.shape[1:], accel, center, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    sigma = 0.0
    if settings.snr is not None:
        clean = simulate_kspace(image, maps, mask)
        sigma = float(sigma_for_snr(clean, mask, settings.snr).mean())
    kspace = simulate_kspace(image, maps, mask, sigma, generator=generator)
    return Scan(
        modality=Modality.MR,
        data=kspace.numpy().astype(np.complex64),
        matrix=(magnitude.shape[1], magnitude.shape[2]),
        pixel_mm=volume.spacing[2],
        mask=mask.numpy(),
        maps=maps[None].expand(len(image), *maps.shape).numpy(),
        noise={"type": "complex_gaussian", "sigma": sigma},
        truth=image.numpy(),
        header={**volume.header, "simulated": "yes"},
        source=volume.source,
        spacing=None if volume.slice_assumed else volume.spacing,
        pixel_assumed=volume.pixel_assumed,
        remarks=volume.remarks,
    )
