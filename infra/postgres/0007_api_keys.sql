-- Who may ask a gateway for what. Nothing here opens a door by itself: of a key there is only a
-- hash, keyed by a secret that lies outside the database. A key is never changed or deleted; one
-- that no longer counts has a row among the revocations, so that the two tables only ever grow and
-- their sizes say whether anything changed.

CREATE TABLE outcry.api_keys (
    deployment   text COLLATE "C" NOT NULL,
    key_id       text COLLATE "C" NOT NULL CHECK (key_id ~ '^[0-9a-f]{16}$'),
    secret_hash  bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    account      text COLLATE "C" NOT NULL,
    scopes       text[] COLLATE "C" NOT NULL,
    signed_only  boolean NOT NULL,
    note         text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    PRIMARY KEY (deployment, key_id),
    CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'trade', 'admin']),
    -- A key without an account operates the exchange and can't trade on it.
    CHECK (account <> '' OR scopes = ARRAY['admin'])
);
COMMENT ON TABLE outcry.api_keys IS 'Keys of the gateways'' clients, one row each, never changed.';
COMMENT ON COLUMN outcry.api_keys.deployment IS 'Topic prefix of the deployment; ''default'' without one.';
COMMENT ON COLUMN outcry.api_keys.key_id IS 'The part of the key that may be seen: it stands in logs and lists.';
COMMENT ON COLUMN outcry.api_keys.secret_hash IS 'BLAKE2b-256 of the key''s secret part, keyed by the deployment''s own secret.';
COMMENT ON COLUMN outcry.api_keys.account IS 'The one account it is for; empty: none, to operate only.';
COMMENT ON COLUMN outcry.api_keys.scopes IS 'read, trade, admin; each is its own, none implies another.';
COMMENT ON COLUMN outcry.api_keys.signed_only IS 'Whether each request must be signed; the key itself is then never taken.';

CREATE TABLE outcry.api_key_revocations (
    deployment  text COLLATE "C" NOT NULL,
    key_id      text COLLATE "C" NOT NULL,
    why         text NOT NULL,
    revoked_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (deployment, key_id)
);
COMMENT ON TABLE outcry.api_key_revocations IS 'Keys that no longer count, for ever.';

SELECT outcry.guard('api_keys');
SELECT outcry.guard('api_key_revocations');
