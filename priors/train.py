"""The training loop of a network, a prior's or a supervised one: EMA, atomic checkpoints, exact resume.

    theta <- AdamW(theta, grad loss),   theta_EMA <- mu theta_EMA + (1 - mu) theta

with a linear warm-up and a linear decay over the last part of the run. Everything random in step n is a function of
(seed, n): a run that was killed and resumed gives the same losses as one that was not. Checkpoints are one file
(checkpoint.py) of weights, EMA and optimiser state, with the run's numbers and what it learns from in its header.
Several processes train as one (parallel.py): they begin with the same checkpoint, hold the same weights, and one of
them saves.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from .checkpoint import ADVICE, check_fit, read_checkpoint, write_tensors
from .losses import Weighting, denoising, edm, likelihood, noise
from .parallel import ALONE, World
from .precision import fast_dtype
from .published import PublishedPrior
from .score import NetworkPrior, split_position
from .settings import TrainConfig

KEPT = 100  # losses, for a log that goes on as if nothing had been
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # AdamW's state of a parameter


def weighting_of(config: TrainConfig, prior: NetworkPrior) -> Weighting:
    """The loss's noise levels and weights. Raises ValueError for an unknown weighting, or a prior without a law."""
    if config.weighting == "edm":
        return edm(prior.sigma_data, config.p_mean, config.p_std)
    if config.weighting not in ("noise", "likelihood"):
        raise ValueError(f"got weighting {config.weighting!r}, expected edm, noise or likelihood")
    if not isinstance(prior, PublishedPrior):
        raise ValueError(
            f"weighting {config.weighting!r} takes its levels from the network's law of noise, and this one has "
            'none; add noise = { kind = "ve" } (or another law) to [network], or take weighting = "edm"'
        )
    if config.weighting == "noise":
        return noise(prior.law.level)
    lowest, highest = prior.law.level(torch.tensor([0.0, 1.0])).tolist()
    return likelihood(highest, lowest)


@dataclass(frozen=True)
class Step:
    """What the loop tells its caller after each step."""

    step: int  # finished steps
    loss: float
    learning_rate: float
    seconds: float  # of this step


Loss = Callable[[nn.Module, Tensor, torch.Generator], Tensor]  # of a model and a batch, (B,)


