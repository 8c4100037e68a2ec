"""Where the registry is, as a setting says it."""

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.runtime.settings import ENV_PREFIX, read_settings

type MlflowUrl = str
"""Of MLflow's database or tracking server, or empty for SQLite under the home."""
MLFLOW_URL_PATTERN: Final = r"^(|(sqlite|postgresql)(\+\w+)?://\S+|https?://\S+)$"


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore")

    mlflow_url: str = Field(default="", pattern=MLFLOW_URL_PATTERN)


def mlflow_url_of_environment() -> MlflowUrl:
    """OUTCRY_MLFLOW_URL, for tools.

    Raises:
        ConfigurationError: it is no such URL.
    """
    return read_settings(_Environment).mlflow_url
