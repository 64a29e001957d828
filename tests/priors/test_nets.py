"""The published networks: parameter counts, images of any size, low precision."""

import pytest
import torch
from scanprior.priors.nets.build import build
from scanprior.priors.nets.layers import downsample, upsample
from scanprior.priors.nets.unet import whole_image

DDPMPP = {"embedding": "positional", "taps": (1, 1), "progressive_input": "none", "centered": True}
TINY = {
    "ncsnpp": {"channels": 1, "base": 16, "multipliers": (1, 2, 2), "blocks": 1},
    "adm": {
        "channels": 1,
        "base": 32,
        "multipliers": (1, 2, 2),
        "blocks": 1,
        "attention": (2,),
        "head_channels": 16,
    },
    "ncsnv2": {"channels": 1, "base": 8, "levels": 0},
}

# Counted in the original code at its published configurations; the papers say 62 M (DDPM++, NCSN++), 56 M (EDM), 296 M
# (ADM, ImageNet-64), 554 M (ADM, ImageNet-256). Class embeddings (1000 x 768) are not ours, nor Fourier frequencies,
# which the originals count among their parameters (128) or do not (EDM).
COUNTS = {
    "DDPM++ cont., CIFAR-10": (61_804_419, {"name": "ncsnpp", **DDPMPP}),
    "DDPM++ cont. deep, CIFAR-10": (106_632_579, {"name": "ncsnpp", "blocks": 8, **DDPMPP}),
    "NCSN++ cont., CIFAR-10": (62_758_915 - 128, {"name": "ncsnpp"}),
    "NCSN++ cont. deep, CIFAR-10": (107_587_075 - 128, {"name": "ncsnpp", "blocks": 8}),
    "NCSN++ cont., 256²": (  # CelebA-HQ, FFHQ, LSUN
        65_574_549 - 128,
        {
            "name": "ncsnpp",
            "multipliers": (1, 1, 2, 2, 2, 2, 2),
            "blocks": 2,
            "attention": (16,),
            "progressive_input": "skip",
            "progressive_output": "skip",
        },
    ),
    "DDPM, CIFAR-10": (  # Ho et al.: 35.7 M
        35_746_307,
        {
            "name": "adm",
            "base": 128,
            "multipliers": (1, 2, 2, 2),
            "attention": (2,),
            "heads": 1,
            "scale_shift": False,
            "block_resampling": False,
            "learn_sigma": False,
        },
    ),
    "DDPM, 256²": (  # CelebA-HQ, LSUN; Ho et al.: 114 M
        113_673_219,
        {
            "name": "adm",
            "base": 128,
            "multipliers": (1, 1, 2, 2, 4, 4),
            "attention": (16,),
            "heads": 1,
            "scale_shift": False,
            "block_resampling": False,
            "learn_sigma": False,
        },
    ),
    "EDM DDPM++, CIFAR-10": (
        55_733_891 - 9 * 128,  # less augmentation labels
        {"name": "ncsnpp", "multipliers": (2, 2, 2), **DDPMPP},
    ),
    "EDM NCSN++, CIFAR-10": (
        56_397_827 - 9 * 256,
        {"name": "ncsnpp", "multipliers": (2, 2, 2), "centered": True},
    ),
    "EDM ADM, ImageNet-64": (
        295_899_267 - 1000 * 768,
        {
            "name": "adm",
            "base": 192,
            "multipliers": (1, 2, 3, 4),
            "blocks": 3,
            "attention": (2, 4, 8),
            "learn_sigma": False,
            "least": 4,
        },
    ),
    "ADM, ImageNet-256": (552_814_086, {"name": "adm"}),
    "ADM, FFHQ-256 (DPS)": (
        93_563_910,
        {"name": "adm", "base": 128, "blocks": 1, "attention": (16,)},
    ),
    "DDS, AAPM-256": (374_022_658, {"name": "adm", "channels": 1, "blocks": 1, "attention": (16,)}),
    "DDS, fastMRI-320": (361_428_228, {"name": "adm", "channels": 2, "blocks": 1, "attention": ()}),
    "DM4CT, AAPM-512 (UNet2DModel)": (
        113_668_609,
        {
            "name": "adm",
            "channels": 1,
            "base": 128,
            "attention": (16,),
            "head_channels": 8,
            "scale_shift": False,
            "block_resampling": False,
            "learn_sigma": False,
        },
    ),
    # by the shapes of tests/pretrained/golden/ncsn.json, scaled to 128 channels and 10 levels
    "NCSN, CIFAR-10": (30_117_635, {"name": "ncsnv2", "multipliers": (1, 2, 2, 2), "levels": 10}),
    "NCSNv2, CIFAR-10": (29_694_083, {"name": "ncsnv2", "multipliers": (1, 2, 2, 2)}),
    "NCSNv2, csgm-mri-langevin": (94_130_306, {"name": "ncsnv2", "channels": 2}),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_count_is_the_original_s(name):
    expected, config = COUNTS[name]
    with torch.device("meta"):
        network = build(config)
    assert sum(p.numel() for p in network.parameters()) == expected


def tiny(name, seed=0, **options):
    torch.manual_seed(seed)
    return build({"name": name, **TINY[name], **options}).eval()


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("size", [(32, 32), (37, 22)])
def test_any_size_goes_in_and_comes_out(name, size):
    x = torch.randn(2, 1, *size)
    with torch.no_grad():
        out = tiny(name)(x, torch.tensor([0.3, 1.1]))
    assert out.shape == (2, 2 if name == "adm" else 1, *size)
    assert out.isfinite().all()


@pytest.mark.parametrize("name", TINY)
def test_an_image_does_not_depend_on_its_batch(name):
    x, label = torch.randn(3, 1, 16, 16), torch.tensor([0.1, 2.0, 5.0])
    network = tiny(name)
    with torch.no_grad():
        torch.testing.assert_close(network(x, label)[1:2], network(x[1:2], label[1:2]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", TINY)
def test_bfloat16_stays_near_float32(name):
    x, label = torch.rand(1, 1, 32, 32), torch.tensor([3.7])
    network = tiny(name)
    with torch.no_grad():
        exact = network(x, label)
        low = network.to(torch.bfloat16).to(memory_format=torch.channels_last)(x.bfloat16(), label)  # type: ignore[call-overload]
    assert low.dtype == torch.bfloat16
    assert (low.float() - exact).norm() < 0.05 * exact.norm()


def test_fourier_frequencies_stay_float32_in_a_low_precision_network():
    network = tiny("ncsnpp")
    before = network.embed.features.frequencies.clone()
    network.to(torch.bfloat16)
    assert network.embed.features.frequencies.dtype == torch.float32
    assert torch.equal(network.embed.features.frequencies, before)
    assert network.enter.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("name", TINY)
def test_the_noise_label_counts_except_in_ncsnv2(name):
    x = torch.randn(1, 1, 16, 16)
    network = tiny(name)
    with torch.no_grad():
        differs = not torch.equal(network(x, torch.tensor([0.0])), network(x, torch.tensor([4.0])))
    assert differs == (name != "ncsnv2")
    if name == "ncsnv2":
        network = tiny(name, levels=5)
        torch.nn.init.normal_(network.norm.table)
        with torch.no_grad():
            assert not torch.equal(network(x, torch.tensor([0.0])), network(x, torch.tensor([4.0])))


@pytest.mark.parametrize("taps", [(1, 1), (1, 3, 3, 1)])
def test_resampling_keeps_constants_and_down_is_the_transpose_of_up(taps):
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    y = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    ones = torch.ones(1, 1, 8, 8)
    torch.testing.assert_close(downsample(ones, taps)[..., 1:-1, 1:-1], torch.ones(1, 1, 2, 2))
    torch.testing.assert_close(upsample(ones, taps)[..., 1:-1, 1:-1], torch.ones(1, 1, 14, 14))
    torch.testing.assert_close(4 * (downsample(x, taps) * y).sum(), (x * upsample(y, taps)).sum())


def test_gradients_reach_every_parameter():
    for name in TINY:
        network = tiny(name)
        network(torch.randn(1, 1, 16, 16), torch.tensor([1.0])).square().sum().backward()
        silent = [
            key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
        ]
        # softmax does not see a shift of all keys, nor GroupNorm one of all channels of a group
        assert all(key.endswith("bias") for key in silent), silent


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="progressive_output is 'residual'"):
        tiny("ncsnpp", progressive_output="residual")
    with pytest.raises(ValueError, match="no option dropout"):
        tiny("adm", dropout=0.1)
    with pytest.raises(ValueError, match="heads"):
        tiny("adm", heads=5)


OURS = {"name": "unet", "channels": 1, "base": 8, "multipliers": (1, 2), "position": True, "attention": 2}


def test_our_network_takes_a_batch_without_positions_for_whole_images() -> None:
    network = _awake(build(OURS))
    x, label = torch.randn(2, 1, 20, 28), torch.tensor([-1.0, 0.5])
    where = whole_image((20, 28)).expand(2, -1, -1, -1)
    out = network(x, label)
    assert out.shape == x.shape
    assert torch.equal(out, network(x, label, where))
    assert not torch.allclose(out, network(x, label, where + 0.5), atol=1e-3)  # it sees where it is


def test_attention_begins_as_none() -> None:
    with_it, without = build({**OURS, "attention": 2}), build({**OURS, "attention": 0})
    left = with_it.load_state_dict(_awake(without).state_dict(), strict=False)
    assert left.unexpected_keys == []
    assert all(key.startswith("attend.") for key in left.missing_keys)
    x, label = torch.randn(2, 1, 20, 28), torch.tensor([-1.0, 0.5])
    assert torch.equal(with_it(x, label), without(x, label))


def _awake(network: torch.nn.Module) -> torch.nn.Module:
    """With other weights than the zeros that a new network's last layers begin with."""
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.data = torch.randn(parameter.shape, generator=generator) * parameter[0].numel() ** -0.5
    return network
