"""`scanprior train` end to end on a toy set: run folder, card, exact resume after a kill, refusals."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scanprior.cli.main import command_of, main
from scanprior.pretrained.load import load
from scanprior.priors.crops import Crops
from scanprior.workflows import train as training
from scanprior.workflows.training_preset import PRESETS, preset_of, read_preset
from toy_training import CT as PRESET
from toy_training import PATIENTS, changed, image_set, mr

HEX = [name.encode() for name in PATIENTS]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "tiny.toml").write_text(PRESET)
    return {
        "data": image_set(tmp_path / "train.h5"),
        "other": image_set(tmp_path / "val.h5", images=3, seed=1),
        "preset": tmp_path / "tiny.toml",
        "run": tmp_path / "run",
    }


@pytest.fixture
def undrawn(monkeypatch) -> None:
    """No pictures, which take longer than everything else here."""
    monkeypatch.setattr(training, "_draw", lambda *_: None)


def run(files: dict[str, Path], output: Path | None = None, *flags: str, **changes) -> Path:
    """`scanprior train` on the toy set, with other options; errors are raised."""
    output = output or files["run"]
    options = {"data": files["data"], "output": output, "preset": files["preset"], "device": "cpu", **changes}
    arguments = [
        f"--{name.replace('_', '-')}={value}"
        for name, values in options.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    code = command_of("train").main([*arguments, *flags], standalone_mode=False)
    if code:
        raise SystemExit(code)
    return output


def losses(folder: Path) -> dict[int, float]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {entry["step"]: entry["loss"] for entry in entries if "loss" in entry}


def test_a_run_leaves_a_prior_that_loads(files) -> None:
    folder = run(files, validation=[files["other"]])
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "checkpoint.safetensors",
        "prior.safetensors",
        "config.json",
        "log.jsonl",
        "samples.png",
        "curves.png",
    }
    assert sorted(losses(folder)) == list(range(1, 13))
    prior, card = load(folder)
    assert (card.name, card.modality, card.matrix, card.pixel_mm) == ("tiny", "CT", (24, 24), (1.0, 1.5))
    assert card.training["images"] == 9
    assert card.training["patients"] == 3
    assert card.training["finished_steps"] == card.training["steps"] == 12
    assert set(card.validation["denoising_psnr"]) == {"0.02", "0.1", "0.5", "2.0"}
    assert json.loads((folder / "config.json").read_text())["training"]["learning_rate"] == 2e-3
    clean = torch.zeros(1, 1, 16, 16)
    noisy = clean + 0.05 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    denoised = prior.denoise(noisy, 0.05).detach()
    assert denoised.shape == clean.shape
    moved = (denoised - noisy).square().mean().item()
    assert moved < 0.05**2  # near the identity at low noise, as preconditioned
    ema = load_file(folder / "checkpoint.safetensors")
    for name, value in prior.state_dict().items():  # shipped weights are the averaged ones, in half precision
        assert torch.equal(value, ema[f"ema.{name}"].half().float())


def test_no_patient_is_named_anywhere(files) -> None:
    for path in run(files, steps=2).iterdir():
        content = path.read_bytes()
        assert not [name for name in HEX if name in content], path.name


def test_training_learns(files, undrawn) -> None:
    """Flat images: nearly all noise can go, and the loss says so."""
    with h5py.File(files["data"], "r+") as file:
        file["images"][...] = np.random.default_rng(0).integers(300, 2000, (9, 1, 1))
    files["preset"].write_text(changed(PRESET, batch=4, learning_rate=1e-2))
    folder = run(files, steps=80)
    history = losses(folder)
    early, late = (np.mean([history[k] for k in steps]) for steps in (range(1, 11), range(61, 81)))
    assert late < 0.8 * early, (early, late)
    prior, card = load(folder)
    flat = torch.full((4, 1, 16, 16), 0.3)
    noisy = flat + 0.5 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    errors = [
        (p.denoise(noisy, 0.5).detach() - flat).square().mean().item()
        for p in (prior, training.store.from_card(card))
    ]
    assert errors[0] < 0.85 * errors[1], errors  # trained, untrained


def test_a_complex_prior_from_magnitudes(files) -> None:
    image_set(files["data"], units="magnitude, arbitrary")
    files["preset"].write_text(mr())
    folder = run(files, steps=2)
    prior, card = load(folder)
    assert (card.modality, prior.channels) == ("MR", 2)
    assert (folder / "samples.png").is_file()


# --- resume
def test_a_resumed_run_is_the_run_that_was_never_stopped(files, undrawn, tmp_path: Path, monkeypatch) -> None:
    """Bitwise: checkpoint of 12 steps = checkpoint of a run stopped after 7 and called again."""
    whole = run(files, tmp_path / "whole")
    original = training.Trainer._one_step

    def stops(self):
        if self.step == 7:
            raise KeyboardInterrupt
        return original(self)

    monkeypatch.setattr(training.Trainer, "_one_step", stops)
    with pytest.raises(SystemExit):
        run(files, checkpoint_minutes=0.0)
    monkeypatch.setattr(training.Trainer, "_one_step", original)
    same(whole, run(files))


def test_a_killed_run_goes_on_exactly(files, undrawn, tmp_path: Path) -> None:
    """SIGKILL at an arbitrary moment, also while a checkpoint is written; then the same command again."""
    steps = 24
    whole = run(files, tmp_path / "whole", steps=steps)
    arguments = [
        "train",
        "--data",
        files["data"],
        "--validation",
        files["other"],
        "--preset",
        files["preset"],
    ]
    arguments += ["--steps", steps, "--device", "cpu", "-o", files["run"], "--checkpoint-minutes", 0]
    code = """
