"""CORS and lifecycle rules in a few words, for the lines that set-up prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detect_api.aws.wanted import CORS_RULE, LEFTOVER_RULE, LOG_RULE, PICTURE_RULE, VIDEO_RULE

_OURS = {CORS_RULE, LEFTOVER_RULE, PICTURE_RULE, VIDEO_RULE}


def cors_words(rules: Sequence[dict[str, Any]]) -> str:
    """One line for each rule."""
    return "\n".join(_cors_rule(rule) for rule in rules) or "no rules"


def _cors_rule(rule: dict[str, Any]) -> str:
    words = f"{', '.join(rule['AllowedOrigins'])}: {' '.join(rule['AllowedMethods'])}"
    if exposed := rule.get("ExposeHeaders"):
        words += f", exposes {', '.join(exposed)}"
    return words + _whose(rule)


def lifecycle_words(rules: Sequence[dict[str, Any]]) -> str:
    """One line for each rule."""
    return "\n".join(_lifecycle_rule(rule) for rule in rules) or "no rules"


def _lifecycle_rule(rule: dict[str, Any]) -> str:
    scope = rule.get("Filter", {})
    prefix = scope.get("Prefix", scope.get("And", {}).get("Prefix", rule.get("Prefix", "")))
    parts = []
    if days := rule.get("Expiration", {}).get("Days"):
        parts.append(f"expire after {_days(days)}")
    if days := rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"):
        parts.append(f"old versions go after {_days(days)}")
    if days := rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"):
        parts.append(f"incomplete uploads after {_days(days)}")
    words = ", ".join(parts) or "other rule"
    off = "" if rule.get("Status") == "Enabled" else " (switched off)"
    return f"{prefix or 'everything'}: {words}{off}{_whose(rule)}"


def _days(count: int) -> str:
    return f"{count} day" if count == 1 else f"{count} days"


def _whose(rule: dict[str, Any]) -> str:
    name = rule.get("ID", "")
    return "" if name in _OURS or name.startswith(LOG_RULE) else f" [{name or 'no ID'}, kept]"
