"""Settings that `scanprior tune` found, and which of them fit a scan.

A preset belongs to a method, a modality and a measurement, known by what can be read off the problem itself:

    undersampling   pixels over measured rays (recon/weights.py), or over measured positions of k-space
    coverage        part of the half circle (CT); 1 otherwise
    noise           standard deviation of the noise over the rms of the data; the model error at least

The preset of the most similar measurement is used, within a factor of about four or 30 degrees of arc; further off, the
method's defaults. Those in `presets.toml` come with the package; the user's own, in $SCANPRIOR_HOME/presets.toml, go
before those of the same measurement.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from ..formats.write import atomic
from ..geometry import Geometry
from ..operators.coverage import coverage
from ..pretrained.cache import home
from .methods import method_of
from .problem import Problem
from .weights import MODEL_ERROR, measured

SHIPPED = Path(__file__).with_name("presets.toml")
FARTHEST = 2.0  # powers of two


@dataclass(frozen=True)
class Likeness:
    """What a measurement is like; see the module."""

    modality: str
    undersampling: float
    coverage: float
    noise: float

    def distance(self, other: Likeness) -> float:
        """In powers of two of the undersampling and of the noise; 15 degrees of the arc count as one. Infinite between
        modalities."""
        if self.modality != other.modality:
            return math.inf
        undersampling = abs(math.log2(self.undersampling / other.undersampling))
        noise = abs(math.log2(self.noise / other.noise))
        return undersampling + noise + 12 * abs(self.coverage - other.coverage)


@dataclass(frozen=True)
class Preset:
    """Tuned settings.

    Attributes:
        method: name, as `--method`.
        like: the measurement they were tuned for.
        settings: of the method, those that are not its defaults.
        found: how: suite, task, metric, its value on the validation slices and the defaults', trials, prior.
    """

    method: str
    like: Likeness
    settings: dict[str, Any]
    found: dict[str, Any] = field(default_factory=dict)


def likeness(problem: Problem) -> Likeness:
    """Of the first slice of a problem."""
    problem = problem.in_own_unit()
    y = problem.y[:1]
    pixels, known = math.prod(problem.operator.domain[-2:]), measured(problem.items(slice(0, 1)))[0]
    power = float(y.abs().square().sum() / known.sum().clamp_min(1))
    variance = 0.0 if problem.noise is None else float((1 / problem.noise.weights(y)).mean())
    noise = max(math.sqrt(variance / max(power, 1e-30)), MODEL_ERROR)
    if problem.operator.domain_complex:
        return Likeness("mri", pixels / max(int(known.any(0).sum()), 1), 1.0, noise)
    return Likeness("ct", pixels / max(int(known.sum()), 1), _coverage(problem), noise)


def _coverage(problem: Problem) -> float:
    """The views' part of the half circle of directions; 1 for other operators."""
    geometry = getattr(problem.operator, "geometry", None)
    return coverage(geometry.angles, math.pi).covered / math.pi if isinstance(geometry, Geometry) else 1.0


def read_presets(path: Path) -> list[Preset]:
    """The presets of a file; none where it is not there. Raises ValueError for a damaged file."""
    if not path.is_file():
        return []
    try:
        entries = tomllib.loads(path.read_text())["preset"]
        return [Preset(e["method"], Likeness(**e["like"]), e["settings"], e["found"]) for e in entries]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: is no file of presets ({error!r}); move it away and tune again") from None


def keep(path: Path, preset: Preset) -> None:
    """Write a preset, in the place of one of the same method, suite and task."""
    place = ("suite", "task")
    others = [
        old
        for old in read_presets(path)
        if old.method != preset.method or any(old.found.get(k) != preset.found.get(k) for k in place)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text(tomli_w.dumps({"preset": [asdict(one) for one in (*others, preset)]}))


def users() -> Path:
    """The file of the user's own presets."""
    return home() / "presets.toml"


def preset_for(name: str, like: Likeness) -> Preset | None:
    """The preset of the most similar measurement; of two alike the user's own."""
    known = [one for path in (users(), SHIPPED) for one in read_presets(path) if one.method == name]
    nearest = min(known, key=lambda one: one.like.distance(like), default=None)
    return nearest if nearest is not None and nearest.like.distance(like) <= FARTHEST else None


def tuned_method(name: str, options: str, problem: Problem) -> tuple[Any, Preset | None]:
    """The method `name` for a problem, `options` before the preset's settings before the defaults; and the preset.
    Raises ValueError as `method_of`."""
    found = preset_for(name, likeness(problem))
    return method_of(name, options, found.settings if found else None), found
