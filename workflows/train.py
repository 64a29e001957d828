"""A prior from images: images -> crops -> trainer -> run folder (train_folder.py says what lies in it).

The coarse prior of a preset that has one (priors/subspace.py), which may have a coarser one in turn, is trained first,
in the folder `coarse` of the run's, and goes into `prior.safetensors`. Under `torchrun` many processes train and the
first of them keeps the folder.

A checkpoint is written every few minutes and at a signal (signals.py); `prior.safetensors` comes last of all that an
export writes, so that one of the last step means a run that is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..pretrained import load as store
from ..pretrained.card import Card
from ..priors.crops import Crops
from ..priors.device_crops import DeviceCrops
from ..priors.parallel import World, is_first, joined
from ..priors.sampling.ode import flow_images
from ..priors.score import NetworkPrior, from_channels
from ..priors.settings import Augmentation
from ..priors.subspace import averaged
from ..priors.train import Trainer, begin_with, denoising_psnr
from ..report.curves import training_curves
from ..report.figures import sample_grid
from .device import device_of
from .images import ImageSets, Paths, to_learn_from
from .progress import SILENT, Progress, told
from .settings import TrainSettings
from .signals import listening
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

HELD_OUT = 32  # crops of the validation images
COARSE = "coarse."  # of the names of a coarse prior's weights beside the fine network's


def train(
    data: Paths,
    output: Path | str,
    preset: str | Path | TrainingPreset = "ct-256",
    validation: Paths = (),
    settings: TrainSettings | None = None,
    progress: Progress | None = None,
) -> TrainingRun:
    """Train a prior on images, or go on with the run in a folder.

    Args:
        data: images: HDF5 image sets, packs of `prepare`, DICOM folders, NIfTI; one or several.
        output: the run folder; the call that made it goes on with it, exactly where it was.
        preset: how: a shipped preset by name, a TOML file, or a preset.
        validation: images of other patients, for the figures.
        settings: of the run.
        progress: hears what happens.

    Raises:
        NotADirectoryError: `output` is a file.
        ValueError: images in other units than the preset's, NaN among them, images for calibration only, a preset that
            does not fit, a checkpoint that is damaged, of another network or (without `force`) of another run, a batch
            that does not divide by the number of processes.
        SystemExit, KeyboardInterrupt: told to stop (signals.py); the run is saved.
    """
    output, settings = Path(output), settings or TrainSettings()
    refuse_other_run(output, None)
    with closing(told(progress) if is_first() else SILENT) as telling, listening() as request:
        telling.stage("reading images")
        preset = read_preset(preset).with_steps(settings.steps)
        runs = _runs(preset, output, to_learn_from(data, preset.card), to_learn_from(validation, preset.card))
        begun = all(run.checkpoint.is_file() for run in runs)
        start = {}
        if settings.start_from and not begun:
            start = store.load(settings.start_from)[0].state_dict()
        keeping = partial(Keeping, minutes=settings.checkpoint_minutes, request=request, progress=telling)
        device = device_of(settings.device)
        with joined(device) as world, alone_in(output) if world.rank == 0 else nullcontext():
            make = partial(_Run.trainer, world=world, start=start, settings=settings, progress=telling)
            _train_all(runs, make, keeping)
        return left_in(output, runs[-1].card)


def planned(
    data: Paths,
    output: Path | str | None,
    preset: str | Path | TrainingPreset = "ct-256",
    validation: Paths = (),
    settings: TrainSettings | None = None,
) -> dict[str, Any]:
    """What `train` would do: the images it would learn from, the networks in the order of their training, and of each
    whether its run goes on. Raises as `train` does before it trains."""
    output, settings = Path(output or "OUTPUT"), settings or TrainSettings()
    refuse_other_run(output, None)
    preset = read_preset(preset).with_steps(settings.steps)
    images, held_out = to_learn_from(data, preset.card), to_learn_from(validation, preset.card)
    networks = {}
    for run in _runs(preset, output, images, held_out):
        size = sum(p.numel() for p in store.from_card(run.card).parameters())
        networks[str(run.output)] = {
            "million_weights": round(size / 1e6, 2),
            "steps": run.preset.training.steps,
            "crops": run.preset.tables["crops"],
            "goes_on": run.checkpoint.is_file(),
        }
    return {**seen(images, held_out), "device": device_of(settings.device), "networks": networks}


def seen(images: ImageSets | None, held_out: ImageSets | None) -> dict[str, Any]:
    """How many images, of how many patients, a run learns from and is judged by."""
    out: dict[str, Any] = {}
    for name, part in (("learns_from", images), ("judged_by", held_out)):
        out[name] = {} if part is None else {"images": len(part), "patients": len(set(part.groups.tolist()))}
    return out


def _runs(
    preset: TrainingPreset, output: Path, images: ImageSets | None, held_out: ImageSets | None
) -> list[_Run]:
    """The run of the preset's network, and before it those of its coarse priors, the coarsest first."""
    if images is None:
        raise ValueError("no images to learn from: got no --data, expected image sets or folders of DICOM")
    runs = [_Run(preset, output, images, held_out)]
    while coarse := preset.coarse:
        preset, output = coarse.preset, output / "coarse"
        factor, prefix = runs[0].factor * coarse.factor, runs[0].prefix + COARSE
        runs.insert(0, _Run(preset, output, images, held_out, factor, prefix))
    return runs


