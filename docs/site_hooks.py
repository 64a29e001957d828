"""mkdocs calls these: what a page can be told by the program or the folder is written from there, and cannot drift."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COMMANDS = "<!-- the command line -->"
NOTEBOOK = "<!-- the pages of this folder -->"
POSTERIOR, CLASSICAL = "<!-- the posterior methods -->", "<!-- the classical methods -->"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, "\n".join(command_line()))
    if NOTEBOOK in markdown:
        markdown = markdown.replace(NOTEBOOK, "\n".join(notebook(Path(page.file.abs_src_path).parent)))
    for mark in (POSTERIOR, CLASSICAL):
        if mark in markdown:
            markdown = markdown.replace(mark, "\n\n".join(classes(mark == POSTERIOR)))
    return markdown


def classes(posterior: bool) -> Iterator[str]:
    """The methods, or the baselines, for mkdocstrings; published settings are behind `DDS.paper()`."""
    from scanprior.recon.methods import BASELINES, METHODS, PUBLISHED

    for name, entry in (METHODS if posterior else BASELINES).items():
        if not name.endswith(PUBLISHED):
            yield f"::: scanprior.recon.{entry.kind}"


def notebook(folder: Path) -> Iterator[str]:
    """The dated pages of a folder, the newest first, each by its title."""
    for path in sorted(folder.glob("20*.md"), reverse=True):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        yield f"- [{title}]({path.name})"


def command_line() -> Iterator[str]:
    """Every command with its options, in Markdown. A Typer application is a tree of click's commands underneath."""
    from scanprior.cli.main import app

    root: Any = app
    if not hasattr(root, "params"):
        from typer.main import get_command

        root = get_command(root)
    yield from _described(root, root.context_class(root, info_name="scanprior"))


def _described(command: Any, context: Any, depth: int = 2) -> Iterator[str]:
    yield f"{'#' * depth} {context.command_path}\n"
    yield from _prose(command.help)
    yield f"```\n{command.get_usage(context).removeprefix('Usage: ')}\n```\n"
    shown = [item for item in command.get_params(context) if not getattr(item, "hidden", False)]
    panels = dict.fromkeys(getattr(item, "rich_help_panel", None) for item in shown)
    for panel in panels:
        rows = [_row(item, context) for item in shown if getattr(item, "rich_help_panel", None) == panel]
        rows = [row for row in rows if row]
        if rows:
            yield f"| {panel or 'Option'} | |\n|---|---|\n" + "\n".join(rows) + "\n"
    yield from _prose(command.epilog)
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                below = found.context_class(found, info_name=name, parent=context)
                yield from _described(found, below, depth + 1)


def _row(item: Any, context: Any) -> str:
    """An option or argument as a line of a table; nothing for an argument without a text."""
    record = item.get_help_record(context)
    name, text = record if record else (item.make_metavar(context), getattr(item, "help", "") or "")
    return f"| {_code(name)} | {_escaped(' '.join(text.split()))} |" if text else ""


ENTRY = re.compile(r"\s*([\w-]+) {2,}(\S.*)")  # a line of a list in the terminal: a name, and what it is


def _prose(text: str | None) -> Iterator[str]:
    """Help text of the terminal as Markdown: paragraphs after \\b keep their lines, names with a text are a list."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc((text or "").replace("\f", ""))):
        body = paragraph.strip("\n")
        if body.startswith("\b"):
            yield "```\n" + inspect.cleandoc(body.removeprefix("\b").strip("\n")) + "\n```\n"
        elif entry := ENTRY.fullmatch(body):
            yield f"- `{entry[1]}`: {_escaped(entry[2])}"
        elif body.strip():
            yield _escaped(" ".join(body.split())) + "\n"


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def _escaped(text: str) -> str:
    """Text of the terminal, which is no Markdown but for its backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part.replace("|", "\\|") if part.startswith("`") else re.sub(r"([\\|*_<>\[\]])", r"\\\1", part)
        for part in parts
    )
