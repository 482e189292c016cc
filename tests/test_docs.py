"""The documents against the code: what is there is described, what is described is there, and what
a reader is told to type works."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import boto3
import cv2
import numpy as np
import pytest
import typer
from bench import __main__ as bench
from botocore.validate import ParamValidator
from fastapi import FastAPI

from detect_api.app import create_app
from detect_api.aws.policy import service_policy
from detect_api.cli import app as commands
from detect_api.client import AsyncClient, Client
from detect_api.client.options import UploadOptions
from detect_api.core import errors
from detect_api.core.config import Settings
from detect_api.core.metrics import Metrics
from detect_api.core.worker_health import SILENT_SECONDS, STUCK_SECONDS
from detect_api.jobs import states
from detect_api.jobs.sweep import STALLED_SECONDS
from detect_api.jobs.tasks import MAX_TRIES
from detect_api.jobs.worker import DRAIN_SECONDS
from detect_api.local.stack import Stack
from detect_api.services.result_service import CSV_COLUMNS
from detect_api.webhooks.send import Sender
from detect_api.webhooks.target import Rules

from .conftest import make_settings
from .receiver import SECRET

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "src" / "detect_api"
TEXT = "AB12CDE"

CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
NOT_IN_THE_SOURCE = {"method_not_allowed"}
"""Codes that are made of an HTTP status' name while the service runs."""

OTHERS = {
    "AWS_PROFILE", "DETECT_API_KEY", "DETECT_API_URL", "FORWARDED_ALLOW_IPS", "FUZZ_EXAMPLES",
    "XDG_DATA_HOME", "XDG_STATE_HOME", "API", "VIDEO", "JOB", "ID",
    "PICTURE", "DETECT_API_DATA", "DETECT_API_TRAINING", "TF_PLUGIN_FOLDER", "CAPABILITY_IAM",
}  # fmt: skip
"""Names in capitals in the documents that are no settings."""


# -- the documents --------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text and the HTML comment on the line above it."""

    language: str
    text: str
    note: str


def documents() -> list[Path]:
    return sorted(path for path in tracked() if path.suffix == ".md")


@cache
def tracked() -> tuple[Path, ...]:
    """The files of the repository, also those that are new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    return tuple(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


_FENCE = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)


def blocks(text: str) -> list[Block]:
    return [Block(m["language"], m["text"], m["note"] or "") for m in _FENCE.finditer(text)]


def code_of(text: str) -> list[str]:
    """Everything that is set as code: fenced, indented and inline."""
    rest = _FENCE.sub("", text)
    return [
        *(block.text for block in blocks(text)),
        *re.findall(r"^    (.+)$", rest, re.M),
        *re.findall(r"`([^`\n]+)`", rest),
    ]


def sections(text: str, marks: str) -> dict[str, str]:
    """The text under each heading of one level, by heading."""
    parts = re.split(rf"^{marks} (.+)$", _without_lower(text, marks), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _without_lower(text: str, marks: str) -> str:
    """Ends sections of a level also where a section of a higher level begins."""
    higher = rf"^#{{1,{len(marks) - 1}}} .+$"
    return re.sub(higher, f"{marks} -", text, flags=re.M)


def rows(text: str) -> Iterator[list[str]]:
    """The rows of all tables in the text, as cells."""
    for line in re.findall(r"^\| (.+) \|$", text, re.M):
        yield [cell.strip() for cell in line.split(" | ")]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# -- settings -------------------------------------------------------------------------------


def settings_table() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for cells in rows(read("docs/SETTINGS.md")):
        if len(cells) == 3 and re.fullmatch(r"`[A-Z0-9_]+`", cells[0]):
            found.setdefault(names_in(cells[0])[0], cells)
    return found


def test_every_setting_is_described_and_no_other() -> None:
    assert set(settings_table()) == {name.upper() for name in Settings.model_fields}


def test_settings_are_described_with_their_defaults() -> None:
    defaults = make_settings(data_dir=Path("/x"))
    for name, (_, shown, meaning) in settings_table().items():
        if name != "DATA_DIR":
            value = getattr(defaults, name.lower())
            assert shown == _shown(value), name
        assert len(meaning) > 10, name


def _shown(value: object) -> str:
    if value is None or value == "":
        return "unset" if value is None else "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_settings_that_are_named_exist() -> None:
    known = set(settings_table()) | OTHERS
    for path in documents():
        text = path.read_text(encoding="utf-8")
        assigned = [
            name
            for block in blocks(text)
            if block.language == "env"
            for name in re.findall(r"^(\w+)=", block.text, re.M)
        ]
        inline = re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=[^`]*)?`", text)
        assert not {*assigned, *inline} - known, path.name


# -- routes ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The application, connected to nothing."""
    settings = make_settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        data_dir=tmp_path_factory.mktemp("data"),
        enable_s3=False,
    )
    return create_app(settings)


