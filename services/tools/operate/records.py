"""`outcry dlq`: what nobody could decode."""

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
