"""`outcry keys create | revoke | list`: who may use the gateway, and for what."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from services.tools.operate.options import AsJson, parser, read_account

if TYPE_CHECKING:
    from services.tools.operate.key_ledger import KeyLedger, KeyLine

keys = typer.Typer(
    no_args_is_help=True, help="API keys of the gateway: make one, revoke one, list them."
)

_NOTE_LENGTH_MAX: Final = 200
_DAYS_MAX: Final = 3_650
_SECONDS_OF: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _read_span(text: str) -> int:
    """Seconds of a span like 90d, 12h, 30m or 45s."""
    found = re.fullmatch(r"([1-9][0-9]{0,7})([smhd])", text)
    seconds = int(found[1]) * _SECONDS_OF[found[2]] if found else 0
    if not 0 < seconds <= _DAYS_MAX * _SECONDS_OF["d"]:
        raise ValueError(f"{text[:40]!r} is no span like 90d, 12h, 30m or 45s, at most 3650d")
    return seconds


def _read_scope(text: str) -> str:
    from services.gateway.core.keys import SCOPES

    if text not in SCOPES:
        raise ValueError(f"{text[:40]!r} is none of {', '.join(SCOPES)}")
    return text


@keys.command("create")
def create(
    *,
    account: Annotated[
        str, typer.Option(parser=parser(read_account), help="Whose; none for `admin` alone.")
    ] = "",
    scope: Annotated[
        list[str],
        typer.Option(
            parser=parser(_read_scope), help="read, trade or admin; may be given several times."
        ),
    ],
    expires_in: Annotated[
        int | None,
        typer.Option(metavar="SPAN", parser=parser(_read_span), help="As 90d, 12h, 30m or 45s."),
    ] = None,
    signed_only: Annotated[
        bool, typer.Option("--signed-only", help="Take signed requests alone, never the key.")
    ] = False,
    note: Annotated[str, typer.Option(help="For the list: who has it, and what for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown now and never again: only a hash of it is kept."""
    from services.gateway.core.keys import ADMIN, SCOPES
    from services.tools.operate.errors import OperateError
    from services.tools.operate.present import print_json

    scopes = tuple(name for name in SCOPES if name in scope)
    if not account and scopes != (ADMIN,):
        raise OperateError("a key to read or trade is of one account: add --account NAME")
    if len(note) > _NOTE_LENGTH_MAX:
        raise OperateError(f"a note has at most {_NOTE_LENGTH_MAX} characters")
    made = _make(account, scopes, note, expires_in, signed_only=signed_only)
    if as_json:
        print_json(made)
        return
    typer.echo(f"key id          {made['key_id']}")
    if not signed_only:
        typer.echo(f"key             {made['key']}")
    typer.echo(f"signing secret  {made['signing_secret']}")
    expires_at = made["expires_at"]
    until = "until it is revoked" if expires_at is None else f"until {expires_at:%Y-%m-%d %H:%M %Z}"
    whose = account or "no account"
    typer.echo(
        f"for {whose}, to {', '.join(scopes)}; counts {until}. Not shown again: keep it now."
    )


def _make(
    account: str, scopes: tuple[str, ...], note: str, seconds_max: int | None, *, signed_only: bool
) -> dict[str, Any]:
    """Make and keep a key; what its owner is shown, once."""
    import secrets

    from services.gateway.core.keys import (
        KEY_ID_BYTES,
        SECRET_BYTES,
        hash_secret,
        signing_secret,
        spell_key,
    )
    from services.gateway.key_secret import read_server_secret
    from services.tools.operate.key_ledger import NewKey

    ledger = _ledger()
    server_secret = read_server_secret(_secret_file())
    key_id, secret = secrets.token_hex(KEY_ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    hashed = hash_secret(server_secret, secret)
    expires_at = ledger.add(NewKey(key_id, hashed, account, scopes, signed_only, note, seconds_max))
    return {
        "key_id": key_id,
        "account": account,
        "scopes": scopes,
        "expires_at": expires_at,
        # One that may only sign has no use for the key itself, so nobody gets to see it.
        "key": None if signed_only else spell_key(key_id, secret),
        "signing_secret": signing_secret(server_secret, hashed),
    }


@keys.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="Its id, not the key itself.")],
    *,
    why: Annotated[str, typer.Option(help="For the record.")] = "",
    as_json: AsJson = False,
) -> None:
    """Have a key count no more, at any gateway, within a second. It can't be taken back."""
    from services.gateway.core.keys import KEY_ID_PATTERN
    from services.tools.operate.errors import OperateError
    from services.tools.operate.present import print_json

    if not KEY_ID_PATTERN.fullmatch(key_id):
        # What was typed may be the key itself, and is not repeated.
        raise OperateError("a key's id is 16 hexadecimal digits; `outcry keys list` shows them")
    line = _ledger().revoke(key_id, why[:_NOTE_LENGTH_MAX])
    if as_json:
        print_json(line)
    else:
        typer.echo(f"{key_id} is revoked since {line.revoked_at:%Y-%m-%d %H:%M:%S %Z}")


@keys.command("list")
def list_keys(*, as_json: AsJson = False) -> None:
    """List the keys: whose, for what, until when; never the keys themselves."""
    from services.tools.operate.present import print_json, print_table

    lines = _ledger().lines()
    if as_json:
        print_json(lines)
    elif lines:
        columns = ("key id", "account", "scopes", "state", "created", "expires", "note")
        print_table(columns, [_row(line) for line in lines])
    else:
        typer.echo("there are no keys; make one with `outcry keys create`")


def _row(line: "KeyLine") -> tuple[str, ...]:
    scopes = ", ".join(line.scopes) + (" (signed only)" if line.signed_only else "")
    expires = "" if line.expires_at is None else f"{line.expires_at:%Y-%m-%d %H:%M}"
    created = f"{line.created_at:%Y-%m-%d %H:%M}"
    return (line.key_id, line.account or "-", scopes, line.state, created, expires, line.note)


def _ledger() -> "KeyLedger":
    from services.tools.operate.connect import read_deployment
    from services.tools.operate.key_ledger import KeyLedger

    deployment = read_deployment()
    return KeyLedger(deployment.pg_dsn, deployment.name)


def _secret_file() -> Path:
    from services.runtime.settings import read_settings
    from services.tools.stack.settings import StackSettings

    return read_settings(StackSettings).keys_secret_file
