"""What plates look like, nation by nation: a hint for the reader, never a rule.

``formats.toml`` lists the formats. A text that has one is likelier than one that has none, so that
where a reading wavers (O or 0, I or 1, B or 8) the place decides. The factor is bounded: a plate
that fits no format is read as it stands if it can be seen well.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

ANYWHERE = 6.0
"""How much likelier a text of some country's format is than one that no country has."""

THERE = 6.0
"""How much likelier still it is if it is a format of the region that is given."""

RARE = 0.2
"""The part of that which a rare format gets."""


@dataclass(frozen=True, slots=True)
class Region:
    """The formats of one country or a part of one, and where they are laid down."""

    common: re.Pattern[str]
    rare: re.Pattern[str]
    source: str

    def fits(self, text: str) -> float:
        """1 for a common format, ``RARE`` for a rare one, 0 for none."""
        if self.common.fullmatch(text):
            return 1.0
        return RARE if self.rare.fullmatch(text) else 0.0


@dataclass(frozen=True)
class Formats:
    """The whole table: regions by code, all of them as one, names that stand for several."""

    regions: Mapping[str, Region]
    world: Region
    groups: Mapping[str, tuple[str, ...]]
    aliases: Mapping[str, str]

    def known(self, region: str) -> tuple[str, ...]:
        """The codes that a region's name stands for; none if there is no such region.

        A name is an ISO 3166 code in either case, a group such as ``eu``, a country with parts
        (``us``) or a part (``us-ca``); of a part that is not listed the country is taken.
        """
        name = region.strip().lower().replace("_", "-")
        name = self.aliases.get(name, name)
        if name in self.groups:
            return self.groups[name]
        if name in self.regions:
            return (name,)
        parts = tuple(code for code in self.regions if code.startswith(f"{name}-"))
        if parts or "-" not in name:
            return parts
        return self.known(name.partition("-")[0])


def weight(text: str, region: str | None = None) -> float:
    """How much likelier a text is for its format than one of no format: at least 1.

    A region that is not known says no more than none.
    """
    weight = 1 + (ANYWHERE - 1) * formats().world.fits(text)
    there = _named(region) if region else None
    return weight if there is None else weight * (1 + (THERE - 1) * there.fits(text))


@lru_cache(maxsize=64)
def _named(name: str) -> Region | None:
    """All the formats that a region's name stands for, as one."""
    regions = [formats().regions[code] for code in formats().known(name)]
    if not regions:
        return None
    return Region(
        common=_either(region.common for region in regions),
        rare=_either(region.rare for region in regions),
        source=name,
    )


def _either(expressions: Iterable[re.Pattern[str]]) -> re.Pattern[str]:
    return re.compile("|".join(dict.fromkeys(e.pattern for e in expressions)))


@lru_cache(maxsize=1)
def formats() -> Formats:
    """The shipped table, read once."""
    text = resources.files(__package__).joinpath("formats.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    entries: dict[str, dict[str, Any]] = table["regions"]
    return Formats(
        regions={code: _region([entry], entry["source"]) for code, entry in entries.items()},
        world=_region(list(entries.values()), "all of them"),
        groups={name: tuple(codes) for name, codes in table["groups"].items()},
        aliases=table["aliases"],
    )


def _region(entries: Sequence[Mapping[str, Any]], source: str) -> Region:
    return Region(
        common=_expression(pattern for entry in entries for pattern in entry["common"]),
        rare=_expression(pattern for entry in entries for pattern in entry.get("rare", ())),
        source=source,
    )


def _expression(patterns: Iterable[str]) -> re.Pattern[str]:
    """One regular expression for patterns as ``formats.toml`` writes them."""
    distinct = dict.fromkeys(_letters(pattern) for pattern in patterns)
    return re.compile("|".join(f"(?:{pattern})" for pattern in distinct) or r"(?!)")


def _letters(pattern: str) -> str:
    """A pattern with @ and # spelled out, also inside of brackets."""
    inside = re.sub(
        r"\[[^]]*\]",
        lambda found: found[0].replace("@", "A-Z").replace("#", "0-9"),
        pattern,
    )
    return inside.replace("@", "[A-Z]").replace("#", "[0-9]")
