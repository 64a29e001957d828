"""A classifier for `scanprior sample --class`: learns a column of an image set under noise.

python examples/classifier.py scans.h5 --column kernel --prior ct-256 -o kernel.safetensors
scanprior sample --prior ct-256 --class sharp --classifier kernel.safetensors -o out/
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scanprior.formats.images import open_images
from scanprior.pretrained.load import load
from scanprior.priors.classifier import ClassifierCard, NoiseClassifier, save, train
from scanprior.priors.crops import Augmentation, Crops
from scanprior.workflows.images import ImageSets
from torch import Tensor


def main(arguments: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="an image set with the column, or CIFAR-10")
    parser.add_argument("--column", default="label")
    parser.add_argument("--prior", default="ct-256", help="the prior to be guided: its intensities count")
    parser.add_argument("--output", "-o", type=Path, required=True)
    parser.add_argument("--size", type=int, default=128, help="side of the crops")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--base", type=int, default=32, help="width of the network")
    args = parser.parse_args(arguments)

    _, card = load(args.prior)
    columns = open_images(args.images).columns  # type: ignore[union-attr]
    if args.column not in columns:
        parser.error(f"{args.images} has no column {args.column!r}, only {', '.join(columns)}")
    names, labels = np.unique(columns[args.column].astype(str), return_inverse=True)
    images = ImageSets([args.images], card)
    plain = {"size": args.size, "batch": 1, "augmentation": Augmentation(degrees=0, zoom=(1, 1))}

    def batches(step: int) -> tuple[Tensor, Tensor]:
        chosen = np.random.default_rng(step).integers(len(images), size=args.batch)
        crops = [
            Crops([images[i]], ["one"], channels=card.channels, seed=int(i), **plain)(step) for i in chosen
        ]
        return torch.cat(crops), torch.from_numpy(labels[chosen])

    torch.manual_seed(0)
    classifier = NoiseClassifier(
        ClassifierCard(
            classes=tuple(names.tolist()),
            channels=card.channels,
            sigma_data=card.sigma_data,
            network={"base": args.base},
            modality=card.modality,
            intensity=card.intensity,
            training={"column": args.column, "steps": args.steps, "images": len(images)},
        )
    )
    losses = train(classifier, batches, args.steps)
    save(args.output, classifier)
    last = float(np.mean(losses[-20:]))
    print(
        f"classes {', '.join(names)}; cross-entropy {last:.3f} (guessing {np.log(len(names)):.3f}); wrote {args.output}"
    )
    return last


if __name__ == "__main__":
    main()
