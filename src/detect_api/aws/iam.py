"""``detect-api s3 iam``: the user or the role that the service works as."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from detect_api.aws.connection import AwsRefused, reason
from detect_api.aws.converge import Aspect, Change, converge, found_or_none, patiently
from detect_api.aws.policy import statements_of, trust_statement, with_statement

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

POLICY_NAME = "detect-api-videos"
MISSING = "NoSuchEntity"
MOST_KEYS = 2
Pause = Callable[[float], None]


@dataclass(frozen=True)
class AccessKey:
    """A key that AWS shows once, at its making."""

    key_id: str
    secret: str

    def __repr__(self) -> str:
        return f"AccessKey({self.key_id!r})"


def converge_user(
    client: IAMClient,
    name: str,
    policy: dict[str, Any],
    *,
    dry_run: bool = False,
    pause: Pause = time.sleep,
) -> Iterator[Change]:
    """Creates the user or brings its policy to what is wanted. Makes no key."""

    def read() -> Any:
        return found_or_none(lambda: client.get_user(UserName=name), MISSING) and name

    def read_policy() -> Any:
        found = found_or_none(
            lambda: client.get_user_policy(UserName=name, PolicyName=POLICY_NAME), MISSING
        )
        return found and _document(found["PolicyDocument"])

    def write(_wanted: Any) -> None:
        client.create_user(UserName=name)

    def write_policy(document: Any) -> None:
        client.put_user_policy(
            UserName=name, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(document)
        )

    aspects = [
        Aspect(
            "user", read, lambda _found: name, write, str, "iam:GetUser", "iam:CreateUser"
        ),
        Aspect(
            "policy", read_policy, lambda _found: policy, write_policy, policy_words,
            "iam:GetUserPolicy", "iam:PutUserPolicy",
        ),
    ]  # fmt: skip
    yield from converge(aspects, dry_run=dry_run, pause=pause)


def converge_role(
    client: IAMClient,
    name: str,
    policy: dict[str, Any],
    trust: str,
    *,
    dry_run: bool = False,
    pause: Pause = time.sleep,
) -> Iterator[Change]:
    """Creates the role, who may use it, and for EC2 its instance profile, or converges them.

    Others who may use an existing role still may. Raises InvalidRequest for an unknown ``trust``.
    """
    statement = trust_statement(trust)

    def read() -> Any:
        found = found_or_none(lambda: client.get_role(RoleName=name), MISSING)
        return found and _document(found["Role"]["AssumeRolePolicyDocument"])

    there = False

    def wanted(found: Any) -> Any:
        nonlocal there
        there = found is not None
        return with_statement(found, statement)

    def write(document: Any) -> None:
        text = json.dumps(document)
        if there:
            client.update_assume_role_policy(RoleName=name, PolicyDocument=text)
        else:
            client.create_role(RoleName=name, AssumeRolePolicyDocument=text)

    def read_policy() -> Any:
        found = found_or_none(
            lambda: client.get_role_policy(RoleName=name, PolicyName=POLICY_NAME), MISSING
        )
        return found and _document(found["PolicyDocument"])

    def write_policy(document: Any) -> None:
        client.put_role_policy(
            RoleName=name, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(document)
        )

    aspects = [
        Aspect(
            "role", read, wanted, write, trust_words, "iam:GetRole",
            "iam:CreateRole and iam:UpdateAssumeRolePolicy",
            lambda found, _wanted: statement in statements_of(found),
        ),
        Aspect(
            "policy", read_policy, lambda _found: policy, write_policy, policy_words,
            "iam:GetRolePolicy", "iam:PutRolePolicy",
        ),
    ]  # fmt: skip
    if trust == "ec2":
        aspects.append(_instance_profile(client, name))
    yield from converge(aspects, dry_run=dry_run, pause=pause)


def _instance_profile(client: IAMClient, name: str) -> Aspect:
    """A machine is given a role through a profile; the console makes one of the same name."""
    there = False

    def read() -> Any:
        nonlocal there
        found = found_or_none(
            lambda: client.get_instance_profile(InstanceProfileName=name), MISSING
        )
        there = found is not None
        roles = found["InstanceProfile"]["Roles"] if found else []
        return roles[0]["RoleName"] if roles else None

    def write(role: Any) -> None:
        if not there:
            found_or_none(
                lambda: client.create_instance_profile(InstanceProfileName=name),
                "EntityAlreadyExists",  # made by the try before this one
            )
        client.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)

    return Aspect(
        "instance profile", read, lambda _found: name, write, str,
        "iam:GetInstanceProfile",
        "iam:CreateInstanceProfile, iam:AddRoleToInstanceProfile and iam:PassRole",
    )  # fmt: skip


def key_count(client: IAMClient, user: str) -> int:
    """How many access keys the user has; 0 for one that is not there. Raises AwsRefused."""
    try:
        found = found_or_none(lambda: client.list_access_keys(UserName=user), MISSING)
    except (ClientError, BotoCoreError) as error:
        raise AwsRefused(reason(error, "iam:ListAccessKeys")) from None
    return len(found["AccessKeyMetadata"]) if found else 0


def make_key(client: IAMClient, user: str, *, pause: Pause = time.sleep) -> AccessKey:
    """A new access key of the user. Raises AwsRefused, also where it has two already."""
    if key_count(client, user) >= MOST_KEYS:
        raise AwsRefused(
            f"User {user} has {MOST_KEYS} access keys, and AWS allows no more: delete the one "
            "that is not used any more (aws iam delete-access-key), then run this again."
        )
    try:
        made = patiently(lambda: client.create_access_key(UserName=user), pause)["AccessKey"]
    except (ClientError, BotoCoreError) as error:
        raise AwsRefused(reason(error, "iam:CreateAccessKey")) from None
    return AccessKey(made["AccessKeyId"], made["SecretAccessKey"])


def policy_words(policy: dict[str, Any]) -> str:
    """A line for each statement of an identity's policy."""
    return "\n".join(
        f"{_words(part.get('Action', part.get('NotAction', '')))} on "
        f"{_words(part.get('Resource', part.get('NotResource', '')))}"
        for part in statements_of(policy)
    )


def trust_words(policy: dict[str, Any]) -> str:
    """Who may use a role."""
    principals = (part.get("Principal", {}) for part in statements_of(policy))
    who = [
        _words(name)
        for principal in principals
        for name in (principal.values() if isinstance(principal, dict) else [principal])
    ]
    return f"for {', '.join(who) or 'nobody'}"


def _words(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def _document(document: Any) -> dict[str, Any]:
    """A policy as boto3 gives it: decoded from AWS, as text from some other stores."""
    found: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
    return found
