"""A first CT scan, from an image to its posterior (docs/tutorials/first-ct.md). Half a minute on a CPU.

python examples/first_ct.py [FOLDER]        # writes FOLDER/first-ct.png
"""

import sys
from pathlib import Path

from pictures import side_by_side

# --8<-- [start:image]
from scanprior import read
from scanprior.workflows.data import example_images

image = read(example_images("ct"), slices=[5])  # (1, 256, 256), in HU
# --8<-- [end:image]

# --8<-- [start:scan]
from scanprior.recon import CTSimulation, simulate

scan = simulate(image, CTSimulation(views=30, photons=1e5), seed=0)
# --8<-- [end:scan]

# --8<-- [start:classical]
from scanprior import problem_of
from scanprior.recon import FBP, FistaTV

problem = problem_of(scan)  # the measurement, its operator, its noise
fbp = FBP()(problem).mean
tv = FistaTV(weight=1e-3)(problem).mean
# --8<-- [end:classical]

# --8<-- [start:posterior]
from scanprior import DDS, load_prior

prior = load_prior("ct-256")
result = DDS(steps=20)(problem, prior, samples=4, seed=0)
# --8<-- [end:posterior]

# --8<-- [start:figures]
from scanprior.operators import MU_WATER, hu_from_mu
from scanprior.recon.metrics import ct_metrics

truth = image.data.clip(-1000)
for name, picture in (
    ("FBP", fbp),
    ("FISTA-TV", tv),
    ("one sample", result.samples[:, 0]),
    ("mean", result.mean),
):
    figures = ct_metrics(hu_from_mu(picture.numpy()), truth)
    print(f"{name:<10} {figures['psnr']:.2f} dB, SSIM {figures['ssim']:.3f}")
# --8<-- [end:figures]

spread = result.std.numpy() * 1000 / MU_WATER  # 1/mm -> HU

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
pictures = {
    "truth": truth[0],
    "FBP": hu_from_mu(fbp.numpy())[0],
    "FISTA-TV": hu_from_mu(tv.numpy())[0],
    "one_sample": hu_from_mu(result.samples[0, 0].numpy()),
    "mean_of_4": hu_from_mu(result.mean.numpy())[0],
    "spread": spread[0],
}
side_by_side(OUT / "first-ct.png", (-1000, 500), **pictures)
