//! A prediction as a row of `predictions`.

use super::{Unusable, check_horizon, check_interval, check_symbol, check_text, check_time, put, unusable};
use crate::io::postgres::columns::Column;
use crate::io::postgres::rows::{Rows, key_digest};
use crate::service::store::batch::Added;
use crate::wire::prediction::{self, PredictionRecord};

/// Adds the prediction in `value`.
///
/// # Errors
/// When it is none, or holds what PostgreSQL cannot.
pub fn add(rows: &mut Rows, value: &[u8], max_rows: usize) -> Result<Added, Unusable> {
    let said = prediction::decode(value).map_err(unusable)?;
    check(&said)?;
    let key = key_digest(said.as_of, said.horizon, &[&said.symbol, &said.interval, &said.model, &said.model_version]);
    Ok(put(rows, said.as_of, key, max_rows, |columns| fill(&said, columns)))
}

fn check(said: &PredictionRecord<'_>) -> Result<(), Unusable> {
    check_symbol(&said.symbol)?;
    check_interval(&said.interval)?;
    check_time("as_of", said.as_of)?;
    check_horizon(said.horizon)?;
    if said.abstain_reasons.len() > 32 {
        return Err(unusable("abstain_reasons holds more than 32"));
    }
    let named = [
        ("prediction_id", &said.prediction_id),
        ("decision", &said.decision),
        ("model", &said.model),
        ("model_version", &said.model_version),
        ("role", &said.role),
    ];
    let reasons = said.abstain_reasons.iter().map(|reason| ("abstain_reasons", reason));
    let digest = said.feature_digest.iter().map(|digest| ("feature_digest", digest));
    named.into_iter().chain(reasons).chain(digest).try_for_each(|(field, text)| check_text(field, text))
}

fn fill(said: &PredictionRecord<'_>, columns: &mut [Column]) {
    let [
        prediction_id,
        symbol,
        interval,
        horizon,
        as_of,
        target_time,
        valid_until,
        sequence,
        reference_price,
        reference_vwap,
        reference_complete,
        reference_synthetic,
        dead_band_bps,
        p_down,
        p_flat,
        p_up,
        decision,
        abstain_reasons,
        model,
        model_version,
        role,
        feature_digest,
        max_event_time,
        produced_at,
    ] = columns
    else {
        unreachable!("the columns of PREDICTIONS")
    };
    prediction_id.text(&said.prediction_id);
    symbol.text(&said.symbol);
    interval.text(&said.interval);
    horizon.int4(said.horizon as i32);
    as_of.int8(said.as_of);
    target_time.int8(said.target_time);
    valid_until.int8(said.valid_until);
    sequence.int8(said.sequence);
    reference_price.float8(said.reference_price);
    reference_vwap.float8(said.reference_vwap);
    reference_complete.bool(said.reference_complete);
    reference_synthetic.bool(said.reference_synthetic);
    dead_band_bps.float8(said.dead_band_bps);
    p_down.float4(said.p_down);
    p_flat.float4(said.p_flat);
    p_up.float4(said.p_up);
    decision.text(&said.decision);
    abstain_reasons.texts(said.abstain_reasons.iter().map(|reason| &**reason));
    model.text(&said.model);
    model_version.text(&said.model_version);
    role.text(&said.role);
    feature_digest.text_or_null(said.feature_digest.as_deref());
    max_event_time.int8(said.max_event_time);
    produced_at.int8(said.produced_at);
}
