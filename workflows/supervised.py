"""A supervised network from images: images -> simulated measurements -> pairs -> trainer -> run folder.

A supervised network learns from whole images, because the artefacts of few measurements run across all of one: the
preset's crops only say how many pixels a step has. Images are turned and zoomed as crops are, measured as
`reconstruct --simulate` measures them (the pack's median pixel size), and reconstructed by filtered backprojection or
zero-filling. Measurements are made for a block of steps at once and are a function of (seed, block): a resumed run is
exact. The run folder is a prior's without pictures; the card says what the network was trained for.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..formats.scan import Volume
from ..modality import Modality
from ..pretrained import load as store
from ..pretrained.card import Card
from ..priors.crops import Crops
from ..priors.parallel import World, is_first, joined
from ..priors.score import from_channels
from ..priors.settings import Augmentation
from ..priors.supervised import SupervisedNetwork, supervised_loss
from ..priors.train import Trainer
from ..recon.baselines.supervised import first_reconstruction, in_network_units, measurement_of
from ..recon.problem import Problem
from ..recon.simulate import CTSimulation, MRISimulation, simulate, simulation_of
from ..recon.study import problem_of
from .device import device_of
from .images import ImageSets, Paths, to_learn_from
from .progress import SILENT, Progress, told
from .settings import TrainSettings
from .signals import listening
from .train import card_of, seen
from .train_folder import (
    WEIGHTS,
    Log,
    TrainingRun,
    alone_in,
    left_in,
    refuse_other_run,
    resume,
    run_facts,
    write_config,
)
from .train_loop import Keeping, loop
from .training_preset import TrainingPreset, read_preset

BLOCK = 32  # images measured at once
HELD_OUT = 8  # validation images


class Pairs:
    """First reconstructions and images: `pairs(step)` is the batch of that step, (B, 2 C, H, W) in network units.

    Args:
        crops: whole images.
        settings: of the measurement.
        network: whose units are taken.
        pixel_mm: of the images.
    """

    def __init__(
        self,
        crops: Crops,
        settings: CTSimulation | MRISimulation,
        network: SupervisedNetwork,
        pixel_mm: float,
    ) -> None:
        self.crops, self.settings, self.network, self.pixel_mm = crops, settings, network, pixel_mm
        self.steps = max(1, BLOCK // crops.batch)  # of a block
        self.block, self.pairs = -1, torch.zeros(0)

    def __call__(self, step: int) -> torch.Tensor:
        block, place = divmod(step, self.steps)
        if block != self.block:
            self.block, self.pairs = block, self._measured(block)
        return self.pairs[place * self.crops.batch :][: self.crops.batch]

    def _measured(self, block: int) -> torch.Tensor:
        steps = range(block * self.steps, (block + 1) * self.steps)
        problem, truth = self.problem(torch.cat([self.crops(step) for step in steps]), block)
        first = first_reconstruction(problem)
        x0, x = (in_network_units(z, first, self.network, problem.water)[0] for z in (first, truth))
        return torch.cat([x0, x], 1)

    def problem(self, images: torch.Tensor, seed: int) -> tuple[Problem, torch.Tensor]:
        """Images (B, C, H, W) in network units, measured; and the truth (B, H, W) in physical units."""
        values = self.network.intensity.to_physical(from_channels(images)).numpy()
        is_ct = self.settings.modality is Modality.CT
        volume = Volume(
            values if is_ct else np.abs(values),
            "HU" if is_ct else "magnitude",
            self.settings.modality,
            (1.0, self.pixel_mm, self.pixel_mm),
            source="training images",
        )
        scan = simulate(volume, self.settings, seed=self.crops.seed * 1_000_003 + seed)
        return problem_of(scan), torch.from_numpy(np.asarray(scan.truth))


@dataclass(frozen=True)
class _Run:
    """What is trained: the network, its pairs, the held-out ones, the card so far."""

    spec: str
    preset: TrainingPreset
    images: ImageSets
    network: SupervisedNetwork
    pairs: Pairs
    held_out: torch.Tensor | None
    card: Card


def train_supervised(
    data: Paths,
    output: Path | str,
    spec: str,
    preset: str | Path | TrainingPreset = "ct-256",
    validation: Paths = (),
    settings: TrainSettings | None = None,
    progress: Progress | None = None,
) -> TrainingRun:
    """Train a supervised network for one measurement, or go on with the run in a folder.

    Args:
        data, output, preset, validation, settings, progress: as of `train.train`.
        spec: the measurement, as `--simulate` says it: ct:views=23,photons=1e5.

    Raises:
        NotADirectoryError: `output` is a file.
        ValueError: as for a prior; a measurement of another modality than the preset's; a folder of another run; a
            prior to start from.
    """
    output, settings = Path(output), settings or TrainSettings()
    if settings.start_from is not None:
        raise ValueError("--start-from is for priors; a --supervised network starts from nothing")
    refuse_other_run(output, spec)
    with closing(told(progress) if is_first() else SILENT) as telling, listening() as request:
        telling.stage("reading images")
        run = _prepared(spec, read_preset(preset).with_steps(settings.steps), data, validation)
        device = device_of(settings.device)
        with joined(device) as world, alone_in(output) if world.rank == 0 else nullcontext():
            keeping = partial(Keeping, minutes=settings.checkpoint_minutes, request=request, progress=telling)
            _train(run, output, world, settings.force, keeping)
        return left_in(output, run.card)


def planned(
    spec: str,
    data: Paths,
    output: Path | str | None,
    preset: str | Path | TrainingPreset = "ct-256",
    validation: Paths = (),
    settings: TrainSettings | None = None,
) -> dict[str, Any]:
    """What `train_supervised` would do; as `train.planned`."""
    output, settings = Path(output or "OUTPUT"), settings or TrainSettings()
    refuse_other_run(output, spec)
    run = _prepared(spec, read_preset(preset).with_steps(settings.steps), data, ())
    network = {
        "million_weights": round(sum(p.numel() for p in run.network.parameters()) / 1e6, 2),
        "steps": run.preset.training.steps,
        "images_a_step": run.pairs.crops.batch,
        "goes_on": (output / "checkpoint.safetensors").is_file(),
    }
    parts = seen(run.images, to_learn_from(validation, run.card))
    return {**parts, "device": device_of(settings.device), "networks": {str(output): network}}


def _prepared(
    spec: str,
    preset: TrainingPreset,
    data: Paths,
    validation: Paths,
) -> _Run:
    """The images read, the network made."""
    settings, plain = simulation_of(spec, "--supervised"), card_of(preset)
    if plain.modality != settings.modality:
        raise ValueError(f"--supervised: got {spec}, but the preset is one of {plain.modality} images")
    card = replace(plain, name=f"{plain.name}-supervised", measurement={"spec": spec})
    images, other = to_learn_from(data, card), to_learn_from(validation, card)
    if images is None:
        raise ValueError("no images to learn from: got no --data, expected image sets or folders of DICOM")
    with torch.random.fork_rng(devices=[]):  # the first weights too are a function of the seed
        torch.manual_seed(preset.training.seed)
        network = store.supervised_from_card(card)
    pairs = Pairs(_whole(images, preset), settings, network, _pixel(images))
    held_out = None
    if other is not None:
        held_out = Pairs(_whole(other, preset, augment=False), settings, network, _pixel(other))(0)
    return _Run(spec, preset, images, network, pairs, held_out, card)


def _train(run: _Run, output: Path, world: World, force: bool, keeping: Callable[..., Keeping]) -> None:
    """Holds the trainer, which must not outlive the processes' connection."""
    pairs, images, config = run.pairs, run.images, run.preset.training

    def mine(step: int) -> torch.Tensor:
        return pairs(step)[world.share(pairs.crops.batch)]

    facts = run_facts(images, run.preset, f"a supervised network for {run.spec}")
    checkpoint = output / "checkpoint.safetensors"
    trainer = Trainer(run.network, mine, config, checkpoint, world, loss=supervised_loss, facts=facts)
    keep = keeping(output, lambda log: _export(trainer, done, run.held_out, output, log))
    resume(trainer, output, force, keep.progress)
    measured = measurement_of(pairs.problem(pairs.crops(0), 0)[0]) if world.rank == 0 else {}
    seen = {"images": len(images), "patients": len(set(images.groups))}
    done = replace(
        run.card,
        measurement={"spec": run.spec, **measured},
        pixel_mm=images.pixel_mm,
        matrix=images.matrix,
        training={**run.card.training, **seen},
    )
    if world.rank == 0:
        kept = {"preset": run.preset.tables, "training": asdict(config), "supervised": run.spec}
        write_config(output, kept)
    loop(trainer, keep)


