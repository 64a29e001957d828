"""What a baseline is: a problem in, a `Reconstruction` of one "sample" out, with defaults that work.

A baseline is a frozen dataclass of its settings, as a posterior method is, in a file of its own, and says what scans it
is for. The least-squares ones weight by the noise and a model error (recon/weights.py) and stop by the discrepancy.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from torch import Tensor

from ...modality import Modality
from ..methods import BASELINES, class_of
from ..options import Space
from ..problem import Problem, Reconstruction


@dataclass(frozen=True)
class Baseline:
    """Base of the baselines: `problem -> Reconstruction`, without a network; a subclass is a frozen dataclass of its
    settings with an `image`, and says what the command line, tuning and benchmarks need to know (recon/methods.py).

    Attributes:
        name: as `--method`.
        line: its line in --help.
        reference: the paper.
        space: what tuning may change: setting -> least, greatest; tenfold and more in logarithms.
        suite: the options of its rows in the benchmark suites; () for none.
        title: what tables and pictures call it; the class's name by default.
        scans: the modalities that it is for.
    """

    name: ClassVar[str]
    line: ClassVar[str]
    reference: ClassVar[str] = ""
    space: ClassVar[Space] = {}
    suite: ClassVar[tuple[str, ...]] = ("",)
    title: ClassVar[str]
    scans: ClassVar[tuple[Modality, ...]] = (Modality.CT, Modality.MR)

    def __init_subclass__(cls) -> None:
        cls.title = vars(cls).get("title", cls.__name__)

    def image(self, problem: Problem) -> Tensor:
        """The reconstruction (B, H, W), in physical units. Raises ValueError for a problem that it is not for."""
        raise NotImplementedError

    @property
    def settings(self) -> dict[str, Any]:
        """Name and settings, JSON-able."""
        return {"method": self.title, **asdict(self)}

    @property
    def automatic(self) -> dict[str, Any]:
        """The settings that are left to the method, in words."""
        return {}

    def check(self, modality: Modality) -> None:
        """Raises ValueError for scans that it is not for, with the names of those that are."""
        if modality not in self.scans:
            known = (class_of(name) for name in BASELINES)
            fit = ", ".join(one.title for one in known if modality in getattr(one, "scans", ()))
            is_for, scan = (one.kind.upper() for one in (self.scans[0], modality))
            raise ValueError(
                f"{self.title} reconstructs {is_for}, the scan is {scan}; for {scan} there are {fit}"
            )

    def __call__(self, problem: Problem) -> Reconstruction:
        """Raises ValueError for another modality's problem."""
        self.check(problem.modality)
        began, problem = time.perf_counter(), problem.in_own_unit()
        image = self.image(problem).cpu()
        provenance = {**self.settings, **self.automatic}
        return Reconstruction.of(problem, image[:, None], 0, time.perf_counter() - began, provenance)