import sys, torch
from scanprior.cli import main
from scanprior.workflows import train as training
torch.set_num_threads(1)
training._draw = lambda *_: None
main.main(sys.argv[1:])
"""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    log = files["run"] / "log.jsonl"
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as victim:
        deadline = time.monotonic() + 300
        while not (log.is_file() and len(losses_so_far(log)) >= 5) and victim.poll() is None:
            assert time.monotonic() < deadline, "the run never began"
            time.sleep(0.005)
        victim.send_signal(signal.SIGKILL)
    assert victim.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    assert 5 <= max(losses_so_far(log)) < steps
    load(files["run"])  # what was exported last is whole
    run(files, steps=steps)
    same(whole, files["run"])


def losses_so_far(log: Path) -> list[int]:
    found = []
    for line in log.read_text().splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:  # being written
            continue
        if "loss" in entry:
            found.append(entry["step"])
    return found


def same(one: Path, other: Path) -> None:
    """Two runs ended in the same state, bit by bit, by the same losses."""
    a, b = (load_file(folder / "checkpoint.safetensors") for folder in (one, other))
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
    assert losses(one) == losses(other)
    assert (one / "prior.safetensors").read_bytes() == (other / "prior.safetensors").read_bytes()


def test_another_network_in_the_folder_is_refused(files, undrawn) -> None:
    run(files, steps=2)
    files["preset"].write_text(changed(PRESET, base=16))
    with pytest.raises(ValueError, match="another network"):
        run(files)


def test_weights_of_another_prior_to_start_from(files, undrawn, tmp_path: Path) -> None:
    first = run(files, tmp_path / "first")
    second = run(files, tmp_path / "second", steps=1, start_from=str(first))
    assert losses(second)[1] < 0.9 * losses(first)[1]


def test_a_network_that_knows_where_it_is_learns_from_crops_of_several_sizes(files, tmp_path: Path) -> None:
    first = run(files, tmp_path / "first", steps=2)
    more = PRESET.replace("blocks = 1", "blocks = 1\nposition = true\nattention = 2").replace(
        "16", "[16, 8, 24]"
    )
    files["preset"].write_text(more)
    folder = run(files, steps=6, start_from=str(first), validation=[files["other"]])
    prior, card = load(folder)
    assert card.training["crops"]["size"] == [16, 8, 24]
    x = torch.randn(1, 1, 24, 40)
    shifted = torch.zeros(1, 2, 24, 40)
    assert not torch.equal(prior.denoise(x, 1.0), prior.denoise(x, 1.0, shifted))
    assert prior.denoise(x, 1.0).isfinite().all()
    assert (folder / "samples.png").stat().st_size > 1000


# --- refusals
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: image_set(f["data"], units="magnitude, arbitrary"), "got images in magnitude"),
        (lambda f: image_set(f["other"], units="magnitude"), "val.h5: got images in magnitude"),
        (lambda f: image_set(f["data"], units="counts"), "units 'counts'"),
        (lambda f: f["preset"].unlink(), "--preset: "),
        (lambda f: f["preset"].write_text("[prior]\n"), "lacks its [network] table"),
        (lambda f: f["preset"].write_text(PRESET.replace("base = 8", "bass = 8")), "no option bass"),
        (lambda f: f["run"].write_text("a file"), "run is a file, expected a folder"),
        (lambda f: f["data"].unlink(), "does not exist"),
    ],
)
def test_refusals_are_one_line(files, capsys, change, words: str) -> None:
    change(files)
    arguments = ["--data", files["data"], "--validation", files["other"], "--preset", files["preset"]]
    with pytest.raises(SystemExit) as left:
        main(["train", *map(str, arguments), "-o", str(files["run"])])
    err = capsys.readouterr().err
    assert left.value.code == 2
    assert words in err
    assert err.count("Error: ") == 1 and "Traceback" not in err
    assert not files["run"].is_dir() or not any(files["run"].iterdir())


def test_a_preset_with_an_unknown_setting_is_refused(files, capsys) -> None:
    for right, wrong in (("warmup = 4", "warm_up = 4"), ("gain = 0.02", "gains = 0.02")):
        files["preset"].write_text(PRESET.replace(right, wrong))
        with pytest.raises(SystemExit) as left:
            main(
                [
                    "train",
                    "--data",
                    str(files["data"]),
                    "--preset",
                    str(files["preset"]),
                    "-o",
                    str(files["run"]),
                ]
            )
        assert left.value.code == 2
        assert wrong.split()[0] in capsys.readouterr().err


BIG = ("-large", "cifar10")  # 60 to 110 M parameters


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.stem, marks=[pytest.mark.slow] if any(word in path.stem for word in BIG) else [])
        for path in sorted(PRESETS.glob("*.toml"))
    ],
)
def test_shipped_presets_train(name: str, tmp_path: Path) -> None:
    tables = copy.deepcopy(read_preset(name).tables)
    tables["crops"] |= {"size": 32, "batch": 1}
    if tables["network"].get("blocks") == 8:  # 100 M parameters: a fourth of its blocks
        tables["network"]["blocks"] = 2
    del tables["name"]
    preset = preset_of(name, tables)
    card = training.card_of(preset)
    assert card.name == name
    crops = Crops(
        [np.random.default_rng(0).random((3, 40, 40)[card.channels != 3 :], np.float32)],
        ["p"],
        channels=card.channels,
        size=preset.crops.size,
        batch=preset.crops.batch,
        position=bool(card.network.get("position")),
    )
    prior = training.store.from_card(card)
    trainer = training.Trainer(prior, crops, preset.training, tmp_path / "checkpoint.safetensors")
    assert np.isfinite(next(iter(trainer)).loss)
    assert sum(p.numel() for p in trainer.prior.parameters()) > 1e6
