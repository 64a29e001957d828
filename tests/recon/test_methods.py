"""`--method` and `--options`: every name is a method, with its line in --help."""

from __future__ import annotations

import pytest
from scanprior.recon.methods import METHODS, lines, method_of
from scanprior.recon.posterior.method import PosteriorMethod


@pytest.mark.parametrize("name", METHODS)
def test_every_name_is_a_method_with_settings(name: str) -> None:
    method = method_of(name, "steps=7")
    assert isinstance(method, PosteriorMethod)
    assert method.settings["steps"] == 7
    assert f"  {name} " in lines()
    with pytest.raises(ValueError, match="--options"):
        method_of(name, "colour=blue")


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="expected one of dds, auto, projection"):
        method_of("magic", "")
