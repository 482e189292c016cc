"""Taking a bucket's events from an SQS queue.

A message is deleted when what it says is committed, never before: one whose worker dies, or for
which storage cannot be asked, comes again after the queue's visibility timeout. A message that is
no event is left alone, too, so that the queue's redrive policy puts it where its operator looks.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Any

import boto3
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy.exc import SQLAlchemyError

from detect_api.core.config import Settings
from detect_api.core.errors import InvalidRequest, StorageError
from detect_api.db.session import SessionFactory
from detect_api.jobs.arrivals import look_for_keys
from detect_api.jobs.s3_events import created_keys
from detect_api.storage import s3_problem
from detect_api.storage.base import ObjectStore
from detect_api.storage.s3 import region_and_keys

log = structlog.get_logger(__name__)

WAIT_SECONDS = 5
"""How long SQS holds a request while the queue is empty; a worker that stops waits so long."""

BATCH = 10
_LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True)
class EventQueue:
    """The queue that S3_EVENTS_QUEUE_URL names. Methods block; one thread uses it."""

    client: Any
    url: str
    bucket: str
    max_file_size: int

    @classmethod
    def from_settings(cls, settings: Settings) -> EventQueue | None:
        """The queue, or None if none is set or S3 is not what stores the videos."""
        if not settings.s3_events_queue_url or s3_problem(settings) is not None:
            return None
        assert settings.s3_bucket_name
        config: Config = Config(
            connect_timeout=5,
            read_timeout=WAIT_SECONDS + 10,
            retries={"mode": "standard", "total_max_attempts": 2},
        )
        client = boto3.session.Session().client(
            "sqs",
            endpoint_url=settings.s3_events_endpoint_url,
            config=config,
            **region_and_keys(settings),
        )
        return cls(
            client, settings.s3_events_queue_url, settings.s3_bucket_name, settings.max_file_size
        )

    def take(self, sessions: SessionFactory, store: ObjectStore) -> int:
        """Takes the messages that wait, at most ``BATCH``; returns how many it deleted.

        Waits up to ``WAIT_SECONDS`` for the first. Raises BotoCoreError or ClientError when SQS
        does not do what it is asked, and StorageError.
        """
        answer = self.client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=WAIT_SECONDS
        )
        done = 0
        for message in answer.get("Messages", []):
            try:
                keys = created_keys(message.get("Body", ""), self.bucket)
            except InvalidRequest as error:
                log.warning(
                    "event_not_understood", message=message["MessageId"], detail=error.detail
                )
                continue
            look_for_keys(sessions, store, keys, self.max_file_size)
            self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            done += 1
        return done

    def take_for_ever(
        self, sessions: SessionFactory, store: ObjectStore, stop: threading.Event
    ) -> None:
        """Takes messages until ``stop``; what fails is tried again, at growing, jittered pauses."""
        failures = 0
        while not stop.is_set():
            try:
                self.take(sessions, store)
                failures = 0
            except (BotoCoreError, ClientError, StorageError, SQLAlchemyError) as error:
                failures += 1
                pause = min(_LONGEST_PAUSE_SECONDS, 2.0 ** min(failures, 10))
                log.warning("events_postponed", error=type(error).__name__, detail=_said(error))
                stop.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311


def _said(error: Exception) -> str:
    """What is worth logging of the error; a database's holds the statement with its values."""
    return "" if isinstance(error, SQLAlchemyError) else str(error)