def denoising_loss(prior: NetworkPrior, config: TrainConfig, world: World) -> Loss:
    """The loss of a prior on batches (B, C, H, W) in network units, or (B, C + 2, H, W) with their position. Raises
    ValueError for a weighting that is unknown, or does not fit the prior."""
    weighting = weighting_of(config, prior)

    def loss(model: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        x, position = split_position(x, prior.channels)
        return denoising(partial(model, position=position), x, generator, weighting, world)

    return loss


class Trainer:
    """Trains a `NetworkPrior` to denoise, or any network by a loss of its own.

    Args:
        prior: trained in place; `ema` holds the averaged weights to be shipped.
        batches: step -> this process's share of the batch of that step (e.g. `Crops`).
        config: settings.
        checkpoint: file of the checkpoint.
        world: the processes that train, and this one's device.
        autocast: to bfloat16; None: where the device computes in it.
        loss: of the network and a batch; None: `denoising_loss`.
        facts: what the run learns from, kept in the checkpoint: anything JSON can hold.

    Attributes:
        before: header of the checkpoint that was loaded: `config`, and `facts` where they were kept.
        losses: of the last steps.

    Raises:
        ValueError: a weighting that is unknown, or does not fit the prior.
    """

    def __init__(
        self,
        prior: nn.Module,
        batches: Callable[[int], Tensor],
        config: TrainConfig,
        checkpoint: Path,
        world: World = ALONE,
        autocast: bool | None = None,
        loss: Loss | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        self.loss = loss or denoising_loss(cast(NetworkPrior, prior), config, world)
        self.prior = prior.to(world.device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.model = world.wrap(self.prior)
        self.batches, self.config, self.checkpoint = batches, config, checkpoint
        self.world = world
        self.autocast = fast_dtype(world.device) == torch.bfloat16 if autocast is None else autocast
        self.optimizer = torch.optim.AdamW(
            prior.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.ema = {name: value.detach().clone() for name, value in prior.state_dict().items()}
        self.step = 0
        self.facts, self.before = facts or {}, {}
        self.losses: deque[float] = deque(maxlen=KEPT)

    def __iter__(self) -> Iterator[Step]:
        """Run the remaining steps, one at a time. Raises ValueError where the processes begin at different ones."""
        begin = torch.tensor(self.step, dtype=torch.float64, device=self.world.device)
        if self.world.mean(begin) != self.step:
            raise ValueError(
                f"process {self.world.rank} would begin at step {self.step}, others elsewhere; the run folder "
                "must lie where all machines see it"
            )
        while self.step < self.config.steps:
            yield self._one_step()

    def _one_step(self) -> Step:
        began, config = time.perf_counter(), self.config
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + self.step)
        x = self.batches(self.step).to(self.world.device).to(memory_format=torch.channels_last)
        rate = config.learning_rate_at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.autocast):
            loss = self.loss(self.model, x, generator).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.prior.parameters(), config.clip)
        self.optimizer.step()
        self.step += 1
        mu = min(config.ema, self.step / (self.step + 9))
        with torch.no_grad():
            for name, value in self.prior.state_dict().items():
                self.ema[name].lerp_(value, 1 - mu) if value.is_floating_point() else self.ema[name].copy_(
                    value
                )
        value = float(self.world.mean(loss.detach()))
        if value != value:  # NaN
            raise FloatingPointError(
                f"the loss is not a number at step {self.step}; resume from {self.checkpoint} with a lower "
                "learning rate and --force"
            )
        self.losses.append(value)
        return Step(self.step, value, rate, time.perf_counter() - began)

    def save(self) -> None:
        """Write the checkpoint in the place of the old one. Raises OSError, which leaves the old one."""
        tensors = {f"model.{k}": v for k, v in self.prior.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
        numbers = {"step": self.step, "config": asdict(self.config), "facts": self.facts}
        header = {key: json.dumps(value) for key, value in {**numbers, "losses": list(self.losses)}.items()}
        write_tensors(self.checkpoint, tensors, header)

    def load(self) -> None:
        """Go on from the checkpoint. Raises ValueError where it belongs to another network, is damaged, or is none."""
        tensors, self.before = read_checkpoint(self.checkpoint)

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        own = self.prior.state_dict()
        check_fit(self.checkpoint, part("model."), own)
        check_fit(self.checkpoint, part("ema."), own)
        self.prior.load_state_dict(part("model."))
        self.ema = {k: v.to(self.world.device) for k, v in part("ema.").items()}
        self._load_optimizer(part("optimizer."))
        self.step = self.before["step"]
        self.losses.extend(self.before.get("losses", []))

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        """The optimiser's state; a parameter that never had a gradient has none."""
        state: dict[int, dict[str, Any]] = {}
        for index, parameter in enumerate(self.prior.parameters()):
            own = {name: tensors[f"{index}.{name}"] for name in MOMENTS if f"{index}.{name}" in tensors}
            if own and [v.shape for v in own.values()] != [torch.Size([]), *[parameter.shape] * 2]:
                raise ValueError(
                    f"{self.checkpoint}: the optimiser's state is not that of the network's parameters; {ADVICE}"
                )
            for name in MOMENTS[1:] if own else ():  # fused AdamW reads them in memory order
                own[name] = torch.empty_like(parameter).copy_(own[name])
            state |= {index: own} if own else {}
        if self.before["step"] and not state:
            raise ValueError(f"{self.checkpoint}: the optimiser's state is missing; {ADVICE}")
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


@torch.no_grad()
def begin_with(prior: NetworkPrior, weights: dict[str, Tensor]) -> None:
    """Give a prior the weights of another. A network that has position channels or attention besides begins as the
    same function: zeros read the new channels, and attention begins as none.

    Raises ValueError where the networks differ in anything else.
    """
    own = prior.state_dict()
    new = {name for name in own.keys() - weights.keys() if not name.startswith("network.attend.")}
    if different := sorted(new | (weights.keys() - own.keys())):
        raise ValueError(
            f"the prior to start from is another network than the preset's: they differ in {different[0]}"
            f"{f' and {len(different) - 1} more' if different[1:] else ''}; take its [network] into the preset"
        )
    for name, value in weights.items():
        target = own[name]
        if name == "network.enter.weight" and target.shape[1] > value.shape[1]:
            target[:, value.shape[1] :] = 0
            target = target[:, : value.shape[1]]
        if target.shape != value.shape:
            raise ValueError(
                f"the prior to start from is another network than the preset's: {name} is {tuple(value.shape)} there, "
                f"{tuple(target.shape)} here; take its [network] into the preset"
            )
        target.copy_(value)


@torch.no_grad()
def denoising_psnr(
    prior: NetworkPrior,
    images: Tensor,
    levels: tuple[float, ...] = (0.02, 0.1, 0.5, 2.0),
    data_range: float = 2.0,
) -> dict[float, float]:
    """Validation: PSNR [dB] of D(x + sigma z, sigma) against x at each noise level; images (B, C, H, W) in network
    units (with their position: C + 2), the noise seeded. `data_range` in network units."""
    out = {}
    for sigma in levels:
        errors = []
        for k in range(len(images)):  # one by one: the figure does not depend on a batch size
            generator = torch.Generator().manual_seed(k)
            x, position = split_position(images[k : k + 1], prior.channels)
            noisy = x + sigma * torch.randn(x.shape, generator=generator).to(x.device)
            errors.append((prior.denoise(noisy, sigma, position) - x).square().mean())
        mse = torch.stack(errors)
        out[sigma] = float((10 * torch.log10(data_range**2 / mse)).mean())
    return out
