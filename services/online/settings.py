"""Where Feast's registry and online store are: one place, for rooms, tools and the stock CLI."""

from pathlib import Path
from typing import Any, Final

import services.online.unchecked_feast  # noqa: F401 - before Feast

# isort: split
from feast.repo_config import RegistryConfig, RepoConfig
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.lake.places import Lake
from services.online.address import ONLINE_URL_PATTERN, OnlineUrl, redis_connection
from services.online.catalog import PROJECT
from services.runtime.settings import ENV_PREFIX, read_settings

GUARDED: Final = "services.online.guarded_sqlite.GuardedSqliteOnlineStore"
REGISTRY: Final = "services.online.atomic_registry.AtomicFileRegistryStore"
REGISTRY_CACHE_S: Final = 60


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore")

    online_url: str = Field(default="", pattern=ONLINE_URL_PATTERN)


def online_url_of_environment() -> OnlineUrl:
    """OUTCRY_ONLINE_URL, for tools.

    Raises:
        ConfigurationError: it is no such URL.
    """
    return read_settings(_Environment).online_url


def feast_folder(home: Path) -> Path:
    """Registry, SQLite store, and the settings file for `feast -f`."""
    return home / "feast"


def repo_config(home: Path, online_url: OnlineUrl = "") -> RepoConfig:
    """Feast's settings of a deployment, all paths absolute.

    Raises:
        ConfigurationError: the URL is none of Redis's.
    """
    return RepoConfig(
        **settings_of(home.absolute(), online_url), repo_path=feast_folder(home.absolute())
    )


def settings_of(home: Path, online_url: OnlineUrl = "") -> dict[str, Any]:
    """The same as it stands in a `feature_store.yaml`."""
    folder = feast_folder(home)
    registry = RegistryConfig(
        registry_type="file",
        registry_store_type=REGISTRY,
        path=str(folder / "registry.db"),
        cache_ttl_seconds=REGISTRY_CACHE_S,
    )
    return {
        "project": PROJECT,
        "provider": "local",
        "registry": registry.model_dump(
            include={"registry_type", "registry_store_type", "path", "cache_ttl_seconds"}
        ),
        "offline_store": {"type": "duckdb"},
        "online_store": _online_store(folder, online_url),
        "entity_key_serialization_version": 3,
    }


def lake_of(home: Path) -> Lake:
    """The lake beside the store."""
    return Lake(home.absolute())


def _online_store(folder: Path, online_url: OnlineUrl) -> dict[str, str]:
    if not online_url:
        return {"type": GUARDED, "path": str(folder / "online.db")}
    return {"type": "redis", "connection_string": redis_connection(online_url)}
