import pytest

from services.gateway.core.keys import (
    KEY_PATTERN,
    ApiKey,
    SignedRequest,
    hash_secret,
    is_secret_of,
    is_signed_by,
    sign,
    signing_secret,
    spell_key,
    split_key,
)
from tests.support.gateway_keys import ALICE, BOB, SERVER_SECRET, make_owner

REQUEST = SignedRequest("1790000000000", "POST", "/orders", "a=1&b=%20", "a-1", b'{"a": 1}')


def test_a_key_is_split_as_it_was_spelled() -> None:
    secret = "_-" + "a" * 41
    assert split_key(spell_key("0123456789abcdef", secret)) == ("0123456789abcdef", secret)


@pytest.mark.parametrize(
    "key",
    ["", "outcry_", "outcry_0123456789abcdef_short", "OUTCRY_0123456789abcdef_" + "a" * 43,
     "outcry_0123456789abcdeg_" + "a" * 43, "outcry_0123456789abcdef_" + "a" * 44,
     "outcry_0123456789abcdef_" + "a" * 42 + "é", "outcry_0123456789abcdef_" + "a" * 43 + "\n"],
)  # fmt: skip
def test_what_is_no_key_is_not_split(key: str) -> None:
    assert split_key(key) is None


def test_a_secret_is_known_again_and_no_other() -> None:
    secret = KEY_PATTERN.fullmatch(ALICE.key)
    assert secret is not None
    assert is_secret_of(ALICE.kept, SERVER_SECRET, secret[2])
    assert not is_secret_of(BOB.kept, SERVER_SECRET, secret[2])
    assert not is_secret_of(None, SERVER_SECRET, secret[2])
    assert not is_secret_of(ALICE.kept, bytes(32), secret[2])
    assert not is_secret_of(ALICE.kept, SERVER_SECRET, "")


def test_what_is_kept_tells_neither_the_secret_nor_how_to_sign() -> None:
    kept = ALICE.kept.secret_hash
    assert ALICE.key.encode() not in kept
    assert signing_secret(bytes(32), kept) != ALICE.signing
    assert hash_secret(bytes(32), "a") != hash_secret(SERVER_SECRET, "a")


def test_no_hash_of_one_purpose_is_one_of_the_other() -> None:
    kept = hash_secret(SERVER_SECRET, "a")
    assert signing_secret(SERVER_SECRET, b"a").encode() != kept


@pytest.mark.parametrize(
    "changed",
    [
        SignedRequest("1790000000001", "POST", "/orders", "a=1&b=%20", "a-1", b'{"a": 1}'),
        SignedRequest("1790000000000", "GET", "/orders", "a=1&b=%20", "a-1", b'{"a": 1}'),
        SignedRequest("1790000000000", "POST", "/orders/", "a=1&b=%20", "a-1", b'{"a": 1}'),
        SignedRequest("1790000000000", "POST", "/orders", "a=1&b= ", "a-1", b'{"a": 1}'),
        SignedRequest("1790000000000", "POST", "/orders", "a=1&b=%20", "a-2", b'{"a": 1}'),
        SignedRequest("1790000000000", "POST", "/orders", "a=1&b=%20", "", b'{"a": 1}'),
        SignedRequest("1790000000000", "POST", "/orders", "a=1&b=%20", "a-1", b'{"a":1}'),
    ],
)
def test_a_signature_covers_all_that_a_request_does(changed: SignedRequest) -> None:
    signature = sign(ALICE.signing, REQUEST)
    assert is_signed_by(ALICE.kept, SERVER_SECRET, REQUEST, signature)
    assert not is_signed_by(ALICE.kept, SERVER_SECRET, changed, signature)


def test_a_signature_is_its_owners_alone() -> None:
    signature = sign(ALICE.signing, REQUEST)
    assert not is_signed_by(BOB.kept, SERVER_SECRET, REQUEST, signature)
    assert not is_signed_by(None, SERVER_SECRET, REQUEST, signature)
    # Nobody who knows that unknown keys are compared with zeros can sign for one.
    forged = sign(signing_secret(SERVER_SECRET, bytes(32)), REQUEST)
    assert not is_signed_by(None, SERVER_SECRET, REQUEST, forged)


def test_the_text_that_is_signed_is_pinned() -> None:
    # Both figures are those of sha256sum and of openssl dgst -sha256 -hmac.
    assert REQUEST.text() == (
        "OUTCRY1\n1790000000000\nPOST\n/orders\na=1&b=%20\na-1\n"
        "f9d86028c6e0d64e225186f96acb69338b2c59764df79162107f5c4bb34d1310"
    )
    assert sign("secret", REQUEST) == (
        "c6394219de9f15737c1de3f90a797063cda777b67be8f0ca7e4d3d03e80b519b"
    )


@pytest.mark.parametrize("now_us,counts", [(99, True), (100, False), (101, False)])
def test_a_key_counts_until_it_expires(now_us: int, *, counts: bool) -> None:
    assert make_owner(1, "alice", "read", expires_at_us=100).kept.counts_at(now_us) == counts


def test_a_revoked_key_never_counts() -> None:
    assert not ApiKey("0" * 16, bytes(32), "alice", ("read",), revoked=True).counts_at(0)
