"""Output folders and files: refused before the work, whole or not at all, one process at a time."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from scanprior.workflows import output
from scanprior.workflows.output import check_file, check_output, done_so_far, whole_folder

OURS = {"report.html"}
RUN = {"seed": 1, "samples": 8}


def fill(folder: Path, text: str, **options) -> None:
    with whole_folder(folder, True, OURS, **options) as temporary:
        (temporary / "report.html").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


# --- refused before the work
def test_what_cannot_be_written_is_refused(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    for wrong, words in {
        ".": "you work in",
        "..": "you work in",
        "/": "you work in",
        "/proc": "mount point",
        "/proc/new": "cannot be written there",  # what permissions alone do not tell
        tmp_path / "file": "is a file",
        tmp_path / "file" / "new": "is a file",
        tmp_path / "link": "symbolic link",
        tmp_path / "none" / "new": "does not exist",
        tmp_path / ("n" * 250): "cannot be written there",
    }.items():
        with pytest.raises((OSError, ValueError), match=words):
            check_output(Path(wrong), overwrite=True)
    check_output(Path("new"), overwrite=False)
    assert names(tmp_path / "below") == [] and names(tmp_path) == ["below", "file", "link", "real"]


def test_a_file_is_refused_likewise(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1")
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(FileExistsError, match="--overwrite"):
        check_file(tmp_path / "file", False)
    check_file(tmp_path / "file", True)
    with pytest.raises(FileExistsError, match="is the input"):
        check_file(tmp_path / "file", True, tmp_path / "none", tmp_path / "link")
    for wrong, words in {
        tmp_path: "exists and is a folder",
        tmp_path / "link": "symbolic link",
        tmp_path / "none" / "f": "does not exist",
        Path("/proc/f"): "cannot be written there",
    }.items():
        with pytest.raises(OSError, match=words):
            check_file(wrong, True)


@pytest.mark.parametrize("verb", ["simulate", "likelihood"])
def test_no_verb_replaces_its_input(verb: str, tmp_path: Path, scanprior) -> None:
    (tmp_path / "images.h5").write_bytes(b"all I have")
    options = ("--ct", "views=9") if verb == "simulate" else ()
    done = scanprior(verb, tmp_path / "images.h5", "-o", tmp_path / "images.h5", *options, "--overwrite")
    assert (done.code, "is the input" in done.err) == (2, True)
    assert (tmp_path / "images.h5").read_bytes() == b"all I have"


# --- whole or not at all
def test_the_old_or_the_new_result_is_always_there(tmp_path: Path, monkeypatch) -> None:
    """A kill at any step of the replacement: the next start finds one of the two, whole."""
    folder, kill_at, steps = tmp_path / "out", 0, iter(())
    rename, rmtree = Path.rename, shutil.rmtree

    def after_a_step(do):
        def call(*arguments, **options):
            if not next(steps):
                raise SystemExit("killed")  # nothing is tidied up: the next steps raise, too
            return do(*arguments, **options)

        return call

    killed = True
    while killed:
        fill(folder, "old")
        kill_at, killed = kill_at + 1, False
        steps = itertools.chain(itertools.repeat(True, kill_at - 1), itertools.repeat(False))
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", after_a_step(rename))
            patch.setattr(output, "shutil", SimpleNamespace(rmtree=after_a_step(rmtree)))
            try:
                fill(folder, "new")
            except SystemExit:
                killed = True
        if killed:
            kept = [path for path in (folder, tmp_path / ".out.old") if path.exists()]
            assert (kept[0] / "report.html").read_text() in ("old", "new")
            with pytest.raises(FileExistsError, match="--overwrite"), whole_folder(folder, False, OURS):
                pass
            assert (folder / "report.html").read_text() in ("old", "new")
    assert kill_at > 6  # three steps before the block, then two renames and two removals
    assert names(tmp_path) == ["out"] and (folder / "report.html").read_text() == "new"


def test_a_block_that_fails_leaves_the_old_result(tmp_path: Path) -> None:
    fill(tmp_path / "out", "old")
    with pytest.raises(OSError), whole_folder(tmp_path / "out", True, OURS):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == ["out"] and (tmp_path / "out" / "report.html").read_text() == "old"


# --- runs that go on
def stopped(folder: Path, run: dict, done: str = "1") -> None:
    with pytest.raises(KeyboardInterrupt), whole_folder(folder, False, OURS, run) as temporary:
        (done_so_far(temporary) / done).write_text("")
        (temporary / "report.html").write_text("half")
        raise KeyboardInterrupt


def test_the_same_run_finds_what_it_did(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "out"
    stopped(folder, RUN)
    assert ".out.unfinished; the same command goes on" in capsys.readouterr().err
    assert names(tmp_path) == [".out.unfinished"]
    with whole_folder(folder, False, OURS, dict(RUN)) as temporary:
        assert names(done_so_far(temporary)) == ["1"] and names(temporary) == []
        (temporary / "report.html").write_text("whole")
    assert names(tmp_path) == ["out"] and names(folder) == ["report.html"]


def test_another_run_is_refused_and_overwrite_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    stopped(folder, RUN)
    for other, words in (({**RUN, "seed": 2}, r"\(seed differ\)"), (None, "another verb")):
        with pytest.raises(FileExistsError, match=words), whole_folder(folder, False, OURS, other):
            pass
    assert names(tmp_path / ".out.unfinished" / "done") == ["1"]
    with whole_folder(folder, True, OURS, {**RUN, "seed": 2}) as temporary:
        assert names(done_so_far(temporary)) == []


def test_what_is_not_ours_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / ".out.unfinished").mkdir()
    (tmp_path / ".out.unfinished" / "thesis.tex").write_text("years")
    with pytest.raises(FileExistsError, match=r"thesis\.tex"), whole_folder(tmp_path / "out", True, OURS):
        pass
    assert names(tmp_path / ".out.unfinished") == ["thesis.tex"]


def test_nothing_done_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wrong"), whole_folder(tmp_path / "out", False, OURS, RUN):
        raise ValueError("wrong")
    assert names(tmp_path) == []


# --- one process at a time
HOLD = """
import sys, time
from pathlib import Path
from scanprior.workflows.output import whole_folder
with whole_folder(Path(sys.argv[1]), True, {"report.html"}):
    print("here", flush=True)
    time.sleep(60)
