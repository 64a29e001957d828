"""What the tests of training learn from: tiny presets, and images that take no time."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

CT = """
[prior]
modality = "CT"
channels = 1
sigma_data = 0.5
intensity = { kind = "attenuation", hu_per_unit = 1000.0, mu_water = 0.0193 }
window = [-1024.0, 3071.0]
[network]
name = "unet"
base = 8
multipliers = [1, 2]
blocks = 1
[crops]
size = 16
batch = 2
gain = 0.02
[training]
steps = 12
learning_rate = 2e-3
warmup = 4
"""
COARSE = """
[coarse]
factor = 2
above = 1.5
network = { name = "unet", base = 8, multipliers = [1, 2], position = true }
crops = { size = 12, batch = 2, gain = 0.02 }
training = { p_mean = 0.5, p_std = 1.2, steps = 7, warmup = 2 }
"""
PATIENTS = ("DOE^JANE", "DOE^JOHN", "ROE^RICHARD")


def changed(preset: str, **values: object) -> str:
    """A preset with other values of settings that it has once: changed(CT, steps=4, batch=4)."""
    lines = preset.splitlines()
    for name, value in values.items():
        (place,) = [k for k, line in enumerate(lines) if line.startswith(f"{name} = ")]
        lines[place] = f"{name} = {value}"
    return "\n".join(lines) + "\n"


def mr(channels: int = 2, preset: str = CT) -> str:
    """The same preset of MR images."""
    intensity = '{ kind = "robust-maximum", quantile = 0.998, factor = 1.25 }'
    return changed(preset, modality='"MR"', channels=channels, intensity=intensity, window=[0.0, 4.0])


def image_set(path: Path, images: int = 9, units: str = "HU + 1024", seed: int = 0) -> Path:
    """Discs of water with a bone inside, in air: uint16, three patients."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[-12:12, -12:12]
    stack = np.zeros((images, 24, 24), np.uint16)
    for image in stack:
        y, x = rng.uniform(-3, 3, 2)
        image[(rows - y) ** 2 + (columns - x) ** 2 < rng.uniform(50, 90)] = 1024
        image[(rows - y) ** 2 + (columns - x) ** 2 < 8] = 1724
    with h5py.File(path, "w") as file:
        file["images"] = stack
        file["images"].attrs["units"] = units
        file["patient"] = np.array([PATIENTS[k % 3] for k in range(images)], dtype=h5py.string_dtype())
        file["px_mm"] = np.linspace(1.0, 1.5, images)
    return path
