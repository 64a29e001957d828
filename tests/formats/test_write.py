"""Files are whole or not there, and an error names the file that was asked for."""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.formats.write import atomic


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process grows beyond 4 KiB; not while pytest writes, whose log may be a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def text(path: Path) -> None:
    path.write_bytes(b"x" * 10_000)


def hdf5(path: Path) -> None:  # h5py's error has neither number nor name
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(10_000)


@pytest.mark.parametrize("write", [text, hdf5])
def test_a_full_disk_leaves_the_old_file_and_is_named(tmp_path, write) -> None:
    target = tmp_path / "results.h5"
    target.write_bytes(b"old")
    with full_disk(), pytest.raises(OSError) as raised, atomic(target) as temporary:
        write(temporary)
    assert raised.value.filename == str(target)
    assert "cannot be written" in str(raised.value.strerror)
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


def test_an_error_of_a_file_that_is_read_keeps_its_name(tmp_path) -> None:
    with pytest.raises(FileNotFoundError) as raised, atomic(tmp_path / "out") as _:
        (tmp_path / "input").read_bytes()
    assert raised.value.filename == str(tmp_path / "input") and raised.value.errno == errno.ENOENT
