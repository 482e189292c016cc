"""Removing objects so that nothing of them is left, and looking whether that is so.

In a bucket with versions, a deletion only puts a marker over the object. Its versions go, too,
where the keys may list and delete them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from detect_api.core.errors import ObjectMissing, StorageError
from detect_api.storage.base import ObjectStore
from detect_api.storage.directory import DirectoryStore
from detect_api.storage.multipart import UploadGone
from detect_api.storage.s3 import S3Store, translated
from detect_api.storage.s3_multipart import multipart_of

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

AT_ONCE = 1000
"""Objects, and versions, that one call removes at most; whoever calls again removes the next ones.
S3 takes no more in one call, either."""

_NOT_BUILT = {"NotImplemented", "501", "MethodNotAllowed", "405"}
_NOT_ALLOWED = {"403", "AccessDenied", *_NOT_BUILT}
_GONE = {"404", "NoSuchKey", "NoSuchVersion"}


@dataclass(frozen=True, slots=True)
class Erased:
    """What a call removed. ``versions`` is None where the store does not let us look for them."""

    keys: tuple[str, ...]
    versions: int | None


def erase(store: ObjectStore, prefix: str) -> Erased:
    """Removes an object, or all under a prefix that ends in ``/``, ``AT_ONCE`` at most.

    Doing it again is harmless. Raises StorageError.
    """
    keys = tuple(islice(_keys(store, prefix), AT_ONCE))
    for key in keys:
        store.delete(key)
    return Erased(keys, _erase_versions(store, prefix))


def is_left(store: ObjectStore, prefix: str, upload_id: str | None = None) -> bool:
    """Whether anything of it can still be found, parts of an upload included.

    Asks HEAD for an object, a listing for a prefix. Raises StorageError.
    """
    if any(True for _ in _keys(store, prefix)):
        return True
    if upload_id is not None and (multipart := multipart_of(store)) is not None:
        try:
            if multipart.parts(prefix, upload_id):
                return True
        except UploadGone:
            pass
    if isinstance(store, S3Store):
        # A marker says that something was deleted, and holds nothing of it.
        return any(not marker for _, _, marker in _versions(store, prefix) or ())
    return False


def _keys(store: ObjectStore, prefix: str) -> Iterator[str]:
    if not prefix.endswith("/"):
        try:
            yield store.head(prefix).key
        except ObjectMissing:
            return
    elif isinstance(store, S3Store):
        with translated(prefix):
            pages = store.client.get_paginator("list_objects_v2").paginate(
                Bucket=store.bucket, Prefix=prefix
            )
            for page in pages:
                yield from (item["Key"] for item in page.get("Contents", []))
    elif isinstance(store, DirectoryStore):
        yield from store.keys(prefix)


def _erase_versions(store: ObjectStore, prefix: str) -> int | None:
    if not isinstance(store, S3Store):
        return 0
    found = _versions(store, prefix)
    if found is None:
        return None
    some = list(islice(found, AT_ONCE))
    with translated(prefix):
        refusals = _delete_versions(store, [(key, version) for key, version, _ in some])
    if not refusals:
        return sum(not marker for _, _, marker in some)
    if refusals <= _NOT_ALLOWED:
        return None
    raise StorageError(f"Storage answered with the error {min(refusals - _NOT_ALLOWED)}.")


def _delete_versions(store: S3Store, versions: list[tuple[str, str]]) -> set[str]:
    """Deletes ``AT_ONCE`` versions at most in one call; returns the codes of all refusals.

    Raises ClientError.
    """
    if not versions:
        return set()
    wanted: list[ObjectIdentifierTypeDef] = [
        {"Key": key, "VersionId": version} for key, version in versions
    ]
    try:
        answer = store.client.delete_objects(
            Bucket=store.bucket, Delete={"Objects": wanted, "Quiet": True}
        )
    except ClientError as error:
        if _code(error) in _NOT_BUILT:
            return _delete_one_by_one(store, versions)
        if _code(error) in _NOT_ALLOWED:
            return {_code(error)}
        raise
    return {error.get("Code", "unknown") for error in answer.get("Errors", [])} - _GONE


def _delete_one_by_one(store: S3Store, versions: list[tuple[str, str]]) -> set[str]:
    """The same for stores that do not know the call for many. Raises ClientError."""
    for key, version in versions:
        try:
            store.client.delete_object(Bucket=store.bucket, Key=key, VersionId=version)
        except ClientError as error:
            if _code(error) in _NOT_ALLOWED:
                return {_code(error)}
            if _code(error) not in _GONE:
                raise
    return set()


def _versions(store: S3Store, prefix: str) -> Iterator[tuple[str, str, bool]] | None:
    """Key and id of each version that is left, and whether it is a marker; None if not told."""
    with translated(prefix):
        try:
            first = store.client.list_object_versions(Bucket=store.bucket, Prefix=prefix, MaxKeys=1)
        except ClientError as error:
            if _code(error) in _NOT_ALLOWED:
                return None
            raise
    if not first.get("Versions") and not first.get("DeleteMarkers"):
        return iter(())
    return _all_versions(store, prefix)


def _all_versions(store: S3Store, prefix: str) -> Iterator[tuple[str, str, bool]]:
    with translated(prefix):
        pages = store.client.get_paginator("list_object_versions").paginate(
            Bucket=store.bucket, Prefix=prefix
        )
        for page in pages:
            for version in page.get("Versions", []):
                if version["Key"] == prefix or prefix.endswith("/"):
                    yield version["Key"], version["VersionId"], False
            for marker in page.get("DeleteMarkers", []):
                if marker["Key"] == prefix or prefix.endswith("/"):
                    yield marker["Key"], marker["VersionId"], True


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
