"""`scanprior sample`: pictures, an image set in physical units, a sidecar; seeds; guidance; refusals."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from scanprior.formats.image_set import read_images
from scanprior.pretrained.load import load
from scanprior.pretrained.load import save as save_prior
from scanprior.priors.classifier import ClassifierCard, NoiseClassifier, save
from scanprior.priors.sampling.ode import flow_images
from scanprior.priors.sampling.tiled import Tiled
from scanprior.workflows.progress import SILENT
from scanprior.workflows.sample import SampleSettings, _thumbnails, sample

QUICK = ("--size", 21, "--steps", 5)  # the stride, 4, does not divide 21


def stored(folder: Path) -> np.ndarray:
    return read_images(folder / "samples.h5").load()


@pytest.fixture(scope="module")
def prior(ct_prior: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny prior of CT images whose network says something: its last layer is not zero."""
    network, card = load(ct_prior)
    weights = network.state_dict()
    last = next(name for name in weights if name.endswith("leave.2.weight"))
    weights[last] = 0.2 * torch.randn(weights[last].shape, generator=torch.Generator().manual_seed(0))
    folder = tmp_path_factory.mktemp("lively")
    save_prior(folder / "prior.safetensors", weights, card)
    return folder


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """Knows bright from dark without training: its last layer reads the mean over the pixels."""
    card = ClassifierCard(
        ("bright", "dark"),
        network={"base": 8, "multipliers": [1], "stem": 2, "embedding": 8},
        modality="CT",
        intensity={"kind": "attenuation", "hu_per_unit": 1000.0},
    )
    model = NoiseClassifier(card)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.network.enter.weight[0, :, 1, 1] = 1.0  # one channel is the image
        model.network.join.weight[0, 0], model.network.join.weight[1, 0] = 1.0, -1.0
        model.network.leave.weight[0, 0], model.network.leave.weight[1, 1] = 30.0, 30.0
    save(tmp_path / "brightness.safetensors", model)
    return tmp_path / "brightness.safetensors"


def test_folder_of_a_ct_prior(scanprior, tmp_path: Path, prior: Path) -> None:
    done = scanprior(
        "sample", "--prior", prior, "-n", 5, "--batch", 2, *QUICK, "--seed", 7, "-o", tmp_path / "out"
    )
    assert done.code == 0, done.err
    assert "5 images, 5 network evaluations each" in done.out
    assert {item.name for item in (tmp_path / "out").iterdir()} == {
        "samples.png",
        "samples.h5",
        "samples.json",
    }
    images = read_images(tmp_path / "out" / "samples.h5")
    assert images.units == "HU"
    assert images.shape == (5, 21, 21)
    assert set(images.groups) == {"synthetic"}
    assert images.columns["seed"].tolist() == [7, 8, 9, 10, 11]
    network, card = load(prior)
    network.for_inference()
    expected = 1000 * flow_images(network, (21, 21), [7, 8], 5)[:, 0]
    np.testing.assert_allclose(images.load()[:2], expected.numpy(), rtol=1e-4, atol=1e-2)
    facts = json.loads((tmp_path / "out" / "samples.json").read_text())
    assert facts["prior_sha256"] == card.sha256
    assert (facts["seed"], facts["nfe"], facts["units"], facts["classifier"]) == (7, 5, "HU", None)
    assert facts["seconds"] > 0
    assert "Not for diagnosis" in facts["note"]
    with h5py.File(tmp_path / "out" / "samples.h5") as file:
        assert "show no patient" in file.attrs["note"]
    with Image.open(tmp_path / "out" / "samples.png") as picture:
        assert picture.size[0] > 300


def test_in_memory_the_images_are_those_of_the_folder(tmp_path: Path, prior: Path) -> None:
    settings = SampleSettings(images=3, size=21, steps=5, seed=7, batch=2, device="cpu")
    kept = sample(prior, tmp_path / "out", settings, progress=SILENT)
    free = sample(prior, settings=settings, progress=SILENT)
    assert isinstance(free.images, np.ndarray) and free.images.shape == (3, 21, 21)
    np.testing.assert_array_equal(free.images, kept.images.load())
    assert list(free.seeds) == [7, 8, 9] and (free.units, free.nfe, free.folder) == ("HU", 5, None)
    assert (kept.folder, kept.card.sha256) == (tmp_path / "out", load(prior)[1].sha256)
    facts = json.loads((tmp_path / "out" / "samples.json").read_text())
    assert facts["network_dtype"] in ("float32", "bfloat16")


def test_an_image_is_a_function_of_its_seed(scanprior, tmp_path: Path, prior: Path) -> None:
    drawn = {}
    for name, n, batch, seed in (("at-once", 4, 4, 0), ("one-by-one", 4, 1, 0), ("later", 2, 2, 2)):
        folder = tmp_path / name
        arguments = ("-n", n, "--batch", batch, "--seed", seed, "-o", folder, "--prior", prior)
        assert scanprior("sample", *arguments, *QUICK).code == 0
        drawn[name] = stored(folder)
    spread = drawn["at-once"].std()
    np.testing.assert_allclose(drawn["one-by-one"], drawn["at-once"], atol=0.02 * spread)  # bfloat16
    np.testing.assert_allclose(drawn["later"], drawn["at-once"][2:], atol=0.02 * spread)
    assert np.abs(np.diff(drawn["at-once"], axis=0)).mean() > 0.3 * spread


