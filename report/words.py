"""Facts in words: values as people write them, tables of facts as aligned lines, and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

LONGEST = 8  # numbers of a list that are printed


def to_json(facts: Any) -> str:
    """JSON of facts that may hold tuples, paths and numpy values; numbers that are not finite become words."""
    return json.dumps(plain(facts, "", []), indent=2, allow_nan=False)


def plain(value: Any, where: str, strange: list[str]) -> Any:
    """JSON-able: numpy numbers and arrays, paths, tuples; what is not finite in words, and listed in `strange`."""
    if isinstance(value, dict):
        return {str(key): plain(item, f"{where} {key}".strip(), strange) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where} {i}".strip(), strange) for i, item in enumerate(value, 1)]
    if hasattr(value, "tolist"):
        return plain(value.tolist(), where, strange)
    if isinstance(value, float) and not math.isfinite(value):
        strange.append(f"{where} is {value}, no finite number")
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def lines(facts: dict[str, Any], indent: int = 0) -> Iterator[str]:
    """Facts as aligned lines, tables within them indented."""
    width = max((len(key) for key, value in facts.items() if not isinstance(value, dict)), default=0) + 2
    for key, value in facts.items():
        label = " " * indent + key.replace("_", " ")
        if isinstance(value, dict):
            yield label
            yield from lines(value, indent + 2)
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
            for number, entry in enumerate(value, 1):
                yield f"{label} {number}"
                yield from lines(entry, indent + 2)
        elif isinstance(value, list) and len(value) > 1 and all(isinstance(row, str) for row in value):
            yield label  # a table: in full, a line a row
            yield from (f"{' ' * (indent + 2)}{row}" for row in value)
        else:
            yield f"{label:<{width + indent}}{words(value, LONGEST)}"


def words(value: Any, longest: int | None = None) -> str:
    """A value as people write it; lists in full, or their first `longest` entries."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        joint = "; " if any(isinstance(item, dict) for item in value) else ", "
        shown = [words(item, longest) for item in value[:longest]]
        return joint.join(shown if len(shown) == len(value) else [*shown, f"… ({len(value)} in all)"])
    if isinstance(value, dict):
        return ", ".join(words(item, longest) for item in value.values())
    return str(value)
