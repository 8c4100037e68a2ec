-- The log by day. What grows with every order (orders, cancels, amendments, executions, trades, and
-- the archive of accounts and matching) is kept in one partition a day (UTC), so that a day that
-- has passed can be written to files and dropped as a whole. What every reader of the present needs
-- whatever its age, and what is small, stays in one piece: account_states, and the archive of
-- controls, which as a topic is kept for ever too.
--
-- A row's day is that of its log_time, in the archive that of its timestamp_ms. Both follow from
-- the record, so a record that is recorded twice comes to the same partition twice: a primary key
-- of each partition, without the time, guards as well as one of the whole table did, and its keys
-- stay at 16 bytes. PostgreSQL would want the time in a key of the whole.
--
-- The partition `..._other` takes what has no day of its own: nothing is ever refused. Days are
-- made ahead by the recorder with outcry.add_day, from 400 days back to 7 ahead: log times come
-- from the brokers' clocks, and only a replay of history, whose log times are its events', has
-- older ones.

CREATE TABLE outcry.archived_days (
    day            date PRIMARY KEY,
    rows           bigint NOT NULL,
    bytes          bigint NOT NULL,
    sha256         text COLLATE "C" NOT NULL,
    archived_at    timestamptz NOT NULL DEFAULT now(),
    dropped_at     timestamptz
);
COMMENT ON TABLE outcry.archived_days IS 'Days written to files, and those that are only there.';
COMMENT ON COLUMN outcry.archived_days.bytes IS 'Of the files.';
COMMENT ON COLUMN outcry.archived_days.sha256 IS 'Of the manifest, which has those of the files.';
COMMENT ON COLUMN outcry.archived_days.dropped_at IS 'Since when the rows are in the files alone.';

CREATE TABLE outcry.dropped_ranges (
    day           date NOT NULL REFERENCES outcry.archived_days,
    table_name    text COLLATE "C" NOT NULL,
    topic_number  smallint NOT NULL,
    deployment_id smallint NOT NULL,
    partition     smallint NOT NULL,
    first_offset  bigint NOT NULL,
    last_offset   bigint NOT NULL,
    PRIMARY KEY (day, table_name, topic_number, deployment_id, partition)
);
COMMENT ON TABLE outcry.dropped_ranges IS
    'Which offsets a dropped day held: a reader that needs one must refuse, and name the day.';

CREATE TABLE outcry.carried_positions (
    deployment_id    smallint NOT NULL,
    account          text COLLATE "C" NOT NULL,
    ticker           text COLLATE "C" NOT NULL,
    account_sequence bigint NOT NULL,
    position         bigint NOT NULL,
    PRIMARY KEY (deployment_id, account, ticker)
);
COMMENT ON TABLE outcry.carried_positions IS
    'Newest position of each account and ticker among the executions of dropped days.';

CREATE FUNCTION outcry.guard(table_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON outcry.%I'
        ' FOR EACH STATEMENT EXECUTE FUNCTION outcry.refuse_change()', table_name);
    EXECUTE format('ALTER TABLE outcry.%I ENABLE ALWAYS TRIGGER append_only', table_name);
END
$$;
COMMENT ON FUNCTION outcry.guard IS 'Make a table append-only, whatever is asked of it by name.';

CREATE FUNCTION outcry.day_tables() RETURNS text[] LANGUAGE sql IMMUTABLE
RETURN ARRAY['orders', 'cancels', 'amendments', 'executions', 'trades', 'archive_days'];