"""


def holding(folder: Path) -> subprocess.Popen:
    """Another process at work on the folder."""
    other = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "here\n"
    return other


def test_two_runs_do_not_meet_and_a_killed_one_is_not_in_the_way(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with holding(folder) as other:
        with pytest.raises(FileExistsError, match=f"another run \\(process {other.pid} on "):
            fill(folder, "mine")
        assert (tmp_path / ".out.unfinished").is_dir()  # theirs
        other.kill()
    fill(folder, "mine")
    assert names(tmp_path) == ["out"]


def test_sigterm_tidies_up(tmp_path: Path) -> None:
    with holding(tmp_path / "out") as other:
        other.terminate()
    assert other.returncode == 143
    assert names(tmp_path) == []


FORK = """
import os, signal, sys, time
from pathlib import Path
from scanprior.workflows.output import whole_folder
with whole_folder(Path(sys.argv[1]), True, {"report.html"}) as temporary:
    (ready, says), child = os.pipe(), os.fork()
    while not child:
        os.write(says, b"1")
        time.sleep(0.01)
    os.read(ready, 1)
    os.kill(child, signal.SIGTERM)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    (temporary / "report.html").write_text("whole")
"""


def test_a_child_that_is_ended_touches_nothing(tmp_path: Path) -> None:
    """Nor does it take its parent's results with it."""
    command = [sys.executable, "-c", FORK, tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "143\n" and names(tmp_path) == ["out"]
