"""Pages of a recognizer that has seen nothing yet, and that nothing unforeseen happens to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from page_client import MODEL

from asma_edge import Recognizer
from asma_edge.serve import PageOutput, PageServer, server
from asma_edge.sources import PoseFrame, open_source


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer.load(MODEL)


@pytest.fixture(scope="module")
def recording() -> list[PoseFrame]:
    """30 seconds of the built-in model's example."""
    frames = list(open_source("example", model=MODEL))
    return [frame for frame in frames if frame.t < 30]


@pytest.fixture
def output(recognizer: Recognizer) -> PageOutput:
    return PageOutput(recognizer, "tests")


@pytest.fixture(scope="module", autouse=True)
def unforeseen() -> Iterator[list[BaseException | None]]:
    """What connections met with that nobody expected: nothing, at the end."""
    met: list[BaseException | None] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server._Listener, "handle_error", lambda *_: met.append(sys.exception()))
        yield met
    assert met == []


@pytest.fixture
def open_page(output: PageOutput) -> Iterator[Callable[..., PageServer]]:
    """open(...): a page at a free port."""
    pages: list[PageServer] = []

    def open_one(**options: Any) -> PageServer:
        pages.append(PageServer(output.hub, port=0, **options))
        return pages[-1]

    yield open_one
    for page in pages:
        page.close()


@pytest.fixture
def live(open_page: Callable[..., PageServer]) -> PageServer:
    """The page of `output`."""
    return open_page()


@pytest.fixture(scope="module")
def page(recognizer: Recognizer) -> Iterator[PageServer]:
    """A page that every request finds as the first one did."""
    page = PageServer(PageOutput(recognizer, "tests").hub, port=0)
    yield page
    page.close()
