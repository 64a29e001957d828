"""The methods by the name that `--method` takes, posterior methods and baselines; nothing is imported before one is
chosen."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..named import import_named, is_named
from .options import parse

if TYPE_CHECKING:
    from .baselines.methods import Baseline
    from .baselines.supervised import Supervised
    from .posterior.base import PosteriorMethod

METHODS = {  # name -> (module, class, its line in --help)
    "dds": ("dds", "DDS", "few conjugate gradients inside DDIM, warm start (Chung 2024); the default"),
    "auto": ("auto", "Auto", "DDS made faster for 20 evaluations: the best PSNR of so few, no sample"),
    "projection": ("projection", "Projection", "projection before each step (Song 2022)"),
    "diffpir": ("diffpir", "DiffPIR", "half-quadratic splitting (Zhu 2023)"),
    "ddrm": ("ddrm", "DDRM", "denoising in the singular basis (Kawar 2022)"),
    "ddnm": ("ddnm", "DDNM", "range from the data, null space from the network: DDNM+ (Wang 2023)"),
    "pigdm": ("pigdm", "PiGDM", "guidance through the pseudoinverse (Song J. 2023)"),
    "mmps": ("mmps", "MMPS", "guidance with the network's own covariance (Rozet 2024)"),
    "dps": ("dps", "DPS", "gradient of the residual (Chung 2023)"),
    "mcg": ("mcg", "MCG", "that gradient and a projection (Chung 2022)"),
    "daps": ("daps", "DAPS", "decoupled annealing (Zhang 2025)"),
    "pnpdm": ("pnpdm", "PnPDM", "split Gibbs sampling (Wu 2024)"),
    "ula": ("ula", "ULA", "Langevin dynamics preconditioned by the data (Blumenthal 2025)"),
    "ald": ("ald", "ALD", "annealed Langevin dynamics (Jalal 2021)"),
    "reddiff": ("reddiff", "REDdiff", "an estimate by optimisation, no sample (Mardani 2024)"),
    "score-sde": ("score_sde", "ScoreSDE", "replacement after each step (Song 2021)"),
}


BASELINES = {  # the same, without a prior
    "fbp": (
        "methods",
        "FBP",
        "CT: filtered backprojection; filter=ramp, shepp-logan, cosine, hamming or hann",
    ),
    "sirt": ("methods", "SIRT", "CT: simultaneous iterations, weighted by the noise, nonnegative"),
    "cgls": ("methods", "CGLS", "CT: conjugate gradients on least squares, weighted by the noise"),
    "fista-tv": ("methods", "FistaTV", "total variation by FISTA, weighted by the noise"),
    "admm-tv": ("methods", "AdmmTV", "the same total variation by ADMM"),
    "zero-filled": ("methods", "ZeroFilled", "MRI: missing k-space taken as zero"),
    "cg-sense": ("methods", "CGSense", "MRI: regularised least squares"),
    "l1-wavelet": ("methods", "L1Wavelet", "MRI: compressed sensing with wavelets"),
    "tv": ("methods", "TotalVariation", "MRI: compressed sensing with total variation"),
    "supervised": ("supervised", "Supervised", "a network of `scanprior train --supervised`, by --prior"),
}


def lines() -> str:
    """The methods for --help, one a line."""
    parts = [
        [f"  {name:<11} {line}" for name, (_, _, line) in table.items()] for table in (METHODS, BASELINES)
    ]
    return "\n".join([*parts[0], "", "\b", "Without a prior of images:", *parts[1]])


def method_of(
    name: str, options: str, before: dict[str, Any] | None = None
) -> PosteriorMethod | Baseline | Supervised:
    """The method `name` with settings such as `steps=50,eta=1`, which overrule those of `before`; one of the user's own
    by `package.module:Name`. Raises ValueError for an unknown name or setting."""
    folders = {"posterior": METHODS, "baselines": BASELINES}
    for folder, table in folders.items():
        if name in table:
            module, kind, _ = table[name]
            module = import_module(f".{folder}.{module}", __package__)
            return parse(options, getattr(module, kind), "--options", before)
    if is_named(name):
        return parse(options, _own(name), "--options", before)
    raise ValueError(f"--method: got {name!r}, expected one of {', '.join((*METHODS, *BASELINES))}")


def _own(name: str) -> type[PosteriorMethod] | type[Baseline]:
    """The user's own class of settings. Raises ValueError for anything else."""
    from .baselines import Baseline
    from .posterior import PosteriorMethod

    kind = import_named(name, "--method")
    if not (isinstance(kind, type) and issubclass(kind, PosteriorMethod | Baseline)):
        raise ValueError(
            f"--method: {name!r} is {kind!r}, expected a class derived from scanprior.recon's PosteriorMethod, Descent "
            "or Baseline (docs/howto/own-method.md)"
        )
    return kind
