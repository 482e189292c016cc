"""The tables of docs/ACCURACY.md, made of the results of ``bench.accuracy``.

Each stands between ``<!-- table: NAME -->`` and ``<!-- end of table -->``; nothing else of the page
is touched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from detect_api.evaluation.report import table
from detect_api.evaluation.score import SURE

Results = Mapping[str, Mapping[str, Any]]
"""By reader, ours first: what ``bench.accuracy`` keeps of it."""


def filled(page: str, results: Results) -> str:
    """The page with its tables made anew. Raises ValueError if it has no place for one of them, or
    one for a table that there is not.
    """
    tables = {
        "readers": readers(results),
        "peers": peers(results),
        "anywhere": anywhere(results),
        "surest": surest(results),
        "reliability": reliability(results),
        "stages": stages(results),
    }
    mark = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.S)
    found = [match[2] for match in mark.finditer(page)]
    if sorted(found) != sorted(tables):
        raise ValueError(f"the page has places for {found}, not for {sorted(tables)}")
    return mark.sub(lambda match: f"{match[1]}{tables[match[2]]}\n{match[3]}", page)


def readers(results: Results) -> str:
    """Who was measured, when, where, and how long a picture takes."""
    return table(
        ["reader", "version", "measured", "processor", "ms a picture"],
        [
            [
                result["title"], result["version"], result["measured"], result["processor"],
                f"{result['clocks']['processor']:.0f}",
            ]
            for result in results.values()
        ],
    )  # fmt: skip


def peers(results: Results) -> str:
    """All readers by set, in the terms of the protocol."""
    head = [
        "set", "reader", "found", "strict", "folded", "region given, strict",
        "region given, folded", "surest 80%, folded", "false plates a picture",
    ]  # fmt: skip
    rows = []
    for name in _sets(results):
        for result in results.values():
            one = result["sets"].get(name)
            told = result["with_region"].get(name) if name != "all" else None
            if one is None:
                continue
            rows.append([
                f"{name} ({one['pictures']})", result["title"],
                *_parts(one, "found", "strict", "folded"),
                *(_parts(told, "strict", "folded") if told else ("-", "-")),
                f"{one['sure'][SURE.index(0.8)]:.3f}", f"{one['false_plates']:.2f}",
            ])  # fmt: skip
    return table(head, rows)


def anywhere(results: Results) -> str:
    """The more favourable question, by reader and set."""
    sets = _sets(results)
    return table(
        ["reader", *sets],
        [
            [result["title"], *(_parts(result["sets"][name], "anywhere")[0] for name in sets)]
            for result in results.values()
        ],
    )


def surest(results: Results) -> str:
    """Our rejection curve: the accuracy of the surest parts, and what was not read."""
    ours = _ours(results)["sets"]
    return table(
        ["set", *(f"surest {part:.0%}" for part in SURE), "unread"],
        [
            [name, *(f"{value:.3f}" for value in one["sure"]), f"{one['unread']:.3f}"]
            for name, one in ours.items()
        ],
    )


def reliability(results: Results) -> str:
    """How often we are right when we are so sure."""
    return table(
        ["confidence", "plates", "mean confidence", "right (folded)"],
        [
            [
                f"{one['low']:g} … {one['high']:g}", str(one["count"]),
                f"{one['confidence']:.3f}", f"{one['right']:.3f}",
            ]
            for one in _ours(results)["reliability"]
        ],
    )  # fmt: skip


def stages(results: Results) -> str:
    """Where our time goes."""
    return table(
        ["stage", "ms"],
        [
            [name.replace("_", " "), f"{value:.1f}"]
            for name, value in _ours(results)["milliseconds"].items()
        ],
    )


def _ours(results: Results) -> Mapping[str, Any]:
    return next(iter(results.values()))


def _sets(results: Results) -> list[str]:
    return list(_ours(results)["sets"])


def _parts(one: Mapping[str, Any], *names: str) -> list[str]:
    return [f"{one[name]:.3f}" for name in names]
