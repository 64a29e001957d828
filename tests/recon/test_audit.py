"""The figures of an audit against theory: exact posteriors of Gaussian priors, dense matrices, data of known faults."""

from __future__ import annotations

import math
from dataclasses import replace

import known_answer as known
import numpy as np
import pytest
import torch
from scanprior.geometry import Grid, ParallelBeam
from scanprior.operators.noise import Gaussian
from scanprior.operators.pixel import Inpainting
from scanprior.operators.radon import Radon
from scanprior.priors.analytic import GaussianPrior
from scanprior.recon.audit.checks import findings
from scanprior.recon.audit.clusters import groups
from scanprior.recon.audit.figures import measure
from scanprior.recon.audit.fit import fit
from scanprior.recon.audit.held_out import held_out_samples, held_out_views, missed
from scanprior.recon.audit.moments import moments
from scanprior.recon.audit.reference import Family, scores, threshold, usual_of
from scanprior.recon.audit.sampling import contradictions
from scanprior.recon.audit.split import data_share, probed
from scanprior.recon.audit.surprise import surprise
from scanprior.recon.posterior.posed import Posed
from scanprior.recon.problem import Problem
from toys import OneGenerator

SIDE, SIGMA = 8, 0.5
GRID = Grid((SIDE, SIDE), 1.0)
BEAM = ParallelBeam.covering(GRID, 18)
TRUE = Radon(BEAM, GRID)
TURNED = Radon(replace(BEAM, angles=tuple(angle + 0.4 for angle in BEAM.angles)), GRID)


def prior(mean: float = 1.0) -> GaussianPrior:
    smooth = known.prior_of(TRUE)
    return GaussianPrior(torch.full_like(smooth.mean, mean), smooth.covariance)


def drawn(law: GaussianPrior, count: int, seed: int) -> torch.Tensor:
    """Images of a prior, (count, SIDE, SIDE)."""
    z = torch.randn(count, SIDE * SIDE, generator=torch.Generator().manual_seed(seed))
    return (law.mean.flatten() + z @ torch.linalg.cholesky(law.covariance).T).view(count, SIDE, SIDE)


def posterior(problem: Problem, law: GaussianPrior, samples: int, seed: int = 1) -> torch.Tensor:
    """Exact samples of the posterior as the problem states it, (B, samples, SIDE, SIDE)."""
    eye = torch.eye(SIDE * SIDE).view(-1, SIDE, SIDE)
    A = problem.operator(eye).flatten(1).T
    sigma = problem.noise.sigma  # type: ignore[union-attr]
    mean, covariance = law.posterior(A, problem.y.flatten(1), sigma**2)
    root = torch.linalg.cholesky(covariance + 1e-9 * torch.eye(len(covariance)))
    z = torch.randn(len(mean), samples, len(root), generator=torch.Generator().manual_seed(seed)).double()
    return (mean[:, None] + z @ root.T).float().view(len(mean), samples, SIDE, SIDE)


def scan(count: int, seed: int, law: GaussianPrior | None = None, sigma: float = SIGMA) -> torch.Tensor:
    clean = TRUE(drawn(law or prior(), count, seed))
    return clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed + 1))


def test_chi_squared_of_exact_samples_is_what_theory_says() -> None:
    problem = Problem(scan(300, 0), TRUE, Gaussian(SIGMA))
    found = fit(problem, posterior(problem, prior(), 4))
    m = float(TRUE(torch.rand(1, SIDE, SIDE)).count_nonzero())
    error = 4 * math.sqrt(2 / m / 300)
    assert float(found.samples.mean()) == pytest.approx(1, abs=error)
    assert float(found.parts.nanmean()) == pytest.approx(1, abs=error)
    assert float(found.map.mean()) == pytest.approx(
        1, abs=0.35
    )  # the noise that it is compared with is 4 draws
    assert float(found.mean.mean()) == pytest.approx(float(found.expected.mean()), abs=error)
    assert float(found.mean.mean()) < 0.9


