"""The network whose features FID and IS are of, from the user's file: (B, 3, H, W) uint8 -> features, log p(c | x).

- Weights of Inception as torch-fidelity distributes them (a state dict): its `FeatureExtractorInceptionV3`, with the
  2,048 features and the unbiased logits, resized as TensorFlow did. Needs the extra `evaluate`.
- TorchScript: a module that takes such a batch and returns (features (B, d), logits (B, K)), or features alone.

Nothing is unpickled: weights are read as tensors only and handed on as a file that holds nothing else.
"""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

Features = Callable[[Tensor], tuple[Tensor, Tensor | None]]


def open_features(path: Path, device: str) -> Features:
    """The network in a file, on `device`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: neither weights nor TorchScript, weights of another network, or torch-fidelity is missing.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: there is no such file; expected Inception's weights (weights-inception-2015-12-05-6726825d.pth "
            "of torch-fidelity's releases) or a TorchScript network"
        )
    network = _script(path, device) if _is_script(path) else _inception(path, device)

    @torch.no_grad()
    def features(x: Tensor) -> tuple[Tensor, Tensor | None]:
        out = network(x.to(device))
        first, *more = out if isinstance(out, tuple | list) else (out,)
        if not isinstance(first, Tensor) or first.ndim != 2 or len(first) != len(x):
            raise ValueError(
                f"{path.name}: got {getattr(first, 'shape', type(first).__name__)} for {len(x)} images, expected "
                "features (images, d), and logits (images, classes) beside them"
            )
        return first.float().cpu(), torch.log_softmax(more[0].double(), 1).cpu() if more else None

    return features


def _is_script(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _script(path: Path, device: str) -> Callable[[Tensor], object]:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # the one format of networks that torch reads unpickled
        try:
            return torch.jit.load(path, map_location=device).eval()
        except RuntimeError as error:
            raise ValueError(f"{path}: no TorchScript network ({_line(error)})") from error


def _inception(path: Path, device: str) -> nn.Module:
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many types, as many as there are files
        raise ValueError(f"{path}: neither a state dict nor TorchScript ({_line(error)})") from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError(f"{path}: holds no state dict, expected Inception's weights (docs/priors.md)")
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import (  # pyright: ignore[reportMissingImports]
            FeatureExtractorInceptionV3,
        )
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that is not this torch's
        raise ValueError(
            f"Inception's weights need torch-fidelity, which cannot be imported ({_line(error)}): pip install "
            "'scanprior[evaluate]', with a torchvision that fits this torch; or give a TorchScript network"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        plain = (
            Path(folder) / "weights.pth"
        )  # tensors and nothing else: torch-fidelity would unpickle anything
        torch.save(dict(weights), plain)
        try:
            network = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], str(plain))
        except RuntimeError as error:
            raise ValueError(f"{path}: not Inception's weights as torch-fidelity has them") from error
    return network.to(device).eval()


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
