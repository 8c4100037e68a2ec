"""The model card that the docs show, from a market that anybody can make again.

`python -m tests.support.model_card` makes two hours of a seeded crowd's trading, trains on it with
the defaults, and writes `docs/model-card.md` and its pictures: some minutes of work. What people
type for the same is in the page.
"""

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from services.lake.lock import HISTORY, locked
from services.lake.places import Lake
from services.models.artifact import CARD
from services.tools.features.backfill import Days
from services.tools.features.run import backfill_from_lake
from services.tools.history.ingest import ingest_file
from services.tools.history.simulated import SimulatedHistory, write_history
from services.tools.history.source import Asked, digest
from services.trainer.dataset import DatasetPlan
from services.trainer.service import Trained, TrainingPlan, train
from tests.tidy.tree import ROOT

MARKET: Final = SimulatedHistory(7, 2.0, 20.0, datetime(2026, 1, 5, 14, 30, tzinfo=UTC))
PLAN: Final = TrainingPlan(DatasetPlan("microstructure_v1"))
PAGE: Final = ROOT / "docs" / "model-card.md"
IMAGES: Final = ROOT / "docs" / "images" / "model-card"

_PREAMBLE: Final = """
This is the card that every training writes, here of a model that anybody can make again.
`make model-card` made the page, with what these commands do:

```sh
outcry history simulate crowd.csv.gz --seed {seed} --hours {hours:g} --rate {rate:g}
outcry history ingest trades crowd.csv.gz
outcry features backfill --set {feature_set}
outcry train
```

| made | SHA-256 |
|---|---|
| `crowd.csv.gz` | `{trades}` |
| the data set | `{dataset}` |
| the model's file | `{model}` |

**What it is not for.** The market is made up. Its informed accounts know where the mid is about to
drift, so there is something to find, and this model finds it. Nothing here says that such a thing
can be found in a real market, or that it would pay there. It shows that the path from trades to a
served model works, and what a card tells. Do not trade on it.
"""


def main() -> int:
    """Make it, and say where it is."""
    with TemporaryDirectory(prefix="outcry-card-") as folder:
        file = Path(folder) / "crowd.csv.gz"
        write_history(file, MARKET, _tell)
        trained = _trained(Lake(Path(folder) / "home"), file)
        title, _, rest = (trained.folder / CARD).read_text().partition("\n")
        told = _PREAMBLE.format(
            seed=MARKET.seed,
            hours=MARKET.hours,
            rate=MARKET.rate,
            feature_set=PLAN.data.feature_set,
            trades=digest(file),
            dataset=trained.manifest.data.sha256,
            model=trained.manifest.model_sha256,
        )
        IMAGES.mkdir(parents=True, exist_ok=True)
        for picture in sorted(trained.folder.glob("*.png")):
            shutil.copy(picture, IMAGES / picture.name)
            rest = rest.replace(f"({picture.name})", f"(images/model-card/{picture.name})")
        PAGE.write_text(f"{title}\n{told}{rest}")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}\n")
    return 0


def _trained(lake: Lake, file: Path) -> Trained:
    with locked(lake, HISTORY):
        report = ingest_file(lake, file, "trades", Asked())
    assert not report.error, report.error
    backfill_from_lake(lake, PLAN.data.feature_set, Days(), None, replace=False)
    return train(lake, file.parent / "trained", PLAN, tell=lambda line: _tell(0, 0, line))


def _tell(done: int, total: int, line: str = "") -> None:
    if line or done == total:
        sys.stderr.write(f"{line or f'{done:,} records'}\n")


if __name__ == "__main__":
    sys.exit(main())
