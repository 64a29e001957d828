"""Slices that are finished: methods go over a scan some slices at a time, and what is done is kept in files, so that a
run that was stopped goes on after the last of them and gives what it would have given."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ..formats.write import atomic
from ..recon.problem import Problem, Reconstruction

Solver = Callable[[Problem, int], Reconstruction]  # of some slices, and what the first of them is in the scan


def by_slices(
    problem: Problem,
    solvers: dict[str, Solver],
    size: int,
    folder: Path | None,
    tell: Callable[[int], None] = lambda done: None,
) -> dict[str, Reconstruction]:
    """All slices of a problem by each method, `size` of them at a time.

    Args:
        folder: a file for the slices of each time; what is in it is not done again. None: nothing is kept.
        tell: called with the number of finished slices.
    """
    parts: list[dict[str, Reconstruction]] = []
    first, slices = 0, len(problem.y)
    while first < slices:
        tell(first)
        found = None if folder is None else _kept(folder, first)
        if found is None:
            part = problem.items(slice(first, first + size))
            found = {name: solve(part, first) for name, solve in solvers.items()}
            if folder is not None:
                _keep(folder / f"{first:06d}.npz", found)
        parts.append(found)
        first += len(next(iter(found.values())).samples)
    tell(slices)
    return {name: Reconstruction.joined([part[name] for part in parts]) for name in solvers}


def _keep(path: Path, found: dict[str, Reconstruction]) -> None:
    images = {
        f"{name}_{k}": getattr(one, name)
        for k, one in enumerate(found.values())
        for name in ("mean", "std", "samples")
    }
    arrays = {name: image.numpy() for name, image in images.items() if image is not None}
    facts = [[name, one.nfe, one.seconds, one.provenance] for name, one in found.items()]
    with atomic(path) as temporary:
        np.savez(temporary, allow_pickle=False, facts=np.array(json.dumps(facts)), **arrays)


def _kept(folder: Path, first: int) -> dict[str, Reconstruction] | None:
    """What is done of the slices from `first` on; None where there is nothing, or nothing whole."""
    path = folder / f"{first:06d}.npz"
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            found = {}
            for k, (name, *facts) in enumerate(json.loads(str(stored["facts"]))):
                mean, samples = (torch.from_numpy(stored[f"{what}_{k}"]) for what in ("mean", "samples"))
                std = torch.from_numpy(stored[f"std_{k}"]) if f"std_{k}" in stored else None
                found[name] = Reconstruction(mean, std, samples, *facts)
            return found
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
