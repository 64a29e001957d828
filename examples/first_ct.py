"""A first CT scan, from an image to its posterior (docs/tutorials/first-ct.md). Half a minute on a CPU.

python examples/first_ct.py [FOLDER]        # writes FOLDER/first-ct.png
"""

import sys
from pathlib import Path

# --8<-- [start:scan]
import scanprior

scan = scanprior.example("ct:views=30,photons=1e5")
# --8<-- [end:scan]

# --8<-- [start:reconstruct]
result = scanprior.reconstruct(scan, method="dds", samples=4, options="steps=20")
# --8<-- [end:reconstruct]

# --8<-- [start:figures]
for row in result.table:
    print(f"{row['method']:<22} {row['psnr']:.2f} dB, SSIM {row['ssim']:.3f}")
# --8<-- [end:figures]

# --8<-- [start:images]
mean, spread = result.mean[0], result.std[0]  # (256, 256), in HU
one, another = result.samples[0, 0], result.samples[1, 0]
truth = result.display.truth[0]  # known, for the scan is simulated
# --8<-- [end:images]

from pictures import side_by_side

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
fbp, tv = (row.image[0] for row in result.rows[:2])
pictures = {
    "truth": truth,
    "FBP": fbp,
    "FISTA-TV": tv,
    "one_sample": one,
    "mean_of_4": mean,
    "spread": spread,
}
side_by_side(OUT / "first-ct.png", (-1000, 500), **pictures)
