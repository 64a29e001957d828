"""How an input is to be read: the same options for every verb that reads one, as one dictionary for `formats.read`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Literal

import typer

Reader = dict[str, Any] | None  # what a verb gets as `reader`: {name: value} of the options that were said
PANEL = "Reading"


def _option(help: str) -> Any:
    return typer.Option(help=help, rich_help_panel=PANEL, show_default=False)


OPTIONS = {  # as the reader knows it -> as it is said
    "series": Annotated[str | None, _option("DICOM: UID, number or description of one of several series.")],
    "echo": Annotated[int | None, _option("Echo, of several (from 0).")],
    "time": Annotated[int | None, _option("Time, repetition or dynamic, of several (from 0).")],
    "volume": Annotated[int | None, _option("One of several volumes in one place (from 0).")],
    "modality": Annotated[Literal["CT", "MR"] | None, _option("Of images that do not say it (NIfTI).")],
    "pixel_mm": Annotated[float | None, _option("Side of a pixel [mm], where the file does not say it.")],
    "angle_sign": Annotated[int | None, _option("Simple sinogram, .npy: -1, angles run clockwise.")],
    "center": Annotated[float | None, _option("DXchange, NXtomo: column of the rotation axis.")],
    "drop_columns": Annotated[int | None, _option("DXchange, NXtomo: header columns to drop.")],
    "max_memory": Annotated[
        float | None, _option("GB that reading may take; by default what the machine has.")
    ],
    "allow_external": Annotated[
        bool | None,
        typer.Option(
            "--allow-external",
            help="HDF5 may refer to files beside it.",
            rich_help_panel=PANEL,
            show_default=False,
        ),
    ],
}


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the reading options; it gets those that were said as `reader`, {name: value}."""

    @wraps(command)
    def with_reader(**given: Any) -> Any:
        reader = {name: value for name in OPTIONS if (value := given.pop(name)) is not None}
        return command(**given, reader=reader)

    own = inspect.signature(command, eval_str=True).parameters.values()
    said = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in OPTIONS.items()
    ]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own if p.name != "reader"]
    with_reader.__signature__ = inspect.Signature([*parameters, *said])  # type: ignore[attr-defined]
    with_reader.__annotations__ = {p.name: p.annotation for p in (*parameters, *said)}
    del with_reader.__wrapped__  # Typer would read its annotations
    return with_reader
