"""What a bucket's event message says, in all its shapes, and what is none."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detect_api.core.errors import InvalidRequest
from detect_api.jobs.s3_events import MAX_MESSAGE_BYTES, MAX_RECORDS, created_keys

BUCKET = "your-video-bucket"
KEY = "videos/20250113_143022_550e8400.mp4"


def record(key: str = KEY, bucket: str = BUCKET, name: str = "ObjectCreated:Post") -> Any:
    """One record as AWS documents it."""
    return {
        "eventVersion": "2.3",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2025-01-13T14:30:40.120Z",
        "eventName": name,
        "userIdentity": {"principalId": "AWS:EXAMPLE"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "arrivals",
            "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {
                "key": quote_plus(key, safe="/"), "size": 1024, "eTag": "d41d8cd98f00b204",
                "sequencer": "0055AED6DCD90281E5",
            },
        },
    }  # fmt: skip


def s3_event(*records: Any) -> str:
    return json.dumps({"Records": list(records)})


def eventbridge(key: str = KEY, bucket: str = BUCKET, kind: str = "Object Created") -> str:
    """An event as EventBridge sends it."""
    return json.dumps(
        {
            "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": kind,
            "source": "aws.s3", "region": "us-east-1", "resources": [f"arn:aws:s3:::{bucket}"],
            "detail": {
                "version": "0", "bucket": {"name": bucket},
                "object": {"key": key, "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184"},
                "reason": "PutObject",
            },
        }
    )  # fmt: skip


def by_sns(message: str) -> str:
    """What SNS makes of a message, unless raw delivery is on."""
    return json.dumps(
        {"Type": "Notification", "MessageId": "1", "Subject": "Amazon S3", "Message": message}
    )


@pytest.mark.parametrize("wrap", [str, by_sns])
@pytest.mark.parametrize("shape", [eventbridge, lambda key: s3_event(record(key))])
@pytest.mark.parametrize("key", [KEY, "videos/a b+c%20ü.mp4"])
def test_every_shape_names_the_object(wrap: Any, shape: Any, key: str) -> None:
    assert created_keys(wrap(shape(key)), BUCKET) == [key]


@pytest.mark.parametrize(
    "name",
    [
        "ObjectCreated:Put", "ObjectCreated:Post", "ObjectCreated:CompleteMultipartUpload",
        "s3:ObjectCreated:Put",
    ],
)  # fmt: skip
def test_every_way_to_create_an_object_counts(name: str) -> None:
    assert created_keys(s3_event(record(name=name)), BUCKET) == [KEY]


@pytest.mark.parametrize(
    "message",
    [
        s3_event(record(name="ObjectRemoved:Delete")),
        s3_event(record(name="ObjectCreatedNot:Put")),
        s3_event(record(bucket="another")),
        s3_event(),
        eventbridge(kind="Object Deleted"),
        eventbridge(bucket="another"),
        json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}),
        by_sns(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET})),
    ],
)
def test_other_events_are_passed_over(message: str) -> None:
    assert created_keys(message, BUCKET) == []


def test_an_object_that_is_named_twice_counts_once() -> None:
    other = "videos/b.mp4"
    message = s3_event(record(), record(other), record(name="ObjectRemoved:Delete"), record())
    assert created_keys(message, BUCKET) == [KEY, other]


def with_raw_key(key: str) -> str:
    damaged = record()
    damaged["s3"]["object"]["key"] = key
    return s3_event(damaged)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        (b"\xff\xfe\xfa", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"a":' * 40_000, "not JSON"),
        ("1" * 5000, "not JSON"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("{}", "neither"),
        ('{"Records": {}}', "neither"),
        ('{"Records": [1]}', "eventName is missing"),
        ('{"Records": [{"eventName": "ObjectCreated:Put", "s3": []}]}', "missing"),
        ('{"detail-type": "Object Created", "detail": null}', "missing"),
        (by_sns("no JSON"), "not JSON"),
        (by_sns(by_sns(s3_event(record()))), "neither"),
        (with_raw_key("videos/%ff.mp4"), "UTF-8"),
        (with_raw_key("videos/\ud800.mp4"), "UTF-8"),
        (with_raw_key("videos/%00.mp4"), "no name"),
        (with_raw_key("v" * 1025), "no name"),
        (with_raw_key(""), "no name"),
        (s3_event(*[record()] * (MAX_RECORDS + 1)), "more than"),
        (" " * (MAX_MESSAGE_BYTES + 1), "longer"),
    ],
)
def test_what_is_no_event_is_refused_with_the_reason(message: str | bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        created_keys(message, BUCKET)
    assert caught.value.code == "bad_event"


however_slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Records", "detail", "detail-type", "Type", "Message", "Event", "eventName",
                    "s3", "bucket", "object", "key", "name", "x",
                ]
            ),
            inner
            | st.sampled_from(["ObjectCreated:Put", "Object Created", "Notification", BUCKET]),
            max_size=5,
        )
    ),
    max_leaves=25,
)  # fmt: skip


def usable(message: str | bytes) -> None:
    """Reads the message: it is refused as every other or names keys that an object can have."""
    try:
        keys = created_keys(message, BUCKET)
    except InvalidRequest as error:
        assert error.code == "bad_event"
    else:
        assert all(0 < len(key.encode()) <= 1024 and "\0" not in key for key in keys)
        assert len(keys) <= MAX_RECORDS


@however_slow
@given(ANYTHING)
def test_hostile_json_is_refused_or_harmless(body: Any) -> None:
    usable(json.dumps(body))
    usable(json.dumps({"Type": "Notification", "Message": json.dumps(body)}))


@however_slow
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_bytes_that_are_no_event_are_refused(message: str | bytes) -> None:
    usable(message)


@however_slow
@given(st.text(max_size=80), ANYTHING)
def test_any_key_in_a_record_of_the_right_shape_is_refused_or_usable(key: str, other: Any) -> None:
    usable(with_raw_key(key))
    damaged = record()
    damaged["s3"]["bucket"] = other
    usable(s3_event(record(), damaged))
