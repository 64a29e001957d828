"""Config -> network. The config is what a card or a preset says under [network]; an unknown key is an error."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import nn

from .adm import ADM, ADMConfig
from .ncsnpp import NCSNpp, NCSNppConfig
from .ncsnv2 import NCSNv2, NCSNv2Config
from .unet import UNet, UNetConfig

NETWORKS: dict[str, tuple[type, type]] = {
    "unet": (UNetConfig, UNet),
    "ncsnpp": (NCSNppConfig, NCSNpp),
    "adm": (ADMConfig, ADM),
    "ncsnv2": (NCSNv2Config, NCSNv2),
}


def build(config: Mapping[str, Any]) -> nn.Module:
    """The network that `config` describes: {"name": "unet", ...fields of its config class}.

    Raises ValueError for an unknown network or field.
    """
    options = dict(config)
    name = options.pop("name", None)
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; known: {', '.join(NETWORKS)}")
    config_type, network_type = NETWORKS[name]
    known = [field.name for field in dataclasses.fields(config_type)]
    if unknown := set(options) - set(known):
        raise ValueError(
            f"network {name!r} has no option {', '.join(sorted(unknown))}; known: {', '.join(known)}"
        )
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    return network_type(config_type(**options))
