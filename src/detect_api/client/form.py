"""A multipart form whose file is read while it is sent."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping

from detect_api.client.source import VideoFile


class FileForm:
    """The body of a POST with fields and, last, one file.

    Storage reads the fields before the file and refuses a form in which the file comes first.
    Only a small piece of the file is in memory at a time.
    """

    def __init__(self, fields: Mapping[str, str], file: VideoFile) -> None:
        boundary = f"detect-api-{secrets.token_hex(12)}"
        self._file = file
        head = b""
        for name, value in fields.items():
            head += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
            head += f"\r\n\r\n{value}\r\n".encode()
        filename = file.name.replace("\\", "_").replace('"', "%22")
        filename = filename.replace("\r", "%0D").replace("\n", "%0A")
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"'
            f"\r\nContent-Type: {file.content_type}\r\n\r\n"
        ).encode()
        self._head = head
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        return len(self._head) + self._file.size + len(self._tail)

    def pieces(self) -> Iterator[bytes]:
        """The body."""
        yield self._head
        yield from self._file.whole().pieces()
        yield self._tail
