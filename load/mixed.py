"""All of it at once: traders, readers, and where a model serves those who ask for predictions."""

from load import ml, rest, websocket
from load.paced import PREDICT


class Trader(rest.Trader):
    """Three fifths of the users."""

    weight = 6


class Reader(websocket.Reader):
    """Three tenths."""

    weight = 3


class Asker(ml.Asker):
    """The last tenth; where no room predicts there is none."""

    weight = 1
    abstract = not PREDICT
