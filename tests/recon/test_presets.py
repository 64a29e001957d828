"""Tuning finds a known optimum; what was found is used for similar measurements and for no others."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scanprior.formats.scan import Volume
from scanprior.geometry import Grid, ParallelBeam
from scanprior.operators.mri import cartesian_mri
from scanprior.operators.noise import ComplexGaussian, Gaussian
from scanprior.operators.radon import Radon
from scanprior.recon.baselines.methods import FistaTV
from scanprior.recon.methods import BASELINES, METHODS, class_of, method_of
from scanprior.recon.options import names
from scanprior.recon.presets import (
    Likeness,
    Preset,
    keep,
    likeness,
    preset_for,
    read_presets,
    tuned_method,
    users,
)
from scanprior.recon.problem import Problem
from scanprior.recon.simulate import CTSimulation
from scanprior.recon.weights import measured
from scanprior.workflows.benchmark.cases import Case
from scanprior.workflows.benchmark.search import tune


def ct(views: int = 23, arc: float = math.pi, sigma: float = 0.0) -> Problem:
    grid = Grid((32, 32), 2.0)
    operator = Radon(ParallelBeam.covering(grid, views, arc=arc), grid)
    y = operator(torch.full((1, 32, 32), 0.02))
    return Problem(y, operator, Gaussian(sigma) if sigma else None)


def mri(every: int = 4, sigma: float = 0.1) -> Problem:
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[:, ::every] = True
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(1, 3, 32, 32, dtype=torch.complex64, generator=generator) * mask
    return Problem(
        y, cartesian_mri(mask, torch.ones(3, 32, 32, dtype=torch.complex64)), ComplexGaussian(sigma)
    )


def test_likeness_is_read_off_the_problem() -> None:
    problem = ct(sigma=0.01)
    like = likeness(problem)
    assert like.modality == "ct" and like.coverage == pytest.approx(1.0)
    known = measured(problem)
    assert 0.7 < float(known.float().mean()) < 0.95  # rays beside the image measure nothing
    assert like.undersampling == pytest.approx(32 * 32 / int(known.sum()))
    rms = float((problem.y[known].square().sum() / known.sum()).sqrt())
    assert like.noise == pytest.approx(0.01 / rms, rel=0.01)
    assert likeness(ct(arc=math.pi / 2)).coverage == pytest.approx(0.5)
    for turns in (2, 3, 4, 10):  # in halves
        assert likeness(ct(60, arc=turns * math.pi)).coverage == pytest.approx(1.0)
    assert likeness(mri(4)).undersampling == 4 and likeness(mri(8)).undersampling == 8
    assert likeness(mri(sigma=0.1)).noise == pytest.approx(2 * likeness(mri(sigma=0.05)).noise)


def test_the_most_similar_measurement_wins_and_the_user_s_goes_first(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("scanprior.recon.presets.SHIPPED", tmp_path / "shipped.toml")

    def add(path: Path, views: int, gamma: float, **problem) -> None:
        keep(
            path,
            Preset(
                "dds", likeness(ct(views, **problem)), {"gamma": gamma}, {"suite": "s", "task": f"{views}"}
            ),
        )

    add(tmp_path / "shipped.toml", 20, 3.0)
    add(tmp_path / "shipped.toml", 60, 5.0)
    add(tmp_path / "shipped.toml", 61, 7.0, sigma=0.01)

    def gamma(problem: Problem, options: str = "") -> float:
        return tuned_method("dds", options, problem)[0].gamma

    default = method_of("dds", "").settings["gamma"]
    assert (gamma(ct(23)), gamma(ct(55)), gamma(ct(55, sigma=0.008))) == (3.0, 5.0, 7.0)
    assert gamma(ct(2)) == default and gamma(ct(20, arc=math.pi / 3)) == default  # nothing alike
    assert gamma(mri()) == default and preset_for("dps", likeness(ct(20))) is None
    assert gamma(ct(23), "gamma=9") == 9.0 and tuned_method("dds", "steps=7", ct(23))[0].steps == 7
    add(users(), 20, 4.0)
    assert (gamma(ct(23)), gamma(ct(60))) == (4.0, 5.0)
    add(users(), 20, 4.5)  # tuned again: in the place of the older one
    assert gamma(ct(23)) == 4.5 and len(read_presets(users())) == 1


@pytest.mark.parametrize("text", ["preset = 3", "[[preset]]\nmethod = 'dds'", "no toml"])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(ValueError, match="tune again"):
        read_presets(tmp_path / "p.toml")


def test_a_preset_of_settings_that_are_no_more_is_refused() -> None:
    keep(users(), Preset("dds", likeness(ct()), {"colour": 1.0}, {"suite": "s", "task": "t"}))
    with pytest.raises(ValueError, match="'colour'"):
        tuned_method("dds", "", ct())


@pytest.fixture
def case() -> Case:
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    image = -1000 + 1040 * (np.hypot(x, y) < 0.8) + 300 * (np.hypot(x - 0.2, y) < 0.2)
    volume = Volume(image[None].astype(np.float32), "HU", "CT", (1.0, 4.0, 4.0), source="body")
    return Case(1, 0, volume, CTSimulation(views=24, photons=300))


def test_tuning_finds_the_best_of_a_dense_search(case: Case, tmp_path: Path) -> None:
    def value(weight: float) -> float:
        method = method_of("fista-tv", "iterations=40", {"weight": weight})
        return case.figures(method(case.problem).mean)["psnr"]

    dense = {weight: value(weight) for weight in np.geomspace(1e-5, 0.1, 17)}
    found = tune("fista-tv", "iterations=40", [case], None, trials=15)
    assert found.value >= max(dense.values()) - 0.1
    assert found.value == pytest.approx(value(found.settings["weight"]))
    assert found.default == pytest.approx(value(1e-3)) and found.value > found.default + 0.1


def test_tuning_goes_on_and_never_keeps_what_is_worse(case: Case, tmp_path: Path, monkeypatch) -> None:
    from scanprior.workflows.benchmark import search as module

    calls: list[int] = []
    solve = module.solve
    monkeypatch.setattr(module, "solve", lambda *a: calls.append(1) or solve(*a))
    journal = tmp_path / "journal"
    first = tune("fista-tv", "iterations=5", [case], None, trials=3, journal=journal)
    assert len(calls) == 4 and first.trials == 3
    more = tune("fista-tv", "iterations=5", [case], None, trials=5, journal=journal)
    assert (
        len(calls) == 6 and more.trials == 5 and more.value >= first.value and more.default == first.default
    )
    monkeypatch.setattr(FistaTV, "space", {"weight": (0.5, 0.9)})  # all far too smooth
    kept = tune("fista-tv", "iterations=5", [case], None, trials=2)
    assert kept.settings == {} and kept.value == kept.default


TUNING = ("diffpir", "steps=2")  # three settings: nine trials one at a time, then the estimator's


def tried(monkeypatch, case: Case, journal: Path, stop: int = 0, trials: int = 14) -> list[dict]:
    """The settings that were tried; `stop`: the call that does not end. The figures are made up of the settings."""
    from scanprior.workflows.benchmark import search as module

    seen: list[dict] = []

    def watched(name: str, options: str, settings: dict | None = None):
        seen.append(settings or {})
        if len(seen) == stop:
            raise KeyboardInterrupt
        return method_of(name, options, settings)

    class Figures:
        def figures(self, _: object) -> dict[str, float]:
            return {"psnr": 30 + sum(math.sin(5 * v) for v in seen[-1].values())}

        problem = None

    class Solved:
        mean = None

    with monkeypatch.context() as now:
        now.setattr(module, "method_of", watched)
        now.setattr(module, "solve", lambda *_: Solved)
        try:
            found = tune(*TUNING, [Figures()], None, trials=trials, journal=journal)  # type: ignore[list-item]
        except KeyboardInterrupt:
            return seen
    return [*seen, found.settings, {"best": found.value, "default": found.default}]


@pytest.mark.parametrize("stop", [1, 3, 6, 12, 15])
def test_a_tuning_that_was_killed_finds_what_one_does_that_was_not(case, tmp_path, monkeypatch, stop) -> None:
    whole = tried(monkeypatch, case, tmp_path / "whole")
    first = tried(monkeypatch, case, tmp_path / "cut", stop)
    assert len(first) == stop
    again = tried(monkeypatch, case, tmp_path / "cut")
    assert again[-2:] == whole[-2:]
    evaluated = [s for s in first[:-1] + again[:-2] if s]  # the one that was cut is done again
    assert [s for n, s in enumerate(evaluated) if s not in evaluated[:n]] == [s for s in whole[:-2] if s]


@pytest.mark.parametrize(
    "damage", ["torn", "torn and gone on", "text", pytest.param("lock", marks=pytest.mark.slow)]
)
def test_a_torn_journal_keeps_its_whole_lines(case, tmp_path, monkeypatch, damage) -> None:
    from scanprior.workflows.benchmark import search as module

    whole, journal = tried(monkeypatch, case, tmp_path / "whole"), tmp_path / "cut"
    tried(monkeypatch, case, journal, 12)
    lines = journal.read_bytes()
    if damage == "torn":
        journal.write_bytes(lines[:-20])
    elif damage == "torn and gone on":
        journal.write_bytes(lines[:-20] + lines.splitlines(keepends=True)[-1])
    elif damage == "text":
        journal.write_bytes(lines + b"\0" * 512 + b"\n")
    else:  # of a process that was killed while it wrote
        (tmp_path / "cut.lock").symlink_to(journal)
        monkeypatch.setattr(module, "LOCK_SECONDS", 3)
    assert tried(monkeypatch, case, journal)[-2:] == whole[-2:]


def test_each_setting_is_tried_alone_first(case: Case, monkeypatch) -> None:
    from scanprior.workflows.benchmark import search as module

    tried: list[dict[str, float]] = []

    def watched(name: str, options: str, settings: dict | None = None):
        if settings:
            tried.append(settings)
        return method_of(name, options, settings)

    monkeypatch.setattr(module, "method_of", watched)
    tune("fista-tv", "iterations=5", [case], None, trials=2)
    assert [t["weight"] for t in tried] == pytest.approx([1e-4, 1e-2])  # 1e-3 is the default
    settings = module.one_at_a_time({"a": 2.0, "b": 7}, {"a": (0.0, 1.0), "b": (1, 100)})
    assert settings[:3] == [{"a": part, "b": 7} for part in (0.25, 0.5, 0.75)]
    assert settings[3:] == [{"a": 1.0, "b": count} for count in (3, 10, 32)]  # a within its range
    assert len(module.one_at_a_time({"b": 10}, {"b": (1, 100)})) == 2  # half of the way is where it stands


def test_what_cannot_be_tuned_is_refused(case: Case) -> None:
    for arguments in (("fbp", ""), ("fista-tv", "weight=1e-3")):
        with pytest.raises(ValueError, match="tune: "):
            tune(*arguments, [case], None)


def test_every_space_is_of_a_method_and_its_settings() -> None:
    tunable = {name for name in (*METHODS, *BASELINES) if class_of(name).space}
    assert {name for name in METHODS if not name.endswith("-paper")} <= tunable
    for name in tunable:
        method = class_of(name)()
        for key, (low, high) in class_of(name).space.items():
            assert (
                type(getattr(method, key)) in (type(low), type(None))
                and type(low) is type(high)
                and low < high
            )


def test_likeness_of_other_modalities_is_infinitely_far() -> None:
    assert Likeness("ct", 4, 1, 0.01).distance(Likeness("mri", 4, 1, 0.01)) == math.inf


@pytest.mark.parametrize(
    ("degrees", "higher"), [(180, False), (150, False), (120, True), (110, True), (90, True)]
)
def test_auto_begins_higher_where_an_angle_is_missing_and_only_there(degrees: int, higher: bool) -> None:
    found = preset_for("auto", Likeness("ct", 180 / degrees, degrees / 180, 0.0107))
    default = method_of("auto", "").sigma_start
    assert (found is not None and found.settings["sigma_start"] > 2 * default) == higher


def test_the_names_that_options_set_are_whole_words() -> None:
    assert names("") == set() and names("steps=50, fan,eta_b=1") == {"steps", "fan", "eta_b"}