def _train_all(runs: list[_Run], trainer_of: Callable[..., Trainer], keeping: Callable[..., Keeping]) -> None:
    """One after the other. Holds the trainers, which must not outlive the processes' connection."""
    trainers = [trainer_of(run) for run in runs]  # refused before any training, if at all
    if is_first():
        for run in runs:
            write_config(run.output, {"preset": run.preset.tables, "training": asdict(run.preset.training)})
    for run, trainer in zip(runs, trainers, strict=True):
        loop(trainer, keeping(run.output, partial(run.export, trainer)))


class _Run:
    """The training of one network in a folder of its own, on images averaged by `factor`.

    Args:
        preset, output: as of `train`.
        images, held_out: of training and validation.
        factor: of a coarse prior; 1 of the fine network.
        prefix: of its weights' names in the whole prior.
    """

    def __init__(
        self,
        preset: TrainingPreset,
        output: Path,
        images: ImageSets,
        held_out: ImageSets | None,
        factor: int = 1,
        prefix: str = "",
    ) -> None:
        self.preset, self.output, self.factor, self.prefix = preset, output, factor, prefix
        self.images, self.checkpoint = images, output / "checkpoint.safetensors"
        self.batches = crops_of(preset, images, factor)
        self.held_out = None
        if held_out is not None:
            self.held_out = crops_of(preset, held_out, factor, shown=HELD_OUT)(0)
        self.facts = run_facts(images, preset, "a prior", factor)
        seen = {key: self.facts["data"][key] for key in ("images", "patients")}
        card = card_of(preset)
        self.card = replace(
            card,
            pixel_mm=images.pixel_mm and (factor * images.pixel_mm[0], factor * images.pixel_mm[1]),
            matrix=tuple(-(-n // factor) for n in images.matrix),
            training={**card.training, **seen},
        )

    def trainer(
        self, world: World, start: dict[str, torch.Tensor], settings: TrainSettings, progress: Progress
    ) -> Trainer:
        """The trainer at its checkpoint, or with its first weights: its part of a prior's, or random ones."""
        with torch.random.fork_rng(devices=[]):  # the first weights too are a function of the seed
            torch.manual_seed(self.preset.training.seed)
            prior = store.from_card(self.card)
        on_device = settings.crops_on_device
        if fits_on(world.device, self.images) if on_device is None else on_device:
            batches = DeviceCrops(self.batches, world.device)
        else:
            batches = self.batches

        def mine(step: int) -> torch.Tensor:
            return batches(step, world.share(batches.shape(step)[0]))

        trainer = Trainer(prior, mine, self.preset.training, self.checkpoint, world, facts=self.facts)
        mark, coarser = self.prefix, self.prefix + COARSE
        own = {
            k.removeprefix(mark): v
            for k, v in start.items()
            if k.startswith(mark) and not k.startswith(coarser)
        }
        if self.checkpoint.is_file():
            resume(trainer, self.output, settings.force, progress)
        elif own:
            begin_with(prior, own)
            trainer.ema = {k: v.clone() for k, v in prior.state_dict().items()}
        return trainer

    def export(self, trainer: Trainer, log: Log) -> None:
        """The shippable prior with its validation figures, and the pictures."""
        card, weights = self._with_coarse(trainer.ema)
        prior = store.from_card(card)
        prior.load_state_dict(weights)
        prior.for_inference(trainer.world.device)
        figures = {}
        if self.held_out is not None:
            span = store.intensity_of(card).span
            psnr = denoising_psnr(prior, self.held_out.to(trainer.world.device), data_range=span)
            figures = {"denoising_psnr": {str(k): round(v, 2) for k, v in psnr.items()}}
            log.write({"step": trainer.step, "validation": figures["denoising_psnr"]})
        finished = {"finished_steps": trainer.step, "date": datetime.now(UTC).date().isoformat()}
        full = replace(card, training={**card.training, **finished}, validation=figures)
        _draw(prior, full, self.output, trainer.world.device)
        store.save(self.output / WEIGHTS, weights, full)

    def _with_coarse(self, weights: dict[str, torch.Tensor]) -> tuple[Card, dict[str, torch.Tensor]]:
        """Card and weights, those of the coarse prior among them where the preset has one."""
        part = self.preset.coarse
        if part is None:
            return self.card, weights
        small, card = store.load_file(self.output / "coarse" / WEIGHTS)
        coarse = {"factor": part.factor, "above": part.above, **card.network}
        both = replace(
            self.card,
            network={**self.card.network, "coarse": coarse},
            training={**self.card.training, "coarse": card.training},
        )
        return both, weights | {f"{COARSE}{name}": value for name, value in small.state_dict().items()}


def crops_of(preset: TrainingPreset, images: ImageSets, factor: int = 1, shown: int | None = None) -> Crops:
    """The crops of a preset, of images averaged by `factor`; `shown`: so many as they are, for validation."""
    sizes, batch, augmentation = preset.crops.sizes, preset.crops.batch, preset.crops.augmentation
    if shown is not None:
        sizes, batch, augmentation = sizes[:1], shown, Augmentation(degrees=0, zoom=(1, 1))
    return Crops(
        averaged(images, factor),
        images.groups,
        channels=preset.card.channels,
        size=sizes,
        batch=batch,
        seed=preset.training.seed if shown is None else 0,
        augmentation=augmentation,
        position=bool(preset.card.network.get("position")),
    )


def fits_on(device: str, images: ImageSets) -> bool:
    """Whether crops of the images can be made on the device that trains: a GPU, of which a quarter of what is free
    holds them in 16 bits; complex images and pictures in colour are cut by the processor."""
    if device == "cpu" or images.card.channels > 2 or any(part.units == "complex" for part in images.sets):
        return False
    pixels = np.max([part.shape[-2:] for part in images.sets], 0).prod()
    return 2 * len(images) * int(pixels) < torch.cuda.mem_get_info(device)[0] / 4


def card_of(preset: TrainingPreset) -> Card:
    """The card of a preset's prior, with how it is trained."""
    crops = preset.tables["crops"]
    training = {**asdict(preset.training), "scanprior": __version__, "crops": crops}
    return replace(preset.card, training=training)


def _draw(prior: NetworkPrior, card: Card, output: Path, device: str) -> None:
    """The pictures of a run: samples of the prior as it is, and the curves so far."""
    size = min(256, *card.matrix) if card.matrix else 256
    drawn = from_channels(flow_images(prior, (size, size), range(8), 21, device).cpu())
    intensity = store.intensity_of(card)
    images = intensity.to_physical(drawn.abs() if drawn.is_complex() else drawn).numpy()
    title = f"{card.name}: samples of the prior after {card.training['finished_steps']} steps"
    sample_grid(output / "samples.png", images, intensity.window, title)
    training_curves(output / "curves.png", output / "log.jsonl")
