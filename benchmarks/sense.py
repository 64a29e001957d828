"""Time of the Cartesian SENSE operator against its own parts and sigpy's, in one run, interleaved.

    python benchmarks/sense.py [--matrix 320] [--coils 15] [--repeats 20] [--threads 1]

Prints, for a column mask and a 2-D mask: milliseconds (median) of A x, A^H y and A^H A x, their ratios to
ours, and the dot defect |<A u, v> - <u, A^H v>| / (||A u|| ||v||). sigpy gets its best use: its operators are
built once, outside.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scanprior.operators.coils import smooth_maps
from scanprior.operators.mri import cartesian_mri, composed_mri
from scanprior.operators.sampling import achieved_acceleration, equispaced, gaussian_2d

STEPS = ("forward", "adjoint", "normal")
Steps = tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], Any]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--matrix", type=int, default=320)
    parser.add_argument("--coils", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    shape = (options.matrix, options.matrix)
    maps = smooth_maps(options.coils, shape)
    print(f"{options.coils} coils, {shape[0]} x {shape[1]}, complex64, CPU, {options.threads} threads\n")
    for mask in (equispaced(shape, 4), gaussian_2d(shape, 4)):
        kind = "columns" if bool((mask == mask[:1]).all()) else "2-D"
        print(f"mask: {kind}, acceleration {achieved_acceleration(mask):.2f}")
        table(mask, maps, options.repeats)


@torch.no_grad()
def table(mask: torch.Tensor, maps: torch.Tensor, repeats: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, *maps.shape[1:], dtype=torch.complex64, generator=generator)
    y = torch.randn(1, *maps.shape, dtype=torch.complex64, generator=generator)
    operators: dict[str, tuple[Steps, Any, Any]] = {}
    for name, A in (("ours, fused", cartesian_mri(mask, maps)), ("ours, composed", composed_mri(mask, maps))):
        operators[name] = ((A, A.adjoint, A.normal), x, y)
    operators["sigpy"] = (sigpy_steps(mask, maps), x[0].numpy(), y[0].numpy())

    times: dict[str, list[list[float]]] = {name: [[] for _ in STEPS] for name in operators}
    for _ in range(repeats + 1):  # the first round warms up
        for name, (steps, u, v) in operators.items():
            for i, step in enumerate(steps):
                argument = v if STEPS[i] == "adjoint" else u
                start = time.perf_counter()
                step(argument)
                times[name][i].append(1e3 * (time.perf_counter() - start))
    medians = {name: [float(np.median(one[1:])) for one in each] for name, each in times.items()}

    titles = "".join(f"{step + ' ms':>12s}{'ratio':>7s}" for step in STEPS)
    print(f"{'':16s}{titles}{'dot defect':>12s}")
    ours = medians["ours, fused"]
    for name, (steps, u, v) in operators.items():
        row = "".join(f"{t:12.2f}{t / base:7.2f}" for t, base in zip(medians[name], ours, strict=True))
        print(f"{name:16s}{row}{dot_defect(steps, u, v):12.1e}")
    print()


def sigpy_steps(mask: torch.Tensor, maps: torch.Tensor) -> Steps:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sigpy.mri.linop import Sense
    A = Sense(maps.numpy(), weights=mask.float().numpy())
    return A, A.H, A.N


def dot_defect(steps: Steps, u: Any, v: Any) -> float:
    Au, AHv = (np.asarray(a).astype(np.complex128).ravel() for a in (steps[0](u), steps[1](v)))
    left = np.vdot(Au, np.asarray(v).astype(np.complex128).ravel())
    right = np.vdot(np.asarray(u).astype(np.complex128).ravel(), AHv)
    return float(abs(left - right) / (np.linalg.norm(Au) * np.linalg.norm(np.asarray(v))))


if __name__ == "__main__":
    main()
