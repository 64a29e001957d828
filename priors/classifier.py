"""A noise-conditional classifier: a network, the noise levels it is trained under, its file.

    p(c | x, sigma) = softmax(F(c_in x, ¼ log sigma)),      c_in = 1 / sqrt(sigma² + sigma_data²)

trained on x = x_0 + sigma z with the cross-entropy, sigma log-uniform between the ends of the samplers' grids, which
are uniform times of the VE SDE (Song et al. 2021, App. I). It guides priors of the same network units
(`sampling/guidance.py`). The file is safetensors with a card in its header, as a prior's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from .checkpoint import write_tensors
from .nets.classifier import ClassifierConfig, ClassifierNetwork
from .score import per_item


@dataclass(frozen=True)
class ClassifierCard:
    """What a classifier is. Raises ValueError for entries that cannot be: a header may come from anywhere.

    Attributes:
        classes: their names, in the order of the labels.
        channels: of its images.
        sigma_data: standard deviation of its images in network units.
        network: fields of `ClassifierConfig`.
        modality: "CT" or "MR", and
        intensity: the map to network units, both as on the card of the prior that it guides; empty: of neither.
        training: how it was trained.
    """

    classes: tuple[str, ...]
    channels: int = 1
    sigma_data: float = 0.5
    network: dict[str, Any] = field(default_factory=dict)
    modality: str = ""
    intensity: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = self.classes
        sound = isinstance(names, tuple) and len(names) > 1 and all(isinstance(n, str) and n for n in names)
        if not sound or len(set(names)) != len(names):
            raise ValueError(f"the classifier's classes: got {names!r}, expected two or more different names")
        if type(self.channels) is not int or self.channels < 1:
            raise ValueError(
                f"the classifier's channels: got {self.channels!r}, expected a whole number above 0"
            )
        if not isinstance(self.sigma_data, int | float) or not 0 < self.sigma_data < math.inf:
            raise ValueError(
                f"the classifier's sigma_data: got {self.sigma_data!r}, expected a positive number"
            )
        if not all(isinstance(table, dict) for table in (self.network, self.intensity, self.training)):
            raise ValueError("the classifier's network, intensity and training must be tables")
        known = [f.name for f in fields(ClassifierConfig)]
        if unknown := sorted(set(self.network) - set(known)):
            raise ValueError(
                f"the classifier's network has no entry {', '.join(unknown)}; known: {', '.join(known)}"
            )


class NoiseClassifier(nn.Module):
    """The classifier that a card describes, untrained: every class equally likely."""

    def __init__(self, card: ClassifierCard) -> None:
        super().__init__()
        table: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in card.network.items()}
        self.card, self.classes = card, card.classes
        self.network = ClassifierNetwork(card.channels, len(card.classes), ClassifierConfig(**table))

    def log_probabilities(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """log p(c | x, sigma): (B, C, H, W), sigma a number or (B,) -> (B, K). Raises ValueError for a wrong number of
        channels."""
        if x.ndim != 4 or x.shape[1] != self.card.channels:
            raise ValueError(
                f"this classifier has {self.card.channels} channel(s): got an image batch of shape {tuple(x.shape)}"
            )
        level = per_item(sigma, x)
        scaled = x / torch.sqrt(level**2 + self.card.sigma_data**2)
        logits = self.network(scaled, 0.25 * torch.log(level.flatten().clamp_min(1e-8)))
        return F.log_softmax(logits.float(), 1)

    def forward(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        return self.log_probabilities(x, sigma)


def train(
    classifier: NoiseClassifier,
    batches: Callable[[int], tuple[Tensor, Tensor]],
    steps: int = 2000,
    learning_rate: float = 1e-3,
    levels: tuple[float, float] = (0.01, 20.0),
    seed: int = 0,
) -> list[float]:
    """Train in place, AdamW with a linear decay; the cross-entropy [nats] of each step.

    Args:
        batches: step -> images (B, C, H, W) in network units and their labels (B,), whole numbers.
        levels: least and greatest noise level.
        seed: of the noise; all that is random in a step is a function of (seed, step).

    Raises:
        FloatingPointError: the loss is not a number.
    """
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=learning_rate, weight_decay=1e-3)
    low, high = (math.log(level) for level in levels)
    losses = []
    for step in range(steps):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        x, labels = batches(step)
        sigma = torch.exp(low + (high - low) * torch.rand(len(x), generator=generator)).to(x)
        noisy = x + per_item(sigma, x) * torch.randn(x.shape, generator=generator).to(x)
        loss = F.nll_loss(classifier.log_probabilities(noisy, sigma), labels)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(classifier.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(
                f"the classifier's loss is not a number at step {step}; take a lower rate"
            )
    return losses


def save(path: Path, classifier: NoiseClassifier) -> None:
    """Write weights and card as one safetensors file (temporary name, then renamed)."""
    write_tensors(path, classifier.state_dict(), {"classifier": json.dumps(asdict(classifier.card))})


def load(path: Path, device: torch.device | str = "cpu") -> NoiseClassifier:
    """What `save` wrote, frozen, on `device`. Raises FileNotFoundError, ValueError (not a classifier's file)."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file; expected the .safetensors of a classifier")
    try:
        with safe_open(path, "pt") as file:
            header = (file.metadata() or {}).get("classifier")
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file, or cut off ({error})") from error
    if header is None:
        raise ValueError(f"{path}: holds no classifier (a prior?); expected a file of priors.classifier.save")
    try:
        table = json.loads(header)
        classifier = NoiseClassifier(ClassifierCard(**{**table, "classes": tuple(table["classes"])}))
        classifier.load_state_dict(weights)
        if broken := [key for key, tensor in weights.items() if not torch.isfinite(tensor).all()]:
            raise ValueError(f"NaN or Inf in {broken[0]}")
    except (ValueError, TypeError, LookupError, RuntimeError, ArithmeticError) as error:
        raise ValueError(f"{path}: its card or weights are not a classifier's ({error})") from error
    return classifier.to(device).requires_grad_(False).eval()
