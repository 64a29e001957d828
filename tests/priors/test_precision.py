"""The type a network computes in: fast on this machine, the same figures in either."""

import os
import subprocess
import sys

import pytest
import torch
from scanprior.formats.dicom import example_ct
from scanprior.formats.read import read
from scanprior.pretrained.load import load_prior
from scanprior.priors import precision
from scanprior.recon.metrics import ct_metrics
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.simulate import simulate, simulation_of
from scanprior.recon.study import problem_of

OLD = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}  # a processor of before 2020


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch):
    """processor(avx512=…, bf16=…, amx=…): what torch will say of the CPU."""

    def pretend(*, avx512: bool, bf16: bool, amx: bool) -> None:
        for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512" if avx512 else "AVX2")
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)

    return pretend


def test_bfloat16_is_for_processors_that_compute_in_it(processor, monkeypatch: pytest.MonkeyPatch) -> None:
    for has, expected in (
        ({"avx512": True, "bf16": True, "amx": False}, torch.bfloat16),  # AMD Zen 4
        ({"avx512": True, "bf16": False, "amx": True}, torch.bfloat16),
        ({"avx512": True, "bf16": False, "amx": False}, torch.float32),  # Intel before Cooper Lake
        ({"avx512": False, "bf16": False, "amx": False}, torch.float32),  # AMD before Zen 4
    ):
        processor(**has)
        assert precision.fast_dtype("cpu") is expected, has
    processor(avx512=True, bf16=True, amx=True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx2")  # the user's limit counts
    assert precision.fast_dtype() is torch.float32


def test_a_prior_is_loaded_in_the_fast_type_or_the_one_that_is_asked_for(processor) -> None:
    processor(avx512=False, bf16=False, amx=False)
    assert load_prior("ct-256").dtype is torch.float32
    assert load_prior("ct-256", dtype=torch.bfloat16).dtype is torch.bfloat16
    processor(avx512=True, bf16=True, amx=False)
    assert load_prior("ct-256").dtype is torch.bfloat16


def test_an_old_processor_is_seen_through_the_environment() -> None:
    code = "from scanprior.priors.precision import fast_dtype; print(fast_dtype())"
    found = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | OLD, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "torch.float32"


def test_the_type_does_not_change_the_figures() -> None:
    settings = simulation_of("ct:views=23,photons=1e5", "--simulate")
    scan = simulate(read(example_ct()), settings, 0)
    problem, figures = problem_of(scan), {}
    for dtype in (torch.float32, torch.bfloat16):
        mean = DDS(steps=12)(problem, load_prior("ct-256", dtype=dtype), samples=2, seed=0).mean
        to_hu = 1000 / 0.0193
        figures[dtype] = ct_metrics(mean.numpy() * to_hu - 1000, scan.truth * to_hu - 1000)["psnr"]
    assert figures[torch.float32] > 33  # filtered backprojection has 21
    assert figures[torch.bfloat16] == pytest.approx(figures[torch.float32], abs=0.05)
