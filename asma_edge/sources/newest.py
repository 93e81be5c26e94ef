"""Only the newest picture: whatever takes long, it never falls behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from asma_edge.sources.frames import ImageFrame, ImageSource

_CLOSING = 3.0  # seconds that `close` waits for the source


class Newest:
    """Reads a live source in a thread of its own and keeps its newest picture, so that lag does not grow.

    For sources that go on by themselves: cameras, and videos played in real time. A file that is read as fast as it
    can be would lose most of its pictures.

    Args:
        source: of pictures; closed with this one.
    """

    def __init__(self, source: ImageSource) -> None:
        self.name = source.name
        self._source = source
        self._changed = threading.Condition()
        self._newest: ImageFrame | None = None
        self._overtaken, self._ended, self._closed = 0, False, False
        self._error: BaseException | None = None
        self._worker: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """Pictures that were left out because newer ones had come."""
        return self._overtaken + self._source.dropped

    def __iter__(self) -> Iterator[ImageFrame]:
        """The newest picture each time; ends with the source, and raises what the source raised."""
        if self._worker is None:
            self._worker = threading.Thread(target=self._work, name=f"pictures of {self.name}", daemon=True)
            self._worker.start()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._ended or self._closed)
                frame, self._newest = self._newest, None
                if frame is None or self._closed:
                    break
            yield frame
        if self._error is not None and not self._closed:
            raise self._error

    def close(self) -> None:
        """Close the source, and end the iteration of both."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._source.close()
        if self._worker is not None and self._worker is not threading.current_thread():
            self._worker.join(_CLOSING)

    def _work(self) -> None:
        try:
            for frame in self._source:
                with self._changed:
                    if self._closed:
                        return
                    self._overtaken += self._newest is not None
                    self._newest = frame
                    self._changed.notify_all()
        # Whatever ended the source is raised again where its pictures are used.
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
