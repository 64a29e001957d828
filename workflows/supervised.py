"""The run behind `scanprior train --supervised`: images -> simulated measurements -> pairs -> trainer -> run folder.

A supervised network learns from whole images, because the artefacts of few measurements run across all of one: the
preset's crops only say how many pixels a step has. Images are turned and zoomed as crops are, measured as
`reconstruct --simulate` measures them (the pack's median pixel size), and reconstructed by filtered backprojection or
zero-filling. Measurements are made for a block of steps at once and are a function of (seed, block): a resumed run is
exact. The run folder is a prior's without pictures; the card says what the network was trained for.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
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
from ..priors.crops import Augmentation, Crops
from ..priors.parallel import World, joined
from ..priors.score import from_channels
from ..priors.supervised import SupervisedNetwork, supervised_loss
from ..priors.train import Trainer
from ..recon.baselines.supervised import first_reconstruction, in_network_units, measurement_of
from ..recon.problem import Problem
from ..recon.simulate import CTSimulation, MRISimulation, simulate, simulation_of
from ..recon.study import problem_of
from .device import device_of
from .images import ImageSets
from .keeping import loop
from .resuming import Log, alone_in, resume
from .signals import Request
from .train import card_of, config_of, crops_settings, refuse_other_run, run_facts, write_config

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


def run_supervised(
    data: list[Path],
    output: Path,
    preset: dict[str, Any],
    validation: list[Path],
    spec: str,
    steps: int | None,
    device: str,
    checkpoint_minutes: float,
    force: bool = False,
    request: Request | None = None,
) -> None:
    """Train, or go on with, the run in `output`; `force`: with other data or settings than it began with; `request`:
    what signals ask for.

    Raises:
        NotADirectoryError: `output` is a file.
        ValueError: as for a prior; a measurement of another modality than the preset's; a folder of another run.
    """
    refuse_other_run(output, spec)
    settings, config = simulation_of(spec, "--supervised"), config_of(preset, steps)
    card = card_of({**preset, "name": f"{preset['name']}-supervised"}, config)
    if card.modality != settings.modality:
        raise ValueError(f"--supervised: got {spec}, but the preset is one of {card.modality} images")
    images = ImageSets(data, card)
    with torch.random.fork_rng(devices=[]):  # the first weights too are a function of the seed
        torch.manual_seed(config.seed)
        network = store.supervised_from_card(_with(card, measurement={"spec": spec}))
    pairs = Pairs(_whole(images, preset, config.seed), settings, network, _pixel(images))
    held_out = None
    if validation:
        other = ImageSets(validation, card)
        crops = _whole(other, preset, config.seed, augment=False)
        held_out = Pairs(crops, settings, network, _pixel(other))(0)
    facts = run_facts(images, preset, f"a supervised network for {spec}")

    def train(world: World) -> None:
        def mine(step: int) -> torch.Tensor:
            return pairs(step)[world.share(pairs.crops.batch)]

        checkpoint = output / "checkpoint.safetensors"
        trainer = Trainer(network, mine, config, checkpoint, world, loss=supervised_loss, facts=facts)
        resume(trainer, output, force)
        measured = measurement_of(pairs.problem(pairs.crops(0), 0)[0]) if world.rank == 0 else {}
        done = _with(
            card,
            measurement={"spec": spec, **measured},
            pixel_mm=images.pixel_mm,
            matrix=images[0].shape[-2:],
            training={**card.training, "images": len(images), "patients": len(set(images.groups))},
        )
        if world.rank == 0:
            write_config(output, {"preset": preset, "training": asdict(config), "supervised": spec})
        export = partial(_export, trainer, done, held_out, output)
        loop(trainer, output, checkpoint_minutes, export, request or Request())

    with joined(device_of(device)) as world, alone_in(output) if world.rank == 0 else nullcontext():
        train(world)


def _whole(images: ImageSets, preset: dict[str, Any], seed: int, augment: bool = True) -> Crops:
    """Whole images, as many a step as have the pixels of the preset's crops; or some of them as they are."""
    options = crops_settings(preset)
    side, crop = max(images[0].shape[-2:]), options["size"]
    crop = crop if isinstance(crop, int) else crop[0]
    options |= {"size": side, "batch": max(1, round(options["batch"] * (crop / side) ** 2))}
    if not augment:
        options |= {"batch": HELD_OUT, "augmentation": Augmentation(degrees=0, zoom=(1, 1))}
    return Crops(images, images.groups, channels=images.card.channels, seed=seed, **options)


def _pixel(images: ImageSets) -> float:
    """The median pixel size [mm]."""
    return float(np.median(np.concatenate([np.atleast_1d(part.pixel_mm) for part in images.sets])))


def _with(card: Card, **entries: Any) -> Card:
    return Card.from_dict({**card.to_dict(), **entries})


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
    store.save(output / "prior.safetensors", trainer.ema, _with(card, training=training, validation=figures))
