"""Truths drawn from the prior itself, for `calibrate --on prior`: a suite measures them, and what its methods draw must
be exchangeable with them (recon/sbc.py).

What fails here is the sampler's fault: the network's own error is in the truths too. The images lie in `truths-ct/` or
`truths-mri/` of the output folder as `scanprior sample` writes them, and are not drawn twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..formats.image_set import ImageSet, read_images
from ..formats.scan import Volume
from ..modality import Modality
from ..operators.attenuation import mu_from_hu
from ..pretrained.load import default_for
from ..priors.sampling.loop import ItemNoise, item_seeds
from ..recon import sbc
from ..recon.calibration import calibration
from ..recon.display import Display
from ..recon.simulate import simulate
from ..recon.study import problem_of
from .benchmark.cases import Case
from .benchmark.rows import Job, Row, jobs, picture
from .benchmark.suite import Suite, Task
from .benchmark.table import by_method, calibrated
from .output import check_output
from .progress import Progress
from .sample import SampleSettings, sample

Priors = dict[Modality, tuple[Any, str]]  # modality -> the prior and the hash of its weights
IMAGES = 32  # where --patients does not say
JUDGED = ("coverage_50", "coverage_80", "coverage_90", "coverage_95", "spread_skill")


@dataclass(frozen=True, eq=False)
class PriorCase(Case):
    """An image of the prior, measured as the methods assume: by the operator that will invert it, with the noise that
    they take it to have. `volume` is complex where the prior's images are.

    Attributes:
        prior: whose image it is.
    """

    prior: Any = None

    @property
    def identity(self) -> str:
        return f"of the prior, {super().identity}"

    def sampled_with(self, seed: int) -> int:
        """Its own: with the same noise for all images their ranks would go together."""
        return seed + self.index

    @cached_property
    def _measured(self) -> tuple[Display, torch.Tensor]:
        data = np.asarray(self.volume.data)
        if self.volume.units == "HU":
            shown, truth = self.volume, np.asarray(mu_from_hu(data), np.float32)
        else:
            shown, truth = replace(self.volume, data=np.abs(data)), data
        scan = replace(simulate(shown, self.simulation, seed=self.index), truth=truth)
        problem, image = problem_of(scan, self.device), torch.from_numpy(truth)
        seeds = item_seeds(
            self.index, self.patient, 0, 1
        )  # not `index` itself: the image began with that noise
        noise = ItemNoise(seeds).like(torch.empty_like(problem.y))
        return Display(scan, sbc.as_assumed(problem, image.to(self.device), noise), None), image

    @cached_property
    def _patches(self) -> sbc.Patches:
        return sbc.Patches(self.problem, self.prior)

    def kept(self, samples: torch.Tensor) -> dict[str, np.ndarray]:
        return self._patches.members(self.truth[0], samples)

    def forget(self) -> None:
        super().forget()
        self.__dict__.pop("_patches", None)


def drawn(suite: Suite, folder: Path, prior: str | None, progress: Progress) -> Callable[..., Iterator[Job]]:
    """The `jobs` of a suite on `suite.patients` images of the prior (0: IMAGES), as `run_suite` asks for them.

    Raises:
        ValueError: one image: TARP refers each to another.
        FileExistsError: a folder with anything else in it.
    """
    if suite.patients == 1:
        raise ValueError("--patients: got 1 image of the prior, expected at least 2")
    if not (folder / "rows").is_dir():
        check_output(folder, overwrite=False)
        (folder / "rows").mkdir(parents=True)

    def make(suite: Suite, priors: Priors, seed: int, device: str, presets: bool) -> Iterator[Job]:
        settings, sets = SampleSettings(images=suite.patients or IMAGES, seed=seed, device=device), {}
        for modality, (network, sha) in priors.items():
            name = default_for(modality) if prior is None else prior
            sets[modality] = _truths(folder / f"truths-{modality.kind}", name, sha, settings, progress)
            if modality is Modality.MR:
                network.intensity = None  # the images are in its own units: no scale is left to estimate

        def measured(task: Task) -> Iterator[PriorCase]:
            images, (network, _) = sets[task.modality], priors[task.modality]
            for k in range(len(images)):
                pixel, units = (
                    float(images.pixel_mm[k]),
                    "HU" if task.modality is Modality.CT else "magnitude",
                )
                volume = Volume(
                    images[k][None], units, task.simulation.modality, (1.0, pixel, pixel), {}, "prior"
                )
                yield PriorCase(k + 1, seed + k, volume, task.simulation, device, prior=network)

        yield from jobs(suite, priors, seed, device, presets, measured)

    return make


def _truths(folder: Path, prior: str, sha: str, settings: SampleSettings, progress: Progress) -> ImageSet:
    """The images in the folder, drawn where they are not there or others were asked for."""
    asked = {
        "images": settings.images,
        "seed": settings.seed,
        "sampler": settings.sampler,
        "prior_sha256": sha,
    }
    try:
        known = json.loads((folder / "samples.json").read_text())
    except (OSError, ValueError):
        known = {}
    if asked.items() <= known.items():
        return read_images(folder / "samples.h5")
    found = sample(prior, folder, settings, overwrite=folder.exists(), progress=progress).images
    assert isinstance(found, ImageSet)
    return found


def by_quantity(suite: Suite, rows: Sequence[Row], folder: Path) -> list[dict[str, Any]]:
    """Lines as those of calibrate.py, one a task, method and quantity of recon/sbc.py as the place, with `uniformity`,
    the p-value of the truths' ranks. They have no units of an image: no width and no scores."""
    out = []
    for task, label, own in by_method(suite, rows, "mean"):
        for name in (*sbc.QUANTITIES, sbc.TARP):
            members = [picture(folder, row, name) for row in own]
            out.append({"task": task.name, "label": label, "place": name, **_judged(name, members)})
    return out


def _judged(name: str, members: Sequence[np.ndarray]) -> dict[str, Any]:
    """`members`: of each image, the truth first."""
    S = len(members[0]) - 1
    facts: dict[str, Any] = {"patients": len(members), "slices": len(members), "samples": S}
    if name == sbc.TARP:
        ranks = sbc.tarp_ranks(members)
    else:
        ranks = sbc.sbc_ranks(members)
        facts |= calibrated([calibration(one[1:], one[0]) for one in members], JUDGED)
    counts = np.bincount(np.concatenate([one[0] for one in ranks]), minlength=S + 1)
    return facts | {"uniformity": sbc.uniformity(ranks), "ranks": (counts / counts.sum()).tolist()}
