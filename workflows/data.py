"""Images to evaluate on: those that come with the package, and larger sets into the cache, by address, whole and
checked, or not at all.

    scan = example("mri:accel=4")                                                 # simulated, of one slice
    images = example_images("ct")                                                 # one slice of each test patient
    folder = fetch_data("https://example.org/scans.tar.gz", sha256="5c9e…")       # then SCANPRIOR_DATA=folder

A set is the folder `home()/data/NAME`, NAME from the address. What arrives lies in a temporary folder beside it until
its hash is right and it is unpacked. Archives are unpacked within that folder only, without links that lead out of it.
"""

from __future__ import annotations

import re
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..formats.scan import Scan
from ..modality import Modality
from ..pretrained.cache import home, sha256_of
from ..pretrained.download import Bar, checked_sha256, download, is_address, without_secrets
from ..recon.simulate import simulation_of
from .benchmark.suite import PACKAGED
from .progress import SILENT
from .simulate import simulate

ARCHIVE = re.compile(r"\.(tar|tar\.gz|tgz|tar\.xz|tar\.bz2|zip)$", re.IGNORECASE)
SLICE = {Modality.CT: 5, Modality.MR: 2}  # of the images that come with the package, in `example`
HASH = ".sha256"  # in the folder of a set: of what was fetched


def example_images(modality: str) -> Path:
    """The test slices that come with the package, an image set: "ct" in HU, or "mri", T1 brains. One slice a patient,
    with source and licence in the file; to evaluate with, never to train on. Raises ValueError for another modality."""
    files = {Modality.CT: "ct/ct256_test.h5", Modality.MR: "mri/t1_test.h5"}
    try:
        return PACKAGED / files[Modality(modality)]
    except (ValueError, KeyError):
        raise ValueError(f"example_images: got {modality!r}, expected 'ct' or 'mri'") from None


def example(measurement: str = "ct:views=23,photons=1e5", seed: int = 0) -> Scan:
    """A scan to try things on, with its truth: one of the slices that come with the package, measured in simulation.

    Args:
        measurement: "ct:views=23,photons=1e5" (a chest) or "mri:accel=4,coils=8" (a brain), as of `simulate`.
        seed: of the noise, the phase and the mask.

    Raises:
        UsageError: an unknown measurement or setting.
    """
    modality = simulation_of(measurement, "example").modality
    return simulate(example_images(modality), measurement, [SLICE[modality]], seed, SILENT)


def fetch_data(url: str, sha256: str | None = None, progress: Bar | None = None) -> Path:
    """The folder of a set of images, fetched unless it is in the cache.

    Args:
        url: http(s) address of an archive (.tar, .tar.gz, .zip …), which is unpacked, or of one file, which is kept.
        sha256: of what the address gives, as whoever offers it says; None: not checked.
        progress: told of the download.

    Returns the folder that holds the files; of an archive with one folder at its top, that one.

    Raises OSError (no answer, an error of the server), FileExistsError (another set of that name is in the cache) and
    ValueError (no address, wrong hash, a damaged archive or one that reaches outside of its folder).
    """
    expected = checked_sha256(sha256)
    if not is_address(url):
        raise ValueError(
            f"{url!r}: got no http(s) address; set SCANPRIOR_DATA to a folder that is on this machine"
        )
    words = without_secrets(url)
    name = Path(unquote(urlsplit(url).path)).name
    stem = ARCHIVE.sub("", name)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", stem):
        raise ValueError(f"{words}: got the name {stem!r}, expected an address that ends with a file's name")
    folder = home() / "data" / stem
    if folder.exists():
        return _inside(_kept(folder, expected))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incoming-", dir=folder.parent) as work:
        file, new = Path(work) / name, Path(work) / "new"
        new.mkdir()
        download(url, file, progress)
        got = sha256_of(file)
        if expected not in (None, got):
            raise ValueError(
                f"{words}: sha256 is {got[:16]}…, expected {expected[:16] if expected else ''}…; another file or a "
                "damaged one, nothing was kept"
            )
        if ARCHIVE.search(name):
            _unpack(file, new, words)
        else:
            file.replace(new / name)
        (new / HASH).write_text(got)
        new.replace(folder)
    return _inside(folder)


def _kept(folder: Path, expected: str | None) -> Path:
    """A set in the cache. Raises FileExistsError where it is another one."""
    path = folder / HASH
    got = path.read_text() if path.is_file() else "not known"
    if expected not in (None, got):
        raise FileExistsError(f"{folder} holds another set (sha256 {got[:16]}…); remove it to fetch this one")
    return folder


def _inside(folder: Path) -> Path:
    found = [path for path in folder.iterdir() if path.name != HASH]
    return found[0] if len(found) == 1 and found[0].is_dir() else folder


def _unpack(file: Path, folder: Path, words: str) -> None:
    try:
        if file.suffix.lower() == ".zip":
            with zipfile.ZipFile(file) as archive:
                archive.extractall(folder)  # leaves out what leads outside
        else:
            with tarfile.open(file) as archive:
                archive.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ValueError(f"{words}: cannot be unpacked ({error}); nothing was kept") from error
