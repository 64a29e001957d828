"""What must be said of an input that was read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..formats.scan import Scan, Volume


def remarks(item: Scan | Volume) -> list[str]:
    """What must be said of an input that was read: what was assumed, dropped or repaired, a sentence each."""
    said = list(item.remarks)
    if item.pixel_assumed and not any("pixel size" in line for line in said):
        said.append("the file does not say how large a pixel is: its size is assumed; --pixel-mm says it")
    return said


def nameless(line: str, name: str) -> str:
    """A remark with INPUT for the name of the input, which may be a patient's; of a short one, not within words."""
    edge = r"\b" if len(name) < 4 else ""
    return re.sub(edge + re.escape(name) + edge, "INPUT", line) if name else line
