"""Mutated files of every format (benchmarks/hostile.py): refused or read, and nothing else. Hypothesis chooses the
changes here, a few a format; the soak (`pytest -m soak`, hours) tries 200,000 of each."""

from __future__ import annotations

import os
from pathlib import Path

import hostile
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CHANGES = st.lists(
    st.tuples(
        st.sampled_from(hostile.STRUCTURE + hostile.BYTES),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, (1 << 32) - 1),
    ),
    min_size=1,
    max_size=4,
)
SURVIVED = ("read", "refused", "library crashed", "library froze")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sound")


@pytest.mark.parametrize("name", hostile.FORMATS)
def test_the_sound_file_is_read(name: str, folder: Path) -> None:
    assert hostile.fate(hostile.sound(name, folder))[:2] == ("read", "")


@pytest.mark.filterwarnings("ignore")  # what numpy says of numbers that make no sense
@pytest.mark.parametrize("name", hostile.FORMATS)
def test_a_changed_file_is_read_or_refused(name: str, folder: Path) -> None:
    source = hostile.sound(name, folder)
    target = folder / f"changed-{source.name}"

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(CHANGES)
    def check(changes: list[hostile.Change]) -> None:
        hostile.mutate(source, target, changes)
        what, where, _ = hostile.fate(target)
        assert what in SURVIVED, f"{what} {where}"

    check()


@pytest.mark.parametrize("fault", ["escaped", "crashed"])
def test_the_campaign_sees_what_it_is_for(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path, **_: object) -> None:
        if fault == "crashed":
            os._exit(3)
        raise KeyError("lost")

    monkeypatch.setattr(hostile, "read", read)
    met, bad, _, _ = hostile.campaign("nifti-1", 3)
    assert met[fault] == 3
    assert len(bad) == 3 and all(fault in words for words in bad)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", hostile.FORMATS)
def test_soak(name: str) -> None:
    met, bad, longest, peak = hostile.campaign(name, int(os.environ.get("SOAK_INPUTS", "200000")))
    print(name, dict(met), f"{longest:.1f} s, {peak:.0f} MB")
    assert not bad
    assert peak < 1000 * (hostile.MEMORY + 1)
