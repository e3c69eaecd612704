//! Records into rows: a file for each kind, and here the checks that they share. Pure.

pub mod accuracy;
pub mod bar;
pub mod outcome;
pub mod prediction;
pub mod retrain;

use super::batch::Added;
use crate::flow::symbol::Symbol;
use crate::flow::time::{Interval, Micros};
use crate::io::postgres::columns::{Column, SEPARATOR};
use crate::io::postgres::partitions::is_storable;
use crate::io::postgres::rows::Rows;

/// Days of one table in one transaction: each costs PostgreSQL two locks, and their number has a bound.
const MAX_DAYS: usize = 32;

/// Bytes of a text that becomes part of a key (an index takes 2,700), or that is short by nature.
const MAX_TEXT: usize = 128;

/// Bytes of a text that says why, in words.
const MAX_PROSE: usize = 1_000;

/// Why a record of our own topics cannot be stored; it is counted, told with its offset, and skipped.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

/// Says why.
pub fn unusable(why: impl ToString) -> Unusable {
    Unusable(why.to_string())
}

/// Adds a row whose key is `time` and the rest, of which `key` is the digest.
fn put(rows: &mut Rows, time: Micros, key: u128, max_rows: usize, fill: impl FnOnce(&mut [Column])) -> Added {
    if rows.len() >= max_rows || !rows.admits(time, key, MAX_DAYS) {
        return Added::Full;
    }
    rows.push(time, key, fill);
    Added::Yes
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

fn check_prose(field: &str, text: &str) -> Result<(), Unusable> {
    if text.len() > MAX_PROSE {
        return Err(unusable(format!("{field} is longer than {MAX_PROSE} bytes")));
    }
    if text.contains('\0') {
        return Err(unusable(format!("{field} holds a NUL")));
    }
    Ok(())
}

fn check_symbol(symbol: &str) -> Result<(), Unusable> {
    Symbol::new(symbol).map(drop).map_err(unusable)
}

fn check_interval(interval: &str) -> Result<(), Unusable> {
    interval.parse::<Interval>().map_err(unusable)?;
    check_text("interval", interval)
}

fn check_horizon(horizon: u32) -> Result<(), Unusable> {
    i32::try_from(horizon).map(drop).map_err(|_| unusable("horizon is larger than an integer"))
}

/// Of a time that a partition or a view is made of.
pub fn check_time(field: &str, time: Micros) -> Result<(), Unusable> {
    if is_storable(time) {
        Ok(())
    } else {
        Err(unusable(format!("{field} {time} lies outside the years 1990 to 2199")))
    }
}

fn check_count(field: &str, count: u64) -> Result<(), Unusable> {
    i64::try_from(count).map(drop).map_err(|_| unusable(format!("{field} is larger than a bigint")))
}
