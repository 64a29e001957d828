"""Lesions put into a measurement: a linear method adds its response, one that does not look sees none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scanprior.formats.scan import Volume
from scanprior.modality import Modality
from scanprior.recon import FBP, ZeroFilled
from scanprior.recon.lesion_figures import within
from scanprior.recon.lesions import Kind, placed
from scanprior.recon.simulate import CTSimulation, MRISimulation, simulate
from scanprior.recon.study import problem_of
from scanprior.workflows.lesion_scan import COUNT, lesions_in_scan

y, x = np.mgrid[:64, :64] - 31.5
BODY = np.where(np.hypot(x, y) < 28, 40.0, -1000.0) + np.random.default_rng(0).normal(0, 5, (64, 64))
KIND = Kind("soft tissue", 12.0, 100.0)


def volume(image: np.ndarray, units: str) -> Volume:
    modality = Modality.CT if units == "HU" else Modality.MR
    return Volume(image[None].astype(np.float32), units, modality, (1.0, 4.0, 4.0), {}, "made")


def test_a_linear_method_adds_its_response() -> None:
    scan = simulate(volume(BODY, "HU"), CTSimulation(views=90, photons=1e6))
    problem = problem_of(scan, "cpu")
    found = FBP()(problem)
    lines = lesions_in_scan(scan, problem, found, FBP(), kinds=[KIND])
    hu = 1000 / 0.0193 * found.mean[0].numpy() - 1000
    lesions = placed(hu, [KIND], "HU", 4.0, COUNT, 0)
    assert len(lines) == 1 and lines[0]["lesions"] == len(lesions) > 2
    parts = [lesion.fraction((64, 64), 4.0) for lesion in lesions]
    signal = torch.from_numpy(np.sum(parts, 0).astype(np.float32))[None]
    made = FBP()(type(problem)(problem.operator(signal), problem.operator)).mean[0].numpy()
    response = [made[within(part)].mean() / part[within(part)].mean() for part in parts]
    assert lines[0]["recovery"] == pytest.approx(np.mean(response), rel=1e-3)
    assert lines[0]["detectability"] > 5
    blind = lesions_in_scan(scan, problem, found, lambda changed: found, kinds=[KIND])
    assert blind[0]["recovery"] == pytest.approx(0, abs=1e-6)
    assert blind[0]["unexplained"] > lines[0]["unexplained"]


def test_mr_and_a_scan_without_room() -> None:
    brain = np.where(np.hypot(x, y) < 28, 60.0, 0.0) + np.where(np.hypot(x, y) < 20, 40.0, 0.0)
    scan = simulate(
        volume(brain + np.random.default_rng(1).normal(0, 1, (64, 64)), "magnitude"), MRISimulation(accel=1)
    )
    problem = problem_of(scan, "cpu")
    found = ZeroFilled()(problem)
    lines = lesions_in_scan(scan, problem, found, ZeroFilled(), kinds=[Kind("white matter", 12.0, -0.3)])
    assert lines[0]["recovery"] == pytest.approx(1, abs=0.15), "fully sampled"
    assert lesions_in_scan(scan, problem, found, ZeroFilled(), kinds=[Kind("lung", 5.0, 300.0)]) == []
