"""The slices of a benchmark, each measured in simulation: a problem, and the truth that only the metrics see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...formats.images import open_images
from ...formats.scan import Volume
from ...modality import Modality
from ...recon.calibration import Calibration
from ...recon.display import Display
from ...recon.intervals import ratios, similarities
from ...recon.metrics import LEAST_VIF, WINDOW_HU, nrmse, vif
from ...recon.places import by_place
from ...recon.problem import Problem, Reconstruction
from ...recon.simulate import CTSimulation, MRISimulation, simulate
from ...recon.study import problem_of


@dataclass(frozen=True, eq=False)
class Case:
    """One slice of one patient, measured.

    Attributes:
        patient: its number in the file, from 1; no label of the file goes into results.
        index: of the slice in its file, and the seed of the simulation.
        volume: the slice, (1, H, W).
    """

    patient: int
    index: int
    volume: Volume
    simulation: CTSimulation | MRISimulation
    device: str = "cpu"

    @property
    def identity(self) -> str:
        """A hash of the pixels and of the slice's place, by which results are found again."""
        pixels = np.ascontiguousarray(self.volume.data)
        facts = f"{self.index} {self.volume.units} {self.volume.spacing} {pixels.shape}"
        return sha256(facts.encode() + pixels.tobytes()).hexdigest()

    def sampled_with(self, seed: int) -> int:
        """The seed of a method here, where the run's is `seed`: the same, so that patients have the same noise."""
        return seed

    @cached_property
    def _measured(self) -> tuple[Display, torch.Tensor]:
        scan = simulate(self.volume, self.simulation, seed=self.index)
        return Display(scan, problem_of(scan, self.device), None), torch.from_numpy(np.asarray(scan.truth))

    def forget(self) -> None:
        """Free the measurement; it is made again when it is asked for."""
        self.__dict__.pop("_measured", None)

    @property
    def problem(self) -> Problem:
        """B = 1."""
        return self._measured[0].problem

    @property
    def truth(self) -> torch.Tensor:
        """(1, H, W), 1/mm or complex."""
        return self._measured[1]

    @property
    def units(self) -> str:
        """Of `display`: "HU", or "of the largest magnitude"."""
        return "HU" if self.volume.units == "HU" else "of the largest magnitude"

    def display(self, image: torch.Tensor) -> np.ndarray:
        """(B, H, W) physical -> HU, or magnitude in parts of the truth's largest."""
        shown = self._measured[0].image(image)
        return shown if self.units == "HU" else shown / float(self.truth.abs().max())

    def figures(self, image: torch.Tensor) -> dict[str, float | None]:
        """PSNR [dB], SSIM (uniform7), NRMSE, VIF and data residual of a reconstruction (1, H, W): CT clipped to
        WINDOW_HU, whose width is the data range (NRMSE: of HU above its lower end); MRI of magnitudes, the range the
        truth's largest. VIF is None for images too small for it.

        Raises:
            ValueError: figures that are not finite, as of a truth that is zero everywhere.
        """
        found = self._measured[0].row("", image, 0, 0.0).figures
        (x,), (t,), width = self.display(image), self.display(self.truth), 1.0
        if self.units == "HU":
            low, high = WINDOW_HU
            x, t = (np.clip(a, low, high) - low for a in (x, t))
            width = high - low
        known = {
            **{key: found[key] for key in ("psnr", "ssim")},
            "nrmse": float(nrmse(x, t)[0]),
            "vif": None if min(x.shape) < LEAST_VIF else float(vif(x, t, data_range=width)[0]),
            "residual": found["residual"],
        }
        if strange := [f"{k} = {v}" for k, v in known.items() if v is not None and not np.isfinite(v)]:
            raise ValueError(f"got {', '.join(strange)}, expected finite figures; is the slice empty?")
        return known

    def calibration(self, samples: torch.Tensor) -> dict[str, Calibration]:
        """Samples (S, H, W) against the truth, in the units of `display`: place (recon/places.py) -> figures."""
        pixel = float(self.volume.spacing[-1])
        return by_place(self.display(samples), self.display(self.truth)[0], self.units, pixel)

    def kept(self, samples: torch.Tensor) -> dict[str, np.ndarray]:
        """What else of the samples (S, H, W) lies beside a row's pictures."""
        return {}

    def of_intervals(
        self, found: Reconstruction
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, list[float]]]]:
        """What intervals are made of (recon/intervals.py): the ratios, `ratios KIND` -> numbers, and of each of
        `BOUNDS` how alike the mean is to the truth and to the samples: {"truth": [one], "samples": [S]}."""
        (mean,), (truth,), samples = (
            self.display(image) for image in (found.mean, self.truth, found.samples[0])
        )
        own = ratios(mean, samples, truth, self.units, float(self.volume.spacing[-1]))
        alike = {
            key: {"truth": values[:1].tolist(), "samples": values[1:].tolist()}
            for key, values in similarities(mean, np.stack([truth, *samples]), self.units).items()
        }
        return {f"ratios {kind}": values for kind, values in own.items()}, alike


def cases(
    paths: Path | Sequence[Path],
    simulation: CTSimulation | MRISimulation,
    patients: int = 0,
    slices: int = 1,
    device: str = "cpu",
) -> Iterator[Case]:
    """`slices` of each of the first `patients` (0: all), evenly through the stack and away from its ends. Measured when
    asked for. Patients of several sets are different ones. Raises ValueError for images of another modality."""
    number = 0
    for path in [paths] if isinstance(paths, Path) else paths:
        images, labels = _images_of(path, simulation)
        for patient in labels[: patients - number if patients else None]:
            number += 1
            own = np.flatnonzero(images.groups == patient)
            places = np.linspace(0, len(own) - 1, slices + 2)[1:-1].round().astype(int)
            for index in map(int, own[np.unique(places)]):
                pixel = float(images.pixel_mm[index])
                pixels = np.asarray(images[index], np.float32)[None]
                volume = Volume(pixels, images.units, simulation.modality, (1.0, pixel, pixel), {}, path.name)
                yield Case(number, index, volume, simulation, device)


def _images_of(path: Path, simulation: CTSimulation | MRISimulation) -> tuple[Any, list[str]]:
    """The images of a file, and its patients in order. Raises ValueError for images of another modality."""
    images: Any = open_images(path)
    modality = simulation.modality
    if images.units != {Modality.CT: "HU", Modality.MR: "magnitude"}[modality]:
        needs = "CT images in HU" if isinstance(simulation, CTSimulation) else "MR magnitudes"
        raise ValueError(f"{path}: got images in {images.units}, the task needs {needs}")
    return images, list(dict.fromkeys(images.groups))
