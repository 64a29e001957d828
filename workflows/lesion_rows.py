"""One method on one slice with lesions and without: a benchmark's job (benchmark/rows.py), kept in a file like any.

The slice is measured twice with the same noise (recon/simulate.py), so that the two reconstructions differ by the
lesions alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..formats.scan import Volume
from ..recon.display import Display
from ..recon.lesion_figures import false_lesions, lesion_figures
from ..recon.lesions import KINDS, Kind, Lesion, insert, placed, tissues
from ..recon.observer import ideal_detectability, unexplained
from ..recon.problem import Problem
from ..recon.simulate import simulate_pair
from ..recon.study import problem_of
from .benchmark.cases import Case
from .benchmark.rows import Job, Row, jobs, solve
from .benchmark.suite import Suite
from .lesion_table import finite

LAYOUT = 1  # of a row's file
SIDE = 33  # of the pictures that observers are shown, in pixels
BARE = 2  # samples of the slice without lesions: the same noise takes most of the chance out of a difference
FALSE_MM = 5.0  # a false lesion's disc
FALSE_THRESHOLD = {"HU": 60.0, "of the largest magnitude": 0.1}


@dataclass(frozen=True)
class Insertion:
    """What is put into each slice.

    Attributes:
        kinds: of lesions, which take turns; None: recon/lesions.py's for the images' units.
        count: at most so many a slice.
    """

    kinds: tuple[Kind, ...] | None = None
    count: int = 12


@dataclass(frozen=True, eq=False)
class LesionCase(Case):
    """A slice with lesions, measured.

    Attributes:
        bare: the slice without them.
        lesions: in pixels of the volume.
    """

    bare: Volume | None = None
    lesions: tuple[Lesion, ...] = ()

    @staticmethod
    def of(case: Case, insertion: Insertion) -> LesionCase:
        """A case with lesions, placed by the slice's number; none where there is no room."""
        volume, image = case.volume, case.volume.data[0]
        pixel, kinds = volume.spacing[-1], insertion.kinds or KINDS[volume.units]
        lesions = placed(image, kinds, volume.units, pixel, insertion.count, case.index)
        inserted = insert(image, lesions, volume.units, pixel, volume.spacing[0])
        return LesionCase(
            case.patient,
            case.index,
            replace(volume, data=inserted[None]),
            case.simulation,
            case.device,
            volume,
            tuple(lesions),
        )

    @cached_property
    def _pair(self) -> tuple[Display, torch.Tensor, Display, torch.Tensor]:
        assert self.bare is not None
        without, with_ = simulate_pair(self.bare, self.volume, self.simulation, self.index)
        out: list[Any] = []
        for scan in (with_, without):
            problem = problem_of(scan, self.device)
            out += [Display(scan, problem, None), torch.from_numpy(np.asarray(scan.truth))]
        return tuple(out)

    @cached_property
    def _measured(self) -> tuple[Display, torch.Tensor]:
        return self._pair[:2]

    def forget(self) -> None:
        for name in ("_pair", "_measured"):
            self.__dict__.pop(name, None)

    @property
    def bare_problem(self) -> Problem:
        """The measurement without the lesions."""
        return self._pair[2].problem

    @property
    def bare_truth(self) -> torch.Tensor:
        """(1, H, W), physical."""
        return self._pair[3]

    @property
    def pixel_mm(self) -> float:
        """Of the reconstruction."""
        return float(self.volume.spacing[-1]) * self._binning

    @property
    def _binning(self) -> int:
        return self.volume.data.shape[1] // self.truth.shape[1]

    @property
    def on_grid(self) -> list[Lesion]:
        """The lesions in pixels of the reconstruction."""
        return [lesion.binned(self._binning) for lesion in self.lesions]

    def fractions(self) -> list[NDArray[Any]]:
        """How much of each pixel of the reconstruction is which lesion, (H, W) each."""
        H, W = self.truth.shape[1:]
        return [lesion.fraction((H, W), self.pixel_mm, self.volume.spacing[0]) for lesion in self.on_grid]

    def signals(self) -> torch.Tensor:
        """Each lesion alone, (lesions, H, W), physical."""
        change = self.truth - self.bare_truth
        return torch.stack([change[0] * torch.from_numpy(part > 0) for part in self.fractions()])


