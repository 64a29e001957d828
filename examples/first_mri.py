"""A first MRI scan: undersampled k-space of eight coils, to its posterior (docs/tutorials/first-mri.md). Half a minute
on a CPU.

    python examples/first_mri.py [FOLDER]        # writes FOLDER/first-mri.png
"""

import sys
from pathlib import Path

from pictures import side_by_side

# --8<-- [start:scan]
from scanprior import read
from scanprior.recon import MRISimulation, simulate
from scanprior.workflows.data import example_images

image = read(example_images("mri"), slices=[2])  # (1, 256, 256), magnitudes
scan = simulate(image, MRISimulation(accel=6, coils=8), seed=0)
# --8<-- [end:scan]

# --8<-- [start:problem]
from scanprior import problem_of

problem = problem_of(scan)
# --8<-- [end:problem]

# --8<-- [start:posterior]
from scanprior import DDS, load_prior
from scanprior.recon import FistaTV, ZeroFilled

zero_filled = ZeroFilled()(problem).mean
tv = FistaTV(weight=1e-3)(problem).mean
result = DDS(steps=20)(problem, load_prior("mri-256"), samples=4, seed=0)
# --8<-- [end:posterior]

# --8<-- [start:figures]
from scanprior.recon.metrics import mri_metrics

truth = abs(scan.truth)
for name, picture in (
    ("zero-filled", zero_filled),
    ("FISTA-TV", tv),
    ("one sample", result.samples[:, 0]),
    ("mean", result.mean),
):
    figures = mri_metrics(picture.abs().numpy(), truth)
    print(f"{name:<11} {figures['psnr']:.2f} dB, SSIM {figures['ssim']:.3f}")
# --8<-- [end:figures]

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
pictures = {
    "truth": truth[0],
    "zero-filled": zero_filled[0].abs().numpy(),
    "FISTA-TV": tv[0].abs().numpy(),
    "one_sample": result.samples[0, 0].abs().numpy(),
    "mean_of_4": result.mean[0].abs().numpy(),
    "spread": result.std[0].numpy(),
}
side_by_side(OUT / "first-mri.png", (0, 0.9 * truth.max()), **pictures)
