"""What a posterior method is, and the loop over slices and samples that all share.

A method writes `trajectory(posed, noise)`, a generator that yields its estimate of the clean image after each of its
`steps`; the last one is the sample. It sees the problem whitened and in the prior's units (posed.py).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...priors.sampling.loop import ItemNoise, NoiseSource, item_seeds
from ...priors.score import Prior
from ..options import Space
from ..problem import Problem, Reconstruction, check_images
from .posed import Posed

Callback = Callable[[int, int], None]  # (steps done, steps in all)


@dataclass(frozen=True)
class PosteriorMethod:
    """Base of the methods; a subclass is a frozen dataclass of its settings with a `trajectory`, in a file of its own,
    and says what the command line, tuning and benchmarks need to know. `recon/methods.py` reads `name`, `line`,
    `reference` and `suite` from the source: they are literals.

    Attributes:
        name: as `--method`.
        line: its line in --help.
        reference: the paper.
        space: what tuning may change: setting -> least, greatest; tenfold and more in logarithms.
        suite: the options of its rows in the benchmark suites; () for none.
        uncertainty: what the spread of its samples is worth, in a few words.
        steps: how many estimates `trajectory` yields.
    """

    name: ClassVar[str]
    line: ClassVar[str]
    reference: ClassVar[str]
    space: ClassVar[Space] = {}
    suite: ClassVar[tuple[str, ...]] = ("",)
    uncertainty: ClassVar[str] = "–"

    steps: int = 100

    @property
    def nfe(self) -> int:
        """Network evaluations a sample."""
        return self.steps

    @property
    def vjps(self) -> int:
        """Products with the network's transposed Jacobian a sample, at most; each is worth about two evaluations."""
        return 0

    @classmethod
    def paper(cls, **settings: Any) -> PosteriorMethod:
        """The method as its paper runs it, `settings` apart. Raises ValueError where nothing was altered."""
        raise ValueError(f"{cls.__name__} has no published setting of its own: it is the paper's")

    def trajectory(self, posed: Posed, noise: NoiseSource) -> Iterator[Tensor]:
        """Yield the estimate of x0 after each step; the last is the sample."""
        raise NotImplementedError

    def require(self, sound: bool, expected: str) -> None:
        """Refuse settings: ValueError."""
        if not sound:
            raise ValueError(f"got {self}, expected {expected}")

    @property
    def settings(self) -> dict[str, Any]:
        """Name and settings, JSON-able."""
        return {"method": type(self).__name__, **dataclasses.asdict(self)}

    def automatic(self, posed: Posed) -> dict[str, Any]:
        """The settings that are left to the method, as they are for this problem; JSON-able."""
        return {}

    @torch.no_grad()
    def __call__(
        self,
        problem: Problem,
        prior: Prior,
        samples: int = 1,
        seed: int = 0,
        batch: int = 8,
        callback: Callback | None = None,
    ) -> Reconstruction:
        """Draw `samples` from the posterior of each slice.

        Args:
            problem: B slices, on the device where the prior is.
            prior: e.g. from `scanprior.load_prior`.
            samples: S per slice.
            seed: slice b of the scan (`problem.numbers`), sample s is a function of (seed, b, s): never of `batch` or
                of the slices beside it.
            batch: images denoised at once.
            callback: called with (steps done, steps in all).
        """
        began, evaluations, chunks, problem = time.perf_counter(), 0, [], problem.in_own_unit()
        automatic: dict[str, Any] = {}
        B, at_once = len(problem.y), min(samples, batch)
        slices = max(1, batch // samples)
        total = -(-B // slices) * -(-samples // at_once) * self.steps
        done = 0
        for first in range(0, B, slices):
            part = problem.items(slice(first, first + slices))
            initial = part.least_squares()
            check_images(initial, part, "least squares")
            drawn = []
            for start in range(0, samples, at_once):
                count = min(at_once, samples - start)
                seeds = [one for b in part.numbers for one in item_seeds(seed, b, start, count)]
                posed = Posed(part, prior, initial, count)
                automatic = automatic or self.automatic(posed)
                x = posed.initial
                for estimate in self.trajectory(posed, ItemNoise(seeds)):
                    x, done = estimate, done + 1
                    if callback is not None:
                        callback(done, total)
                evaluations = posed.evaluations
                drawn.append(posed.physical(x).cpu().unflatten(0, (len(part.y), count)))
            chunks.append(torch.cat(drawn, 1))
        seconds = time.perf_counter() - began
        provenance = {**self.settings, **automatic, "seed": seed, "samples": samples}
        return Reconstruction.of(problem, torch.cat(chunks), evaluations, seconds, provenance)
