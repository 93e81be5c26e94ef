"""One HTML document: its style, its one script, and a policy that admits nothing else."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources

from asma_trainer.pages.markup import Html, el


def document(title: str, content: Html, *, scripted: bool) -> str:
    """The document around the content: its style, its one script, and a policy that admits nothing else."""
    script = _asset("player.js") if scripted else ""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"'sha256-{digest}'" if script else "'none'"
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'; form-action 'none'"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", Html(_asset("style.css"))),
    )
    body = el("body", el("main", content), el("script", Html(script)) if script else "")
    return "<!doctype html>\n" + el("html", head, body, lang="en") + "\n"


def _asset(name: str) -> str:
    return importlib.resources.files("asma_trainer.pages").joinpath("assets", name).read_text("utf-8")
