"""Pictures: nothing overlaps, nothing is stretched, scales mean what they say."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image
from scanprior.report.curves import training_curves
from scanprior.report.figures import overview, sample_grid, save
from scanprior.report.maps import audit_maps, interval_maps
from scanprior.report.training_log import read_log

METHODS = (
    "zero-filled",
    "CG-SENSE",
    "L1-wavelet",
    "FISTA-TV",
    "scanprior, one sample",
    "scanprior, mean of 8",
)


def case(methods: int, shape=(64, 64), *, truth=True, std=True, seed=0):
    rng = np.random.default_rng(seed)
    images = {name: rng.uniform(0, 1, shape) for name in METHODS[-methods:]}
    return {
        "images": images,
        "truth": rng.uniform(0, 1, shape) if truth else None,
        "std": rng.uniform(0, 0.1, shape) if std else None,
        "window": (0.0, 1.0),
        "units": "magnitude",
        "title": "patient_scan_$x_1$.h5 " * 9,
        "captions": dict.fromkeys(images, "31.20 dB · SSIM 0.891"),
    }


def test_a_notebooks_style_moves_nothing(tmp_path: Path) -> None:
    """What a user has set for figures of their own, a layout above all (which warns where there is no grid)."""
    save(overview(**case(2)), tmp_path / "plain.png")
    with matplotlib.rc_context({"figure.constrained_layout.use": True}):
        save(overview(**case(2)), tmp_path / "styled.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


@pytest.mark.parametrize("shape", [(64, 64), (40, 90), (90, 40)])
@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("std", [True, False])
@pytest.mark.parametrize("methods", [1, 2, 6])
def test_no_text_or_picture_overlaps(methods, std, truth, shape) -> None:
    figure = overview(**case(methods, shape, truth=truth, std=std))
    figure.draw_without_rendering()
    assert figure.bbox.width <= 1600
    texts = [text for text in figure.texts if text.get_text()]
    labels = [axes.xaxis.label for axes in figure.axes if axes.xaxis.label.get_text()]
    pictures = [axes for axes in figure.axes if axes.images]
    assert len(pictures) == methods * (1 + truth) + truth + std
    boxes = {text.get_text(): text.get_window_extent() for text in [*texts, *labels]}
    boxes = [*boxes.items(), *((f"picture {k}", axes.get_window_extent()) for k, axes in enumerate(pictures))]
    for (one, a), (other, b) in combinations(boxes, 2):
        assert not a.overlaps(b), f"{one!r} lies over {other!r}"
    for name, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height, (
            name
        )


@pytest.mark.parametrize("shape", [(64, 64), (40, 90), (90, 40)])
def test_pixels_are_square(shape) -> None:
    figure = overview(**case(3, shape))
    figure.draw_without_rendering()
    for axes in figure.axes:
        if axes.images:
            box = axes.get_window_extent()
            assert box.height / box.width == pytest.approx(shape[0] / shape[1], rel=0.01)


@pytest.mark.parametrize("shape", [(64, 64), (90, 40)])
def test_numbers_of_neighbouring_bars_do_not_meet(shape) -> None:
    """The end of one map's scale, 1.00, and the beginning of the next, 0.00."""
    share = np.random.default_rng(0).uniform(0, 1, shape)
    figure = audit_maps(share, {"one": share, "other": share}, (0.0, 1.0), "scan")
    figure.draw_without_rendering()
    bars = [axes for axes in figure.axes if not axes.images and axes.xaxis.label.get_text()]
    boxes = [
        label.get_window_extent() for axes in bars for label in axes.get_xticklabels() if label.get_text()
    ]
    assert len(bars) == 2
    assert not any(a.padded(2).overlaps(b) for a, b in combinations(boxes, 2))


def test_intervals_say_their_window() -> None:
    image = np.zeros((64, 64))
    figure = interval_maps(image - 20, image, image + 20, (-1000.0, 1000.0), "HU", "scan")
    said = [text.get_text() for text in figure.texts]
    assert "Grey values from −1000 to 1000 HU. Research use only. Not for diagnosis." in said


def test_scales() -> None:
    """One scale for all errors, one of its own for the spread; the window for the pictures."""
    given = case(2)
    given["images"]["scanprior, mean of 8"] = given["truth"] + 0.25
    limits = {}
    for axes in overview(**given).axes:
        for image in axes.images:
            limits.setdefault(image.get_cmap().name, set()).add(image.get_clim())
    assert limits["gray"] == {(0.0, 1.0)}
    assert len(limits["magma"]) == 1
    (low, high), *_ = limits["viridis"]
    assert low == 0 and high == pytest.approx(0.1, rel=0.02)


def test_errors_are_absolute_differences_from_the_truth() -> None:
    given = case(1)
    given["images"] = {"A": given["truth"] - 0.25}
    (error,) = (i for a in overview(**given).axes for i in a.images if i.get_cmap().name == "magma")
    assert np.allclose(error.get_array(), 0.25)


def test_the_file_is_written_whole(tmp_path: Path) -> None:
    save(overview(**case(5)), tmp_path / "report.png")
    with Image.open(tmp_path / "report.png") as image:
        assert image.width == 1600
        assert image.convert("L").getextrema()[0] < 20  # something was drawn
    assert [p.name for p in tmp_path.iterdir()] == ["report.png"]


def test_wrong_shapes_are_refused() -> None:
    given = case(2)
    given["truth"] = np.zeros((8, 9))
    with pytest.raises(ValueError, match=r"\(8, 9\), \(64, 64\)"):
        overview(**given)
    with pytest.raises(ValueError, match="at least one"):
        overview(**{**case(1, truth=False, std=False), "images": {}})


def test_a_sheet_of_samples(tmp_path: Path) -> None:
    images = np.zeros((7, 20, 20))
    images[3] = 1
    sample_grid(tmp_path / "samples.png", images, (0, 1), "after 10 steps")
    with Image.open(tmp_path / "samples.png") as image:
        grey = np.asarray(image.convert("L"))
    assert (grey == 0).mean() > 0.4  # six black pictures of seven, on white
    with pytest.raises(ValueError, match="expected"):
        sample_grid(tmp_path / "none.png", np.zeros((0, 4, 4)), (0, 1), "none")


def log_file(path: Path, *entries: dict, tail: str = "") -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries) + tail)
    return path


def test_the_log_of_a_killed_and_resumed_run(tmp_path: Path) -> None:
    log = log_file(
        tmp_path / "log.jsonl",
        {"step": 50, "loss": 1.0},
        {"step": 100, "loss": 0.9},
        {"step": 50, "validation": {"0.1": 20.0}},
        {"step": 100, "loss": 0.8},
        {"step": 150, "loss": 0.5},
        {"step": 150, "validation": {"0.1": 25.0}},
        tail='{"step": 200, "lo',
    )
    losses, validation = read_log(log)
    assert losses == [(50, 1.0), (100, 0.8), (150, 0.5)]
    assert validation == [(50, {"0.1": 20.0}), (150, {"0.1": 25.0})]
    training_curves(tmp_path / "curves.png", log)
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size == (1200, 420)


def test_curves_of_a_run_without_validation_or_steps(tmp_path: Path) -> None:
    training_curves(tmp_path / "a.png", log_file(tmp_path / "a.jsonl", {"step": 1, "loss": 1.0}))
    training_curves(tmp_path / "b.png", log_file(tmp_path / "b.jsonl"))
    assert (tmp_path / "a.png").is_file() and (tmp_path / "b.png").is_file()
