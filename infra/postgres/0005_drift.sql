-- What drift's jobs found. A job is named by what it looked at, so that one that runs again finds
-- its result here; a result is never changed, and another one under the same name is refused.

CREATE TABLE outcry.drift_jobs (
    deployment      text COLLATE "C" NOT NULL,
    job_id          text COLLATE "C" NOT NULL,
    kind            text COLLATE "C" NOT NULL,
    model           text COLLATE "C" NOT NULL,
    model_version   integer NOT NULL,
    model_sha256    text COLLATE "C" NOT NULL,
    basis_sha256    text COLLATE "C" NOT NULL,
    window_begin_us bigint NOT NULL,
    window_end_us   bigint NOT NULL,
    outcome         text COLLATE "C" NOT NULL,
    is_alarm        boolean NOT NULL,
    ratio           double precision,
    detail          text NOT NULL,
    report_path     text NOT NULL,
    report          text NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (deployment, job_id),
    CHECK (window_begin_us < window_end_us)
);
CREATE INDEX drift_jobs_by_window
    ON outcry.drift_jobs (deployment, kind, window_end_us DESC, job_id);
COMMENT ON TABLE outcry.drift_jobs IS 'One row a job of drift: a window, what it was held against, and what came of it.';
COMMENT ON COLUMN outcry.drift_jobs.deployment IS 'Topic prefix of the deployment; ''default'' without one.';
COMMENT ON COLUMN outcry.drift_jobs.job_id IS 'SHA-256 of kind, model file, window and basis, hexadecimal.';
COMMENT ON COLUMN outcry.drift_jobs.kind IS 'What was looked for, for example performance.';
COMMENT ON COLUMN outcry.drift_jobs.basis_sha256 IS 'SHA-256 of the calibration, or of the manifest, that the window was held against.';
COMMENT ON COLUMN outcry.drift_jobs.window_begin_us IS 'Event time, microseconds since the Unix epoch (UTC), included.';
COMMENT ON COLUMN outcry.drift_jobs.window_end_us IS 'The same, excluded.';
COMMENT ON COLUMN outcry.drift_jobs.ratio IS 'Of the worst check: statistic through threshold, above 1 is an alarm. Null: nothing was tested.';
COMMENT ON COLUMN outcry.drift_jobs.report_path IS 'Of the report for people, below the deployment''s folder; empty: there is none.';
COMMENT ON COLUMN outcry.drift_jobs.report IS 'JSON, to the byte as the job made it.';

-- Without a foreign key: a job and its checks are written in one transaction and never deleted, and
-- what a key is referenced by can't be asked to truncate, which must say that it is append-only.
CREATE TABLE outcry.drift_checks (
    deployment  text COLLATE "C" NOT NULL,
    job_id      text COLLATE "C" NOT NULL,
    place       integer NOT NULL,
    ticker      text COLLATE "C" NOT NULL,
    column_name text COLLATE "C" NOT NULL,
    family      text COLLATE "C" NOT NULL,
    outcome     text COLLATE "C" NOT NULL,
    statistic   double precision,
    threshold   double precision,
    ratio       double precision,
    effect      double precision,
    detail      text NOT NULL,
    PRIMARY KEY (deployment, job_id, place)
);
COMMENT ON TABLE outcry.drift_checks IS 'What each job looked at, one thing a row, in the job''s order.';
COMMENT ON COLUMN outcry.drift_checks.ticker IS 'Empty: all tickers together.';
COMMENT ON COLUMN outcry.drift_checks.column_name IS 'Feature, or figure; empty: all columns together.';
COMMENT ON COLUMN outcry.drift_checks.family IS 'Kind of change, or which test.';

SELECT outcry.guard('drift_jobs');
SELECT outcry.guard('drift_checks');
