"""`python -m services.drift.evidently_process GIVEN HTML JSON`: one report, see `pictures`."""

import os
import sys
import warnings
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from services.drift.arrays_file import decode_arrays
from services.drift.core.panel import Panel
from services.drift.pictures import Order

_NOT_KNOWN: Final = "?"
"""A class that the column is not said to have."""


def main(given: str, html: str, document: str) -> None:
    """Draw."""
    # It would tell its makers of each report.
    os.environ["DO_NOT_TRACK"] = "1"
    order = decode_arrays(Path(given).read_bytes(), Order)
    # Its libraries warn of each other's old names.
    warnings.simplefilter("ignore")
    from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415 - warns as it comes
    from evidently.presets import DataDriftPreset  # noqa: PLC0415 - (same)

    numbers = [_name(order, place) for place in order.drawn if not _classes(order, place)]
    classes = [_name(order, place) for place in order.drawn if _classes(order, place)]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=classes)
    there, here = (
        Dataset.from_pandas(_frame(order, panel), data_definition=definition)
        for panel in (order.reference, order.window)
    )
    drawn = Report([DataDriftPreset()]).run(here, there)
    drawn.save_html(html)
    drawn.save_json(document)


def _frame(order: Order, panel: Panel) -> pd.DataFrame:
    columns = {}
    for ticker, column in order.drawn:
        values = panel.values[:, ticker, column]  # noqa: PD011 - an array's, no data frame's
        classes = _classes(order, (ticker, column))
        columns[_name(order, (ticker, column))] = (
            [_class(value, classes) for value in values] if classes else values
        )
    return pd.DataFrame(columns)


def _class(value: float, classes: tuple[str, ...]) -> str | None:
    if np.isnan(value):
        return None
    return classes[int(value)] if value in range(len(classes)) else _NOT_KNOWN


def _classes(order: Order, place: tuple[int, int]) -> tuple[str, ...]:
    return order.reference.columns[place[1]].classes


def _name(order: Order, place: tuple[int, int]) -> str:
    return f"{order.reference.tickers[place[0]]} {order.reference.columns[place[1]].name}"


if __name__ == "__main__":
    main(*sys.argv[1:])
