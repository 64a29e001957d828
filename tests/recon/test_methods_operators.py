"""Every posterior method with every kind of operator: CT with photon noise, one and several coils, inpainting,
super-resolution, colorization, real and complex. The mean of few samples of few steps is near the exact posterior's."""

from __future__ import annotations

import known_answer as known
import pytest
import torch
from toys import OneGenerator

STEPS = {"pnpdm": 12, "ula": 30, "reddiff": 60} | dict.fromkeys(
    ("daps", "dps", "mcg", "score-sde", "projection"), 40
)  # 20 by default
CLOSER = 0.6  # than the prior's mean is; what is measured of an image is a part of it


@pytest.mark.parametrize("name", known.HELD)
@pytest.mark.parametrize("operator", known.operators())
def test_a_method_reconstructs_what_was_measured(name: str, operator: str) -> None:
    case = known.operators()[operator]
    method = known.HELD[name].method(name, steps=STEPS.get(name, 20))
    with torch.no_grad():
        posed = case.posed(20)
        *_, x = method.trajectory(posed, OneGenerator(0))
    assert x.is_complex() == posed.physical_operator.domain_complex
    mean = known.real_parts(x).double().unflatten(0, (2, 20)).mean(1)
    error, before = ((m - case.mean).norm() for m in (mean, case.prior.mean.flatten().double()))
    assert float(error / before) < CLOSER
