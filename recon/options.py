"""Options written as `views=23,photons=1e5,fan` -> a frozen dataclass; unknown names are errors that list the known."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

T = TypeVar("T")


def names(text: str) -> set[str]:
    """The options that `text` sets."""
    return {part.partition("=")[0].strip() for part in text.split(",")} - {""}


def parse(text: str, kind: type[T], what: str, before: dict[str, Any] | None = None) -> T:
    """The dataclass `kind` with the fields that `text` names, of those with a number, a switch or a word as default.
    A bare name means true. `before`: settings of the same fields that `text` may overrule.

    Raises ValueError for an unknown name or a value of the wrong type.
    """
    fields = {
        f.name: f
        for f in dataclasses.fields(kind)  # type: ignore[arg-type]
        if isinstance(f.default, bool | int | float | str)
    }
    values: dict[str, Any] = dict(before or {})
    if unknown := sorted(values.keys() - fields.keys()):
        raise ValueError(f"{what}: a preset has {unknown[0]!r}, expected some of {', '.join(fields)}")
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.partition("=")
        if name not in fields:
            raise ValueError(f"{what}: got {name!r}, expected some of {', '.join(fields)}")
        default = fields[name].default
        try:
            values[name] = _convert(value, default)
        except (ValueError, OverflowError):
            raise ValueError(
                f"{what}: got {name}={value!r}, expected a value like {name}={default!r}"
            ) from None
    return kind(**values)


def _convert(value: str, like: Any) -> Any:
    if isinstance(like, bool):
        if value.lower() in ("", "true", "yes", "1"):
            return True
        if value.lower() in ("false", "no", "0"):
            return False
        raise ValueError(value)
    if isinstance(like, int):
        number = float(value)
        if number != int(number):
            raise ValueError(value)
        return int(number)
    if isinstance(like, float):
        return float(value)
    return value
