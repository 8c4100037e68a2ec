-- Where folds stand: their snapshots, and the identity of the topics they folded.

CREATE TABLE outcry.topics (
    deployment text COLLATE "C" NOT NULL,
    topic      text COLLATE "C" NOT NULL,
    topic_id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (deployment, topic)
);
COMMENT ON TABLE outcry.topics IS
    'UUID of each topic as first seen: one deleted and made again is another log, and refused.';
COMMENT ON COLUMN outcry.topics.deployment IS 'Topic prefix of the deployment; ''default'' without one.';
COMMENT ON COLUMN outcry.topics.topic IS 'The topic''s name without the prefix.';

CREATE TABLE outcry.snapshots (
    deployment     text COLLATE "C" NOT NULL,
    room           text COLLATE "C" NOT NULL,
    topic          text COLLATE "C" NOT NULL,
    partition      integer NOT NULL,
    "offset"       bigint NOT NULL,
    topic_id       text COLLATE "C" NOT NULL,
    format_version integer NOT NULL,
    genesis_hash   text COLLATE "C" NOT NULL,
    state          bytea NOT NULL,
    state_hash     text COLLATE "C" NOT NULL,
    taken_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (deployment, room, topic, partition, "offset")
);
-- Compressing a state of tens of megabytes costs more processor time than writing it.
ALTER TABLE outcry.snapshots ALTER COLUMN state SET STORAGE EXTERNAL;
COMMENT ON TABLE outcry.snapshots IS
    'States of folds at committed offsets: shortcuts for a restore, which may be deleted.';
COMMENT ON COLUMN outcry.snapshots."offset" IS
    'The next offset to fold: the state is the fold of everything below it.';
COMMENT ON COLUMN outcry.snapshots.state_hash IS 'Hexadecimal BLAKE2b-256 of state.';
