"""What uploads cost in a month: the specification's table for anybody's numbers.

Decimal throughout: money is not counted in binary fractions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Literal

from detect_api.core.errors import InvalidRequest

MB_PER_GB = Decimal(1000)
MONTH_DAYS = Decimal(30)
CENT = Decimal("0.01")
Basis = Literal["specification", "bill"]


@dataclass(frozen=True)
class Prices:
    """US dollars; storage and traffic by the GB, requests by the thousand."""

    storage: Decimal = Decimal("0.023")
    traffic_out: Decimal = Decimal("0.09")
    traffic_in: Decimal = Decimal("0.09")
    put: Decimal = Decimal("0.005")
    get: Decimal = Decimal("0.005")


PRICE_LIST = "AWS, US East (N. Virginia), S3 Standard, first price step, as of January 2025"
SPECIFICATION = Prices()
"""As the specification reckons: traffic into EC2 costs as much as out, and GET as much as PUT."""
BILL = replace(SPECIFICATION, traffic_in=Decimal(0), get=Decimal("0.0004"))
"""As AWS bills: nothing for traffic that comes in, and GET at its own price."""

LEFT_OUT = (
    "pictures of plates (some 100 kB each) and the requests for them",
    "the ranged reads of workers beyond one request for each video, and parts of multipart uploads",
    "old versions, which stay as long as the lifecycle rule for them says",
    "the machines of API and workers, database, logs, load balancers, NAT gateways",
    "Transfer Acceleration, CloudFront, KMS, the access log, other storage classes",
    "that AWS counts a GB as 2^30 bytes, which makes it some 7% less",
    "taxes, discounts, the free tier and cheaper steps for large volumes",
)


@dataclass(frozen=True)
class Usage:
    """A month: ``workers_in_region`` means that workers read from S3 without traffic charges."""

    videos: int = 1000
    video_mb: Decimal = Decimal(200)
    retention_days: Decimal = MONTH_DAYS
    workers_in_region: bool = False

    def __post_init__(self) -> None:
        if self.videos < 0 or self.video_mb < 0 or self.retention_days < 0:
            raise InvalidRequest("Numbers of videos, megabytes and days cannot be negative.")

    @property
    def uploaded_gb(self) -> Decimal:
        return self.videos * self.video_mb / MB_PER_GB

    @property
    def stored_gb(self) -> Decimal:
        """How much lies there at a time once the oldest videos go as new ones come."""
        return self.uploaded_gb * self.retention_days / MONTH_DAYS


@dataclass(frozen=True)
class Line:
    """One line of a bill."""

    what: str
    how: str
    dollars: Decimal


@dataclass(frozen=True)
class Costs:
    """Both ways to upload, side by side."""

    through_api: list[Line] = field(default_factory=list)
    straight_to_s3: list[Line] = field(default_factory=list)

    @property
    def api_total(self) -> Decimal:
        return sum((line.dollars for line in self.through_api), Decimal(0))

    @property
    def s3_total(self) -> Decimal:
        return sum((line.dollars for line in self.straight_to_s3), Decimal(0))

    @property
    def saved(self) -> Decimal | None:
        """The share that the straight way saves, 0 to 1; negative if it costs more."""
        if not self.api_total:
            return None
        return (self.api_total - self.s3_total) / self.api_total


def monthly_costs(usage: Usage, prices: Prices = SPECIFICATION) -> Costs:
    """The specification's table for these numbers."""
    gb = usage.uploaded_gb
    out_gb = Decimal(0) if usage.workers_in_region else gb
    return Costs(
        through_api=[
            Line("traffic in", _product(gb, "GB", prices.traffic_in), gb * prices.traffic_in),
            Line("traffic out", _product(gb, "GB", prices.traffic_out), gb * prices.traffic_out),
        ],
        straight_to_s3=[
            Line(
                "storage", _product(usage.stored_gb, "GB", prices.storage),
                usage.stored_gb * prices.storage,
            ),
            Line(
                "requests", f"{usage.videos:,} uploads and {usage.videos:,} downloads",
                usage.videos * (prices.put + prices.get) / 1000,
            ),
            Line(
                "traffic to workers",
                "in the bucket's region" if usage.workers_in_region
                else _product(out_gb, "GB", prices.traffic_out),
                out_gb * prices.traffic_out,
            ),
        ],
    )  # fmt: skip


def with_prices(prices: Prices, given: list[str]) -> Prices:
    """Prices with some replaced, each given as ``name=dollars``. Raises InvalidRequest."""
    known = [one.name.replace("_", "-") for one in fields(Prices)]
    changed: dict[str, Decimal] = {}
    for text in given:
        name, _, value = text.partition("=")
        if name not in known:
            raise InvalidRequest(f"--price takes name=dollars, with one of {', '.join(known)}.")
        changed[name.replace("-", "_")] = number(value)
    return replace(prices, **changed)


def number(text: str) -> Decimal:
    """A finite number that is not negative. Raises InvalidRequest."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise InvalidRequest(f"'{text}' is no number.") from None
    if not value.is_finite() or value < 0 or value > 10**15:
        raise InvalidRequest(f"'{text}' is no number that makes sense here.")
    return value


def cents(dollars: Decimal) -> str:
    """Dollars with two digits after the point."""
    return f"{dollars.quantize(CENT, ROUND_HALF_UP):,}"


def _product(amount: Decimal, unit: str, price: Decimal) -> str:
    return f"{plain(amount)} {unit} at ${price}"


def plain(amount: Decimal) -> str:
    """A number without needless digits."""
    text = f"{amount.quantize(CENT, ROUND_HALF_UP):,}"
    return text.rstrip("0").rstrip(".")
