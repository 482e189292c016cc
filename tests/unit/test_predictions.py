"""Answers from a file: what counts of them, and that they are scored as the engine's are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench import accuracy, accuracy_page
from typer.testing import CliRunner

from detect_api.cli import app
from detect_api.evaluation import labels, predictions
from detect_api.evaluation.labels import LabelError
from detect_api.evaluation.score import Answer, Best
from detect_api.vision.types import Plate

NEAR, BESIDE, AWAY = (10, 10, 110, 40), (10, 30, 110, 70), (300, 300, 400, 330)


def seen(text: str, box: tuple[int, ...], confidence: float = 0.9, **more: Any) -> dict[str, Any]:
    bbox = dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
    return {"text": text, "confidence": confidence, "bbox": bbox, **more}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A file with one label, AB12CDE of the region gb, whose picture nobody opens."""
    (tmp_path / "a.png").touch()
    row = {"image": "a.png", "box": NEAR, "text": "AB12CDE", "region": "gb"}
    return write(tmp_path / "labels.jsonl", row)


def ask(known: Path, *plates: dict[str, Any], best: Best = "nearest", **more: Any) -> Answer:
    file = write(known.parent / "answers.jsonl", {"image": "a.png", "plates": plates, **more})
    read = predictions.read(file, known)
    (answer,) = predictions.answers(labels.pictures(known), read, best=best)
    return answer


@pytest.mark.parametrize("text", ["AB12CDE", "ab12 cde", "ÄB·12-CDÉ", " AB12\nCDE "])
def test_separators_accents_and_lower_case_do_not_count(known: Path, text: str) -> None:
    assert ask(known, seen(text, NEAR)).strict


def test_o_and_i_count_as_0_and_1_only_when_folded(known: Path) -> None:
    answer = ask(known, seen("ABI2CDE", NEAR))
    assert answer.folded
    assert not answer.strict


def test_a_text_of_other_characters_only_is_found_and_unread(known: Path) -> None:
    answer = ask(known, seen("·-·", NEAR))
    assert answer.found
    assert answer.text is None


def test_the_best_answer_is_the_nearest_or_the_surest_one(known: Path) -> None:
    plates = seen("AB12CDE", NEAR, 0.5), seen("GREATBRITAIN", BESIDE, 0.99)
    assert ask(known, *plates).text == "AB12CDE"
    assert ask(known, *plates, best="surest").text == "GREATBRITAIN"


def test_of_two_answers_in_the_same_place_the_surer_one_counts(known: Path) -> None:
    plates = seen("SOMETOWN", NEAR, 0.5), seen("AB12CDE", NEAR, 0.9), seen("X", NEAR, 0.1)
    assert ask(known, *plates).text == "AB12CDE"


def test_a_right_text_anywhere_or_among_the_candidates_is_told_apart(known: Path) -> None:
    answer = ask(known, seen("AB12CDE", AWAY))
    assert not answer.folded
    assert answer.anywhere
    candidates = [{"text": "AB 12 CDE", "confidence": 0.2}]
    answer = ask(known, seen("AB12CDF", NEAR, candidates=candidates))
    assert not answer.folded
    assert answer.anywhere
    assert not ask(known, seen("AB12CDF", NEAR)).anywhere


def test_plates_that_a_reader_could_not_read_are_found(known: Path) -> None:
    unread = {"reason": "blurred", "best": {"bbox": seen("", NEAR)["bbox"]}}
    answer = ask(known, unread=[unread])
    assert answer.found
    assert answer.text is None


def test_answers_given_with_a_region_are_kept_apart(known: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"image": "a.png", "plates": [seen("AB12COE", NEAR)], "milliseconds": {"wall": 4}},
        {"image": "a.png", "plates": [seen("AB12CDE", NEAR)], "region": "gb"},
    ]
    read = predictions.read(write(known.parent / "answers.jsonl", *rows), known)
    (plain,) = predictions.answers(labels.pictures(known), read)
    (told,) = predictions.answers(labels.pictures(known), read, with_region=True)
    assert (plain.text, told.text) == ("AB12COE", "AB12CDE")
    assert predictions.mean_milliseconds(read) == {"wall": 4}


def test_a_picture_that_was_not_asked_about_is_no_wrong_answer(known: Path) -> None:
    read = predictions.read(write(known.parent / "none.jsonl"), known)
    with pytest.raises(LabelError, match=r"no line for .*a\.png"):
        list(predictions.answers(labels.pictures(known), read))


@pytest.mark.parametrize("line", ["[]", "{}", "x", '{"image": "a.png", "plates": [{"text": "A"}]}'])
def test_a_line_that_is_no_answer_is_named(known: Path, line: str) -> None:
    file = known.parent / "answers.jsonl"
    file.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(LabelError, match="Line 1 of"):
        predictions.read(file, known)


def test_the_command_scores_a_file_of_answers(known: Path) -> None:
    row = {"image": "a.png", "plates": [seen("AB 12 CDE", NEAR)]}
    file = write(known.parent / "answers.jsonl", row, {**row, "region": "gb"})
    command = ["evaluate", str(known), "--predictions", str(file), "--region-given", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["sets"]["all"]["strict"] == report["with_region"]["all"]["strict"] == 1.0
    assert report["models"] == []


def test_tables_are_made_between_their_marks_and_nowhere_else() -> None:
    one = {
        "pictures": 2, "found": 1.0, "strict": 0.5, "folded": 1.0, "unread": 0.0,
        "sure": [1.0, 1.0, 1.0], "false_plates": 0.0, "anywhere": 1.0,
    }  # fmt: skip
    result = {
        "title": "detect-api", "version": "1", "measured": "today", "processor": "p",
        "sets": {"a": one}, "with_region": {}, "clocks": {"processor": 3.2, "wall": 5},
        "reliability": [], "milliseconds": {"whole": 3.0},
    }  # fmt: skip
    names = ("readers", "peers", "anywhere", "surest", "reliability", "stages")
    page = "".join(
        f"text {n}\n<!-- table: {n} -->\nformer table\n<!-- end of table -->\n" for n in names
    )
    filled = accuracy_page.filled(page, {"ours": result})
    assert "| a (2) | detect-api | 1.000 | 0.500 | 1.000 | - | - | 1.000 | 0.00 |" in filled
    assert "former table" not in filled
    assert [line for line in filled.splitlines() if line.startswith("text")] == [
        f"text {name}" for name in names
    ]
    assert accuracy_page.filled(filled, {"ours": result}) == filled
    with pytest.raises(ValueError, match="places"):
        accuracy_page.filled("no place", {"ours": result})


def test_a_reader_may_be_judged_by_its_first_candidate(known: Path) -> None:
    candidates = [{"text": "XB 12 CDE", "confidence": 0.7}, {"text": "AB12CDE", "confidence": 0.6}]
    row = {"image": "a.png", "plates": [seen("AB12CDE", NEAR, 0.6, candidates=candidates)]}
    read = predictions.read(write(known.parent / "answers.jsonl", row), known)
    (prediction,) = read.values()
    (plate,) = accuracy.first_candidates(prediction).tracks
    assert isinstance(plate, Plate)
    assert (plate.text, plate.confidence) == ("XB12CDE", 0.7)
