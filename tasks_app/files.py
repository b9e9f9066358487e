"""The files that task types may read: below one configured directory, and nowhere else."""

from pathlib import Path
from typing import Any

from .conf import conf


def readable_file(name: Any) -> Path:
    """The file of a relative name below ``DTPS["FILES_ROOT"]``.

    Raise PermissionError if it lies elsewhere, by ``..``, as an absolute path or through a
    symbolic link; FileNotFoundError; IsADirectoryError; ValueError if this is no name at all.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError("The file must be named by a text, like 'folder/file.txt'.")
    if not conf().files_root:
        raise PermissionError("No file may be read: DTPS['FILES_ROOT'] is not set.")
    root = Path(conf().files_root).resolve()
    outside = PermissionError(f"{name[:200]!r} is not below DTPS['FILES_ROOT'].")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise outside
    try:
        path = (root / name).resolve(strict=True)
    except (OSError, RuntimeError) as error:  # missing, too long, or links in a circle
        raise FileNotFoundError(f"There is no file {name[:200]!r}.") from error
    if not path.is_relative_to(root):
        raise outside
    if path.is_dir():
        raise IsADirectoryError(f"{name[:200]!r} is a directory.")
    if not path.is_file():  # a pipe or a device could be read for ever
        raise PermissionError(f"{name[:200]!r} is not a regular file.")
    return path
