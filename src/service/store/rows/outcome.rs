//! An outcome as a row of `outcomes`.

use super::{Unusable, check_horizon, check_interval, check_symbol, check_text, check_time, put, unusable};
use crate::io::postgres::columns::Column;
use crate::io::postgres::rows::{Rows, key_digest};
use crate::service::store::batch::Added;
use crate::wire::outcome::{self, Decoded, OutcomeRecord};

/// Adds the outcome in `value`; control records are no rows, and pass.
///
/// # Errors
/// When it is neither, or holds what PostgreSQL cannot.
pub fn add(rows: &mut Rows, value: &[u8], max_rows: usize) -> Result<Added, Unusable> {
    let outcome = match outcome::decode::<OutcomeRecord<'_>>(value).map_err(unusable)? {
        Decoded::Outcome(outcome) => outcome,
        Decoded::Progress(_) | Decoded::Left(_) => return Ok(Added::Yes),
    };
    check(&outcome)?;
    let texts = [&*outcome.symbol, &*outcome.interval, &*outcome.model, &*outcome.model_version];
    let key = key_digest(outcome.target_time, outcome.horizon, &texts);
    Ok(put(rows, outcome.target_time, key, max_rows, |columns| fill(&outcome, columns)))
}

fn check(outcome: &OutcomeRecord<'_>) -> Result<(), Unusable> {
    check_symbol(&outcome.symbol)?;
    check_interval(&outcome.interval)?;
    check_horizon(outcome.horizon)?;
    let times = [("target_time", outcome.target_time), ("as_of", outcome.as_of), ("produced_at", outcome.produced_at)];
    times.into_iter().try_for_each(|(field, time)| check_time(field, time))?;
    let named = [
        ("prediction_id", &outcome.prediction_id),
        ("model", &outcome.model),
        ("model_version", &outcome.model_version),
        ("role", &outcome.role),
        ("decision", &outcome.decision),
    ];
    let realised = outcome.realised.iter().map(|text| ("realised", text));
    let unscorable = outcome.unscorable.iter().map(|text| ("unscorable", text));
    named.into_iter().chain(realised).chain(unscorable).try_for_each(|(field, text)| check_text(field, text))
}

fn fill(outcome: &OutcomeRecord<'_>, columns: &mut [Column]) {
    let [
        prediction_id,
        symbol,
        interval,
        horizon,
        as_of,
        target_time,
        model,
        model_version,
        role,
        p_down,
        p_flat,
        p_up,
        decision,
        reference_price,
        dead_band_bps,
        fee_bps,
        prior_return_bps,
        entry_price,
        target_price,
        realised_return_bps,
        realised,
        hit,
        log_loss,
        brier,
        pnl_bps,
        unscorable,
        produced_at,
    ] = columns
    else {
        unreachable!("the columns of OUTCOMES")
    };
    prediction_id.text(&outcome.prediction_id);
    symbol.text(&outcome.symbol);
    interval.text(&outcome.interval);
    horizon.int4(outcome.horizon as i32);
    as_of.int8(outcome.as_of);
    target_time.int8(outcome.target_time);
    model.text(&outcome.model);
    model_version.text(&outcome.model_version);
    role.text(&outcome.role);
    p_down.float4(outcome.p_down);
    p_flat.float4(outcome.p_flat);
    p_up.float4(outcome.p_up);
    decision.text(&outcome.decision);
    reference_price.float8(outcome.reference_price);
    dead_band_bps.float8(outcome.dead_band_bps);
    fee_bps.float8(outcome.fee_bps);
    prior_return_bps.float8(outcome.prior_return_bps);
    entry_price.float8(outcome.entry_price);
    target_price.float8(outcome.target_price);
    realised_return_bps.float8(outcome.realised_return_bps);
    realised.text_or_null(outcome.realised.as_deref());
    hit.bool(outcome.hit);
    log_loss.float8(outcome.log_loss);
    brier.float8(outcome.brier);
    pnl_bps.float8(outcome.pnl_bps);
    unscorable.text_or_null(outcome.unscorable.as_deref());
    produced_at.int8(outcome.produced_at);
}
