"""Which route needs what of a key. A route that is not named here needs the scope ``admin``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from detect_api.services.key_service import ADMIN, METRICS, READ, UPLOAD


@dataclass(frozen=True)
class Rule:
    """What a request needs.

    ``scopes``: one of these; empty: any key. ``token``: an upload token will do, too. ``creates``:
    it uses an upload token up. ``audited``: the action that is written into the audit log.
    ``operator``: the key's tenant must be the operator's own.
    """

    scopes: tuple[str, ...] = (ADMIN,)
    public: bool = False
    token: bool = False
    creates: bool = False
    operator: bool = False
    audited: str | None = None


_PUBLIC = Rule(public=True)
_SEND = Rule((UPLOAD,), token=True)
_SEND_NEW = Rule((UPLOAD,), token=True, creates=True)
_PROCESS = Rule((UPLOAD,))
_READ = Rule((READ,))

_ID = "([^/]+)"
_RULES: tuple[tuple[str, str, Rule], ...] = (
    ("OPTIONS", ".*", _PUBLIC),
    ("GET HEAD", r"/|/theme\.js|/assets/[^/]+|/health|/ready|/config", _PUBLIC),
    ("GET HEAD", r"/docs|/docs/oauth2-redirect|/redoc|/openapi\.json", _PUBLIC),
    ("POST", "/events/s3", _PUBLIC),  # it has a token of its own
    ("GET", "/metrics", Rule((METRICS,), operator=True)),
    ("GET", "/audit", Rule()),
    ("POST DELETE", "/session", Rule(())),
    ("POST", "/upload-tokens", Rule((UPLOAD,))),
    ("POST", "/process/video/upload/s3/presigned-url|/process/video/upload/async", _SEND_NEW),
    ("POST", "/uploads|/uploads/tus/?", _SEND_NEW),
    ("POST", "/process/video/s3|/process/sample|/detect/upload", _PROCESS),
    ("GET HEAD POST PATCH DELETE", f"/uploads/tus/{_ID}|/uploads/{_ID}", _SEND),
    ("POST", f"/uploads/{_ID}/(?:parts|complete)", _SEND),
    ("GET", f"/jobs/{_ID}", Rule((UPLOAD, READ), token=True)),
    ("POST", f"/jobs/{_ID}/(?:cancel|retry)", Rule((UPLOAD,))),
    ("DELETE", f"/jobs/{_ID}", Rule(audited="delete")),
    ("GET", f"/jobs/{_ID}/plates\\.(?:csv|jsonl)", Rule((READ,), audited="export")),
    ("POST", f"/jobs/{_ID}/redacted", Rule((UPLOAD,))),
    ("GET HEAD", f"/jobs/{_ID}/redacted/video", Rule((READ,), audited="export")),
    ("GET HEAD", "/jobs|/jobs/.+", _READ),
    ("GET", f"/retention|/receipts/{_ID}", _READ),
    ("POST", "/plates/forget", Rule(audited="forget")),
    ("GET", "/plates", Rule((READ,), audited="search")),
    ("GET", "/plates/.+", _READ),
    ("PATCH", f"/plates/{_ID}", Rule(audited="correct")),
    ("POST", f"/webhooks/{_ID}/replay", Rule()),
)
_COMPILED = tuple((methods.split(), re.compile(path), rule) for methods, path, rule in _RULES)


def rule_for(method: str, path: str) -> tuple[Rule, str | None]:
    """What the request needs, and the id that its path names."""
    for methods, pattern, rule in _COMPILED:
        if method in methods and (match := pattern.fullmatch(path)):
            return rule, next((group for group in match.groups() if group), None)
    return Rule(), None
