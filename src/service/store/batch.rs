//! Records into rows: decoded, checked for what PostgreSQL could not hold, added to a batch. Pure.

use crate::flow::symbol::Symbol;
use crate::flow::time::{Interval, Micros, SECOND};
use crate::io::postgres::columns::SEPARATOR;
use crate::io::postgres::partitions::{day_of, is_storable};
use crate::io::postgres::tables::{Rows, key_digest};
use crate::io::postgres::write::{Batch, DeadLetterCount, DeadLetterKey};
use crate::wire::bar::{self, BarRecord};
use crate::wire::prediction::{self, PredictionRecord};

/// Days of one table in one transaction: each costs PostgreSQL two locks, and their number has a bound.
pub const MAX_DAYS: usize = 32;

/// Bytes of a text that becomes part of a key (an index takes 2,700), or that is short by nature.
const MAX_TEXT: usize = 128;

/// Why a record of our own topics cannot be stored; it is counted, told with its offset, and skipped.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is in the batch.
    Yes,
    /// It does not go with what is there: write that first, then add it again.
    Full,
}

/// What a topic holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// Closed bars.
    Bars,
    /// Predictions.
    Predictions,
    /// Dead letters.
    DeadLetters,
}

/// A record as Kafka gives it.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its value; a tombstone has none.
    pub value: Option<&'a [u8]>,
    /// Its offset.
    pub offset: i64,
    /// Its Kafka timestamp, in milliseconds.
    pub timestamp_ms: i64,
    /// Its headers that say where a dead letter comes from.
    pub origin: Origin<'a>,
}

/// The headers of a dead letter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// `reason`
    pub reason: Option<&'a [u8]>,
    /// `origin_topic`
    pub topic: Option<&'a [u8]>,
    /// `origin_partition`
    pub partition: Option<&'a [u8]>,
    /// `origin_offset`
    pub offset: Option<&'a [u8]>,
}

/// Adds a record to `batch`, which holds at most `max_rows` of a kind.
///
/// # Errors
/// When it is not what its topic promises, or holds what PostgreSQL cannot.
pub fn add(batch: &mut Batch, content: Content, record: &Record<'_>, max_rows: usize) -> Result<Added, Unusable> {
    match content {
        Content::Bars => {
            let value = record.value.ok_or_else(|| unusable("a tombstone"))?;
            let bar = bar::decode(value).map_err(|error| Unusable(error.to_string()))?;
            check_bar(&bar)?;
            let key = key_digest(bar.close_time, 0, &[&bar.symbol, &bar.interval]);
            Ok(put(&mut batch.bars, bar.close_time, key, max_rows, |columns| fill_bar(&bar, columns)))
        }
        Content::Predictions => {
            let value = record.value.ok_or_else(|| unusable("a tombstone"))?;
            let said = prediction::decode(value).map_err(|error| Unusable(error.to_string()))?;
            check_prediction(&said)?;
            let texts = [&*said.symbol, &*said.interval, &*said.model, &*said.model_version];
            let key = key_digest(said.as_of, said.horizon, &texts);
            let rows = &mut batch.predictions;
            Ok(put(rows, said.as_of, key, max_rows, |columns| fill_prediction(&said, columns)))
        }
        Content::DeadLetters => {
            let (key, origin) = dead_letter(record)?;
            if batch.dead_letters.len() >= max_rows && !batch.dead_letters.contains_key(&key) {
                return Ok(Added::Full);
            }
            let one = DeadLetterCount::one(origin, record.offset);
            batch.dead_letters.entry(key).and_modify(|count| *count = count.plus(one)).or_insert(one);
            Ok(Added::Yes)
        }
    }
}

fn put(
    rows: &mut Rows,
    time: Micros,
    key: u128,
    max_rows: usize,
    fill: impl FnOnce(&mut [crate::io::postgres::columns::Column]),
) -> Added {
    if rows.len() >= max_rows || !rows.admits(time, key, MAX_DAYS) {
        return Added::Full;
    }
    rows.push(time, key, fill);
    Added::Yes
}

fn unusable(why: impl Into<String>) -> Unusable {
    Unusable(why.into())
}

fn check_text(field: &str, text: &str) -> Result<(), Unusable> {
    if text.len() > MAX_TEXT {
        return Err(unusable(format!("{field} is longer than {MAX_TEXT} bytes")));
    }
    if text.contains(['\0', SEPARATOR]) {
        return Err(unusable(format!("{field} holds a control character")));
    }
    Ok(())
}