CREATE FUNCTION outcry.key_of(table_name text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN table_name LIKE 'archive%'
    THEN '(deployment_id, topic_number, partition, "offset")'
    ELSE '(deployment_id, partition, "offset")' END;

CREATE FUNCTION outcry.name_of_day(table_name text, day date) RETURNS text LANGUAGE sql IMMUTABLE
RETURN table_name || to_char(day::timestamp, '_YYYY_MM_DD');

CREATE FUNCTION outcry.made_days() RETURNS SETOF date LANGUAGE sql STABLE AS $$
    SELECT to_date(right(relname, 10), 'YYYY_MM_DD')
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'outcry.orders'::regclass AND relname ~ '_[0-9]{4}_[0-9]{2}_[0-9]{2}$'
$$;
COMMENT ON FUNCTION outcry.made_days IS 'The days that have partitions.';

CREATE FUNCTION outcry.attach_day(table_name text, day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text := outcry.name_of_day(table_name, day);
BEGIN
    IF table_name LIKE 'archive%' THEN
        EXECUTE format(
            'ALTER TABLE outcry.%I ATTACH PARTITION outcry.%I FOR VALUES FROM (%s) TO (%s)',
            table_name, name,
            extract(epoch FROM day) * 1000, (extract(epoch FROM day) + 86400) * 1000);
    ELSE
        EXECUTE format(
            'ALTER TABLE outcry.%I ATTACH PARTITION outcry.%I FOR VALUES FROM (%L) TO (%L)',
            table_name, name,
            day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    END IF;
END
$$;
COMMENT ON FUNCTION outcry.attach_day IS
    'Put a table that holds one day of another into it. Needs the partition `other` for a moment.';

CREATE FUNCTION outcry.create_day(table_name text, day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text := outcry.name_of_day(table_name, day);
BEGIN
    EXECUTE format('CREATE TABLE outcry.%I (LIKE outcry.%I INCLUDING ALL)', name, table_name);
    EXECUTE format('ALTER TABLE outcry.%I ADD PRIMARY KEY %s', name, outcry.key_of(table_name));
    PERFORM outcry.guard(name);
END
$$;
COMMENT ON FUNCTION outcry.create_day IS 'Make the table that holds one day of another.';

-- CREATE TABLE ... PARTITION OF would lock the whole table against readers; ATTACH does not.
CREATE FUNCTION outcry.add_day(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    table_name text;
BEGIN
    PERFORM pg_advisory_xact_lock(x'6f75746461797300'::bigint);
    IF day IN (SELECT outcry.made_days()) THEN
        RETURN true;
    END IF;
    IF day < today - 400 OR day > today + 7 OR EXISTS (
        SELECT FROM outcry.archived_days AS archived
        WHERE archived.day = add_day.day AND dropped_at IS NOT NULL
    ) THEN
        RETURN false;
    END IF;
    FOREACH table_name IN ARRAY outcry.day_tables() LOOP
        PERFORM outcry.create_day(table_name, day);
        PERFORM outcry.attach_day(table_name, day);
    END LOOP;
    RETURN true;
EXCEPTION WHEN check_violation THEN
    -- `other` has rows of this day: there they stay, and so do those that follow.
    RETURN false;
END
$$;
COMMENT ON FUNCTION outcry.add_day IS
    'Give a day partitions of its own; false: it can have none, its rows go to `other`.';

-- What is recorded so far moves over.
DO $$
DECLARE
    name text;
    index_name text;
    key_name text;
    description text;
    day date;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'orders', 'cancels', 'amendments', 'executions', 'trades', 'archive'
    ] LOOP
        EXECUTE format('ALTER TABLE outcry.%I RENAME TO %I', name, name || '_before');
        FOR index_name IN
            SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
            WHERE indrelid = format('outcry.%I', name || '_before')::regclass
        LOOP
            EXECUTE format('ALTER INDEX outcry.%I RENAME TO %I', index_name, index_name || '_before');
        END LOOP;
        EXECUTE format(
            'CREATE TABLE outcry.%I (LIKE outcry.%I INCLUDING COMMENTS) PARTITION BY %s',
            name, name || '_before',
            CASE name WHEN 'archive' THEN 'LIST (topic_number)' ELSE 'RANGE (log_time)' END);
        description := obj_description(format('outcry.%I', name || '_before')::regclass);
        EXECUTE format('COMMENT ON TABLE outcry.%I IS %L', name, description);
        PERFORM outcry.guard(name);
    END LOOP;

    CREATE TABLE outcry.archive_controls PARTITION OF outcry.archive FOR VALUES IN (1);
    CREATE TABLE outcry.archive_days PARTITION OF outcry.archive DEFAULT
        PARTITION BY RANGE (timestamp_ms);
    EXECUTE 'ALTER TABLE outcry.archive_controls ADD PRIMARY KEY '
        || outcry.key_of('archive_controls');
    PERFORM outcry.guard('archive_controls');
    PERFORM outcry.guard('archive_days');

    CREATE INDEX orders_log_time ON outcry.orders USING brin (log_time);
    CREATE INDEX executions_log_time ON outcry.executions USING brin (log_time);
    CREATE INDEX trades_ticker_log_time ON outcry.trades (ticker, log_time);
    CREATE INDEX orders_order_id ON outcry.orders USING hash (order_id);
    CREATE INDEX cancels_order_id ON outcry.cancels USING hash (order_id);
    CREATE INDEX amendments_order_id ON outcry.amendments USING hash (order_id);
    CREATE INDEX executions_order_id ON outcry.executions USING hash (order_id);

    FOREACH name IN ARRAY outcry.day_tables() LOOP
        EXECUTE format(
            'CREATE TABLE outcry.%I PARTITION OF outcry.%I DEFAULT', name || '_other', name);
        EXECUTE format(
            'ALTER TABLE outcry.%I ADD PRIMARY KEY %s', name || '_other', outcry.key_of(name));
        PERFORM outcry.guard(name || '_other');
    END LOOP;

    FOR day IN
        SELECT (log_time AT TIME ZONE 'UTC')::date FROM outcry.orders_before UNION
        SELECT (log_time AT TIME ZONE 'UTC')::date FROM outcry.cancels_before UNION
        SELECT (log_time AT TIME ZONE 'UTC')::date FROM outcry.amendments_before UNION
        SELECT (log_time AT TIME ZONE 'UTC')::date FROM outcry.executions_before UNION
        SELECT (log_time AT TIME ZONE 'UTC')::date FROM outcry.trades_before UNION
        SELECT (to_timestamp(timestamp_ms / 1000.0) AT TIME ZONE 'UTC')::date
        FROM outcry.archive_before WHERE topic_number <> 1
    LOOP
        PERFORM outcry.add_day(day);
    END LOOP;

    FOREACH name IN ARRAY ARRAY[
        'orders', 'cancels', 'amendments', 'executions', 'trades', 'archive'
    ] LOOP
        EXECUTE format('INSERT INTO outcry.%I SELECT * FROM outcry.%I', name, name || '_before');
        EXECUTE format('DROP TABLE outcry.%I', name || '_before');
    END LOOP;
END
$$;
