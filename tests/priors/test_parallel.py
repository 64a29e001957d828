"""Two processes under torchrun (gloo, CPU) train as one: this file is the test and, run as a script, the process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scanprior.cli.main import main
from scanprior.priors.crops import Augmentation, Crops
from scanprior.priors.nets.build import build
from scanprior.priors.parallel import ALONE, World, joined
from scanprior.priors.score import NetworkPrior
from scanprior.priors.train import TrainConfig, Trainer
from scanprior.workflows.signals import listening
from scanprior.workflows.train_loop import Keeping, loop

STEPS, HALF, BATCH = 6, 3, 4
SECONDS = 240  # a hang ends here; a run takes a few


def trainer(folder: Path, world: World = ALONE) -> Trainer:
    torch.manual_seed(0)
    prior = NetworkPrior(build({"name": "unet", "base": 16, "multipliers": [1, 2], "channels": 2}), 2, 0.5)
    images = np.random.default_rng(0).standard_normal((5, 24, 24)).astype(np.float32).cumsum(1) / 5
    crops = Crops(
        images, list("aabbc"), channels=2, size=16, batch=BATCH, augmentation=Augmentation(gain=0.1)
    )
    folder.mkdir(exist_ok=True)
    return Trainer(
        prior,
        lambda step: crops(step, world.share(BATCH)),
        TrainConfig(steps=STEPS, warmup=2),
        folder / "checkpoint.safetensors",
        world,
        autocast=False,
    )


def train(run: Trainer, saves_after: int | None = None) -> list[float]:
    losses = []
    for state in run:
        losses.append(state.loss)
        if state.step == saves_after and run.world.rank == 0:
            run.save()
    return losses


def process(folder: Path) -> None:
    """What each process does: a run, the second half of a lone process's run, a run that must be refused, one that a
    signal to the second process ends, and one in which a process fails while the other waits for it."""
    torch.set_num_threads(1)
    with joined("cpu") as world:
        whole = trainer(folder / "two", world)
        losses = train(whole, saves_after=HALF)
        resumed = trainer(folder / "one", world)
        resumed.load()
        result = {"size": world.size, "losses": losses, "resumed": train(resumed)}
        apart = trainer(folder / f"apart{world.rank}", world)
        apart.step = world.rank
        try:
            next(iter(apart))
        except ValueError as error:
            result["refusal"] = str(error)
        result["left"] = told_to_stop(folder / "stopped", world)
        save_file(
            {f"ema.{k}": v.contiguous() for k, v in whole.ema.items()}
            | {f"model.{k}": v.contiguous() for k, v in whole.prior.state_dict().items()},
            folder / f"{world.rank}.safetensors",
        )
        (folder / f"{world.rank}.json").write_text(json.dumps(result))
        steps = iter(trainer(folder / "failing", world))
        next(steps)
        if world.rank == 1:
            raise RuntimeError("this process cannot go on")
        next(steps)


def told_to_stop(folder: Path, world: World) -> object:
    """The exit code of a process of a run of which the second process gets SIGTERM in its second step."""
    run = trainer(folder, world)
    batches = run.batches

    def interrupted(step: int) -> torch.Tensor:
        if step == 1 and world.rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return batches(step)

    run.batches = interrupted
    try:
        with listening() as request:
            loop(run, Keeping(folder, lambda log: None, request=request))
    except SystemExit as left:
        return left.code
    return "went on"


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Two processes of a script or a module; a hang fails, and leaves nothing running."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with subprocess.Popen(
        [*command, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as started:
        try:
            out, err = started.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGTERM)  # torchrun ends its processes
            raise
    return subprocess.CompletedProcess(command, started.returncode, out, err)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory):
    """(a lone process's losses, its trainer, the folder of the two processes, what torchrun said)."""
    folder = tmp_path_factory.mktemp("parallel")
    torch.set_num_threads(1)
    one = trainer(folder / "one")
    losses = train(one, saves_after=HALF)
    return losses, one, folder, torchrun(__file__, folder)


@pytest.mark.parametrize("rank", [0, 1])
def test_two_processes_train_as_one(ran, rank: int) -> None:
    losses, one, folder, done = ran
    assert (folder / f"{rank}.json").is_file(), done.stderr
    result = json.loads((folder / f"{rank}.json").read_text())
    assert result["size"] == 2
    assert result["losses"] == pytest.approx(losses, rel=1e-5)
    got = load_file(folder / f"{rank}.safetensors")
    for name, value in one.ema.items():
        torch.testing.assert_close(got[f"ema.{name}"], value, rtol=0, atol=1e-5, msg=name)
    for name, value in one.prior.state_dict().items():
        torch.testing.assert_close(got[f"model.{name}"], value, rtol=0, atol=1e-5, msg=name)


def test_a_run_goes_on_with_more_processes_or_fewer(ran) -> None:
    losses, _, folder, _ = ran
    more = json.loads((folder / "0.json").read_text())["resumed"]
    assert more == pytest.approx(losses[HALF:], rel=1e-5)
    fewer = trainer(folder / "two")
    fewer.load()
    assert train(fewer) == pytest.approx(losses[HALF:], rel=1e-5)


def test_processes_that_see_different_checkpoints_are_refused(ran) -> None:
    for rank in (0, 1):
        refusal = json.loads((ran[2] / f"{rank}.json").read_text())["refusal"]
        assert refusal.startswith(f"process {rank} would begin at step {rank}, others elsewhere")


def test_a_signal_to_one_process_saves_and_ends_all(ran) -> None:
    codes = [json.loads((ran[2] / f"{rank}.json").read_text())["left"] for rank in (0, 1)]
    assert codes == [143, 143]
    resumed = trainer(ran[2] / "stopped")
    resumed.load()
    assert resumed.step == 2
    assert train(resumed) == pytest.approx(ran[0][2:], rel=1e-5)


def test_a_failure_of_one_process_ends_the_other(ran) -> None:
    done = ran[3]
    assert done.returncode != 0
    assert "this process cannot go on" in done.stderr


COMMAND = """
from pathlib import Path
from scanprior.cli.main import main
try:
    main()
finally:
    names = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
    print("threads left:", [name for name in names if "gloo" in name], flush=True)
"""


def test_torchrun_of_the_command_line_leaves_one_run(tmp_path: Path, monkeypatch) -> None:
    with h5py.File(tmp_path / "set.h5", "w") as file:
        file["images"] = np.random.default_rng(0).integers(0, 2000, (6, 24, 24), dtype=np.uint16)
        file["images"].attrs["units"] = "HU + 1024"
        file["patient"] = np.array(list("aabbcc"), dtype=h5py.string_dtype())
        file["px_mm"] = np.ones(6)
    from toy_training import COARSE, CT, changed  # not for the process: the script knows no tests/made

    preset = changed(CT, batch=4, gain=0.0, steps=4, warmup=200, learning_rate=5e-4)
    coarse = changed(COARSE, crops="{ size = 12, batch = 4 }", training="{ p_mean = 0.5, steps = 3 }")
    (tmp_path / "tiny.toml").write_text(preset + coarse)
    options = ["--data", tmp_path / "set.h5", "--preset", tmp_path / "tiny.toml", "--device", "cpu"]
    (tmp_path / "command.py").write_text(COMMAND)
    done = torchrun(tmp_path / "command.py", "train", *options, "-o", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("threads left: []") == 2, done.stdout
    assert done.stderr.count("two 4/4") == done.stderr.count("coarse 3/3") == 1  # one process speaks
    monkeypatch.setattr("scanprior.workflows.train._draw", lambda *_: None)
    try:
        main(["train", *map(str, options), "-o", str(tmp_path / "one")])
    except SystemExit as left:
        assert not left.code
    for part, steps in ((".", [1, 2, 3, 4]), ("coarse", [1, 2, 3])):
        one, two = (
            [json.loads(line) for line in (tmp_path / name / part / "log.jsonl").read_text().splitlines()]
            for name in ("one", "two")
        )
        assert [entry["step"] for entry in two] == steps
        losses = [entry["loss"] for entry in one]
        assert [entry["loss"] for entry in two] == pytest.approx(losses, rel=2e-3)  # bfloat16
    a, b = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("one", "two"))
    assert a.keys() == b.keys()  # no trace of how many processes there were
    assert {path.name for path in (tmp_path / "two").iterdir()} == {
        "coarse",
        *("checkpoint.safetensors", "prior.safetensors", "config.json"),
        *("log.jsonl", "samples.png", "curves.png"),
    }


def test_shares_are_the_batch_and_an_uneven_one_is_refused() -> None:
    batch = list(range(12))
    assert [n for rank in range(3) for n in batch[World(rank, 3).share(12)]] == batch
    with pytest.raises(ValueError, match="batch of 8 for 3 processes, expected a multiple of 3"):
        World(0, 3).share(8)


def test_every_process_has_a_gpu_of_its_own(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in (("WORLD_SIZE", "3"), ("RANK", "2"), ("LOCAL_RANK", "2")):
        monkeypatch.setenv(name, value)
    for device, words in (("cuda", "has 2 GPUs; start at most 2"), ("cuda:1", "expected cuda:")):
        with pytest.raises(ValueError, match=words), joined(device):
            pass


if __name__ == "__main__":
    process(Path(sys.argv[1]))
