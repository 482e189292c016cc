"""The whole pipeline in this process, for one local file."""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import detect_api
from detect_api.cli.output import Advance
from detect_api.core.config import MIB, Settings
from detect_api.core.errors import VideoError
from detect_api.storage.reader import FileSource
from detect_api.vision import decode, pipeline, wire
from detect_api.vision.types import Merged, Parameters, Plate, SegmentPlan, UnreadTrack, VideoInfo


@dataclass
class Run:
    """What reading a file gave."""

    info: VideoInfo | None = None
    segments: list[SegmentPlan] = field(default_factory=list)
    tracks: list[Plate | UnreadTrack] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    processed_frames: int = 0
    frames_with_detections: int = 0
    detections: int = 0
    missing_frames: int = 0


def observe_file(
    path: Path,
    parameters: Parameters,
    settings: Settings,
    engine: pipeline.Engine,
    *,
    images: bool = False,
    on_progress: Advance | None = None,
) -> Run:
    """Scans, decodes, reads and merges a file. Raises VideoError and OSError."""
    run = Run()
    limits = decode.DecodeLimits.from_settings(settings)
    with closing(FileSource(path)) as source:
        with closing(decode.scan(source, limits, settings.segment_seconds, images=images)) as found:
            for item in found:
                if isinstance(item, SegmentPlan):
                    run.segments.append(item)
                else:
                    run.info = item
        if run.info is None:
            raise VideoError("no frame of the video can be read", code="no_frames")
        wanted = parameters.require(run.info.total_frames)
        run.problems += run.info.problems
        merge = pipeline.Merge.new(parameters, single_image=images)
        for segment in run.segments:
            numbers = parameters.wanted(segment.first_frame, segment.end_frame)

            def report(done: int, seen: int) -> None:
                if on_progress is not None:
                    plates = sum(isinstance(track, Plate) for track in run.tracks)
                    so_far = run.processed_frames + done
                    words = f"{plates} plates, {run.detections + seen} detections"
                    on_progress(so_far, len(wanted), words)

            frames = decode.lean_frames(source, segment, numbers, run.info, limits)
            with closing(frames) as reader:
                result = pipeline.observe(
                    reader,
                    engine,
                    expected=len(numbers),
                    region=parameters.region,
                    still=images,
                    on_progress=report,
                )
            run.processed_frames += result.processed_frames
            run.frames_with_detections += result.frames_with_detections
            run.detections += len(result.observations)
            run.missing_frames += result.missing_frames
            run.problems += [*result.problems, *reader.problems]
            _keep(run, merge.advance(result, segment.end_seconds))
        _keep(run, merge.finish())
    run.tracks.sort(key=lambda track: (track.first_seen.frame, track.track_id))
    return run


def _keep(run: Run, merged: Merged) -> None:
    run.tracks += [*merged.plates, *merged.unread]


def read_video(
    path: Path,
    parameters: Parameters,
    settings: Settings,
    on_progress: Advance,
    pictures: Path | None = None,
) -> dict[str, Any]:
    """The result for a video file, in the shape of ``GET /jobs/{id}/result``.

    ``error`` tells a video that could be read in part only. Raises VideoError and OSError.
    """
    started = time.monotonic()
    engine = pipeline.Engine.load(threads=settings.worker_threads or 1, device=settings.device)
    run = observe_file(path, parameters, settings, engine, on_progress=on_progress)
    assert run.info is not None
    plates = [track for track in run.tracks if isinstance(track, Plate)]
    unread = [track for track in run.tracks if isinstance(track, UnreadTrack)]
    seconds = time.monotonic() - started
    if pictures is not None:
        _save_pictures(path, run, plates, settings, pictures)
    digest = _sha256(path)
    error = None
    if run.info.truncated:
        error = {"code": "truncated", "detail": run.info.problems[-1]}
    elif run.processed_frames == 0:
        error = {"code": "no_frames", "detail": "no frame of the video could be read"}
    video = asdict(run.info)
    return {
        "video": {
            "filename": path.name,
            "size": path.stat().st_size,
            "sha256": digest,
            **{name: video[name] for name in video if name not in ("problems", "truncated")},
        },
        "statistics": {
            "processed_frames": run.processed_frames,
            "frames_with_detections": run.frames_with_detections,
            "total_detections": run.detections,
            "unique_plates": len(plates),
            "unread_tracks": len(unread),
            "processing_time_seconds": round(seconds, 3),
            "average_fps": round(run.processed_frames / seconds, 2),
        },
        "plates": [wire.plate_json(plate) for plate in plates],
        "unread": [wire.unread_json(track) for track in unread],
        "problems": run.problems,
        "error": error,
        "parameters": asdict(parameters),
        "provenance": {
            "software": f"detect-api {detect_api.__version__}",
            "models": [asdict(model) for model in engine.models],
            "input_sha256": digest,
        },
    }


def _save_pictures(
    path: Path, run: Run, plates: list[Plate], settings: Settings, folder: Path
) -> None:
    assert run.info is not None
    folder.mkdir(parents=True, exist_ok=True)
    limits = decode.DecodeLimits.from_settings(settings)
    by_frame: dict[int, list[tuple[int, Plate]]] = {}
    for number, plate in enumerate(plates, 1):
        by_frame.setdefault(plate.best.frame, []).append((number, plate))
    with closing(FileSource(path)) as source:
        for segment in run.segments:
            wanted = sorted(n for n in by_frame if segment.first_frame <= n < segment.end_frame)
            if not wanted:
                continue
            with closing(decode.frames(source, segment, wanted, run.info, limits)) as reader:
                for frame in reader:
                    for number, plate in by_frame[frame.number]:
                        crop, whole = pipeline.evidence(frame.image, plate.best)
                        (folder / f"{number:03}-{plate.text}-crop.jpg").write_bytes(crop)
                        (folder / f"{number:03}-{plate.text}-frame.jpg").write_bytes(whole)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(4 * MIB):
            digest.update(piece)
    return digest.hexdigest()
