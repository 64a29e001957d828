"""Training crops: reproducible, by patient, geometrically right."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from scanprior.priors.crops import Augmentation, Crops, smooth_phase

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
