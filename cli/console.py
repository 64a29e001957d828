"""Where a verb's words go: its result on stdout, all else on stderr, and all of it with the time into a log file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import typer


class Console:
    """A verb's result is `give`n; what it tells on the way is told to this object, which is the `progress` of its
    workflow (workflows/progress.py). To be used as a context.

    Args:
        as_json: the result is one JSON document on stdout, with the notes and the warnings, and nothing else is there.
        quiet: of what is told only warnings.
        verbose: also how long each stage took.
        log_file: all that is told is appended to it, whether shown or not.
        inputs: files whose names may be of patients; the log says INPUT for them.

    Raises:
        OSError: a log file that cannot be written.
    """

    def __init__(
        self,
        as_json: bool | None = False,
        quiet: bool | None = False,
        verbose: bool | None = False,
        log_file: Path | None = None,
        inputs: Sequence[Path] = (),
    ) -> None:
        self.as_json, self.quiet, self.verbose = bool(as_json), bool(quiet), bool(verbose)
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self._log: TextIO | None = None if log_file is None else log_file.open("a", encoding="utf-8")
        self._shown: Any = None
        names = {str(path) for path in inputs if path.name}
        names |= {name for path in inputs for name in (str(path.resolve()), path.resolve().name)}
        self._hidden = sorted(names, key=len, reverse=True)

    def give(self, value: Any, *shown: Any) -> None:
        """The verb's result.

        Args:
            value: JSON-able, for --json.
            shown: what people see of it, one after the other: text, or what Rich prints, a table.
        """
        if self.as_json:
            from ..report.words import to_json

            if isinstance(value, dict):
                said = {"notes": self.notes, "warnings": self.warnings}
                value = value | {key: lines for key, lines in said.items() if lines and key not in value}
            typer.echo(to_json(value))
        for part in shown:
            if isinstance(part, str):
                self._write(part)
            if self.as_json:
                continue
            if isinstance(part, str):
                typer.echo(part)
            else:
                from rich.console import Console as Rich

                Rich().print(part)

    def plan(self, facts: dict[str, Any]) -> None:
        """The result of a dry run: what would be done, and its "estimate" (workflows/plan.py, `cost`)."""
        from ..report.terminal import takes
        from ..report.words import lines

        said = {key: value for key, value in facts.items() if value not in (None, "", [], {})}
        estimate = said.pop("estimate", None)
        more = [takes(estimate)] if estimate else []
        self.give(facts, "\n".join([*lines(said), *more, "nothing was written"]))

    def stage(self, name: str, total: int | None = None) -> None:
        """What begins now, and of how many steps it is."""
        self._write(f"{name} ({total})" if total else name)
        self._progress.stage(name, total)

    def update(self, done: int, note: str = "") -> None:
        """So many steps of it are done."""
        self._progress.update(done, note)

    def say(self, line: str) -> None:
        """A result or a decision that the user should read."""
        self.notes.append(line)
        self._write(line)
        self._progress.say(line)

    def warn(self, line: str) -> None:
        """What speaks against the result."""
        self.warnings.append(line)
        self._write(f"warning: {line}")
        self._progress.warn(line)

    def close(self) -> None:
        """The work is done."""
        if self._shown is not None:
            self._shown.close()

    def __enter__(self) -> Console:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, where: TracebackType | None) -> None:
        self.close()
        if self._log is not None:
            if kind is not None:
                self._write(f"{kind.__name__}: {error}")
            self._log.close()

    @property
    def _progress(self) -> Any:
        if self._shown is None:
            from ..report.progress import Shown

            self._shown = Shown(self.quiet, self.verbose)
        return self._shown

    def _write(self, text: str) -> None:
        if self._log is not None:
            from ..workflows.remarks import nameless

            for name in self._hidden:
                text = nameless(text, name)
            now = time.strftime("%Y-%m-%dT%H:%M:%S")
            self._log.writelines(f"{now} {line}\n" for line in text.splitlines())
            self._log.flush()
