"""How an input is to be read: the same options for every verb that reads one, as one dictionary for `formats.read`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Literal

import typer

from .options import option, parameter, signed

Reader = dict[str, Any] | None  # what a verb gets as `reader`: {name: value} of the options that were said
PANEL = "Reading"


def _option(help: str, metavar: str | None = None, *names: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=PANEL, show_default=False, metavar=metavar)


OPTIONS = {  # as the reader knows it -> as it is said
    "series": Annotated[str | None, _option("DICOM: one of several, by UID, number or description.", "TEXT")],
    "echo": Annotated[int | None, _option("DICOM, NIfTI: one of several echoes, from 0.", "N")],
    "time": Annotated[int | None, _option("DICOM, NIfTI: one of several times, from 0.", "N")],
    "volume": Annotated[int | None, _option("DICOM, NIfTI: one of several volumes, from 0.", "N")],
    "modality": Annotated[
        Literal["CT", "MR"] | None, _option("NIfTI: CT or MR, which it does not say.", "CT|MR")
    ],
    "pixel_mm": Annotated[
        float | None, _option("Side of a pixel in mm, where the file does not say it.", "MM")
    ],
    "angle_sign": Annotated[int | None, _option("Simple sinogram, .npy: -1 for clockwise angles.", "1|-1")],
    "center": Annotated[float | None, _option("DXchange, NXtomo: column of the rotation axis.", "COLUMN")],
    "drop_columns": Annotated[int | None, _option("DXchange, NXtomo: header columns to drop.", "N")],
    "max_memory": Annotated[float | None, _option("GB that reading may take; else what is there.", "GB")],
    "allow_external": Annotated[
        bool | None, _option("HDF5: may refer to files beside it.", None, "--allow-external")
    ],
}


Views = Annotated[
    str | None, option("Measured CT: some views, e.g. 0::9 or 0,30,60.", "TEXT", rich_help_panel="Scan")
]
Arc = Annotated[
    str | None, option("Measured CT: views in an arc, degrees: 0:120.", "TEXT", rich_help_panel="Scan")
]


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the reading options; it gets those that were said as `reader`, {name: value}."""

    @wraps(command)
    def with_reader(**given: Any) -> Any:
        reader = {name: value for name in OPTIONS if (value := given.pop(name, None)) is not None}
        return command(**given, reader=reader)

    adding = [parameter(name, kind) for name, kind in OPTIONS.items()]
    return signed(with_reader, command, "reader", adding)
