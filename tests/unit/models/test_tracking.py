"""What MLflow's own client shows of a registered model, for who does not use `outcry models`."""

from pathlib import Path

from services.models.manifest import Metrics
from services.models.registry import Registry
from services.models.tracking import EXPERIMENT, database_of, open_client
from tests.support.mlflow_template import put_database
from tests.support.model_kit import V1, put_model, xgboost_model


def test_mlflows_client_shows_origin_figures_hashes_and_files_of_a_model(tmp_path: Path) -> None:
    home = tmp_path / "home"
    put_database(home)
    registry = Registry(home)
    made = put_model(tmp_path / "made", xgboost_model(), {"card.md": b"# A card\n"}, seed=41)
    registry.register(tmp_path / "made")
    client = open_client(f"sqlite:///{database_of(home)}")
    version = client.get_model_version(registry.name, "1")
    run = client.get_run(str(version.run_id))
    parameters, figures, tags = run.data.params, run.data.metrics, run.data.tags

    assert parameters["dataset_sha256"] == made.data.sha256
    assert parameters["fingerprint"] == made.fingerprint
    assert parameters["feature_set"] == V1.name
    assert parameters["code_version"] == made.code_version
    assert parameters["seed"] == "41"
    assert (parameters["kind"], parameters["horizon_s"]) == ("xgboost", "10")
    assert (parameters["rows"], parameters["folds"], parameters["gap_s"]) == ("1000", "3", "70")
    for name, value in made.parameters.items():
        assert parameters[f"parameter.{name}"] == str(value)

    for prefix, owner in (("", made.metrics), ("majority.", made.baselines[0].metrics)):
        for field in Metrics.__struct_fields__:
            estimate = getattr(owner, field)
            assert figures[f"{prefix}{field}"] == estimate.value
            assert figures[f"{prefix}{field}.low"] == estimate.low
            assert figures[f"{prefix}{field}.high"] == estimate.high

    for name, version_of in made.libraries.items():
        assert tags[f"library.{name}"] == version_of
    for name, sha256 in made.files.items():
        assert tags[f"sha256.{name}"] == sha256
    assert version.tags["manifest_sha256"] == registry.version(1).manifest_sha256
    assert version.tags["dataset_sha256"] == made.data.sha256

    shown = {each.path for each in client.list_artifacts(str(version.run_id))}
    assert shown == {"manifest.json", *made.files}
    experiment = client.get_experiment(run.info.experiment_id)
    assert (experiment.name, run.info.run_name) == (EXPERIMENT, made.name)
