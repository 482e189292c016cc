"""Traces from a request to the segments of its job, as a collector receives them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from detect_api.client import Client
from detect_api.core import tracing
from detect_api.core.config import Settings
from detect_api.local.stack import Stack
from tests.conftest import make_settings, short_folder
from tests.processing import Sample, ended

TRACE = "0af7651916cd43dd8448eb211c80319c"


@contextmanager
def collector() -> Iterator[tuple[str, list[Any]]]:
    """An OTLP receiver: its address, and the (service, span) pairs that it got."""
    spans: list[Any] = []

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = next(
                    a.value.string_value
                    for a in resource.resource.attributes
                    if a.key == "service.name"
                )
                spans.extend((service, s) for scope in resource.scope_spans for s in scope.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receive)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def test_one_trace_leads_from_the_request_to_every_segment(sample: Sample) -> None:
    with collector() as (address, spans), short_folder() as folder:
        settings = make_settings(
            data_dir=folder, port=0, segment_seconds=4.0, otel_exporter_otlp_endpoint=address
        )
        with Stack(settings).running() as stack, Client(stack.api_url) as client:
            key = client.upload_to_s3(sample.path)["s3_key"]
            answer = httpx.post(
                f"{stack.api_url}/process/video/s3",
                json={"s3_key": key, "frame_skip": 8},
                headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
                timeout=60,
            )
            job_id = answer.json()["job_id"]
            assert ended(client, job_id)["status"] == "completed"
        # The processes have ended, and told their last spans.
        mine = [(service, s) for service, s in spans if s.trace_id.hex() == TRACE]
    names = [(service, s.name) for service, s in mine]
    assert ("detect-api-api", "POST /process/video/s3") in names
    assert names.count(("detect-api-worker", "segment")) == 2
    assert {"plan", "merge"} <= {name for service, name in names if service == "detect-api-worker"}
    request = next(s for service, s in mine if service == "detect-api-api")
    assert all(s.parent_span_id == request.span_id for _, s in mine if s.name == "segment")
    assert request.parent_span_id.hex() == "b7ad6b7169203331"


def test_a_span_tells_neither_what_was_asked_nor_what_an_error_says(api_without_s3: Any) -> None:
    with collector() as (address, spans):
        end = tracing.configure(make_settings(otel_exporter_otlp_endpoint=address), "api")
        try:
            for path in ("/plates/AB12CDE/crop.jpg", "/plates?text=AB12CDE", "/AB12CDE"):
                api_without_s3.client.get(path)
            with pytest.raises(ValueError, match="AB12CDE"), tracing.span("merge"):
                raise ValueError("AB12CDE")
        finally:
            end()
    assert {s.name for _, s in spans} == {
        "GET /plates/{plate_id}/crop.jpg", "GET /plates", "GET (none)", "merge",
    }  # fmt: skip
    assert "AB12CDE" not in str(spans)
    failed = next(s for _, s in spans if s.name == "merge")
    assert (failed.status.code, failed.status.message) == (2, "ValueError")


def test_without_an_endpoint_nothing_is_traced(tmp_path: Path) -> None:
    end = tracing.configure(Settings(_env_file=None, data_dir=tmp_path), "api")
    with tracing.span("x"):
        assert tracing.traceparent() is None
    end()


def test_a_collector_that_is_away_costs_no_request(
    api_without_s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = tracing.configure(make_settings(otel_exporter_otlp_endpoint="http://127.0.0.1:9"), "api")
    try:
        assert api_without_s3.client.get("/health").status_code == 200
        with tracing.span("x"):
            assert tracing.traceparent() is not None
    finally:
        end()
