"""`scanprior priors`: list, show, verify, fetch, import; errors in one line, exit code 2; no torch to list."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch
from safetensors.torch import load_file, save_file
from scanprior.cli.priors import import_
from scanprior.pretrained import cache
from scanprior.pretrained import card as cards
from scanprior.pretrained.cache import shelf
from scanprior.pretrained.card import Card, bundled
from scanprior.pretrained.convert.checkpoint import FAMILIES
from scanprior.pretrained.load import from_card, load, load_prior, save
from scanprior.workflows.priors import intensity_table, options_of

GOLDEN = Path(__file__).parents[1] / "pretrained" / "golden"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCANPRIOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")  # of the tables


@pytest.fixture
def run(scanprior):
    """run(*arguments): `scanprior priors ...` ends well; what it printed."""

    def call(*arguments: object) -> str:
        done = scanprior("priors", *arguments)
        assert done.code == 0, done
        return done.out

    return call


@pytest.fixture
def refused(scanprior):
    """refused(*arguments, words): one line with these words, exit code 2, nothing printed, the cache as before."""

    def check(*arguments: object, words: tuple[str, ...]) -> None:
        before = {path: path.read_bytes() for path in shelf().rglob("*") if path.is_file()}
        done = scanprior("priors", *arguments)
        assert (done.code, done.out) == (2, ""), done
        lines = [line for line in done.err.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1 and "Traceback" not in done.err, done.err
        assert all(word in lines[0] for word in words), (words, lines[0])
        assert {path: path.read_bytes() for path in shelf().rglob("*") if path.is_file()} == before

    return check


@pytest.fixture
def tiny(run, ct_prior: Path) -> str:
    """A tiny prior in the cache."""
    run("fetch", ct_prior)
    return "tiny-ct"


# --- list
def test_the_list_says_what_a_user_must_know(run, tiny: str) -> None:
    out = run("list")
    assert run() == out
    first, second = out.split(f"In the cache, {shelf()}:")
    for name, card in bundled().items():
        assert f"{name}  ({card.modality})" in first
        for words in ("256 x 256", " mm", card.licence, card.data[0]["licence"], card.sha256[:12]):
            assert words in first
    assert f"{tiny}  (CT)" in second and "any" in second and "not stated" in second


def test_the_list_as_json(run, tiny: str) -> None:
    table = json.loads(run("list", "--json"))
    assert {name: entry["where"] for name, entry in table.items()} == {
        **dict.fromkeys(bundled(), "bundled"),
        tiny: "cache",
    }
    assert table["mri-256"]["channels"] == 2
    assert table[tiny]["sha256"] == load(tiny)[1].sha256


def test_nothing_bundled_and_nothing_cached(run, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cards, "CARDS", tmp_path)
    out = run()
    assert "train one with `scanprior train`" in out and "`scanprior priors fetch`" in out
    assert json.loads(run("list", "--json")) == {}


def test_a_damaged_card_is_listed_as_such(run, tiny: str) -> None:
    (shelf() / "bad.toml").write_text("name = ")
    assert "bad  (damaged)" in run() and f"{tiny}  (CT)" in run()
    assert "bad.toml" in json.loads(run("list", "--json"))["bad"]["damaged"]


@pytest.mark.parametrize(
    "arguments", ["priors", "priors list --json", "priors show tiny-ct", "priors import --help"]
)
def test_cards_are_read_without_torch(tiny: str, arguments: str) -> None:
    heavy = ("torch", "h5py", "numpy", "scipy", "matplotlib", "requests", "rich.progress")
    code = (
        "import sys\nfrom scanprior.cli.main import main\n"
        f"try:\n    main({arguments.split()})\nexcept SystemExit as left:\n    code = left.code\n"
        f"print('left with', code, [name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] in ("left with 0 []", "left with None []"), done.stdout + done.stderr


# --- show
def test_the_card_of_a_name_a_run_folder_and_a_file(run, tiny: str, ct_prior: Path) -> None:
    assert json.loads(run("show", "ct-256", "--json")) == json.loads(
        json.dumps(bundled()["ct-256"].to_dict())
    )
    for where in (tiny, ct_prior, ct_prior / "prior.safetensors"):
        assert json.loads(run("show", where, "--json"))["network"]["base"] == 8
        out = run("show", where)
        assert "multipliers" in out and "sigma data" in out


def test_what_is_no_prior_is_not_shown(refused, tmp_path: Path) -> None:
    refused("show", "nosuch", words=("no prior 'nosuch'", "ct-256", str(shelf()), "`scanprior priors`"))
    (tmp_path / "x.safetensors").write_bytes(b"no safetensors")
    refused("show", tmp_path / "x.safetensors", words=("x.safetensors", "not a safetensors file"))
    save_file({"a": torch.zeros(1)}, tmp_path / "bare.safetensors")
    refused("show", tmp_path / "bare.safetensors", words=("bare.safetensors", "no card", "priors import"))


def test_a_verb_that_is_none(scanprior) -> None:
    done = scanprior("priors", "ct-256")
    assert done.code == 2 and "No such command 'ct-256'" in done.err


# --- verify
def test_sound_priors_are_told_so(run, tiny: str, ct_prior: Path) -> None:
    out = run("verify")
    assert [name for name in (*bundled(), tiny) if f"{name} " in out] == [*bundled(), tiny]
    assert out.count("OK") == len(bundled()) + 1
    assert "file" in run("verify", ct_prior)


def replace_header(file: Path, **entries: object) -> None:
    """The same weights with another card in the header, and the hash of this file in the TOML card."""
    table = {**Card.read(file.with_suffix(".toml")).to_dict(), **entries}
    save_file(load_file(file), file, {"card": json.dumps(table)})
    toml = file.with_suffix(".toml")
    card = tomllib.loads(toml.read_text())
    toml.write_text(toml.read_text().replace(card["sha256"], cache.sha256_of(file)))


def break_weights(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def make_infinite(file: Path) -> None:
    fill(file, float("inf"))


def make_huge(file: Path) -> None:
    """Finite in float16, not what comes of them."""
    fill(file, 60_000)


def fill(file: Path, number: float) -> None:
    weights = {key: torch.full_like(value, number) for key, value in load_file(file).items()}
    card = Card.read(file.with_suffix(".toml"))
    save_file(weights, file, {"card": json.dumps(card.to_dict())})
    replace_header(file)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (break_weights, "its card says"),
        (Path.unlink, "are missing"),
        (lambda file: replace_header(file, sigma_data=0.7), "do not agree on sigma_data"),
        (
            lambda file: replace_header(file, intensity={"kind": "attenuation", "hu_at_zero": 1}),
            "agree on intensity",
        ),
        (make_infinite, "hold NaN or Inf"),
        (make_huge, "denoises to infinite"),
        (lambda file: file.with_suffix(".toml").write_text("name = 3"), "tiny-ct.toml"),
    ],
)
def test_a_prior_that_is_not_sound_is_exit_code_1(
    scanprior, run, tiny: str, ct_prior: Path, damage, words: str
) -> None:
    run("fetch", ct_prior, "--name", "sound")
    damage(shelf() / f"{tiny}.safetensors")
    done = scanprior("priors", "verify", tiny, "sound", "--quiet")
    assert done.code == 1, done
    assert words in " ".join(done.out.replace("│", " ").split()) and done.out.count("OK") == 1
    assert done.err == ""
    assert scanprior("priors", "verify", "sound").code == 0


def test_a_coarse_network_is_verified_too(scanprior, tmp_path: Path) -> None:
    small = {"name": "unet", "base": 8, "multipliers": [1, 2], "blocks": 1}
    network = {**small, "coarse": {"factor": 4, "above": 2.0, **small}}
    card = Card("both", "CT", 1, 0.5, {"kind": "attenuation"}, network, (-1024.0, 3071.0))
    weights = from_card(card).state_dict()
    save(tmp_path / "sound.safetensors", weights, card)
    assert scanprior("priors", "verify", tmp_path / "sound.safetensors").code == 0
    weights["coarse.network.enter.weight"].fill_(torch.nan)
    save(tmp_path / "broken.safetensors", weights, card)
    done = scanprior("priors", "verify", tmp_path / "broken.safetensors")
    assert done.code == 1
    assert "hold NaN or Inf" in " ".join(done.out.replace("│", " ").split())
    shown = scanprior("priors", "show", tmp_path / "sound.safetensors").out
    assert "coarse" in shown and "above" in shown


def test_an_unknown_name_is_not_verified(refused, tiny: str) -> None:
    refused("verify", tiny, "nosuch", words=("no prior 'nosuch'", tiny))


# --- fetch (tests/pretrained/test_fetch.py has the rest)
def test_a_prior_is_fetched_and_found_by_every_command(run, ct_prior: Path) -> None:
    digest = cache.sha256_of(ct_prior / "prior.safetensors")
    assert "not held against anything" in run("fetch", ct_prior, "--name", "chest")
    out = run("fetch", ct_prior / "prior.safetensors", "--name", "chest-2", "--sha256", digest)
    assert digest in out and "as asked for" in out and str(shelf() / "chest-2.safetensors") in out
    assert load("chest-2")[1].name == "chest-2"


def test_what_cannot_be_fetched(refused, tiny: str, ct_prior: Path, mr_prior: Path) -> None:
    refused("fetch", "http://127.0.0.1:9/x.safetensors", words=("127.0.0.1:9/x.safetensors", "not fetched"))
    refused("fetch", ct_prior, "--sha256", "0" * 64, words=("expected 0000", "nothing was installed"))
    refused("fetch", ct_prior, "--name", "ct-256", words=("bundled prior", "--name"))
    refused("fetch", mr_prior, "--name", tiny, words=(tiny, "other weights", "--overwrite"))
    refused("fetch", "nosuch", words=("nosuch", "neither a file"))


def test_overwrite(run, tiny: str, mr_prior: Path) -> None:
    run("fetch", mr_prior, "--name", tiny, "--overwrite")
    assert load(tiny)[1].modality == "MR"


# --- import
@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A DDPM++ of score_sde_pytorch with random weights, as its training writes it."""
    golden = json.loads((GOLDEN / "score_sde_ddpmpp_vp.json").read_text())
    generator = torch.Generator().manual_seed(0)
    state = {
        key: torch.randn(shape, generator=generator) / max(1, torch.Size(shape[1:]).numel()) ** 0.5
        for key, shape in golden["shapes"].items()
    }
    torch.save({"model": state, "step": 3}, tmp_path / "checkpoint_3.pth")
    return tmp_path / "checkpoint_3.pth"


