"""The child process in which video bytes are demuxed and decoded.

Started by ``sandbox.py`` as ``python -m detect_api.vision.child CONTROL DATA MEMORY``
(three inherited file descriptors; MEMORY is -1 where no pictures are wanted). Once its modules
are loaded it can open no file and no socket, write no file, gain no rights, and not outlive the
service; then it asks for its job. Only ``av`` and the standard library are imported: loading
time is part of every segment.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

# PyAV imports some of its modules when it first needs them, which is too late in here.
import av.audio.codeccontext
import av.audio.stream
import av.logging
import av.sidedata.encparams
import av.sidedata.motionvectors
import av.subtitles.codeccontext
import av.subtitles.stream
import av.video.codeccontext
import av.video.stream

from detect_api.core.errors import VideoError
from detect_api.vision.channel import receive_message
from detect_api.vision.child.demux import Video
from detect_api.vision.child.picture import LeanPainter, Painter, orientation
from detect_api.vision.child.playback import Playback
from detect_api.vision.child.remote import RemoteFile, Service
from detect_api.vision.child.scan import Scan
from detect_api.vision.child.summary import image_facts

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_OPENING_BYTES_PER_PIXEL = 16
_OPENING_BYTES = 64 * 1024 * 1024


def main(arguments: list[str]) -> None:
    control_fd, data_fd, memory_fd = (int(argument) for argument in arguments)
    control, data = socket.socket(fileno=control_fd), socket.socket(fileno=data_fd)
    job = receive_message(control)
    memory = None
    if memory_fd >= 0:
        memory = mmap.mmap(memory_fd, job["slots"] * job["slot_bytes"])
        os.close(memory_fd)
    limit = MemoryLimit(job["memory_bytes"], job["max_pixels"])
    keep_freed_memory()
    lock_in(job["cpu_seconds"])
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(True)
    service = Service(control, data)
    try:
        limit.opening()
        video = Video(
            RemoteFile(service, job["size"]), max_pixels=job["max_pixels"],
            threads=job["threads"], images=job["images"],
        )  # fmt: skip
        limit.opened()
        if memory is None:
            _scan(service, video, job)
        else:
            _deliver(service, video, job, memory)
    except VideoError as error:
        service.tell({"error": error.code, "detail": error.detail})
    except MemoryError:
        service.tell({
            "error": "decoder_memory",
            "detail": "decoding the video takes more memory than is allowed",
        })  # fmt: skip
    # Nothing is to be saved, and tearing down a decoder that met hostile bytes only adds risk.
    os._exit(0)


def _scan(service: Service, video: Video, job: dict[str, Any]) -> None:
    if job["images"]:
        _scan_image(service, video)
        return
    scan = Scan(
        video, segment_seconds=job["segment_seconds"], longest_seconds=job["max_duration_seconds"],
        alive=service.alive,
    )  # fmt: skip
    for message in scan:
        service.tell(message)
    service.tell({"done": True})


def _scan_image(service: Service, video: Video) -> None:
    """A still picture is a video of one frame at 0 seconds."""
    frame = next(video.pictures(video.packets()), None)
    if frame is None:
        raise VideoError("the picture is damaged and cannot be read", code="corrupt_video")
    facts = image_facts(video, frame)
    service.tell(facts)
    service.tell({
        "segment": 0, "first": 0, "end": 1, "start_seconds": 0.0, "end_seconds": 0.0,
        "cursor": {"by": "image"},
    })  # fmt: skip
    service.tell(facts)
    service.tell({"done": True})


def _deliver(service: Service, video: Video, job: dict[str, Any], memory: mmap.mmap) -> None:
    painter = _painter(job, memory)
    slots = free = job["slots"]
    numbers = range(*job["range"]) if "range" in job else job["numbers"]
    playback = Playback(video, job["cursor"], job["first"], job["end"], alive=service.alive)
    # A frame whose side data was asked for holds itself in a circle. Left to the collector's own
    # time, hundreds of decoded pictures would pile up.
    gc.freeze()
    for painted, (number, seconds, frame) in enumerate(playback.wanted(numbers)):
        while free == 0:
            free = service.freed_slots()
        slot = painted % slots
        service.tell({
            "frame": number, "seconds": seconds, "slot": slot, "turn": orientation(frame),
            **painter.paint(frame, slot),
        })  # fmt: skip
        free -= 1
        gc.collect()
    service.tell({"done": True})


def _painter(job: dict[str, Any], memory: mmap.mmap) -> Painter:
    slots = memory, job["slot_bytes"], job["width"], job["height"]
    if job["small"] is None:
        return Painter(*slots)
    width, height = job["small"]
    return LeanPainter(*slots, (width, height))


def keep_freed_memory() -> None:
    """Asks the allocator to use the memory of large pictures again instead of giving it back.

    Each would else be taken afresh from the kernel: for a converted picture of 1080p its page
    faults cost 2.5 ms, the conversion itself 0.6 ms.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not in every C library
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, 32 * 1024 * 1024)
            mallopt(_M_TRIM_THRESHOLD, 256 * 1024 * 1024)


def lock_in(cpu_seconds: int) -> None:
    """Gives up for good what decoding does not need."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # What is open stays open; every further descriptor would have a number over the limit.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


class MemoryLimit:
    """The address space that this process may have, lower while a file is being opened.

    FFmpeg decodes a first picture while it opens an MPEG transport stream, before its size can be
    judged here.
    """

    def __init__(self, most: int, max_pixels: int) -> None:
        self._most = most
        self._opening = most
        with contextlib.suppress(OSError):  # not on macOS
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            loaded = pages * resource.getpagesize()
            self._opening = min(
                most, loaded + _OPENING_BYTES + _OPENING_BYTES_PER_PIXEL * max_pixels
            )

    def opening(self) -> None:
        self._limit(self._opening)

    def opened(self) -> None:
        self._limit(self._most)

    def _limit(self, soft: int) -> None:
        with contextlib.suppress(ValueError, OSError):  # macOS refuses this limit
            resource.setrlimit(resource.RLIMIT_AS, (soft, self._most))


if __name__ == "__main__":
    main(sys.argv[1:])
