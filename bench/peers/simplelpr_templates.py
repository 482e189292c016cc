"""SimpleLPR with the templates of all countries: its first match where no region is given."""

from __future__ import annotations

from bench.peers import protocol, simplelpr


def load(region: str | None) -> protocol.Read:
    """The reader of ``simplelpr``, which shows what it does with a region given."""
    if region is not None:
        raise LookupError("see the rows of SimpleLPR")
    return simplelpr.reader(None, match=0)


if __name__ == "__main__":
    protocol.main(load)
