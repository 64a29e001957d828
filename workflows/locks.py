"""One process at a time: a lock on an open file or folder, which the system takes back however its process ends."""

from __future__ import annotations

import errno

try:
    import fcntl
except ImportError:  # Windows has none: two runs into one folder are not told apart there
    fcntl = None

UNLOCKABLE = (errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK)  # file systems without locks


def take(descriptor: int) -> bool:
    """Lock what is open, until it is closed; False where another process holds it. True where nothing can be locked."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in UNLOCKABLE:
            raise
    return True
