"""Suites, their runs and their tables."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.modality import Modality
from scanprior.pretrained.load import load
from scanprior.recon import display, methods
from scanprior.recon.calibration import Calibration
from scanprior.recon.places import WHOLE
from scanprior.recon.simulate import CTSimulation, MRISimulation
from scanprior.report.table import cells
from scanprior.workflows.benchmark import rows as runner
from scanprior.workflows.benchmark.cases import cases
from scanprior.workflows.benchmark.rows import jobs, picture
from scanprior.workflows.benchmark.suite import Suite, images_of, read_suite, shipped, suits
from scanprior.workflows.benchmark.table import ranked, summary, write_csv

SIDE = 48


def body(tilt: float) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    return (-1000 + 1040 * (np.hypot(x, y) < 0.8) + 300 * (np.hypot(x - tilt, y) < 0.2)).astype(np.float32)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two patients, three slices and one."""
    path = tmp_path / "images.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.stack([body(tilt) for tilt in (0.0, 0.1, 0.2, -0.3)])
        file["images"].attrs["units"] = "HU"
        file["patient"] = np.array(["Miller", "Miller", "Miller", "Jones"], dtype=h5py.string_dtype())
        file["px_mm"] = np.full(4, 4.0)
    return path


@pytest.fixture
def suite(images: Path, tmp_path: Path) -> Suite:
    path = tmp_path / "mine.toml"
    path.write_text(
        f"""
title = "Mine"
methods = ["fbp", "zero-filled", "dds:steps=2", "dps:steps=2"]
samples = 2
[data]
ct = "{images}"
[tasks]
"few" = "ct:views=8"
"fewer" = "ct:views=5,photons=1e4"
"""
    )
    return read_suite(str(path))


@pytest.fixture
def priors(ct_prior: Path) -> dict:
    prior, card = load(ct_prior)
    prior.for_inference("cpu")
    return {Modality.CT: (prior, card.sha256)}


def run(suite: Suite, priors: dict, folder: Path, seed: int = 0) -> list[dict]:
    return runner.run(list(jobs(suite, priors, seed)), folder)


def test_patients_of_several_files_are_different_ones(images: Path) -> None:
    few = list(cases([images, images], CTSimulation()))
    assert [case.patient for case in few] == [1, 2, 3, 4]
    assert [case.index for case in few] == [1, 3, 1, 3]
    assert [case.patient for case in cases([images, images], CTSimulation(), patients=3)] == [1, 2, 3]
    assert [case.patient for case in cases(images, CTSimulation(), patients=1, slices=3)] == [1, 1, 1]


def test_a_suite_s_images_may_be_several_files(images: Path, tmp_path: Path, monkeypatch) -> None:
    path, head = tmp_path / "two.toml", 'title = "Two"\n[tasks]\nfew = "ct:views=8"\n[data]\n'
    path.write_text(f'{head}ct = ["{images}", "{images}"]')
    assert images_of(read_suite(str(path)), Modality.CT) == [images, images]
    path.write_text(f"{head}ct = [3]")
    with pytest.raises(ValueError, match="expected a file or a list of files"):
        read_suite(str(path))
    monkeypatch.delenv("SCANPRIOR_DATA", raising=False)
    shipped = read_suite("ct-sparse")
    assert [p.name for p in images_of(shipped.but(data=shipped.calibration), Modality.CT)] == [
        "ct256_calib.h5"
    ]


def test_every_shipped_suite_can_be_read() -> None:
    ct = {"ct-sparse", "ct-limited-angle", "ct-low-dose", "ct-metal"}
    assert set(shipped()) == ct | {"mri-4x", "mri-8x", "mri-24x", "mri-radial", "quick"}
    for name in shipped():
        suite = read_suite(name)
        for task in suite.tasks:
            assert task.modality is (Modality.CT if task.spec.startswith("ct:") else Modality.MR)
            assert task.modality in suite.data and task.modality in suite.validation
            assert any(suits(label, task.modality) for label in suite.methods)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('colour = "blue"', "unknown field 'colour'"),
        ("samples = 0", "samples = 0"),
        ('samples = "two"', "expected a int"),
        ('methods = ["magic"]', "magic"),
        ('methods = ["dds:colour=1"]', "colour"),
        ('tasks = {few = "ct:colour=3"}', "colour"),
        ("tasks = {few = 3}", "expected text"),
        ('data = {brain = "t1.h5"}', "got 'brain', expected ct or mri"),
        ("tasks = {}", "needs tasks"),
        ("methods = []", "needs methods"),
        ("title = ", "is not TOML"),
    ],
)
def test_a_wrong_suite_is_refused(tmp_path: Path, change: str, said: str) -> None:
    lines = {"title": '"T"', "methods": '["dds"]', "samples": "1", "tasks": '{few = "ct:views=3"}'}
    name, _, value = change.partition(" = ")
    path = tmp_path / "s.toml"
    path.write_text("\n".join(f"{key} = {text}" for key, text in {**lines, name: value}.items()))
    with pytest.raises(ValueError, match=said):
        read_suite(str(path))
    with pytest.raises(ValueError, match="nor one of ct-limited-angle"):
        read_suite("nothing")


