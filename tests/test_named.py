"""A user's own prior and method by `package.module:Name`: imported, checked, run; refused in one line."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from scanprior.formats import read_reconstruction, write_scan
from scanprior.formats.scan import Scan
from scanprior.named import is_named
from scanprior.pretrained import load_prior
from scanprior.priors.intensity import Attenuation
from scanprior.recon import CTSimulation, Descent, simulate
from scanprior.recon.methods import class_of, method_of
from scanprior.workflows.progress import SILENT

MYLAB = """
from dataclasses import dataclass
import torch
from scanprior.priors import Attenuation
from scanprior.recon import Descent

class MyPrior(torch.nn.Module):
    channels = 1
    intensity = Attenuation(hu_per_unit=2000, mu_water=0.021)
    def denoise(self, x, sigma):
        return x / (1 + torch.as_tensor(sigma).view(-1, 1, 1, 1) ** 2)

@dataclass(frozen=True)
class Plain(Descent):
    steps: int = 4
    cg: int = 2
    def step(self, posed, x, s, s_next, noise):
        fitted = posed.data_step(posed.denoise(x, s), s**2, self.cg)
        return fitted + s_next * noise.like(fitted), fitted

@dataclass(frozen=True)
class Breaks(Plain):
    def step(self, posed, x, s, s_next, noise):
        return {}["missing"], x
class Fails(MyPrior):
    def denoise(self, x, sigma):
        return torch.ones(3) @ x.new_ones(4)

made = MyPrior()
class Lacks:
    channels = 1
    def denoise(self, x, sigma): return x
class Odd(MyPrior):
    def denoise(self, x, sigma): return x[..., 1:]
def wants(size): return made
number = 3
"""


@pytest.fixture
def mylab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Modules `mylab` and `broken` on Python's path."""
    (tmp_path / "mylab.py").write_text(MYLAB)
    (tmp_path / "broken.py").write_text("import no_such_package\n")
    (tmp_path / "wrong.py").write_text("1 / 0\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "mylab.py"
    for name in ("mylab", "broken", "wrong", "leaves"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["mylab:MyPrior", "mylab:made"])
def test_an_own_prior(mylab: Path, name: str) -> None:
    prior = load_prior(name)
    assert prior.channels == 1 and prior.intensity == Attenuation(2000, 0.021)
    x = torch.ones(2, 1, 4, 4)
    assert torch.equal(prior.denoise(x, torch.tensor([1.0, 2.0]))[:, 0, 0, 0], torch.tensor([0.5, 0.2]))
    assert repr(prior).startswith(f"OwnPrior('{name}', channels=1")


def test_an_own_method_has_options(mylab: Path) -> None:
    method = method_of("mylab:Plain", "steps=7,cg=3")
    assert isinstance(method, Descent) and (method.steps, method.cg) == (7, 3)
    with pytest.raises(ValueError, match="--options: got 'speed'"):
        method_of("mylab:Plain", "speed=9")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nolab:MyPrior", "'nolab:MyPrior': Python finds no module 'nolab'; .* PYTHONPATH"),
        ("mylab.deep:MyPrior", "finds no module 'mylab.deep'"),
        ("mylab:Other", "mylab has no 'Other'; it has dataclass, .*MyPrior"),
        ("broken:MyPrior", "importing broken fails: No module named 'no_such_package'; install it"),
        ("wrong:MyPrior", "importing wrong fails: ZeroDivisionError"),
        ("leaves:MyPrior", "importing leaves fails: SystemExit: 3"),
    ],
)
def test_what_cannot_be_imported_is_said(mylab: Path, name: str, words: str) -> None:
    for call in (load_prior, lambda name: method_of(name, "")):
        with pytest.raises(ValueError, match=words):
            call(name)


def test_what_is_no_prior_or_method_is_said(mylab: Path) -> None:
    for name, words in (
        ("mylab:Lacks", "is no prior: it lacks intensity; expected channels"),
        ("mylab:wants", "TypeError.*without arguments"),
        ("mylab:number", "'mylab:number': TypeError"),
    ):
        with pytest.raises(ValueError, match=words):
            load_prior(name)
    with pytest.raises(ValueError, match="denoise gave shape"):
        load_prior("mylab:Odd").denoise(torch.ones(1, 1, 4, 4), 1.0)
    with pytest.raises(ValueError, match=r"got dtype torch\.bfloat16"):
        load_prior("mylab:MyPrior", dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="expected a class derived from"):
        method_of("mylab:MyPrior", "")


