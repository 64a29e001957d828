"""Fixtures shared by all tests: the operator contract, the real data beside the checkout, tiny priors."""

from functools import partial
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test sees, or writes to, the cache of priors of whoever runs it."""
    monkeypatch.setenv("SCANPRIOR_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def contract():
    """contract(A, batch=2, tolerance=2e-6): raises, with the defects, unless A keeps the operator contract."""
    from scanprior.operators import check_operator

    return partial(check_operator, tolerance=2e-6)


@pytest.fixture
def shared_data():
    """shared_data("folder", "file"): a path in shared/data; skips the test where it is absent."""

    def path(*parts):
        found = DATA.joinpath(*parts)
        if not found.exists():
            pytest.skip(f"needs {found}, which is not in this checkout")
        return found

    return path


def _tiny_prior(folder, modality):
    """A run folder with an untrained prior, as `scanprior train` writes it."""
    import torch
    from scanprior.pretrained.card import Card
    from scanprior.pretrained.load import from_card, save

    card = Card(
        name=f"tiny-{modality.lower()}",
        modality=modality,
        channels=1 if modality == "CT" else 2,
        sigma_data=0.5,
        intensity={"kind": "attenuation"} if modality == "CT" else {"kind": "robust-maximum"},
        network={"name": "unet", "base": 8, "multipliers": [1, 2], "blocks": 1},
        window=(-1024.0, 3071.0),
    )
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save(folder / "prior.safetensors", from_card(card).state_dict(), card)
    return folder


@pytest.fixture(scope="session")
def ct_prior(tmp_path_factory):
    """A run folder with a tiny untrained prior of CT images."""
    return _tiny_prior(tmp_path_factory.mktemp("priors") / "ct", "CT")


@pytest.fixture(scope="session")
def mr_prior(tmp_path_factory):
    """A run folder with a tiny untrained prior of MR images."""
    return _tiny_prior(tmp_path_factory.mktemp("priors") / "mr", "MR")