def test_a_suite_without_methods_takes_every_one(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('title = "T"\ntasks = {few = "ct:views=3"}')
    names = {label.partition(":")[0] for label in read_suite(str(path)).methods}
    known = {**methods.METHODS, **methods.BASELINES}
    assert names == {name for name, entry in known.items() if entry.suite}
    assert "supervised" not in names and "dps-paper" not in names  # the budget of the paper


def test_slices_are_chosen_by_patient(images: Path) -> None:
    few = CTSimulation(views=3)
    assert [(c.patient, c.index) for c in cases(images, few)] == [(1, 1), (2, 3)]
    assert [(c.patient, c.index) for c in cases(images, few, patients=1, slices=3)] == [
        (1, 0),
        (1, 1),
        (1, 2),
    ]
    with pytest.raises(ValueError, match="the task needs MR magnitudes"):
        next(cases(images, MRISimulation()))


def test_a_run_goes_on_and_repeats_only_what_changed(suite, priors, tmp_path, monkeypatch) -> None:
    folder, solved, solve = tmp_path / "out", [], runner.solve

    def watched(method, *args):
        solved.append(type(method).__name__)
        if len(solved) == 7:
            raise KeyboardInterrupt
        return solve(method, *args)

    monkeypatch.setattr(runner, "solve", watched)
    with pytest.raises(KeyboardInterrupt):
        run(suite, priors, folder)
    solved[:] = [*solved[:6], "cut"]  # of 12: two tasks, two patients, FBP, DDS and DPS
    first = run(suite, priors, folder)
    assert len(solved) == 13 and len(first) == 12
    assert run(suite, priors, folder) == first and len(solved) == 13
    run(suite.but(samples=1), priors, folder)
    assert solved[13:] == ["DDS", "DPS"] * 4  # FBP knows no samples
    assert run(suite, priors, folder) == first  # the others are still there
    again = run(suite, priors, tmp_path / "again")
    for a, b in zip(first, again, strict=True):
        assert {k: v for k, v in a.items() if k not in ("seconds", "memory_mib")} == {
            k: v for k, v in b.items() if k not in ("seconds", "memory_mib")
        }
        np.testing.assert_array_equal(picture(folder, a), picture(tmp_path / "again", b))
    assert run(suite, priors, folder, seed=1)[1]["one"] != first[1]["one"]
    assert not [p for p in folder.rglob("*.json") if "Miller" in p.read_text() or "Jones" in p.read_text()]


def test_a_row_that_is_half_there_is_made_again(suite, priors, tmp_path) -> None:
    first = run(suite, priors, tmp_path)
    for row, text in zip(first, ("", "{", "[1]", '{"task": "a', "\0" * 100), strict=False):
        (tmp_path / "rows" / f"{row['key']}.json").write_text(text)
    again = run(suite, priors, tmp_path)
    changing = ("seconds", "memory_mib", "date")
    for a, b in zip(first, again, strict=True):
        assert {k: v for k, v in a.items() if k not in changing} == {
            k: v for k, v in b.items() if k not in changing
        }


def test_measurements_do_not_pile_up(suite, priors, tmp_path, monkeypatch) -> None:
    todo, held = list(jobs(suite, priors)), []
    solve = runner.solve

    def watched(*args):
        held.append(len({id(job.case) for job in todo if "_measured" in vars(job.case)}))
        return solve(*args)

    monkeypatch.setattr(runner, "solve", watched)
    runner.run(todo, tmp_path / "out")
    assert max(held) <= 2  # the first of a task is measured ahead, for its presets


def test_the_figures_are_those_of_the_pictures(suite, priors, tmp_path) -> None:
    rows = run(suite, priors, tmp_path / "out")
    row = rows[1]
    x, t = (np.clip(picture(tmp_path / "out", row, name), -1000, 1000) for name in ("image", "truth"))
    assert row["mean"]["psnr"] == pytest.approx(10 * np.log10(2000**2 / np.mean((x - t) ** 2.0)), abs=1e-3)
    assert row["mean"]["nrmse"] == pytest.approx(np.linalg.norm(x - t) / np.linalg.norm(t + 1000), rel=1e-4)
    assert row["one"] != row["mean"] and row["nfe"] == 2 and row["samples"] == 2 and 0 < row["one"]["vif"] < 1
    assert rows[0]["samples"] == 1 and rows[0]["nfe"] == 0 and "mean" not in rows[0]


def spread(patient: int) -> dict:
    """Figures of two samples whose spread is right for patient 1 and half of it for patient 2."""
    figures = Calibration(
        2, {0.9: 0.9 / patient}, 1.0, 10.0 * patient, 4.0 / patient**2, 6.0, np.full(3, 1 / 3), 1.0
    )
    return figures.to_dict()


def made(label: str, patient: int, psnr: float, task: str = "few", **more) -> dict:
    """A row of FBP's kind, or of two samples of which the mean is 1 dB better."""
    figures = {"psnr": psnr, "ssim": 0.5, "nrmse": 0.1, "vif": 0.2, "residual": 0.01}
    row = {"task": task, "label": label, "patient": patient, "slice": patient, "nfe": 0, "samples": 1, "seconds": 1.5,
           "memory_mib": 100.0 + patient, "one": figures}  # fmt: skip
    if label != "fbp":
        row |= {
            "nfe": 50,
            "samples": 2,
            "mean": {**figures, "psnr": psnr + 1},
            "calibration": {WHOLE: spread(patient)},
        }
    return row | more


def test_the_table(suite: Suite, tmp_path: Path) -> None:
    refused = {"task": "fewer", "label": "dds", "patient": 1, "slice": 1, "error": "no"}
    rows = [made("fbp", 1, 20), made("fbp", 2, 24), made("dds", 1, 20.5), made("dds", 2, 22.5), refused]
    lines = summary(suite, rows)
    assert [(line["task"], line["method"]) for line in lines] == [
        ("few", "fbp"), ("few", "dds, one sample"), ("few", "dds, mean of 2"), ("fewer", "dds"),
    ]  # fmt: skip
    fbp, one, mean, error = lines
    assert (fbp["psnr"], one["psnr"], mean["psnr"]) == (22, 21.5, 22.5)
    assert "floor" not in fbp and one["floor"] == "below" and mean["floor"] == "above"
    assert (one["nfe"], mean["nfe"], one["seconds"], mean["seconds"]) == (50, 100, 1.5, 3.0)
    assert (fbp["psnr_low"], fbp["psnr_high"]) == (20, 24) and fbp["memory_mib"] == 102
    assert error["error"] == "no"
    assert "crps" not in one and "crps" not in fbp
    assert (mean["crps"], mean["crps_low"], mean["crps_high"]) == (15, 10, 20)
    assert mean["coverage_90"] == pytest.approx(0.675) and mean["coverage_90_low"] == pytest.approx(0.45)
    assert mean["spread_skill"] == pytest.approx(
        np.sqrt(2.5 / (6 - 2.5 / 2))
    )  # of the patients' mean squares
    assert cells(mean, ["coverage_90", "crps"]) == ["68% (45% – 90%)", "15 (10 – 20)"]
    write_csv(tmp_path / "all.csv", rows)
    text = (tmp_path / "all.csv").read_text().splitlines()
    assert len(text) == 1 + 2 + 4 + 1 and text[3].startswith("few,dds,1,1,one,20.5,0.5")
    assert text[0].startswith("task,method,patient") and "spread_skill" in text[0]
    assert text[3].split(",")[10:13] == ["", "", ""] and float(text[4].split(",")[12]) == 10


def test_the_worst_slice_is_that_of_the_best_method() -> None:
    rows = [
        made("fbp", 1, 20),
        made("fbp", 2, 19),
        made("dds", 1, 30),
        made("dds", 2, 31),
        made("dds", 1, 5, "other"),
    ]
    assert [(row["label"], row["patient"]) for row in ranked(rows, "few")] == [("dds", 1), ("fbp", 1)]
    assert ranked(rows, "none") == []


def test_a_method_that_refuses_leaves_its_reason(suite, priors, tmp_path, monkeypatch) -> None:
    def refuses(method, *args):
        raise ValueError("not for this one")

    monkeypatch.setattr(runner, "solve", refuses)
    rows = run(suite, priors, tmp_path / "out")
    assert {row["error"] for row in rows} == {"not for this one"}
    assert all("error" in line for line in summary(suite, rows))
    assert json.loads(next((tmp_path / "out" / "rows").glob("*.json")).read_text())["error"]


@pytest.mark.parametrize("figure", [float("nan"), float("inf")])
def test_figures_that_are_not_finite_are_an_error_and_no_mean(
    suite, priors, tmp_path, monkeypatch, figure: float
) -> None:
    monkeypatch.setattr(display, "data_residual", lambda *_: np.array([figure]))
    rows = run(suite, priors, tmp_path / "out")
    assert all(f"got residual = {figure}" in row["error"] for row in rows)


def test_what_is_not_known_is_none_in_the_table(suite: Suite) -> None:
    """No VIF of a small image, no interval of one patient; they are not numbers that are not finite."""
    small = {"psnr": 20.0, "ssim": 0.5, "nrmse": 0.1, "vif": None, "residual": 0.01}
    (line,) = summary(suite, [{**made("fbp", 1, 20), "one": small}])
    assert line["vif"] is None and line["psnr_low"] is None and line["psnr_high"] is None
    assert cells(line, ["vif", "psnr"]) == ["–", "20.00"]
