"""Serving a decoder's reads from storage, a little ahead of it.

A decoder asks for small pieces, mostly in order; storage answers large pieces best and takes
its time. So whole blocks are fetched, the next ones while the decoder is busy with this one,
and the last few are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor

from detect_api.storage.reader import ByteSource

BLOCK = 2 * 1024 * 1024
KEPT = 6
AHEAD = 2


class ReadAhead:
    """Reads of a ByteSource through a cache of at most KEPT blocks (12 MiB). For one thread.

    Errors of the source come out of the ``read`` that needs the block.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._size = source.size
        self._blocks: OrderedDict[int, Future[bytes]] = OrderedDict()
        self._pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="read-ahead")
        self._last = -2  # so that the first block, which may be all that is wanted, is no order

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from ``offset``, at most ``length``, at least one unless at the end."""
        if offset >= self._size:
            return b""
        index = offset // BLOCK
        block = self._block(index)
        if index == self._last + 1:
            # Only a reader in order profits; one that jumps about would fetch in vain.
            for ahead in range(index + 1, index + 1 + AHEAD):
                if ahead * BLOCK < self._size:
                    self._block(ahead)
        self._last = index
        start = offset - index * BLOCK
        return block.result()[start : start + length]

    def read_apart(self, offset: int, length: int) -> bytes:
        """Like ``read``, for a small piece far from the others: fetches no whole block."""
        if offset >= self._size:
            return b""
        held = self._blocks.get(offset // BLOCK)
        if held is not None and (offset + length - 1) // BLOCK == offset // BLOCK:
            start = offset % BLOCK
            return held.result()[start : start + length]
        return self._source.read_at(offset, min(length, self._size - offset))

    def close(self) -> None:
        """Forgets the blocks; reads under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._blocks.clear()

    def _block(self, index: int) -> Future[bytes]:
        block = self._blocks.get(index)
        if block is None:
            start = index * BLOCK
            block = self._pool.submit(self._source.read_at, start, min(BLOCK, self._size - start))
            self._blocks[index] = block
        self._blocks.move_to_end(index)
        while len(self._blocks) > KEPT:
            self._blocks.popitem(last=False)[1].cancel()
        return block
