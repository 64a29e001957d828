# ruff: noqa: F811 (fixtures of another file)
"""`scanprior train` told to stop, killed, called again with something else, given damaged files: nothing is lost, and
what cannot go on says so in one line."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scanprior.pretrained.load import load
from scanprior.workflows import train as training
from toy_training import COARSE, changed, image_set
from toy_training import CT as PRESET

from .test_train import files, losses, one_thread, run, same, undrawn  # noqa: F401 (fixtures)

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def at(monkeypatch) -> Callable:
    """at(7, do): call `do` when the seventh step is done and the eighth begins."""
    original, plans = training.Trainer._one_step, {}

    def step(self):
        plans.get(self.step, lambda: None)()
        return original(self)

    def plan(number: int, do: Callable[[], object]) -> None:
        plans[number] = do

    monkeypatch.setattr(training.Trainer, "_one_step", step)
    return plan


def to_itself(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def crash() -> None:
    raise RuntimeError("the power is gone")


def saved_step(folder: Path) -> int:
    with safe_open(folder / "checkpoint.safetensors", "pt") as file:
        return int(file.metadata()["step"])


# --- signals
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_told_to_stop_saves_its_step_and_goes_on_after_it(
    files, tmp_path, at, capsys, number, code
) -> None:
    whole = run(files, tmp_path / "whole")
    at(7, to_itself(number))
    with pytest.raises(SystemExit) as left:
        run(files)
    assert left.value.code == code
    assert saved_step(files["run"]) == 8
    words = f"{number.name}: {files['run'] / 'checkpoint.safetensors'} holds step 8; the same command goes on after it"
    assert words in capsys.readouterr().err
    assert not (files["run"] / "prior.safetensors").exists()  # no time for pictures
    at(7, lambda: None)
    same(whole, run(files))
    assert f"{files['run']}: goes on after step 8; nothing is repeated" in capsys.readouterr().err


def test_sigusr1_saves_and_goes_on(files, tmp_path, at, capsys) -> None:
    whole = run(files, tmp_path / "whole")
    seen = []
    at(4, to_itself(signal.SIGUSR1))
    at(5, lambda: seen.append(saved_step(files["run"])))
    same(whole, run(files))
    assert seen == [5]
    assert "SIGUSR1: " in capsys.readouterr().err


def test_sigusr1_in_the_last_step_ends_the_run_as_usual(files, at) -> None:
    at(11, to_itself(signal.SIGUSR1))
    _, card = load(run(files))
    assert card.training["finished_steps"] == 12


def test_sigterm_before_the_first_step_leaves_at_once(files, monkeypatch) -> None:
    """Images are still being read: there is nothing to wait for."""
    images = training.Crops

    def reading(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return images(*arguments, **options)

    monkeypatch.setattr(training, "Crops", reading)
    with pytest.raises(SystemExit) as left:
        run(files)
    assert left.value.code == 143


def test_handlers_are_put_back(files) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
    run(files, steps=1)
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)] == before


def test_a_coarse_run_told_to_stop_goes_on(files, tmp_path, at, capsys) -> None:
    files["preset"].write_text(PRESET + COARSE)
    whole = run(files, tmp_path / "whole")
    at(4, to_itself(signal.SIGTERM))
    with pytest.raises(SystemExit):
        run(files)
    assert saved_step(files["run"] / "coarse") == 5
    at(4, lambda: None)
    same(whole, run(files))
    same(whole / "coarse", files["run"] / "coarse")


def test_two_runs_in_one_folder_do_not_write_over_each_other(files, tmp_path, at) -> None:
    whole, refused = run(files, tmp_path / "whole"), []

    def second() -> None:
        with pytest.raises(ValueError, match="another process trains in this folder") as raised:
            run(files)
        refused.append(raised.value)

    at(5, second)
    same(whole, run(files))
    assert len(refused) == 1


# --- going on
def test_what_a_crash_cost_is_said_and_is_in_the_log_once(files, tmp_path, at, capsys) -> None:
    whole = run(files, tmp_path / "whole")
    at(2, to_itself(signal.SIGUSR1))
    at(7, crash)
    with pytest.raises(RuntimeError):
        run(files)
    with (files["run"] / "log.jsonl").open("a") as log:
        log.write('{"step": 8, "lo')  # torn
    at(7, lambda: None)
    capsys.readouterr()
    same(whole, run(files))
    assert "goes on after step 3; up to step 7 it had gone without another checkpoint, so 4 steps" in (
        capsys.readouterr().err
    )
    steps = [json.loads(line)["step"] for line in (files["run"] / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 13))


def test_the_log_of_a_long_run_goes_on_as_if_nothing_had_been(files, tmp_path, at, monkeypatch) -> None:
    """Means over the last steps, across the break."""
    monkeypatch.setattr("scanprior.workflows.train_loop.SHORT", 0)
    monkeypatch.setattr("scanprior.workflows.train_loop.LOG_EVERY", 5)
    whole = run(files, tmp_path / "whole")
    at(7, to_itself(signal.SIGTERM))
    with pytest.raises(SystemExit):
        run(files)
    at(7, lambda: None)
    assert losses(whole) == losses(run(files)) and list(losses(whole)) == [5, 10, 12]


def test_an_export_that_was_cut_off_is_made_again(files, tmp_path, monkeypatch) -> None:
    whole = run(files, tmp_path / "whole", validation=[files["other"]])
    with monkeypatch.context() as now, pytest.raises(RuntimeError):
        now.setattr(training, "_draw", lambda *_: crash())
        run(files, validation=[files["other"]])
    assert saved_step(files["run"]) == 12 and not (files["run"] / "prior.safetensors").exists()
    same(whole, run(files, validation=[files["other"]]))
    entries = [json.loads(line) for line in (files["run"] / "log.jsonl").read_text().splitlines()]
    assert sum("validation" in entry for entry in entries) == 1


def test_a_torn_config_does_not_end_a_run(files, tmp_path, at) -> None:
    whole = run(files, tmp_path / "whole")
    at(7, to_itself(signal.SIGTERM))
    with pytest.raises(SystemExit):
        run(files)
    (files["run"] / "config.json").write_text('{"preset": {')
    at(7, lambda: None)
    same(whole, run(files))
    assert json.loads((files["run"] / "config.json").read_text())["training"]["steps"] == 12


def test_config_is_written_whole_or_not_at_all(files, monkeypatch) -> None:
    run(files, steps=1)
    before = (files["run"] / "config.json").read_bytes()
    monkeypatch.setattr("scanprior.workflows.train_folder.json.dumps", lambda *_, **__: "x" * 100_000)
    with small_files(50_000), pytest.raises(OSError, match="cannot be written"):
        training.write_config(files["run"], {})
    assert (files["run"] / "config.json").read_bytes() == before


OTHER = {
    "batch": (changed(PRESET, batch=4), "crops.batch 2 there, 4 here"),
    "seed": (PRESET + "seed = 3\n", "seed 0 there, 3 here"),
    "rate": (changed(PRESET, learning_rate=1e-3), "learning_rate 0.002 there, 0.001 here"),
    "gain": (PRESET.replace("gain = 0.02\n", ""), "crops.gain 0.02 there, not set here"),
    "window": (
        PRESET.replace("3071.0]", "2000.0]"),
        "prior.window [-1024.0, 3071.0] there, [-1024.0, 2000.0]",
    ),
}


@pytest.mark.parametrize("change", [*OTHER, "fewer images", "other images", "other patients"])
def test_another_run_is_refused_unless_forced(files, capsys, change: str) -> None:
    run(files, steps=4)
    if change in OTHER:
        preset, words = OTHER[change]
        files["preset"].write_text(preset)
    elif change == "fewer images":
        image_set(files["data"], images=6)
        words = "data.images 9 there, 6 here"
    elif change == "other images":
        image_set(files["data"], seed=7)
        words = "data.hash "
    else:
        with h5py.File(files["data"], "r+") as file:
            file["patient"][0] = file["patient"][1]
        words = "data.hash "
    capsys.readouterr()
    before = (files["run"] / "checkpoint.safetensors").read_bytes()
    with pytest.raises(ValueError, match="began with other data or settings") as raised:
        run(files)
    assert words in str(raised.value) and "--force" in str(raised.value) and "\n" not in str(raised.value)
    assert (files["run"] / "checkpoint.safetensors").read_bytes() == before
    run(files, None, "--force")
    err = capsys.readouterr().err
    assert f"{files['run']}: goes on with other data or settings (" in err and words in err
    assert saved_step(files["run"]) == 12


def test_more_steps_are_no_other_run(files, capsys) -> None:
    run(files, steps=4)
    run(files, steps=6)
    assert "goes on after step 4; nothing is repeated" in capsys.readouterr().err
    assert sorted(losses(files["run"])) == list(range(1, 7))


# --- files that are damaged, foreign, or have no place
def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rewritten(change: Callable[[dict, dict], None]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with safe_open(path, "pt") as file:
            header = file.metadata()
        tensors = load_file(path)
        change(tensors, header)
        save_file(tensors, path, header or None)

    return damage


def poison(tensors: dict, _: dict) -> None:
    next(value for key, value in tensors.items() if key.startswith("model.")).view(-1)[0] = float("nan")


DAMAGE = {
    "cut off": truncated,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not a checkpoint\n" * 100),
    "a prior": lambda path: path.write_bytes((path.parent / "prior.safetensors").read_bytes()),
    "no header": rewritten(lambda _, header: header.clear()),
    "no step": rewritten(lambda _, header: header.pop("step")),
    "a step in words": rewritten(lambda _, header: header.update(step='"many"')),
    "a header that is cut": rewritten(lambda _, header: header.update(config="{")),
    "no EMA": rewritten(lambda tensors, _: [tensors.pop(k) for k in list(tensors) if k.startswith("ema.")]),
    "a weight missing": rewritten(lambda tensors, _: tensors.pop(next(k for k in tensors if k[0] == "m"))),
    "no optimiser": rewritten(lambda tensors, _: [tensors.pop(k) for k in list(tensors) if k[0] == "o"]),
    "half an optimiser": rewritten(lambda tensors, _: tensors.pop("optimizer.0.exp_avg")),
    "another optimiser": rewritten(lambda tensors, _: tensors.update({"optimizer.0.exp_avg": torch.ones(3)})),
    "integers": rewritten(
        lambda tensors, _: tensors.update({k: v.int() for k, v in tensors.items() if k[:4] == "mode"})
    ),
    "NaN": rewritten(poison),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_one_line(files, scanprior, ran, damage: str) -> None:
    for path in ran.iterdir():
        (files["run"] / path.name).parent.mkdir(exist_ok=True)
        (files["run"] / path.name).write_bytes(path.read_bytes())
    checkpoint = files["run"] / "checkpoint.safetensors"
    DAMAGE[damage](checkpoint)
    before = checkpoint.read_bytes()
    options = ("--data", files["data"], "--preset", files["preset"], "--device", "cpu")
    outcome = scanprior("train", *options, "-o", files["run"])
    assert outcome.code == 2, outcome.err
    assert outcome.err.count("Error: ") == 1 and "Traceback" not in outcome.err
    assert str(checkpoint) in outcome.err and "defect" not in outcome.err
    assert checkpoint.read_bytes() == before


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """A run of two steps of the toy set."""
    folder = tmp_path_factory.mktemp("ran")
    (folder / "tiny.toml").write_text(PRESET)
    with pytest.MonkeyPatch.context() as now:
        now.setattr(training, "_draw", lambda *_: None)
        return run(
            {"data": image_set(folder / "train.h5"), "preset": folder / "tiny.toml", "run": folder / "run"},
            steps=2,
        )


class small_files:  # noqa: N801 (a context manager)
    """No file of this process grows beyond a number of bytes: a full disk."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


