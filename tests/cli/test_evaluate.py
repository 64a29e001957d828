"""`scanprior evaluate`, and the way of CIFAR-10 as a whole: train -> sample -> evaluate, on a stand-in made here."""

from __future__ import annotations

import json
import sys
import types
import warnings
from hashlib import sha256
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from scanprior.formats.image_set import read_images
from scanprior.priors.quality import InceptionScore, Moments, frechet_distance
from scanprior.workflows.evaluate import levels
from scanprior.workflows.features import open_features

NETWORK = """
[prior]
modality = "RGB"
channels = 3
matrix = [32, 32]
sigma_data = 0.25
intensity = { kind = "grey-levels", %s }
window = [0.0, 255.0]
[network]
name = "ncsnpp"
base = 8
multipliers = [1, 1]
blocks = 1
attention = []
%s
[crops]
size = 32
batch = 4
degrees = 0.0
zoom = [1.0, 1.0]
[training]
weighting = "noise"
steps = 3
learning_rate = 2e-4
warmup = 1
decay = 0.0
"""
NCSNPP = NETWORK % ("per_unit = 255.0, at_zero = 0.0", 'noise = { kind = "ve" }')
DDPMPP = NETWORK % (
    "per_unit = 127.5, at_zero = 127.5",
    'embedding = "positional"\nprogressive_input = "none"\ntaps = [1, 1]\ncentered = true\nnoise = { kind = "sub-vp" }',
)


class Tiny(torch.nn.Module):
    """Features: means of the colours and of their squares; classes: which colour there is most of."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = x.float() / 255
        mean = x.mean((2, 3))
        return torch.cat([mean, x.square().mean((2, 3))], 1), 20 * mean


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("features") / "tiny.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(Tiny()).save(str(path))
    return path


@pytest.fixture(scope="module")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 training and 4 test pictures in the binary layout: two colours, one each side."""
    folder, rng = tmp_path_factory.mktemp("cifar"), np.random.default_rng(0)
    for name, count in (("data_batch_1.bin", 12), ("data_batch_2.bin", 12), ("test_batch.bin", 4)):
        pictures = np.empty((count, 3, 32, 32))
        pictures[..., :16], pictures[..., 16:] = rng.uniform(0, 255, (2, count, 3, 1, 1))
        labels = rng.integers(0, 10, (count, 1), np.uint8)
        (folder / name).write_bytes(
            np.hstack([labels, pictures.reshape(count, -1).astype(np.uint8)]).tobytes()
        )
    return folder


@pytest.fixture
def sets(tmp_path: Path) -> tuple[Path, Path]:
    """Two sets of pictures in colour, of other colours."""
    paths = (tmp_path / "one.h5", tmp_path / "two.h5")
    for path, top in zip(paths, (255, 128), strict=True):
        with h5py.File(path, "w") as file:
            file["images"] = np.random.default_rng(top).integers(0, top, (40, 3, 8, 8), np.uint8)
            file["images"].attrs["units"] = "RGB, 0 to 255"
    return paths


