"""Addresses from which a video can be played for a while, past the API.

Signing is arithmetic on the configured keys and talks to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from detect_api.core.config import Settings
from detect_api.core.errors import Unavailable
from detect_api.services.s3_service import S3Service

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class VideoLinks(Protocol):
    """Makes addresses that hold for ``S3_DOWNLOAD_EXPIRATION`` seconds."""

    @property
    def origin(self) -> str:
        """Scheme and host of all addresses, as a page's policy has to name it."""

    def sign(self, key: str, content_type: str, *, head: bool = False) -> str:
        """The address of an object, for GET with or without Range; ``head``: for HEAD."""


@dataclass(frozen=True)
class S3Links:
    """Pre-signed by S3's own rules. ``client`` signs for the endpoint that clients see."""

    client: S3Client
    bucket: str
    seconds: int

    @property
    def origin(self) -> str:
        scheme, _, rest = self.sign("x", "video/mp4").partition("://")
        return f"{scheme}://{rest.split('/')[0]}"

    def sign(self, key: str, content_type: str, *, head: bool = False) -> str:
        # Shown and not saved, and as what it is, whatever the object says of itself.
        shown: dict[str, Any] = {
            "ResponseContentDisposition": "inline",
            "ResponseContentType": content_type,
        }
        return self.client.generate_presigned_url(
            "head_object" if head else "get_object",
            Params={"Bucket": self.bucket, "Key": key, **shown},
            ExpiresIn=self.seconds,
        )


@dataclass(frozen=True)
class CloudFrontLinks:
    """Signed for a CloudFront distribution in front of the bucket, by a canned policy.

    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-canned-policy.html
    """

    domain: str
    key_pair_id: str
    private_key: rsa.RSAPrivateKey
    seconds: int

    @property
    def origin(self) -> str:
        return f"https://{self.domain}"

    def sign(self, key: str, content_type: str, *, head: bool = False) -> str:
        """One address serves both methods; the object's own content type is what is sent."""
        del content_type, head
        signer = CloudFrontSigner(self.key_pair_id, self._rsa)
        until = datetime.now(UTC) + timedelta(seconds=self.seconds)
        url: str = signer.generate_presigned_url(
            f"{self.origin}/{quote(key)}", date_less_than=until
        )
        return url

    def _rsa(self, message: bytes) -> bytes:
        # CloudFront knows no other hash.
        return self.private_key.sign(message, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303  # nosec B303


def make_links(settings: Settings, s3: S3Service | None) -> VideoLinks | None:
    """What the settings ask for; None where there is no S3 and videos go through the API.

    Raises Unavailable if CloudFront's key cannot be used.
    """
    if s3 is None:
        return None
    seconds = settings.s3_download_expiration
    if settings.cloudfront_domain is None:
        return S3Links(s3.client, s3.bucket, seconds)
    assert settings.cloudfront_key_pair_id
    assert settings.cloudfront_private_key_file
    return CloudFrontLinks(
        domain=settings.cloudfront_domain,
        key_pair_id=settings.cloudfront_key_pair_id,
        private_key=read_key(settings.cloudfront_private_key_file),
        seconds=seconds,
    )


def read_key(path: Path) -> rsa.RSAPrivateKey:
    """The RSA key in a PEM file without a password. Raises Unavailable."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise Unavailable(
            f"The key in CLOUDFRONT_PRIVATE_KEY_FILE cannot be read ({type(error).__name__}): "
            "name a PEM file that the service may read, without a password.",
            code="cloudfront_key",
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Unavailable(
            "The key in CLOUDFRONT_PRIVATE_KEY_FILE is no RSA key: CloudFront's signed URLs here "
            "need one of 2048 bits.",
            code="cloudfront_key",
        )
    return key
