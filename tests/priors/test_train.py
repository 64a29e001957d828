"""The training loop: resumed runs equal uninterrupted ones, and it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scanprior.priors.checkpoint import write_tensors
from scanprior.priors.nets.build import build
from scanprior.priors.published import PublishedPrior, noise_law
from scanprior.priors.score import NetworkPrior
from scanprior.priors.train import TrainConfig, Trainer, begin_with, denoising_psnr


def batches(step: int) -> torch.Tensor:
    """Piecewise constant images: far from the white noise that a denoiser removes."""
    g = torch.Generator().manual_seed(step)
    return torch.nn.functional.interpolate(torch.randn(2, 1, 4, 4, generator=g), scale_factor=4) * 0.5


def trainer(folder: Path, steps: int = 8, base: int = 8) -> Trainer:
    torch.manual_seed(0)
    prior = NetworkPrior(build({"name": "unet", "base": base, "multipliers": [1, 2], "stem": 2}), 1, 0.5)
    return Trainer(
        prior,
        batches,
        TrainConfig(steps=steps, warmup=2, learning_rate=2e-3),
        folder / "checkpoint.safetensors",
    )


def test_a_resumed_run_gives_the_losses_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = trainer(tmp_path)
    expected = [state.loss for state in whole]
    first = trainer(tmp_path)
    losses = []
    for state in first:
        losses.append(state.loss)
        if state.step == 3:
            first.save()
            break
    second = trainer(tmp_path)
    second.load()
    losses += [state.loss for state in second]
    assert losses == expected
    for name, value in whole.ema.items():
        assert torch.equal(value, second.ema[name]), name


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path).save()
    with pytest.raises(ValueError, match="another network"):
        trainer(tmp_path, base=16).load()


@pytest.mark.parametrize("more", [{"position": True}, {"attention": 2}, {"position": True, "attention": 2}])
def test_a_network_with_more_begins_as_the_one_it_starts_from(tmp_path: Path, more: dict) -> None:
    run = trainer(tmp_path)
    for _ in run:
        pass
    prior = NetworkPrior(build({"name": "unet", "base": 8, "multipliers": [1, 2], "stem": 2, **more}), 1, 0.5)
    begin_with(prior, run.prior.state_dict())
    x, sigma = torch.randn(2, 1, 12, 20), torch.tensor([0.1, 2.0])
    torch.testing.assert_close(prior.denoise(x, sigma), run.prior.denoise(x, sigma), rtol=1e-4, atol=1e-5)
    (prior.denoise(x, sigma) - x).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in prior.parameters())


def test_another_network_to_start_from_is_refused(tmp_path: Path) -> None:
    small = trainer(tmp_path).prior
    with pytest.raises(ValueError, match=r"network\.\S+ is \(8,.* there, \(16,"):
        begin_with(trainer(tmp_path, base=16).prior, small.state_dict())
    deep = NetworkPrior(build({"name": "unet", "base": 8, "multipliers": [1, 2], "blocks": 2}), 1, 0.5)
    with pytest.raises(ValueError, match=r"differ in network\.down\.0\.1\S+ and \d+ more"):
        begin_with(deep, small.state_dict())
    with pytest.raises(ValueError, match="differ in"):
        begin_with(small, deep.state_dict())


def test_saving_leaves_the_old_checkpoint_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(tmp_path)
    run.save()
    before = run.checkpoint.read_bytes()
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    next(iter(run))
    with pytest.raises(OSError, match="disk full"):
        run.save()
    assert run.checkpoint.read_bytes() == before


def test_training_beats_the_best_linear_denoiser(tmp_path: Path) -> None:
    """On piecewise constant images a network must do better than white-noise shrinkage, which is where it starts."""
    run = trainer(tmp_path, steps=160)
    images = batches(10_000)
    before = denoising_psnr(run.prior, images, (0.5,))[0.5]
    for _ in run:
        pass
    run.prior.load_state_dict(run.ema)
    after = denoising_psnr(run.prior.eval(), images, (0.5,))[0.5]
    assert after > before + 2


def test_learning_rate_warms_up_and_decays_to_zero() -> None:
    config = TrainConfig(steps=1000, warmup=100, decay=0.5, learning_rate=1.0)
    assert config.learning_rate_at(0) == pytest.approx(0.01)
    assert config.learning_rate_at(300) == 1.0
    assert config.learning_rate_at(750) == pytest.approx(0.5)
    assert config.learning_rate_at(999) == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("kind", "weighting"), [("ve", "noise"), ("vp", "likelihood"), ("discrete", "noise")]
)
def test_a_published_network_learns_under_its_own_law(tmp_path: Path, kind: str, weighting: str) -> None:
    torch.manual_seed(0)
    network = build(
        {"name": "ncsnpp", "channels": 1, "base": 8, "multipliers": [1], "blocks": 1, "attention": []}
    )
    prior = PublishedPrior(network, 1, noise_law({"kind": kind}))
    config = TrainConfig(steps=30, warmup=2, learning_rate=3e-3, weighting=weighting)
    run = Trainer(prior, batches, config, tmp_path / "checkpoint.safetensors", autocast=False)
    losses = [state.loss for state in run]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_a_weighting_without_a_law_and_an_unknown_one_are_refused(tmp_path: Path) -> None:
    prior = trainer(tmp_path).prior
    for weighting, message in (("noise", r"\[network\]"), ("snr", "expected edm, noise or likelihood")):
        with pytest.raises(ValueError, match=message):
            Trainer(prior, batches, TrainConfig(weighting=weighting), tmp_path / "checkpoint.safetensors")


def test_others_may_read_a_prior_as_any_other_new_file(tmp_path):
    write_tensors(tmp_path / "prior.safetensors", {"w": torch.zeros(2)}, {})
    (tmp_path / "new").touch()
    assert (tmp_path / "prior.safetensors").stat().st_mode == (tmp_path / "new").stat().st_mode
