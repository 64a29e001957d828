"""Options that several verbs have, said once: the usual ones as annotations, and a workflow's settings as options.

    @verb
    @settings_options(SampleSettings, images={"names": ("--images", "-n")})
    def sample(output: Output, settings: SampleSettings, console: Console = HIDDEN) -> None:

Each field of the settings (workflows/settings.py) is an option: of its name, type and default, with its line of
`Attributes:` as help.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from ..recon.docstrings import attribute_docs
from . import choices

METAVARS = {int: "N", float: "NUMBER", str: "TEXT", Path: "FILE"}
USUAL: dict[str, dict[str, Any]] = {  # whatever settings they belong to
    "device": {"metavar": "NAME", **choices.DEVICE},
    "dtype": {"metavar": "NAME", **choices.DTYPE},
    "method": {"metavar": "NAME", **choices.METHOD},
    "prior": {"metavar": "NAME", **choices.PRIOR},
    "pixel_mm": {"metavar": "MM"},
    "sampler": {"metavar": "NAME"},
}


def argument(help: str, metavar: str, **more: Any) -> Any:
    """What stands on the command line without a name."""
    return typer.Argument(help=help, metavar=metavar, **more)


def option(help: str, metavar: str | None = None, *names: str, **more: Any) -> Any:
    """An option, called as the parameter is where it has no `names`."""
    return typer.Option(*names, help=help, metavar=metavar, **more)


def into(help: str, metavar: str = "FOLDER") -> Any:
    """Where the results go."""
    return option(help, metavar, "--output", "-o", rich_help_panel="Output")


def prior_option(help: str) -> Any:
    """A prior by name, completed."""
    return option(help, **USUAL["prior"])


Output = Annotated[Path, into("Folder for the results.")]
OutputOrDry = Annotated[Path, into("Folder for the results; --dry-run needs none.")]
Overwrite = Annotated[bool, option("Replace what is there.", None, "--overwrite", rich_help_panel="Output")]
Prior = Annotated[
    str | None,
    prior_option("Name, run folder, .safetensors file or package.module:Name; by default the bundled one."),
]
Device = Annotated[str, option("Where it computes: cpu, cuda or auto.", **USUAL["device"])]
Preset = Annotated[
    str, option("ct-256, mri-256, or a TOML file of your own.", "NAME", **choices.TRAINING_PRESET)
]


def settings_options(
    kind: type, name: str = "settings", without: Sequence[str] = (), **own: dict[str, Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a verb the fields of settings as options; it gets them as one value, its argument `name`.

    Args:
        without: fields that are no options.
        own: what `typer.Option` is told of a field, beside or instead of the usual; `names` of the option, where it is
            not called as the field is, and another `default`.
    """
    fields = [field for field in dataclasses.fields(kind) if field.name not in without]
    hints, docs = get_type_hints(kind), attribute_docs(kind.__doc__ or "")
    adding = [
        _parameter(field, _typed(hints[field.name]), docs[field.name], own.get(field.name, {}))
        for field in fields
    ]

    def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def run(**given: Any) -> Any:
            said = {field.name: given.pop(field.name, None) for field in fields}
            value = kind(**{key: value for key, value in said.items() if value is not None})
            return command(**given, **{name: value})

        return signed(run, command, name, adding)

    return with_settings


def _parameter(field: dataclasses.Field[Any], hint: Any, doc: str, own: dict[str, Any]) -> inspect.Parameter:
    """A field as a parameter that Typer reads."""
    default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
    option = {"help": doc[0].upper() + doc[1:], **USUAL.get(field.name, {}), **own}
    names, default = option.pop("names", ()), option.pop("default", default)
    if default is False and not names:
        names = (f"--{field.name.replace('_', '-')}",)  # and no --no-…
    option.setdefault("metavar", METAVARS.get(_parts(hint)[0]))
    option.setdefault("show_default", default is not False and default not in ("", None))
    kind = Annotated[hint, typer.Option(*names, **option)]
    return parameter(field.name, kind, None if default == () else default)


def parameter(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """Of a verb, by name only."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _parts(hint: Any) -> tuple[Any, ...]:
    """The types of a union; the type itself of another."""
    return get_args(hint) if isinstance(hint, UnionType) else (hint,)


def _typed(hint: Any) -> Any:
    """A type as the command line has it: a text where a text will do, a list for a sequence."""
    parts = _parts(hint)
    if str in parts:
        return str | None if NoneType in parts else str
    return list[str] | None if get_origin(hint) is Sequence else hint


def signed(
    wrapper: Callable[..., Any],
    command: Callable[..., Any],
    instead_of: str,
    adding: Sequence[inspect.Parameter],
    last: Sequence[str] = (),
) -> Callable[..., Any]:
    """A wrapper with the parameters of `command`; `instead_of` that which the wrapper fills in, those that it takes.
    `last`: names of those that end the list."""
    parameters: list[inspect.Parameter] = []
    for own in inspect.signature(command, eval_str=True).parameters.values():
        parameters += adding if own.name == instead_of else [own.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
    parameters.sort(key=lambda p: p.name in last)
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    del wrapper.__wrapped__  # type: ignore[attr-defined]  # Typer would read its annotations
    return wrapper
