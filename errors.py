"""What a user can do wrong, as exceptions of their own: the command line makes one line and exit code 2 of them, and
calls everything else a defect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches


class UsageError(ValueError):
    """A setting that cannot be: says what was got, what was expected, what to do."""


def unknown(what: str, got: str, known: Iterable[str], expected: str = "one of") -> UsageError:
    """The error for a name that is none of `known`, with the nearest of them. `what`: the option, as in `--method`."""
    known = list(known)
    return UsageError(
        f"{what}: got {got!r}, expected {expected} {', '.join(known) or '(there are none)'}{meant(got, known)}"
    )


def meant(got: str, known: Iterable[str]) -> str:
    """The nearest of some names as the end of an error; nothing where none is near."""
    near = get_close_matches(got, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_least(settings: object, least: Mapping[str, int]) -> None:
    """Refuse settings, each an option of its name, that are said and below their least value: UsageError."""
    for name, limit in least.items():
        value = getattr(settings, name)
        if value is not None and value < limit:
            raise UsageError(f"--{name}: got {value}, expected at least {limit}")
