"""SimpleLPR: the commercial wheel in its evaluation period.

It has templates of the plates of each country and offers a match for each that fits; the first
counts in its own example, the last is the text before any template. With all countries switched on
the latter is right more often, so it is taken when no region is given; with a region its countries
are switched on, and the first match is taken. ``simplelpr_templates`` asks the other way.
"""

from __future__ import annotations

from bench.peers import protocol

protocol.one_core()

import simplelpr  # noqa: E402

EUROPE = (
    "Austria", "Belgium", "Bulgaria", "Croatia", "Cyprus", "Czech-Republic", "Denmark", "Estonia",
    "Finland", "France", "Germany", "Greece", "Hungary", "Iceland", "Ireland", "Italy", "Latvia",
    "Lithuania", "Luxembourg", "Malta", "Netherlands", "Norway", "Poland", "Portugal", "Romania",
    "Slovakia", "Slovenia", "Spain", "Sweden", "Switzerland", "UK-GreatBritain",
)  # fmt: skip
"""What detect-api, too, means by the region ``eu``, as the wheel names its countries."""

COUNTRIES = {"eu": EUROPE, "br": ("Brazil",)}
"""Templates by region; the wheel has none for the United States."""

NO_PLATES = ("Kemler Code", "numerical_")
"""Templates of other things than plates start so."""


def load(region: str | None) -> protocol.Read:
    """A reader as it does best: plain text, or the templates of the region."""
    return reader(region, match=-1 if region is None else 0)


def reader(region: str | None, *, match: int) -> protocol.Read:
    """A reader with the templates of a region, or with all, that takes the match of that number."""
    parameters = simplelpr.EngineSetupParms()
    parameters.cudaDeviceId = -1
    parameters.maxConcurrentImageProcessingOps = 1
    engine = simplelpr.SimpleLPR(parameters)
    names = [engine.get_countryCode(i) for i in range(engine.numSupportedCountries)]
    if region is not None and region not in COUNTRIES:
        raise LookupError(f"SimpleLPR has no templates for the region {region}")
    plates = [name for name in names if not name.startswith(NO_PLATES)]
    wanted = plates if region is None else COUNTRIES[region]
    for name in names:
        engine.set_countryWeight(name, float(name in wanted))
    engine.realizeCountryWeights()
    processor = engine.createProcessor()
    processor.plateRegionDetectionEnabled = True
    processor.cropToPlateRegionEnabled = True

    def read(image: protocol.Image) -> list[protocol.Seen]:
        found = processor.analyze(image)
        return [_seen(candidate, match) for candidate in found if candidate.matches]

    return read


def _seen(candidate: simplelpr.Candidate, match: int) -> protocol.Seen:
    matches = [(match.text, float(match.confidence)) for match in candidate.matches]
    if candidate.plateDetectionConfidence > 0:
        xs, ys = zip(*((p.x, p.y) for p in candidate.plateRegionVertices), strict=True)
        box = (min(xs), min(ys), max(xs), max(ys))
    else:
        line = candidate.boundingBox
        box = (line.left, line.top, line.left + line.width, line.top + line.height)
    return protocol.Seen(*matches[match], box=box, candidates=tuple(matches))


if __name__ == "__main__":
    protocol.main(load)
