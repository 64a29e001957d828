"""A benchmark suite: which measurements of which scans, by which methods. A TOML file:

    title = "Sparse-view CT"
    methods = ["fbp", "fista-tv", "dds", "dds:steps=20"]    # as --method and --options; all where left out
    samples = 8                                             # posterior samples a slice
    patients = 0                                            # the first n; 0: all
    slices = 1                                              # a patient, evenly through the stack

    [data]                                                  # test images of a modality
    ct = "ct/ct256_test.h5"
    [validation]                                            # for `scanprior tune`
    ct = "ct/ct256_val.h5"
    [calibration]                                           # for `scanprior calibrate --on calibration`
    ct = ["ct/ct256_calib.h5", "ct/ct256_val.h5"]           # of other patients each

    [tasks]                                                 # as --simulate
    "23 views" = "ct:views=23"

Relative paths are below $SCANPRIOR_DATA. Where that is not set they are in the small set that comes with the package:
one slice a patient of the test and calibration sets (benchmarks/make_small_set.py), for evaluation, never for training;
validation sets among the calibration's are not there.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...modality import Modality
from ...named import is_named
from ...recon.methods import BASELINES, METHODS, method_of, suite_labels
from ...recon.posterior.method import PosteriorMethod
from ...recon.simulate import SIMULATIONS, CTSimulation, MRISimulation, simulation_of

SUITES = Path(__file__).parent / "suites"
PACKAGED = Path(__file__).parent / "data"
Images = str | list[str]  # a file, or several
_FIELDS: dict[str, type] = {
    "title": str,
    "methods": list,
    "samples": int,
    "patients": int,
    "slices": int,
    "data": dict,
    "validation": dict,
    "calibration": dict,
    "tasks": dict,
}


@dataclass(frozen=True)
class Task:
    """A kind of measurement.

    Attributes:
        name: what tables call it.
        spec: of the simulation, as the user wrote it.
        simulation: the same, read.
    """

    name: str
    spec: str
    simulation: CTSimulation | MRISimulation

    @property
    def modality(self) -> Modality:
        return self.simulation.modality


@dataclass(frozen=True)
class Suite:
    """See the module.

    Attributes:
        methods: labels `name` or `name:options`.
        data, validation, calibration: images by their modality.
    """

    name: str
    title: str
    tasks: tuple[Task, ...]
    methods: tuple[str, ...]
    data: dict[Modality, Images]
    validation: dict[Modality, Images]
    calibration: dict[Modality, Images]
    samples: int = 8
    patients: int = 0
    slices: int = 1

    def but(self, **changes: Any) -> Suite:
        """The suite with what is not None changed."""
        return replace(self, **{key: value for key, value in changes.items() if value is not None})


def shipped() -> dict[str, str]:
    """The suites that come with the package: name -> title."""
    return {path.stem: tomllib.loads(path.read_text())["title"] for path in sorted(SUITES.glob("*.toml"))}


def read_suite(name: str) -> Suite:
    """A shipped suite by name, or a TOML file. Raises ValueError for an unknown name and for whatever is wrong in the
    file: fields, tasks, methods."""
    path = SUITES / f"{name}.toml"
    path = path if path.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(item.stem for item in SUITES.glob("*.toml")))
        raise ValueError(f"no suite {name!r}: neither a TOML file nor one of {known}")
    try:
        table = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is not TOML ({error})") from None
    return _suite(path, table)


def _suite(path: Path, table: dict[str, Any]) -> Suite:
    for key, value in table.items():
        if key not in _FIELDS:
            raise ValueError(f"{path}: unknown field {key!r}; known: {', '.join(_FIELDS)}")
        if type(value) is not _FIELDS[key]:
            raise ValueError(f"{path}: got {key} = {value!r}, expected a {_FIELDS[key].__name__}")
    table = {"methods": suite_labels(), **table}
    if missing := [key for key in ("title", "methods", "tasks") if not table.get(key)]:
        raise ValueError(f"{path}: a suite needs {' and '.join(missing)}; see `scanprior benchmark --help`")
    tasks = []
    for task, spec in table["tasks"].items():
        where = f"{path}, task {task!r}"
        if not isinstance(spec, str):
            raise ValueError(f'{where}: got {spec!r}, expected text like "ct:views=23,photons=1e5"')
        tasks.append(Task(task, spec, simulation_of(spec, where)))
    for label in table["methods"]:
        try:
            method_from_label(str(label))
        except ValueError as error:
            raise ValueError(f"{path}, methods: {error}") from None
    for key, least in (("samples", 1), ("patients", 0), ("slices", 1)):
        if table.get(key, least) < least:
            raise ValueError(f"{path}: got {key} = {table[key]}, expected at least {least}")
    paths = {
        key: _by_modality(table.pop(key, {}), f"{path}, [{key}]")
        for key in ("data", "validation", "calibration")
    }
    return Suite(
        **{**table, **paths, "name": path.stem, "tasks": tuple(tasks), "methods": tuple(table["methods"])}
    )


def _by_modality(table: dict[str, Any], where: str) -> dict[Modality, Images]:
    """Files by modality. Raises ValueError for anything else."""
    if strange := [key for key in table if key not in SIMULATIONS]:
        raise ValueError(f"{where}: got {strange[0]!r}, expected {' or '.join(SIMULATIONS)}")
    for key, given in table.items():
        if not all(isinstance(one, str) for one in ([given] if isinstance(given, str) else given)):
            raise ValueError(f"{where}: got {key} = {given!r}, expected a file or a list of files")
    return {Modality(key): files for key, files in table.items()}


def method_from_label(label: str) -> Any:
    """The method of a label like `dds` or `dds:steps=20`. Raises ValueError."""
    return method_of(*split(label))


def split(label: str) -> tuple[str, str]:
    """Name and options of a label; the name of a user's own method has a colon of its own."""
    name, _, options = label.partition(":")
    kind, _, rest = options.partition(":")
    if name not in (*METHODS, *BASELINES) and is_named(f"{name}:{kind}"):
        return f"{name}:{kind}", rest
    return name, options


def is_posterior(label: str) -> bool:
    """Whether a method draws samples with a prior. Raises ValueError for an unknown one."""
    return isinstance(method_from_label(label), PosteriorMethod)


def suits(label: str, modality: Modality) -> bool:
    """Whether a method is for scans of a modality; posterior methods are for all. A supervised network belongs to one
    measurement and is in no suite."""
    method = method_from_label(label)
    return split(label)[0] not in BASELINES or modality in getattr(method, "scans", ())


def data_root() -> Path:
    """$SCANPRIOR_DATA, or the images that come with the package."""
    return Path(os.environ.get("SCANPRIOR_DATA") or PACKAGED)


def images_of(suite: Suite, modality: Modality) -> list[Path]:
    """The files of a suite's images of a modality; of several, those that come with the package where its images are
    taken. Raises FileNotFoundError."""
    given = suite.data.get(modality, "")
    paths = [given] if isinstance(given, str) else given
    if data_root() == PACKAGED:
        paths = [path for path in paths if Path(path).exists() or (PACKAGED / path).exists()] or paths[:1]
    return [find_data(path) for path in paths]


def find_data(path: str) -> Path:
    """Where a suite's images are. Raises FileNotFoundError."""
    root = data_root()
    found = Path(path) if Path(path).exists() else root / path
    if not found.exists():
        lacks = (
            "is not among the images of the package"
            if root == PACKAGED
            else f"is not there, nor below {root}"
        )
        raise FileNotFoundError(
            f"{path} {lacks}; set SCANPRIOR_DATA to the folder of the full sets, or give images of your own with --data"
        )
    return found
