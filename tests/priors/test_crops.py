"""Training crops: reproducible, by patient, geometrically right."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from scanprior.priors.crops import Augmentation, Crops, smooth_phase
from scanprior.priors.device_crops import DeviceCrops
from scanprior.priors.intensity import RobustMaximum
from scanprior.priors.nets.unet import whole_image

IMAGES = np.stack([np.arange(40 * 40, dtype=np.float32).reshape(40, 40) + 10_000 * k for k in range(12)])
GROUPS = ["a"] * 9 + ["b"] * 2 + ["c"]


def crops(**options: object) -> Crops:
    settings = {"channels": 1, "size": 16, "batch": 8, "seed": 3, **options}
    return Crops(IMAGES, GROUPS, **settings)  # type: ignore[arg-type]


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    assert torch.equal(crops()(7), crops()(7))
    assert not torch.equal(crops()(7), crops()(8))
    assert not torch.equal(crops()(7), crops(seed=4)(7))


@pytest.mark.parametrize("channels", [1, 2])
def test_a_part_of_a_batch_is_that_part_and_reads_no_other_image(channels: int) -> None:
    class Counted:
        read: ClassVar[list[int]] = []

        def __len__(self) -> int:
            return len(IMAGES)

        def __getitem__(self, index: int) -> np.ndarray:
            self.read.append(index)
            return IMAGES[index]

    augmentation = Augmentation(gain=0.1, offset=0.2, flip_rows=True)
    stream = Crops(Counted(), GROUPS, channels=channels, size=16, batch=8, seed=3, augmentation=augmentation)
    whole, in_order = stream(7), Counted.read.copy()
    for part in (slice(0, 3), slice(3, 8), slice(7, 8)):
        Counted.read.clear()
        assert torch.equal(stream(7, part), whole[part])
        assert Counted.read == in_order[part]


def test_patients_are_drawn_by_the_root_of_their_images() -> None:
    stream = crops(augmentation=Augmentation(degrees=0, zoom=(1, 1)))
    drawn = torch.cat([stream(step)[:, 0].amax((1, 2)) for step in range(400)]) // 10_000
    share = np.bincount(np.minimum(np.searchsorted([8.5, 10.5], drawn.numpy()), 2), minlength=3) / len(drawn)
    roots = np.sqrt([9, 2, 1])
    np.testing.assert_allclose(share, roots / roots.sum(), atol=0.035)


def test_without_augmentation_a_crop_is_a_window_of_its_image_or_its_mirror() -> None:
    stream = crops(augmentation=Augmentation(degrees=0, zoom=(1, 1)))
    mirrored = 0
    for crop in torch.cat([stream(step) for step in range(20)])[:, 0]:
        steps = {float(v) for v in crop.diff(dim=1).round().flatten()}
        rows = {float(v) for v in crop.diff(dim=0).round().flatten()}
        assert steps in ({1.0}, {-1.0})
        assert rows == {40.0}
        mirrored += steps == {-1.0}
    assert 50 < mirrored < 110


def test_zoom_and_turn_keep_the_centre_and_scale_distances() -> None:
    image = np.zeros((64, 64), np.float32)
    image[31:33, 31:33] = 1  # the centre
    image[31:33, 47:49] = 1  # 16 pixels to the right
    stream = Crops([image], ["p"], channels=1, size=64, batch=64, augmentation=Augmentation(20, (0.8, 0.8)))
    distances = []
    for crop in stream(0)[:, 0]:
        ys, xs = torch.where(crop > 0.5)
        near = (ys - 31.5).abs() + (xs - 31.5).abs() < 5
        assert bool(near.any())  # the centre stayed
        distances.append(float(torch.hypot(ys[~near] - 31.5, xs[~near] - 31.5).mean()))
    turned, plain = (torch.tensor([d for d in distances if (d < 14.4) == part]) for part in (True, False))
    assert len(turned) > 15  # half of the crops
    assert len(plain) > 15
    torch.testing.assert_close(turned, torch.full_like(turned, 0.8 * 16), rtol=0.04, atol=0)
    torch.testing.assert_close(plain, torch.full_like(plain, 16.0), rtol=0.02, atol=0)


def test_complex_crops_keep_the_magnitude() -> None:
    x = crops(channels=2, augmentation=Augmentation(degrees=0, zoom=(1, 1)))(0)
    plain = crops(augmentation=Augmentation(degrees=0, zoom=(1, 1)))(0)
    assert x.shape == (8, 2, 16, 16)
    torch.testing.assert_close(x.norm(dim=1), plain[:, 0], rtol=1e-4, atol=1e-1)
    phase = smooth_phase(4, 32, np.random.default_rng(0))
    assert (
        float((phase[:, 1:] / phase[:, :-1]).angle().abs().max()) < 1.0
    )  # smooth: no jumps between neighbours


def test_empty_or_mismatched_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="as many"):
        Crops(IMAGES, ["a"], channels=1, size=16, batch=2)


# --- complex images
def test_complex_crops_are_those_of_their_parts_times_one_smooth_phase() -> None:
    """Turned, zoomed, shifted: the real and the imaginary part alike, then one phase for the whole crop."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:40j, -1:1:40j]
    real = [np.exp(-((x - a) ** 2 + y**2) * 4).astype(np.float32) for a in rng.uniform(-0.3, 0.3, 12)]
    imaginary = [np.exp(-(x**2 + (y - a) ** 2) * 3).astype(np.float32) for a in rng.uniform(-0.3, 0.3, 12)]
    settings = {"size": 16, "batch": 8, "seed": 3, "augmentation": Augmentation(gain=0.1)}

    def drawn(images: list[np.ndarray], channels: int) -> torch.Tensor:
        return Crops(images, GROUPS, channels=channels, **settings)(5)  # type: ignore[arg-type]

    whole = [(a + 1j * b).astype(np.complex64) for a, b in zip(real, imaginary, strict=True)]
    got = torch.view_as_complex(drawn(whole, 2).movedim(1, -1).contiguous())
    a, b = drawn(real, 1)[:, 0], drawn(imaginary, 1)[:, 0]
    phase = got / torch.complex(a, b)
    torch.testing.assert_close(phase.abs(), torch.ones_like(a), rtol=1e-4, atol=1e-4)
    assert float((phase[:, 1:] / phase[:, :-1]).angle().abs().max()) < 1.5  # smooth
    constant = phase.mean((1, 2)).angle()
    assert float(constant.max() - constant.min()) > 2  # turned by another angle each
    alike = torch.view_as_complex(drawn(real, 2).movedim(1, -1).contiguous())
    torch.testing.assert_close(alike / a, phase, rtol=1e-3, atol=1e-3)  # magnitudes get the same phase