@pytest.mark.parametrize("name", ["uneven", "complex"])
def test_the_data_share_is_the_diagonal_of_the_resolution_matrix(name) -> None:
    case, v, count = known.cases()[name], 0.25, 2000
    single, C = case.posed(), case.prior.channels
    eye = known.images(torch.eye(16 * C).unflatten(1, (C, 4, 4)), single.physical_operator)
    N = torch.stack([known.real_parts(single.AHA(e.expand(2, 4, 4)))[0] for e in eye])
    R = (N @ torch.linalg.inv(N + torch.eye(len(N)) / v)).diagonal().view(C, 4, 4).mean(0)
    found = probed(case.posed(count), v, 1, OneGenerator(0))
    torch.testing.assert_close(found[:count].mean(0), R, atol=0.05, rtol=0)
    share = data_share(single, v, probes=2)
    assert 0 <= float(share.min()) <= float(share.max()) <= 1


def test_the_prior_is_surprised_by_other_images_only() -> None:
    side, count = 16, 40
    axis = torch.arange(side, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).flatten(0, 1)
    covariance = 0.25 * torch.exp(-2 * torch.cdist(points, points)).float()
    law = GaussianPrior(torch.full((1, side, side), 1.0), covariance)
    z = torch.randn(count, side * side, generator=torch.Generator().manual_seed(0))
    images = 1 + (z @ torch.linalg.cholesky(covariance).T).view(count, side, side)
    everything = Problem(images, Inpainting(torch.ones(side, side, dtype=torch.bool)), Gaussian(0.1))
    posed = Posed(everything, law, images)
    own = surprise(posed, images).median(0).values
    torch.testing.assert_close(own, torch.ones(3), atol=0.15, rtol=0)
    brighter, noisier = surprise(posed, images + 1.0), surprise(posed, images + 1.0 * z.view_as(images))
    assert float(brighter.median(0).values[2]) > 2
    assert float(noisier.median(0).values[1]) > 1.5
    assert (
        float(surprise(posed, torch.ones_like(images)).median(0).values[2]) < 0.8
    )  # smooth: a posterior mean


def of(found: list[dict[str, float]]) -> Family:
    """A family of patients of a slice each."""
    return Family({}, "exact", {str(k): [one] for k, one in enumerate(found)})


@pytest.fixture(scope="module")
def reference() -> Family:
    return of(figures(scan(20, 10), TRUE, Gaussian(SIGMA)))


def figures(y: torch.Tensor, operator: Radon, noise: Gaussian) -> list[dict[str, float]]:
    problem = Problem(y, operator, noise)
    law = prior()
    return [
        one.figures for one in measure(problem, posterior(problem, law, 4), law, stated=False, split=False)
    ]


def flagged(family: Family, found: list[dict[str, float]]) -> float:
    usual = usual_of([family], [family]).ranges
    return float(np.mean([any(f.flagged for f in findings(one, {}, usual, 0)) for one in found]))


def test_faults_are_flagged_and_sound_scans_at_the_rate_that_was_set(reference) -> None:
    noise = Gaussian(SIGMA)
    assert (
        flagged(reference, figures(scan(20, 20), TRUE, noise)) <= 0.25
    )  # 10 % of 20 and twice its deviation
    assert flagged(reference, figures(scan(5, 30), TRUE, Gaussian(SIGMA / 2))) == 1
    assert flagged(reference, figures(scan(5, 31), TRUE, Gaussian(2 * SIGMA))) == 1
    assert flagged(reference, figures(scan(5, 32), TURNED, noise)) == 1
    assert flagged(reference, figures(scan(5, 33, prior(4.0)), TRUE, noise)) == 1


def test_a_flag_says_what_is_usual_in_the_unit_of_what_it_saw() -> None:
    (part,) = findings({"unseen": 0.651}, {}, {"unseen": (0.0, 0.491)}, 3)
    assert "missed by 65.10% of their size (usual: up to 49.10%)" in part.said
    (number,) = findings({"fit": 2.0}, {}, {"fit": (0.32, 1.3)}, 3)
    assert "is 2 times what the noise leaves (usual: 0.32 to 1.3)" in number.said


