"""How an input is to be read: the same options for every verb that reads one, as one dictionary for `formats.read`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..formats.scan import Scan, Volume

OPTIONS = (
    click.option("--series", help="DICOM: UID, number or description of one of several series."),
    click.option("--echo", type=int, help="Echo, of several (from 0)."),
    click.option("--time", type=int, help="Time, repetition or dynamic, of several (from 0)."),
    click.option("--volume", type=int, help="One of several volumes in one place (from 0)."),
    click.option("--modality", type=click.Choice(["CT", "MR"]), help="Of images that do not say it (NIfTI)."),
    click.option("--pixel-mm", type=float, help="Side of a pixel [mm], where the file does not say it."),
    click.option("--angle-sign", type=int, help="Simple sinogram, .npy: -1, angles run clockwise."),
    click.option("--center", type=float, help="DXchange, NXtomo: column of the rotation axis."),
    click.option("--drop-columns", type=int, help="DXchange, NXtomo: header columns to drop."),
    click.option(
        "--max-memory", type=float, help="GB that reading may take; by default what the machine has."
    ),
    click.option("--allow-external", is_flag=True, default=None, help="HDF5 may refer to files beside it."),
)
NAMES = (
    "series", "echo", "time", "volume", "modality", "pixel_mm", "angle_sign", "center", "drop_columns",
    "max_memory", "allow_external",
)  # fmt: skip


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the reading options; it gets those that were said as `reader`, {name: value}."""

    @wraps(command)
    def with_reader(**given: Any) -> Any:
        reader = {name: value for name in NAMES if (value := given.pop(name)) is not None}
        return command(**given, reader=reader)

    for option in reversed(OPTIONS):
        with_reader = option(with_reader)
    return with_reader


def remarks(item: Scan | Volume) -> list[str]:
    """What must be said of an input that was read: what was assumed, dropped or repaired, a sentence each."""
    said = list(item.remarks)
    if item.pixel_assumed and not any("pixel size" in line for line in said):
        said.append("the file does not say how large a pixel is: its size is assumed; --pixel-mm says it")
    return said