def test_complex_images_and_magnitudes_in_one_batch() -> None:
    images = [IMAGES[k] * (1j if k % 2 else 1) for k in range(12)]
    x = Crops(images, GROUPS, channels=2, size=16, batch=8, seed=3)(0)
    torch.testing.assert_close(x.norm(dim=1), crops()(0)[:, 0].abs(), rtol=2e-3, atol=1.0)


def test_complex_images_beyond_the_edge_are_zero() -> None:
    image = np.full((8, 8), 2j, np.complex64)
    stream = Crops([image], ["p"], channels=2, size=16, batch=4, augmentation=Augmentation(0, (1, 1)))
    size = stream(0).norm(dim=1)
    torch.testing.assert_close(size.sum((1, 2)), torch.full((4,), 2.0 * 64))


def test_complex_images_in_one_channel_are_refused() -> None:
    with pytest.raises(ValueError, match="2 channels"):
        Crops([IMAGES[0] * 1j], ["p"], channels=1, size=16, batch=1)(0)


def test_images_of_different_sizes_and_patients_by_number() -> None:
    images = [np.full((20 + k, 30 - k), float(k), np.float32) for k in range(12)]
    x = Crops(images, np.array([5] * 9 + [7] * 2 + [9]), channels=1, size=16, batch=8, seed=3)(0)
    same = Crops(images, GROUPS, channels=1, size=16, batch=8, seed=3)(0)
    assert torch.equal(x, same)
    assert x.shape == (8, 1, 16, 16)


def test_the_scale_of_complex_images_is_that_of_their_magnitude() -> None:
    image = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))
    turned = image * torch.polar(torch.ones(20, 20), torch.linspace(0, 6, 400).view(20, 20))
    expected = 1.25 * image.flatten(1).sort(dim=1).values[:, round(0.998 * 400) - 1]
    torch.testing.assert_close(RobustMaximum().affine(turned)[0], expected)
    assert RobustMaximum().affine(turned)[1] == 0.0


@pytest.mark.parametrize("angle", [0, 25])
@pytest.mark.parametrize("zoom", [0.8, 1.25])
def test_positions_turn_and_zoom_with_the_crop(angle: float, zoom: float) -> None:
    rows, columns = (axis / 24 for axis in np.mgrid[-23.5:24, -19.5:20])
    squared = (rows**2 + columns**2).astype(np.float32)  # which no turn changes
    augmentation = Augmentation(degrees=angle, zoom=(zoom, zoom), flip_rows=True)
    x = Crops([squared], ["p"], channels=1, size=12, batch=64, augmentation=augmentation, position=True)(0)
    assert x.shape == (64, 3, 12, 12)
    x = x[..., 4:8, 4:8]  # the middle, which no turn brings to the edge of the image
    found, expected = x[:, 0], x[:, 1:].square().sum(1)
    plain = (found - expected).abs().amax((1, 2)) < 1e-5  # neither turned nor zoomed
    turned = (found * zoom**2 - expected).abs().amax((1, 2)) < 0.01
    assert (plain | turned).all()
    assert 15 < turned.sum() < 49