def operations(api: FastAPI) -> dict[str, dict[str, Any]]:
    """Each route as ``METHOD /path`` with its OpenAPI description."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in api.openapi()["paths"].items()
        for method, operation in methods.items()
    }


def route_sections() -> dict[str, str]:
    found = sections(read("docs/API.md"), "###")
    return {name: text for name, text in found.items() if re.match(r"[A-Z]+ /", name)}


def test_every_route_is_described_and_no_other(api: FastAPI) -> None:
    assert set(route_sections()) == set(operations(api))


def test_what_a_route_takes_and_answers_is_described(api: FastAPI) -> None:
    everything = read("docs/API.md")
    components = api.openapi()["components"]["schemas"]
    for name, operation in operations(api).items():
        section = route_sections()[name]
        taken = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
        body = operation.get("requestBody", {}).get("content", {})
        for content in body.values():
            taken += _properties(content["schema"], components)
        missing = [field for field in taken if f"`{field}`" not in section]
        assert not missing, f"{name}: {missing}"
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "header":
                assert parameter["name"].lower() in everything.lower(), name
        good = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
        answered = _properties(good.get("schema", {}), components)
        missing = [f for f in answered if not re.search(rf'["`{{ ]{f}["`,:}}]', everything)]
        assert not missing, f"{name} answers {missing}"


def _properties(schema: dict[str, Any], components: dict[str, Any]) -> list[str]:
    if "$ref" in schema:
        schema = components[schema["$ref"].rsplit("/", 1)[1]]
    return list(schema.get("properties", {}))


def test_every_status_that_a_route_declares_is_described(api: FastAPI) -> None:
    for name, operation in operations(api).items():
        section = route_sections()[name]
        if name.endswith("/frame.jpg"):
            continue  # "as for the crop"
        missing = [s for s in operation["responses"] if not re.search(rf"\b{s}\b", section)]
        assert not set(missing) - {"200"}, f"{name}: {missing}"


def test_routes_that_are_named_exist(api: FastAPI) -> None:
    known = {*operations(api), "GET /docs", "GET /openapi.json"}
    templates = {re.sub(r"\{\w+\}", "{}", name) for name in known}
    paths = [
        re.compile(re.sub(r"\{\w+\}", "[^/]+", name.split()[1]) + r"(\?.*)?") for name in known
    ]
    for path in documents():
        text = path.read_text(encoding="utf-8")
        for method, route in re.findall(r"\b(GET|POST|PUT|PATCH|DELETE) (/[^\s`*,;:)\"']*)", text):
            named = re.sub(r"\{\w+\}", "{}", route.split("?")[0].rstrip("."))
            assert f"{method} {named}" in templates, f"{path.name}: {method} {route}"
        for route in re.findall(r"http://localhost:8000(/[^\s'\"`]*)", text):
            concrete = re.sub(r"\$\w+", "x", route)
            assert any(p.fullmatch(concrete) for p in paths), f"{path.name}: {route}"


def test_every_state_event_metric_and_column_is_described() -> None:
    text = read("docs/API.md")
    assert not [state for state in states.ALL if f"`{state}`" not in text]
    events = sections(text, "###")["GET /jobs/{job_id}/events"]
    for event in ("progress", "plate", states.COMPLETED, states.FAILED, states.CANCELLED):
        assert f"| `{event}` |" in events
    described = {
        names_in(c[0])[0] for c in rows(sections(text, "###")["GET /metrics"]) if "`" in c[0]
    }
    families = {family.name for family in Metrics().registry.collect()}
    assert {name.removesuffix("_total") for name in described} == families
    assert not [column for column in CSV_COLUMNS if f"`{column}`" not in text]


# -- errors ---------------------------------------------------------------------------------


def raised_codes() -> dict[str, set[int]]:
    """Every error code in the source, with the statuses that it is raised with for a request."""
    found: dict[str, set[int]] = defaultdict(set)
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for code, status in _codes_of(node, path):
                assert CODE.fullmatch(code), f"{path}: {code}"
                found[code] |= {status} if status else set()
    return found


def _codes_of(node: ast.AST, path: Path) -> Iterator[tuple[str, int | None]]:
    if isinstance(node, ast.ClassDef):
        for line in node.body:
            if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "code":
                yield from ((code, _status_of(node.name)) for code in _texts(line.value))
    elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "code":
        yield from ((code, None) for code in _texts(node.value) if CODE.fullmatch(code))
    elif isinstance(node, ast.Call):
        yield from _codes_of_call(node)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None and ast.unparse(key) in ("'code'", "'error'"):
                yield from ((code, None) for code in _texts(value))
    elif (
        isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and "jobs" in path.parts
    ):
        yield from ((text, None) for text in _texts(node.value.elts[0]) if CODE.fullmatch(text))


def _codes_of_call(node: ast.Call) -> Iterator[tuple[str, int | None]]:
    function = ast.unparse(node.func).rsplit(".", 1)[-1]
    for keyword in node.keywords:
        if keyword.arg == "code":
            yield from ((code, _status_of(function)) for code in _texts(keyword.value))
    if function == "problem":
        yield from ((code, int(ast.unparse(node.args[1]))) for code in _texts(node.args[2]))
    if function in ("_give_up", "_fail"):
        codes = [text for arg in node.args for text in _texts(arg) if CODE.fullmatch(text)]
        yield from ((code, None) for code in codes[:1])


def _texts(node: ast.expr) -> Iterator[str]:
    """The strings that an expression may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)


