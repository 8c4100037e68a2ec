"""What a change of the features does to the registry, the lake, the online store and old models.

docs/feature-evolution.md says it in words, and names the tests of each row of its table.
"""

from io import BytesIO
from pathlib import Path
from typing import Any, Final

import fastavro
import pyarrow as pa
import pytest
from feast import FeatureService, FeatureStore

from services.domain.origin import MATCHING, Origin
from services.featuresets import SETS
from services.featuresets.fingerprint import fingerprint
from services.lake.asof import LABELS, features_as_of
from services.lake.errors import LakeError
from services.lake.files import read_file, write_file
from services.lake.places import Lake
from services.lake.schemas import feature_schema
from services.online import catalog
from services.online.errors import ForeignFingerprintError, UnknownServiceError
from services.online.features import OnlineFeatures
from services.online.rows import OnlineRow
from tests.support.lake_of_rows import put_rows, walk_rows
from tests.support.trade_versions import TRADE, with_renamed_price

V1: Final = SETS["microstructure_v1"]
V2: Final = SETS["microstructure_v2"]
NOON_US: Final = 1_795_000_000_000_000


@pytest.fixture
def online(tmp_path: Path) -> OnlineFeatures:
    """A deployment that runs v1 and v2."""
    online = OnlineFeatures(tmp_path)
    online.declare()
    return online


def put(online: OnlineFeatures, name: str, real: float, time_us: int = NOON_US) -> None:
    feature_set = SETS[name]
    reals = tuple(real for _ in feature_set.columns)
    online.write(feature_set, [OnlineRow("AAPL", time_us, time_us, reals)])


def read(online: OnlineFeatures, name: str) -> dict[str, float | None]:
    return online.read(online.service(name), ["AAPL"])[0].values


def apply_as_cli(store: FeatureStore, lake: Lake, *names: str) -> None:
    """`feast apply` of a repository that has these sets: what it does not have is deleted."""
    wanted: list[Any] = [catalog.TICKER]
    for name in names:
        source = catalog.source(SETS[name], lake)
        view = catalog.view(SETS[name], source)
        wanted += [source, view, catalog.service(SETS[name], view)]
    keep = {found.name for found in wanted}
    gone = [s for s in store.list_feature_services() if s.name not in keep]
    gone_views = [v for v in store.list_feature_views() if v.name not in keep]
    store.apply(wanted, objects_to_delete=[*gone, *gone_views], partial=False)


def test_a_new_feature_is_a_new_set_and_the_old_one_stays_as_it_was(
    online: OnlineFeatures,
) -> None:
    put(online, V1.name, 1.0)
    before = read(online, V1.name)
    put(online, V2.name, 2.0)
    assert set(V2.columns) - set(V1.columns), "v2 has features that v1 has not"
    assert read(online, V1.name) == before
    assert set(read(online, V2.name).values()) == {2.0}
    assert fingerprint(V1) != fingerprint(V2)


def test_each_version_has_a_folder_of_its_own_and_no_file_fits_into_the_other(
    tmp_path: Path,
) -> None:
    lake = Lake(tmp_path)
    assert lake.feature_set(V1.name) != lake.feature_set(V2.name)
    path = lake.feature_set(V1.name) / "x.parquet"
    write_file(path, feature_schema(V1.columns), [])
    assert read_file(path, "features").column_names[6:] == list(V1.columns)
    with pytest.raises(LakeError, match="it holds features, not trades"):
        read_file(path, "trades")


def test_a_model_of_a_retired_set_is_told_which_sets_there_are(
    online: OnlineFeatures, tmp_path: Path
) -> None:
    put(online, V1.name, 1.0)
    put(online, V2.name, 2.0)
    apply_as_cli(online.store, Lake(tmp_path), V2.name)
    with pytest.raises(UnknownServiceError, match=f"'{V1.name}'; there are: {V2.name}"):
        online.service(V1.name)
    assert set(read(online, V2.name).values()) == {2.0}, "the other set is as it was"


def test_a_model_that_holds_a_retired_service_is_told_so_too(
    online: OnlineFeatures, tmp_path: Path
) -> None:
    """Its process read the registry before, and asks for no name any more."""
    put(online, V1.name, 1.0)
    held = online.service(V1.name)
    assert online.read(held, ["AAPL"])[0].values
    apply_as_cli(OnlineFeatures(tmp_path).store, Lake(tmp_path), V2.name)
    for _ in range(2):  # with the registry as it was, and as it is
        with pytest.raises(UnknownServiceError, match=f"'{V1.name}'; there are: {V2.name}"):
            online.read(held, ["AAPL"])


def test_retiring_a_set_leaves_its_history_in_the_lake(
    online: OnlineFeatures, tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    rows = walk_rows(V1, 3, 200)
    put_rows(lake, V1, "AAPL", rows)
    labels = pa.table(
        {"ticker": ["AAPL"] * len(rows), "time_us": [row.grid_time_us for row in rows]},
        schema=LABELS,
    )
    before = features_as_of(lake, V1, labels)
    assert before.num_rows == len(rows) > 30
    apply_as_cli(online.store, lake, V2.name)
    assert features_as_of(lake, V1, labels).equals(before)


def test_a_set_that_comes_back_begins_with_an_empty_online_table(
    online: OnlineFeatures, tmp_path: Path
) -> None:
    put(online, V1.name, 1.0)
    apply_as_cli(online.store, Lake(tmp_path), V2.name)
    apply_as_cli(online.store, Lake(tmp_path), V1.name, V2.name)
    found = online.read(online.service(V1.name), ["AAPL"])[0]
    assert found.grid_time_us is None
    assert found.values == {}


def test_rows_of_changed_definitions_are_refused_to_a_model_of_the_old_ones(
    online: OnlineFeatures,
) -> None:
    put(online, V1.name, 1.0)
    stated = online.service(V1.name)
    old = FeatureService(
        name=stated.name,
        features=[online.store.get_feature_view(V1.name)],
        tags={**stated.tags, catalog.FINGERPRINT: "0" * 64},
    )
    with (
        pytest.warns(UserWarning, match="inconsistent with the version from the registry"),
        pytest.raises(ForeignFingerprintError, match=r"was made by .* states 000000000000"),
    ):
        online.read(old, ["AAPL"])


def test_a_source_field_can_not_be_renamed_without_an_alias() -> None:
    with pytest.raises(fastavro.read.SchemaResolutionError, match="trade_price"):
        _resolve(TRADE, with_renamed_price(alias=False))


def test_with_an_alias_new_readers_take_old_trades_but_old_readers_do_not_take_new_ones() -> None:
    """So the registry, which asks for both (FULL_TRANSITIVE), refuses the rename altogether."""
    renamed = with_renamed_price(alias=True)
    assert _resolve(TRADE, renamed)["trade_price"] == 1_000_000
    with pytest.raises(fastavro.read.SchemaResolutionError):
        _resolve(renamed, TRADE)


def _resolve(writer: dict[str, Any], reader: dict[str, Any]) -> dict[str, Any]:
    """A trade written by one schema and read by another."""
    origin = dict.fromkeys(Origin.__struct_fields__, 0) | {"topic": MATCHING}
    names = [field["name"] for field in writer["fields"]]
    strings = {"trade_id", "ticker", "maker_order_id", "taker_order_id"}
    strings |= {"maker_account", "taker_account"}
    record = {name: "x" if name in strings else 1_000_000 for name in names} | {"origin": origin}
    out = BytesIO()
    fastavro.schemaless_writer(out, writer, record)
    out.seek(0)
    found = fastavro.schemaless_reader(out, writer, reader)
    assert isinstance(found, dict)
    return found
