"""The cache of priors: fetched whole and checked, or nothing; offline afterwards; nothing damaged is ever loaded."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest
import torch
from safetensors.torch import load_file, save_file
from scanprior.pretrained import cache
from scanprior.pretrained.cache import cached, damaged, find, home, shelf
from scanprior.pretrained.card import Card, bundled
from scanprior.pretrained.fetch import fetch
from scanprior.pretrained.load import from_card, load, load_prior, save

CARD = Card(
    name="tiny",
    modality="CT",
    channels=1,
    sigma_data=0.5,
    intensity={"kind": "attenuation", "hu_at_zero": -1000.0},
    network={"name": "unet", "base": 8, "multipliers": [1, 2], "blocks": 1},
    window=(-1024.0, 3071.0),
    pixel_mm=(0.7, 1.2),
    data=[{"name": "Phantoms", "licence": "CC0", "attribution": "“us”, Köln"}],
    licence="CC0",
    validation={"denoising_psnr": {"0.1": 34.1}},
)


class Handler(SimpleHTTPRequestHandler):
    """Files, and under /cut/ a file of which half arrives."""

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        if not self.path.startswith("/cut/"):
            return super().do_GET()
        content = (Path(self.directory) / self.path.removeprefix("/cut/")).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        return None


@pytest.fixture
def www(tmp_path: Path) -> Path:
    """What the server serves: a prior, other weights of the same name."""
    folder = tmp_path / "www"
    folder.mkdir()
    for seed, name in enumerate(("tiny", "other")):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            save(folder / f"{name}.safetensors", from_card(CARD).state_dict(), CARD)
    return folder


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCANPRIOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server(www: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(www))) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch):
    """no_network(): from then on a download is a failure of the test."""

    def cut() -> None:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("asked the network")

        monkeypatch.setattr(pooch, "HTTPDownloader", refuse)

    return cut


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files() -> set[str]:
    """What lies in the cache, hidden files too."""
    return {path.name for path in shelf().iterdir()} if shelf().is_dir() else set()


TINY = {"tiny.safetensors", "tiny.toml"}


# --- there
def test_a_fetched_prior_is_loaded_by_name_without_a_network(server: str, www: Path, no_network) -> None:
    digest = sha256(www / "tiny.safetensors")
    card = fetch(f"{server}/tiny.safetensors", digest.upper())
    no_network()
    assert files() == TINY
    assert card == replace(CARD, sha256=digest, file="tiny.safetensors") == cached()["tiny"]
    direct, _ = load(www / "tiny.safetensors")
    prior, read = load("tiny")
    assert read == card
    x = torch.randn(1, 1, 24, 20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(prior.denoise(x, 0.5), direct.denoise(x, 0.5))
    assert load_prior("tiny").denoise(x, 0.5).isfinite().all()


def test_the_progress_is_told(server: str, www: Path) -> None:
    class Bar:
        total, done, closed = 0, 0, False

        def update(self, n: int) -> None:
            self.done += n

        def reset(self) -> None:
            self.done = 0

        def close(self) -> None:
            self.closed = True

    bar, size = Bar(), (www / "tiny.safetensors").stat().st_size
    fetch(f"{server}/tiny.safetensors", progress=bar)
    assert (bar.total, bar.done, bar.closed) == (size, size, True)


def test_what_is_there_is_not_fetched_again(server: str, www: Path, no_network) -> None:
    digest = sha256(www / "tiny.safetensors")
    card = fetch(f"{server}/tiny.safetensors")
    no_network()
    assert fetch(f"{server}/moved.safetensors", digest) == card
    assert fetch(f"{server}/moved.safetensors", digest, "tiny") == card
    with pytest.raises(AssertionError, match="asked the network"):
        fetch(f"{server}/tiny.safetensors", digest, "copy")
    assert files() == TINY


def test_a_file_or_a_run_folder_is_taken_under_another_name(www: Path) -> None:
    (www / "tiny.safetensors").rename(www / "prior.safetensors")
    for source, name in ((www, "a"), (www / "prior.safetensors", "b.2")):
        fetch(source, name=name)
        assert load(name)[1].name == name
    assert (www / "prior.safetensors").is_file()
    assert list(cached()) == ["a", "b.2"]


# --- nothing half-written
def refused(source: object, words: str, error: type[Exception] = ValueError, **options: object) -> str:
    """Fetching fails with these words on one line and leaves the cache as it was."""
    before = {name: (shelf() / name).read_bytes() for name in files()}
    with pytest.raises(error, match=words) as caught:
        fetch(source, **options)
    assert {name: (shelf() / name).read_bytes() for name in files()} == before
    said = str(caught.value)
    assert "\n" not in said and "incoming" not in said
    return said


def test_another_file_than_asked_for(server: str, www: Path) -> None:
    asked = sha256(www / "other.safetensors")
    for source in (f"{server}/tiny.safetensors", www / "tiny.safetensors"):
        refused(source, f"tiny.safetensors: sha256 is .*, expected {asked[:16]}", sha256=asked)
    refused(server, "sha256: got 'abc', expected 64 hexadecimal digits", sha256="abc")


def test_what_a_server_answers(server: str, www: Path) -> None:
    refused(f"{server}/nosuch.safetensors", "nosuch.safetensors: the server answers 404", OSError)
    refused(f"{server}/cut/tiny.safetensors", "cut off half-way", OSError)
    refused(f"{server}/", "not a safetensors file, or cut off .*priors import")  # a page of HTML
    (www / "half.safetensors").write_bytes((www / "tiny.safetensors").read_bytes()[:5000])
    refused(f"{server}/half.safetensors", "half.safetensors: not a safetensors file, or cut off")


def test_no_server_and_no_address() -> None:
    said = refused("http://me:password@127.0.0.1:9/a?signature=1", "127.0.0.1:9/a: not fetched", OSError)
    assert "password" not in said and "signature" not in said
    refused("https://[bad", "is no address")
    refused("ftp://127.0.0.1/a", "neither a file or run folder nor an address", FileNotFoundError)
    refused("nosuch", "neither a file", FileNotFoundError)


class Bomb:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("exploded"),)


def test_a_checkpoint_is_not_unpickled_and_a_file_without_a_card_is_for_import(
    server: str, www: Path, monkeypatch
) -> None:
    monkeypatch.chdir(www)
    (www / "theirs.pt").write_bytes(pickle.dumps({"model": Bomb()}))
    save_file(load_file(www / "tiny.safetensors"), www / "bare.safetensors")
    refused(f"{server}/theirs.pt", "theirs.pt: not a safetensors file.*scanprior priors import")
    refused(f"{server}/bare.safetensors", "bare.safetensors: no card in its header.*scanprior priors import")
    assert not (www / "exploded").exists()


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"name": "../../evil"}, "prior name '../../evil'.*--name"),
        ({"name": "a.safetensors"}, "without the ending"),
        ({"name": ""}, "prior name ''"),
        ({"name": "ct-256"}, "'ct-256' is the name of a bundled prior.*--name"),
        ({"network": {**CARD.network, "base": 16}}, "do not fit the network on its card"),
        ({"network": {**CARD.network, "base": []}}, "no network can be built"),
        ({"intensity": {"kind": "magic"}}, "unknown intensity map 'magic'"),
        ({"window": 4}, "the card's window: got 4"),
        ({"address": "x"}, "no entry address"),
    ],
)
def test_a_card_that_cannot_be(www: Path, entries: dict, words: str) -> None:
    source = www / "hostile.safetensors"
    save_file(
        load_file(www / "tiny.safetensors"), source, {"card": json.dumps({**CARD.to_dict(), **entries})}
    )
    refused(source, words)
    assert not list(www.parent.rglob("evil*"))


# --- a name that is taken
def test_other_weights_need_overwrite_and_another_name_needs_none(server: str, www: Path) -> None:
    first = fetch(f"{server}/tiny.safetensors")
    assert fetch(f"{server}/tiny.safetensors") == first
    refused(f"{server}/other.safetensors", "'tiny' with other weights.*--overwrite", FileExistsError)
    assert fetch(f"{server}/other.safetensors", name="two").name == "two"
    second = fetch(f"{server}/other.safetensors", overwrite=True)
    assert load("tiny")[1] == second != first
    assert files() == TINY | {"two.safetensors", "two.toml"}


def test_a_bundled_name_is_never_taken(www: Path) -> None:
    for name in bundled():
        refused(www / "tiny.safetensors", "name of a bundled prior", name=name, overwrite=True)


def test_weights_whose_card_was_never_written_are_not_there(www: Path) -> None:
    """As after a power cut between the two renames."""
    fetch(www / "tiny.safetensors")
    (shelf() / "tiny.toml").unlink()
    assert cached() == {}
    with pytest.raises(FileNotFoundError, match="no prior 'tiny'"):
        load("tiny")
    fetch(www / "other.safetensors")
    assert load("tiny")[1].sha256 == sha256(www / "other.safetensors")


# --- damage
def test_tampered_weights_are_refused_until_fetched_again(www: Path) -> None:
    fetch(www / "tiny.safetensors")
    path = shelf() / "tiny.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1  # one bit of one weight
    for damage in (content, b"", (www / "other.safetensors").read_bytes()):
        path.write_bytes(damage)
        with pytest.raises(ValueError, match=r"tiny\.safetensors: sha256 is .*; fetch or import it again"):
            load("tiny")
        fetch(www / "tiny.safetensors")
        load("tiny")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"its weights .* are missing; fetch or import it again"):
        load_prior("tiny")


def test_a_damaged_card_stops_its_own_prior_only(www: Path) -> None:
    fetch(www / "tiny.safetensors")
    fetch(www / "tiny.safetensors", name="broken")
    (shelf() / "broken.toml").write_text("name = \n")
    assert list(cached()) == ["tiny"]
    assert "broken.toml" in damaged()["broken"]
    load("tiny")
    with pytest.raises(ValueError, match=r"broken\.toml: no card.*--overwrite"):
        load("broken")
    refused(www / "tiny.safetensors", "--overwrite", FileExistsError, name="broken")
    fetch(www / "tiny.safetensors", name="broken", overwrite=True)
    load("broken")


def test_a_card_points_to_no_other_file(www: Path) -> None:
    """Its entry `file` is for people."""
    fetch(www / "tiny.safetensors")
    card = shelf() / "tiny.toml"
    card.write_text(card.read_text().replace('"tiny.safetensors"', f'"{www / "other.safetensors"}"'))
    assert find("tiny").path == shelf() / "tiny.safetensors"


# --- where
def test_bundled_before_cached_before_files(www: Path, monkeypatch) -> None:
    monkeypatch.chdir(www)
    for name in ("ct-256", "tiny"):
        (www / name).mkdir()
        shutil.copy(www / "other.safetensors", www / name / "prior.safetensors")
    assert find("ct-256").where == "bundled"
    assert find("tiny").where == "file"
    fetch(www / "tiny.safetensors")
    assert find("tiny").where == "cache"
    assert find("./tiny").where == "file"
    with pytest.raises(FileNotFoundError, match=r"no prior '\.\./tiny'.*ct-256, mri-256.*\(tiny\)"):
        find("../tiny")


def test_home_is_the_users_choice_or_the_platforms(monkeypatch, tmp_path: Path) -> None:
    assert home() == tmp_path / "home"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCANPRIOR_HOME", "~/elsewhere")
    assert home() == tmp_path / "elsewhere"
    platform = tmp_path / "data"
    monkeypatch.setattr(cache.platformdirs, "user_data_path", lambda name, appauthor: platform / name)
    monkeypatch.setenv("SCANPRIOR_HOME", "")
    assert home() == platform / "scanprior"
    monkeypatch.delenv("SCANPRIOR_HOME")
    assert home() == platform / "scanprior"


def test_an_empty_cache_is_no_error_and_makes_no_folder() -> None:
    assert (cached(), damaged()) == ({}, {})
    with pytest.raises(FileNotFoundError, match=r"no prior 'tiny'.*none"):
        load("tiny")
    assert not home().exists()
