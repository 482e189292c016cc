"""The page as the API hands it out, the sample, and the list that the page watches."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.integration.conftest import Api


def index_of(api: Api) -> httpx.Response:
    answer = api.client.get("/")
    assert answer.status_code == 200
    return answer


def policy_of(answer: httpx.Response) -> dict[str, list[str]]:
    directives = answer.headers["Content-Security-Policy"].split("; ")
    return {name: sources for name, *sources in (directive.split() for directive in directives)}


def test_the_index_is_asked_for_each_time_and_its_files_never_again(api: Api) -> None:
    index = index_of(api)
    assert index.headers["Content-Type"] == "text/html; charset=utf-8"
    assert index.headers["Cache-Control"] == "no-cache"
    script = re.search(r'src="\./(assets/[^"]+\.js)"', index.text)
    assert script
    answer = api.client.get(f"/{script[1]}")
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Encoding"] == "gzip"
    plain = api.client.get(f"/{script[1]}", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.content == answer.content


def test_what_the_browser_has_already_is_not_sent_again(api: Api) -> None:
    etag = index_of(api).headers["ETag"]
    again = api.client.get("/", headers={"If-None-Match": etag})
    assert again.status_code == 304
    assert not again.content


def test_the_page_may_talk_to_the_api_and_to_the_storage_alone(api: Api) -> None:
    policy = policy_of(index_of(api))
    form = api.presign(filename="a.mp4")
    storage = form["upload_url"].split("/", 3)
    origin = f"{storage[0]}//{storage[2]}"
    assert policy["connect-src"] == policy["media-src"] == ["'self'", origin]
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == ["'self'"]
    assert policy["frame-ancestors"] == ["'none'"]


def test_without_s3_it_may_talk_to_the_api_alone(api_without_s3: Api) -> None:
    assert policy_of(index_of(api_without_s3))["connect-src"] == ["'self'"]


@pytest.mark.parametrize("path", ["/assets/none.js", "/assets/..%2findex.html", "/assets/%2e%2e"])
def test_nothing_but_the_page_is_handed_out(api: Api, path: str) -> None:
    assert api.client.get(path).status_code == 404


def test_the_sample_is_a_job_like_any_other(api: Api) -> None:
    key = {"Idempotency-Key": "sample-once"}
    answer = api.client.post("/process/sample", headers=key, timeout=120)
    assert answer.status_code == 200, answer.text
    job_id = answer.json()["job_id"]
    job = api.job(job_id)
    assert (job["type"], job["status"], job["filename"]) == ("video", "pending", "sample.mp4")
    assert api.queued(job_id) == ["plan"]
    assert job["s3_key"] in api.objects()
    # Once more: the clip is there already, and the same key makes no second job.
    again = api.client.post("/process/sample", headers=key, timeout=120)
    assert again.json() == answer.json()
    another = api.client.post("/process/sample", timeout=120).json()["job_id"]
    assert another != job_id
    for made in (job_id, another):
        assert api.client.delete(f"/jobs/{made}").status_code == 200
    assert job["s3_key"] not in api.objects()


def test_jobs_are_found_by_a_part_of_their_name(api: Api) -> None:
    names = ["Nord 100%.mp4", "nord_100x.mp4", "Süd.mp4"]
    made = [api.presign(filename=name)["job_id"] for name in names]

    def found(part: str) -> set[str]:
        answer = api.client.get("/jobs", params={"name": part, "limit": 1000})
        assert answer.status_code == 200, answer.text
        return {job["filename"] for job in answer.json()["jobs"] if job["job_id"] in made}

    assert found("NORD") == {"Nord 100%.mp4", "nord_100x.mp4"}
    assert found("100%") == {"Nord 100%.mp4"}
    assert found("d_1") == {"nord_100x.mp4"}
    assert found("süd") == {"Süd.mp4"}
    assert api.client.get("/jobs", params={"name": "a\0b"}).status_code == 422


def test_an_unchanged_list_is_not_sent_again(api: Api) -> None:
    query = {"name": "unchanged list"}
    first = api.client.get("/jobs", params=query)
    etag = {"If-None-Match": first.headers["ETag"]}
    assert api.client.get("/jobs", params=query, headers=etag).status_code == 304
    api.presign(filename="unchanged list.mp4")
    changed = api.client.get("/jobs", params=query, headers=etag)
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]
