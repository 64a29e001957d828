"""A prior from your own scans: prepare, train, sample, reconstruct (docs/tutorials/own-prior.md). The scans are made
up, and the network is far too small and trained far too shortly: a minute on a CPU shows the way, not a prior.

    python examples/own_prior.py [FOLDER]        # works in FOLDER, writes FOLDER/own-prior.png
"""

import shlex
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
from pictures import side_by_side

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else ".")

PRESET = """
# --8<-- [start:toml]
[prior]
modality = "CT"
channels = 1
matrix = [64, 64]
sigma_data = 0.5
intensity = { kind = "attenuation", hu_per_unit = 1000.0, mu_water = 0.0193 }
window = [-1024.0, 3071.0] # HU

[network]
name = "unet"
base = 16
multipliers = [1, 2, 2]
blocks = 1

[crops]
size = 64
batch = 8

[training]
steps = 100
learning_rate = 4e-3
warmup = 10
ema = 0.97 # of so few steps; 0.999 otherwise
# --8<-- [end:toml]
"""


def made_up_body(rng: np.random.Generator) -> np.ndarray:
    """(64, 64, 4) HU: a body with two lungs and a spine, a little different in each slice."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    width, height = rng.uniform(0.7, 0.9), rng.uniform(0.5, 0.7)
    slices = []
    for _ in range(4):
        image = np.full((64, 64), -1000.0)
        image[(x / width) ** 2 + (y / height) ** 2 < 1] = rng.uniform(20, 60)
        for side in (-1, 1):
            lung = ((x - side * 0.4 * width) / 0.25) ** 2 + ((y + 0.05) / rng.uniform(0.25, 0.4)) ** 2 < 1
            image[lung] = rng.uniform(-850, -750)
        image[x**2 + (y - 0.6 * height) ** 2 < 0.01] = rng.uniform(500, 800)
        slices.append(image + rng.normal(0, 10, image.shape))
    return np.stack(slices, -1)


def run(command: str) -> None:
    """A command as you would type it."""
    print(f"$ {command}")
    subprocess.run([sys.executable, "-m", *shlex.split(command)], cwd=OUT, check=True)


rng = np.random.default_rng(0)
for patient in range(10):
    file = OUT / "scans" / f"sub-{patient:02d}" / "ct.nii.gz"
    file.parent.mkdir(parents=True, exist_ok=True)
    body = made_up_body(rng).swapaxes(0, 1)[::-1, ::-1].astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(body, np.diag([5.0, 5.0, 5.0, 1.0])), file)
(OUT / "tiny.toml").write_text(PRESET)

run("scanprior prepare scans/ --preset tiny.toml --seed 3 -o pack/")
run("scanprior train --data pack/train.h5 --validation pack/val.h5 --preset tiny.toml -o run/")
run("scanprior sample --prior run/ -n 2 -o samples/")
run("scanprior reconstruct scans/sub-00 --simulate ct:views=12 --slices 0 --prior run/ --samples 4 -o out/")

from scanprior.formats import read_images, read_reconstruction

train, samples = read_images(OUT / "pack" / "train.h5"), read_images(OUT / "samples" / "samples.h5")
result = read_reconstruction(OUT / "out" / "reconstruction.h5")
pictures = {
    "training": train[0],
    "training_": train[5],
    "a_sample": samples[0],
    "another": samples[1],
    "mean_from_12_views": result.mean[0],
    "spread": result.std[0],
}
side_by_side(OUT / "own-prior.png", (-1000, 500), **pictures)
