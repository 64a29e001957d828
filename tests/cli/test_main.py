"""The command line's shell: verbs loaded late, errors in one line, exit codes."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from scanprior.cli.main import VERBS, main
from scanprior.errors import described
from scanprior.recon import DDS
from scanprior.workflows.simulate import slice_list

HEAVY = ("torch", "scipy", "matplotlib", "h5py", "pydicom", "numpy", "jinja2", "rich.progress")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `scanprior info` raise."""

    def describe(path: Path) -> None:
        raise error

    monkeypatch.setattr(import_module("scanprior.formats.read"), "describe", describe)


def test_help_lists_every_verb_and_the_banner(capsys) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(verb in out and line.split(",")[0] in out for verb, line in VERBS.items())
    assert "Not for diagnosis" in out


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_exists_and_explains_itself(capsys, verb: str) -> None:
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0
    assert f"scanprior {verb}" in out
    assert callable(getattr(import_module(f"scanprior.cli.{verb}"), verb))


def test_version(capsys) -> None:
    import scanprior

    assert run(capsys, "--version") == (0, f"scanprior {scanprior.__version__}\n", "")


def test_a_misspelt_verb_gets_a_suggestion(capsys) -> None:
    code, _, err = run(capsys, "inof")
    assert code == 2
    assert "info" in err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("x.h5: got 3,\n  expected 4"), 2, "Error: x.h5: got 3, expected 4"),
        (FileNotFoundError("no prior 'x'"), 2, "Error: no prior 'x'"),
        (
            FileNotFoundError(2, "No such file or directory", "a.h5"),
            2,
            "Error: a.h5: No such file or directory",
        ),
        (FileExistsError("out exists"), 2, "Error: out exists"),
        (NotADirectoryError("out is a file"), 2, "Error: out is a file"),
        (FloatingPointError("the loss is not a number"), 2, "Error: the loss is not a number"),
        (MemoryError(), 2, "out of memory"),
        (KeyError("k"), 1, "KeyError"),
        (KeyboardInterrupt(), 130, "Interrupted"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(monkeypatch, capsys, error, code: int, words: str) -> None:
    failing(monkeypatch, error)
    got, out, err = run(capsys, "info", "x.h5")
    assert got == code
    assert out == ""
    assert err.strip().count("\n") == 0, err
    assert words in err
    assert ("SCANPRIOR_DEBUG" in err) == (code == 1)


def test_gpu_memory_is_an_expected_error() -> None:
    class OutOfMemoryError(RuntimeError):
        """As torch names its own."""

    assert described(OutOfMemoryError("CUDA: tried to allocate 2 GiB"))[0] == 2
    assert described(RuntimeError("anything else"))[0] == 1


def test_debug_shows_the_traceback(monkeypatch) -> None:
    failing(monkeypatch, ValueError("wrong"))
    monkeypatch.setenv("SCANPRIOR_DEBUG", "1")
    with pytest.raises(ValueError, match="wrong"):
        main(["info", "x.h5"])


@pytest.mark.parametrize(
    ("arguments", "banned"),
    [
        ("--help", HEAVY),
        ("train --help", HEAVY),
        ("reconstruct --help", HEAVY),
        ("priors", HEAVY),
        ("info missing.h5", tuple(name for name in HEAVY if name != "numpy")),
        ("validate missing.h5", tuple(name for name in HEAVY if name != "numpy")),
    ],
)
def test_nothing_heavy_is_imported(arguments: str, banned: tuple[str, ...]) -> None:
    """In a fresh process, after the verb has run."""
    code = (
        "import sys\nfrom scanprior.cli.main import main\n"
        f"try:\n    main({arguments.split()})\nexcept SystemExit:\n    pass\n"
        f"print('loaded:', [name for name in {banned} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("loaded: []"), done.stdout[-300:] + done.stderr[-300:]


def test_a_value_error_of_a_library_is_a_defect(monkeypatch, capsys) -> None:
    """scanprior's own refusals are expected, what it did not foresee is not."""
    for unforeseen in (lambda path: int("many"), lambda path: tomllib.loads("=")):
        monkeypatch.setattr(import_module("scanprior.formats.read"), "describe", unforeseen)
        code, _, err = run(capsys, "info", "x.h5")
        assert code == 1 and "this is a defect of scanprior" in err
    for foreseen in (lambda path: slice_list("a-b"), lambda path: DDS(steps=-1)):
        monkeypatch.setattr(import_module("scanprior.formats.read"), "describe", foreseen)
        code, _, err = run(capsys, "info", "x.h5")
        assert code == 2 and "got" in err and "defect" not in err
