"""Tuning finds a known optimum, goes on where it was, and keeps what is a preset."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from scanprior.formats.scan import Volume
from scanprior.recon import FistaTV
from scanprior.recon.methods import BASELINES, METHODS, class_of, method_of
from scanprior.recon.posterior.pigdm import PiGDM
from scanprior.recon.presets import read_presets
from scanprior.recon.simulate import CTSimulation
from scanprior.workflows import tune as workflow
from scanprior.workflows.benchmark.cases import Case
from scanprior.workflows.benchmark.results import Selection
from scanprior.workflows.benchmark.search import Search, tune
from scanprior.workflows.progress import SILENT


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
    found = tune("fista-tv", "iterations=40", [case], None, Search(15))
    assert found.value >= max(dense.values()) - 0.1
    assert found.value == pytest.approx(value(found.settings["weight"]))
    assert found.default == pytest.approx(value(1e-3)) and found.value > found.default + 0.1


def test_tuning_goes_on_and_never_keeps_what_is_worse(case: Case, tmp_path: Path, monkeypatch) -> None:
    from scanprior.workflows.benchmark import search as module

    calls: list[int] = []
    solve = module.solve
    monkeypatch.setattr(module, "solve", lambda *a: calls.append(1) or solve(*a))
    journal = tmp_path / "journal"
    first = tune("fista-tv", "iterations=5", [case], None, Search(3), journal)
    assert len(calls) == 4 and first.trials == 3
    more = tune("fista-tv", "iterations=5", [case], None, Search(5), journal)
    assert (
        len(calls) == 6 and more.trials == 5 and more.value >= first.value and more.default == first.default
    )
    monkeypatch.setattr(FistaTV, "space", {"weight": (0.5, 0.9)})  # all far too smooth
    kept = tune("fista-tv", "iterations=5", [case], None, Search(2))
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
            found = tune(*TUNING, [Figures()], None, Search(trials), journal)  # type: ignore[list-item]
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
    tune("fista-tv", "iterations=5", [case], None, Search(2))
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


# --- by the scores of samples
def test_the_crps_is_lowered_and_only_of_methods_with_samples(case: Case, monkeypatch) -> None:
    """Samples that are the truth and noise, and off by what grows with eta: best at 0."""
    from scanprior.workflows.benchmark import search as module

    class Solved:
        def __init__(self, samples: torch.Tensor) -> None:
            self.samples = samples

    def solved(method, problem, prior, samples, seed):
        noise = torch.randn(1, samples, *case.truth.shape[1:], generator=torch.Generator().manual_seed(0))
        return Solved(case.truth[:, None] + 1e-3 * (noise + 3 * method.eta))

    monkeypatch.setattr(module, "solve", solved)
    monkeypatch.setattr(PiGDM, "space", {"eta": (0.0, 1.0)})
    found = tune("pigdm", "", [case], None, Search(4, "crps"))
    assert found.settings["eta"] <= 0.25 and 0 < found.value < found.default / 2
    with pytest.raises(ValueError, match="no samples"):
        tune("fista-tv", "", [case], None, Search(1, "crps"))


# --- the workflow
@pytest.fixture
def suite(tmp_path: Path) -> Path:
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    with h5py.File(tmp_path / "images.h5", "w") as file:
        bodies = [-1000 + 1040 * (np.hypot(x, y) < r) for r in (0.6, 0.7, 0.8, 0.9, 0.85)]
        file["images"] = np.stack(bodies).astype(np.float32)
        file["images"].attrs["units"] = "HU"
        file["patient"] = np.array([*"abcde"], dtype=h5py.string_dtype())
        file["px_mm"] = np.full(5, 4.0)
    path = tmp_path / "mine.toml"
    path.write_text(
        f'title = "T"\nmethods = ["fbp"]\n[data]\nct = "no.h5"\n[validation]\nct = "{tmp_path}/images.h5"\n[tasks]\n'
        'few = "ct:views=8"\n'
    )
    return path


def test_a_preset_holds_no_budget_and_knows_what_it_was_found_with(suite: Path, tmp_path: Path) -> None:
    path = tmp_path / "presets.toml"
    arguments = ("fista-tv", str(suite), "iterations=4")
    found = workflow.tune(*arguments, how=Search(2), output=path, progress=SILENT)
    (preset,) = read_presets(path)
    assert found.presets == [preset] and found.kept and found.path == path
    assert preset.patients == 4 and preset.prior == "" and preset.place == "mine: few"
    assert "iterations" not in preset.settings and preset.given["iterations"] == 4


def test_what_was_found_on_few_patients_is_not_kept(suite: Path, tmp_path: Path) -> None:
    path = tmp_path / "presets.toml"
    few = Selection(patients=3)
    found = workflow.tune("sirt", str(suite), "", few, Search(1), output=path, progress=SILENT)
    assert not found.kept and found.presets[0].patients == 3 and not path.exists()


def test_a_preset_is_of_the_prior_it_was_found_with(suite: Path, ct_prior: Path, tmp_path: Path) -> None:
    from scanprior.pretrained.load import load

    path, own = tmp_path / "presets.toml", Selection(prior=str(ct_prior))
    workflow.tune(
        "reddiff", str(suite), "steps=2", own, Search(1), output=path, device="cpu", progress=SILENT
    )
    (preset,) = read_presets(path)
    assert preset.prior == load(ct_prior)[1].sha256 and preset.given["steps"] == 2


def test_a_plan_knows_the_trials_that_are_there(suite: Path, tmp_path: Path) -> None:
    path = tmp_path / "presets.toml"
    arguments = ("fista-tv", str(suite), "iterations=4")
    before = sorted(tmp_path.iterdir())
    options = {"how": Search(3), "output": path, "progress": SILENT}
    plan = workflow.planned(*arguments, **options)
    assert plan["tasks"]["few"] | {"there_already": 0, "patients": 4, "slices": 4} == plan["tasks"]["few"]
    assert set(plan["tuned"]) == {"weight"} and 0 < plan["estimate"]["seconds"] < 60
    assert sorted(tmp_path.iterdir()) == before
    workflow.tune(*arguments, **options | {"how": Search(2)})
    journal = tmp_path / ".presets.toml.journal"
    kept = journal.read_bytes()
    again = workflow.planned(*arguments, **options)
    assert again["tasks"]["few"]["trials"] == 3 and journal.read_bytes() == kept
    assert again["tasks"]["few"]["there_already"] == 2
