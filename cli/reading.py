"""How an input is to be read: the same options for every verb that reads one, as one dictionary for `formats.read`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    pass

OPTIONS = {  # as the reader knows it -> as it is said
    "series": click.option("--series", help="DICOM: UID, number or description of one of several series."),
    "echo": click.option("--echo", type=int, help="Echo, of several (from 0)."),
    "time": click.option("--time", type=int, help="Time, repetition or dynamic, of several (from 0)."),
    "volume": click.option("--volume", type=int, help="One of several volumes in one place (from 0)."),
    "modality": click.option(
        "--modality", type=click.Choice(["CT", "MR"]), help="Of images that do not say it (NIfTI)."
    ),
    "pixel_mm": click.option(
        "--pixel-mm", type=float, help="Side of a pixel [mm], where the file does not say it."
    ),
    "angle_sign": click.option(
        "--angle-sign", type=int, help="Simple sinogram, .npy: -1, angles run clockwise."
    ),
    "center": click.option("--center", type=float, help="DXchange, NXtomo: column of the rotation axis."),
    "drop_columns": click.option(
        "--drop-columns", type=int, help="DXchange, NXtomo: header columns to drop."
    ),
    "max_memory": click.option(
        "--max-memory", type=float, help="GB that reading may take; by default what the machine has."
    ),
    "allow_external": click.option(
        "--allow-external", is_flag=True, default=None, help="HDF5 may refer to files beside it."
    ),
}


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the reading options; it gets those that were said as `reader`, {name: value}."""

    @wraps(command)
    def with_reader(**given: Any) -> Any:
        reader = {name: value for name in OPTIONS if (value := given.pop(name)) is not None}
        return command(**given, reader=reader)

    for option in reversed(OPTIONS.values()):
        with_reader = option(with_reader)
    return with_reader
