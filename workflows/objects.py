"""Methods and priors that Python gives as objects. What the command line could name is put in words, and the run is the
same as by name; what it could not is kept, and the result says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UsageError
from ..priors.score import Prior
from ..recon.baselines.method import Baseline
from ..recon.baselines.supervised import Supervised
from ..recon.methods import in_words
from ..recon.posterior.method import PosteriorMethod

Method = PosteriorMethod | Baseline | Supervised


class Objects(NamedTuple):
    """What has no name on the command line."""

    method: Method | None = None
    prior: Prior | None = None

    @property
    def words(self) -> str:
        """Why a result cannot be repeated from the command line; empty where it can."""
        which = " and a ".join(key for key, value in self._asdict().items() if value is not None)
        return which and (
            f"given by Python: a {which} that the command line has no name for, so that it cannot repeat this; put the "
            "class into a module and give package.module:Name"
        )


def spoken(settings: dict[str, Any]) -> tuple[dict[str, Any], Objects]:
    """The settings of a reconstruction with names for objects, and the objects that the names do not tell all about.

    Raises:
        UsageError: a method or a prior that is none; options beside a method that has its own.
    """
    method, prior = settings.get("method", ""), settings.get("prior")
    objects = Objects()
    if not isinstance(method, str):
        said = in_words(_checked(method, settings.get("options")))
        name, options = said or (type(method).__name__, "")
        settings = settings | {"method": name, "options": options}
        objects = objects._replace(method=None if said else method)
    if not isinstance(prior, str | Path | None):
        if isinstance(prior, type) or not hasattr(prior, "denoise"):
            raise UsageError(
                f"prior: got {prior!r}, expected a name, a file, or an object with denoise (docs/howto/own-prior.md)"
            )
        settings = settings | {"prior": type(prior).__name__}
        objects = objects._replace(prior=prior)
    return settings, objects


def _checked(method: Any, options: Any) -> Method:
    if not isinstance(method, Method):
        raise UsageError(
            f"method: got {method!r}, expected a name of `scanprior methods`, or one like DDS(steps=20)"
        )
    if options:
        raise UsageError(
            f"options: got {options!r} beside {method!r}, which has its own; leave one of them out"
        )
    return method
