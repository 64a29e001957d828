"""Lesions through the whole workflow: rows, tables, files; and their tables where the answer is known."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.recon.lesions import Kind
from scanprior.recon.simulate import CTSimulation
from scanprior.workflows.benchmark.cases import cases
from scanprior.workflows.benchmark.results import Selection
from scanprior.workflows.lesion_rows import Insertion, LesionCase
from scanprior.workflows.lesion_table import by_class, by_kind, by_size, lesions_of, smallest
from scanprior.workflows.lesions import lesions
from scanprior.workflows.progress import SILENT

SIDE = 64
KINDS = (Kind("soft tissue", 10.0, 300.0), Kind("soft tissue", 20.0, 300.0))


@pytest.fixture
def suite(tmp_path: Path) -> str:
    """Bodies of three patients, and of one who has no room for a lesion."""
    g = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    body = np.where(np.hypot(x, y) < 28, 40.0, -1000.0)
    images = [body + g.normal(0, 5, body.shape) for _ in range(3)] + [np.full(body.shape, -1000.0)]
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["images"] = np.stack(images).astype(np.float32)
        file["images"].attrs["units"] = "HU"
        file["patient"] = np.array(["Miller", "Jones", "Smith", "Brown"], dtype=h5py.string_dtype())
        file["px_mm"] = np.full(4, 4.0)
    (tmp_path / "mine.toml").write_text(
        f'title = "Mine"\nmethods = ["fbp", "dds:steps=2"]\nsamples = 3\n[data]\nct = "{tmp_path}/images.h5"\n'
        '[tasks]\nmany = "ct:views=40,photons=1e6"\n'
    )
    return str(tmp_path / "mine.toml")


def test_a_run_writes_its_tables_and_goes_on(suite, ct_prior, tmp_path: Path, monkeypatch) -> None:
    out, selection = tmp_path / "out", Selection(prior=str(ct_prior))
    found = lesions(suite, out, selection, Insertion(KINDS, 6), device="cpu", progress=SILENT)
    assert {path.name for path in out.iterdir()} == {
        "rows", "lesions.csv", "kinds.csv", "lesions.json", "smallest.png",
    }  # fmt: skip
    assert len(found.rows) == 3 * 2 and {row["patient"] for row in found.rows} == {1, 2, 3}
    fbp, dds = ([line for line in found.kinds if line["label"] == name] for name in ("fbp", "dds:steps=2"))
    assert [(line["diameter_mm"], line["lesions"] >= 6, line["patients"]) for line in fbp] == [
        (10.0, True, 3), (20.0, True, 3),
    ]  # fmt: skip
    assert all(0.7 < line["recovery"] < 1.2 and line["told"] is None for line in fbp)
    assert all(line["detectability"] > 5 and line["ideal_auc"] > 0.99 for line in fbp)
    assert all(line["auc"] > 0.9 for line in found.sizes if line["label"] == "fbp")
    verdicts = ("found", "open", "denied", "off")
    assert all(sum(line[name] for name in verdicts) == pytest.approx(1) for line in dds)
    facts = json.loads((out / "lesions.json").read_text())
    assert facts["kinds"][0]["recovery"] == found.kinds[0]["recovery"] and facts["insertion"]["count"] == 6
    rows = list(csv.DictReader((out / "lesions.csv").read_text().splitlines()))
    assert len(rows) == sum(len(row["lesions"]) for row in found.rows)
    assert "Miller" not in json.dumps(facts) and str(tmp_path) not in json.dumps(facts)
    monkeypatch.setattr("scanprior.workflows.lesion_rows.solve", None)  # nothing is solved again
    again = lesions(suite, out, selection, Insertion(KINDS, 6), device="cpu", progress=SILENT)
    assert again.kinds == found.kinds


def test_slices_without_room_are_refused(suite, ct_prior, tmp_path: Path) -> None:
    wide = Insertion((Kind("lung", 10.0, 300.0),), 4)
    with pytest.raises(ValueError, match="mine: no slice has room"):
        lesions(suite, tmp_path / "o", Selection(prior=str(ct_prior)), wide, device="cpu", progress=SILENT)
    assert not (tmp_path / "o").exists()


def test_a_coarser_reconstruction_has_its_lesions_in_their_places(suite, tmp_path: Path) -> None:
    case = next(cases(tmp_path / "images.h5", CTSimulation(views=20, matrix=32), 1))
    own = LesionCase.of(case, Insertion(KINDS, 6))
    change = (own.truth - own.bare_truth)[0].numpy() * 1000 / 0.0193
    assert change.shape == (32, 32) and own.pixel_mm == 8.0 and len(own.lesions) > 2
    np.testing.assert_allclose(change, 300 * np.sum(own.fractions(), 0), atol=3.0)
    np.testing.assert_allclose(own.signals().sum(0), (own.truth - own.bare_truth)[0], atol=1e-5)


def test_the_observer_sees_dark_lesions_as_it_sees_bright_ones() -> None:
    g, rows, patches = np.random.default_rng(0), [], {}
    blob = 3 * np.exp(-(np.hypot(*np.mgrid[-16:17, -16:17]) ** 2) / 20)
    for patient in range(12):
        one = row("a", patient, 5.0, 1.0, 5.0, None)
        one["lesions"][0]["contrast"] = sign = (-50.0, 50.0)[patient % 2]
        rows.append(one)
        noise = g.normal(size=(2, 1, 33, 33))
        patches[one["key"]] = (noise[0] + np.sign(sign) * blob, noise[1])
    (line,) = by_size(rows, patches)
    assert line["lesions"] == 12 and line["auc"] > 0.9


def row(
    task: str, patient: int, diameter: float, recovery: float, d: float | None, verdict: str | None
) -> dict:
    lesion = {
        "site": "lung", "diameter_mm": diameter, "contrast": 50.0, "elongation": 1.0, "detectability": d,
        "unexplained": None, "recovery": recovery, "plain": recovery,
        "verdict": verdict, "pixels": verdict and 0.5, "z": verdict and -3.0,
    }  # fmt: skip
    facts = {"task": task, "label": "m", "patient": patient, "slice": 0, "pixel_mm": 1.0, "false": 1}
    return facts | {"key": f"{task}{patient}{diameter}", "lesions": [lesion]}


def test_tables_of_known_lesions() -> None:
    rows = [
        row("a", 1, 3.0, 0.2, 1.0, "open"),
        row("a", 2, 3.0, 0.2, 3.0, "denied"),
        row("a", 1, 5.0, 0.7, 6.0, "off"),
        row("a", 2, 5.0, 0.5, 9.0, "found"),
        row("a", 1, 8.0, 0.5, 20.0, "denied"),
        row("b", 1, 3.0, 0.9, None, None),
    ]
    assert [one["kept"] for one in lesions_of(rows)] == [False, False, True, False, False, True]
    classes = {(line["task"], line["class"]): line for line in by_class(rows)}
    high = classes["a", "d' of 5 and more"]
    assert (high["lesions"], high["kept"], high["told"], high["kept_or_told"], high["denied"], high["z"]) == (
        3, pytest.approx(1 / 3), pytest.approx(1 / 3), pytest.approx(2 / 3), pytest.approx(1 / 3), pytest.approx(3),
    )  # fmt: skip
    assert classes["a", "d' below 2"]["open"] == 1 and classes["b", "d' of 5 and more"]["told"] is None
    kinds = by_kind(rows)
    assert [(line["task"], line["diameter_mm"], line["detectability"]) for line in kinds] == [
        ("a", 3.0, 2.0), ("a", 5.0, 7.5), ("a", 8.0, 20.0), ("b", 3.0, None),
    ]  # fmt: skip
    patches = {one["key"]: (np.ones((1, 9, 9)), np.zeros((1, 9, 9))) for one in rows}
    assert [(line["diameter_mm"], line["auc"]) for line in by_size(rows, patches)] == [
        (3.0, None), (5.0, None), (8.0, None), (3.0, None),
    ]  # fmt: skip
    assert {line["task"]: line["diameter_mm"] for line in smallest(kinds, "kept")} == {"a": None, "b": 3.0}
    without_largest = [line for line in kinds if line["diameter_mm"] < 8]
    assert smallest(without_largest, "kept")[0]["diameter_mm"] == 5.0
    assert smallest(without_largest, "kept_or_told")[0]["diameter_mm"] == 3.0
