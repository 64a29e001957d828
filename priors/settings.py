"""How a prior is trained, as numbers: what a training preset says, checked without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random transform: [degrees], zoom factors, relative intensity jitter (multiplicative, additive in
    network units; complex images: along the real axis, before the random phase)."""

    degrees: float = 12.0
    zoom: tuple[float, float] = (0.8, 1.2)
    flip_rows: bool = False
    gain: float = 0.0
    offset: float = 0.0


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a run; the field's usual values for small medical sets."""

    steps: int = 20_000
    learning_rate: float = 5e-4
    warmup: int = 200
    decay: float = 0.5  # the last part of the run, with the learning rate falling linearly to zero
    ema: float = 0.999
    clip: float = 1.0
    weight_decay: float = 1e-3
    weighting: str = "edm"  # losses.py; "noise" and "likelihood" under the law of a `PublishedPrior`
    p_mean: float = -1.4  # of edm's log sigma
    p_std: float = 1.4
    seed: int = 0

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step."""
        remaining = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup), remaining)


def check_coarse(whose: str, factor: object, above: object) -> None:
    """Refuse what no coarse prior can have, with ValueError: a factor below 2, or no level above zero."""
    if type(factor) is not int or factor < 2 or type(above) not in (int, float) or not above > 0:  # type: ignore[operator]
        raise ValueError(
            f"{whose}: got factor = {factor!r} and above = {above!r}, expected a whole number of 2 at least and a "
            "level above zero"
        )
