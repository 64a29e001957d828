"""Cards and weights that nobody trains are refused at once, before a network is built, with a word on which."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from scanprior.pretrained.card import Card
from scanprior.pretrained.load import from_card, load

NETWORK = {"name": "unet", "base": 8, "multipliers": [1, 2], "blocks": 1}
CARD = {
    "name": "tiny",
    "modality": "CT",
    "channels": 1,
    "sigma_data": 0.5,
    "intensity": {"kind": "attenuation"},
    "network": NETWORK,
    "window": [-1024.0, 3071.0],
}


def nested(levels: int) -> dict:
    """A network with a coarse prior, which has a coarse prior, …"""
    inner = dict(NETWORK)
    for _ in range(levels):
        inner = {**NETWORK, "coarse": {**inner, "factor": 2, "above": 1.0}}
    return inner


def write(path: Path, card: dict | str, weights: dict[str, torch.Tensor] | None = None) -> Path:
    """A prior's file."""
    if weights is None:
        weights = from_card(Card.from_dict(CARD)).state_dict()
    text = card if isinstance(card, str) else json.dumps(card)
    save_file({key: tensor.contiguous() for key, tensor in weights.items()}, path, {"card": text})
    return path


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"sigma_data": math.inf}, "sigma_data"),
        ({"sigma_data": math.nan}, "sigma_data"),
        ({"sigma_data": True}, "sigma_data"),
        ({"sigma_data": 10**400}, "sigma_data"),
        ({"window": [-math.inf, math.inf]}, "window"),
        ({"pixel_mm": [0.0, 1.0]}, "pixel_mm"),
        ({"pixel_mm": [-1.0, 1.0]}, "pixel_mm"),
        ({"matrix": [1 << 40, 256]}, "matrix"),
        ({"channels": 10**6}, "channels"),
        ({"intensity": {"kind": "attenuation", "hu_per_unit": math.inf}}, "intensity"),
        ({"intensity": {"kind": "attenuation", "mu_water": math.nan}}, "intensity"),
        ({"intensity": {"kind": "attenuation", "mu_water": -1.0}}, "above 0"),
        ({"network": {**NETWORK, "blocks": 10**6}}, "blocks"),
        ({"network": {**NETWORK, "blocks": -1}}, "blocks"),
        ({"network": {**NETWORK, "base": 10**9}}, "base"),
        ({"network": {**NETWORK, "base": 8192}}, "do not fit"),
        ({"network": {**NETWORK, "multipliers": [1, math.nan]}}, "multipliers"),
        ({"network": {**NETWORK, "multipliers": [1] * 10**5}}, "multipliers"),
        ({"network": {**NETWORK, "noise": {"kind": "ve", "sigma_max": math.inf}}}, "noise"),
        ({"network": {**NETWORK, "noise": {"kind": "discrete", "steps": 10**9}}}, "noise.*beyond a million"),
        (
            {"network": {**NETWORK, "noise": {"kind": "discrete", "steps": 0}}},
            "no noise comes of .*'steps': 0",
        ),
        ({"network": {**NETWORK, "noise": {"kind": "discrete", "beta_1": 2.0}}}, "no noise comes of"),
        (
            {"network": {**NETWORK, "noise": {"kind": "levels", "sigma_max": 1, "sigma_min": 0, "count": 9}}},
            "no noise",
        ),
        (
            {"network": {**NETWORK, "noise": {"kind": "levels", "sigma_max": 1, "sigma_min": 1, "count": 9}}},
            "no noise",
        ),
        ({"network": {**NETWORK, "noise": {"kind": "ve", "sigma_min": -1.0}}}, "no noise comes of"),
        ({"network": {**NETWORK, "noise": {"kind": "vp", "beta_0": "x"}}}, "no noise comes of"),
        ({"network": nested(500)}, "coarse priors"),
    ],
)
def test_a_card_that_nobody_writes_is_refused_at_once(tmp_path: Path, entries: dict, words: str) -> None:
    path = write(tmp_path / "prior.safetensors", {**CARD, **entries})
    start = time.process_time()
    with pytest.raises(ValueError, match=words):
        load(path)
    assert time.process_time() - start < 5


def test_tables_without_end_are_no_card(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without end"):
        load(write(tmp_path / "prior.safetensors", '{"network":' * 100_000 + "1" + "}" * 100_000))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    weights = from_card(Card.from_dict(CARD)).state_dict()
    name = list(weights)[3]
    weights[name] = weights[name].clone()
    weights[name].view(-1)[0] = value
    with pytest.raises(ValueError, match=f"NaN or Inf .first in {name}"):
        load(write(tmp_path / "prior.safetensors", CARD, weights))


@pytest.mark.parametrize(("dtype", "name"), [(torch.bool, "BOOL"), (torch.int8, "I8")])
def test_weights_of_another_kind_are_refused(tmp_path: Path, dtype: torch.dtype, name: str) -> None:
    weights = {key: tensor.to(dtype) for key, tensor in from_card(Card.from_dict(CARD)).state_dict().items()}
    with pytest.raises(ValueError, match=f"weights of type {name}"):
        load(write(tmp_path / "prior.safetensors", CARD, weights))


def test_a_sound_prior_is_loaded(tmp_path: Path) -> None:
    weights = from_card(Card.from_dict(CARD)).state_dict()
    prior, _ = load(write(tmp_path / "prior.safetensors", {**CARD, "network": dict(NETWORK)}, weights))
    assert all(torch.equal(tensor, weights[key]) for key, tensor in prior.state_dict().items())