def test_samples_in_two_groups_are_found_with_their_place() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 1, (8, 48, 48)).astype(np.float32)
    one = groups(samples)
    assert one is None or one.separation < 1.2
    samples[:5, 20:32, 8:20] += 4
    two = groups(samples)
    assert two is not None and two.separation > 2 and sorted(two.sizes) == [3, 5]
    assert abs(two.row - 26) <= 8 and abs(two.column - 14) <= 8
    assert groups(samples[:3]) is None


def disc() -> torch.Tensor:
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    return torch.from_numpy(((x - 0.2) ** 2 + (y + 0.1) ** 2 < 0.3).astype(np.float32))[None]


def test_moments_find_the_axis_and_turned_views() -> None:
    grid = Grid((64, 64), 1.0)
    beam = ParallelBeam.covering(grid, 40)
    p = Radon(beam, grid)(disc())[0].numpy()
    sound = moments(p, beam)
    assert sound is not None and abs(sound.centre) < 0.05 and sound.sway < 0.1 and sound.mass < 0.01
    off = moments(p, replace(beam, offset=beam.offset + 1.5))
    assert off is not None and off.centre == pytest.approx(sound.centre - 1.5, abs=1e-6)
    turned = np.asarray(beam.angles) + np.where(np.arange(40) % 2, 0.1, 0)
    swayed = moments(p, replace(beam, angles=tuple(turned)))
    assert swayed is not None and swayed.sway > 4 * sound.sway
    valid = np.ones(p.shape, bool)
    valid[3, 4] = False
    assert moments(p, beam, valid) is None
    assert moments(p[:, 30:-30], ParallelBeam(beam.angles, p.shape[1] - 60, beam.spacing)) is None


def test_what_is_held_out_and_how_far_it_is_missed() -> None:
    assert held_out_views(7) is None
    views = held_out_views(23)
    assert views is not None and views.sum() == 3
    mask = np.zeros((16, 32), bool)
    mask[:, ::2] = mask[:, 13:19] = True
    held = held_out_samples(mask)
    assert held is not None and held.any() and not (held & ~mask).any() and not held[:, 13:19].any()
    assert (held == held[:1]).all()
    assert held_out_samples(np.zeros((8, 8), bool)) is None
    x = drawn(prior(), 2, 0)
    problem = Problem(TRUE(x), TRUE)
    some = torch.tensor([True, False] * 9)[:, None]
    assert missed(problem, 1.1 * x, some) == pytest.approx([0.1, 0.1], rel=1e-4)


def test_the_mask_and_the_data_contradict_each_other() -> None:
    mask = np.zeros((8, 10), bool)
    mask[:, ::2] = True
    data = np.ones((2, 8, 10), np.complex64) * mask
    assert contradictions(data, mask) == 0
    assert contradictions(data, np.roll(mask, 1, 1)) == 1
    assert contradictions(data, None) == 0.5


def test_the_threshold_is_the_conformal_quantile_of_the_patients_scores() -> None:
    found = [{"fit": 0.5 + 0.1 * k} for k in range(30)]
    z, rate, n = threshold([of(found)])
    assert (rate, n) == (0.1, 30)
    each = [max(scores([one], [other for other in found if other is not one])) for one in found]
    assert z == sorted(each)[27]  # ceil(.9 * 31) = 28th
    assert threshold([of(found[:5])])[1] == pytest.approx(1 / 6)
    assert math.isnan(threshold([of(found[:3])])[1])


def test_another_methods_family_says_what_is_usual_of_the_data_only() -> None:
    family = of([{"fit": 1.0 + 0.01 * k, "noise": 1.0, "unseen": 0.1 + 0.01 * k} for k in range(10)])
    assert set(usual_of([family], [family]).ranges) == {"fit", "noise", "unseen"}
    assert set(usual_of([family], [family], like=False).ranges) == {"noise", "unseen"}