def arguments(checkpoint: Path, **changes: object) -> list[object]:
    options: dict[str, object] = {
        "kind": "score-sde",
        "name": "theirs",
        "modality": "CT",
        "intensity": "attenuation:hu_per_unit=2000,hu_at_zero=-1000",
        **changes,
    }
    given = [text for name, value in options.items() for text in (f"--{name}", value)]
    return ["import", checkpoint, *given, "--window", -1000, 1000]


def test_a_published_checkpoint_becomes_a_prior(run, checkpoint: Path) -> None:
    data = ("--data", "Phantoms; CC0; us, ourselves", "--data", "More;CC BY;others")
    facts = ("--pixel-mm", 0.7, 1.2, "--matrix", 256, 256, "--licence", "MIT", "--description", "A test.")
    out = run(*arguments(checkpoint, options="sde=sub-vp,centered=false"), *data, *facts, "--sigma-data", 0.4)
    assert str(shelf() / "theirs.safetensors") in out and "how its images were scaled" in out
    prior, card = load("theirs")
    assert card.intensity == {
        "kind": "attenuation",
        "hu_per_unit": 2000.0,
        "mu_water": 0.0193,
        "hu_at_zero": -1000.0,
    }
    assert (card.window, card.pixel_mm, card.matrix) == ((-1000.0, 1000.0), (0.7, 1.2), (256, 256))
    assert (card.licence, card.description, card.sigma_data) == ("MIT", "A test.", 0.4)
    assert card.data == [
        {"name": "Phantoms", "licence": "CC0", "attribution": "us, ourselves"},
        {"name": "More", "licence": "CC BY", "attribution": "others"},
    ]
    assert card.training == {
        "imported": checkpoint.name,
        "kind": "score-sde",
        "sde": "sub-vp",
        "centered": False,
    }
    assert card.network["noise"]["kind"] == "sub-vp" and card.network["centered"] is False
    x = torch.randn(1, prior.channels, 20, 24, generator=torch.Generator().manual_seed(0))
    assert load_prior("theirs").denoise(x, 0.5).isfinite().all()
    assert "OK" in run("verify", "theirs")
    assert run(*arguments(checkpoint, options="sde=sub-vp,centered=false"), "--overwrite")


