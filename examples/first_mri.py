"""A first MRI scan: undersampled k-space of eight coils, to its posterior (docs/tutorials/first-mri.md). Half a minute
on a CPU.

    python examples/first_mri.py [FOLDER]        # writes FOLDER/first-mri.png
"""

import sys
from pathlib import Path

# --8<-- [start:scan]
import scanprior

scan = scanprior.example("mri:accel=6,coils=8")
# --8<-- [end:scan]

# --8<-- [start:reconstruct]
result = scanprior.reconstruct(scan, method="dds", samples=4, options="steps=20")
# --8<-- [end:reconstruct]

# --8<-- [start:figures]
for row in result.table:
    print(f"{row['method']:<22} {row['psnr']:.2f} dB, SSIM {row['ssim']:.3f}")
# --8<-- [end:figures]

# --8<-- [start:inside]
from scanprior import DDS, load_prior, problem_of

problem = problem_of(scan)  # the measurement, its operator, its noise: all that a method sees
print(problem.operator)
posterior = DDS(steps=20)(problem, load_prior("mri-256"), samples=1)
print(posterior.mean.dtype, tuple(posterior.mean.shape))  # complex, in the units of k-space
# --8<-- [end:inside]

from pictures import side_by_side

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
images = {row.name: row.image[0] for row in result.rows}
truth = result.display.truth[0]
pictures = {
    "truth": truth,
    "zero-filled": images["zero-filled"],
    "L1-wavelet": images["L1-wavelet"],
    "one_sample": result.samples[0, 0],
    "mean_of_4": result.mean[0],
    "spread": result.std[0],
}
side_by_side(OUT / "first-mri.png", (0, 0.9 * truth.max()), **pictures)
