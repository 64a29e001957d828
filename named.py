"""Objects of the user's own, named as `package.module:Name`. The ground floor: priors and methods are named so.

The module is imported as Python imports it, from an installed package or a folder on PYTHONPATH; nothing else is run.
"""

from __future__ import annotations

import hashlib
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

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
    if not hasattr(found, name):
        public = ", ".join(key for key in vars(found) if not key.startswith("_")) or "nothing"
        raise ValueError(f"{what} {text!r}: {module} has no {name!r}; it has {public[:200]}")
    return getattr(found, name)


def source_hash(text: str) -> str:
    """The SHA-256 of the source of `package.module:Name`, imported already: results are a function of it. Empty for a
    module without a file."""
    file = getattr(sys.modules[text.split(":")[0]], "__file__", None)
    return "" if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()