def _status_of(name: str) -> int | None:
    """The status of a request's error by its class; None for errors of videos and programs."""
    kind = getattr(errors, name, None)
    if not isinstance(kind, type) or issubclass(kind, errors.VideoError):
        return None
    return int(getattr(kind, "status", 0)) or None


def described_codes(title: str, document: str = "docs/API.md") -> dict[str, set[int]]:
    text = {**sections(read(document), "##"), **sections(read(document), "###")}[title]
    return {
        code: {int(status) for status in re.findall(r"\d{3}", cells[1])}
        for cells in rows(text)
        for code in names_in(cells[0])
    }


def test_every_error_code_is_described_and_no_other() -> None:
    of_requests = described_codes("Why requests are refused")
    of_jobs = described_codes("Why jobs fail")
    of_programs = described_codes("Codes of failures", "docs/CLI.md")
    raised = raised_codes()
    assert {*of_requests, *of_jobs, *of_programs} == {*raised, *NOT_IN_THE_SOURCE}
    for code, statuses in raised.items():
        if statuses:
            assert statuses <= of_requests[code], f"{code} is raised with {statuses}"


def test_codes_at_the_routes_are_in_the_list() -> None:
    known = {*described_codes("Why requests are refused"), *described_codes("Why jobs fail")}
    for name, section in route_sections().items():
        for sentence in re.findall(r"Errors: (.+?)(?:\n\n|\Z)", section, re.S):
            named = {word for word in names_in(sentence) if CODE.fullmatch(word)}
            assert not named - known - {"detail", "errors"}, name


