"""What every verb has: `@verb` above a function adds the options below, and hands it a `console` (console.py) that
follows them. They may stand before the verb too: `scanprior --quiet reconstruct …`.

    @verb
    @reading_options
    def simulate(image: …, console: Console = HIDDEN, reader: Reader = None) -> None:
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError, unknown
from .console import Console
from .options import parameter, signed

HIDDEN: Any = None  # the default of what a decorator fills in
NONE: Any = None  # of an --output that only --dry-run does without
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
    """Give a verb --json, --quiet, --verbose, --log-file and --config; its `console` follows them. One with a
    `dry_run` needs its `output` only where it is none."""

    own = inspect.signature(command, eval_str=True).parameters
    needs_output = (
        "dry_run" in own and own["output"].annotation.__origin__ is Path
    )  # tune's has a place by default

    @wraps(command)
    def run(**given: Any) -> None:
        context, _ = given.pop("context", None), given.pop("config", None)
        before = {} if context is None else context.find_root().params
        said: dict[str, Any] = {name: given.pop(name, None) or before.get(name) for name in MESSAGES}
        with Console(**said, inputs=_inputs(given)) as console:
            if needs_output and given["output"] is None and not given["dry_run"]:
                raise UsageError("got no --output, expected a folder for the results: -o FOLDER")
            command(**given, console=console)

    kinds = {"context": typer.Context, **MESSAGES, "config": CONFIG}
    adding = [parameter(name, kind) for name, kind in kinds.items()]
    run.__doc__ = reflowed(run.__doc__ or "")
    return signed(run, command, "console", adding, last=("dry_run", *MESSAGES, "config"))


def _inputs(given: dict[str, Any]) -> list[Path]:
    """The files that a verb is given, where their names are not asked for in its results."""
    if given.get("name_in_report"):
        return []
    values = [value for name, value in given.items() if name != "output"]
    paths = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return [path for path in paths if isinstance(path, Path)]


def reflowed(help: str) -> str:
    """A docstring whose paragraphs are a line each, for a terminal of any width; but for those after \\b."""
    parts = re.split(r"\n\s*\n", inspect.cleandoc(help))
    return "\n\n".join(part if "\b" in part else " ".join(part.split()) for part in parts)
