"""The built web page, for tests that need it; and a market worth looking at."""

import os
import random
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from services.domain import codes
from services.domain.events import BookDepth, Level, Trade
from services.gateway.core.read_model import ReadModel
from tests.support.chromium import Tab
from tests.support.gateway_memory import feed_model, origin, prediction, trade
from tests.support.optional import require_program
from tests.tidy.tree import ROOT

WEB: Final = ROOT / "web"
PICTURES_SWITCH: Final = "OUTCRY_PICTURES"
_BUILD_S_MAX: Final = 100
_TICK: Final = 100
_SECOND_US: Final = 1_000_000
_LEVELS: Final = 10


@cache
def build_page() -> None:
    """Have `make web` build what is not built; skips the calling test without node or npm."""
    _make("web")


@cache
def install_packages() -> None:
    """Have the lock's packages in web/node_modules; skips the calling test without node or npm."""
    _make("web/node_modules/.package-lock.json")


def _make(target: str) -> None:
    require_program("node")
    require_program("npm")
    ended = subprocess.run(
        ["make", target], cwd=ROOT, capture_output=True, text=True, timeout=_BUILD_S_MAX,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr


async def take_picture(tab: Tab, name: str, *, is_whole_page: bool = False) -> None:
    """Write what is seen into the folder that OUTCRY_PICTURES names; without one, nothing."""
    folder = os.environ.get(PICTURES_SWITCH)
    if folder:
        await tab.picture(Path(folder) / name, is_whole_page=is_whole_page)


def now_us() -> int:
    return time.time_ns() // 1_000


class Bustle:
    """Trades of one ticker until now, a book and predictions, the same for a seed but their times.

    Numbers of trades go on from one gateway to the next, as they do on the log.
    """

    def __init__(self, ticker: str, first_price: int, seed: int = 7) -> None:
        self.ticker = ticker
        self.price = first_price
        self.history: list[tuple[int, Trade]] = []
        """Time and trade, in the order of their numbers."""
        self._random = random.Random(seed)
        self._began_us = now_us()

    def trade_until_now(self, seconds: int) -> None:
        """As if it had been traded for so many seconds."""
        at_us = self._began_us - seconds * _SECOND_US
        while at_us < self._began_us - _SECOND_US:
            self.trade(at_us, self._random.choice((-1, 0, 0, 1)))
            at_us += self._random.randint(50_000, 900_000)

    def trade(self, at_us: int, ticks: int) -> Trade:
        """One trade, so many ticks from the last."""
        self.price += ticks * _TICK
        made = msgspec.structs.replace(
            trade(len(self.history), self.ticker),
            price=self.price,
            quantity=self._random.randint(1, 40) * 10,
            aggressor_side=self._random.choice((codes.BUY, codes.SELL)),
        )
        self.history.append((at_us, made))
        return made

    def feed(self, model: ReadModel, first: int = 0) -> None:
        """Let a gateway read the book, and the trades from the one with index `first` on."""
        feed_model(model, self.book())
        for number, (at_us, made) in enumerate(self.history[first:], first + 1):
            feed_model(model, made, origin(offset=number, sequence=number, time_us=at_us))

    def book(self) -> BookDepth:
        chance = random.Random(self.price)

        def side(sign: int) -> tuple[Level, ...]:
            return tuple(
                Level(
                    self.price + sign * (depth + 1) * _TICK,
                    chance.randint(1, 9) * 100 + depth * 60,
                    chance.randint(1, 6),
                )
                for depth in range(_LEVELS)
            )

        return BookDepth(self.ticker, codes.OPEN, self.price, side(-1), side(1))


def predict(
    model: ReadModel, ticker: str, age_us: int = 300_000, *, is_degraded: bool = False
) -> None:
    """The champion says up and the shadow flat, of features of this age."""
    grid_time_us = now_us() - age_us
    times = {"ticker": ticker, "grid_time_us": grid_time_us, "served_at_us": grid_time_us + 80_000}
    shadow = {"model_version": 4, "is_shadow": True, "predicted_class": 1}
    feed_model(model, prediction(**times, **shadow, probabilities=(0.25, 0.4375, 0.3125)))
    feed_model(model, prediction(**times, is_degraded=is_degraded))
