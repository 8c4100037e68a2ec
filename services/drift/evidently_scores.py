"""`python -m services.drift.evidently_scores GIVEN HTML JSON`: what was said, with what came.

Evidently's classification report, see `pictures`. It has no reference: what a model says of the
rows that it was trained on is no measure of it, and its promise is in the heading.
"""

import os
import sys
import warnings
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from services.drift.arrays_file import decode_arrays
from services.drift.core.performance import Scored
from services.drift.pictures import ScoresOrder
from services.models.classes import CLASS_NAMES

_LABEL: Final = "label"
_SAID: Final = "said"


def main(given: str, html: str, document: str) -> None:
    """Draw."""
    # It would tell its makers of each report.
    os.environ["DO_NOT_TRACK"] = "1"
    scored = decode_arrays(Path(given).read_bytes(), ScoresOrder).scored
    # Its libraries warn of each other's old names.
    warnings.simplefilter("ignore")
    from evidently import (  # noqa: PLC0415 - warns as it comes
        DataDefinition,
        Dataset,
        MulticlassClassification,
        Report,
    )
    from evidently.presets import ClassificationPreset  # noqa: PLC0415 - (same)

    stated = list(CLASS_NAMES) if _can_rank(scored) else []
    definition = DataDefinition(
        classification=[
            MulticlassClassification(
                target=_LABEL, prediction_labels=_SAID, prediction_probas=stated or None
            )
        ],
        categorical_columns=[_LABEL, _SAID],
        numerical_columns=stated,
    )
    here = Dataset.from_pandas(_frame(scored, stated), data_definition=definition)
    drawn = Report([ClassificationPreset()]).run(here, None)
    drawn.save_html(html)
    drawn.save_json(document)


def _can_rank(scored: Scored) -> bool:
    """Its curves need a row of each class; without one it fails, and labels are drawn alone."""
    return scored.states_probabilities and len(np.unique(scored.label)) == len(CLASS_NAMES)


def _frame(scored: Scored, stated: list[str]) -> pd.DataFrame:
    names = np.array(CLASS_NAMES)
    columns = {_LABEL: names[scored.label], _SAID: names[scored.said]}
    for place, name in enumerate(stated):
        columns[name] = scored.probabilities[:, place]
    return pd.DataFrame(columns)


if __name__ == "__main__":
    main(*sys.argv[1:])
