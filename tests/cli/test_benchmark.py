"""`scanprior benchmark` from end to end, with an untrained prior."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.formats.scan import Volume


@pytest.fixture
def arguments(ct_volume: Volume, ct_prior: Path, tmp_path: Path) -> list:
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["images"] = ct_volume.data
        file["images"].attrs["units"] = "HU"
        file["patient"] = np.array(["Miller", "Jones"], dtype=h5py.string_dtype())
        file["px_mm"] = np.full(2, 4.0)
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\nmethods = ["fbp", "dds:steps=2"]\nsamples = 2\n[data]\nct = "nowhere.h5"\n[tasks]\n'
        '"8 views" = "ct:views=8"\n"5 views" = "ct:views=5"\n'
    )
    return ["benchmark", tmp_path / "mine.toml", "-o", tmp_path / "out", "--prior", ct_prior, "--data",
            tmp_path / "images.h5"]  # fmt: skip


def test_a_suite(scanprior, arguments: list, tmp_path: Path) -> None:
    done, out = scanprior(*arguments), tmp_path / "out"
    assert done.code == 0, done.err
    assert "PSNR [dB]" in done.out and "spread/skill" in done.out
    assert "dds:steps=2, mean of 2" in done.out and "8 views (ct:views=8)" in done.out
    assert {p.name for p in out.iterdir()} == {
        "rows", "results.csv", "results.json", "pareto.png", "worst", "report.html",
    }  # fmt: skip
    rows = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    assert len(rows) == 2 * 2 * (1 + 2)
    results = json.loads((out / "results.json").read_text())
    own = [
        float(r["psnr"]) for r in rows if (r["task"], r["method"], r["picture"]) == ("8 views", "fbp", "one")
    ]
    assert results["table"][0]["psnr"] == pytest.approx(np.mean(own))
    page = (out / "report.html").read_text()
    again = page[page.index("To do this again") :]
    assert all(f"--{word}=" in again for word in ("output", "data", "prior", "seed"))
    assert (
        str(tmp_path) not in page + (out / "results.json").read_text()
    )  # names of folders may be of patients
    assert "--data=DATA" in again and "--output=OUTPUT" in again
    assert page.count("data:image/png") == 3 and f"{results['table'][0]['psnr']:.2f}" in page
    assert "Miller" not in page + (out / "results.json").read_text() + (out / "results.csv").read_text()
    stamps = {p: p.stat().st_mtime_ns for p in (out / "rows").iterdir()}
    assert scanprior(*arguments).code == 0
    assert {p: p.stat().st_mtime_ns for p in (out / "rows").iterdir()} == stamps


def test_a_part_of_a_suite(scanprior, arguments: list, tmp_path: Path) -> None:
    done = scanprior(*arguments, "--task", "5 views", "--method", "sirt:iterations=3", "--patients", 1)
    assert done.code == 0, done.err
    assert len(list((tmp_path / "out" / "rows").glob("*.json"))) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--task", "9 views"), "8 views; 5 views"),
        (("--method", "magic"), "magic"),
        (("--data", "missing.h5"), "missing.h5"),
    ],
)
def test_bad_input(scanprior, arguments: list, tmp_path: Path, change: tuple, said: str) -> None:
    done = scanprior(*arguments, *change)
    assert done.code == 2 and said in done.err and len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_other_people_s_folders_stay(scanprior, arguments: list, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    done = scanprior(*arguments)
    assert done.code == 2 and "not empty" in done.err


def test_help_lists_the_suites(scanprior) -> None:
    text = scanprior("benchmark", "--help").out
    assert all(f"{name}: " in text for name in ("quick", "ct-sparse", "mri-radial"))


def patients_of(path: Path, volume: Volume, patients: int) -> Path:
    """Images of so many patients."""
    with h5py.File(path, "w") as file:
        file["images"] = np.concatenate([volume.data] * patients)[:patients]
        file["images"].attrs["units"] = "HU"
        file["patient"] = np.array([str(i) for i in range(patients)], dtype=h5py.string_dtype())
        file["px_mm"] = np.full(patients, 4.0)
    return path


def test_tuning_is_used_by_what_comes_after_and_said(
    scanprior, arguments: list, ct_volume, tmp_path: Path
) -> None:
    images = patients_of(tmp_path / "four.h5", ct_volume, 4)
    done = scanprior(
        "tune", "fista-tv", arguments[1], "--options", "iterations=5", "--trials", 3, "--data", images
    )
    assert done.code == 0, done.err
    assert "8 views" in done.out and "5 views" in done.out and "used from now on" in done.out

    def run(folder: str, options: str, *more: str) -> tuple[dict, str]:
        where = ("--method", f"fista-tv:{options}", "--task", "8 views", "-o", tmp_path / folder)
        done = scanprior(*arguments, *where, *more)
        assert done.code == 0, done.err
        return json.loads((tmp_path / folder / "results.json").read_text()), done.err

    used, said = run("used", "iterations=5")
    assert "settings tuned on mine: 8 views (4 patients): weight=" in said
    assert "weight=" in used["presets"]["8 views: fista-tv:iterations=5"]
    weight = used["rows"][0]["settings"]["weight"]
    other, said = run("other", "iterations=6")  # no preset holds a budget, and this one is of 5 iterations
    assert (
        other["rows"][0]["settings"]["iterations"] == 6 and other["rows"][0]["settings"]["weight"] != weight
    )
    assert "no preset for these settings" in other["presets"]["8 views: fista-tv:iterations=6"]
    without, _ = run("without", "iterations=5", "--no-presets")
    assert without["rows"][0]["settings"]["weight"] != weight
    assert "--no-presets" in (tmp_path / "without" / "report.html").read_text()

    simulated = (
        "reconstruct",
        images,
        "--simulate",
        "ct:views=8",
        "--method",
        "fista-tv",
        "--options",
        "iterations=5",
    )
    done = scanprior(*simulated, "--slices", 0, "--no-baselines", "-o", tmp_path / "mine")
    assert done.code == 0 and "fista-tv: settings tuned on mine: 8 views (4 patients): weight=" in done.out
    done = scanprior(*simulated, "--slices", 0, "--no-baselines", "--no-presets", "-o", tmp_path / "plain")
    assert done.code == 0 and "tuned on" not in done.out
    facts = json.loads((tmp_path / "plain" / "report.json").read_text())
    assert facts["provenance"]["presets"] == {"fista-tv": {"said": "presets are off"}}
    assert "--no-presets" in facts["command"]


def test_what_was_found_on_few_patients_is_shown_and_not_kept(
    scanprior, arguments: list, tmp_path: Path
) -> None:
    data = arguments[arguments.index("--data") :]
    done = scanprior("tune", "sirt", arguments[1], "--trials", 1, *data)
    assert done.code == 0 and "not kept, found on 2 patients" in done.out


def test_a_method_of_another_modality_is_not_tuned(scanprior, arguments: list) -> None:
    done = scanprior("tune", "l1-wavelet", arguments[1])
    assert done.code == 2 and "none of the tasks" in done.err


# --- calibrate
def test_calibrate(scanprior, arguments: list, tmp_path: Path) -> None:
    options = arguments[arguments.index("--prior") :]
    done = scanprior("calibrate", arguments[1], "-o", tmp_path / "cal", "--task", "8 views", *options)
    assert done.code == 0, done.err
    assert "discs of 10 mm" in done.out and "90 % holds" in done.out and "fbp" not in done.out
    lines = list(csv.DictReader((tmp_path / "cal" / "calibration.csv").read_text().splitlines()))
    assert {line["label"] for line in lines} == {"dds:steps=2"} and {line["patients"] for line in lines} == {
        "2"
    }
    done = scanprior(
        "calibrate", arguments[1], "-o", tmp_path / "cal", "--task", "8 views", "--json", *options
    )
    assert json.loads(done.out)["lines"][0]["crps"] == pytest.approx(float(lines[0]["crps"]))
    done = scanprior("calibrate", arguments[1], "-o", tmp_path / "none", "--method", "fbp", *options)
    assert done.code == 2 and "no samples" in done.err and not (tmp_path / "none").exists()


def test_a_dry_run_says_what_is_there_and_what_is_left(scanprior, arguments: list, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    suite, own = arguments[:2], arguments[4:]
    done = scanprior(*suite, *own, "--dry-run", "--json")  # without an --output
    assert done.code == 0, done.err
    plan = json.loads(done.out)
    assert plan["results"] == 2 * 2 * 2 and plan["there_already"] == 0 and plan["samples"] == 2
    task = plan["tasks"]["8 views"]
    assert (task["measurement"], task["patients"], task["slices"]) == ("ct:views=8", 2, 2)
    assert task["methods"]["dds:steps=2"].startswith("steps=2,sigma_max=")
    assert 0 < plan["estimate"]["seconds"] < 60 and sorted(tmp_path.iterdir()) == before
    assert scanprior(*arguments, "--task", "5 views").code == 0
    rest = json.loads(scanprior(*arguments, "--dry-run", "--json").out)
    assert (rest["results"], rest["there_already"]) == (8, 4)
    shown = scanprior(*arguments, "--task", "5 views", "--dry-run")
    assert "there already  4" in shown.out and "nothing was written" in shown.out
    assert "sampling takes" not in shown.out  # nothing is left to do
    calibrate = scanprior("calibrate", *suite[1:], *own, "--dry-run", "--json")
    assert json.loads(calibrate.out)["results"] == 4, calibrate.err  # of the posterior method
