"""Settings that `scanprior tune` found, and which of them fit a scan.

A preset is used by itself, so it is used only where it was found for what it is used on. It belongs to

    a method        in the configuration in which it was tuned: its other settings (steps, iterations, ...) are `given`,
                    and a preset holds none of them;
    a prior         the sha256 of its weights; none for a classical method;
    a measurement   known by what can be read off the problem itself (`Likeness`): the most similar one's is used, of a
                    posterior method within a factor of about four or 30 degrees of arc, of a classical method, whose
                    weights follow the noise and the pixels, within a factor of about 1.4;
    patients        LEAST_PATIENTS at least: what was found on fewer is not kept.

Where one of these is not so, the method's defaults are used, and `TunedMethod.line` says which. Presets in
`presets.toml` come with the package; the user's own, in $SCANPRIOR_HOME/presets.toml, go before those of the same
measurement.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from ..formats.write import atomic
from ..modality import Modality
from ..pretrained.cache import home
from .methods import BASELINES, method_of
from .options import names
from .problem import Problem
from .weights import MODEL_ERROR, measured, seen_arc

SHIPPED = Path(__file__).with_name("presets.toml")
LEAST_PATIENTS = 4
FARTHEST = 2.0  # powers of two; of posterior methods
FARTHEST_CLASSICAL = 0.5


@dataclass(frozen=True)
class Likeness:
    """What a measurement is like.

    Attributes:
        modality: CT or MR; files of before November 28, 2026 say ct or mri.
        side: of the image in pixels, the root of their number.
        undersampling: pixels over measured rays (recon/weights.py), or over measured positions of k-space.
        coverage: part of the half circle (CT); 1 otherwise.
        noise: standard deviation of the noise over the rms of the data; the model error at least.
    """

    modality: Modality
    side: float
    undersampling: float
    coverage: float
    noise: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "modality", Modality(self.modality))

    def distance(self, other: Likeness) -> float:
        """In powers of two of the side, the undersampling and the noise; 15 degrees of the arc count as one. Infinite
        between modalities."""
        if self.modality != other.modality:
            return math.inf
        ratios = (
            self.side / other.side,
            self.undersampling / other.undersampling,
            self.noise / other.noise,
        )
        return sum(abs(math.log2(ratio)) for ratio in ratios) + 12 * abs(self.coverage - other.coverage)


@dataclass(frozen=True)
class Preset:
    """Tuned settings.

    Attributes:
        method: name, as `--method`.
        prior: sha256 of the weights; empty for a classical method.
        like: the measurement they were tuned for.
        given: the method's other settings meanwhile, those that are not left to it (None).
        settings: what was found.
        found: how: suite, task, spec, metric, its value on the validation slices and the defaults', patients, slices,
            trials, date.
    """

    method: str
    prior: str
    like: Likeness
    given: dict[str, Any]
    settings: dict[str, Any]
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """What it was tuned on."""
        return f"{self.found.get('suite')}: {self.found.get('task')}"

    @property
    def patients(self) -> int:
        """On how many it was found."""
        return int(self.found.get("patients", 0))


@dataclass(frozen=True)
class TunedMethod:
    """A method for a problem, and where its settings come from.

    Attributes:
        preset: that took part, or None.
        used: the preset's settings that took effect: `--options` go before them.
        line: in words, for the user and the report; empty where nobody ever tuned the method.
    """

    method: Any
    preset: Preset | None
    used: dict[str, Any]
    line: str

    @property
    def facts(self) -> dict[str, Any]:
        """For a report."""
        if self.preset is None:
            return {"said": self.line} if self.line else {}
        home_of = "scanprior" if self.preset in read_presets(SHIPPED) else "the user's presets.toml"
        told = {"said": self.line, "tuned_on": self.preset.place, "patients": self.preset.patients}
        return {**told, "settings": self.used, "from": home_of}


def likeness(problem: Problem) -> Likeness:
    """Of the first slice of a problem."""
    problem = problem.in_own_unit()
    y = problem.y[:1]
    pixels, known = math.prod(problem.operator.domain[-2:]), measured(problem.items(slice(0, 1)))[0]
    side, power = math.sqrt(pixels), float(y.abs().square().sum() / known.sum().clamp_min(1))
    variance = 0.0 if problem.noise is None else float((1 / problem.noise.weights(y)).mean())
    noise = max(math.sqrt(variance / max(power, 1e-30)), MODEL_ERROR)
    if problem.operator.domain_complex:
        return Likeness(Modality.MR, side, pixels / max(int(known.any(0).sum()), 1), 1.0, noise)
    return Likeness(Modality.CT, side, pixels / max(int(known.sum()), 1), seen_arc(problem), noise)


# --- files
def read_presets(path: Path) -> list[Preset]:
    """The presets of a file; none where it is not there. Raises ValueError for a damaged file, and for one of scanprior
    before November 27, 2026, whose presets were bound to no prior."""
    if not path.is_file():
        return []
    try:
        entries = tomllib.loads(path.read_text()).get("preset", [])
        return [Preset(**{**entry, "like": Likeness(**entry["like"])}) for entry in entries]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: is no file of presets, or of an older scanprior ({error}); move it away and tune again, or go "
            "without presets (--no-presets)"
        ) from None


def keep(path: Path, preset: Preset) -> None:
    """Write a preset, in the place of one of the same method, prior, configuration and task. Raises ValueError for one
    of fewer patients than LEAST_PATIENTS: it would be used on others by itself."""
    if preset.patients < LEAST_PATIENTS:
        raise ValueError(f"got a preset of {preset.patients} patients, expected {LEAST_PATIENTS} at least")

    def place(one: Preset) -> tuple[Any, ...]:
        return one.method, one.prior, one.given, one.found.get("suite"), one.found.get("task")

    _write(path, [*(old for old in read_presets(path) if place(old) != place(preset)), preset])


def _write(path: Path, presets: list[Preset]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text(tomli_w.dumps({"preset": [asdict(one) for one in presets]}))


def user_presets_path() -> Path:
    """The file of the user's own presets."""
    return home() / "presets.toml"