def _whole(images: ImageSets, preset: TrainingPreset, augment: bool = True) -> Crops:
    """Whole images, as many a step as have the pixels of the preset's crops; or some of them as they are."""
    side, crop = max(images.matrix), preset.crops.sizes[0]
    batch, augmentation = max(1, round(preset.crops.batch * (crop / side) ** 2)), preset.crops.augmentation
    if not augment:
        batch, augmentation = HELD_OUT, Augmentation(degrees=0, zoom=(1, 1))
    return Crops(
        images,
        images.groups,
        channels=images.card.channels,
        size=side,
        batch=batch,
        seed=preset.training.seed,
        augmentation=augmentation,
    )


def _pixel(images: ImageSets) -> float:
    """The median pixel size [mm]."""
    return float(np.median(np.concatenate([np.atleast_1d(part.pixel_mm) for part in images.sets])))


@torch.no_grad()
def _export(trainer: Trainer, card: Card, held_out: torch.Tensor | None, output: Path, log: Log) -> None:
    """The shippable network with its validation figures: PSNR [dB] before and after it, of images 2 units wide."""
    figures: dict[str, Any] = {}
    if held_out is not None:
        network = store.supervised_from_card(card)
        network.load_state_dict(trainer.ema)
        first, truth = held_out.to(trainer.world.device).chunk(2, 1)
        after = network.to(trainer.world.device).eval()(first)
        psnr = [
            float((10 * torch.log10(4 / (x - truth).square().mean((1, 2, 3)))).mean()) for x in (first, after)
        ]
        figures = {"first_psnr": round(psnr[0], 2), "psnr": round(psnr[1], 2)}
        log.write({"step": trainer.step, "supervised": figures})
    training = {**card.training, "finished_steps": trainer.step, "date": datetime.now(UTC).date().isoformat()}
    store.save(output / WEIGHTS, trainer.ema, replace(card, training=training, validation=figures))
