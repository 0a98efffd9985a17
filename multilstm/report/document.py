"""The parts that all pages share: escaped text, sections, the style, and a policy that admits nothing else.

The Content-Security-Policy of a page admits its style and its scripts by their hashes. Every text from a user is
printable and escaped.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
import zlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from multilstm.report.words import printable

__all__ = ["hash_source", "packed", "pairs", "part", "policy", "section", "text"]


def part(name: str) -> str:
    """Return a file of the folder `multilstm/report/page`."""
    return importlib.resources.files("multilstm.report").joinpath("page", name).read_text("utf-8").strip()


def policy(style: str, script: str | None = None) -> str:
    """Return a Content-Security-Policy that admits one style and at most one script."""
    scripts = "" if script is None else f"script-src {hash_source(script)}; "
    return f"default-src 'none'; style-src {hash_source(style)}; {scripts}base-uri 'none'; form-action 'none'"


def hash_source(text: str) -> str:
    """Return the source of a policy that admits this text alone."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def packed(data: Mapping[str, Any]) -> str:
    """Return JSON data, compressed by zlib and as Base64, whose characters end no element of a page."""
    content = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(content.encode(), level=9)).decode()


def text(value: object) -> str:
    """Return a text for HTML."""
    return escape(printable(str(value)))


def section(title: str, lines: Sequence[str], is_open: bool = False) -> str:
    """Return a section that opens and closes."""
    body = "\n".join(lines)
    return f"<details{' open' if is_open else ''}><summary>{text(title)}</summary>\n{body}\n</details>"


def pairs(items: Mapping[str, Any]) -> list[str]:
    """Return names with their values as a list of definitions."""
    entries = (f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in items.items())
    return ["<dl>", *entries, "</dl>"]