@pytest.mark.parametrize(
    "preset", [pytest.param(NCSNPP, id="ncsnpp"), pytest.param(DDPMPP, id="ddpmpp", marks=pytest.mark.slow)]
)
def test_train_sample_evaluate(scanprior, tmp_path: Path, cifar: Path, network: Path, preset: str) -> None:
    (tmp_path / "tiny.toml").write_text(preset)
    data = ("--data", cifar, "--validation", cifar / "test_batch.bin", "--preset", tmp_path / "tiny.toml")
    done = scanprior("train", *data, "-o", tmp_path / "run", "--device", "cpu")
    assert done.code == 0, done.err
    done = scanprior("sample", "--prior", tmp_path / "run", "-n", 10, "--steps", 4, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    samples = read_images(tmp_path / "out" / "samples.h5")
    assert (samples.shape, samples.units) == ((10, 3, 32, 32), "RGB")
    with Image.open(tmp_path / "out" / "samples.png") as picture:
        red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB"), float), -1, 0)
    assert np.abs(red - green).max() > 50 and np.abs(green - blue).max() > 50

    figures = {}
    common = ("--reference", cifar, "--features", network, "--batch", 3, "--device", "cpu")
    held_out = ("--held-out", cifar / "test_batch.bin", "--limit", 1)
    for name, judged in {
        "stored": (tmp_path / "out" / "samples.h5",),
        "drawn": ("--prior", tmp_path / "run", "--draw", 10, "--steps", 4, *held_out),
    }.items():
        done = scanprior("evaluate", *judged, *common, "-o", tmp_path / f"{name}.json")
        assert done.code == 0, done.err
        figures[name] = json.loads((tmp_path / f"{name}.json").read_text())
        assert "FID" in done.out and "10 images against 24" in done.out
    assert figures["drawn"]["fid"] == pytest.approx(
        figures["stored"]["fid"], rel=0.05
    )  # batches of other sizes
    assert figures["drawn"]["is_mean"] >= 1
    shown = Moments()
    shown.add(open_features(network, "cpu")(torch.from_numpy(samples.load().astype(np.uint8)))[0].numpy())
    real = Moments()
    real.add(open_features(network, "cpu")(levels(_pixels(cifar), "RGB", None))[0].numpy())
    assert figures["stored"]["fid"] == pytest.approx(frechet_distance(shown, real), rel=1e-4)
    assert figures["drawn"]["held_out_images"] == 1
    digest = sha256((tmp_path / "out" / "samples.h5").read_bytes()).hexdigest()
    assert figures["stored"]["images_sha256"] == digest
    assert str(tmp_path) not in json.dumps(figures)  # names of files may be of patients
    assert 0 < figures["drawn"]["bits_per_dim"] < 30
    assert "bits/dim" in done.out


def _pixels(cifar: Path) -> np.ndarray:
    records = [np.fromfile(path, np.uint8) for path in sorted(cifar.glob("data_batch_*"))]
    return np.concatenate(records).reshape(-1, 3073)[:, 1:].reshape(-1, 3, 32, 32)


@pytest.mark.parametrize("sampler", ["pc", "ancestral"])
def test_the_other_samplers(scanprior, tmp_path: Path, ct_prior: Path, sampler: str) -> None:
    common = ("sample", "--prior", ct_prior, "-n", 1, "--size", 12, "--steps", 9, "--sampler", sampler)
    done = scanprior(*common, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    facts = json.loads((tmp_path / "out" / "samples.json").read_text())
    assert facts["sampler"] == sampler
    assert abs(facts["nfe"] - 9) <= 1


def test_the_figures_are_those_of_the_features(scanprior, sets, network: Path, tmp_path: Path) -> None:
    one, two = sets
    done = scanprior(
        "evaluate", one, "--reference", two, "--features", network, "--batch", 7, "-o", tmp_path / "e.json"
    )
    assert done.code == 0, done.err
    figures = json.loads((tmp_path / "e.json").read_text())
    a, b = (Tiny()(torch.from_numpy(read_images(path).load().astype(np.uint8))) for path in sets)
    moments = [Moments(), Moments()]
    for moment, (features, _) in zip(moments, (a, b), strict=True):
        moment.add(features.numpy())
    score = InceptionScore(40)
    score.add(torch.log_softmax(a[1].double(), 1).numpy())
    assert figures["fid"] == pytest.approx(frechet_distance(*moments), rel=1e-5)
    assert (figures["is_mean"], figures["is_std"]) == pytest.approx(score.score(), rel=1e-5)
    assert figures["images_judged"] == 40
    assert len(figures["features_sha256"]) == 64
    same = scanprior("evaluate", one, "--reference", one, "--features", network, "-o", tmp_path / "s.json")
    assert same.code == 0
    assert json.loads((tmp_path / "s.json").read_text())["fid"] == pytest.approx(0, abs=1e-6)


def test_grey_images_are_shown_in_their_window() -> None:
    hu = np.array([[[-2000.0, -1000.0, 0.0, 1000.0, 3000.0]]], np.float32)
    shown = levels(hu, "HU", None)
    assert shown.shape == (1, 3, 1, 5)
    assert shown[0, 2, 0].tolist() == [0, 0, 128, 255, 255]
    assert levels(np.array([[[3j, 4.0]]]), "complex", (0, 4))[0, 0, 0].tolist() == [191, 255]


def test_refusals(scanprior, tmp_path: Path, sets, network: Path, ct_prior: Path, mr_prior: Path) -> None:
    one, two = sets
    (tmp_path / "junk.pth").write_bytes(b"junk")
    torch.save(Tiny(), tmp_path / "object.pth")
    (tmp_path / "old.json").write_text("precious")
    before = sorted(tmp_path.iterdir())
    features = ("--features", network)
    cases = [
        ((), "nothing to judge"),
        ((one,), "add --features"),
        ((one, "--reference", two), "add --features"),
        (("--prior", ct_prior), "nothing to judge"),
        ((one, "--held-out", two, *features), "add --prior"),
        ((one, "--features", tmp_path / "gone.pth"), "there is no such file; expected Inception's weights"),
        ((one, "--features", tmp_path / "junk.pth"), "neither a state dict nor TorchScript"),
        ((one, "--features", tmp_path / "object.pth"), "neither a state dict nor TorchScript"),
        ((tmp_path / "gone.h5", *features), "does not exist"),
        (("--prior", mr_prior, "--draw", 2, *features, "--steps", 1), "add --window"),
        ((one, *features, "--window", 3, 1), "--window: got 3 1"),
        (("--prior", ct_prior, "--held-out", one), "got images in RGB"),
        ((one, *features, "--batch", 0), "--batch: got 0"),
        ((one, *features, "-o", tmp_path / "old.json"), "add --overwrite"),
    ]
    for arguments, words in cases:
        done = scanprior("evaluate", *arguments)
        assert done.code == 2, (arguments, done)
        assert words in done.err, (words, done.err)
        assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "old.json").read_text() == "precious"


def test_inception_is_torch_fidelitys(scanprior, sets, tmp_path: Path, monkeypatch) -> None:
    """Its class, in a stand-in of the same signature, sees a file of tensors only and uint8 pictures."""
    handed = {}

    class FeatureExtractorInceptionV3(torch.nn.Module):
        def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: str) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.zeros(()))
            self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=True))
            handed.update(layers=features_list, path=feature_extractor_weights_path)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            assert x.dtype == torch.uint8
            features, logits = Tiny()(x)
            return self.scale * features, logits

    extractor = types.ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    extractor.FeatureExtractorInceptionV3 = FeatureExtractorInceptionV3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, extractor.__name__, extractor)
    torch.save({"scale": torch.tensor(2.0)}, tmp_path / "inception.pth")
    features, log_p = open_features(tmp_path / "inception.pth", "cpu")(
        torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    )
    assert handed["layers"] == ["2048", "logits_unbiased"]
    assert not Path(handed["path"]).exists()
    assert features.tolist() == [[2.0] * 6] * 2
    assert log_p is not None and torch.allclose(log_p.exp(), torch.full((2, 3), 1 / 3, dtype=torch.float64))
    done = scanprior("evaluate", sets[0], "--reference", sets[1], "--features", tmp_path / "inception.pth")
    assert done.code == 0, done.err
    torch.save({"weight": torch.ones(2)}, tmp_path / "other.pth")
    done = scanprior("evaluate", sets[0], "--features", tmp_path / "other.pth")
    assert done.code == 2
    assert "not Inception's weights" in done.err


def test_without_torch_fidelity_the_extra_is_named(scanprior, sets, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)  # what an import of it raises
    torch.save({"weight": torch.ones(2)}, tmp_path / "inception.pth")
    done = scanprior("evaluate", sets[0], "--features", tmp_path / "inception.pth")
    assert done.code == 2
    assert "pip install 'scanprior[evaluate]'" in done.err
