"""The how-to pages run: the Python blocks of a page in order, in one namespace, and what they promise holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

HOWTO = Path(__file__).parents[1] / "docs" / "howto"
PAGES = {
    page.name: re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.S | re.M)
    for page in HOWTO.glob("*.md")
}
PROMISED = {
    "own-operator.md": lambda names: (
        names["result"].samples.shape == (1, 4, 16, 16)
        and "Shifted(real (16, 16) -> real (16, 16)) breaks the operator contract" in names["message"]
    ),
    "own-prior.md": lambda names: names["ours"] < 0.85 * names["fbp"],
    "own-method.md": lambda names: names["off"] < 0.2 and 0.5 < names["ratio"] < 0.8,
}


@pytest.mark.parametrize("page", [name for name, blocks in PAGES.items() if blocks])
def test_the_code_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # pages write files
    names: dict[str, Any] = {"__name__": "page"}
    for block in PAGES[page]:
        exec(compile(block, page, "exec", dont_inherit=True), names)
    assert PROMISED.get(page, lambda _: True)(names), {k: v for k, v in names.items() if not callable(v)}


def test_the_pages_are_found() -> None:
    """Against a reader that sees nothing."""
    assert set(PROMISED) <= {name for name, blocks in PAGES.items() if len(blocks) >= 2}
