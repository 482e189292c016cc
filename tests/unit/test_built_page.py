"""The built page as it is shipped: small, whole, and with nothing from elsewhere."""

from __future__ import annotations

import re

from detect_api.api.site import INDEX, load_site

LARGEST = 150_000


def test_it_is_small() -> None:
    site = load_site()
    assert INDEX in site
    assert sum(len(file.packed) for file in site.values()) <= LARGEST


def test_what_it_refers_to_is_there_and_nothing_comes_from_elsewhere() -> None:
    site = load_site()
    named = re.findall(r'(?:src|href)="([^"]+)"', site[INDEX].body.decode())
    assert named
    assert not [name for name in named if name.removeprefix("./") not in site]


def test_it_runs_under_a_policy_without_inline_code() -> None:
    index = load_site()[INDEX].body.decode()
    assert not re.findall(r"<script(?![^>]*\bsrc=)", index)
    assert not re.findall(r"<style|\sstyle=|\son\w+=", index)


def test_its_scripts_are_kept_for_good_and_its_index_is_not() -> None:
    site = load_site()
    assert not site[INDEX].lasting
    scripts = [file for name, file in site.items() if name.startswith("assets/")]
    assert scripts
    assert all(file.lasting for file in scripts)