# -- commands -------------------------------------------------------------------------------


def command_options() -> dict[str, set[str]]:
    """The options of each command; a group's commands are named with it, as in ``s3 setup``."""

    def below(group: Any, begin: str) -> Iterator[tuple[str, set[str]]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from below(command, f"{begin}{name} ")
                continue
            yield (
                f"{begin}{name}",
                {
                    option
                    for parameter in command.params
                    for option in (*parameter.opts, *parameter.secondary_opts)
                    if option.startswith("--")
                },
            )

    return dict(below(typer.main.get_command(commands), ""))


def test_every_command_and_option_is_described_and_no_other() -> None:
    described = {
        title.removeprefix("detect-api "): {
            option for cells in rows(text) for option in names_in(cells[0])
        }
        for title, text in sections(read("docs/CLI.md"), "##").items()
        if title.startswith("detect-api ")
    }
    assert described == command_options()


def test_commands_that_are_named_exist() -> None:
    known = command_options()
    groups = {name.split()[0] for name in known if " " in name}
    for path in documents():
        for code in code_of(path.read_text(encoding="utf-8")):
            for first, rest in re.findall(r"(?:^|/)detect-api ([a-z][\w-]*)(.*)$", code, re.M):
                below = re.match(r" +([a-z][\w-]*)", rest) if first in groups else None
                name = f"{first} {below[1]}" if below else first
                if name in groups:
                    continue  # the group itself is meant
                assert name in known, f"{path.name}: detect-api {name}"
                given = set(re.findall(r"(?<!\S)--[\w-]+", rest.split("#")[0]))
                assert not given - known[name], f"{path.name}: {code}"


def test_make_words_are_described_and_exist() -> None:
    makefile = read("Makefile")
    known = set(re.findall(r"^([a-z-]+)(?=[^=\n]*:(?!=))", makefile, re.M))
    named = {
        word
        for path in documents()
        for code in code_of(path.read_text(encoding="utf-8"))
        for word in re.findall(r"^make ([a-z-]+)", code, re.M)
    }
    assert not named - known
    explained = set(re.findall(r"make ([\w-]+)", makefile)) | set(
        re.findall(r"\| (\w+) +", makefile)
    )
    assert not {"demo", "test", "serve", "lint", "fix", "bench"} - named
    assert named <= explained | {"lock"}


# -- links, hosts, data ---------------------------------------------------------------------


def test_links_lead_somewhere() -> None:
    for path in documents():
        text = _FENCE.sub("", path.read_text(encoding="utf-8"))
        for label, target in re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            if label.endswith((".md", ".py")):
                assert Path(label).name == Path(name).name, f"{path.name}: {label}"
            file = (path.parent / name).resolve() if name else path
            assert file.exists(), f"{path.name}: {target}"
            if anchor:
                assert anchor in anchors(file), f"{path.name}: {target}"


def anchors(path: Path) -> set[str]:
    """The anchors that a page makes of its headings."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.M)
    }


def test_tests_and_measurements_that_are_named_exist() -> None:
    for path in documents():
        text = path.read_text(encoding="utf-8")
        for name, test in re.findall(r"\b(tests/[\w/]+\.py)(?:::(\w+))?", text):
            file = ROOT / name
            assert file in tracked(), f"{path.name}: {name}"
            named = re.search(rf"^def {test}\(", file.read_text("utf-8"), re.M)
            assert not test or named, f"{path.name}: {name}::{test}"
        for words in re.findall(r"`(?:python -m |make )bench((?:[. ]\w+)*)`", text):
            parts = words.split()
            if words.startswith("."):
                assert (ROOT / "bench" / f"{parts[0][1:]}.py") in tracked(), f"{path.name}: {words}"
            else:
                assert set(parts) <= {*bench.PARTS, *bench.WHEN_NAMED}, f"{path.name}: {words}"


@pytest.mark.parametrize("name", ["README.md", "SECURITY.md", "docs/OPERATIONS.md"])
def test_every_line_of_what_backs_the_claims_names_a_test_or_a_command(name: str) -> None:
    text = next(v for k, v in sections(read(name), "##").items() if k.startswith("What backs"))
    lines = [cells for cells in rows(text) if cells[0] != "claim" and "---" not in cells[0]]
    assert len(lines) > 5
    for claim, backing in lines:
        assert re.search(r"`(tests/|python -m bench|make |detect-api )", backing), claim


def test_figures_of_the_code_are_told_as_they_are() -> None:
    told = " ".join(read("docs/OPERATIONS.md").split())
    for sentence in (
        f"503 after a minute's standstill ({STUCK_SECONDS:.0f} s)",
        f"has not reached the database for {SILENT_SECONDS:.0f} s",
        f"ends with status 0, within {DRAIN_SECONDS:.0f} s",
        f"is ended after {DRAIN_SECONDS + 5:.0f} s with status 1",
        f"loses its line for {STALLED_SECONDS:.0f} s",
        f"given up after {MAX_TRIES} tries",
    ):
        assert sentence in told, sentence


def test_lines_of_the_log_that_the_runbook_names_are_written() -> None:
    source = "".join(path.read_text("utf-8") for path in SOURCES.rglob("*.py"))
    guide = sections(read("docs/OPERATIONS.md"), "##")
    named = re.findall(r"`([a-z][a-z0-9]*(?:_[a-z0-9]+)+)`", guide["Runbook"] + guide["Logs"])
    fields = {"request_id", "job_id", "max_connections"}
    assert {"worker_failed", "task_requeued", "s3_upload"} <= set(named)
    for name in named:
        written = re.search(rf'"{name}"|\b{name}=', source)
        assert written or name in fields or name.startswith("detect_api_"), name


def test_every_decision_is_in_the_list() -> None:
    folder = ROOT / "docs" / "adr"
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text("utf-8"))
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))
    for name in listed:
        text = (folder / name).read_text(encoding="utf-8")
        for part in ("**Context.**", "**Decision.**", "**Consequence.**"):
            assert part in text, name


REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"),
        ("yarnpkg", "com"), ("crates", "io"), ("golang", "org"), ("docker", "io"), ("ghcr", "io"),
        ("quay", "io"), ("anaconda", "org"), ("rubygems", "org"), ("huggingface", "co"),
    )
]  # fmt: skip


def test_no_file_names_a_package_registry_or_an_aws_account() -> None:
    hosts = re.compile("|".join(rf"\b{re.escape(host)}\b" for host in REGISTRIES))
    account = re.compile(r"\bA[KS]IA[0-9A-Z]{16}\b|arn:aws[\w-]*:\w+:[\w-]*:\d{12}\b")
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        assert not hosts.search(text), f"{path}: {hosts.search(text)}"
        assert not account.search(text), path


def test_json_in_the_documents_is_json() -> None:
    for path in documents():
        for block in blocks(path.read_text(encoding="utf-8")):
            if block.language == "json":
                json.loads(block.text)


def aws_file(name: str) -> Any:
    """A file that the S3 guide tells to write."""
    for block in blocks(read("docs/AWS_S3_INTEGRATION.md")):
        if block.note == f"file: {name}":
            return json.loads(block.text)
    raise AssertionError(name)


def test_the_file_for_the_buckets_events_has_the_shape_that_s3_takes() -> None:
    client = boto3.client(
        "s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    shape = client.meta.service_model.operation_model(
        "PutBucketNotificationConfiguration"
    ).input_shape
    assert shape is not None
    given = {"Bucket": "b", "NotificationConfiguration": aws_file("notification.json")}
    report = ParamValidator().validate(given, shape)
    assert not report.has_errors(), report.generate_report()


def test_the_policy_allows_what_the_service_calls() -> None:
    source = "".join(path.read_text("utf-8") for path in (SOURCES / "storage").glob("*.py"))
    called = set(re.findall(r"client\.([a-z_0-9]+)\(", source))
    needs = {
        "head_object": "s3:GetObject", "get_object": "s3:GetObject", "put_object": "s3:PutObject",
        "create_multipart_upload": "s3:PutObject", "upload_part": "s3:PutObject",
        "complete_multipart_upload": "s3:PutObject", "delete_object": "s3:DeleteObject",
        "abort_multipart_upload": "s3:AbortMultipartUpload", "head_bucket": "s3:ListBucket",
        "get_paginator": "s3:ListBucket", "list_parts": "s3:ListMultipartUploadParts",
        "list_multipart_uploads": "s3:ListBucketMultipartUploads",
        "generate_presigned_url": "s3:PutObject", "list_object_versions": "s3:ListBucketVersions",
        "delete_objects": "s3:DeleteObjectVersion",
    }  # fmt: skip
    assert called <= set(needs), "say here, in the policy and in its table what is new"
    shown = aws_file("policy.json")
    assert shown == service_policy("your-video-bucket", "videos/", "us-east-1")
    allowed = {action for part in shown["Statement"] for action in part["Action"]}
    assert {needs[call] for call in called} == allowed, "no more than is needed, and no less"
    assert "s3:HeadObject" not in allowed  # there is no such action


def test_the_policy_of_the_queue_allows_what_the_worker_calls() -> None:
    source = (SOURCES / "jobs" / "s3_queue.py").read_text("utf-8")
    called = set(re.findall(r"client\.([a-z_]+)\(", source))
    needs = {"receive_message": "sqs:ReceiveMessage", "delete_message": "sqs:DeleteMessage"}
    (configuration,) = aws_file("notification.json")["QueueConfigurations"]
    arn = configuration["QueueArn"]
    policy = service_policy("b", "videos/", "us-east-1", queue=arn.replace("ACCOUNT", "1" * 12))
    assert {needs[call] for call in called} == set(policy["Statement"][-1]["Action"])
    (sending,) = aws_file("queue-policy.json")["Statement"]
    assert sending["Resource"] == arn


# -- what a reader is told to type ----------------------------------------------------------


def draw_clip(path: Path) -> None:
    """Two seconds of a car with the plate ``TEXT``."""
    container: Any
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 480, 272, "yuv420p"
        for number in range(16):
            x, y = 90 + 6 * number, 70 + 4 * number
            image = np.full((272, 480, 3), 105, np.uint8)
            cv2.rectangle(image, (x - 40, y - 50), (x + 230, y + 70), (60, 50, 45), -1)
            cv2.rectangle(image, (x, y), (x + 190, y + 44), (245, 245, 245), -1)
            font, black = cv2.FONT_HERSHEY_SIMPLEX, (15, 15, 15)
            cv2.putText(image, TEXT, (x + 10, y + 33), font, 1.15, black, 3, cv2.LINE_AA)
            frame = av.VideoFrame.from_ndarray(image, "bgr24")
            frame.pts, frame.time_base = number, Fraction(1, 8)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with the videos that the examples name."""
    draw_clip(tmp_path / "traffic.mp4")
    shutil.copy(tmp_path / "traffic.mp4", tmp_path / "traffic_video.mp4")
    return tmp_path


def run_there(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    own = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": os.pathsep.join([own, os.environ.get("PATH", "")])}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_the_walk_through_of_the_readme_works(stack: Stack, folder: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    parts = [b.text for b in blocks(read("README.md")) if b.note.startswith("walk-through")]
    assert len(parts) == 6
    script = "".join(["set -euo pipefail\n", *parts]).replace(
        "http://localhost:8000", stack.api_url
    )
    ran = run_there(folder, "bash", "-c", script)
    assert ran.returncode == 0, ran.stderr
    assert "event: completed" in ran.stdout
    assert f",{TEXT}," in ran.stdout
    result = json.loads((folder / "result.json").read_text())
    assert [plate["text"] for plate in result["plates"]] == [TEXT]
    assert (folder / "plate.jpg").read_bytes().startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("document", ["docs/AWS_S3_INTEGRATION.md", "docs/CHUNKED_UPLOAD.md"])
def test_the_python_example_works(stack: Stack, folder: Path, document: str) -> None:
    (example,) = [b.text for b in blocks(read(document)) if b.note == "run: python"]
    ran = run_there(
        folder, sys.executable, "-c", example.replace("http://localhost:8000", stack.api_url)
    )
    assert ran.returncode == 0, ran.stderr
    assert "Processed 8/8 frames (1 unique plates" in ran.stdout or "uploaded" in ran.stdout
    if document == "docs/AWS_S3_INTEGRATION.md":
        assert TEXT in ran.stdout


def test_the_examples_of_the_client_work(stack: Stack, folder: Path) -> None:
    examples = [b.text for b in blocks(read("docs/CLIENT.md")) if b.note == "run: python"]
    assert len(examples) == 2
    for example in examples:
        ran = run_there(
            folder, sys.executable, "-c", example.replace("http://localhost:8000", stack.api_url)
        )
        assert ran.returncode == 0, ran.stderr
        assert f"{TEXT} " in ran.stdout
        assert "completed" in ran.stdout
    assert (folder / "pictures" / f"001-{TEXT}-crop.jpg").read_bytes().startswith(b"\xff\xd8\xff")
    assert TEXT in (folder / "plates.csv").read_text()


def test_every_method_of_the_client_is_described() -> None:
    methods = {name for name in vars(Client) if not name.startswith("_")}
    assert {name for name in vars(AsyncClient) if not name.startswith("_")} == methods - {
        "interrupt"
    }
    described = set(re.findall(r"`(?:client\.)?(\w+)\(", read("docs/CLIENT.md")))
    assert methods <= described
    options = {
        names_in(cells[0])[0]
        for cells in rows(read("docs/CLIENT.md"))
        if len(cells) == 3 and "`" in cells[0]
    }
    assert {*UploadOptions.__annotations__, "on_progress"} == options


def test_the_example_in_parts_works(stack: Stack, folder: Path) -> None:
    text = read("docs/AWS_S3_INTEGRATION.md")
    (example,) = [b.text for b in blocks(text) if b.note == "run: parts"]
    ran = run_there(
        folder, sys.executable, "-c", example.replace("http://localhost:8000", stack.api_url)
    )
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"part 1 of 1\nuploaded videos/\d{8}_\d{6}_[0-9a-f]{8}\.mp4\n", ran.stdout)


JUDGE = {
    "javascript": """
const [headers, body] = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(genuine(process.env.SECRET, headers, body)));
""",
    "python": """
import json, os, sys
headers, body = json.load(sys.stdin)
print(json.dumps(genuine(os.environ["SECRET"], headers, body)))
""",
}
PROGRAMS = {"javascript": ("node", "-e"), "python": (sys.executable, "-c"), "bash": ("bash", "-c")}


@pytest.mark.parametrize("language", ["python", "javascript", "bash"])
def test_the_examples_tell_a_genuine_webhook_from_a_forged_one(language: str) -> None:
    program, option = PROGRAMS[language]
    needed = [program, *(["openssl", "od"] if language == "bash" else [])]
    if missing := [name for name in needed if shutil.which(name) is None]:
        pytest.skip(f"{missing} not installed here")
    notes = {b.note: b.text for b in blocks(read("docs/WEBHOOKS.md"))}
    sender = Sender(Rules(), (SECRET,), ssl.create_default_context())
    body = '{"type":"job.completed","data":{"text":"Ä"}}'
    now = datetime.now(UTC)
    headers = sender.headers("the-id", now, body)
    late = sender.headers("the-id", now - timedelta(minutes=6), body)

    def judged(headers: dict[str, str], body: str) -> str:
        values = {
            "SECRET": SECRET,
            "ID": headers["webhook-id"],
            "TIMESTAMP": headers["webhook-timestamp"],
            "BODY": body,
        }
        return subprocess.run(
            [program, option, notes[f"verify: {language}"] + JUDGE.get(language, "")],
            input=json.dumps([headers, body]), env={**os.environ, **values}, text=True,
            capture_output=True, check=True, timeout=60,
        ).stdout.strip()  # fmt: skip

    if language == "bash":
        assert judged(headers, body) == headers["webhook-signature"]
        assert judged(headers, body + " ") != headers["webhook-signature"]
    else:
        assert json.loads(judged(headers, body)) == json.loads(body)
        assert json.loads(judged(headers, body + " ")) is None
        assert json.loads(judged(late, body)) is None
        assert json.loads(judged({**headers, "webhook-signature": "v1,AAAA v2,x"}, body)) is None


# -- test_s3_upload.py ----------------------------------------------------------------------

SCRIPT = ROOT / "test_s3_upload.py"

MEASURED = """
import resource, runpy, sys
from pathlib import Path
sys.argv[1:] = {arguments!r}
try:
    runpy.run_path({script!r}, run_name="__main__")
finally:
    # Not ru_maxrss on Linux: it begins with the size of the process that was forked.
    status = Path("/proc/self/status")
    own = [line.split() for line in status.read_text().splitlines()] if status.exists() else []
    peak = [int(words[1]) * 1024 for words in own if words[0] == "VmHWM:"]
    print("peak", *(peak or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""
"""Runs the script and prints the most memory, in bytes, that it took."""


def test_the_upload_script_prints_the_plates(stack: Stack, folder: Path) -> None:
    ran = run_there(
        folder, sys.executable, str(SCRIPT), "--url", stack.api_url, "--frame-skip", "2",
        "traffic.mp4",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert re.search(rf"Plates read: 1\n +{TEXT} ", ran.stdout)
    assert "100%" in ran.stdout


def test_the_upload_script_streams_and_tells_why_a_job_failed(stack: Stack, folder: Path) -> None:
    size = 96 * 1024 * 1024
    with (folder / "large.mp4").open("wb") as file:
        file.truncate(size)
    arguments = ["--url", stack.api_url, "large.mp4"]
    code = MEASURED.format(arguments=arguments, script=str(SCRIPT))
    ran = run_there(folder, sys.executable, "-c", code)
    assert ran.returncode == 1
    assert "the job ended as failed (not_a_video)" in ran.stderr
    peak = int(re.findall(r"peak (\d+)", ran.stdout)[0])
    assert peak < size, "the file was held in memory"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "http://127.0.0.1:1", "traffic.mp4"], "http://127.0.0.1:1 cannot be reached"),
        (["missing.mp4"], "No such file or directory: missing.mp4"),
        (["notes.txt"], r"must end in a video extension .* \(400\)"),
        (["empty.mp4"], "empty.mp4 is empty"),
    ],
)
def test_the_upload_script_says_what_is_wrong(
    stack: Stack, folder: Path, arguments: list[str], message: str
) -> None:
    (folder / "notes.txt").write_text("no video")
    (folder / "empty.mp4").touch()
    url = [] if "--url" in arguments else ["--url", stack.api_url]
    ran = run_there(folder, sys.executable, str(SCRIPT), *url, *arguments)
    assert ran.returncode == 1
    assert re.search(message, ran.stderr)
    assert "Traceback" not in ran.stderr
