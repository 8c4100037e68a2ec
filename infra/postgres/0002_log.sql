-- The log: what was asked (orders, cancels, amendments), what came of it (executions,
-- account_states, trades), and the raw bytes of the inboxes (archive). Rows are only ever added.
--
-- Each row stands for one record of one topic and is keyed by its place there: deployment,
-- partition, offset. It also says which record caused it (source_topic, source_partition,
-- source_offset, source_index) and the count of its writer (sequence), so that it can be turned
-- back into the very message. Column names are the field names of the Avro schemas, where their
-- meaning and the numbers of the codes are documented. Prices and money are in 1/10000 dollar,
-- quantities in shares.
--
-- Columns of fixed width come first, and keys take 16 bytes, since wider ones (a name instead of
-- deployment_id) make their indexes two and a half times as large:
--     SELECT ... FROM outcry.trades JOIN outcry.deployments USING (deployment_id)
--     WHERE deployment = 'default'

CREATE TABLE outcry.deployments (
    deployment_id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment    text COLLATE "C" NOT NULL UNIQUE
);
COMMENT ON TABLE outcry.deployments IS 'Names of the deployments whose rows share these tables.';
COMMENT ON COLUMN outcry.deployments.deployment IS 'Topic prefix; ''default'' without one.';

CREATE TABLE outcry.recorder_offsets (
    deployment   text COLLATE "C" NOT NULL,
    topic        text COLLATE "C" NOT NULL,
    partition    integer NOT NULL,
    first_offset bigint NOT NULL,
    next_offset  bigint NOT NULL,
    PRIMARY KEY (deployment, topic, partition),
    CHECK (0 <= first_offset AND first_offset <= next_offset)
) WITH (fillfactor = 50);
COMMENT ON TABLE outcry.recorder_offsets IS
    'How far each partition is recorded; moved in the transaction that adds the rows.';
COMMENT ON COLUMN outcry.recorder_offsets.first_offset IS
    'Where the record begins: 0, unless a person accepted that what lay before is lost.';
COMMENT ON COLUMN outcry.recorder_offsets.next_offset IS 'The next offset to record.';

CREATE TABLE outcry.orders (
    deployment_id         smallint NOT NULL,
    partition             smallint NOT NULL,
    source_topic          smallint NOT NULL,
    source_partition      smallint NOT NULL,
    "offset"              bigint NOT NULL,
    source_offset         bigint NOT NULL,
    sequence              bigint NOT NULL,
    log_time              timestamptz NOT NULL,
    event_time            timestamptz,
    price                 bigint NOT NULL,
    quantity              bigint NOT NULL,
    source_index          integer NOT NULL,
    side                  integer NOT NULL,
    order_type            integer NOT NULL,
    time_in_force         integer NOT NULL,
    self_trade_prevention integer NOT NULL,
    post_only             boolean NOT NULL,
    ticker                text COLLATE "C" NOT NULL,
    account               text COLLATE "C" NOT NULL,
    client_order_id       text COLLATE "C" NOT NULL,
    order_id              text COLLATE "C" NOT NULL,
    PRIMARY KEY (deployment_id, partition, "offset")
);
COMMENT ON TABLE outcry.orders IS
    'Orders as submitted (PlaceOrder in accounts), resent and refused ones too.';
COMMENT ON COLUMN outcry.orders.order_id IS 'As computed from account, client_order_id and ticker.';

CREATE TABLE outcry.cancels (
    deployment_id     smallint NOT NULL,
    partition         smallint NOT NULL,
    source_topic      smallint NOT NULL,
    source_partition  smallint NOT NULL,
    "offset"          bigint NOT NULL,
    source_offset     bigint NOT NULL,
    sequence          bigint NOT NULL,
    log_time          timestamptz NOT NULL,
    event_time        timestamptz,
    source_index      integer NOT NULL,
    command           text COLLATE "C" NOT NULL,
    account           text COLLATE "C" NOT NULL,
    client_command_id text COLLATE "C" NOT NULL,
    order_id          text COLLATE "C",
    ticker            text COLLATE "C",
    PRIMARY KEY (deployment_id, partition, "offset")
);
COMMENT ON TABLE outcry.cancels IS 'Cancels as submitted (CancelOrder and CancelAll in accounts).';
COMMENT ON COLUMN outcry.cancels.order_id IS 'Of a CancelOrder.';
COMMENT ON COLUMN outcry.cancels.ticker IS 'Of a CancelAll; empty: all tickers.';

