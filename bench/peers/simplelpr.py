"""SimpleLPR: the commercial wheel in its evaluation period.

It has templates of the plates of each country and offers a match for each that fits; the first
counts in its own example, the last is the text before any template. With all countries switched on
the latter is right more often, so it is taken when no region is given; with a region its countries
are switched on, and the first match is taken. All matches are told as candidates.

Where it finds several lines on one plate, such as the number and the name of the city, the largest
is taken for the number.
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
    """A reader with the templates of a region, or with all."""
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
    match = -1 if region is None else 0

    def read(image: protocol.Image) -> list[protocol.Seen]:
        lines: dict[Box, simplelpr.Candidate] = {}
        for line in processor.analyze(image):
            place = _place(line)
            if line.matches and (place not in lines or _area(line) > _area(lines[place])):
                lines[place] = line
        return [_seen(line, place, match) for place, line in lines.items()]

    return read


Box = tuple[float, float, float, float]


def _place(line: simplelpr.Candidate) -> Box:
    """The plate that a line stands on, or the line itself if none was found."""
    if line.plateDetectionConfidence > 0:
        xs, ys = zip(*((p.x, p.y) for p in line.plateRegionVertices), strict=True)
        return min(xs), min(ys), max(xs), max(ys)
    box = line.boundingBox
    return box.left, box.top, box.left + box.width, box.top + box.height


def _area(line: simplelpr.Candidate) -> float:
    return float(line.boundingBox.width * line.boundingBox.height)


def _seen(line: simplelpr.Candidate, place: Box, match: int) -> protocol.Seen:
    matches = [(found.text, float(found.confidence)) for found in line.matches]
    return protocol.Seen(*matches[match], box=place, candidates=tuple(matches))


if __name__ == "__main__":
    protocol.main(load)