def test_to_a_file(run, refused, checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "ours.safetensors"
    run(*arguments(checkpoint, name="ct-256"), "-o", file)  # in a file any name is free
    assert not shelf().exists()
    assert load(file)[1].name == "ct-256"
    refused(*arguments(checkpoint), "-o", file, words=("ours.safetensors exists", "--overwrite"))
    run(*arguments(checkpoint), "-o", file, "--overwrite")
    assert load(file)[1].name == "theirs"
    refused(*arguments(checkpoint), "-o", tmp_path, "--overwrite", words=(str(tmp_path), "exists"))
    refused(*arguments(checkpoint), "-o", tmp_path / "a" / "b", words=("does not exist", "create it"))
    assert {path.name for path in tmp_path.iterdir()} == {file.name, checkpoint.name}


def test_what_cannot_be_imported(refused, run, checkpoint: Path, tmp_path: Path) -> None:
    refused(*arguments(tmp_path / "nosuch.pth"), words=("no checkpoint file", "nosuch.pth"))
    refused(*arguments(checkpoint, kind="adm"), words=("checkpoint",))
    refused(*arguments(checkpoint, kind="stylegan"), words=("--kind", "stylegan", "score-sde"))
    refused(*arguments(checkpoint, name="ct-256"), words=("bundled prior", "--name"))
    refused(*arguments(checkpoint, name="../x"), words=("prior name '../x'",))
    refused(
        *arguments(checkpoint, intensity="hounsfield"),
        words=("--intensity", "'hounsfield'", "robust-maximum:"),
    )
    refused(
        *arguments(checkpoint, intensity="attenuation:mu=1"),
        words=("--intensity attenuation", "'mu'", "hu_at_zero"),
    )
    refused(*arguments(checkpoint, intensity="attenuation:hu_per_unit=0"), words=("hu_per_unit 0", "above 0"))
    refused(
        *arguments(checkpoint, options="sdee=vp"),
        words=("--options of score-sde", "'sdee'", "did you mean 'sde'?"),
    )
    refused(*arguments(checkpoint, options="centered=perhaps"), words=("centered='perhaps'",))
    refused(*arguments(checkpoint), "--data", "Phantoms, CC0", words=("--data", "NAME;LICENCE;ATTRIBUTION"))
    refused(*arguments(checkpoint), "--window", 5, -5, words=("window", "the lower one first"))
    shutil.copy(checkpoint, tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes(checkpoint.read_bytes()[:-9000])
    refused(*arguments(tmp_path / "cut.pth"), words=("cut.pth", "cut off"))
    run(*arguments(checkpoint))
    refused(*arguments(checkpoint, options="sde=sub-vp"), words=("'theirs'", "other weights", "--overwrite"))


def test_the_help_says_what_the_converters_take() -> None:
    kinds = get_args(get_args(get_type_hints(import_, include_extras=True)["kind"])[0])
    assert set(kinds) == set(FAMILIES)
    text = re.sub(r",\n\s+", ", ", import_.__doc__ or "")  # a list that goes on in the next line
    for kind, family in FAMILIES.items():
        known = [name for name in inspect.signature(family.convert).parameters if name != "state"]
        line = next(line for line in text.splitlines() if kind in line.strip().split("  ")[0].split(", "))
        assert line.rsplit("  ", 1)[1].strip().split(", ") == known, kind


def test_specifications_are_read() -> None:
    assert intensity_table("robust-maximum:quantile=0.99,factor=1") == {
        "kind": "robust-maximum",
        "quantile": 0.99,
        "factor": 1.0,
    }
    assert intensity_table("attenuation")["hu_per_unit"] == 1000.0
    assert options_of("ncsnv2", "centered, sigma_max=50") == {"centered": True, "sigma_max": 50.0}
    assert options_of("adm", "num_heads=4,schedule=cosine") == {"num_heads": 4, "schedule": "cosine"}
    assert options_of("edm", "") == {}
