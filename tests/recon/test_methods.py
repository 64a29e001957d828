"""`--method`: every name is a class that says what the command line, tuning and benchmarks need; a method of one's own
needs no list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import known_answer as known
import pytest
from scanprior.recon.baselines.method import Baseline
from scanprior.recon.methods import BASELINES, METHODS, class_of, lines, method_of, suite_labels
from scanprior.recon.options import settings_of
from scanprior.recon.posterior.method import PosteriorMethod


@pytest.mark.parametrize("name", METHODS)
def test_every_name_is_a_method_with_settings(name: str) -> None:
    method = method_of(name, "steps=7")
    assert isinstance(method, PosteriorMethod)
    assert method.settings["steps"] == 7
    assert f"  {name} " in lines()
    with pytest.raises(ValueError, match=r"--options: got .colour., expected some of steps .a whole number"):
        method_of(name, "colour=blue")


@pytest.mark.parametrize("name", METHODS)
def test_the_budget_is_what_is_evaluated(name: str) -> None:
    method, case = method_of(name, "steps=2"), known.cases()["even"]
    assert method(case.problem, case.prior, batch=2).nfe == method.nfe
    assert replace(method, steps=4).nfe > method.nfe  # type: ignore[type-var]


@pytest.mark.parametrize("name", [*METHODS, *BASELINES])
def test_a_class_says_of_itself_what_was_read_without_importing_it(name: str) -> None:
    kind, entry = class_of(name), {**METHODS, **BASELINES}[name]
    assert (kind.name, kind.line, kind.suite) == (name, entry.line, entry.suite)
    for setting in settings_of(kind):
        assert setting.doc, f"{name}: the docstring's Attributes say nothing of {setting.name}"


def test_suites_run_every_method_that_wants_it() -> None:
    labels = suite_labels()
    assert {"dds", "dds:steps=20", "dps:steps=100", "fbp", "dds-paper"} <= set(labels)
    assert not [label for label in labels if label.startswith(("supervised", "dps-paper"))]


TOY = '''
from dataclasses import dataclass
from scanprior.recon.posterior.method import PosteriorMethod

@dataclass(frozen=True)
class Toy(PosteriorMethod):
    """The denoised least-squares image.

    Attributes:
        level: taken for its noise.
    """
    level: float = 0.5

    def trajectory(self, posed, noise):
        for _ in range(self.steps):
            yield posed.denoise(posed.initial, self.level)
'''


def test_a_method_of_ones_own_is_one_file(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "toy_of_a_user.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    method = method_of("toy_of_a_user:Toy", "steps=2,level=0.1")
    case = known.cases()["even"]
    assert method(case.problem, case.prior, batch=2).nfe == method.nfe == 2
    assert method.settings == {"method": "Toy", "steps": 2, "level": 0.1}


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="expected one of draws, ald, auto, daps"):
        method_of("magic", "")


def test_baselines_are_baselines() -> None:
    assert all(issubclass(class_of(name), Baseline) for name in BASELINES if name != "supervised")
