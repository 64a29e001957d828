"""Training presets: typed, and refused with what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from scanprior.errors import UsageError
from scanprior.workflows.training_preset import PRESETS, read_preset
from toy_training import COARSE, CT, changed


def test_a_preset_is_typed_and_its_coarse_ones_with_it(tmp_path: Path) -> None:
    own = COARSE.replace("[coarse]", "[coarse.coarse]").replace("1.5", "3.0")
    (tmp_path / "mine.toml").write_text(changed(CT, size="[16, 8]") + COARSE + own)
    preset = read_preset(tmp_path / "mine.toml")
    assert (preset.name, preset.card.modality, preset.card.window) == ("mine", "CT", (-1024.0, 3071.0))
    assert (preset.crops.sizes, preset.crops.batch, preset.crops.augmentation.gain) == ((16, 8), 2, 0.02)
    assert (preset.training.steps, preset.training.learning_rate, preset.training.ema) == (12, 2e-3, 0.999)
    assert preset.coarse is not None and (preset.coarse.factor, preset.coarse.above) == (2, 1.5)
    small = preset.coarse.preset
    assert (small.name, small.crops.sizes, small.training.p_mean) == ("mine-coarse", (12,), 0.5)
    assert small.coarse is not None and small.coarse.above == 3.0 and small.coarse.preset.coarse is None
    other = preset.with_steps(3)
    assert other.coarse is not None and other.coarse.preset.coarse is not None
    assert [p.training.steps for p in (other, other.coarse.preset, other.coarse.preset.coarse.preset)] == [
        3
    ] * 3
    assert preset.training.steps == 12 and read_preset(preset) is preset


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_shipped_ones_are_read_by_name(path: Path) -> None:
    preset = read_preset(path.stem)
    assert preset.name == path.stem and preset.training.steps >= 20_000 and preset.tables["name"] == path.stem


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("warmup = 4", "warm_up = 4", "[training]: got 'warm_up'"),
        ("warmup = 4", "warm_up = 4", "did you mean 'warmup'?"),
        ("gain = 0.02\n[training]", "gian = 0.02\n[training]", "did you mean 'gain'?"),
        ("[crops]", "[corps]", "lacks its [crops] table"),
        ("[training]", "[extra]\na = 1\n[training]", "the preset: got '[extra]'"),
        ("steps = 12", "steps = 1e5", "[training]: got steps = 100000.0, expected int"),
        ("steps = 12", 'steps = "many"', "got steps = 'many', expected int"),
        ("size = 16", "size = [16, 0]", "got size = [16, 0], expected whole numbers above zero"),
        ("batch = 2\ngain", "batch = true\ngain", "got batch = True"),
        ("size = 16\n", "", "[crops] lacks size"),
        ("above = 1.5", "above = 1.5\nfaktor = 2", "[coarse]: got 'faktor'"),
        ('modality = "CT"', 'modality = "PET"', "modality"),
        ("[prior]", "[prior", "tiny.toml: "),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path, right: str, wrong: str, words: str) -> None:
    assert right in CT + COARSE
    (tmp_path / "tiny.toml").write_text((CT + COARSE).replace(right, wrong, 1))
    with pytest.raises(UsageError) as raised:
        read_preset(tmp_path / "tiny.toml")
    assert words in str(raised.value) and "\n" not in str(raised.value)
    assert str(tmp_path / "tiny.toml") in str(raised.value)


def test_a_name_that_is_none_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"got 'ct-265'.*did you mean 'ct-256'\?"):
        read_preset("ct-265")
