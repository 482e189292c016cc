"""How many workers one PostgreSQL carries: 1,000 simulated ones on the real queue tables.

Each simulated worker is registered, has its heartbeat, and takes and ends tasks with the very
functions that Procrastinate calls, through connections that it shares with others: what is
measured is the database, not a thousand processes. A model made of three measurements with one
connection says beforehand what is to be expected.
"""

from __future__ import annotations

import os
import signal
import statistics
import threading
import time
import uuid
from dataclasses import dataclass, field

import psycopg

from bench.report import Report, median_ms, say
from detect_api.jobs.tasks import CONNECTION_OPTIONS
from detect_api.jobs.worker import HEARTBEAT_SECONDS, POLL_SECONDS
from detect_api.local.stack import Stack

WORKERS = int(os.environ.get("BENCH_SCALE_WORKERS", "1000"))
SEGMENTS = int(os.environ.get("BENCH_SCALE_SEGMENTS", "100000"))
CONNECTIONS = 16
SECONDS = 30.0
SEGMENT_SECONDS = 5.0
"""What a segment of 10 s takes a worker with two cores, about (``make bench``)."""

QUEUE = "segments:bench"
LANES = 2

_FILL = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, args)
    SELECT %s, 'segment', -(n %% 1000), 'segment:' || (n / 1000) || ':' || (n %% 1000),
           jsonb_build_object('job_id', %s::text, 'attempt', 1, 'index', n)
      FROM generate_series(0, %s - 1) AS n
"""
_FETCH = "SELECT id FROM procrastinate_fetch_job_v2(%s, %s)"
_FINISH = "SELECT procrastinate_finish_job_v1(%s, 'succeeded', true)"
_BEAT = "SELECT procrastinate_update_heartbeat_v1(%s)"
_REGISTER = "SELECT procrastinate_register_worker_v1()"


@dataclass
class Seen:
    """What the simulated workers met with."""

    fetches: list[float] = field(default_factory=list)
    taken: set[int] = field(default_factory=set)
    twice: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, times: list[float], taken: list[int]) -> None:
        with self.lock:
            self.fetches += times
            self.twice += len(taken) - len(set(taken) - self.taken)
            self.taken |= set(taken)


def measure(stack: Stack, report: Report) -> None:
    """Fills the queue, models, measures, compares, and empties the queue again."""
    with connect(stack.database_url) as connection:
        # The stack's own worker would take the simulated ones for dead.
        own = stack.pid_of("worker-0")
        os.kill(own, signal.SIGSTOP)
        try:
            _measure(stack, connection, report)
        finally:
            os.kill(own, signal.SIGCONT)
            connection.execute("DELETE FROM procrastinate_jobs WHERE queue_name = %s", [QUEUE])


def connect(address: str) -> psycopg.Connection:
    """A connection as the worker's own."""
    return psycopg.connect(address, autocommit=True, options=CONNECTION_OPTIONS)


