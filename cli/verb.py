"""What every verb has: `@verb` above a function adds the options below, and hands it a `console` (console.py) that
follows them. They may stand before the verb too: `scanprior --quiet reconstruct …`.

    @verb
    @reading_options
    def simulate(image: …, console: Console = HIDDEN, reader: Reader = None) -> None:
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError, unknown
from .console import Console

HIDDEN: Any = None  # the default of what a decorator fills in
PANEL = "Messages"


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """The options of a file become the defaults of the command line's."""
    if path is None or context.resilient_parsing:
        return path
    import tomllib

    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config: {path} is no TOML file ({error})") from None
    names = {}  # as it may be written -> the parameter, and whether that is its "no"
    for param in context.command.params:
        for said_so, options in ((True, [f"--{param.name}", *param.opts]), (False, param.secondary_opts)):
            names |= {_plain(name): (param.name, said_so) for name in options if name.startswith("--")}
    defaults: dict[str, Any] = {}
    for key, value in said.items():
        if _plain(key) not in names.keys() - {"config", "help"}:
            raise unknown(f"--config {path}", key, sorted(names.keys() - {"config", "help"}))
        if isinstance(value, dict):
            raise UsageError(f"--config {path}: got a table [{key}], expected options as `name = value`")
        name, said_so = names[_plain(key)]
        if not said_so and not isinstance(value, bool):
            raise UsageError(f"--config {path}: got {key} = {value!r}, expected true or false")
        defaults[name] = value if said_so else not value
    context.default_map = {**(context.default_map or {}), **defaults}
    return path


def _plain(name: str) -> str:
    return name.removeprefix("--").replace("_", "-")


def _option(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=PANEL, show_default=False, **more)


AsJson = Annotated[bool | None, _option("--json", help="The result as one JSON document.")]
Quiet = Annotated[bool | None, _option("--quiet", "-q", help="Only the result, and warnings.")]
Verbose = Annotated[bool | None, _option("--verbose", "-v", help="How long each stage takes.")]
LogFile = Annotated[
    Path | None, _option("--log-file", help="Append all messages to this file.", metavar="FILE")
]
MESSAGES = {"as_json": AsJson, "quiet": Quiet, "verbose": Verbose, "log_file": LogFile}
CONFIG = Annotated[
    Path | None,
    _option(
        "--config",
        help="Options from this TOML file; the command line overrules it.",
        metavar="FILE",
        callback=_read_config,
        is_eager=True,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Say what would be done, the time and the memory; write nothing.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]


def verb(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb --json, --quiet, --verbose, --log-file and --config; its `console` follows them."""

    @wraps(command)
    def run(**given: Any) -> None:
        context, _ = given.pop("context", None), given.pop("config", None)
        before = {} if context is None else context.find_root().params
        said: dict[str, Any] = {name: given.pop(name, None) or before.get(name) for name in MESSAGES}
        with Console(**said) as console:
            if "console" in inspect.signature(command).parameters:
                given["console"] = console
            command(**given)

    return signed(run, command, "console", {"context": typer.Context, **MESSAGES, "config": CONFIG})


def signed(
    wrapper: Callable[..., Any], command: Callable[..., Any], without: str, adding: dict[str, Any]
) -> Callable[..., Any]:
    """A wrapper with the parameters of `command`, `without` that which the wrapper fills in, and with those that it
    takes: name -> annotation."""
    own = inspect.signature(command, eval_str=True).parameters.values()
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own if p.name != without]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in adding.items()
    ]
    parameters.sort(key=lambda p: p.name in {"dry_run", *MESSAGES, "config"})  # the last panel of --help
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    del wrapper.__wrapped__  # type: ignore[attr-defined]  # Typer would read its annotations
    return wrapper