def every_preset() -> Iterator[tuple[Path, Preset]]:
    """All presets with the file that each is in; the user's own first, so that their places in the list are those of
    `remove`."""
    for path in (user_presets_path(), SHIPPED):
        yield from ((path, one) for one in read_presets(path))


def remove(number: int) -> Preset:
    """Take one of the user's presets out of its file, by its place in `every_preset` from 1; returns it. Raises
    ValueError for a number that is not there, or of a preset that comes with the package."""
    listed = list(every_preset())
    own = [one for path, one in listed if path != SHIPPED]
    if not 1 <= number <= len(listed):
        raise ValueError(
            f"got preset {number}, expected 1 to {len(listed)}; `scanprior presets list` shows them"
        )
    if number > len(own):
        raise ValueError(f"preset {number} comes with scanprior; --no-presets leaves it out of a run")
    _write(user_presets_path(), own[: number - 1] + own[number:])
    return own[number - 1]


# --- use
def tuned_method(
    name: str, options: str, problem: Problem, prior: str = "", presets: bool = True
) -> TunedMethod:
    """The method `name` for a problem: `options` before a preset's settings before the defaults.

    Args:
        prior: sha256 of the weights that it will run with; empty for a classical method.
        presets: False: none is used, and no file of presets read.

    Raises:
        ValueError: as `method_of`; a damaged file of presets, or one whose settings the method does not have.
    """
    method: Any = method_of(name, options)
    if not presets:
        return TunedMethod(method, None, {}, "presets are off")
    known = [(path, one) for path, one in every_preset() if one.method == name]
    path, preset, why = _nearest(known, method, likeness(problem) if known else None, prior)
    used = {key: v for key, v in preset.settings.items() if key not in names(options)} if preset else {}
    if preset is None or not used:
        return TunedMethod(method, None, {}, why or _idle(preset))
    if strange := sorted(used.keys() - method.settings.keys()):
        raise ValueError(
            f"{path}: the preset of {name} for {preset.place} has {strange[0]!r}, expected some of "
            f"{', '.join(method.settings)}; take it out with `scanprior presets remove`"
        )
    method = method_of(name, options, used)
    used = {key: method.settings[key] for key in used}
    words = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in used.items())
    found_on = f"settings tuned on {preset.place} ({preset.patients} patients)"
    return TunedMethod(method, preset, used, f"{found_on}: {words}; --no-presets runs without")


def _idle(preset: Preset | None) -> str:
    """Why a preset that fits changes nothing."""
    if preset is None:
        return ""
    if preset.settings:
        return "--options set all that its preset would"
    return f"tuned on {preset.place} ({preset.patients} patients), where its own settings were best"


def fixed_settings(method: Any, tuned: Iterable[str]) -> dict[str, Any]:
    """The settings of a method that are neither tuned nor left to it (None)."""
    apart = {"method", *tuned}
    return {key: value for key, value in method.settings.items() if key not in apart and value is not None}


def _nearest(
    known: list[tuple[Path, Preset]], method: Any, like: Likeness | None, prior: str
) -> tuple[Path | None, Preset | None, str]:
    """The preset that fits, of the most similar measurement, of two alike the first, and its file; or why none does."""
    if not known or like is None:
        return None, None, ""
    farthest = FARTHEST_CLASSICAL if known[0][1].method in BASELINES else FARTHEST
    rules = {  # said in this order
        f"no preset of {LEAST_PATIENTS} patients": lambda one: one.patients >= LEAST_PATIENTS,
        "no preset for this prior": lambda one: one.prior == prior,
        "no preset for measurements like this": lambda one: one.like.distance(like) <= farthest,
        "no preset for these settings": lambda one: fixed_settings(method, one.settings) == one.given,
    }
    left = known
    for said, fits in rules.items():
        left = [(path, one) for path, one in left if fits(one)]
        if not left:
            return None, None, f"{said}: the method's own settings"
    path, preset = min(left, key=lambda item: item[1].like.distance(like))
    return path, preset, ""
