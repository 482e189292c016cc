"""``detect-api cost``: what uploads cost in a month."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detect_api.cli import app
from detect_api.cli.output import fail

if TYPE_CHECKING:
    from detect_api.aws.costs import Costs, Line, Prices, Usage


@app.command()
def cost(
    videos: Annotated[int, typer.Option(min=0, help="Videos a month.")] = 1000,
    megabytes: Annotated[str, typer.Option(help="Megabytes of one video.")] = "200",
    retention_days: Annotated[str, typer.Option(help="Days that a video is kept.")] = "30",
    workers_in_region: Annotated[
        bool, typer.Option("--workers-in-region", help="Workers run in the bucket's region.")
    ] = False,
    as_billed: Annotated[
        bool,
        typer.Option("--as-billed", help="As AWS bills it, not as the specification reckons."),
    ] = False,
    price: Annotated[
        list[str] | None,
        typer.Option(help="A price of your region, such as storage=0.0245; again for more."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show what uploads through the API and straight to S3 cost in a month. Asks nobody."""
    from detect_api.aws.costs import BILL, SPECIFICATION, Usage, monthly_costs, number, with_prices
    from detect_api.core.errors import InvalidRequest

    try:
        prices = with_prices(BILL if as_billed else SPECIFICATION, price or [])
        usage = Usage(videos, number(megabytes), number(retention_days), workers_in_region)
    except InvalidRequest as error:
        fail(error.detail, code="usage", as_json=as_json)
        raise typer.Exit(2) from None
    costs = monthly_costs(usage, prices)
    if as_json:
        typer.echo(json.dumps(_as_json(usage, prices, costs), indent=1))
    else:
        _print(usage, prices, costs, as_billed=as_billed)


def _as_json(usage: Usage, prices: Prices, costs: Costs) -> dict[str, Any]:
    """Dollars as text: JSON's numbers are binary fractions to most who read them."""
    from dataclasses import asdict

    from detect_api.aws.costs import LEFT_OUT, PRICE_LIST

    def lines(of: list[Line]) -> list[dict[str, str]]:
        return [{"what": x.what, "how": x.how, "dollars": f"{x.dollars:f}"} for x in of]

    return {
        "usage": {
            "videos": usage.videos,
            "video_mb": f"{usage.video_mb:f}",
            "retention_days": f"{usage.retention_days:f}",
            "workers_in_region": usage.workers_in_region,
        },
        "price_list": PRICE_LIST,
        "prices": {name: f"{value:f}" for name, value in asdict(prices).items()},
        "through_api": {"lines": lines(costs.through_api), "total": f"{costs.api_total:f}"},
        "straight_to_s3": {"lines": lines(costs.straight_to_s3), "total": f"{costs.s3_total:f}"},
        "saved": None if costs.saved is None else f"{costs.saved:.4f}",
        "left_out": list(LEFT_OUT),
    }


def _print(usage: Usage, prices: Prices, costs: Costs, *, as_billed: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from detect_api.aws.costs import BILL, LEFT_OUT, PRICE_LIST, SPECIFICATION, cents, plain

    console = Console(highlight=False)
    console.print(
        f"{usage.videos:,} videos a month of {plain(usage.video_mb)} MB, "
        f"kept {plain(usage.retention_days)} days"
    )
    for title, lines, total in (
        ("Through the API", costs.through_api, costs.api_total),
        ("Straight to S3", costs.straight_to_s3, costs.s3_total),
    ):
        table = Table(title, "", "US$ a month", box=None)
        table.columns[2].justify = "right"
        for line in lines:
            table.add_row(line.what, line.how, cents(line.dollars))
        table.add_row("total", "", cents(total), style="bold")
        console.print()
        console.print(table)
    console.print()
    if costs.saved is not None:
        saved = round(costs.saved * 100)
        console.print(
            f"Straight to S3 saves {saved}%." if saved >= 0
            else f"Straight to S3 costs {-saved}% more."
        )  # fmt: skip
    own = "" if prices in (SPECIFICATION, BILL) else ", with your own"
    console.print(f"Prices: {PRICE_LIST}{own}.", soft_wrap=True)
    if not as_billed:
        console.print(
            "As the specification reckons: traffic into AWS is charged like traffic out, which "
            "AWS does not do; --as-billed leaves it out.",
            soft_wrap=True,
        )
    console.print("Not in it:")
    for left in LEFT_OUT:
        console.print(f"- {left}", soft_wrap=True)
