"""The run behind `scanprior train`: images -> crops -> trainer -> run folder.

A run folder holds `checkpoint.safetensors` (everything needed to go on), `prior.safetensors` (the EMA weights in fp16
with their card, for `--prior`), `log.jsonl` (loss, validation figures), `config.json`, and two pictures: samples of the
prior (`samples.png`) and the curves of the log (`curves.png`). The coarse prior of a preset that has one
(priors/subspace.py), which may have a coarser one in turn, is trained first, in the folder `coarse` of the run's, and
goes into `prior.safetensors`. Under `torchrun` many processes train and the first of them keeps the folder.

A checkpoint is written every few minutes and at a signal (signals.py); `prior.safetensors` comes last of all that an
export writes, so that one of the last step means a run that is complete.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..formats.write import atomic
from ..pretrained import load as store
from ..pretrained.card import Card
from ..priors.crops import Augmentation, Crops
from ..priors.parallel import World, joined
from ..priors.sampling.ode import flow_images
from ..priors.score import NetworkPrior, from_channels
from ..priors.subspace import averaged, check_coarse
from ..priors.train import TrainConfig, Trainer, begin_with, denoising_psnr
from ..report.figures import sample_grid, training_curves
from .device import device_of
from .images import ImageSets
from .keeping import loop
from .resuming import Log, alone_in, kind_before, resume
from .signals import Request


def run_training(
    data: list[Path],
    output: Path,
    preset: dict[str, Any],
    validation: list[Path],
    steps: int | None,
    start_from: str | None,
    device: str,
    checkpoint_minutes: float,
    force: bool = False,
    request: Request | None = None,
) -> None:
    """Train, or go on with, the run in `output`; `force`: with other data or settings than it began with; `request`:
    what signals ask for.

    Raises:
        NotADirectoryError: `output` is a file.
        ValueError: images in other units than the preset's, NaN among them, a preset that does not fit, a checkpoint
            that is damaged, of another network or (without `force`) of another run, a batch that does not divide by
            the number of processes.
    """
    refuse_other_run(output, None)
    runs = _runs(data, output, preset, validation, steps)
    begun = all(run.checkpoint.is_file() for run in runs)
    start = store.load(start_from)[0].state_dict() if start_from and not begun else {}
    with joined(device_of(device)) as world, alone_in(output) if world.rank == 0 else nullcontext():
        _train(runs, world, start, force, checkpoint_minutes, request or Request())


def _runs(
    data: list[Path], output: Path, preset: dict[str, Any], validation: list[Path], steps: int | None
) -> list[_Run]:
    """The run of the preset's network, and before it those of its coarse priors, the coarsest first."""
    card = card_of(preset, config_of(preset, steps))
    images, held_out = ImageSets(data, card), ImageSets(validation, card) if validation else None
    runs = [_Run(preset, output, steps, images, held_out)]
    while table := preset.get("coarse"):
        preset, output = coarse_preset(preset, table), output / "coarse"
        factor, prefix = runs[0].factor * table["factor"], runs[0].prefix + COARSE
        runs.insert(0, _Run(preset, output, steps, images, held_out, factor, prefix))
    return runs


def _train(
    runs: list[_Run],
    world: World,
    start: dict[str, torch.Tensor],
    force: bool,
    checkpoint_minutes: float,
    request: Request,
) -> None:
    trainers = [run.trainer(world, start, force) for run in runs]  # refused before any training, if at all
    for run in runs if world.rank == 0 else []:
        write_config(run.output, {"preset": run.preset, "training": asdict(run.config)})
    for run, trainer in zip(runs, trainers, strict=True):
        loop(trainer, run.output, checkpoint_minutes, partial(run.export, trainer), request)


COARSE = "coarse."  # of the names of a coarse prior's weights beside the fine network's


