"""Files of tensors on disk: written whole or not at all, and a training's checkpoint read back with every fault named.

A file is safetensors with text in its header; nothing is ever unpickled. It is written under a temporary name, brought
to the disk and renamed: a kill, a full disk or a power cut leaves the older file as it was.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

ADVICE = "put a copy of it back, or remove it to begin anew"


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a .safetensors file in the place of an older one. Raises OSError, with the file's name, where the disk is
    full or the folder cannot be written."""
    temporary = path.with_suffix(".tmp")
    try:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary, metadata)
        temporary.chmod(0o666 & ~_mask())  # safetensors leaves it to the owner alone; a lab shares its priors
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except SafetensorError as error:  # hides the system's error in its words
        number = int(found[1]) if (found := re.search(r"os error (\d+)", str(error))) else 0
        raise OSError(number, os.strerror(number) if number else str(error), str(path)) from error
    except OSError as error:
        raise OSError(error.errno or 0, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _mask() -> int:
    """The rights that new files are to lack here; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def sync(path: Path) -> None:
    """Bring a file to the disk, or the names in a folder where the system can do that."""
    folder = path.is_dir()
    with suppress(OSError) if folder else nullcontext():
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a training's checkpoint, and its header: `step`, and whatever else `Trainer.save` put there.

    Raises:
        ValueError: a file that is damaged, or is no checkpoint.
    """
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: is no checkpoint, or is cut off ({error}); {ADVICE}") from error
    if "step" not in header:
        raise ValueError(
            f"{path}: is no checkpoint of `scanprior train`: its header lacks the step; {ADVICE}"
        )
    try:
        facts = {key: json.loads(value) for key, value in header.items()}
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: the header of the checkpoint is damaged ({error}); {ADVICE}") from error
    if type(facts["step"]) is not int or facts["step"] < 0:
        raise ValueError(f"{path}: got step {facts['step']}, expected a whole number from 0 on; {ADVICE}")
    return tensors, facts


def check_fit(path: Path, found: dict[str, Tensor], own: dict[str, Tensor]) -> None:
    """Raise ValueError unless tensors of a checkpoint can stand in the places of `own`: names, shapes, types."""
    if found.keys() != own.keys() or any(found[k].shape != own[k].shape for k in own):
        raise ValueError(
            f"{path} holds another network than the preset describes; give another output folder"
        )
    for name, value in own.items():
        if found[name].dtype != value.dtype:
            raise ValueError(f"{path}: {name} is {found[name].dtype}, expected {value.dtype}; {ADVICE}")
        if not bool(torch.isfinite(found[name]).all()):
            raise ValueError(f"{path}: got NaN or Inf in {name}, expected finite numbers; {ADVICE}")