CREATE TABLE outcry.amendments (
    deployment_id     smallint NOT NULL,
    partition         smallint NOT NULL,
    source_topic      smallint NOT NULL,
    source_partition  smallint NOT NULL,
    "offset"          bigint NOT NULL,
    source_offset     bigint NOT NULL,
    sequence          bigint NOT NULL,
    log_time          timestamptz NOT NULL,
    event_time        timestamptz,
    quantity          bigint NOT NULL,
    price             bigint,
    source_index      integer NOT NULL,
    command           text COLLATE "C" NOT NULL,
    account           text COLLATE "C" NOT NULL,
    client_command_id text COLLATE "C" NOT NULL,
    order_id          text COLLATE "C" NOT NULL,
    PRIMARY KEY (deployment_id, partition, "offset")
);
COMMENT ON TABLE outcry.amendments IS
    'Changes of orders as submitted (ReduceOrder and ReplaceOrder in accounts).';
COMMENT ON COLUMN outcry.amendments.price IS 'Of a ReplaceOrder.';

CREATE TABLE outcry.executions (
    deployment_id       smallint NOT NULL,
    partition           smallint NOT NULL,
    source_topic        smallint NOT NULL,
    source_partition    smallint NOT NULL,
    "offset"            bigint NOT NULL,
    source_offset       bigint NOT NULL,
    sequence            bigint NOT NULL,
    log_time            timestamptz NOT NULL,
    event_time          timestamptz,
    account_sequence    bigint NOT NULL,
    price               bigint NOT NULL,
    quantity            bigint NOT NULL,
    last_quantity       bigint NOT NULL,
    last_price          bigint NOT NULL,
    cumulative_quantity bigint NOT NULL,
    remaining_quantity  bigint NOT NULL,
    cumulative_notional bigint NOT NULL,
    position            bigint NOT NULL,
    position_worst      bigint NOT NULL,
    notional_worst      bigint NOT NULL,
    exposure_worst      bigint NOT NULL,
    mark                bigint NOT NULL,
    accepted_offset     bigint NOT NULL,
    source_index        integer NOT NULL,
    exec_type           integer NOT NULL,
    order_status        integer NOT NULL,
    side                integer NOT NULL,
    order_type          integer NOT NULL,
    liquidity           integer NOT NULL,
    reason              integer NOT NULL,
    ticker              text COLLATE "C" NOT NULL,
    account             text COLLATE "C" NOT NULL,
    order_id            text COLLATE "C" NOT NULL,
    client_order_id     text COLLATE "C" NOT NULL,
    client_command_id   text COLLATE "C" NOT NULL,
    trade_id            text COLLATE "C" NOT NULL,
    PRIMARY KEY (deployment_id, partition, "offset")
);
COMMENT ON TABLE outcry.executions IS 'Execution reports (ExecutionReport in executions).';

CREATE TABLE outcry.account_states (
    deployment_id     smallint NOT NULL,
    partition         smallint NOT NULL,
    source_topic      smallint NOT NULL,
    source_partition  smallint NOT NULL,
    "offset"          bigint NOT NULL,
    source_offset     bigint NOT NULL,
    sequence          bigint NOT NULL,
    log_time          timestamptz NOT NULL,
    event_time        timestamptz,
    account_sequence  bigint NOT NULL,
    exposure_max      bigint NOT NULL,
    position_max      bigint NOT NULL,
    notional_max      bigint NOT NULL,
    source_index      integer NOT NULL,
    killed            boolean NOT NULL,
    short_allowed     boolean NOT NULL,
    account           text COLLATE "C" NOT NULL,
    client_command_id text COLLATE "C" NOT NULL,
    tickers           jsonb NOT NULL,
    PRIMARY KEY (deployment_id, partition, "offset")
);
COMMENT ON TABLE outcry.account_states IS
    'Limits and state of accounts after each change (AccountState in executions).';

