"""The house's rules (tests/made/house.py), asserted on this repository, and on small trees that break them,
so that a rule which stopped seeing anything would fail too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from house import (
    HEAVY,
    ROOT,
    RULES,
    SHARED,
    build_wheel,
    cycles,
    forbidden_arrows,
    library,
    long_files,
    long_functions,
    many_parameters,
    misplaced_heavy_imports,
    shipped,
    undocumented_claims,
    unlisted_packages,
)

# --- this repository


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_repository_keeps(rule) -> None:
    assert not (bad := rule(ROOT)), f"{rule.__doc__}\n" + "\n".join(bad)


def test_the_library_is_found() -> None:
    """Against a reader that sees nothing."""
    assert len(library(ROOT)) >= 10
    assert Path("operators/linear.py") in library(ROOT)


def test_the_wheel_holds_the_library(tmp_path: Path) -> None:
    assert build_wheel(ROOT, tmp_path) == shipped(ROOT)


def test_the_command_line_starts_without_the_heavy_packages() -> None:
    heavy = ["torch", "scipy", "h5py", *sorted(HEAVY)]
    code = f"import sys, scanprior.cli.main; print(*[name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not loaded, f"importing scanprior.cli.main loads {loaded}"


# --- trees that break a rule
PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "scanprior"
version = "0"
[tool.setuptools]
package-dir = { "scanprior" = "." }
packages = ["scanprior", "scanprior.operators", "scanprior.formats", "scanprior.recon"]
include-package-data = false
[tool.setuptools.package-data]
"scanprior.recon" = ["cards/*.toml"]
"""
DOCS = "## Folders\n\n```\noperators/  physics\n  linear.py  A\n  nufft.py   (planned) F\n```\n"
SOUND = {
    "pyproject.toml": PYPROJECT,
    "__init__.py": "",
    "docs/architecture.md": DOCS,
    "operators/__init__.py": "from .linear import A\n",
    "operators/linear.py": "A = 1\n",
    "geometry.py": "import numpy",
    "operators/radon.py": "from . import linear\nfrom ..geometry import Grid\ndef f():\n    import astra\n",
    "formats/__init__.py": "",
    "formats/dicom.py": "def f():\n    import pydicom\n",
    "recon/__init__.py": "from ..operators import A\n",
    "recon/study.py": "from ..formats import dicom\n",
    "recon/cards/one.toml": "",
    "tests/test_a.py": "",
}


def tree(root: Path, **changes: str) -> Path:
    for name, text in {**SOUND, **changes}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_sound_tree_breaks_no_rule(tmp_path: Path) -> None:
    assert [bad for rule in RULES for bad in rule(tree(tmp_path))] == []


LAZY = "def f():\n    "
BROKEN = [
    (forbidden_arrows, "geometry.py", "from .operators import linear", "geometry.py:1 imports operators"),
    (misplaced_heavy_imports, "geometry.py", LAZY + "import torch", "geometry.py:2 imports torch"),
    (forbidden_arrows, "operators/x.py", "from ..formats import dicom", "operators/x.py:1 imports formats"),
    (forbidden_arrows, "recon/x.py", LAZY + "from ..formats.dicom import g", "recon/x.py:2 imports formats"),
    (forbidden_arrows, "formats/x.py", "import scanprior.operators.linear", "imports operators.linear"),
    (forbidden_arrows, "formats/x.py", "from .. import operators", "formats/x.py:1 imports operators"),
    (
        forbidden_arrows,
        "formats/x.py",
        LAZY + "import_module('..recon', 'a')",
        "formats/x.py:2 imports recon",
    ),
    (forbidden_arrows, "formats/x.py", "if TYPE_CHECKING:\n    from ..recon import A", "formats/x.py:2"),
    (
        forbidden_arrows,
        "recon/posterior/x.py",
        "from ...formats import dicom",
        "recon.posterior.x may import",
    ),
    (forbidden_arrows, "recon/study_of.py", "from ..formats import dicom", "recon.study_of may import"),
    (cycles, "operators/linear.py", "from .radon import f", "cycle: operators."),
    (cycles, "operators/linear.py", LAZY + "from .radon import f", "cycle: operators."),
    (cycles, "operators/linear.py", "if TYPE_CHECKING:\n    from .radon import B", "cycle: operators."),
    (
        cycles,
        "operators/linear.py",
        "try:\n    from . import radon\nexcept E:\n    pass",
        "cycle: operators.",
    ),
    (long_files, "operators/x.py", "\n" * 401, "operators/x.py has 401 lines"),
    (long_functions, "recon/x.py", "def f():\n" + "    pass\n" * 60, "recon/x.py:1 f has 61 lines"),
    (
        many_parameters,
        "recon/x.py",
        "def f(a, b, c, d, /, e, f, g, *, h, i): ...",
        "x.py:1 f takes 9, at most 8",
    ),
    (long_files, "tests/a/test_b.py", "\n" * 500, "tests/a/test_b.py has 500 lines"),
    (misplaced_heavy_imports, "operators/radon.py", "import astra.projector", "radon.py:1 imports astra at"),
    (
        misplaced_heavy_imports,
        "operators/radon.py",
        "class A:\n    import astra",
        "radon.py:2 imports astra at",
    ),
    (misplaced_heavy_imports, "operators/x.py", LAZY + "import astra", "imported in ['radon.py', 'x.py']"),
    (misplaced_heavy_imports, "formats/x.py", LAZY + "import pydicom", "or widen SHARED"),
    (misplaced_heavy_imports, "formats/x.py", LAZY + "from torch import nn", "formats never does"),
    (unlisted_packages, "recon/bench/__init__.py", "", "scanprior.recon.bench is missing"),
    (unlisted_packages, "recon/bench/run.py", "", "recon/bench has no __init__.py"),
    (unlisted_packages, "pyproject.toml", PYPROJECT.replace(".recon", ".gone"), "scanprior.gone is in"),
    (unlisted_packages, "setup.py", "", "setup.py lies at the root"),
    (
        undocumented_claims,
        "docs/architecture.md",
        DOCS.replace("linear.py", "a.py linear.py"),
        "operators/a.py",
    ),
]


@pytest.mark.parametrize(("rule", "file", "text", "expected"), BROKEN)
def test_a_rule_sees_a_violation(tmp_path: Path, rule, file: str, text: str, expected: str) -> None:
    assert any(expected in bad for bad in rule(tree(tmp_path, **{file: text}))), rule(tmp_path)


def test_the_table_of_shared_packages_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, **{"formats/x.py": LAZY + "import pydicom"})
    monkeypatch.setitem(SHARED, "formats", {"pydicom": {"dicom.py", "x.py"}})
    assert misplaced_heavy_imports(root) == []


def test_the_wheel_check_sees_what_is_missing(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "root", **{"recon/cards/two.json": "", "recon/bench/__init__.py": "", "recon/notes.md": ""}
    )
    lost = shipped(root) - build_wheel(root, tmp_path / "work")
    assert lost == {"scanprior/recon/cards/two.json", "scanprior/recon/bench/__init__.py"}