@dataclass(frozen=True)
class LesionJob(Job):
    """One method on one slice, with and without its lesions."""

    def __call__(self) -> tuple[Row, dict[str, NDArray[Any]]]:
        """The row: `pixel_mm`, `lesions` (of each kind, place, `detectability`, `unexplained` and the figures of
        recon/lesion_figures.py) and `false`. Pictures in display units: `image`, `without`, `truth`, and `present` and
        `absent` (lesions, SIDE, SIDE): means of as many samples, around each lesion."""
        method, case = self.tuned.method, self.case
        assert isinstance(case, LesionCase)
        row = self.head
        try:
            with_ = solve(method, case.problem, self.prior, self.samples, self.seed)
            without = solve(method, case.bare_problem, self.prior, min(BARE, self.samples), self.seed)
        except ValueError as error:
            return self.refused(error), {}
        count = with_.samples.shape[1]
        row |= {"samples": count, "nfe": with_.nfe, "seconds": with_.seconds / count}
        samples, bare_samples = (case.display(found.samples[0]) for found in (with_, without))
        alike = with_.samples[:, : without.samples.shape[1]].mean(1)
        mean, same, bare_mean, truth = (
            case.display(x)[0] for x in (with_.mean, alike, without.mean, case.truth)
        )
        row["pixel_mm"] = case.pixel_mm
        row["lesions"] = _figures(case, samples, bare_samples, with_.mean)
        row["false"] = _false(case, mean, truth)
        pictures = {"image": mean, "without": bare_mean, "truth": truth}
        around = [(_patch(same, one), _patch(bare_mean, one)) for one in case.on_grid]
        present, absent = (np.stack(patches) for patches in zip(*around, strict=True))
        return row, pictures | {"present": present, "absent": absent}


def lesion_jobs(insertion: Insertion) -> Callable[..., Iterator[Job]]:
    """`jobs` of a suite on slices with lesions; slices without room for one are left out. ValueError where none has
    room."""

    def made(suite: Suite, *args: Any, **settings: Any) -> Iterator[Job]:
        plain, case, some = None, None, False
        for job in jobs(suite, *args, **settings):
            if job.case is not plain:
                plain, case = job.case, LesionCase.of(job.case, insertion)
            assert case is not None
            if case.lesions:
                some = True
                facts = f"{LAYOUT} {job.key} {case.identity} {case.lesions}"
                key = sha256(facts.encode()).hexdigest()[:20]
                yield LesionJob(**{**vars(job), "case": case, "key": key})
        if not some:
            expected = "lung, soft tissue (CT) or white matter (T1 of a brain without its skull)"
            raise ValueError(f"{suite.name}: no slice has room for a lesion; expected images of {expected}")

    return made


def _figures(
    case: LesionCase, with_: NDArray[Any], without: NDArray[Any], image: torch.Tensor
) -> list[dict[str, Any]]:
    """Of each lesion. Samples in display units; `image`: their mean, physical."""
    truth, bare = (case.display(x)[0] for x in (case.truth, case.bare_truth))
    signals, out = case.signals(), []
    seen = ideal_detectability(case.problem, signals), unexplained(case.problem, image, signals)
    numbers = (values.tolist() for values in seen)
    for lesion, fraction, d, left in zip(case.lesions, case.fractions(), *numbers, strict=True):
        place = {"row": lesion.row, "column": lesion.column, "angle": lesion.angle}
        found = lesion_figures(with_, without, truth, bare, fraction).to_dict()
        sure = {"detectability": finite(d), "unexplained": finite(left)}  # None of noise-free data
        out.append({**asdict(lesion.kind), **place, **sure, **found})
    return out


def _false(case: LesionCase, image: NDArray[Any], truth: NDArray[Any]) -> int:
    bare = case.display(case.bare_truth)[0]
    tissue = np.logical_or.reduce(list(tissues(bare, case.volume.units).values()))
    lesions = np.sum(case.fractions(), axis=0) > 0
    return false_lesions(image, truth, tissue, lesions, FALSE_THRESHOLD[case.units], FALSE_MM, case.pixel_mm)


def _patch(image: NDArray[Any], lesion: Lesion) -> NDArray[Any]:
    """(SIDE, SIDE) around a lesion."""
    half = SIDE // 2
    row, column = round(lesion.row), round(lesion.column)
    return np.pad(image, half, mode="edge")[row : row + SIDE, column : column + SIDE]
