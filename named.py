"""Objects of the user's own, named as `package.module:Name`. The ground floor: priors and methods are named so.

The module is imported as Python imports it, from an installed package or a folder on PYTHONPATH; nothing else is run.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

_own: set[str] = set()  # where the modules lie that were asked for: a file, or the folder of a package
_NAMED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_named(text: object) -> bool:
    """Whether a text has the form `package.module:Name`."""
    return isinstance(text, str) and _NAMED.fullmatch(text) is not None


def import_named(text: str, what: str) -> Any:
    """The object `package.module:Name`; `what` it should be is for the words. Raises ValueError: no such module on
    Python's path, one that fails while it is imported, or one without the name."""
    module, name = text.split(":")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if not module.startswith(str(error.name)):  # something that the module itself wants
            raise ValueError(f"{what} {text!r}: importing {module} fails: {error}; install it") from error
        raise ValueError(
            f"{what} {text!r}: Python finds no module {error.name!r}; install the package, or put its folder on "
            "PYTHONPATH"
        ) from error
    except (Exception, SystemExit) as error:  # a script leaves when it is imported
        raise ValueError(
            f"{what} {text!r}: importing {module} fails: {type(error).__name__}: {error}; repair the module"
        ) from error
    _own.update(_places(module))
    if not hasattr(found, name):
        public = ", ".join(key for key in vars(found) if not key.startswith("_")) or "nothing"
        raise ValueError(f"{what} {text!r}: {module} has no {name!r}; it has {public[:200]}")
    named = getattr(found, name)
    _own.update(_places(getattr(named, "__module__", module)))  # it may be defined elsewhere
    return named


def own_fault(error: BaseException) -> str | None:
    """An error in one line with its place, where it came out of a module that was named, or out of what this called;
    None for any other."""
    frames = [
        one for one in traceback.extract_tb(error.__traceback__) if one.filename.startswith(tuple(_own))
    ]
    if not frames:
        return None
    last, words = frames[-1], " ".join(str(error).split())
    return f"{last.filename}, line {last.lineno}, in {last.name}: {type(error).__name__}: {words}".rstrip(
        ": "
    )


def _places(module: str) -> list[str]:
    """The file of a module, or the folders of the package that it is of; nothing for one of ours."""
    top = sys.modules[module.partition(".")[0]]
    if top.__name__ == __name__.partition(".")[0]:
        return []
    folders = [f"{folder}{os.sep}" for folder in getattr(top, "__path__", ())]
    return folders or [file for file in [getattr(top, "__file__", None)] if file]


def source_hash(text: str) -> str:
    """The SHA-256 of the source of `package.module:Name`, imported already: results are a function of it. Empty for a
    module without a file."""
    file = getattr(sys.modules[text.split(":")[0]], "__file__", None)
    return "" if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()
