"""Classifier guidance: exact on a mixture whose classes are known, near it with a trained classifier."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from scanprior.operators.noise import Gaussian
from scanprior.operators.pixel import Inpainting
from scanprior.priors.analytic import GaussianPrior, MixturePrior
from scanprior.priors.classifier import ClassifierCard, NoiseClassifier, load, save, train
from scanprior.priors.sampling.guidance import Guided
from scanprior.priors.sampling.loop import ItemNoise, sample_images
from scanprior.priors.sampling.ode import Heun, decode
from scanprior.priors.score import per_item, score
from scanprior.priors.sde import SDE, VE, VP, SubVP
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.problem import Problem
from torch import Tensor

SIDE = 4
STD = 0.5
MEANS = 0.3 * torch.stack([torch.ones(1, SIDE, SIDE), -torch.ones(1, SIDE, SIDE)])  # 4.8 STD apart
WEIGHTS = torch.tensor([0.7, 0.3])
CLASSES = ("bright", "dark")


class Exact:
    """p(c | x, sigma) of the mixture, by Bayes' rule."""

    classes = CLASSES

    def log_probabilities(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        variance = STD**2 + per_item(sigma, x).flatten() ** 2  # (B,)
        distance = torch.stack([(x - mean.to(x)).flatten(1).square().sum(1) for mean in MEANS], 1)
        return torch.log_softmax(WEIGHTS.to(x).log() - distance / (2 * variance[:, None]), 1)


def mixture() -> MixturePrior:
    return MixturePrior(WEIGHTS, MEANS, torch.tensor([STD, STD]))


def side_of(x: Tensor) -> Tensor:
    """Which mean an image is nearest to: 0 or 1."""
    return (x.flatten(1).mean(1) < 0).long()


@pytest.mark.parametrize("sde", [VE(0.01, 20.0), VP(), SubVP()], ids=["VE", "VP", "subVP"])
@pytest.mark.parametrize("name", CLASSES)
def test_the_guided_score_is_the_score_of_the_class(sde: SDE, name: str) -> None:
    g = torch.Generator().manual_seed(0)
    t = torch.tensor([0.05, 0.3, 0.6, 0.95], dtype=torch.float64)
    x = torch.randn(4, 1, SIDE, SIDE, generator=g, dtype=torch.float64)
    alpha, sigma = (per_item(v, x) for v in (sde.alpha(t), sde.sigma(t)))
    x = x * (alpha**2 * STD**2 + sigma**2).sqrt()
    got = score(Guided(mixture(), Exact(), name), x, t, sde)
    m = MEANS[CLASSES.index(name)].double()
    expected = (alpha * m - x) / (alpha**2 * STD**2 + sigma**2)
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("strength", [0.0, 2.5])
def test_strength_multiplies_the_gradient(strength: float) -> None:
    x = torch.randn(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    plain = mixture().denoise(x, 0.8)
    once = Guided(mixture(), Exact(), "dark").denoise(x, 0.8)
    got = Guided(mixture(), Exact(), "dark", strength).denoise(x, 0.8)
    torch.testing.assert_close(got, plain + strength * (once - plain))
    assert not torch.allclose(once, plain)


def test_samples_are_of_the_class_with_its_moments() -> None:
    """Two samplers that know nothing of guidance; the class drawn is the rarer one."""
    dark = Guided(mixture(), Exact(), "dark")
    flow = decode(dark, ItemNoise(range(400)).like(torch.zeros(400, 1, SIDE, SIDE)), VE(0.01, 20.0), Heun(20))
    for x in (sample_images(dark, (SIDE, SIDE), range(400), steps=40), flow.x):
        assert float(side_of(x).float().mean()) > 0.97  # the class's own share: Phi(2.4) = 0.992
        torch.testing.assert_close(x.mean(0), MEANS[1], atol=0.1, rtol=0)
        assert float(x.std(0).mean()) == pytest.approx(STD, rel=0.1)
    everything = sample_images(mixture(), (SIDE, SIDE), range(400), steps=40)
    assert 0.2 < float(side_of(everything).float().mean()) < 0.4


def test_a_posterior_method_takes_a_guided_prior() -> None:
    """Inpainting within a class: what the class's own Gaussian prior gives, sample by sample."""
    known = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(2)) < 0.2
    A, noise = Inpainting(known), Gaussian(0.1)
    problem = Problem(noise.sample(A(MEANS[1]), torch.Generator().manual_seed(0)), A, noise)
    gaussian = GaussianPrior(MEANS[1], STD**2 * torch.eye(SIDE**2))
    method = DDS(steps=20, warm_start=False)
    got = method(problem, Guided(mixture(), Exact(), "dark"), samples=4)
    torch.testing.assert_close(
        got.samples, method(problem, gaussian, samples=4).samples, rtol=1e-3, atol=1e-3
    )


def test_the_guided_denoiser_is_differentiable() -> None:
    """Likelihood and DPS ask for the gradient of D_c: in the exact case D_c is linear, its Jacobian a number."""
    dark = Guided(mixture(), Exact(), "dark")
    x = torch.randn(2, 1, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    v = torch.randn(2, 1, SIDE, SIDE, dtype=torch.float64)
    (got,) = torch.autograd.grad((dark.denoise(x, 0.7) * v).sum(), x)
    torch.testing.assert_close(got, STD**2 / (STD**2 + 0.7**2) * v, rtol=1e-6, atol=1e-6)
    assert not dark.denoise(x.detach(), 0.7).requires_grad


CARD = ClassifierCard(
    CLASSES,
    sigma_data=STD,
    network={"base": 8, "multipliers": [1, 2], "stem": 2, "embedding": 16},
    modality="CT",
)


def labelled(step: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(step)
    labels = torch.multinomial(WEIGHTS, 64, replacement=True, generator=g)
    return MEANS[labels] + STD * torch.randn(64, 1, SIDE, SIDE, generator=g), labels


@pytest.fixture(scope="module")
def trained() -> NoiseClassifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        classifier = NoiseClassifier(CARD)
    losses = train(classifier, labelled, steps=300, learning_rate=3e-3)
    assert sum(losses[-50:]) < 2.5 * sum(losses[:10])
    return classifier


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0, 10.0])
def test_a_trained_classifier_is_near_the_exact_one(trained: NoiseClassifier, sigma: float) -> None:
    g = torch.Generator().manual_seed(7)
    x = torch.cat([labelled(step)[0] for step in range(10_000, 10_004)])
    x = x + sigma * torch.randn(x.shape, generator=g)
    got, exact = (c.log_probabilities(x, sigma).detach().exp() for c in (trained, Exact()))
    torch.testing.assert_close(got.sum(1), torch.ones(len(x)))
    assert float((got - exact).abs().mean()) < 0.05


def test_a_trained_classifier_guides(trained: NoiseClassifier, tmp_path: Path) -> None:
    save(tmp_path / "c.safetensors", trained)
    loaded = load(tmp_path / "c.safetensors")
    assert loaded.card == ClassifierCard(**{**vars(CARD), "training": {}})
    for name, share in (("dark", 1.0), ("bright", 0.0)):
        x = sample_images(Guided(mixture(), loaded, name), (SIDE, SIDE), range(100), steps=30)
        assert float(side_of(x).float().mean()) == pytest.approx(share, abs=0.05)
    x = torch.randn(3, 1, 7, 10, generator=torch.Generator().manual_seed(0))  # its stride divides neither
    for k in range(3):
        torch.testing.assert_close(loaded(x, 0.5)[k : k + 1], loaded(x[k : k + 1], 0.5))
        torch.testing.assert_close(trained(x, 0.5), loaded(x, 0.5))


def test_what_cannot_be_is_refused(trained: NoiseClassifier, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'grey', the classifier knows bright, dark"):
        Guided(mixture(), Exact(), "grey")
    with pytest.raises(ValueError, match="has 1 channel"):
        trained.log_probabilities(torch.zeros(1, 2, SIDE, SIDE), 1.0)
    with pytest.raises(ValueError, match="two or more different names"):
        ClassifierCard(("one", "one"))
    with pytest.raises(ValueError, match="no entry depth"):
        ClassifierCard(CLASSES, network={"depth": 3})
    with pytest.raises(FileNotFoundError, match="no such file"):
        load(tmp_path / "gone.safetensors")
    (tmp_path / "text.safetensors").write_text("no")
    with pytest.raises(ValueError, match="not a safetensors file"):
        load(tmp_path / "text.safetensors")
    weights = {"a": torch.zeros(2)}
    headers = {
        "prior": ("card", "{}", "holds no classifier"),
        "broken": ("classifier", "[1]", "not a classifier's"),
    }
    headers["other"] = ("classifier", '{"classes": ["a", "b"]}', "not a classifier's")
    for name, (key, text, words) in headers.items():
        save_file(weights, tmp_path / f"{name}.safetensors", {key: text})
        with pytest.raises(ValueError, match=words):
            load(tmp_path / f"{name}.safetensors")
