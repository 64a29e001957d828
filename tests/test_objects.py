"""Methods and priors that Python gives as objects: what the command line can name is the same as by name, what it
cannot is run, and the result says that no command repeats it."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scanprior as package
import torch
from scanprior.errors import UsageError
from scanprior.formats.scan import Scan, Volume
from scanprior.priors import Attenuation
from scanprior.recon import DDS, FBP, CTSimulation, Descent, simulate
from scanprior.recon.methods import in_words, method_of
from scanprior.workflows.progress import SILENT

FAST = {"samples": 2, "baselines": False, "progress": SILENT}


class Shrinking(torch.nn.Module):
    """The posterior mean under N(0, 1) pixels."""

    channels, intensity = 1, Attenuation(hu_per_unit=2000)

    def denoise(self, x, sigma):
        return x / (1 + torch.as_tensor(sigma).view(-1, 1, 1, 1) ** 2)


@pytest.fixture(scope="module")
def scan() -> Scan:
    y, x = np.mgrid[-1:1:16j, -1:1:16j]
    disc = np.where(np.hypot(x, y) < 0.8, 40.0, -1000.0).astype(np.float32)[None]
    return simulate(Volume(disc, "HU", "CT", (1.0, 8.0, 8.0)), CTSimulation(views=8))


def test_a_method_of_ours_is_the_same_by_name(scan: Scan) -> None:
    by_object = package.reconstruct(scan, DDS(steps=3), prior=Shrinking(), **FAST)
    by_name = package.reconstruct(scan, "dds", options="steps=3", prior=Shrinking(), **FAST)
    np.testing.assert_array_equal(by_object.samples, by_name.samples)
    assert by_object.asked["method"] == "dds" and "steps=3" in by_object.asked["options"]


def test_a_baseline_is_repeated_by_its_command(scan: Scan) -> None:
    result = package.reconstruct(scan, FBP(filter="hann"), **FAST)
    assert result.found.provenance["filter"] == "hann"
    assert "--method fbp --options filter=hann" in result.command
    assert tomllib.loads(result.config)["options"] == "filter=hann"


def test_what_the_command_line_cannot_name_is_run_and_said(scan: Scan, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Plain(Descent):
        steps: int = 3
        cg: int = 2

        def step(self, posed, x, s, s_next, noise):
            fitted = posed.data_step(posed.denoise(x, s), s**2, self.cg)
            return fitted + s_next * noise.like(fitted), fitted

    prior = Shrinking()
    result = package.reconstruct(scan, Plain(cg=1), prior=prior, **FAST)
    facts = result.found.provenance
    assert (facts["method"], facts["cg"], result.card.name) == ("Plain", 1, "Shrinking")  # type: ignore[union-attr]
    for text in (result.command, result.config):
        assert text.startswith("# ") and "a method and a prior that the command line has no name for" in text
    assert tomllib.loads(result.config)["method"] == "Plain"  # which --config refuses
    assert (result.save(tmp_path / "out") / "report.html").is_file()
    with pytest.raises(ValueError, match="expected one of dds"):
        method_of("Plain", "")


def test_a_class_of_a_module_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab_of_objects.py").write_text(
        "from dataclasses import dataclass\nfrom scanprior.recon import DDS\n"
        "@dataclass(frozen=True)\nclass Mine(DDS):\n    factor: float = 1.0\n"
        "@dataclass(frozen=True)\nclass Odd(DDS):\n    weights: tuple = ()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    lab = __import__("lab_of_objects")
    name, options = in_words(lab.Mine(steps=3, factor=0.1)) or ("", "")
    assert name == "lab_of_objects:Mine" and "steps=3" in options and "factor=0.1" in options
    assert in_words(lab.Odd()) and in_words(lab.Odd(weights=(1,))) is None  # no text says a tuple
    monkeypatch.setattr(lab.Mine, "__module__", "__main__")
    assert in_words(lab.Mine()) is None
    sys.modules.pop("lab_of_objects")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": DDS}, "one like DDS"),
        ({"method": 3}, "method: got 3, expected a name of `scanprior methods`"),
        ({"method": DDS(), "options": "steps=3"}, "which has its own; leave one of them out"),
        ({"prior": Shrinking}, "an object with denoise"),
        ({"prior": 3}, "prior: got 3"),
    ],
)
def test_what_is_neither_is_refused(scan: Scan, settings, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        package.reconstruct(scan, **settings, **FAST)