CREATE TABLE outcry.trades (
    deployment_id    smallint NOT NULL,
    partition        smallint NOT NULL,
    source_topic     smallint NOT NULL,
    source_partition smallint NOT NULL,
    "offset"         bigint NOT NULL,
    source_offset    bigint NOT NULL,
    sequence         bigint NOT NULL,
    log_time         timestamptz NOT NULL,
    event_time       timestamptz,
    price            bigint NOT NULL,
    quantity         bigint NOT NULL,
    bid              bigint NOT NULL,
    bid_quantity     bigint NOT NULL,
    ask              bigint NOT NULL,
    ask_quantity     bigint NOT NULL,
    source_index     integer NOT NULL,
    aggressor_side   integer NOT NULL,
    ticker           text COLLATE "C" NOT NULL,
    trade_id         text COLLATE "C" NOT NULL,
    maker_order_id   text COLLATE "C" NOT NULL,
    taker_order_id   text COLLATE "C" NOT NULL,
    maker_account    text COLLATE "C" NOT NULL,
    taker_account    text COLLATE "C" NOT NULL,
    PRIMARY KEY (deployment_id, partition, "offset")
);
COMMENT ON TABLE outcry.trades IS 'Trades with the top of book right after them (Trade in trades).';

CREATE TABLE outcry.archive_topics (
    topic_number smallint PRIMARY KEY,
    topic        text COLLATE "C" NOT NULL UNIQUE
);
INSERT INTO outcry.archive_topics VALUES
    (1, 'controls'), (2, 'accounts'), (3, 'matching'), (4, 'executions'), (5, 'trades');
COMMENT ON TABLE outcry.archive_topics IS 'The number by which the archive knows each topic.';

CREATE TABLE outcry.archive (
    deployment_id smallint NOT NULL,
    topic_number  smallint NOT NULL,
    partition     smallint NOT NULL,
    "offset"      bigint NOT NULL,
    timestamp_ms  bigint NOT NULL,
    key           bytea,
    value         bytea,
    PRIMARY KEY (deployment_id, topic_number, partition, "offset")
);
COMMENT ON TABLE outcry.archive IS
    'Every record of controls, accounts and matching, byte for byte; of executions and trades'
    ' those alone that are no message of theirs and so have no row in a table.';
COMMENT ON COLUMN outcry.archive.timestamp_ms IS 'As the log says, milliseconds since 1970 (UTC).';

-- Few, since each is paid for with every row. By time: an index of block ranges costs next to
-- nothing, as rows come nearly in order of time. By order: a hash is the cheapest for ids that have
-- no order.
CREATE INDEX orders_log_time ON outcry.orders USING brin (log_time);
CREATE INDEX executions_log_time ON outcry.executions USING brin (log_time);
CREATE INDEX trades_ticker_log_time ON outcry.trades (ticker, log_time);
CREATE INDEX orders_order_id ON outcry.orders USING hash (order_id);
CREATE INDEX cancels_order_id ON outcry.cancels USING hash (order_id);
CREATE INDEX amendments_order_id ON outcry.amendments USING hash (order_id);
CREATE INDEX executions_order_id ON outcry.executions USING hash (order_id);

CREATE FUNCTION outcry.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % is refused',
        TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation',
              HINT = 'A correction is a new command; to forget all, drop the database.';
END
$$;

-- ALWAYS: also where session_replication_role would switch ordinary triggers off.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'deployments', 'orders', 'cancels', 'amendments', 'executions', 'account_states',
        'trades', 'archive_topics', 'archive'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON outcry.%I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION outcry.refuse_change()', name);
        EXECUTE format('ALTER TABLE outcry.%I ENABLE ALWAYS TRIGGER append_only', name);
    END LOOP;
END
$$;
