"""`scanprior audit`: a table of checks of a scan, flags in words, and a refusal in one line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from scanprior.cli.main import main
from scanprior.errors import UsageError
from scanprior.formats.scan import Volume
from scanprior.formats.store import write_scan
from scanprior.pretrained.cache import find
from scanprior.pretrained.load import load
from scanprior.recon.audit.reference import Usual
from scanprior.report.verdict import verdict
from scanprior.workflows.audit import Audit
from scanprior.workflows.audit_folder import OURS
from scanprior.workflows.progress import SILENT
from scanprior.workflows.references import read_reference, usual_for
from scanprior.workflows.simulate import simulate

SETTINGS = ["--options", "steps=2", "--device", "cpu", "--quiet"]


def phantom(size: int = 48) -> np.ndarray:
    """A body with lungs, in HU, (1, size, size)."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    body = np.where((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1, 40.0, -1000.0)
    for side in (-1, 1):
        body[((x - 0.35 * side) / 0.2) ** 2 + (y / 0.35) ** 2 < 1] = -800
    return body[None].astype(np.float32)


@pytest.fixture(scope="module")
def ct_scan(tmp_path_factory) -> Path:
    """A simulated CT scan of the phantom."""
    volume = Volume(phantom(), "HU", "CT", (1.0, 4.0, 4.0))  # type: ignore[arg-type]
    path = tmp_path_factory.mktemp("scan") / "ct.h5"
    write_scan(path, simulate(volume, "ct:views=24,photons=1e5", progress=SILENT))
    return path


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["audit", *words])
    return int(left.value.code or 0)


def test_a_scan_in_a_table_out(ct_scan, ct_prior, capsys) -> None:
    assert run(str(ct_scan), "--prior", str(ct_prior), "--json", *SETTINGS) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"residual of the samples, over the noise", "error in data held out, relative"} <= {
        line["check"] for line in found["table"]
    }
    (one,) = found["by_slice"]
    assert 0 <= one["data_share"] <= 1
    assert one["centre"] < 0.1 and one["sway"] < 0.1  # the simulation's geometry is right
    assert found["compared"]["with"] == ["the limits of theory"]


def test_lesions_are_put_into_the_data(ct_scan, ct_prior, capsys) -> None:
    words = [str(ct_scan), "--prior", str(ct_prior), "--samples", "2", "--lesions", *SETTINGS]
    assert run(*words, "--json") == 0
    found = json.loads(capsys.readouterr().out)["lesions"]
    assert found == [] or all({"recovery", "detectability", "denied"} <= line.keys() for line in found)
    assert run(str(ct_scan), "--method", "fbp", "--lesions", "--device", "cpu") == 0  # of settings of its own
    said = capsys.readouterr().out
    assert "lesions put into the data" in said and "soft tissue" in said and "recovery" in said


def test_a_folder_with_the_maps_and_a_reference_of_ones_own(ct_scan, ct_prior, tmp_path, capsys) -> None:
    out = tmp_path / "audit"
    words = [str(ct_scan), "--prior", str(ct_prior), "--samples", "1", *SETTINGS]
    assert run(*words, "-o", str(out), "--as-reference") == 0
    said = capsys.readouterr().out
    assert "kept as a sound scan" in said and {p.name for p in out.iterdir()} == OURS
    with h5py.File(out / "audit.h5") as file:
        assert file["data_share"].shape == file["residual_over_noise"].shape == file["mean"].shape
    assert json.loads((out / "audit.json").read_text())["table"]
    assert (
        "Can" not in (page := (out / "audit.html").read_text()) and "of the image, the prior the rest" in page
    )
    (kept,) = (Path(os.environ["SCANPRIOR_HOME"]) / "audit").iterdir()
    (family,) = json.loads(kept.read_text())["families"]
    assert family["method"] == "auto" and len(family["patients"]) == 1
    assert run(*words, "-o", str(out)) == 2  # not without --overwrite
    assert run(str(out)) == 2 and "is what `audit` wrote" in capsys.readouterr().err


