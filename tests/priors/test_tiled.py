"""Tiles: exact where the denoiser looks at single pixels, told where they lie where it asks."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from scanprior.priors.nets.unet import UNet, UNetConfig, whole_image
from scanprior.priors.sampling.tiled import Tiled
from scanprior.priors.score import NetworkPrior
from torch import Tensor


class Local:
    """A denoiser with a 3 x 3 window, and how large an image it was shown."""

    channels, intensity = 1, None

    def __init__(self) -> None:
        self.largest = 0

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        self.largest = max(self.largest, *x.shape[2:])
        return torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False) / (1 + float(sigma))


@pytest.mark.parametrize(("tile", "overlap"), [(16, 4), (16, 0), (32, None), (200, 10)])
@pytest.mark.parametrize("shape", [(40, 57), (16, 100), (7, 33)])
def test_every_pixel_is_covered(shape: tuple[int, int], tile: int, overlap: int | None) -> None:
    tiled = Tiled(Local(), tile, overlap)
    for n in shape:
        spans = tiled.spans(n)
        assert spans[0].start == 0
        assert spans[-1].stop == n
        assert all(s.stop - s.start == min(n, tile) for s in spans)
        assert all(a.stop - b.start >= tiled.overlap for a, b in pairwise(spans))
    constant = torch.full((2, 1, *shape), 3.0)
    torch.testing.assert_close(tiled.denoise(constant, 0.5), constant / 1.5)


def test_a_local_denoiser_is_the_whole_ones_but_for_a_pixel_at_the_seams() -> None:
    x = torch.randn(2, 1, 60, 50, generator=torch.Generator().manual_seed(0))
    local = Local()
    whole = local.denoise(x, 0.3)
    local.largest = 0
    got = Tiled(local, 24, 8).denoise(x, 0.3)
    assert local.largest == 24
    seams = {edge for span in Tiled(local, 24, 8).spans(60) for edge in (span.start, span.stop - 1)} - {0, 59}
    rows = [row for row in range(60) if row not in seams]
    columns = {edge for span in Tiled(local, 24, 8).spans(50) for edge in (span.start, span.stop - 1)} - {
        0,
        49,
    }
    keep = [column for column in range(50) if column not in columns]
    torch.testing.assert_close(got[..., rows, :][..., keep], whole[..., rows, :][..., keep])
    assert float((got - whole).abs().max()) < 0.1 * float(
        whole.abs().max()
    )  # the weight of a border is small


def test_a_network_with_position_is_told_where_a_tile_lies() -> None:
    config = UNetConfig(channels=1, base=8, multipliers=(1, 2), position=True)
    prior = NetworkPrior(UNet(config), 1, 0.5)
    seen = []
    prior.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[2]))
    Tiled(prior, 16, 0).denoise(torch.zeros(1, 1, 32, 16), 1.0)
    torch.testing.assert_close(torch.cat(seen, 2)[0], whole_image((32, 16)))


def test_a_wrong_overlap_is_refused() -> None:
    with pytest.raises(ValueError, match="0 <= overlap < tile"):
        Tiled(Local(), 16, 16)
