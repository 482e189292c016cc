"""The numbers as Markdown tables and as JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detect_api.evaluation.score import (
    SURE,
    Answer,
    Bin,
    ClipScore,
    SetScore,
    reliability,
    score,
)
from detect_api.vision.types import ModelInfo

ALL = "all"


@dataclass(slots=True)
class Report:
    """All that an evaluation found out.

    ``answers`` were given without a region, ``with_region`` those for the same labels with it,
    where one is known. ``milliseconds`` is by stage (of answers from a file: by clock), a picture.
    ``models`` is empty for those.
    """

    models: tuple[ModelInfo, ...]
    answers: list[Answer] = field(default_factory=list)
    with_region: list[Answer] = field(default_factory=list)
    milliseconds: dict[str, float] = field(default_factory=dict)
    clips: list[ClipScore] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Everything, with one entry for each labelled plate."""
        return {
            "models": [asdict(model) for model in self.models],
            "sets": {name: asdict(score(own)) for name, own in by_set(self.answers).items()},
            "with_region": {
                name: asdict(score(own)) for name, own in by_set(self.with_region).items()
            },
            "reliability": [asdict(entry) for entry in reliability(self.answers)],
            "milliseconds": self.milliseconds,
            "clips": [asdict(clip) for clip in self.clips],
            "answers": [_answer(answer) for answer in self.answers],
            "answers_with_region": [_answer(answer) for answer in self.with_region],
        }

    def as_markdown(self) -> str:
        """The tables that there are numbers for."""
        parts = []
        if self.answers:
            parts += [self._sets(), _reliability(reliability(self.answers))]
        if self.milliseconds:
            parts.append(self._stages())
        if self.clips:
            parts.append(_clips(self.clips))
        if self.models:
            models = [f"`{m.name}` {m.sha256[:12]} ({m.precision})" for m in self.models]
            parts.append(f"Models: {', '.join(models)}.")
        return "\n\n".join(parts) + "\n"

    def _sets(self) -> str:
        regions = {name: score(own) for name, own in by_set(self.with_region).items()}
        sure = [f"surest {part:.0%}" for part in SURE if part < 1]
        given = ["region given, strict", "region given, folded"] if regions else []
        head = [
            "set", "plates", "found", "strict", "folded", *given, *sure, "unread",
            "false plates a picture",
        ]  # fmt: skip
        rows = []
        for name, own in by_set(self.answers).items():
            numbers: SetScore = score(own)
            other = regions.get(name)
            cells = [f"{other.strict:.3f}", f"{other.folded:.3f}"] if other else ["-", "-"]
            rows.append([
                name, str(numbers.pictures), f"{numbers.found:.3f}", f"{numbers.strict:.3f}",
                f"{numbers.folded:.3f}", *(cells if regions else []),
                *(f"{value:.3f}" for value in numbers.sure[: len(sure)]),
                f"{numbers.unread:.3f}", f"{numbers.false_plates:.3f}",
            ])  # fmt: skip
        return table(head, rows)

    def _stages(self) -> str:
        return table(
            ["stage", "ms"],
            [[name.replace("_", " "), f"{ms:.1f}"] for name, ms in self.milliseconds.items()],
        )


def by_set(answers: Sequence[Answer]) -> dict[str, list[Answer]]:
    """The answers of each set in the order of the labels; with several sets also ``all``."""
    sets: dict[str, list[Answer]] = {}
    for answer in answers:
        sets.setdefault(answer.label.set, []).append(answer)
    if len(sets) > 1:
        sets[ALL] = list(answers)
    return sets


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _reliability(bins: Sequence[Bin]) -> str:
    return table(
        ["confidence", "plates", "mean confidence", "right (folded)"],
        [
            [f"{b.low:g} … {b.high:g}", str(b.count), f"{b.confidence:.3f}", f"{b.right:.3f}"]
            for b in bins
        ],
    )


def _clips(clips: Sequence[ClipScore]) -> str:
    return table(
        ["clip", "read once", "missing", "not listed", "unread", "seconds"],
        [
            [
                clip.name, ", ".join(clip.right) or "-", ", ".join(clip.missing) or "-",
                ", ".join(clip.extra) or "-", str(clip.unread), f"{clip.seconds:.1f}",
            ]
            for clip in clips
        ],
    )  # fmt: skip


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "set": answer.label.set,
        "image": _short(answer.label.image),
        "accepted": list(answer.label.accepted),
        "text": answer.text,
        "confidence": answer.confidence,
        "found": answer.found,
        "strict": answer.strict,
        "folded": answer.folded,
        "false_plates": [
            {"text": p.text, "confidence": p.confidence, "bbox": asdict(p.best.box)}
            for p in answer.false
        ],
    }


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
