"""The scripts in examples/: pictures of docs/score-models.md at their smallest, the classifier on labelled images."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import matplotlib
import numpy as np
import pytest
from PIL import Image
from scanprior.priors.classifier import load

ROOT = Path(__file__).parents[1]
SMALL: dict[str, dict[str, object]] = {
    "score_fields": {"side": 3, "fine": 21},
    "annealing": {"samples": 40, "steps": 40},
    "flow_paths": {"paths": 3, "steps": 20, "samples": 40},
    "posterior": {"samples": 10, "steps": 10, "fine": 21},
    "denoiser_score": {"size": 32},
}


@pytest.fixture(autouse=True)
def from_their_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """They set matplotlib's style for a process of their own; here it ends with the test."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    with matplotlib.rc_context():
        yield


@pytest.mark.parametrize("name", SMALL)
def test_pictures_of_score_models(name: str, tmp_path: Path, ct_prior: Path) -> None:
    settings = SMALL[name] | ({"prior_name": str(ct_prior)} if name == "denoiser_score" else {})
    path = importlib.import_module(name).main(tmp_path, **settings)
    with Image.open(path) as picture:
        assert picture.size[0] == 1000
    assert (ROOT / "docs" / path.name).stat().st_size < 150_000


def test_the_page_shows_every_picture() -> None:
    page = (ROOT / "docs" / "score-models.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^]]+\]\(([\w-]+\.png)\)", page)
    assert shown and all((ROOT / "docs" / name).is_file() for name in shown)
    assert {f"examples/{name}.py" for name in SMALL} <= set(re.findall(r"examples/\w+\.py", page))
    for target in re.findall(r"(?<!!)\[[^]]*\]\(([^)#]+)", page):
        assert target.startswith("https://") or (ROOT / "docs" / target).exists(), target


def test_three_nouns(ct_prior: Path, capsys) -> None:
    """With an untrained prior in the place of the bundled one, which .ci/run takes."""
    script = (ROOT / "examples" / "three_nouns.py").read_text(encoding="utf-8")
    assert script.count('"ct-256"') == 1
    names: dict[str, object] = {}
    exec(compile(script.replace('"ct-256"', repr(str(ct_prior))), "three_nouns.py", "exec"), names)
    assert names["result"].samples.shape == (1, 4, 128, 128)  # type: ignore[attr-defined]
    said = re.fullmatch(
        r"mean error (\d+) HU, spread of the samples (\d+) HU, .* s\n", capsys.readouterr().out
    )
    assert said and int(said[1]) < 150


def test_a_classifier_from_labelled_images(tmp_path: Path, ct_prior: Path) -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 12)
    with h5py.File(tmp_path / "set.h5", "w") as file:
        file["images"] = (
            rng.normal(size=(12, 20, 20)) * 20 + np.where(label, 500, -500)[:, None, None]
        ).astype("f4")
        file["images"].attrs["units"] = "HU"
        file["px_mm"] = np.ones(12, np.float32)
        file["patient"] = np.array([b"p%d" % k for k in range(12)])
        file["kind"] = np.array([b"dark", b"bright"])[label]
    sys.modules.pop("classifier", None)
    out = tmp_path / "kind.safetensors"
    options = ["--column", "kind", "--prior", ct_prior, "-o", out, "--size", 16, "--base", 8, "--steps", 60]
    loss = importlib.import_module("classifier").main([str(tmp_path / "set.h5"), *map(str, options)])
    assert loss < 0.9 * np.log(2)  # levels of noise up to 20 leave most images unknowable
    assert load(out).classes == ("bright", "dark")
    assert load(out).card.modality == "CT"
