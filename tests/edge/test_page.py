"""The page in a real browser: it draws what it is told, on any screen, also after the connection broke."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import PROGRAM, Chromium

from asma_edge import Recognizer
from asma_edge.builtin import model_path
from asma_edge.pipeline import Pipeline
from asma_edge.serve import PageOutput, PageServer
from asma_edge.skeleton import FloatArray, get_layout
from asma_edge.sources import PoseFrame, open_source

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs Chromium: apt-get install chromium")

MODEL = model_path("irds9")
LIVE = "document.getElementById('link').textContent == 'Live' && document.querySelector('#people button') != null"
NARROW = "document.documentElement.scrollWidth <= innerWidth"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    browser = Chromium(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def recording() -> list[PoseFrame]:
    return list(open_source("example", model=MODEL))


class Show:
    """A page that is fed by hand, in the time of its frames."""

    def __init__(self, recognizer: Recognizer, port: int = 0, token: str | None = None) -> None:
        self._t = 0.0
        self.output = PageOutput(recognizer, "example", camera=True, clock=lambda: self._t + 0.03)
        self._pipeline = Pipeline(recognizer, [self.output])
        self.server = PageServer(self.output.hub, port=port, token=token)
        (self.url,) = self.server.urls()

    def feed(self, frames: list[PoseFrame], pause: float = 0.0) -> None:
        for frame in frames:
            self._t = frame.t
            self._pipeline.take(frame, "example")
            time.sleep(pause)


@pytest.fixture
def show() -> Iterator[Callable[..., Show]]:
    """show(...): a `Show`."""
    shows: list[Show] = []

    def make(recognizer: Recognizer | None = None, **options: object) -> Show:
        shows.append(Show(recognizer or Recognizer.load(MODEL), **options))  # type: ignore[arg-type]
        return shows[-1]

    yield make
    for one in shows:
        one.server.close()


def drawn(browser: Chromium, canvas: str) -> int:
    """Pixels of a canvas that are not empty."""
    return int(
        browser.evaluate(
            f"(() => {{ const c = document.getElementById('{canvas}');"
            "const bytes = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            "let n = 0; for (let i = 3; i < bytes.length; i += 4) n += bytes[i] > 0; return n; })()"
        )
    )


def texts(browser: Chromium, selector: str) -> list[str]:
    return list(browser.evaluate(f"[...document.querySelectorAll('{selector}')].map((node) => node.textContent)"))


def press(browser: Chromium, key: str, code: int) -> None:
    for kind in ("keyDown", "keyUp"):
        text = "\r" if key == "Enter" and kind == "keyDown" else ""
        browser.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text)


def test_it_shows_the_recorded_people_of_the_built_in_model(
    browser: Chromium, show: Callable[..., Show], recording: list[PoseFrame]
) -> None:
    one = show(token="a-token-of-the-tests")
    labels = Recognizer.load(MODEL).labels
    one.feed(recording[:600])
    for width, height, dark in ((1280, 900, False), (390, 844, True), (320, 600, False)):
        browser.open(one.url, width, height, dark=dark)
        browser.wait_for(LIVE)
        browser.wait_for("document.getElementById('spoken').textContent")
        assert drawn(browser, "stage") > 1000
        assert drawn(browser, "chart") > 1000
        assert browser.evaluate(NARROW)
        assert browser.evaluate("location.search") == ""  # the token went into a cookie
        assert set(texts(browser, "#legend li span:first-of-type")) <= set(labels)
        actions = texts(browser, "#actions td:nth-child(2)")
        assert len(actions) >= 3
        assert set(actions) <= set(labels)
        times = [int(text) for text in texts(browser, "#counts td:nth-child(2)") if text != "–"]
        assert sum(times) == len(actions)
        assert texts(browser, "#fps") == ["15"]
        assert texts(browser, "#age") == ["30 ms"]
        assert browser.evaluate("document.title") == "irds9 – asma-edge"
        assert (
            browser.evaluate("document.getElementById('stage').ariaLabel") == "Live drawing: the skeleton of one person"
        )
    one.feed(recording[600:720], pause=0.005)
    browser.wait_for(f"document.querySelectorAll('#actions tr').length > {len(actions)}")
    assert browser.problems == []


def test_buttons_work_from_the_keyboard(
    browser: Chromium, show: Callable[..., Show], recording: list[PoseFrame]
) -> None:
    one = show()
    one.feed(recording[:60])
    browser.open(one.url)
    browser.wait_for(LIVE)
    pressed = "document.activeElement.id + document.activeElement.ariaPressed"
    press(browser, "Tab", 9)
    assert browser.evaluate(pressed) == "sidetrue"
    press(browser, "Enter", 13)
    assert browser.evaluate(pressed) == "sidefalse"
    press(browser, "Tab", 9)
    press(browser, "Enter", 13)
    assert browser.evaluate(pressed) == "mirrortrue"


def test_several_people_have_a_row_each_and_one_is_chosen(
    browser: Chromium, show: Callable[..., Show], recording: list[PoseFrame]
) -> None:
    one = show()
    far = np.array([1.3, 0, 0], np.float32)
    several = [
        PoseFrame(
            frame.t,
            [np.asarray(other.poses[0], np.float32) + index * far for index, other in enumerate(three)],
            True,
            n,
        )
        for n, (frame, *three) in enumerate(zip(recording, recording, recording[200:], recording[400:], strict=False))
    ][:300]
    one.feed(several)
    browser.open(one.url)
    browser.wait_for("document.querySelectorAll('#people button').length == 3")
    assert texts(browser, "#people .who") == ["Person 1", "Person 2", "Person 3"]
    browser.evaluate("document.querySelectorAll('#people button')[1].click()")
    browser.wait_for("document.getElementById('whose').textContent.includes('Person 2')")
    assert browser.evaluate("[...document.querySelectorAll('#people button')].map((b) => b.ariaPressed).join()") == (
        "false,true,false"
    )
    one.feed([PoseFrame(several[-1].t + 1, [], True, 301)])
    browser.wait_for("document.getElementById('veil').textContent == 'Nobody is seen'")
    assert browser.problems == []


def test_pixels_are_drawn_as_the_camera_sees_them(
    browser: Chromium,
    show: Callable[..., Show],
    make_bundle: Callable[..., Path],
    motion: Callable[..., FloatArray],
) -> None:
    one = show(Recognizer.load(make_bundle("coco17")))
    poses = motion(get_layout("coco17"), 60, 1, "pixels")
    poses[:, 3] = np.nan
    one.feed([PoseFrame(index / 30, [pose], False, index) for index, pose in enumerate(poses)])
    browser.open(one.url)
    browser.wait_for(LIVE)
    assert browser.evaluate("document.getElementById('side').hidden")
    assert drawn(browser, "stage") > 1000
    assert browser.problems == []


def test_it_says_that_the_connection_is_lost_and_comes_back(
    browser: Chromium, show: Callable[..., Show], recording: list[PoseFrame]
) -> None:
    one = show()
    one.feed(recording[:60])
    browser.open(one.url)
    browser.wait_for(LIVE)
    one.server.close()
    browser.wait_for("document.getElementById('link').textContent.startsWith('Connection lost. Trying again in')")
    assert drawn(browser, "stage") > 1000  # what was last seen stays
    two = show(port=one.server.address[1])
    two.feed(recording[:600])
    browser.wait_for(LIVE)
    browser.wait_for("document.querySelectorAll('#actions tr').length > 2")
    two.output.close()
    browser.wait_for("document.getElementById('link').textContent == 'The source is over'")


def test_names_are_text_whatever_they_hold(
    browser: Chromium, show: Callable[..., Show], recording: list[PoseFrame]
) -> None:
    one = show()
    evil = "<img src=x onerror=alert(1)>"
    one.output._about |= {"labels": [evil] * 9, "model": evil, "source": evil}
    one.feed(recording[:300])
    for action in one.output._actions:
        action["label"] = evil
    browser.open(one.url)
    browser.wait_for(LIVE)
    assert texts(browser, "#about") == [f"{evil} · {evil}"]
    assert evil in texts(browser, "#actions td:nth-child(2)")
    assert browser.evaluate("document.querySelectorAll('main img').length") == 0
    assert browser.problems == []


def test_another_origin_reads_nothing(browser: Chromium, show: Callable[..., Show], recording: list[PoseFrame]) -> None:
    victim, other = show(), show()
    other.feed(recording[:60])
    browser.open(other.url)
    browser.wait_for(LIVE)
    for path in ("live", "app.js"):
        # Its own policy would forbid this already; what counts is that the other server does not answer either.
        browser.call("Page.setBypassCSP", enabled=True)
        script = f"fetch('{victim.url}{path}').then(() => 'read', () => 'refused')"
        assert browser.evaluate(script) == "refused"
        script = f"fetch('{victim.url}{path}', {{mode: 'no-cors'}}).then((a) => a.text()).then((t) => t || 'nothing')"
        assert browser.evaluate(script + ".catch(() => 'nothing')") == "nothing"
    assert len(victim.output.hub) == 0
    browser.call("Page.setBypassCSP", enabled=False)
