//! An accuracy report as a row of `accuracy`.

use super::{
    Unusable, check_count, check_horizon, check_interval, check_prose, check_symbol, check_text, check_time, put,
    unusable,
};
use crate::io::postgres::columns::Column;
use crate::io::postgres::rows::{Rows, key_digest};
use crate::service::store::batch::Added;
use crate::wire::accuracy::{self, AccuracyRecord};

/// Adds the report in `value`.
///
/// # Errors
/// When it is none, or holds what PostgreSQL cannot.
pub fn add(rows: &mut Rows, value: &[u8], max_rows: usize) -> Result<Added, Unusable> {
    let report = accuracy::decode(value).map_err(unusable)?;
    check(&report)?;
    let symbol = report.symbol.as_deref().unwrap_or_default();
    let texts = [&*report.model, &*report.model_version, &*report.interval, symbol];
    let key = key_digest(report.as_of, report.horizon, &texts);
    Ok(put(rows, report.as_of, key, max_rows, |columns| fill(&report, columns)))
}

/// Whether PostgreSQL can hold `report`; also as the evidence of a retrain request.
///
/// # Errors
/// When it cannot.
pub fn check(report: &AccuracyRecord<'_>) -> Result<(), Unusable> {
    report.symbol.as_deref().map_or(Ok(()), check_symbol)?;
    check_interval(&report.interval)?;
    check_horizon(report.horizon)?;
    let times = [("as_of", report.as_of), ("window_start", report.window_start), ("produced_at", report.produced_at)];
    let since = report.since.map(|since| ("since", since));
    times.into_iter().chain(since).try_for_each(|(field, time)| check_time(field, time))?;
    let counts = [
        ("cohorts_total", report.cohorts_total),
        ("scored", report.scored),
        ("unscorable", report.unscorable),
        ("late", report.late),
        ("n", report.n),
        ("decided_n", report.decided_n),
        ("trades", report.trades),
    ];
    counts.into_iter().try_for_each(|(field, count)| check_count(field, count))?;
    let named = [("model", &report.model), ("model_version", &report.model_version)];
    let state = report.state.iter().map(|state| ("state", state));
    named.into_iter().chain(state).try_for_each(|(field, text)| check_text(field, text))?;
    report.reason.as_deref().map_or(Ok(()), |reason| check_prose("reason", reason))
}

fn fill(report: &AccuracyRecord<'_>, columns: &mut [Column]) {
    let [
        model,
        model_version,
        interval,
        horizon,
        symbol,
        as_of,
        window_start,
        cohorts,
        cohorts_total,
        scored,
        unscorable,
        late,
        n,
        n_effective,
        hit_rate,
        hit_low,
        hit_high,
        log_loss,
        brier,
        calibration_error,
        coverage,
        decided_n,
        decided_hit_rate,
        class_accuracy,
        class_log_loss,
        trades,
        pnl_bps,
        pnl_mean_bps,
        break_even,
        majority_hit_rate,
        majority_log_loss,
        majority_brier,
        persistence_hit_rate,
        persistence_log_loss,
        persistence_brier,
        reversal_hit_rate,
        reversal_log_loss,
        reversal_brier,
        state,
        since,
        reason,
        produced_at,
    ] = columns
    else {
        unreachable!("the columns of ACCURACY")
    };
    model.text(&report.model);
    model_version.text(&report.model_version);
    interval.text(&report.interval);
    horizon.int4(report.horizon as i32);
    symbol.text(report.symbol.as_deref().unwrap_or_default());
    as_of.int8(report.as_of);
    window_start.int8(report.window_start);
    cohorts.int8(i64::from(report.cohorts));
    cohorts_total.int8(report.cohorts_total as i64);
    scored.int8(report.scored as i64);
    unscorable.int8(report.unscorable as i64);
    late.int8(report.late as i64);
    n.int8(report.n as i64);
    n_effective.float8(report.n_effective);
    hit_rate.float8(report.hit_rate);
    hit_low.float8(report.hit_low);
    hit_high.float8(report.hit_high);
    log_loss.float8(report.log_loss);
    brier.float8(report.brier);
    calibration_error.float8(report.calibration_error);
    coverage.float8(report.coverage);
    decided_n.int8(report.decided_n as i64);
    decided_hit_rate.float8(report.decided_hit_rate);
    class_accuracy.float8(report.class_accuracy);
    class_log_loss.float8(report.class_log_loss);
    trades.int8(report.trades as i64);
    pnl_bps.float8(report.pnl_bps);
    pnl_mean_bps.float8(report.pnl_mean_bps);
    break_even.float8(report.break_even);
    majority_hit_rate.float8(report.baselines.majority.hit_rate);
    majority_log_loss.float8(report.baselines.majority.log_loss);
    majority_brier.float8(report.baselines.majority.brier);
    persistence_hit_rate.float8(report.baselines.persistence.hit_rate);
    persistence_log_loss.float8(report.baselines.persistence.log_loss);
    persistence_brier.float8(report.baselines.persistence.brier);
    reversal_hit_rate.float8(report.baselines.reversal.hit_rate);
    reversal_log_loss.float8(report.baselines.reversal.log_loss);
    reversal_brier.float8(report.baselines.reversal.brier);
    state.text_or_null(report.state.as_deref());
    since.int8(report.since);
    reason.text_or_null(report.reason.as_deref());
    produced_at.int8(report.produced_at);
}
