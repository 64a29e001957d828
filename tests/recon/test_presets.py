"""A preset is used for what it was found for: prior, configuration, measurement, patients; and for nothing else."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scanprior.geometry import Grid, ParallelBeam
from scanprior.modality import Modality
from scanprior.operators.mri import cartesian_mri
from scanprior.operators.noise import ComplexGaussian, Gaussian
from scanprior.operators.radon import Radon
from scanprior.pretrained.cache import find
from scanprior.pretrained.load import default_for
from scanprior.recon import presets
from scanprior.recon.methods import BASELINES, METHODS, method_of
from scanprior.recon.options import names
from scanprior.recon.presets import (
    SHIPPED,
    Likeness,
    Preset,
    every_preset,
    fixed_settings,
    keep,
    likeness,
    read_presets,
    remove,
    tuned_method,
    user_presets_path,
)
from scanprior.recon.problem import Problem
from scanprior.recon.weights import measured

OURS = "a" * 64  # hashes of priors
OTHER = "b" * 64


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
    assert like.modality is Modality.CT and like.coverage == pytest.approx(1.0)
    known = measured(problem)
    assert 0.7 < float(known.float().mean()) < 0.95  # rays beside the image measure nothing
    assert like.undersampling == pytest.approx(32 * 32 / int(known.sum()))
    rms = float((problem.y[known].square().sum() / known.sum()).sqrt())
    assert like.side == 32
    assert like.noise == pytest.approx(0.01 / rms, rel=0.01)
    assert likeness(ct(arc=math.pi / 2)).coverage == pytest.approx(0.5)
    for turns in (2, 3, 4, 10):  # in halves
        assert likeness(ct(60, arc=turns * math.pi)).coverage == pytest.approx(1.0)
    assert likeness(mri(4)).undersampling == 4 and likeness(mri(8)).undersampling == 8
    assert likeness(mri(sigma=0.1)).noise == pytest.approx(2 * likeness(mri(sigma=0.05)).noise)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch) -> Path:
    """A file in the place of the package's."""
    monkeypatch.setattr(presets, "SHIPPED", tmp_path / "shipped.toml")
    return tmp_path / "shipped.toml"


def made(problem: Problem, method: str = "dds", prior: str = OURS, task: str = "t", **settings) -> Preset:
    """A preset of four patients."""
    plain = method_of(method, "")
    found = {"suite": "s", "task": task, "patients": 4}
    settings = settings or {"sigma_start": 0.25}
    return Preset(method, prior, likeness(problem), fixed_settings(plain, settings), settings, found)


def start(problem: Problem, options: str = "", prior: str = OURS) -> float:
    return tuned_method("dds", options, problem, prior).method.sigma_start


def test_the_most_similar_measurement_wins_and_the_user_s_goes_first(shipped: Path) -> None:
    keep(shipped, made(ct(20), task="20", sigma_start=0.3))
    keep(shipped, made(ct(60), task="60", sigma_start=0.5))
    keep(shipped, made(ct(61, sigma=0.01), task="61", sigma_start=0.7))
    default = method_of("dds", "").sigma_start
    assert (start(ct(23)), start(ct(55)), start(ct(55, sigma=0.008))) == (0.3, 0.5, 0.7)
    assert start(ct(2)) == default and start(ct(20, arc=math.pi / 3)) == default  # nothing alike
    assert start(mri()) == default
    assert start(ct(23), "sigma_start=0.9") == 0.9
    keep(user_presets_path(), made(ct(20), task="20", sigma_start=0.4))
    assert (start(ct(23)), start(ct(60))) == (0.4, 0.5)
    keep(
        user_presets_path(), made(ct(20), task="20", sigma_start=0.45)
    )  # tuned again: in the older one's place
    assert start(ct(23)) == 0.45 and len(read_presets(user_presets_path())) == 1


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({"prior": OTHER}, "", "no preset for this prior"),
        ({}, "steps=7", "no preset for these settings"),  # tuned with 50
        ({"found": {"suite": "s", "task": "t", "patients": 3}}, "", "no preset of 4 patients"),
        ({"found": {"suite": "s", "task": "t"}}, "", "no preset of 4 patients"),
        ({"like": likeness(ct(300))}, "", "no preset for measurements like this"),
        ({"like": replace(likeness(ct()), side=256.0)}, "", "no preset for measurements like this"),
        ({}, "sigma_start=0.9", "--options set all that its preset would"),
        (
            {"settings": {}, "given": fixed_settings(method_of("dds", ""), ())},
            "",
            "its own settings were best",
        ),
    ],
)
def test_a_preset_is_used_for_what_it_was_found_for_and_for_nothing_else(
    shipped, changes, options, said
) -> None:
    good = made(ct())
    presets._write(shipped, [good])
    used = tuned_method("dds", "", ct(), OURS)
    assert used.method.sigma_start == 0.25 and used.preset == good and used.used == {"sigma_start": 0.25}
    presets._write(shipped, [replace(good, **changes)])
    found = tuned_method("dds", options, ct(), OURS)
    assert found.method == method_of("dds", options) and found.preset is None and said in found.line
    assert found.facts == {"said": found.line}


