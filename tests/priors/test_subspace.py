"""A coarse prior above a level: what the fine network, and each item of a batch, are given; known answers for means."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scanprior.priors.sampling.loop import sample_images
from scanprior.priors.sampling.tiled import Tiled
from scanprior.priors.score import NetworkPrior
from scanprior.priors.subspace import SubspacePrior, averaged
from torch import Tensor, nn


class Smooth(NetworkPrior):
    """The exact denoiser of images that are one number everywhere, N(0, variance)."""

    def __init__(self, variance: float) -> None:
        super().__init__(nn.Identity(), 1, variance**0.5)
        self.variance, self.seen = variance, []

    def denoise(self, x: Tensor, sigma: Tensor | float, position: Tensor | None = None) -> Tensor:
        self.seen.append((tuple(x.shape), torch.as_tensor(sigma).flatten().tolist()))
        noise = torch.as_tensor(sigma).expand(x.shape[0]) ** 2 / (x.shape[2] * x.shape[3])
        mean = x.mean((1, 2, 3)) * self.variance / (self.variance + noise)
        return mean[:, None, None, None].expand_as(x)


class Zero(nn.Module):
    """A network that adds nothing, and remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, x: Tensor, label: Tensor, position: Tensor | None = None) -> Tensor:
        self.seen.append(len(x))
        return torch.zeros_like(x)


class Even(nn.Module):
    """The network that makes a `NetworkPrior` of sigma_data 0.5 what `Smooth(0.25)` is."""

    def forward(self, x: Tensor, label: Tensor, position: Tensor | None = None) -> Tensor:
        sigma = (4 * label).exp()
        c_skip, c_out, c_in, _ = (c[:, None, None, None] for c in self.scaling(sigma))
        return (Smooth(0.25).denoise(x / c_in, sigma) - c_skip * x / c_in) / c_out

    scaling = NetworkPrior(nn.Identity(), 1, 0.5).scaling


def both(factor: int = 4, above: float = 2.0, network: nn.Module | None = None) -> SubspacePrior:
    coarse = Smooth(0.25)
    return SubspacePrior(network or Zero(), 1, 0.5, None, coarse=coarse, factor=factor, above=above)


def test_high_levels_are_the_coarse_priors() -> None:
    """Means over 16 pixels have a fourth of the noise, and the exact answer for constant images is the same."""
    prior = both()
    x = 0.7 + 3 * torch.randn(2, 1, 24, 16, generator=torch.Generator().manual_seed(0))
    exact = x.mean((1, 2, 3)) * 0.25 / (0.25 + 9 / (24 * 16))
    torch.testing.assert_close(prior.denoise(x, 3.0), exact[:, None, None, None].expand_as(x))
    assert prior.coarse.seen == [((2, 1, 6, 4), [0.75])]  # type: ignore[union-attr]
    assert prior.network.seen == []


def test_each_item_by_its_own_level() -> None:
    x = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    levels = torch.tensor([3.0, 2.0, 9.0])
    together = both().denoise(x, levels)
    alone = torch.cat([both().denoise(x[k : k + 1], levels[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(together, alone)
    shares = x[1:2] * 0.25 / (0.25 + 4)  # c_skip x: level 2 is not above 2
    torch.testing.assert_close(together[1:2], shares)


def test_a_coarse_prior_hands_on_what_is_above_its_own_level() -> None:
    """Of three networks each is shown its levels, in its own units: those of means over f x f pixels are sigma / f."""
    coarsest, network = Smooth(0.25), Even()
    middle = SubspacePrior(network, 1, 0.5, None, coarse=coarsest, factor=4, above=1.5)
    prior = SubspacePrior(Zero(), 1, 0.5, None, coarse=middle, factor=2, above=2.0)
    z = torch.randn(3, 1, 32, 16, generator=torch.Generator().manual_seed(3))
    levels = torch.tensor([1.0, 3.0, 16.0])
    x = 0.7 + levels[:, None, None, None] * z
    got = prior.denoise(x, levels)
    torch.testing.assert_close(got[1:], Smooth(0.25).denoise(x[1:], levels[1:]), atol=1e-5, rtol=1e-5)
    assert coarsest.seen == [((1, 1, 4, 2), [2.0])]
    assert prior.network.seen == [1]


def test_crops_and_low_levels_are_the_fine_networks() -> None:
    prior = both()
    x = torch.randn(2, 1, 8, 8)
    prior.denoise(x, 1.0)
    prior.denoise(x, 50.0, torch.zeros(2, 2, 8, 8))
    assert prior.network.seen == [2, 2]
    assert prior.coarse.seen == []  # type: ignore[union-attr]


@pytest.mark.parametrize("shape", [(24, 16), (21, 18), (3, 5)])
def test_any_size(shape: tuple[int, int]) -> None:
    x = torch.full((1, 1, *shape), 2.0)
    got = both().denoise_coarse(x, 4.0)
    assert got.shape == x.shape
    small = 1.0
    for n in shape:
        small *= -(-n // 4)
    torch.testing.assert_close(got, x * 0.25 / (0.25 + 1 / small))


def test_gradients_go_through() -> None:
    x = torch.randn(1, 1, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(both().denoise(x, 5.0).sum(), x)
    torch.testing.assert_close(gradient, torch.full_like(x, 0.25 / (0.25 + 25 / 64)))


def test_tiles_leave_the_plan_whole() -> None:
    x = torch.randn(2, 1, 32, 24, generator=torch.Generator().manual_seed(2))
    prior = both()
    torch.testing.assert_close(Tiled(prior, 16).denoise(x, 5.0), prior.denoise(x, 5.0))
    mixed = torch.tensor([0.5, 5.0])
    torch.testing.assert_close(Tiled(prior, 16).denoise(x, mixed), prior.denoise(x, mixed))


def test_samples_are_those_of_the_whole_prior() -> None:
    """For constant images both denoisers are exact, and so the same noise gives the same samples."""
    prior = both(network=Even())
    drawn = sample_images(prior, (16, 16), range(20), 30)
    assert prior.coarse.seen  # type: ignore[union-attr]
    torch.testing.assert_close(
        drawn, sample_images(Smooth(0.25), (16, 16), range(20), 30), atol=1e-3, rtol=1e-3
    )


def test_averaged_images() -> None:
    images = [np.arange(24, dtype=np.float32).reshape(4, 6), np.full((3, 5, 4), 1 + 2j, np.complex64)]
    small = averaged(images, 2)
    assert len(small) == 2 and averaged(images, 1) is images
    np.testing.assert_allclose(small[0], images[0].reshape(2, 2, 3, 2).mean((1, 3)))
    assert small[1].shape == (3, 3, 2)  # the edge repeated
    np.testing.assert_allclose(small[1], 1 + 2j)


@pytest.mark.parametrize(("factor", "above"), [(1, 2.0), (4, 0.0)])
def test_what_is_no_coarse_prior_is_refused(factor: int, above: float) -> None:
    with pytest.raises(ValueError, match=f"factor = {factor} and above = {above}"):
        both(factor, above)
