"""Inserted lesions on real slices: which are kept, which are told, which are made up (docs/lesions.md).

    python benchmarks/lesions.py ct  -o lesions-ct/                     # 23 and 60 views, 1e5 photons, 4 test patients
    python benchmarks/lesions.py mri -o lesions-mri/                    # T1 x4 and x8, 3 test patients
    python benchmarks/lesions.py ct --on validation --method draws:width=1.2 -o tried/

Goes on where it was stopped. Needs the full sets ($SCANPRIOR_DATA).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from scanprior.report.progress import Shown
from scanprior.workflows.benchmark.results import Selection
from scanprior.workflows.lesion_rows import Insertion
from scanprior.workflows.lesions import LesionsResult, lesions

TASKS = {
    "ct": {
        "23 views, 1e5 photons": "ct:views=23,photons=1e5",
        "60 views, 1e5 photons": "ct:views=60,photons=1e5",
    },
    "mri": {"T1 x4": "mri:accel=4", "T1 x8": "mri:accel=8"},
}
METHODS = {
    "ct": ("fbp", "fista-tv", "dds", "draws"),
    "mri": ("zero-filled", "l1-wavelet", "fista-tv", "dds", "draws"),
}
DATA = {"ct": "ct/ct256", "mri": "mri/t1"}
PATIENTS, COUNT = {"ct": 4, "mri": 3}, 16


def suite_file(folder: Path, kind: str, on: str) -> Path:
    """The suite of a modality, as a file."""
    path = folder / f"lesions-{kind}.toml"
    methods = ", ".join(f'"{label}"' for label in METHODS[kind])
    tasks = "".join(f'"{name}" = "{spec}"\n' for name, spec in TASKS[kind].items())
    data = f'[data]\n{kind} = "{DATA[kind]}_{"test" if on == "test" else "val"}.h5"\n'
    path.write_text(f'title = "Lesions, {kind}"\nmethods = [{methods}]\nsamples = 4\n{data}[tasks]\n{tasks}')
    return path


SAID = ("told", "kept_or_told", "found", "open", "denied", "off", "pixels", "z")


def show(found: LesionsResult) -> None:
    for line in found.classes:
        samples = "".join(f" {key} {line[key]:.2f}" for key in SAID if line[key] is not None)
        print(
            f"{line['task']:24} {line['label']:20} {line['class']:17} n {line['lesions']:3} recovery "
            f"{line['recovery']:5.2f} plain {line['plain']:6.2f} kept {line['kept']:.2f}{samples}"
        )
    for line in found.false:
        print(f"{line['task']:24} {line['label']:20} false lesions a picture {line['false']:.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=TASKS)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--on", choices=["test", "validation"], default="test")
    parser.add_argument("--method", nargs="*", default=[])
    parser.add_argument("--task", nargs="*", default=[])
    parser.add_argument("--patients", type=int)
    parser.add_argument("--slices", type=int, default=1)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--count", type=int, default=COUNT, help="lesions a slice, at most")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    patients = asked.patients or PATIENTS[asked.kind]
    selection = Selection(None, asked.method, asked.task, patients, asked.slices, asked.samples)
    with tempfile.TemporaryDirectory() as folder:
        suite = suite_file(Path(folder), asked.kind, asked.on)
        show(
            lesions(
                str(suite),
                asked.output,
                selection,
                Insertion(count=asked.count),
                device=asked.device,
                progress=Shown(),
            )
        )