def test_a_label_of_a_benchmark_may_be_an_own_method() -> None:
    from scanprior.workflows.benchmark.suite import split

    assert split("mylab:Plain") == ("mylab:Plain", "")
    assert split("mylab:Plain:steps=7") == ("mylab:Plain", "steps=7")
    assert split("dds:steps=20") == ("dds", "steps=20")


def test_only_the_form_is_taken_for_a_name() -> None:
    """Never a file to be run, never a label or an address."""
    for text in (
        "mylab.py",
        "./mylab:Name",
        "C:\\\\priors\\\\a",
        "https://a.b:c",
        "dds:steps=20",
        "a:b:c",
        "-m:os",
        "",
    ):
        assert not is_named(text), text
    assert is_named("lab.priors:Mine")


def test_on_the_command_line(mylab: Path, ct_volume_scan: Scan, tmp_path: Path, capsys) -> None:
    from scanprior.cli.main import main

    write_scan(tmp_path / "scan.h5", ct_volume_scan)
    call = [
        "reconstruct",
        str(tmp_path / "scan.h5"),
        "-o",
        str(tmp_path / "out"),
        "--samples",
        "2",
        "--no-baselines",
    ]
    with pytest.raises(SystemExit) as left:
        main([*call, "--prior", "mylab:MyPrior", "--method", "mylab:Plain", "--options", "cg=3"])
    assert not left.value.code, capsys.readouterr().err
    result = read_reconstruction(tmp_path / "out" / "reconstruction.h5")
    assert result.samples is not None and result.samples.shape == (2, 1, 16, 16)
    assert result.attrs["method"] == "Plain" and result.attrs["cg"] == 3
    assert result.attrs["prior"] == "mylab:MyPrior" and len(result.attrs["prior_sha256"]) == 64


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (("--method", "mylab:Breaks"), r"mylab\.py, line \d+, in step: KeyError: 'missing' \(your own code"),
        (("--prior", "mylab:Fails"), r"mylab\.py, line \d+, in denoise: RuntimeError: .*size"),
    ],
)
def test_an_error_of_the_users_own_is_said_with_its_place(
    mylab: Path, ct_volume_scan: Scan, tmp_path: Path, capsys, own: tuple[str, str], words: str
) -> None:
    """Not as a defect of scanprior; Python's callers get it as it was raised."""
    import scanprior as package
    from scanprior.cli.main import main

    write_scan(tmp_path / "scan.h5", ct_volume_scan)
    call = [str(tmp_path / "scan.h5"), "-o", str(tmp_path / "out"), "--samples", "1", "--no-baselines", "-q"]
    with pytest.raises(SystemExit) as left:
        main(["reconstruct", *call, "--prior", "mylab:MyPrior", *own])
    said = capsys.readouterr().err
    assert left.value.code == 2 and re.search(words, said) and "defect" not in said
    assert not (tmp_path / "out").exists()
    settings = {"prior": "mylab:MyPrior", own[0][2:]: own[1]}
    with pytest.raises((KeyError, RuntimeError)):
        package.reconstruct(ct_volume_scan, samples=1, baselines=False, progress=SILENT, **settings)


@pytest.fixture
def ct_volume_scan() -> Scan:
    import numpy as np
    from scanprior.formats.scan import Volume

    y, x = np.mgrid[-1:1:16j, -1:1:16j]
    disc = np.where(np.hypot(x, y) < 0.8, 40.0, -1000.0).astype(np.float32)[None]
    return simulate(Volume(disc, "HU", "CT", (1.0, 8.0, 8.0)), CTSimulation(views=8))


@pytest.mark.parametrize(
    ("name", "words"),
    [("Bare", "writes no `trajectory`"), ("Stepless", "writes no `step`"), ("Plain", "is no dataclass")],
)
def test_an_own_method_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    (tmp_path / "slips.py").write_text(
        "from dataclasses import dataclass\n"
        "from scanprior.recon.posterior import Descent, PosteriorMethod\n"
        "@dataclass(frozen=True)\nclass Bare(PosteriorMethod):\n    steps: int = 3\n"
        "@dataclass(frozen=True)\nclass Stepless(Descent):\n    steps: int = 3\n"
        "class Plain(Descent):\n    steps: int = 3\n    def step(self, *a): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=words):
        class_of(f"slips:{name}")