def test_what_reconstruct_wrote_has_an_audit(ct_scan, ct_prior, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    words = ["--prior", str(ct_prior), "--samples", "2", "--no-baselines", *SETTINGS]
    with pytest.raises(SystemExit) as left:
        main(["reconstruct", str(ct_scan), "-o", str(out), *words])
    assert not left.value.code
    assert "Can it be trusted here?" in (out / "report.html").read_text()
    with h5py.File(out / "reconstruction.h5") as file:
        assert "residual_over_noise" in file and "data_share" not in file  # too few evaluations to pay for it
    capsys.readouterr()
    assert run(str(out), "--json") == 0
    stored = json.loads(capsys.readouterr().out)
    assert stored["table"] and stored == json.loads((out / "report.json").read_text())["audit"]
    assert run(str(out), "--scan", str(ct_scan), "--prior", str(ct_prior), "--json", "--quiet") == 0
    again = json.loads(capsys.readouterr().out)
    assert "error in data held out, relative" in {line["check"] for line in again["table"]}
    assert again["by_slice"][0]["fit"] == pytest.approx(stored["by_slice"][0]["fit"], rel=1e-4)
    for words, said in (  # the folder has its own settings; what is asked beside it would be ignored
        (["--method", "fbp", "--samples", "3"], "got --method, --samples with"),
        (["--scan", str(ct_scan), "--series", "1"], "got --series with"),
        (["--scan", str(out / "report.json")], "got report.json, but"),
    ):
        assert run(str(out), *words) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, said",
    [
        (["{scan}", "--scan", "{scan}"], "is no folder that `reconstruct` wrote"),
        (["{other}"], "holds no audit"),
        (["{other}", "-o", "{other}/new"], "needs its scan"),
        (["{other}", "--scan", "{scan}"], "is no report of a reconstruction"),
        (["{scan}", "--method", "fbp", "--options", "", "--as-reference"], "has no prior"),
        (["{missing}"], "missing.h5"),
    ],
)
def test_wrong_use_is_one_line(words, said, ct_scan, tmp_path, capsys) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "report.json").write_text("{}")
    places = {"scan": ct_scan, "other": other, "missing": tmp_path / "missing.h5"}
    assert run(*(word.format(**places) for word in words), "--quiet") == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and said in error[0]


def test_the_bundled_priors_have_references() -> None:
    for name, measurement in (
        ("ct-256", {"beam": "parallel", "views": 23, "arc": 180.0, "photons": 1e5, "rays lost": "no"}),
        ("mri-256", {"acceleration": 3.2, "coils": 8, "snr": 30.0}),
    ):
        sha256 = find(name).card.sha256
        own = usual_for(sha256, measurement, "auto")
        assert own is not None and own.own and own.like and own.patients >= 19 and own.rate <= 0.1
        low, high = own.ranges["fit"]
        assert 0.3 < low < high < 1.5
        other = usual_for(sha256, measurement | dict.fromkeys(("views", "acceleration"), 99), "dds")
        assert other is not None and not other.own and not other.like and "fit" not in other.ranges


@pytest.mark.parametrize("own, like", [(True, True), (False, True), (True, False)])
def test_a_rate_of_false_flags_is_promised_for_scans_like_the_references_only(own, like) -> None:
    usual = Usual({}, 20, 0.1, own, like, ["auto, views 23: 12 patients"])
    facts = Audit([], [], [], usual, [], torch.zeros(0)).facts
    assert facts["compared"]["false_flags"] == (0.1 if own and like else None)
    assert ("10%" in verdict(facts)) == (own and like)


@pytest.mark.parametrize(
    "changed",
    [
        {"patients": None},
        {"patients": {"1": []}},
        {"patients": {"1": [{"fit": "much"}]}},
        {"patients": {"1": [{"taste": 1.0}]}},
        {"measurement": 3},
        {"method": None},
        {"colour": "red"},
    ],
)
def test_a_damaged_reference_is_refused_in_one_line(changed) -> None:
    path = Path(os.environ["SCANPRIOR_HOME"]) / "audit" / f"{'a' * 16}.json"
    path.parent.mkdir(parents=True)
    family = {"measurement": {}, "method": "auto", "patients": {"1": [{"fit": 1.0}]}}
    path.write_text(json.dumps({"prior": "a" * 64, "families": [family]}))
    assert len(read_reference("a" * 64)) == 1
    path.write_text(json.dumps({"prior": "a" * 64, "families": [family | changed]}))
    with pytest.raises(UsageError, match="remove it"):
        read_reference("a" * 64)


def test_a_damaged_reference_is_refused_before_the_sampling(ct_scan, ct_prior, tmp_path, capsys) -> None:
    path = Path(os.environ["SCANPRIOR_HOME"]) / "audit" / f"{load(ct_prior)[1].sha256[:16]}.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(SystemExit) as left:
        main(["reconstruct", str(ct_scan), "--prior", str(ct_prior), "-o", str(tmp_path / "out"), *SETTINGS])
    said = capsys.readouterr().err
    assert left.value.code == 2 and "got no reference" in said and "sampling" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("audit", [None, [], {"flags": []}, {"flags": [], "compared": {}, "table": [3]}])
def test_a_report_with_a_damaged_audit_is_refused(audit, tmp_path, capsys) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"audit": audit}))
    assert run(str(tmp_path)) == 2
    assert "holds no audit" in capsys.readouterr().err
