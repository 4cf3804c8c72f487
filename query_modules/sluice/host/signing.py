"""
The key that this server signs transform scripts with: a file outside the graph.

A signature states that this server fetched a script with this SHA-256 from this URI while its allow-list contained the
URI. It does not name a stream, so a copy of a stream's nodes (`DUMP DATABASE`) is as good as the original. Users who
may write nodes can copy a signature to another stream, with its URI and script: that stream then runs only what was
allowed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = ".sluice_signing.key"
"In the server's data directory. Memgraph makes no links there to files whose names begin with a dot (3.x)."

MIN_BYTES = 32
"A shorter key can be guessed."

PURPOSE = b"sluice transform 1"
"Keeps signatures apart from whatever else the same key might sign one day."


@dataclass(frozen=True)
class SigningKey:
    """
    Where the key is.

    The file is read whenever a script is pinned or loaded, so this value never changes.
    """

    path: Path
    created_by_us: bool = False
    "Whether it is created, readable only by its owner, when it is first needed and does not exist."

    def __str__(self) -> str:
        return str(self.path)

    def sign(self, uri: str, sha256: str) -> str:
        """
        The signature of a script, in hexadecimal.

        Args:
            uri: where it was fetched from.
            sha256: of its source, in hexadecimal.

        Raises:
            OSError: there is no key, or it cannot be read or created.
            ValueError: the file is too short for a key.
        """
        if self.created_by_us and not self.path.exists():
            self._create()
        return self._signature(self._read(), uri, sha256)

    def verify(self, signature: str, uri: str, sha256: str) -> bool:
        """Whether `sign` made this signature. Does not create a key. Raises as `sign`."""
        return hmac.compare_digest(self._signature(self._read(), uri, sha256).encode(), signature.encode())

    def _signature(self, key: bytes, uri: str, sha256: str) -> str:
        text = b"\0".join((PURPOSE, uri.encode(), sha256.encode()))
        return hmac.new(key, text, hashlib.sha256).hexdigest()

    def _read(self) -> bytes:
        stored = self.path.read_bytes()
        key = stored.strip()  # of the line break after a text
        if len(key) < MIN_BYTES and not stored.isascii():
            key = stored  # random bytes may begin or end with what is a blank in a text
        if len(key) < MIN_BYTES:
            raise ValueError(f"it holds {len(key)} bytes, and a key has {MIN_BYTES} or more")
        return key

    def _create(self) -> None:
        """Creates the file, whole or not at all; if another process was faster, its file stays."""
        draft = self.path.with_name(f"{self.path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(MIN_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(draft, self.path)
        finally:
            draft.unlink()
