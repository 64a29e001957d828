"""scanprior: CT and MRI reconstruction with score-based priors. An operator says what the scanner does, a prior
says what scans look like, a method joins the two. Research use only, not for diagnosis."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .formats.read import read as read
    from .pretrained.load import load_prior as load_prior
    from .recon.posterior.dds import DDS as DDS
    from .recon.posterior.projection import Projection as Projection
    from .recon.problem import Problem as Problem
    from .recon.study import problem_of as problem_of

__version__ = "0.1.0"
__all__ = ["DDS", "Problem", "Projection", "load_prior", "problem_of", "read"]

_HOMES = {  # imported when first asked for: `import scanprior` loads no torch
    "DDS": "recon.posterior.dds",
    "Problem": "recon.problem",
    "Projection": "recon.posterior.projection",
    "load_prior": "pretrained.load",
    "problem_of": "recon.study",
    "read": "formats.read",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
