"""A user's own prior, any object with `channels`, `intensity` and `denoise` (score.Prior), as the workflows run one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .intensity import Intensity
from .score import Prior


class OwnPrior:
    """`prior`, moved to a device where it is a torch module; it computes in the type it has.

    Raises:
        ValueError: an object that is no prior; says what it lacks.
    """

    def __init__(self, prior: Any, name: str) -> None:
        lacks = [part for part in ("channels", "intensity", "denoise") if not hasattr(prior, part)]
        if lacks or not callable(prior.denoise) or type(prior.channels) is not int or prior.channels < 1:
            wrong = f"lacks {', '.join(lacks)}" if lacks else f"has channels = {prior.channels!r}"
            raise ValueError(
                f"{name!r} is no prior: it {wrong}; expected channels (1 real, 2 complex), intensity (a map to its "
                "units, or None) and denoise(x, sigma), as docs/howto/own-prior.md has them"
            )
        self.prior: Prior = prior
        self.name = name
        self.channels: int = prior.channels
        self.intensity: Intensity | None = prior.intensity

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """D(x, sigma), (B, C, H, W) float32. Raises ValueError for another shape."""
        found = self.prior.denoise(x, sigma)
        if found.shape != x.shape:
            raise ValueError(
                f"{self.name}: denoise gave shape {tuple(found.shape)} for images of shape {tuple(x.shape)}, expected "
                "the same"
            )
        return found.float()

    def for_inference(self, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> OwnPrior:
        """This prior on `device`. Raises ValueError for a `dtype` other than float32."""
        if dtype not in (None, torch.float32):
            raise ValueError(
                f"{self.name}: got dtype {dtype}, expected none: your own prior computes in its own type"
            )
        if isinstance(self.prior, nn.Module):
            self.prior.to(device).requires_grad_(False).eval()
        return self

    def __repr__(self) -> str:
        return f"OwnPrior({self.name!r}, channels={self.channels}, intensity={self.intensity})"
