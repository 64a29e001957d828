"""Would a lesion be seen in this scan? Lesions put into a measurement itself, y + A s, and looked for afterwards.

Nobody knows the truth of a scan. What the method made of it stands for the background: what is asked is whether a
lesion that is added to the data is added to the picture. Places and kinds are those of recon/lesions.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..formats.scan import Scan
from ..pretrained.card import Card
from ..recon.display import Display
from ..recon.lesion_figures import lesion_figures
from ..recon.lesions import KINDS, Kind, Lesion, placed
from ..recon.observer import ideal_detectability, unexplained
from ..recon.problem import Problem, Reconstruction
from .lesion_table import by_kind, finite

COUNT = 12  # at most so many a slice


def lesions_in_scan(
    scan: Scan,
    problem: Problem,
    found: Reconstruction,
    again: Callable[[Problem], Reconstruction],
    card: Card | None = None,
    kinds: Sequence[Kind] | None = None,
) -> list[dict[str, Any]]:
    """A line a kind of lesion (`by_kind`); empty where no slice has room for one.

    Args:
        problem: of the scan.
        found: its reconstruction.
        again: the same method with the same seed on another measurement.
        card: of the prior, whose water makes HU where the scan says none.
        kinds: of lesions; None: all.
    """
    display, device = Display(scan, problem, card), problem.y.device
    pixel = scan.pixel_mm
    pictures = display.image(found.mean)
    chosen = [
        placed(picture, kinds or KINDS[display.units], display.units, pixel, COUNT, b)
        for b, picture in enumerate(pictures)
    ]
    signals = [
        [_signal(mean, lesion, pixel, display) for lesion in lesions]
        for mean, lesions in zip(found.mean, chosen, strict=True)
    ]
    if not any(chosen):
        return []
    added = torch.stack(
        [sum(own, torch.zeros_like(mean)) for own, mean in zip(signals, found.mean, strict=True)]
    )
    changed = replace(problem, y=problem.y + problem.operator(added.to(device)))
    with_, rows = again(changed), []
    for b, (lesions, own) in enumerate(zip(chosen, signals, strict=True)):
        if not lesions:
            continue
        part, where = changed.items(slice(b, b + 1)), slice(b, b + 1)
        drawn, before = (display.image(x.samples[b]) for x in (with_, found))
        bare = display.image(found.mean[where])[0]
        truth = display.image((found.mean + added)[where])[0]
        shown = torch.stack(own)
        seen = ideal_detectability(part, shown), unexplained(part, with_.mean[where], shown)
        facts = []
        for lesion, d, left in zip(lesions, *(values.tolist() for values in seen), strict=True):
            fraction = lesion.fraction(bare.shape, pixel)
            figures = lesion_figures(drawn, before, truth, bare, fraction).to_dict()
            facts.append(
                {**asdict(lesion.kind), "detectability": finite(d), "unexplained": finite(left), **figures}
            )
        rows.append({"task": "this scan", "label": "", "patient": b, "slice": b, "lesions": facts})
    return by_kind(rows)


def _signal(image: torch.Tensor, lesion: Lesion, pixel: float, display: Display) -> torch.Tensor:
    """What a lesion adds to an image (H, W), physical."""
    fraction: NDArray[Any] = lesion.fraction((image.shape[0], image.shape[1]), pixel)
    part = lesion.kind.contrast * torch.from_numpy(fraction.astype(np.float32))
    return part * (display.water / 1000) if display.units == "HU" else part * image
