"""Converted networks against the original ones: `golden/*.json` hold what the original code gave at a tiny size.

A golden file has the names and shapes of the original's state dict, and for some noise levels the numbers
(D(x, sigma) - x) / sigma of the original, at 32 or so places. Weights and image follow from names: `uniform`.
"""

import json
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from scanprior.pretrained.convert import adm, edm, ncsnv2, score_sde
from scanprior.pretrained.convert.checkpoint import FAMILIES
from scanprior.priors.nets.build import build
from scanprior.priors.published import PublishedPrior, noise_law
from scanprior.priors.score import NetworkPrior

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))


def uniform(name, shape):
    """Numbers in [-1, 1] that follow from a name."""
    return np.random.default_rng(crc32(name.encode())).random(tuple(shape) or (1,)).reshape(shape) * 2 - 1


def weight(name, shape):
    """Variance 1/fan-in for matrices and kernels; near 1 for norms, near 0 for biases; frequencies up to 4."""
    u = uniform(name, shape)
    if len(shape) >= 2:
        u = u * (3 / np.prod(shape[1:])) ** 0.5
    elif name.endswith(("W", "freqs")):
        u = 4 * u
    elif name.endswith(("bias", ".b", "beta")):
        u = 0.1 * u
    else:
        u = 1 + 0.1 * u
    return torch.tensor(u, dtype=torch.float32)


def state_of(golden):
    """The original's state dict."""
    state = {name: weight(name, shape) for name, shape in golden["shapes"].items()}
    if "sigmas" in golden:
        state["sigmas"] = torch.tensor(golden["sigmas"])
    if "taps" in golden:
        line = torch.tensor(golden["taps"], dtype=torch.float32)
        square = (torch.outer(line, line) / line.sum() ** 2)[None, None]
        state |= {name: square for name in state if name.endswith("resample_filter")}
    return state


def read(name):
    return json.loads((Path(__file__).parent / "golden" / f"{name}.json").read_text())


