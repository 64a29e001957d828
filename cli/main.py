"""`scanprior`: the command line.

A verb's module is imported when the verb is asked for and not before, so that `scanprior --help` needs nothing but
Typer. Expected errors (a wrong file, a wrong option, no memory) become one line and exit code 2; a defect of scanprior
itself one line and exit code 1 (errors.py, `described`); SCANPRIOR_DEBUG=1 shows the traceback of either.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from .. import __version__
from ..errors import described
from ..named import own_fault
from .verb import PANEL, AsJson, LogFile, Quiet, Verbose

VERBS = {  # verb -> its line in --help; the code is the function, or the group, of that name in the module of that name
    "demo": "A first reconstruction in less than a minute, without any data.",
    "reconstruct": "Reconstruct a scan: mean, standard deviation, samples, report.",
    "audit": "Can a reconstruction be trusted here?",
    "simulate": "Simulate an undersampled or low-dose scan from images.",
    "benchmark": "Methods beside each other: tables, intervals, pictures.",
    "calibrate": "Is the spread of posterior samples right?",
    "tune": "Settings of a method for measurements like yours.",
    "prepare": "Turn folders of scans into a training pack.",
    "train": "Train a prior on your own scans.",
    "sample": "Draw images from a prior.",
    "evaluate": "FID, IS and bits/dim of a prior.",
    "likelihood": "How likely images are under a prior, in bits/dim.",
    "info": "What a file is, from its headers.",
    "validate": "Check a file before a reconstruction, and say what is missing.",
    "priors": "List, show, check, fetch and import priors.",
    "methods": "What the methods are, and which settings they take.",
    "presets": "List and remove tuned settings.",
    "intervals": "List and remove what intervals are calibrated for.",
    "data": "Sets of images to evaluate on.",
}
INTERRUPTED = 130
SETTINGS = {"help_option_names": ["-h", "--help"]}


class Verb(TyperCommand):
    """A verb, whose --help stands with the options that all have."""

    def get_help_option(self, ctx: Any) -> Any:
        option: Any = super().get_help_option(ctx)
        if option is not None:
            option.rich_help_panel = PANEL
        return option


def command_of(verb: str) -> Any:
    """The command of a verb."""
    module = import_module(f".{verb}", __package__)
    found = getattr(module, verb)
    if not isinstance(found, typer.Typer):
        app = typer.Typer(add_completion=False, context_settings=SETTINGS)
        app.command(verb, epilog=getattr(module, "epilog", str)() or None)(found)
        found = app
    for command in found.registered_commands:
        command.cls = Verb
    return get_command(found)


class Verbs(TyperGroup):
    """A group that imports a verb's module only to run it or to print its help."""

    listing = False  # the verbs are being listed: their names and lines are enough

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = {verb: TyperCommand(verb, help=line) for verb, line in VERBS.items()}

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS or self.listing:
            return self.commands.get(cmd_name)
        return command_of(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with self._listing():
            super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        with self._listing():
            return super().shell_complete(ctx, incomplete)

    @contextmanager
    def _listing(self) -> Iterator[None]:
        self.listing = True
        try:
            yield
        finally:
            self.listing = False


app = typer.Typer(cls=Verbs, no_args_is_help=True, context_settings=SETTINGS, pretty_exceptions_enable=False)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"scanprior {__version__}")
        raise typer.Exit


@app.callback()
def scanprior(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    as_json: AsJson = None,
    quiet: Quiet = None,
    verbose: Verbose = None,
    log_file: LogFile = None,
) -> None:
    """CT and MRI reconstruction from too few measurements, with score-based priors.

    Research use only. Not for diagnosis.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0 done, 2 wrong use or wrong data, 1 a defect, 130
    interrupted."""
    try:
        code = get_command(app).main(arguments, prog_name="scanprior", standalone_mode=False)
        if code == INTERRUPTED:  # what Typer makes of Ctrl-C
            print("Interrupted", file=sys.stderr)
        sys.exit(code)
    except Exception as error:
        if (show := getattr(error, "show", None)) is not None:  # wrong use, which Typer says
            show()
            sys.exit(getattr(error, "exit_code", 2))
        code, line = described(error)
        if code == 1 and (fault := own_fault(error)):
            code, line = 2, f"Error: {fault} (your own code; SCANPRIOR_DEBUG=1 shows how it was called)"
        if os.environ.get("SCANPRIOR_DEBUG", "0") not in ("", "0"):
            raise
        print(line, file=sys.stderr)
        sys.exit(code)