fn check_symbol(symbol: &str, interval: &str) -> Result<(), Unusable> {
    Symbol::new(symbol).map_err(|error| Unusable(error.to_string()))?;
    interval.parse::<Interval>().map_err(|error| Unusable(error.to_string()))?;
    check_text("interval", interval)
}

fn check_time(field: &str, time: Micros) -> Result<(), Unusable> {
    if is_storable(time) {
        Ok(())
    } else {
        Err(unusable(format!("{field} {time} lies outside the years 1990 to 2199")))
    }
}

fn check_bar(bar: &BarRecord<'_>) -> Result<(), Unusable> {
    check_symbol(&bar.symbol, &bar.interval)?;
    check_time("close_time", bar.close_time)?;
    i64::try_from(bar.trades).map_err(|_| unusable("trades is larger than a bigint"))?;
    Ok(())
}

fn check_prediction(said: &PredictionRecord<'_>) -> Result<(), Unusable> {
    check_symbol(&said.symbol, &said.interval)?;
    check_time("as_of", said.as_of)?;
    i32::try_from(said.horizon).map_err(|_| unusable("horizon is larger than an integer"))?;
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

fn fill_bar(bar: &BarRecord<'_>, columns: &mut [crate::io::postgres::columns::Column]) {
    let [
        symbol,
        interval,
        open_time,
        close_time,
        open,
        high,
        low,
        close,
        volume,
        vwap,
        trades,
        buy_volume,
        sell_volume,
        complete,
        synthetic,
        last_event_time,
    ] = columns
    else {
        unreachable!("the columns of BARS")
    };
    symbol.text(&bar.symbol);
    interval.text(&bar.interval);
    open_time.int8(bar.open_time);
    close_time.int8(bar.close_time);
    open.float8(bar.open);
    high.float8(bar.high);
    low.float8(bar.low);
    close.float8(bar.close);
    volume.float8(bar.volume);
    vwap.float8(bar.vwap);
    trades.int8(bar.trades as i64);
    buy_volume.float8(bar.buy_volume);
    sell_volume.float8(bar.sell_volume);
    complete.bool(bar.complete);
    synthetic.bool(bar.synthetic);
    last_event_time.int8(bar.last_event_time);
}

fn fill_prediction(said: &PredictionRecord<'_>, columns: &mut [crate::io::postgres::columns::Column]) {
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
    p_down.float4(said.p_down);
    p_flat.float4(said.p_flat);
    p_up.float4(said.p_up);
    decision.text(&said.decision);
    abstain_reasons.texts(said.abstain_reasons.iter().map(|reason| &**reason));
    model.text(&said.model);
    model_version.text(&said.model_version);
    role.text(&said.role);
    match &said.feature_digest {
        Some(digest) => feature_digest.text(digest),
        None => feature_digest.null(),
    }
    max_event_time.int8(said.max_event_time);
    produced_at.int8(said.produced_at);
}

fn dead_letter(record: &Record<'_>) -> Result<(DeadLetterKey, i64), Unusable> {
    let header = |name: &str, value: Option<&[u8]>| {
        let value = value.ok_or_else(|| unusable(format!("header {name} is missing")))?;
        let text = std::str::from_utf8(value).map_err(|_| unusable(format!("header {name} is not UTF-8")))?;
        // Names of topics may have 249 characters.
        if text.len() > 249 || text.contains('\0') {
            return Err(unusable(format!("header {name} is no name")));
        }
        Ok(text.to_owned())
    };
    let number =
        |name: &str, text: String| text.parse().map_err(|_| unusable(format!("header {name} is not a number")));
    let time = record.timestamp_ms.saturating_mul(SECOND / 1_000);
    check_time("the Kafka timestamp", time)?;
    let partition = number("origin_partition", header("origin_partition", record.origin.partition)?)?;
    let key = DeadLetterKey {
        day: day_of(time),
        origin_topic: header("origin_topic", record.origin.topic)?,
        origin_partition: i32::try_from(partition).map_err(|_| unusable("header origin_partition is no partition"))?,
        reason: header("reason", record.origin.reason)?,
    };
    Ok((key, number("origin_offset", header("origin_offset", record.origin.offset)?)?))
}
