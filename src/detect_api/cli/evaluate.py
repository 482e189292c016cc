"""``detect-api evaluate``: how good the engine is on labelled pictures and clips."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detect_api.cli import app
from detect_api.cli.output import Advance, bar, fail, say
from detect_api.cli.settings import settings_from

if TYPE_CHECKING:
    from detect_api.core.config import Settings
    from detect_api.evaluation.report import Report
    from detect_api.evaluation.score import Best

Labels = Annotated[Path, typer.Argument(help="File with one JSON object a line; see docs/CLI.md.")]
Videos = Annotated[bool, typer.Option(help="The labels are of video clips.")]
RegionGiven = Annotated[bool, typer.Option(help="Read once more with each label's region given.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON in place of Markdown tables.")]
Predictions = Annotated[
    Path | None, typer.Option(help="Score the answers in this file, not the engine's.")
]
Surest = Annotated[
    bool, typer.Option(help="Of several answers at the label take the surest, not the nearest.")
]
Sheet = Annotated[Path | None, typer.Option(help="Picture file for what was read wrong.")]


@app.command()
def evaluate(
    labels: Labels,
    videos: Videos = False,
    region_given: RegionGiven = False,
    predictions: Predictions = None,
    surest: Surest = False,
    sheet: Sheet = None,
    as_json: AsJson = False,
) -> None:
    """Measure accuracy and speed on labelled pictures, or with --videos on clips."""
    from detect_api.core.errors import DetectApiError
    from detect_api.evaluation import sheet as contact_sheet

    if predictions is not None and videos:
        detail = "--predictions are of pictures: leave --videos out."
        raise fail(detail, code="usage", as_json=as_json)
    if surest and predictions is None:
        raise fail("--surest goes with --predictions.", code="usage", as_json=as_json)
    try:
        with bar(f"Reading {labels.name}", shown=not as_json) as progress:
            if predictions is not None:
                best: Best = "surest" if surest else "nearest"
                report = _answers(labels, predictions, best, region_given=region_given)
            elif videos:
                report = _clips(labels, settings_from(), progress)
            else:
                report = _pictures(labels, settings_from(), progress, region_given=region_given)
        tiles = contact_sheet.write(report.answers, sheet) if sheet is not None else 0
    except DetectApiError as error:
        raise fail(error.detail, code=error.code, as_json=as_json) from None
    except OSError as error:
        detail = f"{error.strerror}: {error.filename or labels}"
        raise fail(detail, code="file", as_json=as_json) from None
    if as_json:
        sys.stdout.write(json.dumps(report.as_json()) + "\n")
    else:
        sys.stdout.write(report.as_markdown())
    if sheet is not None:
        say(f"{tiles} failures are shown in {sheet}." if tiles else "No failures to show.")


def _pictures(path: Path, settings: Settings, progress: Advance, *, region_given: bool) -> Report:
    from detect_api.evaluation import labels, run
    from detect_api.evaluation.report import Report
    from detect_api.evaluation.timing import TimedEngine
    from detect_api.vision.pipeline import Engine

    known = labels.pictures(path)
    engine = TimedEngine.of(
        Engine.load(threads=settings.worker_threads or 1, device=settings.device)
    )
    report = Report(engine.models)
    total = len(known) * (1 + region_given)
    for answer in run.over_pictures(known, engine):
        report.answers.append(answer)
        progress(len(report.answers), total, answer.label.set)
    report.milliseconds = engine.times.milliseconds()
    if region_given:
        for answer in run.over_pictures(known, engine, with_region=True):
            report.with_region.append(answer)
            progress(len(report.answers) + len(report.with_region), total, answer.label.set)
    return report


def _answers(path: Path, file: Path, best: Best, *, region_given: bool) -> Report:
    from detect_api.evaluation import labels, predictions
    from detect_api.evaluation.report import Report

    known = labels.pictures(path)
    read = predictions.read(file, path)
    report = Report(models=(), milliseconds=predictions.mean_milliseconds(read))
    report.answers += predictions.answers(known, read, best=best)
    if region_given:
        report.with_region += predictions.answers(known, read, with_region=True, best=best)
    return report


def _clips(path: Path, settings: Settings, progress: Advance) -> Report:
    from detect_api.cli.local_run import read_video
    from detect_api.evaluation import labels, run
    from detect_api.evaluation.report import Report
    from detect_api.vision.pipeline import Engine
    from detect_api.vision.types import Parameters

    known = labels.videos(path)
    engine = Engine.load(threads=settings.worker_threads or 1, device=settings.device)
    report = Report(engine.models)
    for clip in run.over_videos(
        known, lambda video: read_video(video, Parameters(), settings, _silent)
    ):
        report.clips.append(clip)
        progress(len(report.clips), len(known), clip.name)
    return report


def _silent(_done: int, _total: int, _words: str = "") -> None:
    """A progress that nobody looks at."""
