-- What was done about alarms of drift. An action is named by its kind and by the job that alarmed, so
-- an alarm causes each kind of action at most once; what was begun and what came of it are two rows,
-- so that a row is never changed, and a process that died between them shows.

CREATE TABLE outcry.drift_actions (
    deployment    text COLLATE "C" NOT NULL,
    action_id     text COLLATE "C" NOT NULL,
    place         integer NOT NULL,
    kind          text COLLATE "C" NOT NULL,
    job_id        text COLLATE "C" NOT NULL,
    model         text COLLATE "C" NOT NULL,
    model_version integer NOT NULL,
    outcome       text COLLATE "C" NOT NULL,
    detail        text NOT NULL,
    recorded_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (deployment, action_id, place),
    CHECK (place IN (0, 1))
);
CREATE INDEX drift_actions_by_time
    ON outcry.drift_actions (deployment, kind, recorded_at DESC, action_id);
COMMENT ON TABLE outcry.drift_actions IS 'Retrainings and rollbacks that alarms of drift caused.';
COMMENT ON COLUMN outcry.drift_actions.deployment IS 'As in drift_jobs.';
COMMENT ON COLUMN outcry.drift_actions.action_id IS 'SHA-256 of kind and job, hexadecimal.';
COMMENT ON COLUMN outcry.drift_actions.place IS '0: it began, or was left out since another is too recent; 1: it ended.';
COMMENT ON COLUMN outcry.drift_actions.kind IS 'retrain or rollback.';
COMMENT ON COLUMN outcry.drift_actions.job_id IS 'The cause: a row of drift_jobs that is an alarm.';
COMMENT ON COLUMN outcry.drift_actions.model_version IS 'Which alarmed.';
COMMENT ON COLUMN outcry.drift_actions.outcome IS 'begun or cooling_down; then promoted, not_promoted, rolled_back, refused or failed.';
COMMENT ON COLUMN outcry.drift_actions.recorded_at IS 'Wall clock of PostgreSQL, which cool-downs are counted by.';

SELECT outcry.guard('drift_actions');
