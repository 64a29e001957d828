"""`scanprior prepare` twice: the same pack byte by byte, whatever the number of cores and the order of sets; and a file
that ends the process which reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import nibabel
import numpy as np

from .test_prepare import Tree, body, left_out, manifest, template, tree  # noqa: F401 (fixtures)

ALONE = "import os, sys; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
RUN = "from scanprior.cli.main import main; main(sys.argv[1:])"


def elsewhere(*arguments: object, code: str = ALONE, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-c", f"{code}{RUN}", *map(str, arguments)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def anything(tree: Tree) -> None:  # noqa: F811
    """Patients with several series, other formats, duplicates, and files of every kind that is left out."""
    for k in range(7):
        for z in range(2):
            tree.ct(
                f"{z}/{k}.dcm", body(10 * k + z), patient=f"MRN-{k}", z=z, SeriesInstanceUID=f"1.8.{z}.{k}"
            )
    tree.ct("again.dcm", body(10), patient="MRN-1")  # the pixels of another
    tree.ct("localizer.dcm", body(50), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    tree.ct("empty.dcm", np.full((64, 64), -1000, np.int16))
    (tree.folder / "notes.txt").write_text("nothing to see")
    hu = np.stack([body(60 + k).T for k in range(3)], -1).astype(np.int16)
    nibabel.Nifti1Image(hu, np.diag([0.8, 0.8, 3, 1])).to_filename(tree.folder / "volume.nii.gz")
    with h5py.File(tree.folder / "set.h5", "w") as file:
        file["images"] = np.stack([body(70 + k) + 1024 for k in range(4)]).astype(np.uint16)
        file["images"].attrs["units"] = "HU + 1024"
        file["patient"] = np.array(list("abab"), dtype=h5py.string_dtype())
        file["px_mm"] = np.full(4, 0.8)


def test_the_same_files_give_the_same_pack(scanprior, tree, tmp_path: Path) -> None:  # noqa: F811
    anything(tree)
    options = ("--matrix", 32, "--val", 0.2, "--test", 0.2)
    one = scanprior("prepare", tree.folder, *options, "-o", tmp_path / "one")
    assert one.code == 0, one.err
    two = elsewhere("prepare", tree.folder, *options, "-o", tmp_path / "two", PYTHONHASHSEED="7")
    assert two.returncode == 0, two.stderr
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "two").iterdir()) and "train.h5" in names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    facts = manifest(tmp_path / "one")
    assert len(facts["patients"]) == 10 and sum(p["images"] for p in facts["patients"]) == 14 + 3 + 4
    assert facts["left_out"]["duplicate"] == 1 and facts["left_out"]["constant"] == 1


CRASH = """
import os, signal
import pydicom
original = pydicom.dcmread
def dcmread(path, *arguments, **options):
    if "bad" in str(path) and not options.get("stop_before_pixels"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return original(path, *arguments, **options)
pydicom.dcmread = dcmread
"""


def test_a_file_that_ends_its_reader_costs_itself_only(tree, tmp_path: Path) -> None:  # noqa: F811
    """As a codec would: the process that decodes the file is gone."""
    for k in range(5):
        tree.ct("c/bad.dcm" if k == 2 else f"c/{k}.dcm", body(k), patient="1", z=k)
    for k in range(3):
        tree.ct(f"{k}.dcm", body(20 + k), patient=f"other {k}")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(CRASH)
    path = os.pathsep.join([str(tmp_path / "path"), *filter(None, [os.environ.get("PYTHONPATH")])])
    options = ("--matrix", 32, "--val", 0, "--test", 0, "-o", tmp_path / "pack")
    done = elsewhere("prepare", tree.folder, *options, code="import sys\n", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert left_out(tmp_path / "pack") == {"c/bad.dcm": ("cannot be read", 1)}
    assert "it ended the process that read it" in (tmp_path / "pack" / "left_out.csv").read_text()
    facts = json.loads((tmp_path / "pack" / "manifest.json").read_text())
    assert sorted(p["images"] for p in facts["patients"]) == [1, 1, 1, 4]


def test_no_process_of_a_ct_pack_loads_torch(tree, tmp_path: Path) -> None:  # noqa: F811
    tree.ct("a.dcm", body(0))
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "torch.py").write_text("raise SystemExit('torch was imported')")
    options = ("--matrix", 32, "--val", 0, "--test", 0, "-o", tmp_path / "pack")
    done = elsewhere("prepare", tree.folder, *options, code="import sys\n", PYTHONPATH=str(tmp_path / "path"))
    assert done.returncode == 0 and (tmp_path / "pack").is_dir(), done.stderr
