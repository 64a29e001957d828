"""The first contact: what the README shows exists and runs, and `import scanprior` costs nothing."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import scanprior
from scanprior.cli.main import VERBS, main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.S | re.M)


COMMANDS = [line for block in blocks("") for line in block.splitlines()]


def test_the_two_commands_are_lines_of_their_own() -> None:
    assert "pip install -e . && scanprior demo" in COMMANDS
    assert 'pip install -e ".[dev]" && pytest' in COMMANDS


def test_the_one_call_of_python_runs(ct_prior, tmp_path, monkeypatch) -> None:
    (call,) = blocks("python")
    small = f'scan, prior={str(ct_prior)!r}, samples=2, options="steps=2", baselines=False)'
    call = call.replace("example()", 'example("ct:views=23,photons=1e5,matrix=64")')
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(call.replace("scan)", small), "README.md", "exec"), names)
    assert names["samples"].shape == (2, 1, 64, 64) and (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("scanprior ")])
def test_a_command_of_the_readme_names_only_what_there_is(line: str, capsys) -> None:
    verb, *words = shlex.split(line)[1:]
    assert verb in VERBS
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])
    assert not left.value.code
    options = set(re.findall(r"(?<!\w)--?[a-z][\w-]*", capsys.readouterr().out))
    assert {word for word in words if word.startswith("-")} <= options


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"(?<!!)\[[^]]*\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_importing_scanprior_is_light_and_its_names_are_there() -> None:
    heavy = "('torch', 'numpy', 'scipy', 'h5py', 'click')"
    code = f"import sys, scanprior; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    for name in scanprior.__all__:
        assert getattr(scanprior, name).__name__ == name
    assert set(scanprior.__all__) <= set(dir(scanprior))
    with pytest.raises(AttributeError, match="attribute magic"):
        _ = scanprior.magic
