"""``detect-api s3``: set up an S3 for the service, and prove that it does what is needed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detect_api.cli import app
from detect_api.cli.output import EXIT_FAILED, fail, say
from detect_api.cli.settings import settings_from

if TYPE_CHECKING:
    from detect_api.aws.converge import Change
    from detect_api.aws.iam import AccessKey
    from detect_api.core.config import Settings

s3 = typer.Typer(no_args_is_help=True, help="Set up an S3 for the service, and try it out.")
app.add_typer(s3, name="s3")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, change nothing.")]
Bucket = Annotated[
    str | None, typer.Option(help="Name of the bucket; S3_BUCKET_NAME if not given.")
]
Region = Annotated[str | None, typer.Option(help="The bucket's region; AWS_REGION if not given.")]
Origins = Annotated[
    list[str] | None,
    typer.Option(
        "--origin", help="Origin whose pages may upload; again for more. CORS_ORIGINS if not given."
    ),
]
Queue = Annotated[
    str | None,
    typer.Option(
        help="URL or ARN of an SQS queue with the bucket's events, to be read as well; "
        "S3_EVENTS_QUEUE_URL if not given."
    ),
]
KmsKey = Annotated[
    str | None, typer.Option(help="ARN of the KMS key that encrypts the bucket, if one does.")
]
COLOURS = {
    "unchanged": "green", "changed": "yellow", "would change": "yellow",
    "not on this store": "cyan", "failed": "red",
}  # fmt: skip


@s3.command()
def setup(
    bucket: Bucket = None,
    region: Region = None,
    origins: Origins = None,
    any_origin: Annotated[
        bool, typer.Option("--any-origin", help="Let the pages of every origin upload.")
    ] = False,
    expire_days: Annotated[
        int | None,
        typer.Option(min=0, help="Delete videos after so many days; 0: no more, unset: as it is."),
    ] = None,
    expire_picture_days: Annotated[
        int | None,
        typer.Option(min=0, help="Delete pictures of plates after so many days; likewise."),
    ] = None,
    noncurrent_days: Annotated[
        int, typer.Option(min=1, help="Days that deleted and overwritten objects are kept.")
    ] = 1,
    accelerate: Annotated[
        bool | None, typer.Option(help="Transfer Acceleration on or off; unset: as it is.")
    ] = None,
    log_bucket: Annotated[
        str | None, typer.Option(help="Bucket for the access log; created if need be.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Create a bucket for the service, or bring it to what the service wants.

    Shows each aspect as it was and as it is now. A second run changes nothing. Rules of others
    stay. Exit status 1 if something that was asked for could not be done.
    """
    from detect_api.aws.bucket import set_up
    from detect_api.aws.wanted import Wanted
    from detect_api.storage.s3 import make_client

    settings = settings_from(aws_region=region)
    with _told(as_json):
        wanted = Wanted(
            bucket=_bucket(bucket, settings, as_json),
            region=settings.aws_region,
            prefix=settings.s3_video_prefix,
            origins=_origins(settings, origins, any_origin, as_json),
            expire_days=expire_days,
            expire_picture_days=expire_picture_days,
            noncurrent_days=noncurrent_days,
            accelerate=accelerate,
            log_bucket=log_bucket,
        )
        client = make_client(settings, public=False)
        changes = _shown(set_up(client, wanted, dry_run=dry_run), quiet=as_json)
    asked = {"acceleration", "access log"}
    bad = any(
        change.status == "failed" or (change.status == "not on this store" and change.name in asked)
        for change in changes
    )
    _finish(changes, dry_run=dry_run, as_json=as_json, more={"bucket": wanted.bucket})
    raise typer.Exit(EXIT_FAILED if bad else 0)


@s3.command()
def policy(
    bucket: Bucket = None, region: Region = None, queue: Queue = None, kms_key: KmsKey = None
) -> None:
    """Print the least IAM policy that the service works with, as JSON. Asks nobody."""
    from detect_api.aws.policy import service_policy

    settings = settings_from(aws_region=region)
    with _told(as_json=False):
        name = _bucket(bucket, settings, as_json=False)
        document = service_policy(
            name, settings.s3_video_prefix, settings.aws_region,
            queue=_queue(queue, settings), kms_key=kms_key,
        )  # fmt: skip
    typer.echo(json.dumps(document, indent=2))


