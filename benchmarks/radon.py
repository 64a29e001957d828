"""CT projectors side by side: time of the forward and the adjoint, and the dot-test defect.

    python benchmarks/radon.py                        # 512 x 512, 736 detectors, 23 and 180 views, batch 1 and 8
    python benchmarks/radon.py --size 128 --views 9   # a small one, seconds
    OMP_NUM_THREADS=1 python benchmarks/radon.py      # one thread

Needs an idle machine and, in full, 5 GB of memory. Best of `--repeats` calls after one to warm up. All
project the same parallel beam with Joseph's kernel: ours (`RadonSparse`), ASTRA's `linear`, and the same
matrix in scipy's CSR (with its transpose stored too). ASTRA and scipy take the batch item by item and column
by column as they do by default. "ratio" is the time over ours, so above 1 ours is faster.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator

import torch
from scanprior.geometry import Grid, ParallelBeam, parallel_views
from scanprior.operators.check import measure
from scanprior.operators.linear import LinearOperator
from scanprior.operators.radon_astra import RadonAstra
from scanprior.operators.radon_sparse import RadonSparse, joseph_matrix
from scipy.sparse import csr_array
from torch import Tensor


class RadonScipy(LinearOperator):
    """The stored matrix through scipy."""

    def __init__(self, beam: ParallelBeam, grid: Grid) -> None:
        super().__init__(grid.matrix, beam.shape)
        self.matrix = joseph_matrix(beam, grid)
        self.transpose = csr_array(self.matrix.T)

    def apply_forward(self, x: Tensor) -> Tensor:
        return self._multiply(self.matrix, x).view(-1, *self.range)

    def apply_adjoint(self, y: Tensor) -> Tensor:
        return self._multiply(self.transpose, y).view(-1, *self.domain)

    @staticmethod
    def _multiply(matrix: csr_array, x: Tensor) -> Tensor:
        return torch.from_numpy((matrix @ x.flatten(1).numpy().T).T.copy())


PROJECTORS: dict[str, Callable[[ParallelBeam, Grid], LinearOperator]] = {
    "scanprior": RadonSparse,
    "astra": RadonAstra,
    "scipy": RadonScipy,
}


def best_of(repeats: int, call: Callable[[], object]) -> float:
    """Shortest time [ms] of `repeats` calls, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def rows(size: int, detectors: int, views: int, batches: list[int], repeats: int) -> Iterator[str]:
    """The table's lines for one number of views."""
    grid = Grid((size, size), 0.7)
    beam = ParallelBeam(parallel_views(views), detectors, 0.7)
    ours: dict[int, tuple[float, float]] = {}
    for name, build in PROJECTORS.items():
        start = time.perf_counter()
        A = build(beam, grid)
        built = time.perf_counter() - start
        dot = measure(A, batch=1)["dot"]
        for batch in batches:
            x = torch.rand(batch, size, size, generator=torch.Generator().manual_seed(0))
            y = A(x)
            forward, adjoint = best_of(repeats, lambda: A(x)), best_of(repeats, lambda: A.adjoint(y))  # noqa: B023
            ours.setdefault(batch, (forward, adjoint))
            ratios = (forward / ours[batch][0], adjoint / ours[batch][1])
            yield (
                f"{views:5d} {batch:5d}  {name:10s} {built:7.2f} {forward:9.1f} {adjoint:9.1f} "
                f"{ratios[0]:7.2f} {ratios[1]:7.2f}  {dot:8.1e}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description="CT projectors side by side")
    parser.add_argument("--size", type=int, default=512, help="pixels in a row")
    parser.add_argument("--detectors", type=int, help="elements; 736 at size 512, in proportion otherwise")
    parser.add_argument("--views", type=int, nargs="+", default=[23, 180])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    detectors = options.detectors or round(736 * options.size / 512)
    print(
        f"{options.size} x {options.size}, {detectors} detectors, torch threads {torch.get_num_threads()}, ",
        end="",
    )
    print(f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}, torch {torch.__version__}")
    print("views batch  projector  build[s]  fwd [ms]  adj [ms]  ratio f  ratio a     dot")
    for views in options.views:
        for row in rows(options.size, detectors, views, options.batch, options.repeats):
            print(row, flush=True)


if __name__ == "__main__":
    main()
