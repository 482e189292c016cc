"""Measuring the engine: labels, the protocol, tables, the contact sheet."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from detect_api.evaluation import labels, run, score, sheet
from detect_api.evaluation.labels import LabelError, PictureLabel
from detect_api.evaluation.report import Report
from detect_api.evaluation.score import Answer
from detect_api.evaluation.timing import TimedEngine
from detect_api.vision import still
from detect_api.vision.pipeline import Engine
from detect_api.vision.types import Box, ModelInfo, Plate, UnreadTrack
from tests.observations import drawn, scene, sighting


def label(text: str = "ABC123", *also: str, of: str = "some_de") -> PictureLabel:
    return PictureLabel(of, Path("car.png"), Box(55, 38, 145, 62), (text, *also), "de")


def track(text: str | None, x: float = 100, *, confidence: float = 0.9) -> Plate | UnreadTrack:
    return still.judge(sighting(0, x, 50, text, confidence=confidence), 1, min_confidence=0)


def test_the_best_overlapping_plate_must_have_exactly_the_text() -> None:
    other = track("XYZ789", 150)
    assert score.answer(label(), [other, track("ABC123")]).strict
    assert not score.answer(label(), [track("XYZ789"), track("ABC123", 140)]).strict
    assert not score.answer(label(), [track("ABC12")]).strict
    assert score.answer(label("XYZ", "ABC123"), [track("ABC123")]).strict


def test_folding_makes_o_and_i_digits() -> None:
    answer = score.answer(label("OI0112"), [track("0I01I2")])
    assert not answer.strict
    assert answer.folded


def test_a_plate_that_is_seen_and_not_read_is_found_and_wrong() -> None:
    answer = score.answer(label(), [track(None)])
    assert answer.found
    assert answer.text is None
    assert not answer.folded
    nothing = score.answer(label(), [])
    assert not nothing.found
    assert nothing.box is None


def test_plates_elsewhere_are_counted_and_short_texts_are_not() -> None:
    answer = score.answer(label(), [track("ABC123"), track("REFERRAL1", 400), track(None, 700)])
    assert [plate.text for plate in answer.false] == ["REFERRAL1"]


def test_the_rejection_curve_takes_the_surest_first() -> None:
    answers = [
        score.answer(label(), [track("ABC123" if n < 8 else "ABC128", confidence=0.95 - n / 20)])
        for n in range(10)
    ]
    assert list(score.score(answers).sure) == pytest.approx([1.0, 8 / 9, 0.8])
    assert score.score(answers).strict == 0.8
    bins = score.reliability(answers)
    assert sum(entry.count for entry in bins) == 10
    assert all(entry.low <= entry.confidence < entry.high for entry in bins)


def test_each_listed_plate_of_a_clip_counts_once() -> None:
    found = score.clip("a.mp4", ["AB1", "CD2"], ["AB1", "AB1", "EF3"], unread=2, seconds=1.5)
    assert found.right == ("AB1",)
    assert found.missing == ("CD2",)
    assert found.extra == ("AB1", "EF3")


def test_labels_are_read_with_their_regions(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    rows = [
        {"set": "openalpr_us", "image": "a.webp", "box": [1, 2, 3, 4], "text": "A1"},
        {"set": "scenes", "image": "b.webp", "box": [1, 2, 3, 4], "text": "B", "also_ok": ["8"]},
        {"image": "c.webp", "box": [1, 2, 3, 4], "text": "C1", "region": "br"},
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    first, second, third = labels.pictures(file)
    assert (first.set, first.region, first.accepted) == ("openalpr_us", "us", ("A1",))
    assert (second.region, second.accepted) == (None, ("B", "8"))
    assert (third.set, third.region) == ("all", "br")
    assert first.image == tmp_path / "a.webp"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no labels"),
        ("{", "Line 1 .* no JSON"),
        ("[]", "no JSON object"),
        ('{"image": "a", "text": "B"}', "has no 'box'"),
        ('{"image": "a", "box": [1, 2], "text": "B"}', "box is not"),
    ],
)
def test_what_is_wrong_with_labels_is_said(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text(text)
    with pytest.raises(LabelError, match=problem):
        labels.pictures(file)


def test_a_picture_that_cannot_be_read_ends_the_evaluation(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("no picture")
    with pytest.raises(LabelError, match="broken"):
        run.load(tmp_path / "broken.png")


def test_pictures_are_measured_with_the_real_engine(tmp_path: Path) -> None:
    plate = drawn("KLM 4827", size=30)
    cv2.imwrite(str(tmp_path / "car.png"), scene((plate, 200, 120)))
    box = Box(200, 120, 200 + plate.shape[1], 120 + plate.shape[0])
    known = [
        PictureLabel("drawn_cz", tmp_path / "car.png", box, (text,), "cz")
        for text in ("KLM4827", "KLM4828")
    ]
    engine = TimedEngine.of(Engine.load())
    report = Report(
        engine.models,
        list(run.over_pictures(known, engine)),
        list(run.over_pictures(known, engine, with_region=True)),
        engine.times.milliseconds(),
    )
    assert [answer.strict for answer in report.answers] == [True, False]
    assert all(value > 0 for value in report.milliseconds.values())
    assert report.milliseconds["whole"] >= report.milliseconds["detector"]
    table = report.as_markdown()
    assert "| drawn_cz | 2 | 1.000 | 0.500 | 0.500 | 0.500 | 0.500 |" in table
    assert json.loads(json.dumps(report.as_json()))["sets"]["drawn_cz"]["strict"] == 0.5
    assert sheet.write(report.answers, tmp_path / "sheet.png") == 1
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None


def test_without_failures_there_is_no_sheet(tmp_path: Path) -> None:
    right = Answer(label(), found=True, text="ABC123", confidence=1.0, box=None)
    assert sheet.write([right], tmp_path / "sheet.png") == 0
    assert not (tmp_path / "sheet.png").exists()


def test_clips_have_a_table_of_their_own() -> None:
    clip = score.clip("a.mp4", ["AB1"], ["AB1"], unread=0, seconds=2.0)
    report = Report((ModelInfo("reader", "0" * 64, "bf16"),), clips=[clip])
    assert "| a.mp4 | AB1 | - | - | 0 | 2.0 |" in report.as_markdown()
    assert "(bf16)" in report.as_markdown()
