"""The fingerprints of published feature sets, which no later change of code may move.

`python -m tests.support.golden_fingerprints` adds the sets that are missing; it never rewrites
one. A set whose fold must change is a new version under a new name.
"""

import json
from typing import Final

from services.featuresets import SETS
from services.featuresets.fingerprint import fingerprint
from services.wire.schemas import schema_directory

PUBLISHED: Final = schema_directory() / "golden" / "featuresets.json"


def published() -> dict[str, str]:
    """Fingerprint by set."""
    pinned: dict[str, str] = json.loads(PUBLISHED.read_text()) if PUBLISHED.exists() else {}
    return pinned


def main() -> None:
    """Pin what is new."""
    pins = {name: fingerprint(feature_set) for name, feature_set in SETS.items()} | published()
    PUBLISHED.write_text(json.dumps(pins, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