def _measure(stack: Stack, connection: psycopg.Connection, report: Report) -> None:
    say(f"queueing {SEGMENTS} segments, registering {WORKERS} workers")
    connection.execute("SET statement_timeout = 0")
    connection.execute(_FILL, [QUEUE, str(uuid.uuid4()), SEGMENTS])
    connection.execute("ANALYZE procrastinate_jobs")
    workers = [_one(connection, _REGISTER) for _ in range(WORKERS)]
    say("one connection: fetch, end, heartbeat")
    costs = _costs(connection, workers[0])
    expected = _at_once() * 1000 / (costs["fetch"] + costs["finish"])
    say(f"{WORKERS} workers through {CONNECTIONS} connections for {SECONDS:.0f} s")
    seen, rate = _run(stack.database_url, workers)
    ordered = sorted(seen.fetches)
    p99 = ordered[int(len(ordered) * 0.99)] * 1000
    report.add(
        f"Tasks fetched and ended, {WORKERS} workers, {SEGMENTS} segments queued",
        f"{rate:.0f}/s; a fetch {statistics.median(ordered) * 1000:.1f} ms, p99 {p99:.0f} ms",
        floor=f"model {expected:.0f}/s = {_at_once()} cores / (fetch "
        f"{costs['fetch']:.2f} ms + end {costs['finish']:.2f} ms)",
        target="model within a factor of 2, no task twice",
        reached=0.5 <= rate / expected <= 2.0 and seen.twice == 0,
    )  # fmt: skip
    one_worker = _load_of_one(costs)
    carried = int(_at_once() * 1000 * 0.5 / one_worker)
    needed = WORKERS / SEGMENT_SECONDS
    report.add(
        "Workers that this PostgreSQL carries at half of its time",
        f"{carried}: each costs {one_worker:.2f} ms a second (a segment every "
        f"{SEGMENT_SECONDS:.0f} s, {LANES} heartbeats every {HEARTBEAT_SECONDS:.0f} s, "
        f"{LANES} polls every {POLL_SECONDS:.0f} s)",
        floor=f"{WORKERS} workers need {needed:.0f} tasks/s",
        target=f">= {needed:.0f} tasks/s measured", reached=rate >= needed,
    )  # fmt: skip


def _at_once() -> int:
    """Statements that the machine can truly run at once."""
    return min(CONNECTIONS, len(os.sched_getaffinity(0)))


def _one(connection: psycopg.Connection, statement: str, *values: object) -> int:
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return int(row[0])


def _costs(connection: psycopg.Connection, worker: int) -> dict[str, float]:
    """Milliseconds of each statement, alone on the machine."""
    taken: list[int] = []
    fetch = median_ms(lambda: taken.append(_one(connection, _FETCH, [QUEUE], worker)), 200)
    ending = iter(taken)
    finish = median_ms(lambda: connection.execute(_FINISH, [next(ending)]), 200)
    beat = median_ms(lambda: connection.execute(_BEAT, [worker]), 200)
    none = median_ms(lambda: connection.execute(_FETCH, [["nobody"], worker]), 20)
    return {"fetch": fetch, "finish": finish, "beat": beat, "poll": none}


def _load_of_one(costs: dict[str, float]) -> float:
    """Milliseconds of the database's time that one worker takes each second.

    A poll that finds nothing has the whole of the waiting tasks to look through in the worst case;
    here as measured with the full queue.
    """
    segment = (costs["fetch"] + costs["finish"]) / SEGMENT_SECONDS
    beats = LANES * costs["beat"] / HEARTBEAT_SECONDS
    polls = costs["poll"] / POLL_SECONDS  # of the lane for short work; the other one is busy
    return segment + beats + polls


def _run(address: str, workers: list[int]) -> tuple[Seen, float]:
    seen = Seen()
    ending = threading.Event()

    def some(own: list[int]) -> None:
        """The workers of one connection, by turns; their heartbeats fall due as in truth."""
        times: list[float] = []
        taken: list[int] = []
        beats = {worker: time.monotonic() for worker in own}
        with connect(address) as connection:
            while not ending.is_set():
                for worker in own:
                    started = time.perf_counter()
                    row = connection.execute(_FETCH, [[QUEUE], worker]).fetchone()
                    times.append(time.perf_counter() - started)
                    if row is not None and row[0] is not None:
                        taken.append(int(row[0]))
                        connection.execute(_FINISH, [row[0]])
                    if time.monotonic() - beats[worker] > HEARTBEAT_SECONDS:
                        for _ in range(LANES):
                            connection.execute(_BEAT, [worker])
                        beats[worker] = time.monotonic()
                    if ending.is_set():
                        break
        seen.add(times, taken)

    threads = [
        threading.Thread(target=some, args=(workers[number::CONNECTIONS],))
        for number in range(CONNECTIONS)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    ending.wait(SECONDS)
    ending.set()
    for thread in threads:
        thread.join()
    return seen, len(seen.taken) / (time.monotonic() - started)
