-- On which Kafka cluster a deployment lives: another one of the same address is another log.

CREATE TABLE outcry.clusters (
    deployment    text COLLATE "C" PRIMARY KEY,
    cluster_id    text COLLATE "C" NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE outcry.clusters IS
    'Id of the Kafka cluster on which each deployment was first seen; any other is refused.';
COMMENT ON COLUMN outcry.clusters.deployment IS
    'Topic prefix of the deployment; ''default'' without one.';
