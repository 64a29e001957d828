"""Fixtures shared by all tests: the operator contract and the real data beside the checkout."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture
def contract():
    """contract(A, batch=2, tolerance=2e-6): fails, with the defects, unless A keeps the operator contract."""
    from scanprior.operators.check import check_operator

    def check(A, batch=2, tolerance=2e-6, seed=0):
        defects = check_operator(A, batch=batch, seed=seed)
        broken = {name: value for name, value in defects.items() if not value <= tolerance}
        assert not broken, f"{A!r} breaks the contract: {broken} (tolerance {tolerance}); all: {defects}"
        return defects

    return check


@pytest.fixture
def shared_data():
    """shared_data("folder", "file"): a path in shared/data; skips the test where it is absent."""

    def path(*parts):
        found = DATA.joinpath(*parts)
        if not found.exists():
            pytest.skip(f"needs {found}, which is not in this checkout")
        return found

    return path
