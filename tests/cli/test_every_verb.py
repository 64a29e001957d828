"""What holds for every verb: help of 80 columns, --json as one document, --config with its own options, a log file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scanprior.cli.main import VERBS, command_of
from scanprior.formats.store import write_scan

HELP = 80  # columns


def verbs(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every verb, those of groups too, with the words that call it."""
    if command is None:
        for verb in VERBS:
            yield from verbs(command_of(verb), (verb,))
        return
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from verbs(below, (*path, name))


EVERY = dict(verbs())
WORKING = [path for path, command in EVERY.items() if not getattr(command, "commands", {})]


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_help_fits_a_terminal(path: tuple[str, ...], scanprior, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 80 columns, every option with a word on it, and examples that can be copied: on one line each."""
    monkeypatch.setenv("COLUMNS", str(HELP))
    shown = scanprior(*path, "--help")
    assert shown.code == 0, shown.err
    assert max(map(len, shown.out.splitlines())) <= HELP
    assert not [option.name for option in EVERY[path].params if not getattr(option, "help", "")]
    for line in (EVERY[path].help or "").splitlines():
        if line.strip().startswith("scanprior "):
            assert len(line.rstrip()) <= HELP - 2, line


@pytest.mark.parametrize("path", WORKING, ids=" ".join)
def test_every_verb_has_the_same_messages(path: tuple[str, ...], scanprior, tmp_path: Path) -> None:
    """--json, --quiet, --verbose, --log-file, --config; of a configuration, an unknown option is refused by name."""
    own = {name for option in EVERY[path].params for name in option.opts}
    assert {"--json", "--quiet", "--verbose", "--log-file", "--config", "-q", "-v"} <= own
    (tmp_path / "run.toml").write_text("jsno = true\n")
    done = scanprior(*path, "--config", tmp_path / "run.toml")
    assert done.code == 2 and "got 'jsno'" in done.err and "did you mean 'json'?" in done.err, done.err
    assert len(done.err.strip().splitlines()) == 1 and done.out == ""
    if any(option.name == "dry_run" for option in EVERY[path].params):
        assert "--output" in own and not next(o for o in EVERY[path].params if "--output" in o.opts).required


@pytest.fixture
def inputs(ct_scan, tmp_path: Path) -> dict[str, Path]:
    write_scan(tmp_path / "scan.h5", ct_scan)
    return {"SCAN": tmp_path / "scan.h5", "OUT": tmp_path / "out", "NEW": tmp_path / "new.h5"}


CALLS = [  # of verbs that end at once, without a network
    "reconstruct SCAN -o OUT --method fbp --no-baselines",
    "reconstruct SCAN --method fbp --no-baselines --dry-run",
    "info SCAN",
    "validate SCAN",
    "methods",
    "methods dds",
    "methods simulate",
    "presets",
    "presets list",
    "intervals list",
    "priors",
    "priors list",
    "priors show ct-256",
    "data example ct",
]


@pytest.mark.parametrize("call", CALLS)
def test_json_is_one_document_wherever_it_is_asked_for(call: str, inputs, scanprior, tmp_path: Path) -> None:
    words = [inputs.get(word, word) for word in call.split()]
    if len(words) == 1 and words[0] in ("presets", "priors"):  # a group lists; its options stand before it
        asked = [["--json", *words]]
    else:
        (tmp_path / "run.toml").write_text(
            "json = true\nlog-file = 'log.txt'\n".replace("log.txt", str(tmp_path / "log.txt"))
        )
        asked = [[*words, "--json"], ["--json", *words], [*words, "--config", tmp_path / "run.toml"]]
    for arguments in asked:
        again = ["--overwrite"] if "-o" in words else []
        done = scanprior(*arguments, *again)
        assert done.code == 0, done.err
        json.loads(done.out)
    assert (tmp_path / "log.txt").exists() or len(asked) == 1
    assert scanprior(*words, *again).out  # and without it, words