def prior_of(config, weights, sigma_data=0.5):
    network = build({key: value for key, value in config.items() if key != "noise"})
    network.load_state_dict(weights)
    if "noise" not in config:
        return NetworkPrior(network, config["channels"], sigma_data)
    return PublishedPrior(network, config["channels"], noise_law(config["noise"]))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_converted_network_denoises_as_the_original(path):
    golden = json.loads(path.read_text())
    family = FAMILIES[golden["kind"]]
    prior = prior_of(*family.convert(family.unwrap(state_of(golden)), **golden["options"]))
    shape = golden["image"]
    for case in golden["cases"]:
        sigma, expected = case["sigma"], torch.tensor(case["residual"])
        x = torch.tensor(uniform("image", shape) * (3 * (0.25 + sigma**2)) ** 0.5, dtype=torch.float32)
        with torch.no_grad():
            residual = ((prior.denoise(x, sigma) - x) / sigma).flatten()[:: int(np.prod(shape)) // 31]
        assert len(residual) == len(expected) > 30
        # D - x cancels at small sigma: allow for float32 rounding of D and of x
        tolerance = 1e-4 * expected.abs().max() + 4e-7 * x.abs().max() / sigma
        assert (residual - expected).abs().max() < tolerance


def test_architecture_is_read_from_shapes():
    config, _ = score_sde.convert(state_of(read("score_sde_ncsnpp_skip")))
    assert config["noise"] == {"kind": "ve", "sigma_min": pytest.approx(0.01), "sigma_max": pytest.approx(50)}
    del config["noise"]
    assert config == {
        "name": "ncsnpp",
        "channels": 1,
        "base": 16,
        "multipliers": [1, 1, 2, 2],
        "blocks": 1,
        "attention": [2],
        "block": "biggan",
        "embedding": "fourier",
        "progressive_input": "skip",
        "progressive_output": "skip",
        "taps": [1, 3, 3, 1],
        "rescale": True,
        "centered": False,
    }
    config, _ = adm.convert(state_of(read("adm_updown_shift")), num_head_channels=32)
    assert config["learn_sigma"]
    assert config["block_resampling"]
    assert not config["scale_shift"]
    assert config["multipliers"] == [1, 2, 2]


def test_a_flow_s_usual_labels_are_its_family_s():
    config, _ = adm.convert(state_of(read("adm_updown")), num_head_channels=16, schedule="flow")
    assert config["noise"] == {"kind": "flow", "towards": "image", "labels": 1.0}
    config, _ = adm.convert(state_of(read("diffusers_flow")), schedule="flow")
    assert config["noise"] == {"kind": "flow", "towards": "noise", "labels": 1000.0}


# One golden file a family: a tensor whose name is changed is both missing and unknown.
RENAMED = {
    "score_sde_ncsnpp_residual": "all_modules.5.Conv_1.weight",
    "edm_dhariwal": "enc.16x16_block0.affine.bias",
    "adm_updown": "middle_block.1.qkv.weight",
    "diffusers_unet2d": "mid_block.attentions.0.to_k.weight",
    "ncsnv2_256": "refine31.crp.convs.1.weight",
    "ncsn": "res2.0.normalize1.embed.weight",
}


@pytest.mark.parametrize("name", RENAMED)
def test_missing_unknown_and_misshapen_keys_are_errors_that_name_them(name):
    golden = read(name)
    family, options, key = FAMILIES[golden["kind"]], golden["options"], RENAMED[name]
    whole = family.unwrap(state_of(golden))
    with pytest.raises(ValueError, match=f"missing.*{key}"):
        family.convert({k: v for k, v in whole.items() if k != key}, **options)
    with pytest.raises(ValueError, match=r"unknown.*stranger\.weight"):
        family.convert(whole | {"stranger.weight": torch.zeros(3)}, **options)
    with pytest.raises(ValueError, match="shape"):
        family.convert(whole | {key: torch.cat([whole[key], whole[key]])}, **options)


def test_state_dicts_of_another_family_are_refused():
    for name, family in (
        ("adm_updown", score_sde),
        ("ncsnv2_64", edm),
        ("edm_dhariwal", adm),
        ("score_sde_ddpm", ncsnv2),
    ):
        with pytest.raises(ValueError, match="checkpoint"):
            family.convert(state_of(read(name)))


def test_class_conditional_networks_are_refused():
    state = state_of(read("adm_updown"))
    with pytest.raises(ValueError, match="class-conditional"):
        adm.convert(state | {"label_emb.weight": torch.zeros(10, 128)}, num_head_channels=16)
    with pytest.raises(ValueError, match="class-conditional"):
        edm.convert(state_of(read("edm_dhariwal")) | {"map_label.weight": torch.zeros(256, 10)})


def test_wrong_options_are_refused():
    ve, guided = state_of(read("score_sde_ncsnpp_skip")), state_of(read("adm_updown"))
    with pytest.raises(ValueError, match="Fourier"):
        score_sde.convert(ve, sde="vp")
    with pytest.raises(ValueError, match="expected one of"):
        score_sde.convert(ve, sde="vesde")
    with pytest.raises(ValueError, match="heads"):
        adm.convert(guided, num_heads=5)
    with pytest.raises(ValueError, match="belong to a flow"):
        adm.convert(guided, num_head_channels=16, labels=1000)
    with pytest.raises(ValueError, match="preconditioning"):
        edm.convert(state_of(read("edm_dhariwal")), preconditioning="ddpm")


def test_score_sde_averages_are_a_list_in_the_order_of_the_trained_parameters():
    average = state_of(read("score_sde_ncsnpp_residual"))
    fixed = ("sigmas", "all_modules.0.W")  # a buffer, and a parameter that takes no gradient
    model = {f"module.{k}": v if k in fixed else torch.zeros_like(v) for k, v in average.items()}
    shadow = [v for k, v in average.items() if k not in fixed]
    checkpoint = {
        "optimizer": {},
        "model": model,
        "step": 1,
        "ema": {"decay": 0.999, "shadow_params": shadow},
    }
    state = score_sde.unwrap(checkpoint)
    assert list(state) == list(average)
    assert all(torch.equal(state[k], average[k]) for k in average)
    with pytest.raises(ValueError, match="moving averages"):
        score_sde.unwrap(checkpoint | {"ema": {"shadow_params": shadow[1:]}})


def test_ncsnv2_averages_replace_the_model_s_weights():
    average = state_of(read("ncsnv2_64"))
    model = {f"module.{k}": v if k == "sigmas" else torch.zeros_like(v) for k, v in average.items()}
    averages = {k: v for k, v in average.items() if k != "sigmas"}
    state = ncsnv2.unwrap([model, {}, 3, 100, averages])
    assert all(torch.equal(state[k], average[k]) for k in average)
    assert ncsnv2.unwrap([model, {}, 3, 100])["begin_conv.weight"].abs().max() == 0
    with pytest.raises(ValueError, match="stranger"):
        ncsnv2.unwrap([model, {}, 3, 100, {"stranger": torch.zeros(1)}])