@s3.command()
def iam(
    user: Annotated[str | None, typer.Option(help="User that is to have the policy.")] = None,
    role: Annotated[str | None, typer.Option(help="Role that is to have the policy.")] = None,
    trust: Annotated[
        str | None, typer.Option(help="Who may use the role: ec2, ecs or eks.")
    ] = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make one more access key for a user that has one.")
    ] = False,
    bucket: Bucket = None,
    region: Region = None,
    queue: Queue = None,
    kms_key: KmsKey = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Create the user or the role that the service works as, or bring it to the least policy.

    A user without an access key gets one, which is printed here and never again. A role needs
    none. A second run changes nothing.
    """
    from detect_api.aws.connection import iam_client
    from detect_api.aws.iam import converge_role, converge_user
    from detect_api.aws.policy import service_policy

    if (user is None) == (role is None) or (role is None) != (trust is None):
        raise _usage("Give either --user, or --role with --trust.", as_json)
    if new_key and user is None:
        raise _usage("--new-key goes with --user: a role needs no key.", as_json)
    settings = settings_from(aws_region=region)
    key: AccessKey | None = None
    with _told(as_json):
        document = service_policy(
            _bucket(bucket, settings, as_json), settings.s3_video_prefix, settings.aws_region,
            queue=_queue(queue, settings), kms_key=kms_key,
        )  # fmt: skip
        client = iam_client(settings)
        if user is not None:
            made = converge_user(client, user, document, dry_run=dry_run)
        else:
            assert role is not None
            assert trust is not None
            made = converge_role(client, role, document, trust, dry_run=dry_run)
        changes = _shown(made, quiet=as_json)
        failed = any(change.status == "failed" for change in changes)
        if user is not None and not failed:
            key = _key(client, user, changes, new=new_key, dry_run=dry_run, quiet=as_json)
    shown = {"access_key_id": key.key_id, "secret_access_key": key.secret} if key else None
    _finish(changes, dry_run=dry_run, as_json=as_json, more={"access_key": shown})
    if key and not as_json:
        say("Keep this now, it is not shown again:")
        typer.echo(f"AWS_ACCESS_KEY_ID={key.key_id}\nAWS_SECRET_ACCESS_KEY={key.secret}")
    raise typer.Exit(EXIT_FAILED if failed else 0)


@s3.command()
def check(origins: Origins = None, as_json: AsJson = False) -> None:
    """Prove each permission on the bucket by using it, and say which one is missing.

    Sends forms in every forbidden variation as well. Removes what it stored. Exit status 1 if
    something fails.
    """
    from detect_api.aws.check import s3_checks
    from detect_api.cli.doctor import print_checks

    settings = _reachable(settings_from(), as_json)
    given = origins or [one for one in settings.cors_origin_list if one != "*"]
    if not as_json:
        say("Checking (some seconds, everything is really tried out)…")
    checks = list(s3_checks(settings, origins=given, thorough=True))
    failed = any(found.status == "fail" for found in checks)
    if as_json:
        typer.echo(json.dumps({"ok": not failed, "checks": [asdict(c) for c in checks]}, indent=1))
    else:
        print_checks(checks)
    raise typer.Exit(EXIT_FAILED if failed else 0)


def _reachable(settings: Settings, as_json: bool) -> Settings:
    """The settings; of the embedded storage those of the service that runs."""
    if settings.storage_mode != "embedded":
        return settings
    from detect_api.local.layout import Layout, StackError, holder
    from detect_api.local.stack import attach

    layout = Layout(settings.data_dir.expanduser().absolute())
    if not holder(layout.lock):
        raise _usage(
            "No S3 is named: set S3_BUCKET_NAME and keys. (The embedded one is tried by "
            "'detect-api doctor', or here while 'detect-api serve' runs.)",
            as_json,
        )
    try:
        return attach(settings)
    except StackError as error:
        raise fail(error.detail, code=error.code, as_json=as_json) from None


def _bucket(given: str | None, settings: Settings, as_json: bool) -> str:
    bucket = given or settings.s3_bucket_name
    if not bucket:
        raise _usage("Name the bucket with --bucket, or set S3_BUCKET_NAME.", as_json)
    return bucket


def _queue(given: str | None, settings: Settings) -> str | None:
    """The queue whose events are read; one that is not of AWS needs no policy of AWS."""
    if given or settings.s3_events_endpoint_url:
        return given
    return settings.s3_events_queue_url


def _origins(
    settings: Settings, given: list[str] | None, any_origin: bool, as_json: bool
) -> tuple[str, ...]:
    """Whose pages may upload. All of them only where that is asked for in so many words."""
    if any_origin:
        if given:
            raise _usage("Give --origin or --any-origin, not both.", as_json)
        return ("*",)
    origins = tuple(given or settings.cors_origin_list)
    if "*" in origins:
        raise _usage(
            "The origin * lets every web page upload that got hold of a form. Name your pages "
            "with --origin, or say --any-origin.",
            as_json,
        )
    return origins


def _key(
    client: Any, user: str, changes: list[Change], *, new: bool, dry_run: bool, quiet: bool
) -> AccessKey | None:
    """Makes an access key where there is none, or one more is asked for."""
    from detect_api.aws.converge import Change
    from detect_api.aws.iam import key_count, make_key

    count = key_count(client, user)
    before = f"{count} of at most 2"
    key: AccessKey | None = None
    if count and not new:
        change = Change("access key", "unchanged", before, before)
    elif dry_run:
        change = Change("access key", "would change", before, f"{count + 1} of at most 2")
    else:
        key = make_key(client, user)
        change = Change("access key", "changed", before, f"{count + 1} of at most 2")
    changes.extend(_shown([change], quiet=quiet))
    return key


def _shown(changes: Iterable[Change], *, quiet: bool) -> list[Change]:
    """Prints each change as it is made, so that a run that breaks has told what it did."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    found: list[Change] = []
    for change in changes:
        found.append(change)
        if quiet:
            continue
        line = Text.assemble(f"{change.name}: ", (change.status, COLOURS[change.status]))
        console.print(line)
        if change.status in ("changed", "would change", "failed") and change.after:
            console.print(_lines("  was ", change.before or "nothing"), markup=False)
            console.print(_lines("  now ", change.after), markup=False)
        elif change.before:
            console.print(_lines("      ", change.before), markup=False)
        if change.detail:
            console.print(_lines("    → ", change.detail), markup=False)
    return found


