-- What `outcry audit` found, so that others can say when it last looked, and at how much.

CREATE TABLE outcry.audits (
    audit_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment       text COLLATE "C" NOT NULL,
    audited_at       timestamptz NOT NULL DEFAULT now(),
    holds            boolean NOT NULL,
    records          bigint NOT NULL,
    differences      integer NOT NULL,
    from_snapshots   boolean NOT NULL,
    digest           text COLLATE "C" NOT NULL,
    next_offsets     jsonb NOT NULL,
    first_difference text NOT NULL,
    CHECK (holds = (differences = 0))
);
CREATE INDEX audits_by_deployment ON outcry.audits (deployment, audit_id);
COMMENT ON TABLE outcry.audits IS 'Audits that compared the database too, one row each.';
COMMENT ON COLUMN outcry.audits.deployment IS 'Topic prefix of the deployment; ''default'' without one.';
COMMENT ON COLUMN outcry.audits.holds IS 'Whether everything followed from the log.';
COMMENT ON COLUMN outcry.audits.records IS 'Of all topics, read and derived again.';
COMMENT ON COLUMN outcry.audits.from_snapshots IS 'Whether what the newest snapshots say was believed.';
COMMENT ON COLUMN outcry.audits.digest IS
    'BLAKE2b-256 over the digests of all partitions but those of book, which is compacted meanwhile.';
COMMENT ON COLUMN outcry.audits.next_offsets IS 'Topic to the next offset of each of its partitions.';
COMMENT ON COLUMN outcry.audits.first_difference IS 'Where and what; empty if it holds. Names no account.';

SELECT outcry.guard('audits');
