"""Rows into the online store, and out of it by the name of a FeatureService."""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Final

import pandas as pd
import yaml

import services.online.unchecked_feast  # noqa: F401 - before Feast

# isort: split
from feast import FeatureService, FeatureStore, FeatureView
from feast.errors import FeatureServiceNotFoundException, FeatureViewNotFoundException
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from redis.exceptions import RedisError

from services.featuresets import SETS
from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.lake.files import write_file
from services.lake.schemas import feature_schema
from services.online.address import OnlineUrl
from services.online.catalog import FINGERPRINT, catalog
from services.online.change_watch import ChangeWatch, Token
from services.online.errors import (
    ForeignFingerprintError,
    OnlineStoreAwayError,
    OnlineStoreError,
    UnknownServiceError,
)
from services.online.guarded_sqlite import GuardedSqliteOnlineStore
from services.online.rows import OnlineRow, Served
from services.online.settings import feast_folder, lake_of, repo_config, settings_of

EMPTY_FILE: Final = "empty.parquet"
"""Without one file Feast can't read a set's folder; it has no rows."""
_KEPT_MAX: Final = 1_024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class OnlineFeatures:
    """The online store of a deployment. Any number of threads may read."""

    def __init__(self, home: Path, online_url: OnlineUrl = "") -> None:
        """Nothing is asked yet.

        Raises:
            ConfigurationError: the URL is none of Redis's.
        """
        self._home = home.absolute()
        self._online_url = online_url
        feast_folder(self._home).mkdir(parents=True, exist_ok=True)
        self._store = FeatureStore(config=repo_config(home, online_url))

    @property
    def store(self) -> FeatureStore:
        """Feast's own."""
        return self._store

    def declare(self) -> None:
        """Put the sets into the registry, as `feast apply` does; safe to repeat.

        Also makes each set's folder in the lake readable before there is a row, and writes the
        settings that `feast -f` takes for this deployment.

        Raises:
            OnlineStoreError: the registry or the lake can't be written.
            OnlineStoreAwayError: the store does not answer.
        """
        lake = lake_of(self._home)
        for feature_set in SETS.values():
            path = lake.feature_set(feature_set.name) / EMPTY_FILE
            if not path.exists():
                write_file(path, feature_schema(feature_set.columns), [])
        text = yaml.safe_dump(settings_of(self._home, self._online_url), sort_keys=False)
        header = "# Written by Outcry at each start: feast -c feature_repo -f THIS_FILE ...\n"
        settings_file = feast_folder(self._home) / "feature_store.yaml"
        settings_file.write_text(header + text, encoding="utf-8")
        with _told():
            self._store.apply([*catalog(lake)])

    def write(self, feature_set: FeatureSet[Any], rows: Sequence[OnlineRow]) -> None:
        """Write rows; one that is older than what is there changes nothing.

        Raises:
            OnlineStoreAwayError: the store does not answer; write them again.
            OnlineStoreError: the set is not declared.
        """
        made_by = fingerprint(feature_set)
        table: dict[str, list[Any]] = {
            "ticker": [row.ticker for row in rows],
            "event_timestamp": [_to_time(row.grid_time_us) for row in rows],
            "created": [_to_time(row.created_us) for row in rows],
            FINGERPRINT: [made_by] * len(rows),
        }
        for place, name in enumerate(feature_set.columns):
            table[name] = [row.reals[place] for row in rows]
        frame = pd.DataFrame(table)
        with _told():
            self._store.write_to_online_store(feature_set.name, frame)

    def service(self, name: str) -> FeatureService:
        """A FeatureService, to be held: looking it up costs ten times what a read does.

        Raises:
            UnknownServiceError: there is none; the message lists those that there are.
        """
        try:
            return self._store.get_feature_service(name)
        except FeatureServiceNotFoundException as error:
            raise self._unknown(name) from error

    def _unknown(self, name: str) -> UnknownServiceError:
        known = ", ".join(sorted(s.name for s in self._store.list_feature_services()))
        known = known or "none (run `feast -c feature_repo apply`)"
        return UnknownServiceError(f"no FeatureService {name!r}; there are: {known}")

    def read(self, service: FeatureService, tickers: Sequence[str]) -> list[Served]:
        """The newest row of each ticker, in their order.

        Raises:
            OnlineStoreAwayError: the store does not answer.
            UnknownServiceError: the service that is held was retired.
            ForeignFingerprintError: a row was made by other definitions than the service states.
        """
        try:
            with _told():
                answer = self._store.get_online_features(
                    features=service, entity_rows=[{"ticker": ticker} for ticker in tickers]
                ).to_dict(include_event_timestamps=True)
        except FeatureServiceNotFoundException as error:
            raise self._unknown(service.name) from error
        except OnlineStoreError:
            # A set that is retired loses its table before this process reads the registry again.
            self._require_known(service)
            raise
        names = [
            feature.name
            for projection in service.feature_view_projections
            for feature in projection.features
            if feature.name != FINGERPRINT
        ]
        return [
            self._served(service, answer, place, ticker, names)
            for place, ticker in enumerate(tickers)
        ]

    def _require_known(self, service: FeatureService) -> None:
        """Look into the registry as it is now. Raises as `service`."""
        with contextlib.suppress(OSError):  # without a registry the first error says it all
            self._store.refresh_registry()  # type: ignore[no-untyped-call]  # Feast's
            self.service(service.name)

    def reader(self, name: str) -> "FeatureReader":
        """For who asks hundreds of times a second: all that a read needs, looked up once.

        Raises:
            UnknownServiceError: there is no such FeatureService.
            OnlineStoreError: the registry is not as it should be.
        """
        service = self.service(name)
        (projection,) = service.feature_view_projections
        with _told():
            view = self._store.get_feature_view(projection.name)
        return FeatureReader(self._store, service, view)

    def _served(
        self,
        service: FeatureService,
        answer: dict[str, list[Any]],
        place: int,
        ticker: str,
        names: Sequence[str],
    ) -> Served:
        made_by = answer[FINGERPRINT][place]
        if made_by is None:
            return Served(ticker, None, "", {})
        _require_own(service, ticker, made_by)
        grid_time_us = int(answer[f"{FINGERPRINT}__ts"][place]) * 1_000_000
        return Served(ticker, grid_time_us, made_by, {name: answer[name][place] for name in names})


