"""The front door of the package: `scanprior.reconstruct` and `simulate` without files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import scanprior as package
from scanprior.errors import UsageError
from scanprior.formats.read import read
from scanprior.formats.scan import FormatError, Scan, Volume
from scanprior.formats.store import read_reconstruction, write_scan
from scanprior.workflows.progress import SILENT
from scanprior.workflows.remarks import nameless
from scanprior.workflows.request import Request, fingerprint
from written import FILES

FAST = {"method": "dds", "samples": 2, "options": {"steps": 3}, "baselines": False, "progress": SILENT}


def write_images(path: Path, volume: Volume) -> None:
    """An image set."""
    with h5py.File(path, "w") as file:
        file["images"] = volume.data
        file["images"].attrs["units"] = "HU"
        file["patient"] = np.array(["a"] * len(volume.data), dtype=h5py.string_dtype())
        file["px_mm"] = np.full(len(volume.data), volume.spacing[1])


class Heard:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.stages, self.steps, self.lines, self.closed = [], [], [], 0

    def stage(self, name: str, total: int | None = None) -> None:
        self.stages.append((name, total))

    def update(self, done: int, note: str = "") -> None:
        self.steps.append(done)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def warn(self, line: str) -> None:
        self.lines.append(f"warning: {line}")

    def close(self) -> None:
        self.closed += 1


def test_a_scan_in_memory_gives_what_its_file_gives(
    ct_scan: Scan, ct_prior, tmp_path, scanprior, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = package.reconstruct(ct_scan, prior=ct_prior, seed=4, **FAST)
    assert not list(tmp_path.iterdir())  # nothing is kept
    assert result.mean.shape == result.std.shape == (2, 32, 32) and result.samples.shape == (2, 2, 32, 32)
    assert (result.units, result.spacing) == ("HU", (2.0, 4.0, 4.0))
    np.testing.assert_allclose(result.mean, result.samples.mean(0), rtol=0, atol=0.05)

    write_scan(tmp_path / "scan.h5", ct_scan)
    command = (
        "--method",
        "dds",
        "--prior",
        ct_prior,
        "--seed",
        4,
        "--samples",
        2,
        "--options",
        "steps=3",
        "--no-baselines",
    )
    assert scanprior("reconstruct", tmp_path / "scan.h5", "-o", tmp_path / "out", *command).code == 0
    np.testing.assert_array_equal(
        read_reconstruction(tmp_path / "out" / "reconstruction.h5").samples, result.samples
    )


def test_a_result_is_saved_as_the_command_line_saves_it(ct_scan: Scan, ct_prior, tmp_path) -> None:
    result = package.reconstruct(ct_scan, prior=ct_prior, **FAST)
    assert result.save(tmp_path / "out") == tmp_path / "out"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    stored = read_reconstruction(tmp_path / "out" / "reconstruction.h5")
    np.testing.assert_array_equal(stored.mean, result.mean)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["table"] == result.table and report["input"]["sha256"] == fingerprint(ct_scan)
    with pytest.raises(FileExistsError, match="overwrite"):
        result.save(tmp_path / "out")
    result.save(tmp_path / "out", overwrite=True)


def test_a_result_says_what_it_is(ct_scan: Scan, ct_prior) -> None:
    unsure = replace(ct_scan, noise=None, pixel_assumed=True, remarks=("3 dead pixels were filled",))
    result = package.reconstruct(unsure, prior=ct_prior, **FAST)
    assert result.assumptions[0] == "3 dead pixels were filled" and "--pixel-mm" in result.assumptions[1]
    assert "noise level" in result.assumptions[2]
    assert "found: Gaussian, standard deviation" in result.assumptions[2]
    assert any("worse than FBP" in line for line in result.warnings)  # the prior is untrained
    assert result.card.name == "tiny-ct" and result.scan is unsure
    assert result.table[-1]["method"] == "dds, mean of 2" and result.table[-1]["psnr"] > 5
    words = repr(result)
    assert words.startswith("<Result: 2 x 32 x 32 HU by DDS, prior tiny-ct, 2 samples") and len(words) < 120
    assert "<td>dds, mean of 2</td>" in result._repr_html_()
    assert result._repr_png_().startswith(b"\x89PNG")
    figure = result.plot(-1)
    assert any("slice 1" in text.get_text() for text in figure.texts)
    with pytest.raises(IndexError):
        result.plot(2)


def test_progress_is_told_in_stages(ct_scan: Scan, ct_prior, mri_scan: Scan) -> None:
    heard = Heard()
    package.reconstruct(ct_scan, prior=ct_prior, **FAST | {"progress": heard, "batch": 2})
    assert heard.stages == [
        ("reading", None),
        ("system matrix", None),
        ("sampling", 6),  # 2 slices of 3 steps
        ("audit", None),
    ]
    assert heard.steps[-1] == 6 and heard.steps == sorted(heard.steps) and len(set(heard.steps)) >= 6
    assert heard.closed == 1 and any(line.startswith("warning: worse than FBP") for line in heard.lines)
    heard = Heard()
    package.reconstruct(mri_scan, "zero-filled", baselines=False, progress=heard)
    assert ("coil maps", None) in heard.stages and any("ESPIRiT" in line for line in heard.lines)
    heard = Heard()
    with pytest.raises(UsageError):
        package.reconstruct(ct_scan, "ddss", progress=heard)
    assert heard.closed == 1


def test_slices_of_a_scan_in_memory(ct_scan: Scan, mri_scan: Scan) -> None:
    quick = {"baselines": False, "progress": SILENT}
    whole = package.reconstruct(ct_scan, "fbp", **quick)
    part = package.reconstruct(ct_scan, "fbp", slices=[1], **quick)
    np.testing.assert_array_equal(part.mean, whole.mean[1:])
    assert part.slices == [1] and part.scan.truth.shape == (1, 32, 32)
    moving = replace(mri_scan, mask=np.broadcast_to(mri_scan.mask, (2, 32, 32)).copy())
    assert package.reconstruct(moving, "zero-filled", slices="0", **quick).mean.shape == (1, 32, 32)
    with pytest.raises(FormatError, match="expected 0 to 1"):
        package.reconstruct(ct_scan, "fbp", slices=[2], **quick)


def test_simulate_then_reconstruct(ct_volume: Volume, tmp_path: Path) -> None:
    scan = package.simulate(ct_volume, "ct:views=9,photons=1e5", seed=3, progress=SILENT)
    assert scan.kind == "ct" and scan.data.shape[:2] == (2, 9) and scan.truth is not None
    quick = {"baselines": False, "progress": SILENT}
    two = package.reconstruct(scan, "fbp", **quick)
    one = package.reconstruct(ct_volume, "fbp", simulate="ct:views=9,photons=1e5", seed=3, **quick)
    np.testing.assert_array_equal(one.mean, two.mean)
    with pytest.raises(FormatError, match="holds images, not measured data"):
        package.reconstruct(ct_volume, "fbp", **quick)
    with pytest.raises(FormatError, match="holds measured data"):
        package.simulate(scan, "ct:views=9", progress=SILENT)


def test_a_method_for_other_scans_is_refused_before_the_reading(
    ct_scan, mr_volume, tmp_path, monkeypatch
) -> None:
    write_scan(tmp_path / "scan.h5", ct_scan)

    def never(*arguments: object) -> None:
        raise AssertionError("was read")

    monkeypatch.setattr("scanprior.workflows.plan._scan_of", never)
    for given, method, more in (
        (tmp_path / "scan.h5", "cg-sense", {}),
        (tmp_path / "missing.h5", "fbp", {"simulate": "mri:accel=4"}),
        (mr_volume, "sirt", {"simulate": "mri:accel=4"}),
        (ct_scan, "zero-filled", {}),
    ):
        with pytest.raises(ValueError, match=r"reconstructs .*, the scan is .*; for .* there are "):
            package.reconstruct(given, method, baselines=False, progress=SILENT, **more)


def test_the_command_line_gives_what_python_gives(ct_volume, ct_prior, scanprior, tmp_path) -> None:
    """As the tutorials say: the same measurement from a file, the same figures."""
    write_images(tmp_path / "images.h5", ct_volume)
    spec, few = (
        "views=9,photons=1e5",
        {"method": "dds", "samples": 2, "options": "steps=3", "prior": str(ct_prior)},
    )
    scan = package.simulate(tmp_path / "images.h5", f"ct:{spec}", slices=[1], progress=SILENT)
    want = package.reconstruct(scan, baselines=False, progress=SILENT, **few)
    words = [word for key, value in few.items() for word in (f"--{key}", value)]
    simulated = scanprior(
        "simulate", tmp_path / "images.h5", "--ct", spec, "--slices", 1, "-o", tmp_path / "s.h5"
    )
    assert simulated.code == 0, simulated.err
    done = scanprior("reconstruct", tmp_path / "s.h5", "-o", tmp_path / "out", "--no-baselines", *words)
    assert done.code == 0, done.err
    np.testing.assert_array_equal(
        read_reconstruction(tmp_path / "out" / "reconstruction.h5").samples, want.samples
    )


def test_unknown_settings_get_suggestions(ct_scan: Scan) -> None:
    with pytest.raises(UsageError, match="did you mean 'device'"):
        package.reconstruct(ct_scan, devise="cpu")
    with pytest.raises(UsageError, match="--samples: got 0"):
        Request.of(samples=0)
    assert Request.of(options={"steps": 20, "eta": 0.5}).options == "steps=20,eta=0.5"


def test_files_of_every_kind_are_read_by_path(ct_scan: Scan, tmp_path) -> None:
    write_scan(tmp_path / "scan.h5", ct_scan)
    result = package.reconstruct(str(tmp_path / "scan.h5"), "fbp", baselines=False, progress=SILENT)
    result.save(tmp_path / "out")
    assert read(tmp_path / "out" / "dicom").data.shape == (2, 32, 32)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"samples": 2.0}, "samples: got 2.0, expected a whole number"),
        ({"samples": "2"}, "samples: got '2'"),
        ({"samples": True}, "samples: got True"),
        ({"seed": None}, "seed: got None"),
        ({"method": None}, "method: got None, expected a name of"),
        ({"options": None}, "options: got None"),
        ({"slices": 0}, "--slices: got 0, expected indices from 0"),
        ({"slices": [-1]}, "--slices: got \\[-1\\]"),
        ({"slices": []}, "--slices: got \\[\\]"),
        ({"slices": [1, 1]}, "in which 1 stands twice"),
        ({"slices": [0.5]}, "--slices: got \\[0.5\\]"),
        ({"prior": ""}, "got an empty name of a prior"),
        ({"views": [0, 1]}, "views: got \\[0, 1\\], expected a text"),
        ({"arc": (0, 90)}, "arc: got"),
        ({"mu_water": "0.02"}, "mu_water: got '0.02', expected a number"),
        ({"baselines": "no"}, "baselines: got 'no', expected True or False"),
        ({"reader": None}, "reader: got None"),
        ({"dtype": "float16"}, "--dtype: got 'float16', expected auto, float32, bfloat16"),
    ],
)
def test_settings_of_a_wrong_type_are_refused(ct_scan: Scan, ct_prior, wrong, words) -> None:
    with pytest.raises(UsageError, match=words):
        package.reconstruct(ct_scan, **{**FAST, **wrong})


def test_a_short_name_of_the_input_is_no_part_of_words() -> None:
    assert nameless("a detector was taken; a: 3 dead", "a") == "INPUT detector was taken; INPUT: 3 dead"
    assert nameless("JONES001.dcm: 3 dead", "JONES") == "INPUT001.dcm: 3 dead"
    assert nameless("3 dead pixels", "") == "3 dead pixels"