def test_positions_of_a_whole_image_are_what_a_network_takes_for_one() -> None:
    where = []
    for turn in (True, False):
        augmentation = Augmentation(degrees=0, zoom=(1, 1), flip_rows=turn)
        x = Crops([IMAGES[0]], ["p"], channels=1, size=40, batch=1, augmentation=augmentation, position=True)(
            0
        )
        where.append(x[0, 1:])
    torch.testing.assert_close(where[0], whole_image((40, 40)))
    torch.testing.assert_close(where[1], whole_image((40, 40)))


def test_several_sizes_keep_the_pixels_of_a_batch() -> None:
    stream = crops(size=[16, 8, 32])
    shapes = {tuple(stream(step).shape) for step in range(40)}
    assert shapes == {(8, 1, 16, 16), (32, 1, 8, 8), (2, 1, 32, 32)}
    assert all(stream(step).shape[::3] == stream.shape(step) for step in range(10))
    assert torch.equal(stream(3), crops(size=[16, 8, 32])(3))


def test_pictures_in_colour_are_cropped_as_one() -> None:
    """The channels of a crop are those of one window, turned or not; whole pictures are only mirrored."""
    rng = np.random.default_rng(0)
    grey = rng.random((3, 24, 24)).astype(np.float32)
    grey[:, 0, 0] = 0  # what lies beyond the edge
    colour = np.stack([grey, 2 * grey, 3 * grey], 1)
    for a in (Augmentation(degrees=0, zoom=(1, 1)), Augmentation()):
        x = Crops(colour, range(3), channels=3, size=16, batch=8, augmentation=a)(1)
        assert x.shape == (8, 3, 16, 16)
        torch.testing.assert_close(x[:, 1], 2 * x[:, 0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(x[:, 2], 3 * x[:, 0], rtol=1e-4, atol=1e-5)
        alone = Crops(grey, range(3), channels=1, size=16, batch=8, augmentation=a)(1)
        torch.testing.assert_close(x[:, :1], alone, rtol=1e-4, atol=1e-5)
    whole = Crops(
        colour, range(3), channels=3, size=24, batch=8, augmentation=Augmentation(degrees=0, zoom=(1, 1))
    )(0)
    kept = [np.stack([colour, colour[..., ::-1]]).reshape(-1, 3, 24, 24)]
    for picture in whole.numpy():
        assert (kept[0] == picture).all((1, 2, 3)).sum() == 1
    with pytest.raises(ValueError, match="for a prior of 1 channel"):
        Crops(colour, range(3), channels=1, size=8, batch=1)(0)


class Parts:
    """Ramps, of which `parts` says which are parts of larger images."""

    def __init__(self, shapes: list[tuple[int, int]], parts: list[bool]) -> None:
        self.images = [
            np.add.outer(1.0 * np.arange(h), 0.5 * np.arange(w)).astype(np.float32) + 1000 * k
            for k, (h, w) in enumerate(shapes)
        ]
        self.parts = np.array(shapes) * np.array(parts)[:, None]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.images[index]


def on_device(*arguments, **options):
    return DeviceCrops(Crops(*arguments, **options))


def bends(crops: torch.Tensor) -> torch.Tensor:
    """How far each crop is from a ramp; bicubic interpolation of one is off by 0.05 of its slope at most."""
    return torch.stack([crops.diff(n=2, dim=d).abs().amax((-2, -1)) for d in (-2, -1)]).amax(0)


@pytest.mark.parametrize("make", [Crops, on_device])
def test_no_crop_leaves_a_part_of_an_image(make) -> None:
    """A ramp stays a ramp in every crop: neither its edge nor what lies beyond is seen."""
    turns = Augmentation(degrees=30, zoom=(0.7, 1.3), flip_rows=True)
    options = {"channels": 1, "size": 16, "batch": 200, "augmentation": turns}
    shapes = [(40, 30), (18, 60), (16, 16)]
    inside = make(Parts(shapes, [True] * 3), list("abc"), **options)(0)[:, 0]
    assert bends(inside).max() < 0.5
    slopes = inside.diff(dim=-2).mean((-2, -1)).abs()
    assert ((slopes - 1).abs() > 1e-3).sum() > 20  # the large one's are turned and zoomed
    leaving = make(Parts(shapes, [False] * 3), list("abc"), **options)(0)[:, 0]
    assert (bends(leaving) > 5).sum() > 40  # of whole images what lies beyond is air


@pytest.mark.parametrize("make", [Crops, on_device])
def test_crops_larger_than_a_part_come_from_other_images(make) -> None:
    images = Parts([(20, 24), (40, 40), (36, 50)], [True, True, False])
    crops = make(images, list("abc"), channels=1, size=[32, 16], batch=40)
    seen: dict[int, set[int]] = {16: set(), 32: set()}
    for step in range(12):
        x = crops(step)
        seen[x.shape[-1]] |= {round(float(level)) for level in x.mean((1, 2, 3)) // 1000}
    assert seen == {32: {1, 2}, 16: {0, 1, 2}}


def test_a_crop_that_fits_into_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="crops of 48 pixels fit into none of the 2 images"):
        Crops(Parts([(20, 24), (40, 40)], [True, True]), list("ab"), channels=1, size=[16, 48], batch=4)
