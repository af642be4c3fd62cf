"""May a SQLite ledger lie on this file system?

Input: a path, and the mount table as Linux shows it (``/proc/mounts``, proc(5)). Output: the type of a network
file system under that path, or None.

SQLite's write-ahead log needs memory shared by all its users, which no network file system gives, and its locks are
only as good as the file system's ("WAL does not work over a network filesystem", sqlite.org/wal.html, and "How To
Corrupt An SQLite Database File", section 2, both read 2026-11). EFS is mounted as ``nfs4``. Where the mount table
cannot be read (not Linux) nothing is claimed.
"""

import re
from pathlib import Path

MOUNT_TABLE = Path("/proc/mounts")

_NETWORK_TYPES = frozenset(
    {
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "gpfs",
        "lustre",
        "nfs",
        "nfs3",
        "nfs4",
        "orangefs",
        "smb2",
        "smb3",
        "smbfs",
        "wekafs",
        "fuse.ceph",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.goofys",
        "fuse.juicefs",
        "fuse.mount-s3",
        "fuse.mountpoint-s3",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
    }
)
_OCTAL_ESCAPE = re.compile(r"\\([0-7]{3})")


def read_mount_table() -> str:
    """Return the mount table's text, or an empty one where the system has none."""
    try:
        return MOUNT_TABLE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def network_filesystem(path: Path, mount_table: str) -> str | None:
    """Return the type of the network file system that holds the absolute ``path``, or None when it is local or unknown.

    The longest mount point above the path decides; of two mounts on one point the later one, which hides the earlier.
    """
    best_depth, best_type = -1, ""
    for line in mount_table.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:  # noqa: PLR2004 - source, mount point, type
            continue
        mount_point = Path(_OCTAL_ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[1]))
        depth = len(mount_point.parts)
        if depth >= best_depth and path.is_relative_to(mount_point):
            best_depth, best_type = depth, fields[2]
    return best_type if best_type in _NETWORK_TYPES else None