class _Kept:
    """Rows read since the store last changed. Any number of threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._token: Token | None = None
        self._rows: Mapping[str, Served] = {}

    def rows(self, token: Token | None) -> Mapping[str, Served]:
        """What is kept of the store as this token says that it is."""
        with self._lock:
            return self._rows if token is not None and token == self._token else {}

    def keep(self, token: Token | None, rows: Mapping[str, Served]) -> None:
        """Rows that were read after the token was taken."""
        if token is None:
            return
        with self._lock:
            known = self._rows if token == self._token else {}
            if len(known) < _KEPT_MAX:
                self._token, self._rows = token, {**known, **rows}


class FeatureReader:
    """Reads one FeatureService as `OnlineFeatures.read` does, faster (`outcry bench peers`).

    It asks Feast's online store itself. Feast's own way to it puts every value into a response
    message and takes it out again, which costs more than the database. Rows are kept for as long as
    the store says that nothing was written; each read asks it that. Any number of threads may read.
    """

    def __init__(self, store: FeatureStore, service: FeatureService, view: FeatureView) -> None:
        self._store = store
        self._provider = store._get_provider()  # noqa: SLF001 - as Feast's own online read does
        online = self._provider.online_store
        self._watch: ChangeWatch | None = None
        if isinstance(online, GuardedSqliteOnlineStore):
            self._watch = online.watch(store.config)
        self._kept = _Kept()
        self._view = view
        self._names = [field.name for field in view.features]
        self._columns = [name for name in self._names if name != FINGERPRINT]
        self._service = service

    @property
    def fingerprint(self) -> str | None:
        """What the service states of its set's definitions; every row read is of these."""
        stated: str | None = self._service.tags.get(FINGERPRINT)
        return stated

    def read(self, tickers: Sequence[str]) -> list[Served]:
        """The newest row of each ticker, in their order.

        Raises:
            OnlineStoreAwayError: the store does not answer.
            ForeignFingerprintError: a row was made by other definitions than the service states.
        """
        token = None if self._watch is None else self._watch.token(may_wait=True)
        known = self._kept.rows(token)
        asked = [ticker for ticker in tickers if ticker not in known]
        if not asked:
            return [known[ticker] for ticker in tickers]
        fresh = dict(zip(asked, self._ask(asked), strict=True))
        # Of what nobody wrote nothing is kept: callers choose those names.
        written = {name: row for name, row in fresh.items() if row.grid_time_us is not None}
        self._kept.keep(token, written)
        return [fresh.get(ticker) or known[ticker] for ticker in tickers]

    def at_hand(self, tickers: Sequence[str]) -> list[Served] | None:
        """What `read` would give, if that is known without waiting for anybody; else None."""
        token = None if self._watch is None else self._watch.token(may_wait=False)
        known = self._kept.rows(token)
        found = [known[ticker] for ticker in tickers if ticker in known]
        return found if len(found) == len(tickers) else None

    def _ask(self, tickers: Sequence[str]) -> list[Served]:
        keys = [
            EntityKey(join_keys=["ticker"], entity_values=[Value(string_val=ticker)])
            for ticker in tickers
        ]
        with _told():
            found = self._provider.online_read(self._store.config, self._view, keys, self._names)
        return [
            self._served(ticker, time, values)
            for ticker, (time, values) in zip(tickers, found, strict=True)
        ]

    def _served(
        self, ticker: str, time: datetime | None, values: dict[str, Value] | None
    ) -> Served:
        made_by = None if values is None else values.get(FINGERPRINT)
        if time is None or values is None or made_by is None or not made_by.HasField("string_val"):
            return Served(ticker, None, "", {})
        _require_own(self._service, ticker, made_by.string_val)
        aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time
        reals = {name: _real(values.get(name)) for name in self._columns}
        return Served(ticker, (aware - _EPOCH) // _MICROSECOND, made_by.string_val, reals)


def _real(value: Value | None) -> float | None:
    if value is None or not value.HasField("double_val"):
        return None
    return float(value.double_val)


def _require_own(service: FeatureService, ticker: str, made_by: str) -> None:
    stated = service.tags.get(FINGERPRINT)
    if made_by != stated:
        raise ForeignFingerprintError(
            f"the row of {ticker} was made by {made_by[:12]} and {service.name} states"
            f" {str(stated)[:12]}: backfill and materialize the set, or use the code it is of"
        )


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What Feast and its stores raise, by what can be done about it."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "no such table" not in str(error):
            raise OnlineStoreAwayError(
                f"the online store does not answer ({_first_line(error)}): it is locked, or its"
                " disk is full or away"
            ) from error
        raise OnlineStoreError(
            f"the online store is not as it should be ({_first_line(error)}); remove online.db"
            " and start the materializer again: it puts the newest rows there"
        ) from error
    except (RedisError, ConnectionError, TimeoutError) as error:
        raise OnlineStoreAwayError(
            f"the online store does not answer ({_first_line(error)}); see OUTCRY_ONLINE_URL"
        ) from error
    except (FeatureViewNotFoundException, OSError) as error:
        raise OnlineStoreError(
            f"the feature registry is not as it should be ({_first_line(error)});"
            " run `feast -c feature_repo apply`"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _to_time(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_us)
