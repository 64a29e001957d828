"""Mutated files of every format, read, described and validated: what happens, for docs/reliability.md.

    python benchmarks/hostile.py --inputs 2000                      # every format, one row each
    python benchmarks/hostile.py --formats ismrmrd --inputs 200000  # hours: each input is read four times
    python benchmarks/hostile.py --formats nifti-1 --write 17 -o bad.nii   # one input, to look into

An input is a sound small file with one to four `Change`s, of its structure (a dataset, an attribute, an element, a
header field gets another type, shape or value, or is lost) or of its bytes. The inputs are numbered, and a number is
always the same input. They are read in a worker, so that a crash of the process that reads is counted and survived.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scanprior.formats.image_set import read_images
from scanprior.formats.nifti import write_nifti
from scanprior.formats.read import describe, read
from scanprior.formats.scan import FormatError, Scan, Volume
from scanprior.formats.store import write_reconstruction, write_scan
from scanprior.geometry import ParallelBeam
from scanprior.workflows.validate import examine

Change = tuple[str, float, int]  # what, where (0 to 1), which value
STRUCTURE, BYTES = ("drop", "swap", "say"), ("flip", "word", "cut", "repeat", "zero")
MEMORY = 1.0  # GB that reading may take
SLOW = 10.0  # s: longer is a hang
CHUNK = 100  # inputs a worker
FATES = ("read", "refused", "library crashed", "library froze", "escaped", "crashed", "hung")
ODD: list[Any] = [
    np.float64("nan"), np.inf, -1, 0, 1 << 40, "", "nan", "Jane Doe", b"\xff\xfe", True, 1e300, [], [1.0, 2.0],
    ["a", "b"], np.zeros((0, 4)), np.full((2, 2), np.nan), np.ones(3, bool), np.ones((1, 1, 1, 1, 1)), np.array(3j),
    np.zeros(2, [("a", "i4"), ("b", "f8")]), h5py.Empty("f4"), np.array([b"x" * 300]), np.ones((2, 3), np.int8),
]  # fmt: skip
WORDS = [
    b"1,5",
    b"nan",
    b"",
    b"\\\\",
    b"1e999",
    b"-1",
    b"9" * 40,
    b"\xff\x00",
    b"0",
    b"1\\2\\3\\4",
    b"Z" * 200,
]
XML = """<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
<experimentalConditions><H1resonanceFrequency_Hz>63500000</H1resonanceFrequency_Hz></experimentalConditions>
<encoding><encodedSpace><matrixSize><x>16</x><y>8</y><z>1</z></matrixSize><fieldOfView_mm><x>32</x><y>16</y><z>3</z>
</fieldOfView_mm></encodedSpace><reconSpace><matrixSize><x>8</x><y>8</y><z>1</z></matrixSize><fieldOfView_mm><x>16</x>
<y>16</y><z>3</z></fieldOfView_mm></reconSpace><encodingLimits><kspace_encoding_step_1><minimum>0</minimum>
<maximum>7</maximum><center>4</center></kspace_encoding_step_1></encodingLimits><trajectory>cartesian</trajectory>
</encoding></ismrmrdHeader>"""


# --- sound files
def _noise(*shape: int) -> np.ndarray:
    parts = np.random.default_rng(0).standard_normal((2, *shape), np.float32)
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


def _ismrmrd(path: Path) -> None:
    import ismrmrd

    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    dataset.write_xml_header(XML.encode())
    for number in range(18):
        readout = ismrmrd.Acquisition.from_array(_noise(2, 16))
        readout.idx.slice, readout.idx.kspace_encode_step_1 = number // 8, number % 8
        readout.center_sample, readout.sample_time_us = 8, 5.0
        if number >= 16:
            readout.idx.slice = 0
            readout.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        dataset.append_acquisition(readout)
    dataset.close()


def _fastmri(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "kspace", data=_noise(2, 3, 16, 8) * (np.arange(8) > 0), chunks=(1, 3, 16, 8), compression="gzip"
        )
        file["ismrmrd_header"], file["mask"] = XML, np.minimum(np.arange(8), 1)
        file.attrs.update({"acquisition": "AXT2", "patient_id": "p", "max": 1.0})


def _dxchange(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["exchange/data"] = np.random.default_rng(0).integers(100, 900, (6, 3, 8)).astype(np.uint16)
        file["exchange/data_white"], file["exchange/data_dark"] = (
            np.full((2, 3, 8), 1000),
            np.full((2, 3, 8), 5),
        )
        file["exchange/theta"] = np.arange(0, 180, 30.0)
        file["exchange/theta"].attrs["units"] = "deg"
        file["measurement/instrument/detector/pixel_size"] = 2.0


def _sinogram(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["sinogram"], file["angles_deg"] = np.ones((2, 9, 8), np.float32), np.arange(0, 180, 20.0)
        file["mask"] = np.ones((9, 8), np.uint8)
        file.attrs.update({"geometry": "fan beam, flat", "detector_pixel_mm": 1.0, "source_origin_mm": 50.0})
        file.attrs.update(
            {"source_detector_mm": 90.0, "matrix": (8, 8), "detectors": 8, "detector_offset": 0.5}
        )


def _kspace(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", data=_noise(2, 2, 8, 8), chunks=True, shuffle=True, compression="lzf")
        file["mask"] = np.ones((8, 8), bool)
        file.attrs["pixel_mm"] = 1.0


def _scan(path: Path) -> None:
    geometry = ParallelBeam(np.linspace(0, 3, 6), 8, 1.0)
    noise = {"type": "photon", "photons": 1e5, "electronic": 1.0}
    data = np.ones((2, 6, 8), np.float32)
    header = {"modality": "CT", "mu_water": 0.02}
    mask = np.ones((6, 8), bool)
    truth = np.ones((2, 8, 8), np.float32)
    write_scan(path, Scan("ct", data, (8, 8), 1.0, geometry, mask, noise=noise, truth=truth, header=header))


def _mri_scan(path: Path) -> None:
    noise = {"type": "complex_gaussian", "sigma": 0.1}
    write_scan(path, Scan("mri", _noise(2, 2, 8, 8), (8, 8), 1.0, maps=_noise(2, 2, 8, 8), noise=noise))


def _reconstruction(path: Path) -> None:
    mean = np.ones((2, 8, 8), np.float32)
    write_reconstruction(path, mean, mean, mean[None], "HU", (2.0, 1.0, 1.0), {"method": "fbp"})


def _image_set(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "images", data=np.ones((6, 8, 8), np.uint16), chunks=(1, 8, 8), compression="gzip"
        )
        file["images"].attrs["units"] = "HU + 1024"
        file["px_mm"], file["thick"] = np.ones(6), np.full(6, 2.0)
        file["patient"] = np.array(["a", "a", "b", "b", "c", "c"], h5py.string_dtype())


def _dicom(path: Path) -> None:
    import pydicom.data

    image = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm", download=False))
    image.remove_private_tags()
    image.Rows = image.Columns = 8
    image.PixelData = np.arange(64, dtype="<i2").tobytes()
    del image.DataSetTrailingPadding
    image.save_as(path)


def _nifti(path: Path, packed: bool = False, second: bool = False) -> None:
    if second:
        import nibabel

        nibabel.save(nibabel.Nifti2Image(np.ones((4, 5, 6), np.int16), np.diag([1.0, 1, 2, 1])), path)
        return
    name = path.with_name("seed.nii.gz" if packed else "seed.nii")
    write_nifti(name, Volume(np.ones((3, 5, 4), np.float32), "magnitude", "MR", (2.0, 1.0, 1.0)))
    if name != path:
        name.replace(path)


def _nxtomo(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["entry/definition"] = "NXtomo"
        detector = file.create_group("entry/instrument/detector")
        frames = np.random.default_rng(0).integers(100, 900, (9, 3, 8)).astype(np.uint16)
        frames[[0, 8]], frames[1] = 1000, 5
        detector["data"] = frames
        detector["image_key"] = np.array([1, 2, 0, 0, 0, 0, 0, 0, 1])
        file["entry/sample/rotation_angle"] = np.r_[0, 0, np.arange(0, 180, 30.0), 180]
        for name, kind in (
            ("entry", "NXentry"),
            ("entry/instrument", "NXinstrument"),
            ("entry/sample", "NXsample"),
        ):
            file[name].attrs["NX_class"] = kind
        detector.attrs["NX_class"] = "NXdetector"


def _matlab(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        values = np.zeros((2, 8, 8), [("real", "f8"), ("imag", "f8")])
        values["real"] = 1
        file["kspace"] = values
        file["kspace"].attrs["MATLAB_class"] = np.bytes_(b"double")


def _npy(path: Path) -> None:
    np.save(path, _noise(1, 2, 8, 8))


FORMATS: dict[str, tuple[str, Callable[[Path], None]]] = {  # name -> ending, what writes a sound one
    "ismrmrd": (".h5", _ismrmrd),
    "fastmri": (".h5", _fastmri),
    "dxchange": (".h5", _dxchange),
    "simple-sinogram": (".h5", _sinogram),
    "simple-kspace": (".h5", _kspace),
    "scanprior-scan": (".h5", _scan),
    "scanprior-scan-mri": (".h5", _mri_scan),
    "scanprior-reconstruction": (".h5", _reconstruction),
    "image-set": (".h5", _image_set),
    "nxtomo": (".h5", _nxtomo),
    "matlab": (".h5", _matlab),
    "npy": (".npy", _npy),
    "dicom": (".dcm", _dicom),
    "nifti-1": (".nii", _nifti),
    "nifti-1-gz": (".nii.gz", lambda path: _nifti(path, packed=True)),
    "nifti-2": (".nii", lambda path: _nifti(path, second=True)),
}


def sound(name: str, folder: Path) -> Path:
    """A sound file of a format."""
    ending, write = FORMATS[name]
    path = folder / f"{name}{ending}"
    if not path.exists():
        write(path)
    return path


# --- changes
def changes(rng: np.random.Generator) -> list[Change]:
    """One to four, half of them near the beginning of the file."""
    kinds = (STRUCTURE, BYTES)[int(rng.integers(2))]
    return [
        (str(rng.choice(kinds)), float(rng.random() ** int(rng.integers(1, 4))), int(rng.integers(1 << 32)))
        for _ in range(int(rng.integers(1, 5)))
    ]


def mutate(seed: Path, target: Path, wanted: Iterable[Change]) -> None:
    """Write the changed copy of a sound file."""
    shutil.copy(seed, target)
    structure = [change for change in wanted if change[0] in STRUCTURE]
    for change in structure if seed.suffix == ".h5" else ():
        _in_hdf5(target, *change)
    for change in structure if seed.suffix == ".dcm" else ():
        with contextlib.suppress(Exception):  # after one change pydicom may not read it any more
            _in_dicom(target, *change)
    raw = target.read_bytes()
    packed = raw[:2] == b"\x1f\x8b"
    raw = bytearray(gzip.decompress(raw) if packed else raw)
    for change in structure if seed.name.startswith("nifti") else ():
        _in_header(raw, *change)
    rest = [change for change in wanted if change[0] in BYTES]
    outside = packed and bool(rest) and rest[0][2] % 4 == 0  # the bytes of the gzip file itself
    if outside:
        raw = bytearray(gzip.compress(raw, 1, mtime=0))
    for change in rest:
        _in_bytes(raw, *change)
    target.write_bytes(gzip.compress(raw, 1, mtime=0) if packed and not outside else raw)


def _in_hdf5(path: Path, what: str, where: float, which: int) -> None:
    with h5py.File(path, "r+") as file:
        places: list[tuple[str, str | None]] = [("/", key) for key in file.attrs]
        file.visititems(
            lambda name, item: places.extend([(name, None), *((name, key) for key in item.attrs)])
        )
        if not places:
            return
        name, key = places[int(where * len(places))]
        owner, key = (file[name].attrs, key) if key is not None else (file, name)
        if what == "swap" and isinstance(old := owner[key] if owner is file else None, h5py.Dataset):
            new = _another(old, which)
        else:
            new = ODD[which % len(ODD)]
        del owner[key]
        if what != "drop":
            try:
                owner[key] = new
            except (TypeError, ValueError):  # what h5py cannot write
                owner[key] = 1.0


def _another(data: h5py.Dataset, which: int) -> Any:
    """The same numbers as another type or shape."""
    values = np.asarray(data[()]) if data.shape is not None and data.dtype.names is None else np.ones(3)
    types = ["f8", "i4", "u1", "c8", "?", ">f4", "f2"]
    ways: list[Callable[[], Any]] = [
        lambda: values[..., None],
        lambda: values[None],
        lambda: values.reshape(-1),
        lambda: values.reshape(-1)[:0],
        lambda: values.reshape(-1)[:1].reshape(()),
        lambda: values.T,
        lambda: values * np.float32("nan"),
        *(lambda t=t: values.astype(t) for t in types),
    ]
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            return ways[which % len(ways)]()
    except (TypeError, ValueError):
        return np.ones((2, 2))


def _in_dicom(path: Path, what: str, where: float, which: int) -> None:
    import pydicom

    image = pydicom.dcmread(path)
    tags = sorted(image.keys())
    tag = tags[int(where * len(tags))]
    old = image.get_item(tag)
    del image[tag]
    if what != "drop":
        new = WORDS[which % len(WORDS)] + b" " * (len(WORDS[which % len(WORDS)]) % 2)
        image[tag] = pydicom.dataelem.RawDataElement(tag, old.VR, len(new), new, 0, False, True)
    image.save_as(path)


def _in_header(raw: bytearray, what: str, where: float, which: int) -> None:
    """A field of the NIfTI header gets another value."""
    import nibabel

    kind = nibabel.Nifti2Header if raw[4:6] == b"n+" else nibabel.Nifti1Header
    fields = kind.template_dtype.fields
    dtype, offset = list(fields.values())[int(where * len(fields))][:2]
    base, shape = dtype.subdtype or (dtype, ())
    at = offset + (which >> 8) % max(int(np.prod(shape, dtype=int)), 1) * base.itemsize
    values = [0, -1, 1, 2, 7, 16, 255, 1 << 14, 1 << 30, np.nan, np.inf, -np.inf, 1e30, 1e-40, 0.5]
    with np.errstate(all="ignore"):
        new = np.array(values[which % len(values)]).astype(base if base.kind in "iuf" else "u1")
    raw[at : at + new.nbytes] = new.tobytes()


def _in_bytes(raw: bytearray, what: str, where: float, which: int) -> None:
    if not raw:
        return
    at = min(int(where * len(raw)), len(raw) - 1)
    if what == "flip":
        raw[at] ^= which % 255 + 1
    elif what == "word":
        words = [0, 1, -1, 1 << 31, 1 << 63, (1 << 63) - 1, len(raw), len(raw) + 1, at, 96, 1 << 20]
        size = (1, 2, 4, 8)[which // 16 % 4]
        raw[at : at + size] = (words[which % len(words)] % (1 << 8 * size)).to_bytes(size, "little")
    elif what == "cut":
        del raw[at:]
    elif what == "repeat":
        block = raw[at : at + 64]
        to = which % len(raw)
        raw[to : to + len(block)] = block
    else:
        raw[at : at + 64] = bytes(len(raw[at : at + 64]))


# --- what happens
def fate(path: Path) -> tuple[str, str, float]:
    """(one of FATES, what escaped and where, the longest time [s])."""
    found, longest = "read", 0.0
    verbs: tuple[Callable[[], Any], ...] = (
        lambda: describe(path, max_memory=MEMORY),
        lambda: read(path, max_memory=MEMORY, slices=[0]),
        lambda: _examined(path),
        lambda: _one_by_one(path),
    )
    for verb in verbs:
        start = time.perf_counter()
        try:
            verb()
        except FormatError as error:
            words = str(error)
            crashed, froze = "reader crashed" in words or "was killed" in words, "took longer than" in words
            now = "library crashed" if crashed else "library froze" if froze else "refused"
            found = max(found, now, key=FATES.index)
        except Exception as error:
            frames = [
                f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)
            ]
            return "escaped", f"{type(error).__name__} {' <- '.join(frames[:-4:-1])}", longest
        longest = max(longest, time.perf_counter() - start)
    return ("hung" if longest > SLOW else found), "", longest


def _examined(path: Path) -> None:
    found = examine(path, max_memory=MEMORY)
    if found["problems"]:
        raise FormatError(found["problems"][0])


def _one_by_one(path: Path) -> None:
    """The images of a set as training reads them, in our own process."""
    if path.name.endswith("image-set.h5"):
        images = read_images(path)
        for index in range(len(images)):
            images[index]


def _work(name: str, numbers: range, seed: int, folder: Path, log: Path) -> None:
    source = sound(name, folder)
    target = folder / f"{numbers.start}-{source.name}"
    if name == "ismrmrd":  # once, not in every process that reads
        import ismrmrd  # noqa: F401
    with log.open("a") as file:
        for number in numbers:
            mutate(source, target, changes(np.random.default_rng([seed, number])))
            print(json.dumps([number, *fate(target)]), file=file, flush=True)
    target.unlink(missing_ok=True)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    with log.open("a") as file:
        print(json.dumps(["peak", peak / 1e3]), file=file, flush=True)


def campaign(name: str, inputs: int, seed: int = 0) -> tuple[Counter[str], list[str], float, float]:
    """How many inputs met which of FATES; "number: what" of those that should not have; the longest time [s]; the
    largest memory of a process [MB]."""
    met: Counter[str] = Counter()
    bad, longest, peak, done = [], 0.0, 0.0, 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sound(name, folder)
        while done < inputs:
            log = folder / "log"
            log.unlink(missing_ok=True)
            numbers = range(done, min(done + CHUNK, inputs))
            worker = multiprocessing.get_context("fork").Process(
                target=_work, args=(name, numbers, seed, folder, log)
            )
            worker.start()
            worker.join(CHUNK * 60)
            frozen = worker.is_alive()
            worker.kill()
            worker.join()
            for entry in _entries(log):
                if entry[0] == "peak":
                    peak = max(peak, entry[1])
                    continue
                number, what, where, seconds = entry
                met[what] += 1
                longest, done = max(longest, seconds), number + 1
                if what in ("escaped", "hung"):
                    bad.append(f"{number}: {what} {where} {seconds:.1f} s")
            if done < numbers.stop:  # the worker did not come to an end
                what = "hung" if frozen else "crashed"
                met[what] += 1
                bad.append(f"{done}: {what} (exit code {worker.exitcode})")
                done += 1
    return met, bad, longest, peak


def _entries(log: Path) -> Iterator[list[Any]]:
    for line in log.read_text().splitlines() if log.exists() else ():
        yield json.loads(line)


def row(name: str, inputs: int, seed: int) -> tuple[str, list[str]]:
    """A line of the table in docs/reliability.md, and what went wrong."""
    met, bad, longest, peak = campaign(name, inputs, seed)
    counts = " | ".join(f"{met[what]:,}" for what in FATES)
    return f"| {name} | {inputs:,} | {counts} | {longest:.1f} | {peak:.0f} |", bad


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=int, help="write the input of this number")
    parser.add_argument("-o", "--output", type=Path, help="where to write it")
    given = parser.parse_args()
    if given.write is not None:
        with tempfile.TemporaryDirectory() as folder:
            wanted = changes(np.random.default_rng([given.seed, given.write]))
            mutate(sound(given.formats[0], Path(folder)), given.output, wanted)
            print(wanted)
        return
    print("| format | inputs | " + " | ".join(FATES) + " | longest [s] | memory [MB] |")
    print("|---" * (len(FATES) + 4) + "|")
    for name in given.formats:
        line, bad = row(name, given.inputs, given.seed)
        print(line, flush=True)
        for words in bad:
            print(f"  {name} {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
