"""A checkpoint file -> a prior file -> a prior: the same numbers, and one clear error for files that cannot be."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from scanprior.pretrained import load as store
from scanprior.pretrained.convert import import_checkpoint, read_checkpoint
from scanprior.priors.published import PublishedPrior
from scanprior.priors.score import NetworkPrior

MRI = {"kind": "robust-maximum", "quantile": 0.99, "factor": 1.0}
FACTS = {"modality": "MR", "window": (0.0, 1.0)}


def state_of(name):
    """Random weights in the shapes of a golden file; frequencies too large for float16's precision."""
    golden = json.loads((Path(__file__).parent / "golden" / f"{name}.json").read_text())
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in golden["shapes"].items():
        fan_in = max(1, torch.Size(shape[1:]).numel())
        state[key] = torch.randn(shape, generator=generator) / fan_in**0.5
        if key == "all_modules.0.W":
            state[key] = 16 * state[key]
    if "sigmas" in golden:
        state["sigmas"] = torch.tensor(golden["sigmas"], dtype=torch.float64)
    if "taps" in golden:
        line = torch.tensor(golden["taps"], dtype=torch.float32)
        square = (torch.outer(line, line) / line.sum() ** 2)[None, None]
        state |= {key: square for key in state if key.endswith("resample_filter")}
    return state


@pytest.mark.parametrize(
    ("name", "kind", "prior_type", "options"),
    [
        ("score_sde_ncsnpp_residual", "score-sde", PublishedPrior, {}),
        ("adm_updown", "adm", PublishedPrior, {"num_head_channels": 16}),
        ("edm_song_ddpmpp", "edm", NetworkPrior, {}),
        ("ncsnv2_256", "ncsnv2", PublishedPrior, {"centered": True}),
    ],
)
def test_imported_saved_and_loaded_prior_gives_the_same_numbers(tmp_path, name, kind, prior_type, options):
    torch.save(state_of(name), tmp_path / "published.pt")
    card, weights = import_checkpoint(tmp_path / "published.pt", kind, "theirs", MRI, **FACTS, **options)
    direct = store.from_card(card)
    direct.load_state_dict(weights)
    store.save(tmp_path / "ours.safetensors", weights, card, torch.float32)
    loaded, read = store.load(tmp_path / "ours.safetensors")
    assert type(loaded) is prior_type
    assert read.channels == card.channels == loaded.channels
    assert read.network["name"] == card.network["name"]
    assert read.training["kind"] == kind
    x = torch.randn(2, card.channels, 20, 24, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(loaded.denoise(x, 0.5), direct.denoise(x, 0.5))
    ready = store.load_prior(tmp_path / "ours.safetensors")
    assert ready.denoise(x, 0.5).isfinite().all()


def test_safetensors_are_read_too(tmp_path):
    state = {key: tensor.contiguous() for key, tensor in state_of("adm_updown").items()}
    save_file(state, tmp_path / "weights.bin")  # known by its content, not its name
    card, _ = import_checkpoint(tmp_path / "weights.bin", "adm", "x", MRI, **FACTS, num_head_channels=16)
    assert card.network["learn_sigma"]


def test_full_score_sde_checkpoint_is_read(tmp_path):
    state = state_of("score_sde_ncsnpp_residual")
    shadow = [v for k, v in state.items() if k not in ("sigmas", "all_modules.0.W")]
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 2e-4}]}
    torch.save(
        {
            "optimizer": optimizer,
            "model": {f"module.{k}": v for k, v in state.items()},
            "ema": {"decay": 0.999, "num_updates": 3, "shadow_params": shadow},
            "step": 3,
        },
        tmp_path / "checkpoint_8.pth",
    )
    card, weights = import_checkpoint(tmp_path / "checkpoint_8.pth", "score-sde", "x", MRI, **FACTS)
    assert card.network["noise"]["kind"] == "ve"
    assert torch.equal(weights["network.embed.features.frequencies"], state["all_modules.0.W"])


class Network:  # what a pickle of a whole network holds
    pass


def test_files_that_need_unpickling_are_refused_with_what_to_do(tmp_path):
    (tmp_path / "network-snapshot.pkl").write_bytes(pickle.dumps({"ema": Network()}))
    torch.save({"model": Network()}, tmp_path / "whole.pt")
    for name in ("network-snapshot.pkl", "whole.pt"):
        with pytest.raises(ValueError, match=r"never loads.*state_dict") as error:
            read_checkpoint(tmp_path / name)
        assert "\n" not in str(error.value)


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.pt"):
        read_checkpoint(tmp_path / "absent.pt")
    torch.save({"a": torch.zeros(1000)}, tmp_path / "cut.pt")
    whole = (tmp_path / "cut.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "start.pt").write_bytes(whole[:300])
    save_file({"a": torch.zeros(1000)}, tmp_path / "cut.safetensors")
    whole = (tmp_path / "cut.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "text.pt").write_text("not a checkpoint at all")
    for name in ("cut.pt", "start.pt", "cut.safetensors", "empty.pt", "text.pt"):
        with pytest.raises(ValueError, match=name):
            read_checkpoint(tmp_path / name)


def test_wrong_kinds_options_and_layouts_are_refused(tmp_path):
    path = tmp_path / "published.pt"
    torch.save(state_of("adm_updown"), path)
    with pytest.raises(ValueError, match="expected one of score-sde"):
        import_checkpoint(path, "stylegan", "x", MRI, **FACTS)
    with pytest.raises(ValueError, match=r"no option heads; known: .*num_heads"):
        import_checkpoint(path, "adm", "x", MRI, **FACTS, heads=4)
    with pytest.raises(ValueError, match="checkpoint"):
        import_checkpoint(path, "score-sde", "x", MRI, **FACTS)
    with pytest.raises(ValueError, match="intensity"):
        import_checkpoint(path, "adm", "x", {"kind": "none"}, **FACTS, num_head_channels=16)
    for content in ([1, 2, 3], {"epoch": 3, "weights": {"a": torch.zeros(1)}}, torch.zeros(3)):
        torch.save(content, path)
        for kind in ("score-sde", "edm", "adm", "ncsnv2"):
            with pytest.raises(ValueError, match=r"published\.pt|checkpoint"):
                import_checkpoint(path, kind, "x", MRI, **FACTS)