def test_complex_images_stay_in_network_units(scanprior, tmp_path: Path, mr_prior: Path) -> None:
    out = tmp_path / "out"
    assert scanprior("sample", "--prior", mr_prior, "-n", 1, *QUICK, "-o", out).code == 0
    assert stored(out).dtype == np.complex64
    assert json.loads((out / "samples.json").read_text())["units"] == "complex, network units"


def test_tiles(scanprior, tmp_path: Path, prior: Path) -> None:
    arguments = ("sample", "--prior", prior, "-n", 1, "--steps", 3, "--size", 70)
    assert scanprior(*arguments, "--tile", 32, "-o", tmp_path / "tiled").code == 0
    assert scanprior(*arguments, "-o", tmp_path / "whole").code == 0
    tiled, whole = stored(tmp_path / "tiled"), stored(tmp_path / "whole")
    network, _ = load(prior)
    network.for_inference()
    expected = 1000 * flow_images(Tiled(network, 32), (70, 70), [0], 3)[:, 0]
    np.testing.assert_allclose(tiled, expected.numpy(), rtol=1e-4, atol=1e-2)
    assert not np.allclose(tiled, whole, atol=1)


def test_guidance_chooses_the_class(scanprior, tmp_path: Path, prior: Path, classifier: Path) -> None:
    means = {}
    common = ("sample", "--prior", prior, "-n", 3, "--size", 20, "--steps", 12, "--sampler", "ancestral")
    for name in ("bright", "dark"):
        guided = ("--class", name, "--classifier", classifier, "--strength", 20)
        done = scanprior(*common, *guided, "-o", tmp_path / name)
        assert done.code == 0, done.err
        means[name] = stored(tmp_path / name).mean()
        facts = json.loads((tmp_path / name / "samples.json").read_text())
        assert facts["class_name"] == name
        assert facts["classifier"] == "brightness.safetensors"
        assert facts["nfe"] == 12
    assert means["bright"] > means["dark"] + 20


def test_overwrite(scanprior, tmp_path: Path, prior: Path) -> None:
    common = ("sample", "--prior", prior, "-n", 1, *QUICK, "-o", tmp_path / "out")
    assert scanprior(*common).code == 0
    before = (tmp_path / "out" / "samples.h5").read_bytes()
    again = scanprior(*common, "--seed", 1)
    assert again.code == 2
    assert "--overwrite" in again.err
    assert (tmp_path / "out" / "samples.h5").read_bytes() == before
    assert scanprior(*common, "--seed", 1, "--overwrite").code == 0
    assert (tmp_path / "out" / "samples.h5").read_bytes() != before


def test_refusals(scanprior, tmp_path: Path, prior: Path, mr_prior: Path, classifier: Path) -> None:
    guided = ("--class", "dark", "--classifier", classifier)
    cases = [
        (("-n", 0), "--images: got 0, expected at least 1"),
        (("--seed", -1), "--seed: got -1, expected at least 0"),
        (("--tile", 8), "--tile: got 8, expected at least 32"),
        (("--class", "dark"), "belong together"),
        (("--prior", "gone"), "gone"),
        (("--class", "grey", "--classifier", classifier), "the classifier knows bright, dark"),
        (("--class", "dark", "--classifier", tmp_path / "no.safetensors"), "no such file"),
        (("--prior", mr_prior, *guided), "choose another classifier or prior"),
        (("--device", "tpu"), "--device: got 'tpu'"),
        ((*guided, "--strength", "1e38"), "is not finite"),
    ]
    before = sorted(tmp_path.iterdir())
    for arguments, words in cases:
        done = scanprior("sample", "--prior", prior, *QUICK, "-n", 1, "-o", tmp_path / "out", *arguments)
        assert done.code == 2, (arguments, done)
        assert words in done.err
        assert sorted(tmp_path.iterdir()) == before


def test_large_images_are_thumbnails_on_the_sheet() -> None:
    """Means of blocks, magnitudes of complex ones; what fits stays as it is, and the sheet owns its pixels."""
    large = np.zeros((2, 1000, 1000), np.complex64)
    large[1, :2, :2] = [[3j, 1], [0, 4]]
    small = _thumbnails(large)
    assert small.shape == (2, 500, 500)
    assert small[1, 0, 0] == 2
    assert small[1].sum() == 2
    whole = np.random.default_rng(0).normal(size=(1, 450, 450))
    np.testing.assert_array_equal(_thumbnails(whole), whole)
    assert not np.shares_memory(_thumbnails(whole), whole)
    assert _thumbnails(whole[:0]).shape == (0, 450, 450)
