"""`outcry dlq`, `outcry snapshots`: what lies in the log's corners."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from services.tools.operate.options import AsJson

_HEAD_CHARACTERS_MAX = 60


def dlq(
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest this many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show records that nobody could decode: where they stand, why, and how they begin."""
    from services.tools.operate.connect import load_codec, open_log, read_deployment
    from services.tools.operate.letters import read_letters
    from services.tools.operate.present import print_json, print_table
    from services.tools.operate.spelling import show_bytes

    deployment = read_deployment()
    with open_log(deployment) as log:
        letters = read_letters(log, load_codec(deployment), limit)
    if as_json:
        print_json(letters)
        return
    if not letters:
        typer.echo("no dead letters")
        return
    rows = [
        (
            letter.position,
            datetime.fromtimestamp(letter.time_us / 1e6, UTC).isoformat(timespec="milliseconds"),
            letter.cause,
            letter.detail,
            letter.length_bytes,
            show_bytes(bytes.fromhex(letter.head_hex), _HEAD_CHARACTERS_MAX),
        )
        for letter in letters
    ]
    print_table(("record", "log time", "cause", "detail", "bytes", "head"), rows)


def snapshots(*, as_json: AsJson = False) -> None:
    """List the snapshots that restores begin from; they are shortcuts and can be deleted."""
    from services.tools.operate.connect import open_database, read_deployment
    from services.tools.operate.ledger import list_snapshots
    from services.tools.operate.present import print_json, print_table

    deployment = read_deployment()
    with open_database(deployment) as database:
        found = list_snapshots(database, deployment.name)
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("no snapshots yet; rooms take one every half minute in which they work")
        return
    rows = [
        (
            row.room, row.topic, row.partition, row.offset, row.bytes, row.state_hash[:16],
            f"{row.age_s:.0f} s",
        )
        for row in found
    ]  # fmt: skip
    print_table(("room", "topic", "partition", "offset", "bytes", "hash", "age"), rows)
