"""What a class says of its attributes: the `Attributes:` of its docstring, read for people. No torch."""

from __future__ import annotations

import re
from inspect import cleandoc


def attribute_docs(docstring: str) -> dict[str, str]:
    """The entries of a docstring's `Attributes:`, each in one line; of `a, b: text` for both."""
    _, _, section = cleandoc(docstring).partition("Attributes:\n")
    section = re.split(r"\n(?=\S)", section)[0]
    docs = {}
    for entry in re.split(r"\n(?=    \S)", "\n" + section):
        names, colon, text = entry.strip().partition(": ")
        if colon:
            docs |= {name.strip(): " ".join(text.split()) for name in names.split(",")}
    return docs
