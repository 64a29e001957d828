"""`scanprior sample`: images of a prior."""

from __future__ import annotations

from typing import Annotated, Any

from ..workflows.settings import SampleSettings
from .console import Console
from .options import Output, Overwrite, prior_option, settings_options
from .verb import HIDDEN, verb

GUIDANCE: dict[str, Any] = {"rich_help_panel": "Class"}
WORK: dict[str, Any] = {"rich_help_panel": "Work"}


@verb
@settings_options(
    SampleSettings,
    images={"names": ("--images", "-n")},
    class_name={"names": ("--class",), "metavar": "NAME", **GUIDANCE},
    classifier=GUIDANCE,
    strength=GUIDANCE,
    batch=WORK,
    tile=WORK,
    device=WORK,
)
def sample(
    output: Output,
    settings: SampleSettings,
    prior: Annotated[
        str | None,
        prior_option("Bundled, in the cache, a run folder or a file; by default the bundled CT prior."),
    ] = None,
    overwrite: Overwrite = False,
    console: Console = HIDDEN,
) -> None:
    """Draw images from a prior, without any measurement: what it believes scans look like.

    The folder holds samples.png (the first 64 at most), samples.h5 (an image set: HU for CT, grey levels of pictures in
    colour; MR images in the prior's own scale) and samples.json (settings, the prior's hash, seconds). An image is a
    function of its seed alone, never of how many are drawn or how many at once. The images are synthetic and show no
    patient.

    \b
    Examples:
      scanprior sample -o out/
      scanprior sample --prior run/ -n 64 --seed 100 -o out/
      scanprior sample --sampler pc -o out/
      scanprior sample --class thorax --classifier bodyparts.safetensors -o out/
      scanprior sample -n 1 --size 1024 --tile 256 -o out/
    """
    from ..workflows.sample import sample as run

    drawn = run(prior, output, settings, overwrite, console)
    images = settings.images
    facts = {"folder": str(output), "images": images, "units": drawn.units, "prior": drawn.card.name}
    what = "1 image" if images == 1 else f"{images} images"
    shown = f"{what}, {drawn.nfe} network evaluations each, {drawn.seconds:.1f} s; wrote {output}"
    console.give(facts | {"nfe": drawn.nfe, "seconds": round(drawn.seconds, 3)}, shown)
