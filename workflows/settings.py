"""What a workflow may be asked for, beside what it works on: a frozen value each, checked where it is made.

The command line's options are these fields: their names, types and defaults, and their lines of `Attributes:` as help
(cli/options.py). So nothing heavy is imported here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, Self

from ..errors import UsageError, check_least, unknown
from ..named import is_named
from ..recon.methods import DEFAULT

if TYPE_CHECKING:
    from .benchmark.suite import Suite

SAMPLERS = ("flow", "ancestral", "pc")
Sampler = Literal["flow", "ancestral", "pc"]
Slices = str | Sequence[int] | None  # "0,3,8", "4-9", a mixture, or numbers; None: all
QUICK = "steps=10"  # of an audit by `auto`
INTERVALS = (50, 80, 90, 95)  # percent, the LEVELS of recon/calibration.py
TYPES: dict[str, tuple[tuple[type, ...], str]] = {  # Python's callers are not checked by Typer
    **dict.fromkeys(("method", "options", "device", "dtype"), ((str,), "a text")),
    **dict.fromkeys(("prior", "simulate", "views", "arc"), ((str, NoneType), "a text, or None")),
    **dict.fromkeys(("samples", "seed", "batch"), ((Integral,), "a whole number")),
    **dict.fromkeys(("baselines", "presets", "name_in_report"), ((bool,), "True or False")),
    "interval": ((Integral, NoneType), "a whole number, or None"),
    "mu_water": ((Real, NoneType), "a number, or None"),
    "reader": ((dict,), "a dictionary"),
}


@dataclass(frozen=True)
class Request:
    """What the user asks of a reconstruction.

    Attributes:
        simulate: measure images: ct:views=23,photons=1e5 or mri:accel=4; see `scanprior methods simulate`.
        slices: e.g. 0,3,8 or 4-9; all by default.
        views: measured CT: some views, e.g. 0::9 or 0,30,60.
        arc: measured CT: views in an arc, degrees: 0:120.
        mu_water: CT: attenuation of water that defines HU, in 1/mm; by default the scan's or the prior's.
        method: one of `scanprior methods`, or your own as package.module:Name.
        options: its settings: steps=50,eta=1; `scanprior methods NAME` lists them.
        prior: name, run folder, .safetensors file or package.module:Name; by default the bundled one.
        samples: of the posterior, a slice.
        interval: intervals that hold the truth in so many percent: 50, 80, 90 or 95.
        seed: of the samples (and of a simulation).
        baselines: reconstruct classically too.
        presets: settings tuned for such scans.
        device: where it computes: cpu, cuda or auto.
        dtype: of the network: float32, bfloat16 or auto.
        batch: images denoised at once.
        name_in_report: name the input in the results, else only its hash.
        reader: how a file is to be read (formats/read.py).

    Raises:
        UsageError: settings of another type, or that cannot be.
    """

    simulate: str | None = None
    slices: Slices = None
    views: str | None = None
    arc: str | None = None
    mu_water: float | None = None
    method: str = DEFAULT
    options: str = ""
    prior: str | None = None
    samples: int = 8
    interval: int | None = None
    seed: int = 0
    baselines: bool = True
    presets: bool = True
    device: str = "auto"
    dtype: str = "auto"
    batch: int = 8
    name_in_report: bool = False
    reader: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in TYPES.keys() & vars(self).keys():
            kinds, words = TYPES[name]
            if not isinstance(value := getattr(self, name), kinds) or (bool not in kinds and value is True):
                raise UsageError(f"{name}: got {value!r}, expected {words}")
        _, colon, options = self.method.partition(":")
        if colon and not is_named(self.method):
            raise UsageError(
                f"--method: got {self.method!r}, expected a name alone; its settings are --options {options}"
            )
        if self.mu_water is not None and not 0 < self.mu_water < float("inf"):
            raise UsageError(f"--mu-water: got {self.mu_water}, expected an attenuation in 1/mm, about 0.02")
        check_least(self, {"samples": 1, "batch": 1})
        if self.interval not in (None, *INTERVALS):
            raise UsageError(
                f"--interval: got {self.interval}, expected one of {', '.join(map(str, INTERVALS))} (percent)"
            )
        if self.interval is not None and self.samples < 2:
            raise UsageError(
                f"--interval: got {self.samples} sample, which has no spread; expected --samples 2 or more"
            )

    @classmethod
    def of(cls, **settings: Any) -> Self:
        """From names and values as Python users give them. Raises UsageError for an unknown name."""
        from ..recon.options import written

        known = [f.name for f in dataclasses.fields(cls)]
        for name in settings.keys() - set(known):
            raise unknown("reconstruct", name, known, "some of")
        if isinstance(options := settings.get("options"), Mapping):
            settings["options"] = ",".join(f"{key}={written(value)}" for key, value in options.items())
        if settings.get("prior") is not None:
            settings["prior"] = str(settings["prior"])
        return cls(**settings)


@dataclass(frozen=True)
class AuditRequest(Request):
    __doc__ = Request.__doc__  # the same, with what an audit does by default: little

    method: str = "auto"  # by default of QUICK steps; another method has defaults of its own
    samples: int = 4
    baselines: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == AuditRequest.method and not self.options:
            object.__setattr__(self, "options", QUICK)


@dataclass(frozen=True)
class SampleSettings:
    """How images are drawn.

    Attributes:
        images: how many.
        size: rows and columns, any number; the prior's own, at most 256, by default.
        steps: network evaluations an image; by default 41, of the sampler pc 500.
        sampler: flow, the probability flow by Heun's method, noise at the start only; ancestral, fresh noise at each
            level, which needs more steps; or pc, reverse diffusion and Langevin (Song et al. 2021), which leaves noise
            in the images under some hundred.
        seed: of the first image; the others have the next ones.
        class_name: draw images of this class only.
        classifier: the classifier that knows the class (.safetensors).
        strength: of the guidance by the classifier; above 1 exaggerates.
        batch: images drawn at once; fewer take less memory.
        tile: denoise in overlapping tiles of this side; for large images.
        device: where it computes: cpu, cuda or auto.

    Raises:
        UsageError: settings that cannot be.
    """

    images: int = 16
    size: int | None = None
    steps: int | None = None
    sampler: Sampler = "flow"
    seed: int = 0
    class_name: str | None = None
    classifier: Path | None = None
    strength: float = 1.0
    batch: int = 4
    tile: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        check_least(self, {"images": 1, "size": 1, "steps": 1, "batch": 1, "seed": 0, "tile": 32})
        if self.sampler not in SAMPLERS:
            raise unknown("--sampler", self.sampler, SAMPLERS)
        if (self.class_name is None) != (self.classifier is None):
            raise UsageError(
                "--class and --classifier belong together: a class by name, and the file that knows it"
            )

    @property
    def seeds(self) -> range:
        """Of the images."""
        return range(self.seed, self.seed + self.images)


@dataclass(frozen=True)
class EvaluateSettings:
    """How a prior is judged.

    Attributes:
        limit: so many held-out images, spread evenly; all by default.
        draw: how many images to draw; the papers take 50,000.
        sampler: see `scanprior sample`.
        steps: network evaluations an image.
        seed: of the first image; the others have the next ones.
        window: black and white of grey images; CT: -1000 1000 by default.
        batch: images at once; fewer take less memory.
        device: where it computes: cpu, cuda or auto.

    Raises:
        UsageError: settings that cannot be.
    """

    limit: int | None = None
    draw: int = 50000
    sampler: Sampler = "flow"
    steps: int = 41
    seed: int = 0
    window: tuple[float, float] | None = None
    batch: int = 64
    device: str = "auto"

    def __post_init__(self) -> None:
        check_least(self, {"draw": 2, "steps": 1, "batch": 1, "seed": 0, "limit": 1})
        if self.window is not None and not self.window[0] < self.window[1]:
            raise UsageError(
                f"--window: got {self.window[0]:g} {self.window[1]:g}, expected black, then white"
            )


@dataclass(frozen=True)
class PrepareSettings:
    """How a pack is made.

    Attributes:
        matrix: pixels a side, instead of the preset's.
        pixel_mm: side of the pixels [mm]. By default the finest with which the field of view fits, never finer than
            measured.
        val: part of the patients for validation.
        test: for tests.
        calib: for calibration only: `train` refuses them.
        seed: of the split.
        modality: of images that do not say it (NIfTI).

    Raises:
        UsageError: settings that cannot be.
    """

    matrix: int | None = None
    pixel_mm: float | None = None
    val: float = 0.1
    test: float = 0.1
    calib: float = 0.0
    seed: int = 0
    modality: Literal["CT", "MR"] | None = None

    def __post_init__(self) -> None:
        check_least(self, {"matrix": 16})
        if self.pixel_mm is not None and not self.pixel_mm > 0:
            raise UsageError(f"--pixel-mm: got {self.pixel_mm}, expected a positive length")
        parts = {name: getattr(self, name) for name in ("val", "test", "calib")}
        if not (all(part >= 0 for part in parts.values()) and sum(parts.values()) < 1):  # NaN is neither
            said = " ".join(f"--{name} {part:g}" for name, part in parts.items())
            raise UsageError(f"{said}: expected parts of 1 that leave some to train on")


@dataclass(frozen=True)
class TrainSettings:
    """How a run is done, beside its preset.

    Attributes:
        steps: optimiser steps in all, instead of the preset's.
        start_from: start from the weights of this prior: a name, a file or a run folder.
        device: where it computes: cpu, cuda or auto.
        checkpoint_minutes: minutes between checkpoints.
        force: go on with other data, seed or settings than the run began with.
        crops_on_device: where the crops are made. None: on the GPU that trains, if it has room for the images.

    Raises:
        UsageError: no steps, or less than no time.
    """

    steps: int | None = None
    start_from: str | Path | None = None
    device: str = "auto"
    checkpoint_minutes: float = 5.0
    force: bool = False
    crops_on_device: bool | None = None

    def __post_init__(self) -> None:
        check_least(self, {"steps": 1})
        if not self.checkpoint_minutes >= 0:
            raise UsageError(f"--checkpoint-minutes: got {self.checkpoint_minutes:g}, expected 0 or more")


@dataclass(frozen=True)
class Selection:
    """What of a suite is run, and on what.

    Attributes:
        data: images instead of the suite's.
        methods: only these: dds or dds:steps=20,eta=1; repeatable.
        tasks: only these tasks of the suite; repeatable.
        patients: the first n.
        slices: of each patient.
        samples: of the posterior, a slice.
        prior: name, run folder, .safetensors file or package.module:Name; by default the bundled one.

    Raises:
        UsageError: less than one patient, slice or sample.
    """

    data: Path | None = None
    methods: Sequence[str] = ()
    tasks: Sequence[str] = ()
    patients: int | None = None
    slices: int | None = None
    samples: int | None = None
    prior: str | None = None

    def __post_init__(self) -> None:
        check_least(self, {"patients": 1, "slices": 1, "samples": 1})

    def of(self, suite: Suite) -> Suite:
        """This part of a suite. Raises ValueError for an unknown task or method."""
        from .benchmark.suite import method_from_label

        names = [task.name for task in suite.tasks]
        if unknown := [task for task in self.tasks if task not in names]:
            raise ValueError(f"--task: got {unknown[0]!r}, {suite.name} has {'; '.join(names)}")
        for label in self.methods:
            method_from_label(label)
        kept = tuple(task for task in suite.tasks if not self.tasks or task.name in self.tasks)
        data = None
        if self.data is not None:
            if len({task.modality for task in kept}) > 1:
                raise ValueError(
                    f"--data: {suite.name} has CT and MRI tasks; choose those of one with --task"
                )
            data = {kept[0].modality: str(self.data)}
        suite = suite.but(tasks=kept, methods=tuple(self.methods) or None, data=data)
        return suite.but(patients=self.patients, slices=self.slices, samples=self.samples)


@dataclass(frozen=True)
class Search:
    """How settings of a method are searched.

    Attributes:
        trials: settings to try, for each task; those of an earlier run with them, beside the method as it is.
        metric: what to raise, of one sample; or crps, the samples' distance from the truth inside the body, to lower.
        samples: of each slice, for crps.
    """

    trials: int = 20
    metric: Literal["psnr", "ssim", "vif", "crps"] = "psnr"
    samples: int = 4

    def __post_init__(self) -> None:
        check_least(self, {"trials": 1})


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """What a checkpoint does not say of itself.

    Attributes:
        kind: the code that it is of.
        name: of the prior.
        modality: of its images.
        intensity: how its images were scaled; see above.
        window: least and greatest value; CT: HU.
        options: what shapes cannot tell; see above.
        sigma_data: standard deviation of its images, in network units.
        pixel_mm: smallest and largest pixel of its images, in mm.
        matrix: rows and columns of its images.
        description: what it is, in a sentence.
        licence: of the weights.
        data: what it was trained on; repeatable.
    """

    kind: Literal["score-sde", "edm", "adm", "diffusers", "ncsnv2"]
    name: str
    modality: Literal["CT", "MR", "RGB"]
    intensity: str
    window: tuple[float, float]
    options: str = ""
    sigma_data: float = 0.5
    pixel_mm: tuple[float, float] | None = None
    matrix: tuple[int, int] | None = None
    description: str = ""
    licence: str = ""
    data: Sequence[str] = ()