@pytest.mark.parametrize(("size", "name"), [(100_000, "checkpoint.safetensors"), (200, "log.jsonl")])
def test_a_full_disk_leaves_the_old_checkpoint_and_is_one_line(
    files, scanprior, size: int, name: str
) -> None:
    run(files, steps=2)
    before = (files["run"] / "checkpoint.safetensors").read_bytes()
    options = (
        "--data",
        files["data"],
        "--preset",
        files["preset"],
        "--device",
        "cpu",
        "--steps",
        4,
        "--quiet",
    )
    with small_files(size), pytest.MonkeyPatch.context() as now:
        if size < 1000:  # which config.json, whole as it is, would not survive
            now.setattr(training, "write_config", lambda *_: None)
        outcome = scanprior("train", *options, "-o", files["run"])
    assert outcome.code == 2, outcome.err
    assert outcome.err == f"Error: {files['run'] / name}: " + outcome.err.split(": ", 2)[2]
    assert "too large" in outcome.err and outcome.err.count("Error: ") == 1
    assert (files["run"] / "checkpoint.safetensors").read_bytes() == before
    assert not list(files["run"].glob("*.tmp"))
    run(files, steps=4)
    assert sorted(losses(files["run"])) == [1, 2, 3, 4]


# --- images that are not numbers
def floats(path: Path, bad: int, value: float) -> Path:
    """The toy set in HU, float32, image `bad` with one pixel that is not a number."""
    image_set(path)
    with h5py.File(path, "r+") as file:
        stack = file["images"][()].astype(np.float32) - 1024
        stack[bad, 3, 5] = value
        del file["images"]
        file["images"] = stack
        file["images"].attrs["units"] = "HU"
    return path


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["data", "other", "on disk", "supervised"])
def test_images_that_are_not_finite_are_refused(files, scanprior, monkeypatch, where, value) -> None:
    bad = floats(files["other" if where == "other" else "data"], 4, value)
    if where == "on disk":
        monkeypatch.setattr("scanprior.workflows.images.IN_MEMORY", 0)
    options = ["--data", files["data"], "--validation", files["other"], "--preset", files["preset"]]
    options += ["--supervised", "ct:views=12,photons=1e5"] if where == "supervised" else []
    outcome = scanprior("train", *options, "--device", "cpu", "--steps", 12, "-o", files["run"])
    assert outcome.code == 2
    assert f"{bad}: got NaN or Inf in image 4" in outcome.err and outcome.err.count("Error: ") == 1
    assert not (files["run"] / "checkpoint.safetensors").exists()


def test_a_volume_that_is_not_finite_is_refused(files, scanprior, tmp_path) -> None:
    data = np.full((24, 24, 6), -1000.0, np.float32)
    data[6:18, 6:18] = 40
    data[3, 4, 2] = np.nan
    nibabel.Nifti1Image(data, np.eye(4)).to_filename(tmp_path / "volume.nii")
    options = ("--data", tmp_path / "volume.nii", "--preset", files["preset"], "--device", "cpu")
    outcome = scanprior("train", *options, "-o", files["run"])
    assert outcome.code == 2 and "NaN" in outcome.err and outcome.err.count("Error: ") == 1, outcome.err
    assert "volume.nii" in outcome.err
