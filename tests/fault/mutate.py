"""Video files changed by chance where it matters: at the borders and in the fields of their
elements (boxes of MP4, elements of Matroska, chunks of AVI, tags of FLV, packets of TS).

``mutant(number, files)`` is the same for the same number and files.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

MOST_ELEMENTS = 5000
_HEADER_BYTES = 400
"""Fields of large elements are looked for in so many of their first bytes."""

_MP4_PARENTS = {
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"udta", b"moof", b"traf",
    b"mvex",
}  # fmt: skip
_MKV_PARENTS = {
    0x1A45DFA3, 0x18538067, 0x114D9B74, 0x4DBB, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0x1F43B675,
    0xA0, 0x1C53BB6B, 0xBB, 0xB7, 0x1254C367, 0x7373,
}  # fmt: skip
_TS_BYTES = 188

Order = Literal["big", "little"]


@dataclass(frozen=True)
class Element:
    """Bytes ``start`` to ``end`` of a file; its content begins at ``body``.

    ``size_at`` and ``size_bytes`` say where its size stands, ``counted`` what that counts less
    than the bytes from ``body`` to ``end`` (a box counts its header, too: then it is negative).
    An EBML size keeps the marker of its length. No size: ``size_bytes`` is 0.
    """

    start: int
    body: int
    end: int
    size_at: int
    size_bytes: int
    order: Order = "big"
    ebml: bool = False
    counted: int = 0
    parents: tuple[Element, ...] = ()

    def written(self, size: int) -> bytes:
        """The size field for a content of so many bytes, as far as it fits."""
        bits = 7 * self.size_bytes if self.ebml else 8 * self.size_bytes
        value = max(0, size - self.counted) % (1 << bits)
        marker = 1 << bits if self.ebml else 0
        return (value | marker).to_bytes(self.size_bytes, self.order)


def elements(data: bytes) -> list[Element]:
    """The elements of a file, those within others too, as far as it can be followed."""
    if data[4:8] in (b"ftyp", b"styp", b"moov", b"wide"):
        found = _boxes(data, 0, len(data), ())
    elif data[:4] == b"\x1a\x45\xdf\xa3":
        found = _ebml(data, 0, len(data), ())
    elif data[:4] == b"RIFF":
        found = _chunks(data, 0, len(data), ())
    elif data[:3] == b"FLV":
        found = _tags(data)
    else:
        found = _packets(data)
    several = []
    for element in found:
        several.append(element)
        if len(several) == MOST_ELEMENTS:
            break
    return several


def _boxes(data: bytes, at: int, end: int, parents: tuple[Element, ...]) -> Iterator[Element]:
    while at + 8 <= end:
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size < 8 or at + size > end:
            return
        box = Element(at, at + 8, at + size, at, 4, counted=-8, parents=parents)
        yield box
        if kind in _MP4_PARENTS:
            yield from _boxes(data, box.body, box.end, (*parents, box))
        elif kind in (b"stsd", b"dref"):
            yield from _boxes(data, box.body + 8, box.end, (*parents, box))
        elif kind in (b"avc1", b"mp4v", b"hvc1", b"av01", b"vp09"):
            yield from _boxes(data, box.body + 78, box.end, (*parents, box))
        at += size


def _ebml(data: bytes, at: int, end: int, parents: tuple[Element, ...]) -> Iterator[Element]:
    while at < end:
        id_bytes = _vint_bytes(data, at)
        size_at = at + id_bytes
        size_bytes = _vint_bytes(data, size_at)
        if not id_bytes or not size_bytes or size_at + size_bytes > end:
            return
        body = size_at + size_bytes
        mask = (1 << 7 * size_bytes) - 1
        size = int.from_bytes(data[size_at:body], "big") & mask
        stop = end if size == mask else body + size  # all ones: unknown
        if stop > end:
            return
        element = Element(at, body, stop, size_at, size_bytes, ebml=True, parents=parents)
        yield element
        if int.from_bytes(data[at:size_at], "big") in _MKV_PARENTS:
            yield from _ebml(data, body, stop, (*parents, element))
        at = stop


def _vint_bytes(data: bytes, at: int) -> int:
    return 9 - data[at].bit_length() if at < len(data) and data[at] else 0


def _chunks(data: bytes, at: int, end: int, parents: tuple[Element, ...]) -> Iterator[Element]:
    while at + 8 <= end:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        stop = at + 8 + size + size % 2
        if stop > end:
            return
        chunk = Element(at, at + 8, stop, at + 4, 4, "little", counted=size % 2, parents=parents)
        yield chunk
        if data[at : at + 4] in (b"RIFF", b"LIST"):
            yield from _chunks(data, at + 12, stop, (*parents, chunk))
        at = stop


def _tags(data: bytes) -> Iterator[Element]:
    at = 13
    while at + 15 <= len(data):
        stop = at + 11 + int.from_bytes(data[at + 1 : at + 4], "big") + 4
        if stop > len(data):
            return
        yield Element(at, at + 11, stop, at + 1, 3, counted=4)
        at = stop


def _packets(data: bytes) -> Iterator[Element]:
    for at in range(0, len(data) - _TS_BYTES + 1, _TS_BYTES):
        # The byte at 4 is the size of the adaptation field, where there is one.
        yield Element(at, at + 4, at + _TS_BYTES, at + 4, 1, counted=_TS_BYTES - 5)


# -- changes ------------------------------------------------------------------------------------


def _put(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _replaced(rng: random.Random, data: bytes, element: Element, new: bytes) -> bytes:
    """``new`` in the place of the element; every other time the sizes around it are put right."""
    grown = len(new) - (element.end - element.start)
    if rng.random() < 0.5:
        for parent in element.parents:
            size = parent.written(parent.end - parent.body + grown)
            data = _put(data, parent.size_at, size)
    return data[: element.start] + new + data[element.end :]


def flip(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    """Some bytes are others, most of them near each other."""
    changed = bytearray(data)
    middle = rng.randrange(len(data))
    for _ in range(rng.choice((1, 2, 5, 20, 100))):
        near = min(len(data) - 1, max(0, int(rng.gauss(middle, 40))))
        at = near if rng.random() < 0.8 else rng.randrange(len(data))
        changed[at] = rng.randrange(256)
    return bytes(changed)


def resize(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    """An element says that it has another size."""
    element = rng.choice(elements(data))
    size = element.end - element.body
    wrong = rng.choice((0, 1, size + 1, size - 1, size * 2, size // 2, 2**31, 2**60 - 1, len(data)))
    if rng.random() < 0.3:
        return _put(data, element.size_at, rng.randbytes(element.size_bytes))
    return _put(data, element.size_at, element.written(max(0, wrong)))


def extreme(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    """A number within an element becomes 0, the largest, or one beside a border."""
    element = rng.choice(elements(data))
    width = rng.choice((1, 2, 4, 8))
    last = min(element.end, element.body + _HEADER_BYTES) - width
    if last < element.body:
        return flip(rng, data, data)
    at = rng.randrange(element.body, last + 1)
    if rng.random() < 0.7:
        at -= (at - element.body) % min(width, 4)  # where fields mostly are
    top = 1 << 8 * width
    value = rng.choice((0, 1, top - 1, top // 2, top // 2 - 1, rng.randrange(top)))
    return _put(data, at, value.to_bytes(width, rng.choice(("big", "little"))))


def duplicate(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    """An element is there several times."""
    element = rng.choice(elements(data))
    whole = data[element.start : element.end]
    times = min(rng.choice((2, 2, 3, 50)), 1 + 2_000_000 // max(1, len(whole)))
    return _replaced(rng, data, element, whole * times)


def delete(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    """An element is missing."""
    return _replaced(rng, data, rng.choice(elements(data)), b"")


def swap(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    """Two elements have changed places."""
    one, two = sorted((rng.choice(elements(data)) for _ in range(2)), key=lambda it: it.start)
    if two.start < one.end:
        return delete(rng, data, data)
    middle = data[one.end : two.start]
    first, second = data[one.start : one.end], data[two.start : two.end]
    return data[: one.start] + second + middle + first + data[two.end :]


def transplant(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """An element of another file stands in the place of one."""
    donor = rng.choice(elements(other))
    return _replaced(rng, data, rng.choice(elements(data)), other[donor.start : donor.end])


def truncate(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    """The file ends early, often at an element."""
    element = rng.choice(elements(data))
    return data[: rng.choice((element.start, element.body, element.end, rng.randrange(len(data))))]


def splice(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """The beginning of one file, and the end of another one."""
    return data[: rng.choice(elements(data)).end] + other[rng.choice(elements(other)).start :]


CHANGES: tuple[Callable[[random.Random, bytes, bytes], bytes], ...] = (
    flip, resize, resize, extreme, extreme, extreme, duplicate, delete, swap, transplant,
    truncate, splice,
)  # fmt: skip


def mutant(number: int, files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """What was done to which file, and the file. It may be empty, and it may still be whole."""
    rng = random.Random(f"mutant {number}")
    names = sorted(files)
    name, other = rng.choice(names), rng.choice(names)
    data, done = files[name], [name]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        change = rng.choice(CHANGES)
        if not elements(data):
            break
        data = change(rng, data, files[other])
        done.append(change.__name__ + (f" ({other})" if change in (transplant, splice) else ""))
    return ", ".join(done), data
