"""Training presets: TOML files that say how a prior is trained (docs/priors.md). Read and checked without torch."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..errors import UsageError, unknown
from ..pretrained.card import Card
from ..priors.settings import Augmentation, TrainConfig, check_coarse

PRESETS = Path(__file__).parent / "presets"
SECTIONS = ("prior", "network", "crops", "training")


@dataclass(frozen=True)
class CropSettings:
    """The [crops] of a preset: the side of a crop [pixels], or sides of which each step draws one; how many a step, of
    the first side; how they are turned, zoomed and shaded."""

    size: int | tuple[int, ...]
    batch: int
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sides, also where there is one."""
        return (self.size,) if isinstance(self.size, int) else self.size


@dataclass(frozen=True)
class Coarse:
    """The [coarse] of a preset: a prior of the images' means over `factor` x `factor` pixels, for the noise levels
    `above` (priors/subspace.py), and how it is trained."""

    factor: int
    above: float
    preset: TrainingPreset


@dataclass(frozen=True)
class TrainingPreset:
    """How a prior is trained.

    Attributes:
        card: of the prior that comes of it; what only training can tell is missing.
        crops: what a step sees.
        training: the numbers of the run.
        coarse: the prior of its high noise levels; None for none.
        tables: the preset as its file has it: what a run folder keeps, and is held against when it goes on.
    """

    card: Card
    crops: CropSettings
    training: TrainConfig
    coarse: Coarse | None
    tables: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the preset, and of the prior that comes of it."""
        return self.card.name

    def with_steps(self, steps: int | None) -> TrainingPreset:
        """With other steps in all, of its coarse priors too; None: as it is."""
        if steps is None:
            return self
        coarse = self.coarse and replace(self.coarse, preset=self.coarse.preset.with_steps(steps))
        return replace(self, training=replace(self.training, steps=steps), coarse=coarse)


def read_preset(name: str | Path | TrainingPreset) -> TrainingPreset:
    """A shipped preset by name, or a TOML file of your own.

    Raises:
        UsageError: no such preset, no TOML, a section or a setting that is unknown, missing or of the wrong kind.
    """
    if isinstance(name, TrainingPreset):
        return name
    shipped = PRESETS / f"{name}.toml"
    path = shipped if shipped.is_file() else Path(name)
    if not path.is_file():
        known = sorted(p.stem for p in PRESETS.glob("*.toml"))
        raise unknown("--preset", str(name), known, "a TOML file or one of")
    try:
        return preset_of(path.stem, tomllib.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:  # of TOML and of ours
        raise UsageError(f"{path}: {error}") from None


def preset_of(name: str, tables: dict[str, Any]) -> TrainingPreset:
    """A preset from its tables, as TOML has them. Raises UsageError, ValueError."""
    if missing := [section for section in SECTIONS if section not in tables]:
        raise UsageError(f"the preset lacks its [{missing[0]}] table")
    for key in tables:
        if key not in (*SECTIONS, "coarse"):
            raise unknown("the preset", f"[{key}]", [f"[{name}]" for name in (*SECTIONS, "coarse")])
    crops = dict(tables["crops"])
    if missing := [key for key in ("size", "batch") if key not in crops]:
        raise UsageError(f"the preset's [crops] lacks {missing[0]}")
    size, batch = crops.pop("size"), crops.pop("batch")
    training = _made(TrainConfig, "training", tables["training"])
    card = Card.from_dict({"name": name, **tables["prior"], "network": tables["network"]})
    return TrainingPreset(
        card,
        CropSettings(_whole("size", size), _whole("batch", batch), _made(Augmentation, "crops", crops)),
        training,
        _coarse(name, tables),
        {"name": name, **tables},
    )


def _coarse(name: str, tables: dict[str, Any]) -> Coarse | None:
    """The [coarse] of a preset. Raises UsageError for a table that lacks something, ValueError for numbers that cannot
    be."""
    table = tables.get("coarse")
    if table is None:
        return None
    needed = ("factor", "above", *SECTIONS[1:])
    if missing := [key for key in needed if key not in table]:
        raise UsageError(f"the preset's [coarse] lacks {', '.join(missing)}; expected {', '.join(needed)}")
    check_coarse("the preset's [coarse]", table["factor"], table["above"])
    _refuse_unknown("coarse", table, [*needed, "coarse"])
    own = {key: table[key] for key in (*SECTIONS[1:], "coarse") if key in table}
    return Coarse(
        table["factor"], table["above"], preset_of(f"{name}-coarse", {"prior": tables["prior"], **own})
    )


def _made(kind: type, section: str, table: dict[str, Any]) -> Any:
    """A dataclass of settings from its table; TOML's lists become tuples."""
    defaults = {entry.name: entry.default for entry in fields(kind)}
    _refuse_unknown(section, table, defaults)
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    for key, value in values.items():
        expected = type(defaults[key])
        if type(value) is not expected and not (expected is float and type(value) is int):
            raise UsageError(f"the preset's [{section}]: got {key} = {value!r}, expected {expected.__name__}")
    return kind(**values)


def _refuse_unknown(section: str, table: dict[str, Any], known: Iterable[str]) -> None:
    known = list(known)
    for key in table:
        if key not in known:
            raise unknown(f"the preset's [{section}]", key, known)


def _whole(key: str, value: Any) -> Any:
    """Positive whole numbers, one or (of the size) several."""
    entries = value if isinstance(value, list) and key == "size" else [value]
    if not entries or any(type(entry) is not int or entry < 1 for entry in entries):
        raise UsageError(f"the preset's [crops]: got {key} = {value!r}, expected whole numbers above zero")
    return tuple(value) if isinstance(value, list) else value
