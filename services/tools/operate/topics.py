"""`outcry topics create | list`: the topics, made from the table and compared with it."""

import typer

from services.tools.operate.options import AsJson

topics = typer.Typer(help="Kafka topics and schemas of this exchange.")


@topics.command()
def create() -> None:
    """Make the missing topics and register the schemas; refuse what is not as the table says."""
    from services.runtime.kafka_admin import create_topics
    from services.runtime.registry import register_schemas
    from services.tools.operate.connect import (
        hold_own_cluster,
        read_deployment,
        require_registry,
    )

    deployment = read_deployment()
    hold_own_cluster(deployment)
    require_registry(deployment)
    made = create_topics(deployment.bootstrap, deployment.prefix)
    typer.echo(f"topics: {f'made {", ".join(made)}' if made else 'all are there'}")
    typer.echo(f"schemas: {len(register_schemas(deployment.registry_url))} versions registered")


@topics.command("list")
def list_topics(*, as_json: AsJson = False) -> None:
    """List the topics with how they are kept, who writes and reads them, and how far they reach."""
    from services.tools.operate.connect import open_log, read_deployment
    from services.tools.operate.present import print_json, print_table
    from services.tools.operate.topic_rows import read_topics

    deployment = read_deployment()
    with open_log(deployment) as log:
        rows = read_topics(log, deployment.prefix)
    if as_json:
        print_json(rows)
        return
    columns = ("topic", "kind", "key", "cleanup", "partitions", "end offset", "writers", "readers")
    print_table(
        columns,
        [
            (
                row.topic, row.kind, row.key, row.cleanup, row.partitions, row.end_offset,
                ", ".join(row.writers), ", ".join(row.readers),
            )
            for row in rows
        ],
    )  # fmt: skip
