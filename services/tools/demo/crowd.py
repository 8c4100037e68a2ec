"""A simulated crowd that trades until it is told to stop."""

import threading
from collections.abc import Iterator

from services.runtime.errors import OperatingError
from services.tools.market.publish import Published, Publisher, publish
from services.tools.market.simulator import Crowd, Outbound
from services.wire.codec import Codec


class CrowdThread:
    """Sends the stream of one seed, open-loop, in a thread of its own from the start on."""

    def __init__(self, publisher: Publisher, codec: Codec, seed: int, rate: float) -> None:
        self.failure: OperatingError | None = None
        """What ended the sending, if anything did."""
        self._publisher = publisher
        self._codec = codec
        self._seed = seed
        self._rate = rate
        self._published: Published | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="crowd", daemon=True)
        self._thread.start()

    def stop(self) -> Published:
        """Send no more, and wait until every record sent is confirmed.

        Raises:
            RetriableError: some were not.
        """
        self._stop.set()
        self._thread.join()
        if self._published is None:
            assert self.failure is not None, "the crowd ended without a word"
            raise self.failure
        return self._published

    def _run(self) -> None:
        try:
            self._published = publish(self._publisher, self._codec, self._stream(), self._rate)
        except OperatingError as error:
            self.failure = error

    def _stream(self) -> Iterator[Outbound]:
        for outbound in Crowd(self._seed).commands():
            if self._stop.is_set():
                return
            yield outbound
