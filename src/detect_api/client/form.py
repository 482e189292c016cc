"""A multipart form whose file is read while it is sent."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_PIECE = 256 * 1024

Progress = Callable[[int, int], None]
"""Called with bytes sent and bytes in all."""


class FileForm:
    """The body of a POST with fields and, last, one file.

    Storage reads the fields before the file and refuses a form in which the file comes first.
    Only a small piece of the file is in memory at a time.
    """

    def __init__(
        self,
        fields: Mapping[str, str],
        path: Path,
        *,
        content_type: str,
        on_progress: Progress | None = None,
    ) -> None:
        boundary = f"detect-api-{secrets.token_hex(12)}"
        self._path = path
        self._on_progress = on_progress
        self.size = path.stat().st_size
        head = b""
        for name, value in fields.items():
            head += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
            head += f"\r\n\r\n{value}\r\n".encode()
        filename = path.name.replace("\\", "_").replace('"', "%22")
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"'
            f"\r\nContent-Type: {content_type}\r\n\r\n"
        ).encode()
        self._head = head
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head) + self.size + len(self._tail)),
        }

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        sent = 0
        with self._path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
                sent += len(piece)
                if self._on_progress is not None:
                    self._on_progress(sent, self.size)
        yield self._tail
