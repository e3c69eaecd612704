-- What the referee says: outcomes, accuracy reports and retrain events. As in 0001, columns are named as the records' fields are
-- and times are microseconds since the epoch, UTC. Rows of outcomes and accuracy lie in partitions of one UTC day, so filter by
-- target_time and as_of.

-- Half-width of the model's `flat`, in basis points. Records of before 0.2 lack it.
ALTER TABLE predictions ADD COLUMN dead_band_bps double precision NOT NULL DEFAULT 0;

CREATE TABLE outcomes (
    prediction_id       text    COLLATE "C" NOT NULL,
    symbol              text    COLLATE "C" NOT NULL,
    interval            text    COLLATE "C" NOT NULL,
    horizon             integer NOT NULL,
    as_of               bigint  NOT NULL,
    target_time         bigint  NOT NULL,
    model               text    COLLATE "C" NOT NULL,
    model_version       text    COLLATE "C" NOT NULL,
    role                text    COLLATE "C" NOT NULL,
    p_down              real    NOT NULL,
    p_flat              real    NOT NULL,
    p_up                real    NOT NULL,
    decision            text    COLLATE "C" NOT NULL,
    reference_price     double precision NOT NULL,
    dead_band_bps       double precision NOT NULL,
    fee_bps             double precision NOT NULL,
    prior_return_bps    double precision,
    entry_price         double precision,
    target_price        double precision,
    realised_return_bps double precision,
    realised            text    COLLATE "C",
    hit                 boolean,
    log_loss            double precision,
    brier               double precision,
    pnl_bps             double precision,
    unscorable          text    COLLATE "C",
    produced_at         bigint  NOT NULL,
    PRIMARY KEY (target_time, symbol, interval, horizon, model, model_version)
) PARTITION BY RANGE (target_time);

-- A report of all symbols together has the symbol '' here, where the record and the view accuracy_utc have null: no part of a
-- primary key can be null.
CREATE TABLE accuracy (
    model                 text    COLLATE "C" NOT NULL,
    model_version         text    COLLATE "C" NOT NULL,
    interval              text    COLLATE "C" NOT NULL,
    horizon               integer NOT NULL,
    symbol                text    COLLATE "C" NOT NULL,
    as_of                 bigint  NOT NULL,
    window_start          bigint  NOT NULL,
    cohorts               bigint  NOT NULL,
    cohorts_total         bigint  NOT NULL,
    scored                bigint  NOT NULL,
    unscorable            bigint  NOT NULL,
    late                  bigint  NOT NULL,
    n                     bigint  NOT NULL,
    n_effective           double precision NOT NULL,
    hit_rate              double precision,
    hit_low               double precision,
    hit_high              double precision,
    log_loss              double precision,
    brier                 double precision,
    calibration_error     double precision,
    coverage              double precision,
    decided_n             bigint  NOT NULL,
    decided_hit_rate      double precision,
    class_accuracy        double precision,
    class_log_loss        double precision,
    trades                bigint  NOT NULL,
    pnl_bps               double precision NOT NULL,
    pnl_mean_bps          double precision,
    break_even            double precision,
    majority_hit_rate     double precision,
    majority_log_loss     double precision,
    majority_brier        double precision,
    persistence_hit_rate  double precision,
    persistence_log_loss  double precision,
    persistence_brier     double precision,
    reversal_hit_rate     double precision,
    reversal_log_loss     double precision,
    reversal_brier        double precision,
    state                 text    COLLATE "C",
    since                 bigint,
    reason                text    COLLATE "C",
    produced_at           bigint  NOT NULL,
    PRIMARY KEY (as_of, model, model_version, interval, horizon, symbol)
) PARTITION BY RANGE (as_of);

-- One row for each event: event_id is ce_id, event_type the last word of ce_type (requested or closed), event_time ce_time.
-- What the other kind of event does not have is null. evidence is the report of the moment.
CREATE TABLE retrains (
    event_id      text    COLLATE "C" PRIMARY KEY,
    event_type    text    COLLATE "C" NOT NULL,
    event_time    bigint,
    request_id    text    COLLATE "C" NOT NULL,
    model         text    COLLATE "C" NOT NULL,
    model_version text    COLLATE "C",
    interval      text    COLLATE "C",
    horizon       integer,
    requested_by  text    COLLATE "C",
    requester     text    COLLATE "C",
    reason        text    COLLATE "C" NOT NULL,
    as_of         bigint  NOT NULL,
    detector      text    COLLATE "C",
    statistic     double precision,
    threshold     double precision,
    reference     double precision,
    deviation     double precision,
    data_from     bigint,
    data_to       bigint,
    evidence      jsonb,
    result        text    COLLATE "C"
);

