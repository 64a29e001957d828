"""What every verb has: JSON, quiet, a log file, a configuration file, a dry run, completion, suggestions."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scanprior.cli.verb import verb
from scanprior.formats.dicom import example_ct
from scanprior.formats.scan import Scan
from scanprior.formats.store import read_reconstruction, read_scan, write_scan
from scanprior.modality import Modality
from scanprior.recon import presets
from scanprior.report.words import to_json

FBP = ("--method", "fbp", "--no-baselines")


@pytest.fixture
def scan_file(ct_scan: Scan, tmp_path: Path) -> Path:
    write_scan(tmp_path / "scan.h5", ct_scan)
    return tmp_path / "scan.h5"


# --- json
def test_json_is_one_document_of_what_was_found(scan_file, scanprior, tmp_path) -> None:
    done = scanprior("reconstruct", scan_file, "-o", tmp_path / "out", *FBP, "--json")
    found = json.loads(done.out)
    assert done.code == 0 and found["table"][0]["method"] == "FBP" and found["table"][0]["psnr"] > 5
    assert sorted(found["files"]) == sorted(path.name for path in (tmp_path / "out").iterdir())
    images = ("simulate", example_ct(), "--ct", "views=8,matrix=32", "-o", tmp_path / "s.h5")
    before = scanprior("--json", *images)  # before the verb, too
    assert json.loads(before.out)["data"][1] == 8 and "notes" in json.loads(before.out)
    assert {row["name"] for row in json.loads(scanprior("methods", "dds", "--json").out)["settings"]} >= {
        "steps",
        "eta",
    }


def test_json_has_no_numbers_that_json_has_not() -> None:
    facts = {"a": float("nan"), "b": Path("c"), "d": np.float32(2), "e": (1, [np.inf])}
    assert json.loads(to_json(facts)) == {"a": "nan", "b": "c", "d": 2.0, "e": [1, ["inf"]]}


# --- quiet, verbose, log file
def test_quiet_leaves_the_result_and_warnings(scan_file, scanprior, tmp_path) -> None:
    write_scan(scan_file, replace(read_scan(scan_file), noise=None))
    command = ("reconstruct", scan_file, "--overwrite", "-o", tmp_path / "out", *FBP)
    loud, log = scanprior(*command, "--verbose"), tmp_path / "log.txt"
    assert "note: the noise level is not known" in loud.err and "reading: " in loud.err
    for words in ((*command, "--quiet"), ("-q", *command)):
        quiet = scanprior(*words, "--log-file", log)
        assert quiet.code == 0 and quiet.err == "" and "FBP" in quiet.out
    said = log.read_text()
    assert said.count("note: the noise level is not known") == 2 and said.startswith("2")
    scanprior("reconstruct", tmp_path / "none.h5", "-o", tmp_path / "x", "--log-file", log)
    assert "does not exist" in log.read_text()


def test_the_log_names_no_input_unless_asked(ct_scan, ct_volume, scanprior, tmp_path) -> None:
    """A file's name may be a patient's."""
    write_scan(path := tmp_path / "JONES_MARY.h5", replace(ct_scan, noise=None))
    broken = tmp_path / "JONES_MARY_2.h5"
    broken.write_bytes(path.read_bytes()[:600])
    log, out = tmp_path / "log.txt", tmp_path / "out"
    for words in (
        ("info", path),
        ("validate", path),
        ("info", broken),
        ("simulate", path, "--ct", "views=8", "-o", tmp_path / "s.h5"),
        ("reconstruct", path, "-o", out, *FBP),
        ("reconstruct", tmp_path / "none" / "JONES.h5", "-o", out, "--overwrite", *FBP),
        ("prepare", tmp_path / "JONES", "-o", tmp_path / "pack"),
    ):
        scanprior(*words, "--log-file", log)
    said = log.read_text()
    assert "JONES" not in said and said.count("INPUT") >= 5 and str(tmp_path / "JONES") not in said
    scanprior("reconstruct", broken, "-o", tmp_path / "b", "--name-in-report", "--log-file", log)
    assert "JONES_MARY_2.h5" in log.read_text()


# --- configuration
def test_a_result_is_repeated_by_its_configuration(scan_file, ct_prior, scanprior, tmp_path) -> None:
    own = ("--prior", ct_prior, "--samples", 2, "--options", "steps=3,eta=0.5", "--no-baselines")
    first = scanprior("reconstruct", scan_file, "-o", tmp_path / "a", *own, "--seed", 7, "--name-in-report")
    assert first.code == 0, first.err
    config = tmp_path / "a" / "run.toml"
    said = tomllib.loads(config.read_text())
    assert (said["seed"], said["samples"], said["scan"]) == (7, 2, str(scan_file))
    again = scanprior("reconstruct", "--config", config, "-o", tmp_path / "b")
    assert again.code == 0, again.err
    other = scanprior("reconstruct", "--config", config, "-o", tmp_path / "c", "--seed", 8, "--baselines")
    assert other.code == 0, other.err
    one, two, three = (
        read_reconstruction(tmp_path / name / "reconstruction.h5").samples for name in ("a", "b", "c")
    )
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - three).mean() > 1
    assert "FBP" in other.out and "FBP" not in again.out  # the command line overrules the file


def test_the_configuration_names_no_file_unless_asked(scan_file, scanprior, tmp_path) -> None:
    assert scanprior("reconstruct", scan_file, "-o", tmp_path / "out", *FBP).code == 0
    text = (tmp_path / "out" / "run.toml").read_text()
    assert str(tmp_path) not in text and "scan.h5" not in text and "method" in tomllib.loads(text)
    again = ("reconstruct", scan_file, "--config", tmp_path / "out" / "run.toml", "-o", tmp_path / "again")
    assert scanprior(*again).code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sampels = 3", "got 'sampels'"),
        ("sampels = 3", "did you mean 'samples'?"),
        ("[samples]\nn = 3", "got a table [samples]"),
        ("samples = ", "is no TOML file"),
        ('samples = "few"', "samples"),
        ('no-baselines = "false"', "no-baselines = 'false', expected true or false"),
        ('method = "ddss"', "did you mean 'dds'?"),
    ],
)
def test_a_wrong_configuration_is_refused(text, words, scan_file, scanprior, tmp_path) -> None:
    (tmp_path / "run.toml").write_text(text)
    done = scanprior(
        "reconstruct", scan_file, "-o", tmp_path / "out", "--config", tmp_path / "run.toml", *FBP[2:]
    )
    assert done.code == 2 and words in done.err and not (tmp_path / "out").exists()


# --- dry run
def test_a_dry_run_says_what_would_be_done(scan_file, ct_prior, scanprior, tmp_path) -> None:
    before = sorted(tmp_path.iterdir())
    command = ("reconstruct", scan_file, "-o", tmp_path / "out", "--prior", ct_prior, "--options", "steps=3")
    done = scanprior(*command, "--dry-run", "--json")
    assert done.code == 0, done.err
    plan = json.loads(done.out)
    assert plan["method"] == "dds" and "steps=3" in plan["options"]["options"] and plan["prior"] == "tiny-ct"
    assert plan["compared_with"] == ["FBP", "FISTA-TV"]
    assert 0 < plan["estimate"]["seconds"] < 60 and plan["estimate"]["whole"]
    assert sorted(tmp_path.iterdir()) == before
    shown = scanprior(*command[:2], *command[4:], "--dry-run").out  # no --output is needed
    assert "nothing was written" in shown and "prior" in shown
    assert not [
        key for key in plan if not plan[key] and f"\n{key.replace('_', ' ')}" in shown
    ]  # no empty rows


def test_a_method_is_shown_with_its_paper_and_its_file(scanprior) -> None:
    shown = scanprior("methods", "dds").out
    assert "paper: Chung, Lee & Ye, ICLR 2024" in shown and "recon/posterior/dds.py" in shown
    assert "Alg. 1" in shown and "argmin_u" in shown and "warm_start" in shown  # equations, settings
    found = json.loads(scanprior("methods", "fbp", "--json").out)
    assert found["file"].endswith("recon/baselines/fbp.py") and found["about"]


# --- suggestions
@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("--method", "ddss"), "did you mean 'dds'?"),
        (("--prior", "ct-265"), "did you mean 'ct-256'?"),
        (("--device", "cdua"), "did you mean 'cuda'?"),
        (("--dtype", "bflot16"), "did you mean 'bfloat16'?"),
        (("--options", "stpes=3"), "did you mean 'steps'?"),
        (("--samples", "0"), "--samples: got 0, expected at least 1"),
    ],
)
def test_values_get_suggestions(arguments, meant, scan_file, scanprior, tmp_path) -> None:
    done = scanprior("reconstruct", scan_file, "-o", tmp_path / "out", *arguments)
    assert done.code == 2 and meant in done.err and len(done.err.strip().splitlines()) == 1


# --- completion
def completed(line: str) -> list[str]:
    """What bash offers for the last word of a line."""
    words = line.split(" ")
    environment = {
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "_SCANPRIOR_COMPLETE": "complete_bash",
    }
    code = (
        "import sys\nfrom scanprior.cli.main import main\ntry:\n    main([])\nexcept SystemExit:\n    pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    *offered, torch = done.stdout.split("\n")[:-1]
    assert torch == "False", "completion loads torch"
    return [word for word in offered if word]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("scanprior rec", ["reconstruct"]),
        ("scanprior reconstruct x.h5 --method dd", ["dds", "ddrm", "ddnm"]),
        ("scanprior reconstruct --prior ct", ["ct-256"]),
        ("scanprior reconstruct --no-b", ["--no-baselines"]),
        ("scanprior methods sim", ["simulate"]),
        ("scanprior priors show ct", ["ct-256"]),
        ("scanprior priors verify mr", ["mri-256"]),
        ("scanprior reconstruct sc", []),  # a file: the shell's own
    ],
)
def test_the_shell_completes(line: str, offered: list[str]) -> None:
    got = completed(line)
    assert set(offered) <= set(got) and bool(got) == bool(offered)


def test_data_are_fetched_from_addresses(scanprior) -> None:
    done = scanprior("data", "fetch", "scans.zip")
    assert done.code == 2 and "got no http(s) address; set SCANPRIOR_DATA" in done.err


# --- the decorator
def test_a_verb_keeps_its_own_options() -> None:
    @verb
    def one(path: Path, number: int = 3, console: object = None) -> None:
        """Not called."""

    names = list(inspect.signature(one).parameters)
    assert names[:2] == ["path", "number"] and "console" not in names and {"as_json", "config"} <= set(names)


# --- presets
def test_presets_are_listed_and_own_ones_removed(scanprior) -> None:
    shipped = json.loads(scanprior("presets", "list", "--json").out)
    assert all(row["from"] == "scanprior" for row in shipped)
    like = presets.Likeness(Modality.CT, 32.0, 4.0, 1.0, 0.01)
    own = presets.Preset("dds", "", like, {}, {"eta": 0.25}, {"suite": "own", "task": "few", "patients": 4})
    presets.keep(presets.user_presets_path(), own)
    listed = scanprior("presets", "list")
    assert "own: few" in listed.out and "eta=0.25" in listed.out
    removed = scanprior("presets", "remove", "1")
    assert removed.code == 0 and "removed dds for own: few" in removed.out
    assert json.loads(scanprior("presets", "list", "--json").out) == shipped
    refused = scanprior("presets", "remove", "1")
    assert refused.code == 2 and len(refused.err.strip().splitlines()) == 1
