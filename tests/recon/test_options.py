"""Options as text: what a key may be is said by its annotation, what it means by the docstring."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from scanprior.priors.sde import SDE, VE, VP, SubVP
from scanprior.recon.methods import method_of
from scanprior.recon.options import attribute_docs, parse, settings_of
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.posterior.projection import Projection
from scanprior.recon.simulate import CTSimulation, MRISimulation, simulation_of


@dataclass(frozen=True)
class Base:
    """A base.

    Attributes:
        steps: how many, in two
            lines.
    """

    steps: int = 3


@dataclass(frozen=True)
class Kind(Base):
    """A kind.

    Attributes:
        near, far: of the source [mm].
        switch: on or off.

    Nothing more: this is no attribute.
    """

    near: float = 1.5
    far: float | None = None
    switch: bool = False
    word: str = "a"
    law: SDE | None = None
    hidden: dict = field(default_factory=dict)


def test_values_are_of_the_annotated_type() -> None:
    got = parse("steps=1e2, near=2,far=7,switch,word=b,law=sub-VP", Kind, "--x")
    assert got == Kind(100, 2.0, 7.0, True, "b", SubVP()) and type(got.steps) is int
    assert parse("far=auto,law=auto,switch=no", Kind, "--x", {"far": 3.0}) == Kind()
    assert parse("sde=vp,gamma=3", DDS, "--x") == DDS(sde=VP(), gamma=3.0)
    assert parse("sde=ve", Projection, "--x").sde == VE()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps=2.5", "got steps='2.5', expected a whole number, such as steps=3"),
        ("steps=auto", "got steps='auto', expected a whole number"),
        ("far=much", "got far='much', expected a number or auto, such as far=auto"),
        ("switch=perhaps", "expected yes or no, such as switch=false"),
        ("law=xy", "got law='xy', expected ve, vp, sub-vp or auto, such as law=auto"),
        ("steps=inf", "expected a whole number"),
        ("hidden=1", r"got 'hidden', expected some of steps \(a whole number\), near \(a number\)"),
    ],
)
def test_what_is_wrong_is_said(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse(text, Kind, "--x")


def test_settings_are_described() -> None:
    found = {setting.name: setting[1:] for setting in settings_of(Kind)}
    assert found["steps"] == ("a whole number", "3", "how many, in two lines.")
    assert found["near"] == ("a number", "1.5", "of the source [mm].")
    assert found["far"] == ("a number or auto", "auto", "of the source [mm].")
    assert found["switch"] == ("yes or no", "false", "on or off.") and found["word"][2] == ""
    assert "hidden" not in found and attribute_docs("No attributes.") == {}
    for kind in (CTSimulation, MRISimulation):
        assert all(setting.doc for setting in settings_of(kind))


@pytest.mark.parametrize("text", ["photons=0", "arc=0", "matrix=-2", "arc=inf"])
def test_nothing_is_automatic_by_being_zero(text: str) -> None:
    import numpy as np
    from scanprior.formats.scan import Volume
    from scanprior.recon.simulate import simulate

    volume = Volume(np.zeros((1, 8, 8), np.float32), "HU", "CT", (5.0, 2.0, 2.0), source="water")
    with pytest.raises(ValueError, match=r"expected a positive number, or .*=auto"):
        simulate(volume, simulation_of(f"ct:{text}", "--simulate"))
    assert simulate(volume, CTSimulation(views=3, arc=90)).noise == {"type": "gaussian", "sigma": 0.0}


def test_a_class_without_settings_says_so() -> None:
    with pytest.raises(ValueError, match="--options: got 'steps', expected no settings"):
        method_of("zero-filled", "steps=10")
