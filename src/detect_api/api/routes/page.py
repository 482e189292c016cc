"""The web page: its index, its scripts and styles, and what a browser may do with them."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response

from detect_api.api.deps import Parts, PartsDep
from detect_api.api.schemas.base import problems
from detect_api.api.site import INDEX, SiteFile, load_site
from detect_api.core.errors import NotFound


def make_router() -> APIRouter:
    """The routes of the page, with the built files at hand."""
    router = APIRouter(tags=["page"])
    site = load_site()

    def index(request: Request, parts: PartsDep) -> Response:
        if INDEX not in site:
            raise NotFound("The page was not built: run 'make web' and start the service again.")
        return _answer(request, site[INDEX], policy=content_security_policy(parts))

    def theme(request: Request) -> Response:
        return _named(request, site, "theme.js")

    def asset(request: Request, name: str) -> Response:
        return _named(request, site, f"assets/{name}")

    html = {200: {"content": {"text/html": {}}}, **problems(404)}
    router.get("/", response_class=Response, responses=html, summary="The web page")(index)
    router.head("/", include_in_schema=False)(index)
    for path, route in (("/theme.js", theme), ("/assets/{name}", asset)):
        router.api_route(path, methods=["GET", "HEAD"], include_in_schema=False)(route)
    return router


def content_security_policy(parts: Parts) -> str:
    """What the page may do: run its own files, and talk to this API and to the storage."""
    storage = " ".join(sorted({"'self'", *_storage_origins(parts)}))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            f"media-src {storage}",
            f"connect-src {storage}",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        )
    )


def _storage_origins(parts: Parts) -> set[str]:
    """Where pre-signed uploads and downloads lead. Signing names it; it talks to nobody."""
    if parts.s3 is None:
        return set()
    bucket, key, client = parts.s3.bucket, parts.settings.s3_video_prefix, parts.s3.client
    signed = (
        client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}),
        client.generate_presigned_post(Bucket=bucket, Key=key)["url"],
    )
    found = (urlsplit(url) for url in signed)
    played = {parts.links.origin} if parts.links is not None else set()
    return {f"{url.scheme}://{url.netloc}" for url in found} | played


def _named(request: Request, site: dict[str, SiteFile], name: str) -> Response:
    if name not in site:
        raise NotFound(f"The page has no file '{name}': reload it, the service was updated.")
    return _answer(request, site[name])


def _answer(request: Request, file: SiteFile, policy: str | None = None) -> Response:
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if file.lasting else "no-cache",
        "ETag": file.etag,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    if policy is not None:
        headers["Content-Security-Policy"] = policy
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = file.body
    if "gzip" in request.headers.get("accept-encoding", "") and len(file.packed) < len(body):
        body = file.packed
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=file.media_type, headers=headers)
