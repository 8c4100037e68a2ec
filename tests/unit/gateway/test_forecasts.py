from services.gateway.core.forecasts import MODELS_MAX, Forecasts
from tests.support.gateway_memory import prediction


def test_each_model_is_known_by_its_newest_prediction_and_the_last_to_speak_is_first() -> None:
    forecasts = Forecasts()
    first, second = prediction(), prediction(model_version=4, is_shadow=True)
    newer = prediction(grid_time_us=first.grid_time_us + 1)
    assert [forecasts.note("AAPL", said) for said in (first, second, newer)] == [True] * 3
    assert forecasts.of("AAPL") == [newer, second]
    assert forecasts.of("TSLA") == []


def test_a_repetition_and_an_older_prediction_are_no_news() -> None:
    forecasts = Forecasts()
    newest = prediction()
    forecasts.note("AAPL", newest)
    older = prediction(grid_time_us=newest.grid_time_us - 1, served_at_us=newest.served_at_us + 1)
    assert not forecasts.note("AAPL", newest)
    assert not forecasts.note("AAPL", older)
    assert forecasts.of("AAPL") == [newest]


def test_of_one_row_the_prediction_that_was_made_last_counts() -> None:
    forecasts = Forecasts()
    forecasts.note("AAPL", prediction())
    again = prediction(served_at_us=prediction().served_at_us + 1)
    assert forecasts.note("AAPL", again)
    assert forecasts.of("AAPL") == [again]


def test_the_model_that_was_silent_longest_is_forgotten_first() -> None:
    forecasts = Forecasts()
    for version in range(1, MODELS_MAX + 2):
        forecasts.note("AAPL", prediction(model_version=version))
        forecasts.note("AAPL", prediction(model_version=1, grid_time_us=2**60 + version))
    versions = [said.model_version for said in forecasts.of("AAPL")]
    assert versions == [1, *range(MODELS_MAX + 1, 2, -1)]
