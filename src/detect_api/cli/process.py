"""``detect-api process`` and ``detect-api read``: plates from files, without any server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detect_api.cli import app
from detect_api.cli.output import EXIT_FAILED, bar, fail, pictures_table, plates_table, say
from detect_api.cli.settings import settings_from

if TYPE_CHECKING:
    from detect_api.vision.types import Parameters

FrameSkip = Annotated[int, typer.Option(min=1, help="Look at every n-th frame of the video.")]
StartFrame = Annotated[int | None, typer.Option(min=0, help="The first frame looked at.")]
EndFrame = Annotated[
    int | None, typer.Option(min=1, help="The first frame not looked at any more.")
]
MinConfidence = Annotated[
    float | None, typer.Option(min=0, max=1, help="Plates less sure are listed as unread.")
]
Region = Annotated[str | None, typer.Option(help="Region whose plates are expected, e.g. de.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Pictures = Annotated[Path | None, typer.Option(help="Folder for a crop and a frame of each plate.")]


@app.command()
def process(
    video: Annotated[Path, typer.Argument(help="The video file.")],
    frame_skip: FrameSkip = 1,
    start_frame: StartFrame = None,
    end_frame: EndFrame = None,
    min_confidence: MinConfidence = None,
    region: Region = None,
    pictures: Pictures = None,
    as_json: AsJson = False,
) -> None:
    """Read the plates in a video file, without any server.

    Exit status 0: read to its end. 1: it could not be read, or only in part; what was read is
    printed all the same.
    """
    from detect_api.cli.local_run import read_video
    from detect_api.core.errors import DetectApiError
    from detect_api.vision.types import Parameters

    parameters = Parameters(frame_skip, start_frame, end_frame, min_confidence, region)
    try:
        with bar(f"Reading {video.name}", shown=not as_json) as progress:
            result = read_video(video, parameters, settings_from(), progress, pictures)
    except DetectApiError as error:
        raise fail(error.detail, code=error.code, as_json=as_json) from None
    except OSError as error:
        raise fail(f"{error.strerror}: {video}", code="file", as_json=as_json) from None
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        _show(result, pictures)
    if result["error"] is not None:
        raise typer.Exit(EXIT_FAILED)


def _show(result: dict[str, Any], pictures: Path | None) -> None:
    plates_table(result["plates"])
    statistics = result["statistics"]
    say(
        f"Plates: {statistics['unique_plates']}, in {statistics['processed_frames']} frames; "
        f"{statistics['unread_tracks']} seen but not read; "
        f"{statistics['processing_time_seconds']:.1f} s."
    )
    for problem in result["problems"]:
        say(f"Note: {problem}")
    if pictures is not None:
        say(f"Pictures: {pictures}")


@app.command()
def read(
    images: Annotated[list[Path], typer.Argument(help="Picture files (jpg, png, webp, bmp).")],
    min_confidence: MinConfidence = None,
    region: Region = None,
    as_json: AsJson = False,
) -> None:
    """Read the plates in still images, without any server.

    Exit status 1 if one of them could not be read; the others are read all the same.
    """
    from detect_api.core.errors import DetectApiError
    from detect_api.vision.types import Parameters

    failed = False
    lines: list[dict[str, Any]] = []
    reader = _ImageReader(Parameters(min_confidence=min_confidence, region=region))
    for image in images:
        line: dict[str, Any] = {"image": str(image)}
        try:
            line |= reader.read(image)
        except DetectApiError as error:
            failed = True
            line["error"] = {"code": error.code, "detail": error.detail}
        except OSError as error:
            failed = True
            line["error"] = {"code": "file", "detail": f"{error.strerror}: {image}"}
        if as_json:
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
        elif "error" in line:
            say(f"{image}: {line['error']['detail']}")
        else:
            lines.append(line)
    pictures_table(lines)
    if failed:
        raise typer.Exit(EXIT_FAILED)


class _ImageReader:
    """Reads pictures one by one with models that are loaded once."""

    def __init__(self, parameters: Parameters) -> None:
        from detect_api.vision.pipeline import Engine

        self._settings = settings_from()
        self._parameters = parameters
        self._engine = Engine.load(
            threads=self._settings.worker_threads or 1, device=self._settings.device
        )

    def read(self, path: Path) -> dict[str, Any]:
        """The plates of one picture. Raises VideoError or OSError."""
        from detect_api.cli.local_run import observe_file
        from detect_api.vision import wire
        from detect_api.vision.types import Plate

        tracks = observe_file(
            path, self._parameters, self._settings, self._engine, images=True
        ).tracks
        plates = [track for track in tracks if isinstance(track, Plate)]
        return {
            "plates": [self._plate(plate) for plate in plates],
            "unread": [
                {key: value for key, value in wire.unread_json(track).items() if key != "track_id"}
                for track in tracks
                if not isinstance(track, Plate)
            ],
        }

    def _plate(self, plate: Any) -> dict[str, Any]:
        from detect_api.vision import wire

        whole = wire.plate_json(plate)
        return {
            "text": plate.text,
            "confidence": plate.confidence,
            "bbox": whole["best"]["bbox"],
            "corners": [list(corner) for corner in plate.best.corners],
            "candidates": whole["candidates"],
            "characters": whole["characters"],
        }
