"""The newest prediction of each model about each ticker."""

from typing import Final

from services.domain.predictions import CLASS_NAMES, Prediction

MODELS_MAX: Final = 8
"""Models of a ticker that are kept; the one that was silent longest is forgotten first."""

type _Model = tuple[str, int]


class Forecasts:
    """Records of `predictions`, by ticker; versions of a model are models of their own."""

    def __init__(self) -> None:
        self._newest: dict[str, dict[_Model, Prediction]] = {}

    def note(self, ticker: str, prediction: Prediction) -> bool:
        """Fold one prediction; whether it is news.

        Predictions are written at least once, and in the stream in the order of their rows: an
        older one than is known is a repetition.
        """
        models = self._newest.setdefault(ticker, {})
        model = (prediction.model, prediction.model_version)
        known = models.get(model)
        if known is not None and _age_key(prediction) <= _age_key(known):
            return False
        models.pop(model, None)
        models[model] = prediction
        if len(models) > MODELS_MAX:
            del models[next(iter(models))]
        return True

    def of(self, ticker: str) -> list[Prediction]:
        """The ticker's predictions, that of the model which spoke last first."""
        return list(reversed(self._newest.get(ticker, {}).values()))


def is_sound(prediction: Prediction) -> bool:
    """Whether it names a class and has a probability of each."""
    probabilities = prediction.probabilities
    return (
        len(probabilities) == len(CLASS_NAMES)
        and all(0 <= probability <= 1 for probability in probabilities)
        and 0 <= prediction.predicted_class < len(CLASS_NAMES)
    )


def _age_key(prediction: Prediction) -> tuple[int, int]:
    return prediction.grid_time_us, prediction.served_at_us
