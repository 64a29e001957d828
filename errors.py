"""What a user can do wrong, as exceptions of their own: the command line makes one line and exit code 2 of them, and
calls everything else a defect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from opcode import opmap
from pathlib import Path
from sysconfig import get_path

LIBRARIES = {Path(get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}


class UsageError(ValueError):
    """A setting that cannot be: says what was got, what was expected, what to do."""


EXPECTED = (UsageError, OSError, FloatingPointError, MemoryError)


def unknown(what: str, got: str, known: Iterable[str], expected: str = "one of") -> UsageError:
    """The error for a name that is none of `known`, with the nearest of them. `what`: the option, as in `--method`."""
    known = list(known)
    return UsageError(
        f"{what}: got {got!r}, expected {expected} {', '.join(known) or '(there are none)'}{meant(got, known)}"
    )


def meant(got: str, known: Iterable[str]) -> str:
    """The nearest of some names as the end of an error; nothing where none is near."""
    near = get_close_matches(got, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_least(settings: object, least: Mapping[str, int]) -> None:
    """Refuse settings, each an option of its name, that are said and below their least value: UsageError."""
    for name, limit in least.items():
        value = getattr(settings, name)
        if value is not None and value < limit:
            raise UsageError(f"--{name.replace('_', '-')}: got {value}, expected at least {limit}")


def described(error: Exception) -> tuple[int, str]:
    """The exit code of the command line and the one line for an exception. A ValueError is expected where scanprior, or
    code of the user's own, raises it; one that comes out of a library was not foreseen, and is a defect."""
    words = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        words = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, of a GPU
        return 2, f"Error: out of memory ({words or 'no details'}); take fewer slices or samples at a time"
    if isinstance(error, EXPECTED) or refused(error):
        return 2, f"Error: {words or type(error).__name__}"
    hint = "this is a defect of scanprior; SCANPRIOR_DEBUG=1 shows where it happened"
    return 1, f"Error: {type(error).__name__}: {words} ({hint})"


def refused(error: BaseException) -> bool:
    """Whether a ValueError was raised on purpose: of a class of ours, or by a `raise` of ours or of the user's, not
    within a library. What a worker raised comes without its place."""
    trace = error.__traceback__
    if not isinstance(error, ValueError) or trace is None:
        return False
    own_class = type(error).__module__.partition(".")[0] == __name__.partition(".")[0]
    if own_class or type(error.__cause__).__name__ == "_RemoteTraceback":
        return True
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    raised = code.co_code[trace.tb_lasti] == opmap["RAISE_VARARGS"]
    path = Path(code.co_filename)
    ours = path.is_relative_to(Path(__file__).parent)
    return raised and (ours or not any(path.is_relative_to(folder) for folder in LIBRARIES))