def coarse_preset(preset: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    """The preset of a preset's [coarse] prior. Raises ValueError for a table that lacks something."""
    needed = ("factor", "above", "network", "crops", "training")
    if missing := [key for key in needed if key not in table]:
        raise ValueError(f"the preset's [coarse] lacks {', '.join(missing)}; expected {', '.join(needed)}")
    check_coarse("the preset's [coarse]", table["factor"], table["above"])
    own = {key: table[key] for key in ("network", "crops", "training", "coarse") if key in table}
    return {"name": f"{preset['name']}-coarse", "prior": preset["prior"], **own}


class _Run:
    """The training of one network in a folder of its own, on images averaged by `factor`.

    Args:
        preset, output, steps: as of `run_training`.
        images, held_out: of training and validation.
        factor: of a coarse prior; 1 of the fine network.
        prefix: of its weights' names in the whole prior.
    """

    def __init__(
        self,
        preset: dict[str, Any],
        output: Path,
        steps: int | None,
        images: ImageSets,
        held_out: ImageSets | None,
        factor: int = 1,
        prefix: str = "",
    ) -> None:
        self.preset, self.output, self.factor, self.prefix = preset, output, factor, prefix
        self.checkpoint = output / "checkpoint.safetensors"
        self.config = config_of(preset, steps)
        card, crops = card_of(preset, self.config), crops_settings(preset)
        crops |= {"channels": card.channels, "position": bool(card.network.get("position"))}
        self.batches = Crops(averaged(images, factor), images.groups, seed=self.config.seed, **crops)
        self.held_out = None
        if held_out is not None:
            crops |= {"size": self.batches.sizes[0], "batch": 32}
            crops |= {"augmentation": Augmentation(degrees=0, zoom=(1, 1))}
            self.held_out = Crops(averaged(held_out, factor), held_out.groups, **crops)(0)
        pixel = images.pixel_mm and (factor * images.pixel_mm[0], factor * images.pixel_mm[1])
        matrix = self.batches.images[0].shape[-2:]
        self.facts = run_facts(images, preset, "a prior", factor)
        seen = {key: self.facts["data"][key] for key in ("images", "patients")}
        self.card = replace(card, pixel_mm=pixel, matrix=matrix, training={**card.training, **seen})

    def trainer(self, world: World, start: dict[str, torch.Tensor], force: bool) -> Trainer:
        """The trainer at its checkpoint, or with its first weights: its part of a prior's, or random ones."""
        with torch.random.fork_rng(devices=[]):  # the first weights too are a function of the seed
            torch.manual_seed(self.config.seed)
            prior = store.from_card(self.card)

        def mine(step: int) -> torch.Tensor:
            return self.batches(step, world.share(self.batches.shape(step)[0]))

        trainer = Trainer(prior, mine, self.config, self.checkpoint, world, facts=self.facts)
        mark, coarser = self.prefix, self.prefix + COARSE
        own = {
            k.removeprefix(mark): v
            for k, v in start.items()
            if k.startswith(mark) and not k.startswith(coarser)
        }
        if self.checkpoint.is_file():
            resume(trainer, self.output, force)
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
        store.save(self.output / "prior.safetensors", weights, full)

    def _with_coarse(self, weights: dict[str, torch.Tensor]) -> tuple[Card, dict[str, torch.Tensor]]:
        """Card and weights, those of the coarse prior among them where the preset has one."""
        table = self.preset.get("coarse")
        if table is None:
            return self.card, weights
        small, card = store.load_file(self.output / "coarse" / "prior.safetensors")
        coarse = {"factor": table["factor"], "above": table["above"], **card.network}
        both = replace(
            self.card,
            network={**self.card.network, "coarse": coarse},
            training={**self.card.training, "coarse": card.training},
        )
        return both, weights | {f"{COARSE}{name}": value for name, value in small.state_dict().items()}


def crops_settings(preset: dict[str, Any]) -> dict[str, Any]:
    """Size, batch and augmentation of a preset's [crops] table, as `Crops` takes them."""
    table = dict(preset["crops"])
    size, batch = table.pop("size"), table.pop("batch")
    return {"size": size, "batch": batch, "augmentation": augmentation_of(table)}


def augmentation_of(table: dict[str, Any]) -> Augmentation:
    """A preset's [crops] table without size and batch; TOML's lists become tuples."""
    refuse_unknown("crops", table, Augmentation)
    ranges: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    return Augmentation(**ranges)


def refuse_other_run(output: Path, supervised: str | None) -> None:
    """Raise ValueError where the folder holds a run of a prior or a supervised network, and this is the other;
    NotADirectoryError where it is none."""
    if output.exists() and not output.is_dir():
        raise NotADirectoryError(f"{output} is a file, expected a folder for the run; choose another name")
    before = kind_before(output)
    if before is not None and before != (supervised or ""):
        kinds = [f"a supervised network for {s}" if s else "a prior" for s in (before, supervised)]
        raise ValueError(
            f"{output} holds the run of {kinds[0]}, this is one of {kinds[1]}; give another folder"
        )


def run_facts(images: ImageSets, preset: dict[str, Any], kind: str, factor: int = 1) -> dict[str, Any]:
    """What a run learns, and from what: kept in its checkpoint, and held against the call that goes on with it."""
    tables = {key: preset[key] for key in ("prior", "network", "crops")}
    return {"run": kind, "data": images.facts(), **tables, "factor": factor}


def write_config(output: Path, settings: dict[str, Any]) -> None:
    """The run folder, with its config.json: for people to read."""
    output.mkdir(parents=True, exist_ok=True)
    with atomic(output / "config.json") as temporary:
        temporary.write_text(json.dumps(settings, indent=1))


def config_of(preset: dict[str, Any], steps: int | None) -> TrainConfig:
    """A preset's [training] table, with other steps where they are given."""
    refuse_unknown("training", preset["training"], TrainConfig)
    return TrainConfig(**{**preset["training"], **({"steps": steps} if steps else {})})


def refuse_unknown(section: str, table: dict[str, Any], kind: type) -> None:
    """Raise ValueError for a preset's setting that does not exist."""
    known = [field.name for field in fields(kind)]
    if unknown := sorted(set(table) - set(known)):
        raise ValueError(
            f"the preset's [{section}] has no setting {', '.join(unknown)}; known: {', '.join(known)}"
        )


def card_of(preset: dict[str, Any], config: TrainConfig) -> Card:
    """The card of a preset's prior."""
    training = {**asdict(config), "scanprior": __version__, "crops": preset["crops"]}
    return Card.from_dict(
        {"name": preset["name"], **preset["prior"], "network": preset["network"], "training": training}
    )


def _draw(prior: NetworkPrior, card: Card, output: Path, device: str) -> None:
    """The pictures of a run: samples of the prior as it is, and the curves so far."""
    size = min(256, *card.matrix) if card.matrix else 256
    drawn = from_channels(flow_images(prior, (size, size), range(8), 21, device).cpu())
    intensity = store.intensity_of(card)
    images = intensity.to_physical(drawn.abs() if drawn.is_complex() else drawn).numpy()
    title = f"{card.name}: samples of the prior after {card.training['finished_steps']} steps"
    sample_grid(output / "samples.png", images, intensity.window, title)
    training_curves(output / "curves.png", output / "log.jsonl")
