"""Where the embedded server keeps its files and listens. Imports nothing of ours or of Django."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

MOST_SOCKET_BYTES = 103  # of a Unix socket's path: 107 on Linux, 103 on macOS


@dataclass(frozen=True)
class Places:
    """The files of the server whose data lies in ``directory``."""

    directory: Path

    @property
    def log(self) -> Path:
        return self.directory / "valkey.log"

    @property
    def users(self) -> Path:
        """Locked (shared) by every process that uses the server."""
        return self.directory / "users.lock"

    @property
    def guardian(self) -> Path:
        """Locked by the guardian and by its server, so held until both are gone."""
        return self.directory / "guardian.lock"

    @property
    def socket(self) -> Path:
        """Beside the data, or where a long path leaves no room for it, in a private directory."""
        beside = self.directory / "valkey.sock"
        if len(os.fsencode(beside)) <= MOST_SOCKET_BYTES:
            return beside
        digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        return Path(f"/tmp/dtps-{os.geteuid()}-{digest}/valkey.sock")  # noqa: S108 (made private)

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}?db=0"
