"""Options written as `views=23,photons=1e5,fan` -> a frozen dataclass, whose annotations say what a value may be:

    int, float, str     a number, a word
    bool                true, yes, 1; false, no, 0; a bare name is true
    X | None            or `auto`, which is None: the default finds it
    SDE                 a law of noise: ve, vp, sub-vp

Unknown names and values of another type are errors that list the keys with their types. What a key means is read from
the `Attributes:` of the docstrings of the class and its bases.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

from ..errors import UsageError, meant
from ..priors.sde import SDE, VE, VP, SubVP
from .docstrings import attribute_docs

T = TypeVar("T")
Space = dict[str, tuple[float, float]]  # setting -> least, greatest
LAWS: dict[str, SDE] = {"ve": VE(), "vp": VP(), "sub-vp": SubVP()}
AUTO = "auto"


class Setting(NamedTuple):
    """A key of an options string: its type in words, its default as it would be written, and its line of the docs."""

    name: str
    kind: str
    default: str
    doc: str


def settings_of(kind: type) -> list[Setting]:
    """The settings of a dataclass that an options string may set, in the order of its fields."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        docs |= attribute_docs(base.__doc__ or "")
    return [
        Setting(f.name, _words(hint), written(f.default), docs.get(f.name, ""))
        for f, hint in _fields(kind).values()
    ]


def names(text: str) -> set[str]:
    """The options that `text` sets."""
    return {part.partition("=")[0].strip() for part in text.split(",")} - {""}


def parse(text: str, kind: type[T], what: str, before: dict[str, Any] | None = None) -> T:
    """The dataclass `kind` with the fields that `text` names. `before`: settings of the same fields that `text` may
    overrule.

    Raises UsageError for an unknown name or a value of the wrong type.
    """
    fields = _fields(kind)
    listed = ", ".join(f"{name} ({_words(hint)})" for name, (_, hint) in fields.items())
    known = f"some of {listed}" if listed else "no settings"
    values: dict[str, Any] = dict(before or {})
    given: set[str] = set()
    if strange := sorted(values.keys() - fields.keys()):
        raise ValueError(f"{what}: a preset has {strange[0]!r}, expected {known}")
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = (word.strip() for word in part.partition("="))
        if name not in fields:
            raise UsageError(f"{what}: got {name!r}, expected {known}{meant(name, fields)}")
        if name in given:
            raise UsageError(f"{what}: got {name} twice, expected each setting once")
        given.add(name)
        try:
            values[name] = _convert(value, fields[name][1])
        except (ValueError, OverflowError, KeyError):
            default = written(fields[name][0].default)
            raise UsageError(
                f"{what}: got {name}={value!r}, expected {_words(fields[name][1])}, such as {name}={default}"
            ) from None
    return kind(**values)


def written(value: Any) -> str:
    """A value as an options string has it."""
    if value is None:
        return AUTO
    if isinstance(value, bool):
        return str(value).lower()
    return next((name for name, law in LAWS.items() if law == value), str(value))


def _fields(kind: type) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    """The fields that text can set, with their types."""
    hints = get_type_hints(kind)
    return {
        f.name: (f, hints[f.name])
        for f in dataclasses.fields(kind)  # type: ignore[arg-type]
        if f.init and all(part in CONVERTERS for part in _parts(hints[f.name]))
    }


def _parts(hint: Any) -> tuple[Any, ...]:
    """The types of a union; the type itself of another."""
    return get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def _words(hint: Any) -> str:
    return " or ".join(WORDS[part] for part in _parts(hint))


def _convert(value: str, hint: Any) -> Any:
    parts = _parts(hint)
    if types.NoneType in parts and value.lower() == AUTO:
        return None
    return CONVERTERS[parts[0]](value)


def _whole(value: str) -> int:
    number = float(value)
    if number != int(number):
        raise ValueError(value)
    return int(number)


def _switch(value: str) -> bool:
    return {"": True, "true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
        value.lower()
    ]


CONVERTERS: dict[Any, Callable[[str], Any]] = {
    bool: _switch,
    int: _whole,
    float: float,
    str: str,
    SDE: lambda value: LAWS[value.lower()],
    types.NoneType: str,
}
WORDS = {
    bool: "yes or no",
    int: "a whole number",
    float: "a number",
    str: "a word",
    SDE: ", ".join(LAWS),
    types.NoneType: AUTO,
}
