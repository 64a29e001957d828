"""`scanprior train` with a preset that has a coarse prior: two networks, one prior, resumed exactly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from scanprior.cli.main import main
from scanprior.pretrained.load import load
from scanprior.priors.crops import Crops
from scanprior.priors.subspace import SubspacePrior, averaged
from scanprior.workflows import train as training
from scanprior.workflows.training_preset import PRESETS, read_preset
from toy_training import COARSE
from toy_training import CT as PRESET

from .test_train import files, losses, one_thread, run, same, undrawn  # noqa: F401 (fixtures)


@pytest.fixture
def both(files) -> dict[str, Path]:  # noqa: F811
    files["preset"].write_text(PRESET + COARSE)
    return files


def test_one_run_trains_both_and_ships_one_prior(both) -> None:
    folder = run(both, validation=[both["other"]])
    assert sorted(losses(folder / "coarse")) == list(range(1, 8))
    assert sorted(losses(folder)) == list(range(1, 13))
    prior, card = load(folder)
    assert isinstance(prior, SubspacePrior)
    assert (prior.factor, prior.above) == (2, 1.5)
    assert card.training["coarse"]["finished_steps"] == 7
    small, its_card = load(folder / "coarse")
    assert (its_card.name, its_card.matrix, its_card.pixel_mm) == ("tiny-coarse", (12, 12), (2.0, 3.0))
    x = torch.randn(2, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    expected = small.denoise(torch.nn.functional.avg_pool2d(x, 2), 2.0)
    torch.testing.assert_close(prior.coarse.denoise(torch.nn.functional.avg_pool2d(x, 2), 2.0), expected)
    assert prior.denoise(x, 4.0).shape == x.shape
    ema = load_file(folder / "checkpoint.safetensors")
    assert all(name.split(".")[1] == "network" for name in ema if name.startswith("ema."))


def test_a_run_killed_between_the_two_goes_on(both, undrawn, tmp_path: Path, monkeypatch, capsys) -> None:  # noqa: F811
    whole, loop = run(both, tmp_path / "whole"), training.loop

    def kill(trainer, keeping) -> None:
        if keeping.output == both["run"]:
            raise KeyboardInterrupt
        loop(trainer, keeping)

    with monkeypatch.context() as now, pytest.raises(SystemExit):
        now.setattr(training, "loop", kill)
        run(both)
    assert not (both["run"] / "prior.safetensors").exists()
    capsys.readouterr()
    same(whole, run(both))
    err = capsys.readouterr().err
    assert f"{both['run'] / 'coarse'}: all 7 steps are done" in err
    assert "training run 12/12" in err and "nan" not in err
    same(whole / "coarse", both["run"] / "coarse")


def test_a_coarse_prior_may_have_a_coarser_one(both, undrawn, tmp_path: Path) -> None:  # noqa: F811
    own = COARSE.replace("[coarse]", "[coarse.coarse]").replace("size = 12", "size = 6").replace("1.5", "3.0")
    both["preset"].write_text(PRESET + COARSE + own)
    folder = run(both, tmp_path / "first", steps=4)
    prior, card = load(folder)
    middle, _ = load(folder / "coarse")
    assert isinstance(prior, SubspacePrior) and isinstance(middle, SubspacePrior)
    coarsest, its_card = load(folder / "coarse" / "coarse")
    assert (its_card.name, its_card.matrix) == ("tiny-coarse-coarse", (6, 6))
    assert its_card.pixel_mm == (4.0, 6.0)
    assert card.training["coarse"]["coarse"]["finished_steps"] == 4
    z = torch.randn(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    small = torch.nn.functional.avg_pool2d(8 * z, 2)
    smaller = torch.nn.functional.avg_pool2d(small, 2)
    torch.testing.assert_close(prior.coarse.denoise(small, 4.0), middle.denoise(small, 4.0))
    torch.testing.assert_close(middle.coarse.denoise(smaller, 2.0), coarsest.denoise(smaller, 2.0))
    second = run(both, steps=1, start_from=str(folder))
    for part in (".", "coarse", "coarse/coarse"):
        assert losses(second / part)[1] < losses(folder / part)[1]


def test_both_start_from_both(both, undrawn, tmp_path: Path) -> None:  # noqa: F811
    first = run(both, tmp_path / "first", steps=4)
    second = run(both, tmp_path / "second", steps=1, start_from=str(first))
    for part in (".", "coarse"):
        assert losses(second / part)[1] < losses(first / part)[1]


def test_a_begun_run_goes_on_without_the_prior_it_started_from(both, undrawn, tmp_path: Path) -> None:  # noqa: F811
    first = run(both, tmp_path / "first", steps=2)
    run(both, steps=2, start_from=str(first))
    shutil.rmtree(first)
    resumed = run(both, start_from=str(first))
    assert (max(losses(resumed / "coarse")), max(losses(resumed))) == (7, 12)


def test_a_prior_of_another_network_is_refused_before_any_training(both, undrawn, tmp_path: Path) -> None:  # noqa: F811
    other = (PRESET + COARSE).replace("base = 8\nmultipliers", "base = 16\nmultipliers")
    (tmp_path / "other.toml").write_text(other)
    first = run(both, tmp_path / "first", steps=1, preset=tmp_path / "other.toml")
    with pytest.raises(ValueError, match="another network"):
        run(both, start_from=str(first))
    assert not both["run"].exists()


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("above = 1.5\n", "", "[coarse] lacks above"),
        ("factor = 2", "factor = 1", "factor = 1 and above = 1.5, expected a whole number"),
        ("above = 1.5", "above = 0", "above = 0, expected"),
    ],
)
def test_a_coarse_table_that_makes_no_sense_is_refused(both, capsys, right, wrong, words) -> None:
    both["preset"].write_text(PRESET + COARSE.replace(right, wrong))
    with pytest.raises(SystemExit) as left:
        main(["train", "--data", str(both["data"]), "--preset", str(both["preset"]), "-o", str(both["run"])])
    assert left.value.code == 2
    assert words in capsys.readouterr().err
    assert not both["run"].exists()


def test_a_card_with_half_a_coarse_prior_is_refused(both, undrawn) -> None:  # noqa: F811
    _, card = load(run(both, steps=1))
    for key in ("factor", "above"):
        network = json.loads(json.dumps(card.network))
        del network["coarse"][key]
        with pytest.raises(ValueError, match=rf"network\.coarse: got .*{key} = None"):
            training.store.from_card(training.replace(card, network=network))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(p.stem, marks=[pytest.mark.slow] if "large" in p.stem else [])
        for p in sorted(PRESETS.glob("*-256*.toml"))
    ],
)
def test_the_shipped_coarse_presets_train(name: str, tmp_path: Path) -> None:
    preset, factor = read_preset(name), 1
    while coarse := preset.coarse:
        preset, factor = coarse.preset, factor * coarse.factor
        card = training.card_of(preset)
        settings = {"size": preset.crops.size, "batch": 1, "augmentation": preset.crops.augmentation}
        image = averaged([torch.rand(256, 256).numpy()], factor)
        crops = Crops(image, ["p"], channels=card.channels, position=True, **settings)
        own = tmp_path / f"{factor}.safetensors"
        trainer = training.Trainer(training.store.from_card(card), crops, preset.training, own)
        loss = next(iter(trainer)).loss
        assert 0 < loss < 10
    assert factor == 4