def _lines(begin: str, text: str) -> str:
    return begin + text.replace("\n", "\n" + " " * len(begin))


def _finish(changes: list[Change], *, dry_run: bool, as_json: bool, more: dict[str, Any]) -> None:
    changed = sum(change.status in ("changed", "would change") for change in changes)
    if as_json:
        shown = {
            **more,
            "dry_run": dry_run,
            "changed": changed,
            "failed": sum(change.status == "failed" for change in changes),
            "changes": [asdict(change) for change in changes],
        }
        typer.echo(json.dumps(shown, indent=1))
        return
    failed = sum(change.status == "failed" for change in changes)
    if failed:
        say(f"{failed} of {len(changes)} failed.")
    if failed and not changed:
        return
    if dry_run:
        say(f"{changed} would change." if changed else "Nothing would change.")
    else:
        say(f"{changed} changed." if changed else "Nothing changed: all is as it should be.")


def _usage(detail: str, as_json: bool) -> typer.Exit:
    fail(detail, code="usage", as_json=as_json)
    return typer.Exit(2)


@contextmanager
def _told(as_json: bool) -> Iterator[None]:
    """Ends the program with the sentence of an error that is meant to be read."""
    from botocore.exceptions import BotoCoreError

    from detect_api.core.errors import DetectApiError, InvalidRequest

    try:
        yield
    except InvalidRequest as error:
        raise _usage(error.detail, as_json) from None
    except DetectApiError as error:
        raise fail(error.detail, code=error.code, as_json=as_json) from None
    except BotoCoreError as error:  # no keys, no region: raised before anything is asked
        raise fail(str(error), code="aws_refused", as_json=as_json) from None
