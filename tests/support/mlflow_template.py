"""An empty MLflow database, made once a test process: MLflow takes seconds to make its tables."""

import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from services.models.tracking import database_of, open_client


@cache
def _template() -> Path:
    home = Path(mkdtemp(prefix="outcry-mlflow-"))
    database = database_of(home)
    database.parent.mkdir(parents=True)
    open_client(f"sqlite:///{database}").search_registered_models()
    return database


def put_database(home: Path) -> None:
    """Give a home the database that its first registration would make."""
    database = database_of(home)
    database.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(_template(), database)
