"""The whole service tells a receiver when a video has been read."""

from __future__ import annotations

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from detect_api.client import Client
from detect_api.local.stack import Stack
from tests.processing import EVERY_OTHER, Sample
from tests.receiver import SECRET, receiver

pytestmark = pytest.mark.timeout(300)


def test_a_receiver_hears_of_the_result(client: Client, stack: Stack, sample: Sample) -> None:
    with receiver() as here:
        with sample.path.open("rb") as video:
            answer = httpx.post(
                f"{stack.api_url}/process/video/upload/async",
                data={**{k: str(v) for k, v in EVERY_OTHER.items()}, "webhook_url": here.url},
                files={"file": ("sample.mp4", video, "video/mp4")},
                timeout=60,
            )
        assert answer.status_code == 200, answer.text
        job_id = answer.json()["job_id"]
        (request,) = here.wait(seconds=240)
        said = Webhook(SECRET).verify(request.body, request.headers)
    assert said["type"] == "job.completed"
    assert said["data"] == {**client.job(job_id), "upload_job_id": None}
    assert said["data"]["plates_found"] == len(sample.plates)
    result = httpx.get(stack.api_url + said["data"]["result_url"], timeout=60).json()
    assert [plate["text"] for plate in result["plates"]] == sample.plates
