"""Every posterior method against the exact posterior of a Gaussian prior: mean and covariance, held to the figures of
docs/lab/2026-11-27-known-answers.md, which `benchmarks/known_answer.py` measures; and what all methods promise: one law
of noise is as good as another, an image does not depend on its batch, the network is evaluated as often as the paper
says."""

from __future__ import annotations

import dataclasses

import known_answer as known
import pytest
import torch
from scanprior.operators.pixel import Inpainting
from scanprior.priors.sampling.loop import ItemNoise
from scanprior.priors.sde import VE, VP, SubVP
from scanprior.recon.methods import METHODS, method_of
from scanprior.recon.posterior.ald import ALD
from scanprior.recon.posterior.auto import Auto
from scanprior.recon.posterior.ddrm import DDRM
from scanprior.recon.posterior.descent import START, Descent, noise_levels
from scanprior.recon.posterior.diffpir import DiffPIR
from scanprior.recon.posterior.dps import DPS
from scanprior.recon.posterior.draws import Draws
from scanprior.recon.posterior.mmps import MMPS
from scanprior.recon.posterior.pigdm import PiGDM
from scanprior.recon.posterior.posed import Posed
from scanprior.recon.posterior.score_sde import ScoreSDE
from scanprior.recon.posterior.ula import ULA
from scanprior.recon.problem import Problem

# NFE of 3 steps with default settings, as the paper counts, where it is not 3
NFE = {"score-sde": 6, "projection": 6, "ald": 3 * 4 + 1, "pnpdm": 3 * 10, "daps": 3 * 5, "ula": 3 * 4 + 1}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("case", ["even", "complex"])
def test_a_sample_depends_neither_on_its_batch_nor_on_its_neighbours(name: str, case: str) -> None:
    """Item 1 is 30 times as bright, so that a norm over the batch would show."""
    method = method_of(name, "steps=3")
    plain, prior = known.cases()[case].problem, known.cases()[case].prior
    bright = torch.tensor([1.0, 30.0]).view(-1, *[1] * (plain.y.ndim - 1))
    problem = dataclasses.replace(plain, y=plain.y * bright)
    together = method(problem, prior, samples=2, batch=4).samples
    first = method(problem.items(slice(0, 1)), prior, samples=2, batch=1).samples
    torch.testing.assert_close(together[:1], first, rtol=1e-3, atol=2e-4)
    assert together[0].isfinite().all()
    assert not torch.allclose(together[:, 0], together[:, 1])


@pytest.mark.parametrize("name", METHODS)
def test_network_evaluations_are_as_many_as_a_method_says(name: str) -> None:
    method, case = method_of(name, "steps=3"), known.cases()["even"]
    seen: list[tuple[int, int]] = []
    out = method(case.problem, case.prior, 1, batch=2, callback=lambda *now: seen.append(now))
    assert out.nfe == method.nfe
    assert seen == [(k + 1, 3) for k in range(3)]
    assert out.provenance["steps"] == 3


@pytest.mark.parametrize("name", NFE)
def test_network_evaluations_are_the_papers(name: str) -> None:
    assert method_of(name, "steps=3").nfe == NFE[name]


class Remembering:
    """A prior that knows nothing, but remembers the levels it is asked at."""

    channels, intensity = 1, None

    def __init__(self) -> None:
        self.levels: list[torch.Tensor] = []

    def denoise(self, x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
        self.levels.append(torch.as_tensor(sigma))
        return x


@pytest.mark.parametrize("is_complex", [False, True])
def test_auto_begins_higher_with_few_measurements_of_real_images(is_complex: bool) -> None:
    """Each item by its own number: a sixteenth of the pixels known, twice the level; all of them, the level itself."""
    mask = torch.ones(2, 16, 16, dtype=torch.bool)
    mask[1] = torch.arange(256).view(16, 16) % 16 == 0
    prior = Remembering()
    prior.channels = 2 if is_complex else 1
    operator = Inpainting(mask, is_complex=is_complex)
    problem = Problem(operator(torch.rand(2, 16, 16) + (0j if is_complex else 0)), operator)
    posed = Posed(problem, prior, problem.y)
    list(Auto(steps=3, sigma_start=0.4).trajectory(posed, ItemNoise([0, 1])))
    assert prior.levels[0].tolist() == pytest.approx([0.4, 0.4 if is_complex else 0.8])
    assert prior.levels[-1].tolist() == pytest.approx([0.005 if is_complex else 0.01] * 2)


class Start(Descent):
    """Where a descent begins, and nothing else."""

    def step(self, posed, x, s, s_next, noise):
        return x, x


def test_descents_begin_at_a_data_step() -> None:
    """(AᴴWA + 1 / START²) u = AᴴWy + x / START² from whatever reconstruction x they are given, plus the first noise."""
    problem, prior = known.cases()["uneven"].problem, known.cases()["uneven"].prior
    posed = Posed(problem, prior, torch.full((2, 4, 4), 0.5))
    begun = next(Start(steps=1, sigma_max=50.0, sigma_min=1.0).trajectory(posed, ItemNoise([0, 1])))
    u = begun - 50 * ItemNoise([0, 1]).like(begun)
    wanted = posed.AHy + posed.initial / START**2
    left, before = (posed.AHA(x) + x / START**2 - wanted for x in (u, posed.initial))
    assert float(left.abs().max()) < 0.05 * float(before.abs().max())


@pytest.mark.parametrize("sde", [VE(0.01, 50.0), VP(), SubVP()], ids=["VE", "VP", "subVP"])
def test_the_law_of_noise_only_chooses_the_levels(sde) -> None:
    levels = noise_levels(12, 20.0, 0.02, sde)
    assert levels[0] == pytest.approx(20.0, rel=1e-3)
    assert levels[-1] == pytest.approx(0.02, rel=1e-3)
    assert levels == sorted(levels, reverse=True)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: DPS(zeta=0.0),
        lambda: DDRM(eta=1.5),
        lambda: PiGDM(steps=0),
        lambda: DiffPIR(lambda_=-1.0),
        lambda: ULA(tau=2.0),
        lambda: MMPS(sigma_min=30.0),
        lambda: ScoreSDE(snr=-1.0),
        lambda: ALD(gamma=0.5),
        lambda: Auto(sigma_start=0.005),
        lambda: Draws(width=0.0),
        lambda: Draws(sigma_start=0.001),
    ],
)
def test_settings_that_make_no_sense_are_refused(bad) -> None:
    with pytest.raises(ValueError, match="expected"):
        bad()
