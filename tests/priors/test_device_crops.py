"""Crops made on a device are the loader's: the same windows to rounding, the same shares, ranges and phases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scanprior.priors import crops as loader
from scanprior.priors.crops import Augmentation, Crops, Window
from scanprior.priors.device_crops import DeviceCrops, Windows, cut, smooth_phase

rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 60_000, (12, 48, 40)).astype(np.uint16)
GROUPS = ["a"] * 9 + ["b"] * 2 + ["c"]
NETWORK = [image.astype(np.float32) * np.float32(1e-3) + k for k, image in enumerate(IMAGES)]


def on_device(images=NETWORK, groups=GROUPS, **options) -> DeviceCrops:
    settings = {"channels": 1, "size": 16, "batch": 8, "seed": 3, **options}
    return DeviceCrops(Crops(images, groups, **settings))


def as_tensors(windows: list[Window]) -> Windows:
    def of(name: str) -> torch.Tensor:
        return torch.tensor([getattr(w, name) for w in windows])

    return Windows(of("zoom"), of("angle"), of("mirror"), of("turn"), of("place"))


@pytest.mark.parametrize("shape", [(48, 40), (20, 40)])  # the second is smaller than the crop
def test_a_window_is_the_loader_s(shape):
    """Turned windows too where both round to whole pixels alike: sides that differ by an even number."""
    images = rng.standard_normal((6, *shape)).astype(np.float32)
    plain = [Window(1, 0, m, t, True, (0.3, 0.8)) for m, t in ((1, 1), (-1, 1), (1, -1))]
    turned = [
        Window(z, a, m, t, False, (0.2, 0.9))
        for z, a, m, t in ((0.96, 0.2, 1, 1), (1.2, -0.1, -1, 1), (0.96, 0.1, -1, -1))
    ]
    size = 24
    assert all((math.ceil(1.5 * size / w.zoom) + 2 - size) % 2 == 0 for w in turned)
    got, where = cut(torch.from_numpy(images), as_tensors([*plain, *turned]), size)
    for k, window in enumerate([*plain, *turned]):
        expected, place = Crops._crop(images[k], size, window)
        torch.testing.assert_close(got[k], expected, rtol=0, atol=2e-4 if k > 2 else 2e-5)
        torch.testing.assert_close(where[k], place.float(), rtol=0, atol=1e-5)


def test_a_phase_is_the_loader_s_of_the_same_numbers():
    class Numbers:
        """The loader's random numbers, said beforehand."""

        def __init__(self) -> None:
            g = np.random.default_rng(1)
            self.strength, self.normal = g.random((5, 1)), g.standard_normal((5, 9))
            self.constant = g.random((5, 1, 1))

        def uniform(self, low, high, shape):
            u = self.strength if shape == (5, 1) else self.constant
            return low + (high - low) * u

        def standard_normal(self, shape):
            assert shape == self.normal.shape
            return self.normal

    numbers = Numbers()
    expected = loader.smooth_phase(5, 32, numbers)  # type: ignore[arg-type]
    uniform = torch.from_numpy(np.concatenate([numbers.strength, numbers.constant[..., 0]], 1)).float()
    phase = smooth_phase(uniform, torch.from_numpy(numbers.normal).float(), 32)
    torch.testing.assert_close(torch.polar(torch.ones_like(phase), phase), expected, rtol=0, atol=1e-5)


def test_a_batch_is_a_function_of_seed_and_step_in_network_units():
    assert torch.equal(on_device()(7), on_device()(7))
    assert not torch.equal(on_device()(7), on_device()(8))
    assert not torch.equal(on_device()(7), on_device(seed=4)(7))
    x = on_device(augmentation=Augmentation(degrees=0, zoom=(1, 1)), size=4)(0)
    for crop in x[:, 0]:  # a window of one of the images, to 16 bits of its range, 60
        near = [np.abs(crop.numpy().flatten()[:, None] - image.flatten()).min(1).max() for image in NETWORK]
        assert min(near) < 1e-3, near


@pytest.mark.parametrize("channels", [1, 2])
def test_shares_ranges_and_moments_are_the_loader_s(channels):
    """2,400 crops of each: shares of patients, brightness, positions, and the grain that interpolation takes away."""
    augmentation = Augmentation(20, (0.7, 1.3), flip_rows=True, gain=0.3, offset=0.2)
    settings = {
        "channels": channels,
        "size": [12, 24],
        "batch": 16,
        "position": True,
        "augmentation": augmentation,
    }
    host, device = Crops(NETWORK, GROUPS, **settings), on_device(**settings)
    figures = []
    for stream in (host, device):
        found = []
        for step in range(150):
            x = stream(step)
            assert x.shape == (*stream.shape(step)[:1], channels + 2, *2 * stream.shape(step)[1:])
            image, where = x[:, :channels], x[:, channels:]
            size = image.square().sum(1).sqrt()
            real = image[:, 0] / size.clamp_min(1e-3) if channels == 2 else image[:, 0] / 30
            edge = (
                where[:, :, 0, :].diff(dim=-1).mean(2)
            )  # of (row, column) along a row: mirrored or not, zoomed
            grain = size.diff(dim=-1).abs().mean((1, 2))
            found.append(
                torch.stack(
                    [size.mean((1, 2)), size.std((1, 2)), grain, real.mean((1, 2)), real.mean((1, 2)).square(),
                     where[:, 0].mean((1, 2)).abs(), where[:, 1].mean((1, 2)).abs(), edge[:, 0].abs(), edge[:, 1].abs()]
                )
            )  # fmt: skip
        figures.append(torch.cat(found, 1))
    host_mean, device_mean = (f.mean(1) for f in figures)
    standard = (figures[0].var(1) / figures[0].shape[1] + figures[1].var(1) / figures[1].shape[1]).sqrt()
    assert (((host_mean - device_mean).abs()) < 4 * standard + 1e-6).all(), (host_mean, device_mean, standard)


def test_images_of_several_sizes_are_the_loader_s():
    """Smaller ones lie in the middle of the array; unturned, so that windows are the same to rounding."""
    images = [image[: 48 - 6 * (k % 3), : 40 - 3 * (k % 4)] for k, image in enumerate(NETWORK)]
    crops = on_device(images, size=8)
    for k, image in enumerate(images):
        windows = [Window(1, 0, 1, 1, True, (u, v)) for u, v in ((0, 0), (0.3, 0.9), (1, 1))]
        chosen = torch.tensor([k] * 3)
        got, where = cut(crops._network_units(chosen), as_tensors(windows), 8, crops.boxes[chosen])
        for j, window in enumerate(windows):
            expected, place = Crops._crop(image, 8, window)
            torch.testing.assert_close(got[j], expected, rtol=0, atol=2e-3)
            torch.testing.assert_close(where[j], place.float(), rtol=0, atol=1e-5)


def test_the_part_of_a_batch_is_a_slice_of_it():
    crops = on_device(position=True)
    assert torch.equal(crops(4, slice(2, 5)), crops(4)[2:5])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="expected 1"):
        on_device([np.zeros((3, 9, 9), np.float32)] * 12, channels=3)
    with pytest.raises(ValueError, match="complex images"):
        on_device([image.astype(np.complex64) for image in NETWORK], channels=2)
