"""A file from an http(s) address: whole, or an error that names the address without its secrets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

CHUNK = 1 << 18  # bytes


class Bar(Protocol):
    """A progress bar as pooch drives it: bytes done, of `total` (0: not known)."""

    total: int

    def update(self, n: int) -> None: ...

    def reset(self) -> None: ...

    def close(self) -> None: ...


def is_address(source: str | Path) -> bool:
    return re.match(r"https?://", str(source), re.IGNORECASE) is not None


def checked_sha256(sha256: str | None) -> str | None:
    """The hash in lower case. Raises ValueError where it is none."""
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise ValueError(f"sha256: got {sha256!r}, expected 64 hexadecimal digits")
    return sha256.lower() if sha256 else None


def download(url: str, file: Path, progress: Bar | None = None) -> None:
    """Raises OSError: with the server's answer, or the reason why there is none."""
    import pooch

    words = without_secrets(url)
    fetcher = pooch.HTTPDownloader(progress or False, CHUNK)  # pyright: ignore[reportArgumentType]
    try:
        fetcher(url, file, None)
    except OSError as error:  # requests' errors are OSErrors without a number; a full disk has one
        if error.errno is not None:
            raise
        response = getattr(error, "response", None)
        if response is not None:
            response.close()
            raise OSError(
                f"{words}: the server answers {response.status_code} {response.reason}; check the address"
            ) from error
        raise OSError(
            f"{words}: not fetched ({type(error).__name__}): no network, no such server, or cut off half-way; try "
            "again (bundled and cached files need no network)"
        ) from error


def without_secrets(url: str) -> str:
    """An address as messages show it: without user, password and query, which may be a signature."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"{url!r} is no address ({error})") from error
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
