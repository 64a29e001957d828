"""What users import: every public name exists, is imported late, and is known to type checkers; every name that a page
of the documentation shows exists; values print on one line."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import derived
import numpy as np
import pytest
import torch
from scanprior.formats import Scan
from scanprior.formats.image_set import ImageSet
from scanprior.formats.store import StoredReconstruction
from scanprior.geometry import Grid, ParallelBeam
from scanprior.operators import Photon, Radon
from scanprior.pretrained import bundled
from scanprior.priors import NetworkPrior
from scanprior.recon import Problem, Reconstruction

ROOT = Path(__file__).parents[1]
PACKAGES = [
    ".".join(("scanprior", *stub.parent.relative_to(ROOT).parts)) for stub in ROOT.rglob("__init__.pyi")
]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def shown(page: Path) -> list[tuple[str, str]]:
    """(module, name) of every `from scanprior… import …` in a page, in a block of code or in a line of text, and of
    every entry of the reference."""
    found = []
    for module, names in re.findall(
        r"from (scanprior[\w.]*) import (\([^)]*\)|[\w, ]+)", page.read_text(encoding="utf-8")
    ):
        found += [(module, name.split(" as ")[0]) for name in re.findall(r"\w+(?: as \w+)?", names)]
    text = page.read_text(encoding="utf-8")
    return found + re.findall(r"^::: (scanprior[\w.]*)\.(\w+)$", text, re.M)  # what mkdocstrings documents


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there(package: str) -> None:
    module = import_module(package)
    assert module.__all__ and set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert not isinstance(getattr(module, name), ModuleType), f"{package}.{name} is a module"
    with pytest.raises(AttributeError, match="magic"):
        _ = module.magic


def test_a_name_shared_with_its_module_stays_the_function() -> None:
    code = (
        "import scanprior.formats.read, scanprior.recon.simulate, scanprior.recon.baselines.fbp\n"
        "from scanprior.formats import read; from scanprior.recon import simulate\n"
        "from scanprior.recon.baselines import fbp; assert callable(read) and callable(simulate) and callable(fbp)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("stub", derived.STUBS, ids=lambda stub: stub.parent.name)
def test_every_method_of_the_command_line_is_exported(stub: Path) -> None:
    assert derived.missing(stub) == [], "run `python tests/made/derived.py`"


def test_the_table_of_methods_is_what_their_classes_say() -> None:
    assert derived.page() == derived.PAGE.read_text(encoding="utf-8"), "run `python tests/made/derived.py`"


@pytest.mark.parametrize("page", [page for page in PAGES if shown(page)], ids=lambda page: page.name)
def test_what_a_page_imports_is_there(page: Path) -> None:
    for module, name in shown(page):
        assert hasattr(import_module(module), name) or import_module(f"{module}.{name}"), (module, name)


def test_pages_are_read() -> None:
    """Against a reader that sees nothing."""
    assert ("scanprior.recon", "DDS") in shown(ROOT / "docs" / "architecture.md")
    assert ("scanprior.recon", "problem_of") in shown(ROOT / "docs" / "reference" / "api.md")
    assert ("scanprior.geometry", "Grid") in shown(ROOT / "docs" / "reference" / "api.md")


def test_importing_the_packages_is_light() -> None:
    heavy = "{'torch', 'numpy', 'h5py'}"
    code = f"import sys\nfor name in {PACKAGES}: __import__(name)\nprint({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_stub_lists_only_its_own_names() -> None:
    """`from .x import A as A`: what lazy_loader and type checkers both understand."""
    for stub in ROOT.rglob("__init__.pyi"):
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                assert node.level == 1 and all(alias.name == alias.asname for alias in node.names), stub


# --- values on one line
def test_reprs_are_short() -> None:
    grid = Grid((32, 32), 2.0)
    beam = ParallelBeam.covering(grid, 549)
    A = Radon(beam, grid)
    network = torch.nn.Sequential(*(torch.nn.Conv2d(1, 1, 3, padding=1) for _ in range(50)))
    image = torch.zeros(2, 32, 32)
    values = {
        "ParallelBeam(549 views over 179.7°, 46 elements of 2 mm)": beam,
        "Problem(y of 2 x 549 x 46 float32, RadonSparse(real (32, 32) -> real (549, 46)), "
        "noise=Photon(photons=100000.0, electronic=0.0))": Problem(A(image), A, Photon(1e5)),
        "NetworkPrior(Sequential of 0.0005 M weights in float32, channels=1, sigma_data=0.5, intensity=None)": (
            NetworkPrior(network, 1, 0.5)
        ),
        "Reconstruction(DDS: 4 of 2 x 32 x 32 float32, nfe=20, 1.5 s)": Reconstruction(
            image, None, image[:, None].expand(-1, 4, -1, -1), 20, 1.5, {"method": "DDS"}
        ),
        "ImageSet('a.h5', 3 x 8 x 8 in HU, of 2 groups)": ImageSet(
            Path("a.h5"), (3, 8, 8), "HU", np.array(["a", "a", "b"]), np.ones(3), {}
        ),
        "StoredReconstruction('r.h5', 2 x 32 x 32 in HU, mean)": StoredReconstruction(
            image.numpy(), None, None, "HU", (1.0, 1.0, 1.0), {}, "r.h5"
        ),
    }
    for expected, value in values.items():
        assert repr(value) == expected
    scan = Scan("ct", np.zeros((2, 549, 46), np.float32), (32, 32), 2.0, geometry=beam)
    assert len(repr(replace(scan, mask=np.ones((549, 46), bool)))) < 200
    assert all(len(repr(card)) < 120 and card.name in repr(card) for card in bundled().values())
