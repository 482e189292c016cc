"""The service at work with what the image has: the packages of its lock, taken out of this
environment, less what ``deploy/docker/prune.py`` takes away."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from packaging.requirements import Requirement

from detect_api.client import Client
from detect_api.local.stack import Programs, Stack
from tests.conftest import make_settings, short_folder
from tests.processing import EVERY_OTHER, Sample, ended, essence

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
PRUNE = ROOT / "deploy" / "docker" / "prune.py"


def locked_here() -> Iterator[str]:
    """The packages of the image's lock that are for this system."""
    for line in (ROOT / "deploy" / "docker" / "requirements.lock").read_text().splitlines():
        if re.match(r"\w", line):
            requirement = Requirement(line.rstrip("\\"))
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement.name


def lend(package: str, folder: Path) -> None:
    """Puts the files of an installed package there as well: as links where the disk can."""
    for file in importlib.metadata.distribution(package).files or ():
        source = Path(str(file.locate()))
        if file.parts[0] == ".." or not source.is_file():
            continue  # a command in bin/, or compiled code of another Python
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(source)
        except OSError:
            shutil.copy2(source, target)


def checked(*words: str | Path) -> str:
    """What a program prints; it has to succeed."""
    ran = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An environment as the image has it: its Python, and what pruning it said."""
    home = tmp_path_factory.mktemp("image") / "venv"
    checked(sys.executable, "-m", "venv", "--without-pip", home)
    (packages,) = (home / "lib").glob("python*/site-packages")
    for package in (*locked_here(), "detect-api"):
        lend(package, packages)
    return home / "bin" / "python", checked(sys.executable, PRUNE, packages)


EVERYTHING = """
import importlib, pkgutil, sys
import detect_api
for module in pkgutil.walk_packages(detect_api.__path__, "detect_api."):
    if not module.name.endswith("__main__") and module.name not in {skipped!r}:
        importlib.import_module(module.name)
from detect_api.cli import app
sys.argv = ["detect-api", "--help"]
app()
"""


def test_the_service_imports_with_what_the_image_has(pruned: tuple[Path, str]) -> None:
    optional = {"detect_api.vision.runtime.onnx", "detect_api.db.migrations.env"}
    printed = checked(pruned[0], "-c", EVERYTHING.format(skipped=optional))
    assert "worker" in printed


@pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64",
    reason="OpenVINO has other files elsewhere",
)
def test_everything_that_is_to_go_was_there(pruned: tuple[Path, str]) -> None:
    lines = [line.split() for line in pruned[1].splitlines()]
    assert not [words for words in lines if float(words[0]) == 0.0]
    assert float(lines[-1][0]) > 150


def test_every_service_of_aws_that_is_asked_stays(pruned: tuple[Path, str]) -> None:
    sources = "".join(path.read_text() for path in (ROOT / "src" / "detect_api").rglob("*.py"))
    asked = set(re.findall(r'\.client\(\s*"([\w-]+)"', sources))
    assert asked == {"s3", "sqs", "iam"}
    for name in (*asked, "sts", "sso", "sso-oidc", "signin"):
        printed = checked(
            pruned[0], "-c",
            f"import boto3; c = boto3.client({name!r}, region_name='eu-west-1',"
            " aws_access_key_id='x', aws_secret_access_key='x'); print(c.meta.endpoint_url)",
        )  # fmt: skip
        assert ".eu-west-1." in printed or name == "iam"


def test_the_service_reads_the_same_with_it(
    pruned: tuple[Path, str], sample: Sample, reference: dict[str, Any]
) -> None:
    python = str(pruned[0])
    programs = Programs(
        *((python, "-m", name) for name in (
            "detect_api.local.migrate", "detect_api.local.serve_api", "detect_api.jobs.worker",
        ))
    )  # fmt: skip
    with short_folder() as folder:
        settings = make_settings(data_dir=folder, port=0, workers=1, segment_seconds=2.0)
        with Stack(settings, programs=programs).running() as stack, Client(stack.api_url) as client:
            created = client.process(sample.path, EVERY_OTHER)
            assert ended(client, created["job_id"])["status"] == "completed"
            result = client.result(created["job_id"])
            assert essence(result) == essence(reference)
            assert client.picture(result["plates"][0]["crop_url"]).startswith(b"\xff\xd8\xff")
            # A still picture, whose doubtful plates the general recogniser sees as well.
            picture = client.picture(result["plates"][0]["frame_url"])
            answer = httpx.post(
                f"{stack.api_url}/detect/upload", files={"file": ("p.jpg", picture)}, timeout=60
            )
            read = answer.raise_for_status().json()
            assert result["plates"][0]["text"] in [plate["text"] for plate in read["plates"]]
