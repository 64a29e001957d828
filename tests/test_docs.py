"""What the guides show exists: commands and their options, names to import. Every option is in the reference."""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import pytest
import tables
from scanprior.cli.main import VERBS, main

ROOT = Path(__file__).parents[1]
GUIDES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "lab" not in path.parts)
LIMIT = 2 << 20  # bytes, of all pictures of the docs together


def blocks(path: Path, languages: str) -> list[str]:
    return re.findall(rf"^```(?:{languages})\n(.*?)^```", path.read_text(encoding="utf-8"), re.S | re.M)


def commands() -> list[tuple[str, str]]:
    """(page, line) of every command of ours, in blocks and in the text; lines that go on after a backslash are one."""
    found = []
    for path in [ROOT / "README.md", *GUIDES]:
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
        found += [
            (path.name, " ".join(line.split())) for line in re.findall(r"`(scanprior [a-z][^`]*)`", text)
        ]
        for block in blocks(path, "|bash|sh"):
            for line in block.replace("\\\n", " ").splitlines():
                found += [(path.name, line.strip())] * line.strip().startswith("scanprior ")
    return found


def options_of(words: tuple[str, ...], capsys) -> set[str]:
    with pytest.raises(SystemExit) as left:
        main([*words, "--help"])
    assert not left.value.code, words
    return set(re.findall(r"(?<!\w)--?[a-z][\w-]*", capsys.readouterr().out))


def test_commands_of_the_guides_name_only_what_there_is(capsys) -> None:
    known: dict[tuple[str, ...], set[str]] = {}
    found = commands()
    assert len(found) > 60
    for page, line in found:
        words = shlex.split(line, comments=True)[1:]
        if not words or words[0].startswith("-"):
            continue
        assert words[0] in VERBS, f"{page}: {line}"
        below = words[0] in ("priors", "presets", "data") and len(words) > 1 and not words[1].startswith("-")
        verb = tuple(words[: 1 + below])
        if verb not in known:
            known[verb] = options_of(verb, capsys)
        used = {word for word in words if re.fullmatch(r"--?[a-z][\w-]*", word)}
        assert used <= known[verb], f"{page}: {line}: no {sorted(used - known[verb])}"


@pytest.mark.parametrize("path", [path for path in GUIDES if blocks(path, "python")], ids=lambda p: p.stem)
def test_names_that_a_guide_imports_exist(path: Path) -> None:
    for block in blocks(path, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scanprior"):
                for name in node.names:
                    assert hasattr(import_module(str(node.module)), name.name), f"{path.name}: {name.name}"


def test_the_reference_of_the_command_line_has_every_option(monkeypatch, capsys) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    sys.modules.pop("site_hooks", None)
    page = "\n".join(import_module("site_hooks").command_line())
    sections = dict(part.split("\n", 1) for part in re.split(r"^#+ scanprior ", page, flags=re.M)[1:])
    assert {*VERBS, "priors fetch"} <= set(sections)
    for verb in ("reconstruct", "train", "info"):
        options = options_of((verb,), capsys)
        assert "--help" in options
        assert not {name for name in options if name not in sections[verb]}


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs").rglob("*.png")}
    assert sizes and sum(sizes.values()) <= LIMIT, sizes


# --- the tables of calibration
def a_run(folder: Path, label: str, held: float) -> Path:
    """What `calibrate` leaves behind, of one task and method."""
    folder.mkdir()
    line = {"task": "few", "label": label, "patients": 6, "slices": 6, "samples": 4, "place": "inside"}
    line |= {"coverage_90": held, "coverage_90_low": 0.8, "coverage_90_high": 0.9, "spread_skill": None}
    line |= {"grain": None, "crps": 1.23456789}
    facts = {
        "on": "test",
        "tasks": {"few": "ct:views=23"},
        "settings": {f"few: {label}": {"method": "DDS"}},
        "priors": {"ct": {"name": "ct-256", "sha256": "ab", "network_dtype": "float32"}},
        "lines": [line, {**line, "place": "above 0.35", "grain": 0.5, "coverage_90": 0.7}],
    }
    (folder / "calibration.json").write_text(json.dumps(facts))
    return folder


def test_a_table_has_the_last_runs_figures(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tables, "DOCS", tmp_path)
    monkeypatch.setattr(tables, "DATA", tmp_path / "calibration.json")
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- table: spread -->\nstale\n<!-- end -->\nafter\n<!-- table: grain -->\n<!-- end -->\n"
    )
    tables.main([a_run(tmp_path / "a", "dds", 0.6), a_run(tmp_path / "b", "dds:steps=20", 0.854)], show=False)
    text = page.read_text()
    assert "| CT, 23 views, noise-free | 6 | `dds` | 85 % (80 – 90) | – | – | – |" in text
    assert "| CT, 23 views, noise-free | 6 | `dds` | – | – | – | 0.50 |" in text
    assert "60 %" not in text and "stale" not in text and text.startswith("before\n") and "\nafter\n" in text
    tables.main([], show=False)
    assert page.read_text() == text


def test_tables_of_the_guides_are_those_of_the_figures() -> None:
    found = json.loads(tables.DATA.read_text(encoding="utf-8"))
    assert tables.pages()
    for path in tables.pages():
        text = path.read_text(encoding="utf-8")
        assert tables.written(text, found) == text, f"{path.name}: run `python benchmarks/tables.py`"
