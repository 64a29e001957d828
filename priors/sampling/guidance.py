"""Classifier guidance (Song et al. 2021, eq. 14 and App. I; Dhariwal & Nichol 2021, Alg. 1): images of one class from a
prior of all of them. By Bayes' rule,

    grad log p_t(x | c) = grad log p_t(x) + w grad log p_t(c | x),

and by Tweedie's formula the denoiser of the class, at the noise level s,

    D_c(x, s) = D(x, s) + w s² grad_x log p(c | x, s),

so that guidance is a prior that contains a prior, which every sampler, law of noise and posterior method takes as any
other. w = 1 draws from p(x | c), as far as the classifier is right; a greater w from p(x) p(c | x)^w, nearly: clearer
cases of the class, and fewer kinds of them.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ..intensity import Intensity
from ..score import Prior, per_item


class Classifier(Protocol):
    """What class a noisy image is of."""

    classes: tuple[str, ...]

    def log_probabilities(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """log p(c | x = x_0 + sigma z), differentiable in x: (B, C, H, W), sigma a number or (B,) -> (B, K)."""
        ...


class Guided:
    """The prior of one class.

    Args:
        prior: of all classes.
        classifier: in the same network units, on the same device.
        name: one of its `classes`.
        strength: w of the module docstring.

    Raises:
        ValueError: an unknown class.
    """

    def __init__(self, prior: Prior, classifier: Classifier, name: str, strength: float = 1.0) -> None:
        if name not in classifier.classes:
            raise ValueError(f"got class {name!r}, the classifier knows {', '.join(classifier.classes)}")
        self.prior, self.classifier, self.strength = prior, classifier, strength
        self.index = classifier.classes.index(name)
        self.channels: int = prior.channels
        self.intensity: Intensity | None = prior.intensity

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """D_c(x, sigma), (B, C, H, W): one evaluation of the prior and one of the classifier with its gradient."""
        shift = self.strength * per_item(sigma, x) ** 2 * self.gradient(x, sigma)
        return self.prior.denoise(x, sigma) + shift

    def gradient(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """grad_x log p(c | x, sigma), (B, C, H, W); itself differentiable where x asks for it."""
        wanted = torch.is_grad_enabled() and x.requires_grad
        with torch.enable_grad():
            at = x if wanted else x.detach().requires_grad_()
            log_p = self.classifier.log_probabilities(at, sigma)[:, self.index]
            (gradient,) = torch.autograd.grad(log_p.sum(), at, create_graph=wanted)
        return gradient
