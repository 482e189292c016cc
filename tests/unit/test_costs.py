"""``detect-api cost``: the specification's table, and anybody's numbers."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from typer.testing import CliRunner

from detect_api.aws.costs import BILL, SPECIFICATION, Usage, monthly_costs, number, with_prices
from detect_api.cli import app
from detect_api.core.errors import InvalidRequest


def run(*options: str) -> Any:
    outcome = CliRunner().invoke(app, ["cost", *options])
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.stdout) if "--json" in options else outcome.stdout


def test_the_specifications_example_is_reproduced() -> None:
    costs = monthly_costs(Usage())
    assert [line.dollars for line in costs.straight_to_s3] == [
        Decimal("4.6"), Decimal("0.01"), Decimal("18"),
    ]  # fmt: skip
    assert costs.s3_total == Decimal("22.61")
    # It says "~$35" for 400 GB at $0.09, and from that "~35%".
    assert costs.api_total == Decimal("36")
    saved = costs.saved
    assert saved is not None
    assert round(saved, 2) == Decimal("0.37")


def test_by_default_the_example_is_printed_with_its_price_list_and_what_it_leaves_out() -> None:
    text = run()
    for part in ("22.61", "36.00", "37%", "January 2025", "N. Virginia", "Not in it"):
        assert part in text


def test_retention_makes_storage_dearer_and_nothing_else() -> None:
    month, year = monthly_costs(Usage()), monthly_costs(Usage(retention_days=Decimal(360)))
    assert year.straight_to_s3[0].dollars == 12 * month.straight_to_s3[0].dollars
    assert year.straight_to_s3[1:] == month.straight_to_s3[1:]
    assert year.through_api == month.through_api


def test_workers_in_the_region_read_free_of_charge() -> None:
    shown = run("--workers-in-region", "--json")
    assert shown["straight_to_s3"]["lines"][2]["dollars"] == "0.00"
    assert Decimal(shown["straight_to_s3"]["total"]) == Decimal("4.61")


def test_as_billed_traffic_into_aws_is_free_and_the_straight_way_may_cost_more() -> None:
    costs = monthly_costs(Usage(), BILL)
    assert costs.api_total == Decimal("18")
    assert costs.s3_total == Decimal("4.6") + Decimal("0.0054") + Decimal("18")
    assert "costs 26% more" in run("--as-billed")


def test_own_prices_are_used_and_named() -> None:
    shown = run("--price", "storage=0.0245", "--price", "traffic-out=0.05", "--json")
    assert shown["prices"]["storage"] == "0.0245"
    assert Decimal(shown["straight_to_s3"]["total"]) == Decimal("4.9") + Decimal("10.01")
    assert "with your own" in run("--price", "put=1")


def test_nothing_uploaded_costs_nothing() -> None:
    shown = run("--videos", "0", "--json")
    assert Decimal(shown["straight_to_s3"]["total"]) == 0
    assert shown["saved"] is None


@pytest.mark.parametrize(
    "options",
    [
        ("--megabytes", "-1"), ("--megabytes", "much"), ("--megabytes", "NaN"),
        ("--retention-days", "Infinity"), ("--price", "gold=1"), ("--price", "storage"),
    ],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_refused(options: tuple[str, ...]) -> None:
    outcome = CliRunner().invoke(app, ["cost", *options])
    assert outcome.exit_code == 2
    assert "Traceback" not in outcome.output


def test_money_is_counted_in_decimals() -> None:
    assert monthly_costs(Usage(videos=3, video_mb=number("0.1"))).api_total == Decimal("0.000054")
    with pytest.raises(InvalidRequest):
        with_prices(SPECIFICATION, ["storage=1e99"])