CREATE INDEX retrains_request_id ON retrains (request_id);

-- Tables and their times for people.

CREATE OR REPLACE VIEW predictions_utc AS
SELECT prediction_id, symbol, interval, horizon,
       timestamptz 'epoch' + as_of * interval '1 microsecond' AS as_of,
       timestamptz 'epoch' + target_time * interval '1 microsecond' AS target_time,
       timestamptz 'epoch' + valid_until * interval '1 microsecond' AS valid_until,
       sequence, reference_price, reference_vwap, reference_complete, reference_synthetic, p_down, p_flat, p_up,
       decision, abstain_reasons, model, model_version, role, feature_digest,
       timestamptz 'epoch' + max_event_time * interval '1 microsecond' AS max_event_time,
       timestamptz 'epoch' + produced_at * interval '1 microsecond' AS produced_at,
       as_of AS as_of_us,
       dead_band_bps
FROM predictions;

CREATE VIEW outcomes_utc AS
SELECT prediction_id, symbol, interval, horizon,
       timestamptz 'epoch' + as_of * interval '1 microsecond' AS as_of,
       timestamptz 'epoch' + target_time * interval '1 microsecond' AS target_time,
       model, model_version, role, p_down, p_flat, p_up, decision, reference_price, dead_band_bps, fee_bps,
       prior_return_bps, entry_price, target_price, realised_return_bps, realised, hit, log_loss, brier, pnl_bps, unscorable,
       timestamptz 'epoch' + produced_at * interval '1 microsecond' AS produced_at,
       target_time AS target_time_us
FROM outcomes;

CREATE VIEW accuracy_utc AS
SELECT model, model_version, interval, horizon, nullif(symbol, '') AS symbol,
       timestamptz 'epoch' + as_of * interval '1 microsecond' AS as_of,
       timestamptz 'epoch' + window_start * interval '1 microsecond' AS window_start,
       cohorts, cohorts_total, scored, unscorable, late, n, n_effective, hit_rate, hit_low, hit_high, log_loss, brier,
       calibration_error, coverage, decided_n, decided_hit_rate, class_accuracy, class_log_loss,
       trades, pnl_bps, pnl_mean_bps, break_even,
       majority_hit_rate, majority_log_loss, majority_brier,
       persistence_hit_rate, persistence_log_loss, persistence_brier,
       reversal_hit_rate, reversal_log_loss, reversal_brier,
       state, timestamptz 'epoch' + since * interval '1 microsecond' AS since, reason,
       timestamptz 'epoch' + produced_at * interval '1 microsecond' AS produced_at,
       as_of AS as_of_us
FROM accuracy;

CREATE VIEW retrains_open AS
SELECT request_id, model, model_version, interval, horizon, requested_by, requester, reason,
       timestamptz 'epoch' + as_of * interval '1 microsecond' AS as_of,
       detector, statistic, threshold, reference, deviation,
       timestamptz 'epoch' + data_from * interval '1 microsecond' AS data_from,
       timestamptz 'epoch' + data_to * interval '1 microsecond' AS data_to,
       evidence,
       timestamptz 'epoch' + event_time * interval '1 microsecond' AS requested_at
FROM retrains r
WHERE event_type = 'requested'
  AND NOT EXISTS (SELECT FROM retrains c WHERE c.event_type = 'closed' AND c.request_id = r.request_id)
ORDER BY event_time, event_id;

COMMENT ON VIEW retrains_open IS 'Retrain requests that nobody has closed, oldest first.';

-- Answers. Days are found one after the other by the primary key, and each is read by itself: a filter on day reads that day's
-- partition alone.

CREATE VIEW hit_rate_by_day AS
WITH RECURSIVE days (number) AS (
    SELECT min(target_time) / 86400000000 FROM outcomes
    UNION ALL
    SELECT (SELECT min(target_time) / 86400000000 FROM outcomes WHERE target_time >= (number + 1) * 86400000000)
    FROM days WHERE number IS NOT NULL
)
SELECT day, model, model_version, interval, horizon, rows, n, hits, hits / nullif(n, 0)::double precision AS hit_rate,
       log_loss, brier, decided / nullif(scored, 0)::double precision AS coverage, trades, pnl_bps, unscorable
