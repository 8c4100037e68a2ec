"""MLflow, opened so that it stays quiet, asks nobody outside, and fails in our words."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Final

from services.models.errors import RegistryAwayError, RegistryError, UnknownVersionError
from services.models.manifest import ModelManifest, metrics_of, parameters_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT: Final = "outcry"
_AT_ONCE: Final = 100
"""MLflow takes no more parameters, or tags, in a call."""
_NAME_MAX: Final = 250
_TEXT_MAX: Final = 5_000
_ENVIRONMENT: Final[Mapping[str, str]] = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # A server that is away is told within seconds; MLflow's own limits take minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
}
"""What MLflow reads when it is imported or asked; whoever set one of them keeps it."""


def database_of(home: Path) -> Path:
    """MLflow's SQLite file of a deployment."""
    return home / "models" / "mlflow.db"


def open_client(url: str) -> "MlflowClient":
    """Import MLflow, which takes seconds, and open a database; makes its tables if there are none.

    Raises:
        RegistryAwayError: it does not answer.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient  # noqa: PLC0415 - it takes seconds

    with told():
        return MlflowClient(tracking_uri=url, registry_uri=url)


def start_run(client: "MlflowClient", artifacts: Path, manifest: ModelManifest) -> str:
    """A run with what the manifest tells; its id. Use `told`, and end the run."""
    from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 - it takes seconds

    run = client.create_run(_experiment(client, artifacts), run_name=manifest.name)
    run_id = str(run.info.run_id)
    now_ms = time.time_ns() // 1_000_000
    metrics = [Metric(_name(k), v, now_ms, 0) for k, v in metrics_of(manifest).items()]
    parameters = [Param(_name(k), str(v)[:_TEXT_MAX]) for k, v in parameters_of(manifest).items()]
    tags = [RunTag(f"library.{k}"[:_NAME_MAX], v) for k, v in manifest.libraries.items()]
    tags += [RunTag(f"sha256.{k}"[:_NAME_MAX], v) for k, v in manifest.files.items()]
    for part in batched(metrics, _AT_ONCE, strict=False):
        client.log_batch(run_id, metrics=part)
    for some in batched(parameters, _AT_ONCE, strict=False):
        client.log_batch(run_id, params=some)
    for few in batched(tags, _AT_ONCE, strict=False):
        client.log_batch(run_id, tags=few)
    return run_id


def _name(text: str) -> str:
    """As MLflow takes names of metrics and parameters."""
    return re.sub(r"[^\w./ -]", "_", text)[:_NAME_MAX]


def _experiment(client: "MlflowClient", artifacts: Path) -> str:
    """The experiment that all runs belong to; made if there is none."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    return client.create_experiment(EXPERIMENT, artifact_location=artifacts.as_uri())


@contextmanager
def told() -> Iterator[None]:
    """What MLflow and the libraries under it raise, by what can be done about it."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        yield
    except MlflowException as error:
        cause = _first_line(error)
        match error.error_code:
            case "RESOURCE_DOES_NOT_EXIST":
                raise UnknownVersionError(f"the registry has no such thing: {cause}") from error
            case "INVALID_PARAMETER_VALUE":
                raise RegistryError(f"the registry refuses this: {cause}") from error
        raise RegistryAwayError(
            f"the registry does not answer ({cause}); see OUTCRY_MLFLOW_URL"
        ) from error
    except (SQLAlchemyError, OSError) as error:
        raise RegistryAwayError(
            f"the registry does not answer ({_first_line(error)}); see OUTCRY_MLFLOW_URL"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