def test_what_is_said_is_what_is_used(shipped: Path) -> None:
    keep(shipped, made(ct(), method="dps", zeta=2.0, sigma_max=1.5))
    found = tuned_method("dps", "sigma_max=1", ct(), OURS)
    assert (found.method.zeta, found.method.sigma_max) == (2.0, 1.0)
    assert found.line == "settings tuned on s: t (4 patients): zeta=2; --no-presets runs without"
    told = {"tuned_on": "s: t", "patients": 4, "settings": {"zeta": 2.0}, "from": "scanprior"}
    assert found.facts == {"said": found.line, **told}
    keep(user_presets_path(), made(ct(), method="dps", zeta=3.0))
    assert tuned_method("dps", "", ct(), OURS).facts["from"] == "the user's presets.toml"
    off = tuned_method("dps", "", ct(), OURS, presets=False)
    assert off.method == method_of("dps", "") and off.facts == {"said": "presets are off"}
    assert tuned_method("mmps", "", ct(), OURS).facts == {}  # nobody ever tuned it


def test_a_classical_preset_needs_no_prior_and_a_closer_measurement(shipped: Path) -> None:
    keep(shipped, made(ct(24, sigma=0.02), method="fista-tv", prior="", weight=0.07))

    def weight(problem: Problem) -> float:
        return tuned_method("fista-tv", "", problem).method.weight

    default = method_of("fista-tv", "").weight
    assert weight(ct(26, sigma=0.02)) == 0.07
    assert weight(ct(24, sigma=0.05)) == default and weight(ct(48, sigma=0.02)) == default
    assert tuned_method("fista-tv", "iterations=5", ct(24, sigma=0.02)).method.weight == default


def test_few_patients_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of 3 patients, expected 4"):
        keep(tmp_path / "p.toml", replace(made(ct()), found={"suite": "s", "task": "t", "patients": 3}))
    assert not (tmp_path / "p.toml").exists()


def test_presets_are_listed_and_removed(shipped: Path) -> None:
    keep(shipped, made(ct(), task="theirs"))
    for task in ("one", "two"):
        keep(user_presets_path(), made(ct(), task=task))
    assert [(path == shipped, one.place) for path, one in every_preset()] == [
        (False, "s: one"), (False, "s: two"), (True, "s: theirs"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="comes with scanprior"):
        remove(3)
    with pytest.raises(ValueError, match="expected 1 to 3"):
        remove(0)
    assert remove(1).place == "s: one" and [one.place for _, one in every_preset()] == ["s: two", "s: theirs"]


@pytest.mark.parametrize(
    "text",
    ["preset = 3", "[[preset]]\nmethod = 'dds'", "no toml", "preset = [3]",
     "[[preset]]\nmethod = 'dds'\nlike = {modality = 'ct', undersampling = 2.0, coverage = 1.0, noise = 0.1}\n"
     "settings = {}\nfound = {}"],
)  # fmt: skip
def test_a_damaged_file_is_refused_and_one_of_before_too(text: str) -> None:
    user_presets_path().parent.mkdir(exist_ok=True)
    user_presets_path().write_text(text)
    with pytest.raises(ValueError, match="tune again"):
        tuned_method("dds", "", ct(), OURS)
    assert tuned_method("dds", "", ct(), OURS, presets=False).preset is None


def test_a_preset_of_settings_that_are_no_more_is_refused() -> None:
    keep(user_presets_path(), made(ct(), colour=1.0))
    with pytest.raises(ValueError, match=r"presets.toml: the preset of dds for s: t has 'colour'"):
        tuned_method("dds", "", ct(), OURS)


def test_one_word_for_a_modality() -> None:
    """Files of presets said "ct" and "mri" before."""
    old, new = (Likeness(word, 32, 4, 1, 0.01) for word in ("mri", Modality.MR))  # type: ignore[arg-type]
    assert old == new and old.modality is likeness(mri()).modality is Modality.MR


def test_likeness_of_other_modalities_is_infinitely_far() -> None:
    assert Likeness(Modality.CT, 32, 4, 1, 0.01).distance(Likeness(Modality.MR, 32, 4, 1, 0.01)) == math.inf


def test_what_is_shipped_is_of_the_bundled_priors_and_can_be_used() -> None:
    """Each with the configuration that its method has today, and none with a budget."""
    bundled = {find(default_for(modality)).card.sha256 for modality in ("CT", "MR")}
    for preset in read_presets(SHIPPED):
        tuned = method_of(preset.method, "", preset.given | preset.settings)
        assert preset.method in (METHODS if preset.prior else BASELINES)
        assert not preset.prior or preset.prior in bundled
        assert preset.patients >= presets.LEAST_PATIENTS
        assert fixed_settings(tuned, preset.settings) == preset.given  # no setting has come since
        assert not {"steps", "iterations", "inner"} & preset.settings.keys()


@pytest.mark.parametrize(
    ("degrees", "higher"), [(180, False), (150, False), (120, True), (110, True), (90, True)]
)
def test_auto_begins_higher_where_an_angle_is_missing_and_only_there(degrees: int, higher: bool) -> None:
    like = Likeness(Modality.CT, 256.0, 180 / degrees, degrees / 180, 0.0107)
    sha, plain = find(default_for("CT")).card.sha256, method_of("auto", "")
    known = [(SHIPPED, one) for one in read_presets(SHIPPED) if one.method == "auto"]
    _, found, _ = presets._nearest(known, plain, like, sha)
    assert (found is not None and found.settings["sigma_start"] > 2 * plain.sigma_start) == higher
    assert presets._nearest(known, plain, like, OTHER)[1] is None


def test_the_names_that_options_set_are_whole_words() -> None:
    assert names("") == set() and names("steps=50, fan,eta_b=1") == {"steps", "fan", "eta_b"}
