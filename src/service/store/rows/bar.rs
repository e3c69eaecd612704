//! A bar as a row of `bars`.

use super::{Unusable, check_count, check_interval, check_symbol, check_time, put, unusable};
use crate::io::postgres::columns::Column;
use crate::io::postgres::rows::{Rows, key_digest};
use crate::service::store::batch::Added;
use crate::wire::bar::{self, BarRecord};

/// Adds the bar in `value`.
///
/// # Errors
/// When it is none, or holds what PostgreSQL cannot.
pub fn add(rows: &mut Rows, value: &[u8], max_rows: usize) -> Result<Added, Unusable> {
    let bar = bar::decode(value).map_err(unusable)?;
    check(&bar)?;
    let key = key_digest(bar.close_time, 0, &[&bar.symbol, &bar.interval]);
    Ok(put(rows, bar.close_time, key, max_rows, |columns| fill(&bar, columns)))
}

fn check(bar: &BarRecord<'_>) -> Result<(), Unusable> {
    check_symbol(&bar.symbol)?;
    check_interval(&bar.interval)?;
    check_time("close_time", bar.close_time)?;
    check_count("trades", bar.trades)
}

fn fill(bar: &BarRecord<'_>, columns: &mut [Column]) {
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
