"""Mutated files of every format (benchmarks/hostile): refused or read, and nothing else. Hypothesis chooses the
changes here, a few a format; the soak (`pytest -m soak`, hours) tries 200,000 of each."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile import fate
from hostile.campaign import campaign
from hostile.changes import BYTES, STRUCTURE, Change, mutate
from hostile.sound import FORMATS, sound
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scanprior.formats import isolated

CHANGES = st.lists(
    st.tuples(
        st.sampled_from(STRUCTURE + BYTES),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, (1 << 32) - 1),
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sound")


@pytest.mark.parametrize("name", FORMATS)
def test_the_sound_file_is_read(name: str, folder: Path) -> None:
    assert fate.fate(sound(name, folder))[:2] == ("read", "")


@pytest.mark.filterwarnings("ignore")  # what numpy says of numbers that make no sense
@pytest.mark.parametrize("name", FORMATS)
def test_a_changed_file_is_read_or_refused(name: str, folder: Path) -> None:
    source = sound(name, folder)
    target = folder / f"changed-{source.name}"

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(CHANGES)
    def check(changes: list[Change]) -> None:
        mutate(source, target, changes)
        what, where, _ = fate.fate(target)
        assert what in fate.SURVIVED, f"{what} {where}"

    check()


def _raises(*_: object, **__: object) -> None:
    raise KeyError("lost")


def _dies(*_: object, **__: object) -> None:
    os._exit(3)


def _loops(*_: object, **__: object) -> None:
    while True:
        pass


def _differs(path: Path, **_: object) -> dict[str, Any]:
    return {"problems": [] if isolated._inside else ["something"]}


@pytest.mark.parametrize(
    ("place", "fault", "what"),
    [
        ("hostile.fate.read", _raises, "escaped"),
        ("hostile.fate.read", _dies, "crashed"),
        ("hostile.fate.read", _loops, "hung"),
        ("scanprior.formats.layouts.reader_of", _dies, "library crashed"),
        ("scanprior.formats.layouts.reader_of", _loops, "library froze"),
        ("hostile.fate.examine", _differs, "refused"),
    ],
)
def test_the_campaign_sees_what_it_is_for(
    place: str, fault: Callable[..., Any], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fate.warm(sound("matlab", tmp_path))
    monkeypatch.setattr("hostile.fate.warm", lambda _: None)
    monkeypatch.setattr(place, fault)
    monkeypatch.setattr("hostile.fate.QUICK", 0.1)
    monkeypatch.setattr("hostile.fate.STUCK", 0.5)
    monkeypatch.setattr("hostile.campaign.CHECKED", 1)
    monkeypatch.setattr("hostile.campaign.changes", lambda _: [])
    (total,) = campaign("matlab", 1)
    assert total.met == {what: 1} and total.checked == 1
    survived = what.startswith("library")
    assert len(total.bad) == (0 if survived else 1) and all(what in words for words in total.bad)


def test_a_stopped_campaign_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostile.campaign.CHUNK", 3)
    *_, whole = campaign("npy", 8)
    first = next(campaign("npy", 8, log=tmp_path / "log"))
    assert first.inputs == 3
    steps = [total.inputs for total in campaign("npy", 8, log=tmp_path / "log")]
    assert steps[0] == 3 and steps[-1] == 8
    (again,) = campaign("npy", 8, log=tmp_path / "log")
    assert again.met == whole.met and again.inputs == 8 and again.checked == whole.checked


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FORMATS)
def test_soak(name: str) -> None:
    *_, total = campaign(name, int(os.environ.get("SOAK_INPUTS", "200000")))
    print(total.row(name))
    assert not total.bad
    assert total.peak < 1000 * (fate.MEMORY + 1)