FROM (SELECT number, date '1970-01-01' + number::integer AS day FROM days WHERE number IS NOT NULL) AS d
CROSS JOIN LATERAL (
    SELECT model, model_version, interval, horizon,
           count(*) AS rows,
           count(hit) AS n,
           count(*) FILTER (WHERE hit) AS hits,
           avg(log_loss) AS log_loss,
           avg(brier) AS brier,
           count(realised) AS scored,
           count(*) FILTER (WHERE realised IS NOT NULL AND decision IN ('up', 'down')) AS decided,
           count(pnl_bps) AS trades,
           coalesce(sum(pnl_bps), 0) AS pnl_bps,
           count(unscorable) AS unscorable
    FROM outcomes
    WHERE target_time >= number * 86400000000 AND target_time < (number + 1) * 86400000000
    GROUP BY model, model_version, interval, horizon
) AS o;

COMMENT ON VIEW hit_rate_by_day IS
    'Per UTC day of target_time, model, version, interval and horizon: n rows that moved beyond the dead band, hits and their '
    'rate, mean log-loss and Brier score of the same rows; coverage, the share of settled rows whose decision was up or down; '
    'trades that could be entered and the sum of what they earned after fees, in basis points; rows in all, unscorable ones too.';

CREATE VIEW worst_symbols AS
WITH counted AS (
    SELECT model, model_version, interval, horizon, symbol,
           count(hit) AS n,
           count(*) FILTER (WHERE hit) AS hits,
           avg(log_loss) AS log_loss,
           count(pnl_bps) AS trades,
           coalesce(sum(pnl_bps), 0) AS pnl_bps
    FROM outcomes
    WHERE target_time > (SELECT max(target_time) FROM outcomes) - 7 * 86400000000
    GROUP BY model, model_version, interval, horizon, symbol
), rates AS (
    SELECT *, hits / n::double precision AS hit_rate, 1.959963984540054::double precision ^ 2 / n AS z2n
    FROM counted WHERE n > 0
)
SELECT model, model_version, interval, horizon, symbol, n, hits, hit_rate,
       (hit_rate + z2n / 2 - sqrt(z2n * (hit_rate * (1 - hit_rate) + z2n / 4))) / (1 + z2n) AS hit_low,
       (hit_rate + z2n / 2 + sqrt(z2n * (hit_rate * (1 - hit_rate) + z2n / 4))) / (1 + z2n) AS hit_high,
       log_loss, trades, pnl_bps
FROM rates
ORDER BY hit_rate, n DESC, symbol, model, model_version, interval, horizon;

COMMENT ON VIEW worst_symbols IS
    'Symbols by hit rate, worst first, over the last 7 days before the newest target_time that is stored. hit_low and hit_high: '
    'Wilson 95% interval on n as if rows were independent; those of horizons above 1 overlap, so it is too narrow for them (the '
    'accuracy table has it on n_effective).';

CREATE VIEW calibration AS
SELECT model, model_version, interval, horizon, bin, bin / 10::double precision AS bin_from,
       (bin + 1) / 10::double precision AS bin_to,
       count(*) AS n, avg(q) AS predicted_up, avg(up) AS observed_up
FROM (
    SELECT model, model_version, interval, horizon, q, up, least(floor(q * 10), 9)::integer AS bin
    FROM (
        SELECT model, model_version, interval, horizon, (realised = 'up')::integer::double precision AS up,
               CASE WHEN p_up::double precision + p_down > 0 THEN p_up / (p_up::double precision + p_down) ELSE 0.5 END AS q
        FROM outcomes
        WHERE hit IS NOT NULL AND target_time > (SELECT max(target_time) FROM outcomes) - 7 * 86400000000
    ) AS moved
) AS binned
GROUP BY model, model_version, interval, horizon, bin
ORDER BY model, model_version, interval, horizon, bin;

COMMENT ON VIEW calibration IS
    'Ten bins by p_up / (p_up + p_down) over the rows that moved, in the last 7 days before the newest target_time that is '
    'stored: how many, what was said on average, and the share that rose. Good is predicted_up = observed_up.';
