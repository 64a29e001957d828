"""Priors as products: the bundled ones are what their cards say, and nothing damaged or unknown is loaded."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scanprior.pretrained import cache
from scanprior.pretrained import card as cards
from scanprior.pretrained.card import CARDS, WEIGHTS, Card, bundled
from scanprior.pretrained.load import default_for, from_card, intensity_of, load, load_prior, save
from scanprior.priors.crops import Augmentation, Crops
from scanprior.priors.intensity import Attenuation, RobustMaximum
from scanprior.priors.train import denoising_psnr
from scanprior.workflows.images import ImageSets

CARD = Card(
    name="tiny",
    modality="CT",
    channels=1,
    sigma_data=0.5,
    intensity={"kind": "attenuation", "mu_water": 0.02},
    network={"name": "unet", "base": 8, "multipliers": [1, 2], "blocks": 1},
    window=(-1024.0, 3071.0),
    pixel_mm=(0.7, 1.2),
    matrix=(64, 64),
    data=[{"name": "Phantoms", "licence": "CC0"}],
    validation={"denoising_psnr": {"0.1": 34.1}},
)
VALIDATION = {"CT": [("ct", "ct256_val.h5")], "MR": [("mri", "t1_val.h5"), ("mri", "ms_val.h5")]}


# --- what is bundled
@pytest.fixture(params=sorted(bundled()))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_there_is_a_prior_for_each_modality() -> None:
    for modality in ("CT", "MR"):
        assert bundled()[default_for(modality)].modality == modality
    with pytest.raises(ValueError, match="no bundled prior for PET; train one"):
        default_for("PET")


def test_a_bundled_card_says_what_a_user_must_know(name: str) -> None:
    card = bundled()[name]
    assert card.name == name
    assert (card.modality, card.channels) in (("CT", 1), ("MR", 2))
    assert "not for diagnosis" in card.description and card.licence
    assert card.data and all(set(source) == {"name", "licence", "attribution"} for source in card.data)
    assert all(all(source.values()) for source in card.data)
    assert card.pixel_mm is not None and 0 < card.pixel_mm[0] <= card.pixel_mm[1]
    assert card.matrix is not None and card.window[0] < card.window[1]
    assert card.training["finished_steps"] > 0 and card.training["patients"] > 0
    assert Card.from_dict(json.loads(json.dumps(card.to_dict()))) == card


def test_bundled_weights_are_those_of_the_card(name: str) -> None:
    card = bundled()[name]
    assert hashlib.sha256((WEIGHTS / card.file).read_bytes()).hexdigest() == card.sha256
    with safe_open(WEIGHTS / card.file, "pt") as file:
        inside = Card.from_dict(json.loads(file.metadata()["card"]))
    for entry in ("modality", "channels", "sigma_data", "network", "window", "validation"):
        assert getattr(inside, entry) == getattr(card, entry), entry
    assert intensity_of(inside) == intensity_of(card)


def test_no_weights_lie_about_without_a_card() -> None:
    assert {path.name for path in WEIGHTS.iterdir()} == {card.file for card in bundled().values()}


def test_a_bundled_prior_has_the_figures_of_its_card(name: str, shared_data) -> None:
    """The crops of `scanprior train --validation`, at two noise levels, in bfloat16 as there."""
    card = bundled()[name]
    images = ImageSets([shared_data(*parts) for parts in VALIDATION[card.modality]], card)
    crops = Crops(
        images,
        images.groups,
        channels=card.channels,
        size=card.training["crops"]["size"][0],
        batch=32,
        position=card.network["position"],
        augmentation=Augmentation(degrees=0, zoom=(1, 1)),
    )(0)
    measured = denoising_psnr(load_prior(name), crops, (0.1, 0.5))
    for sigma, psnr in measured.items():
        # the very crops: 0.005 dB where the card was written; another CPU rounds bfloat16 otherwise
        assert psnr == pytest.approx(card.validation["denoising_psnr"][str(sigma)], abs=0.1)


def test_a_loaded_prior_is_ready_to_denoise(name: str) -> None:
    prior = load_prior(name)
    assert not prior.training and not any(p.requires_grad for p in prior.parameters())
    g = torch.Generator().manual_seed(0)
    clean = torch.zeros(1, prior.channels, 40, 48)  # any size
    noisy = clean + 0.3 * torch.randn(clean.shape, generator=g)
    assert (prior.denoise(noisy, 0.3) - clean).square().mean() < 0.1 * 0.3**2


# --- there and back
@pytest.fixture
def file(tmp_path: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save(tmp_path / "prior.safetensors", from_card(CARD).state_dict(), CARD)
    return tmp_path / "prior.safetensors"


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    weights = from_card(CARD).state_dict()
    digest = save(tmp_path / "prior.safetensors", weights, CARD)
    assert [path.name for path in tmp_path.iterdir()] == ["prior.safetensors"]
    for where in (tmp_path, tmp_path / "prior.safetensors"):
        prior, card = load(where)
        assert card == replace(CARD, sha256=digest)
        assert prior.intensity == Attenuation(1000.0, 0.02)
        for key, value in prior.state_dict().items():
            assert torch.equal(value, weights[key].half().float()), key


def changed(file: Path, **entries: object) -> Path:
    """The same weights with another card in the header."""
    table = {**CARD.to_dict(), **entries}
    kept = {key: value for key, value in table.items() if value is not None}
    save_file(load_file(file), file, {"card": json.dumps(kept)})
    return file


# --- refusals
def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(FileNotFoundError, match=rf"no prior 'ct-257'.*{'.*'.join(sorted(bundled()))}"):
        load("ct-257")


@pytest.mark.parametrize("keep", [0, 4, 1000, -1])
def test_cut_off_weights_are_refused(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match="not a safetensors file, or cut off"):
        load(file)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"colour": "grey"}, "no entry colour; known: name, modality"),
        ({"sigma_data": None, "window": None}, "the card lacks sigma_data, window"),
        (
            {"intensity": {"kind": "hounsfield"}},
            "unknown intensity map 'hounsfield'; known: attenuation, rob",
        ),
        ({"intensity": {}}, "unknown intensity map None"),
        (
            {"intensity": {"kind": "attenuation", "mu_water": "much"}},
            "intensity map's mu_water must be numbers",
        ),
        ({"intensity": {"kind": "attenuation", "hu_per_unit": 0}}, "got hu_per_unit 0, .*; expected"),
        ({"network": "unet"}, "damaged .the card's network: got 'unet', expected a table"),
        (
            {"window": [40.0, -40.0]},
            r"the card's window: got \(40.0, -40.0\), expected two numbers, the lower",
        ),
        ({"modality": "PET"}, "the card's modality: got 'PET', expected CT, MR or RGB"),
        ({"sigma_data": True}, "the card's sigma_data: got True, expected a positive number"),
        ({"matrix": [64.5, 64]}, "the card's matrix: .*expected whole numbers"),
        ({"data": ["Phantoms"]}, "the card's data: .*expected tables"),
        ({"network": {**CARD.network, "base": "wide"}}, "no network can be built from its card"),
        (
            {"intensity": {"kind": "attenuation", "mu_air": 0, "slope": 1}},
            "'attenuation' has no field mu_air, slope; known: hu_per_unit, mu_water",
        ),
        ({"network": {**CARD.network, "base": 16}}, "weights do not fit the network on its card"),
        ({"network": {**CARD.network, "bass": 16}}, "no option bass"),
        ({"channels": 2}, "weights do not fit"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(file: Path, entries: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        load(changed(file, **entries))


def test_weights_without_a_card_are_refused(file: Path) -> None:
    save_file(load_file(file), file)
    with pytest.raises(ValueError, match="no card in its header; only weights written by `scanprior train`"):
        load(file)


def test_a_header_that_is_no_card_is_refused(file: Path) -> None:
    for text in ("{", "[1, 2]", "null"):
        save_file(load_file(file), file, {"card": text})
        with pytest.raises(ValueError, match=r"prior\.safetensors: the card in its header is damaged"):
            load(file)


def test_a_card_is_the_same_as_toml(tmp_path: Path) -> None:
    """With any text; entries without a value are left out."""
    card = replace(
        CARD,
        description='Köln "10 mm"\n\tnew line # no comment \x07',
        pixel_mm=None,
        training={"crops": {"degrees": None, "zoom": [0.8, 1.2]}, "rate": 5e-4, "seed": 0},
        validation={"denoising_psnr": {"0.1": 34.1, "2.0": float("inf")}},
    )
    (tmp_path / "card.toml").write_text(card.to_toml(), encoding="utf-8")
    kept = {"crops": {"zoom": [0.8, 1.2]}, "rate": 5e-4, "seed": 0}
    assert Card.read(tmp_path / "card.toml") == replace(card, training=kept)


def test_an_intensity_map_without_the_offset_is_as_before() -> None:
    """Cards from before `hu_at_zero`."""
    old = intensity_of(
        replace(CARD, intensity={"kind": "attenuation", "hu_per_unit": 1000.0, "mu_water": 0.02})
    )
    scale, offset = old.affine(torch.zeros(2, 4, 4))
    assert scale.tolist() == pytest.approx([0.02, 0.02]) and offset == 0.02


def test_every_intensity_map_takes_its_own_fields() -> None:
    card = replace(CARD, intensity={"kind": "robust-maximum", "quantile": 0.99})
    assert intensity_of(card) == RobustMaximum(quantile=0.99)
    with pytest.raises(ValueError, match=r"prior 'tiny': .*no field mu_water; known: quantile, factor"):
        intensity_of(replace(CARD, intensity={"kind": "robust-maximum", "mu_water": 0.02}))


@pytest.fixture
def installed(monkeypatch, tmp_path: Path) -> Path:
    """A copy of the bundled priors, to be damaged."""
    shutil.copytree(CARDS, tmp_path / "cards")
    shutil.copytree(WEIGHTS, tmp_path / "weights")
    monkeypatch.setattr(cards, "CARDS", tmp_path / "cards")
    monkeypatch.setattr(cache, "WEIGHTS", tmp_path / "weights")
    return tmp_path


def test_a_damaged_installation_is_noticed(installed: Path) -> None:
    card = bundled()["ct-256"]
    path = installed / "weights" / card.file
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1  # one bit of one weight
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"its card says {card.sha256[:16]}…; reinstall scanprior"):
        load("ct-256")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"its weights .* are missing; reinstall"):
        load("ct-256")


def test_an_unknown_entry_of_a_bundled_card_is_an_error(installed: Path) -> None:
    path = installed / "cards" / "ct-256.toml"
    path.write_text('colour = "grey"\n' + path.read_text())
    with pytest.raises(ValueError, match="no entry colour"):
        load("mri-256")
