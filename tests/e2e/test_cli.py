"""The commands, as a person or a script calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import pytest
from typer.testing import CliRunner, Result

from detect_api.cli import app
from detect_api.local.stack import Stack
from tests.observations import drawn, scene
from tests.processing import Sample, essence

pytestmark = pytest.mark.timeout(300)


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def printed(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_process_reads_a_file_and_saves_pictures(
    sample: Sample, reference: dict[str, Any], tmp_path: Path
) -> None:
    found = printed(
        call("process", sample.path, "--frame-skip", "2", "--json", "--pictures", tmp_path)
    )
    assert essence(found) == essence(reference)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2 * len(sample.plates)
    assert names[0] == f"001-{sample.plates[0]}-crop.jpg"


def test_process_says_what_is_wrong(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    refused = call("process", text, "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["code"] == "not_a_video"
    assert call("process", tmp_path / "none.mp4").exit_code == 1
    assert call("process", text, "--frame-skip", "0").exit_code == 2


def test_read_gives_a_line_for_each_picture(
    sample: Sample, reference: dict[str, Any], tmp_path: Path
) -> None:
    wanted = reference["plates"][0]
    with av.open(str(sample.path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == wanted["best"]["frame"]:
                cv2.imwrite(str(tmp_path / "car.png"), frame.to_ndarray(format="bgr24"))
                break
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    result = call("read", tmp_path / "broken.jpg", tmp_path / "car.png", "--json")
    assert result.exit_code == 1, "one of them could not be read"
    broken, car = (json.loads(line) for line in result.stdout.splitlines())
    assert broken["error"]["code"]
    assert wanted["text"] in [plate["text"] for plate in car["plates"]]
    assert set(car["plates"][0]) == {
        "text", "confidence", "bbox", "corners", "candidates", "characters",
    }  # fmt: skip


def test_read_shows_people_a_table(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "car.png"), scene((drawn("KLM 4827", size=30), 200, 120)))
    cv2.imwrite(str(tmp_path / "empty.png"), scene())
    shown = call("read", tmp_path / "car.png", tmp_path / "empty.png", "--region", "cz")
    assert shown.exit_code == 0, shown.output
    assert "KLM4827" in shown.stdout
    assert "none" in shown.stdout


def test_evaluate_prints_tables_or_json_and_a_sheet(tmp_path: Path) -> None:
    plate = drawn("KLM 4827", size=30)
    cv2.imwrite(str(tmp_path / "car.png"), scene((plate, 200, 120)))
    box = [200, 120, 200 + plate.shape[1], 120 + plate.shape[0]]
    rows = [{"image": "car.png", "box": box, "text": text} for text in ("KLM4827", "KLM4828")]
    file = tmp_path / "labels.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    sheet = tmp_path / "sheet.png"
    numbers = printed(call("evaluate", file, "--json", "--sheet", sheet))
    assert numbers["sets"]["all"]["strict"] == 0.5
    assert [answer["text"] for answer in numbers["answers"]] == ["KLM4827", "KLM4827"]
    assert sheet.stat().st_size > 0
    table = call("evaluate", file)
    assert table.exit_code == 0
    assert "| all | 2 | 1.000 | 0.500 |" in table.stdout
    file.write_text("no json")
    refused = call("evaluate", file, "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["code"] == "labels"


def test_upload_and_jobs_work_with_a_server(
    stack: Stack, sample: Sample, reference: dict[str, Any]
) -> None:
    url = ("--url", stack.api_url)
    found = printed(call("upload", sample.path, *url, "--frame-skip", "2", "--json"))
    assert found["status"] == "completed"
    assert essence(found) == essence(reference)
    job_id = found["job_id"]
    listed = call("jobs", *url, "--json", "--limit", "1")
    assert json.loads(listed.stdout)["job_id"] == job_id
    assert printed(call("jobs", job_id, *url, "--json"))["status"] == "completed"
    assert printed(call("jobs", job_id, *url, "--follow", "--json"))["plates"]
    refused = call("jobs", job_id, *url, "--cancel", "--json")
    assert refused.exit_code == 1
    assert "completed already" in json.loads(refused.stdout)["error"]["detail"]
    assert printed(call("jobs", job_id, *url, "--delete", "--json"))["deleted"]["plates"]
    assert call("jobs", job_id, *url).exit_code == 1
    assert call("jobs", *url, "--delete").exit_code == 1


def test_a_server_that_is_not_there_is_said_so(sample: Sample) -> None:
    result = call("upload", sample.path, "--url", "http://127.0.0.1:9", "--json")
    assert result.exit_code == 1
    assert "does not answer" in json.loads(result.stdout)["error"]["detail"]


def test_worker_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    result = call("worker")
    assert result.exit_code == 1
    assert "DATABASE_URL" in result.stderr


def test_a_file_of_settings_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=\xff\xfe\n")
    ran = subprocess.run(
        [Path(sys.executable).with_name("detect-api"), "s3", "policy"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    assert ".env" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_demo_brings_all_up_reads_its_clip_and_leaves_its_pictures(tmp_path: Path) -> None:
    ran = subprocess.run(
        [Path(sys.executable).with_name("detect-api"), "demo", "--out", tmp_path],
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "All plates were found." in ran.stdout
    (folder,) = tmp_path.iterdir()
    assert (folder / "result.json").is_file()
    assert len(list(folder.glob("*-crop.jpg"))) == len(list(folder.glob("*-frame.jpg"))) == 4
