"""Files that are there whole or not at all.

In: the final path. Out: a temporary path beside it to write to. After a crash at any moment the final path holds
either what was there before or all of the new content; a leftover temporary file has a name beginning with a dot.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def temporary_beside(path: Path) -> Path:
    """Create an empty temporary file in the folder of ``path``, which is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:60]}.", suffix=".part", dir=path.parent)
    os.close(descriptor)
    return Path(name)


def put_in_place(temporary: Path, path: Path) -> None:
    """Make ``temporary`` durable, then give it its final name, then make the name durable: in this order."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    umask = os.umask(0o077)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def replace_durably(path: Path) -> Iterator[Path]:
    """Give a temporary path; at the end of the block it becomes ``path``, after an error it is removed."""
    temporary = temporary_beside(path)
    try:
        yield temporary
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
