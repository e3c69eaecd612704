-- What the topics hold, in tables. Columns are named as the records' fields are, and times are the records' own: microseconds
-- since the epoch, UTC. The views bars_utc and predictions_utc show them as timestamptz. Rows of bars and predictions lie in
-- partitions of one UTC day; tickcast makes the partitions that it needs, so filter by close_time and as_of.

CREATE TABLE bars (
    symbol          text    COLLATE "C" NOT NULL,
    interval        text    COLLATE "C" NOT NULL,
    open_time       bigint  NOT NULL,
    close_time      bigint  NOT NULL,
    open            double precision NOT NULL,
    high            double precision NOT NULL,
    low             double precision NOT NULL,
    close           double precision NOT NULL,
    volume          double precision NOT NULL,
    vwap            double precision NOT NULL,
    trades          bigint  NOT NULL,
    buy_volume      double precision NOT NULL,
    sell_volume     double precision NOT NULL,
    complete        boolean NOT NULL,
    synthetic       boolean NOT NULL,
    last_event_time bigint  NOT NULL,
    PRIMARY KEY (close_time, symbol, interval)
) PARTITION BY RANGE (close_time);

CREATE TABLE predictions (
    prediction_id       text    COLLATE "C" NOT NULL,
    symbol              text    COLLATE "C" NOT NULL,
    interval            text    COLLATE "C" NOT NULL,
    horizon             integer NOT NULL,
    as_of               bigint  NOT NULL,
    target_time         bigint  NOT NULL,
    valid_until         bigint  NOT NULL,
    sequence            bigint  NOT NULL,
    reference_price     double precision NOT NULL,
    reference_vwap      double precision NOT NULL,
    reference_complete  boolean NOT NULL,
    reference_synthetic boolean NOT NULL,
    p_down              real,
    p_flat              real,
    p_up                real,
    decision            text    COLLATE "C" NOT NULL,
    abstain_reasons     text[]  NOT NULL,
    model               text    COLLATE "C" NOT NULL,
    model_version       text    COLLATE "C" NOT NULL,
    role                text    COLLATE "C" NOT NULL,
    feature_digest      text    COLLATE "C",
    max_event_time      bigint  NOT NULL,
    produced_at         bigint  NOT NULL,
    PRIMARY KEY (as_of, symbol, interval, horizon, model, model_version)
) PARTITION BY RANGE (as_of);

-- Dead letters themselves stay in Kafka; this says how many, why and where to look. `day` is that of the dead letter's Kafka
-- timestamp, the origin offsets are those of the first and the last input record, the others those of their dead letters.
CREATE TABLE deadletter_summary (
    day                 date    NOT NULL,
    origin_topic        text    COLLATE "C" NOT NULL,
    origin_partition    integer NOT NULL,
    reason              text    COLLATE "C" NOT NULL,
    count               bigint  NOT NULL,
    first_origin_offset bigint  NOT NULL,
    last_origin_offset  bigint  NOT NULL,
    first_offset        bigint  NOT NULL,
    last_offset         bigint  NOT NULL,
    PRIMARY KEY (day, origin_topic, origin_partition, reason)
);

-- How far each topic has been stored, moved in the transaction that stores the rows. `identity` is cluster id/topic id: a
-- topic that is made anew is another one and gets rows of its own.
CREATE TABLE sink_offsets (
    topic       text    COLLATE "C" NOT NULL,
    partition   integer NOT NULL,
    identity    text    COLLATE "C" NOT NULL,
    next_offset bigint  NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, identity)
);

CREATE VIEW bars_utc AS
SELECT symbol, interval,
       timestamptz 'epoch' + open_time * interval '1 microsecond' AS open_time,
       timestamptz 'epoch' + close_time * interval '1 microsecond' AS close_time,
       open, high, low, close, volume, vwap, trades, buy_volume, sell_volume, complete, synthetic,
       timestamptz 'epoch' + last_event_time * interval '1 microsecond' AS last_event_time,
       close_time AS close_time_us
FROM bars;

CREATE VIEW predictions_utc AS
SELECT prediction_id, symbol, interval, horizon,
       timestamptz 'epoch' + as_of * interval '1 microsecond' AS as_of,
       timestamptz 'epoch' + target_time * interval '1 microsecond' AS target_time,
       timestamptz 'epoch' + valid_until * interval '1 microsecond' AS valid_until,
       sequence, reference_price, reference_vwap, reference_complete, reference_synthetic, p_down, p_flat, p_up,
       decision, abstain_reasons, model, model_version, role, feature_digest,
       timestamptz 'epoch' + max_event_time * interval '1 microsecond' AS max_event_time,
       timestamptz 'epoch' + produced_at * interval '1 microsecond' AS produced_at,
       as_of AS as_of_us
FROM predictions;
