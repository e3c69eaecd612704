//! A closed bar, and the open one that trades are gathered into.

use super::symbol::Symbol;
use super::tick::{Side, Trade};
use super::time::{Interval, Micros};
use super::trade_ids::TradeIds;

/// A closed event-time bar over `[open_time, close_time)`. Bars are never revised.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// The instrument.
    pub symbol: Symbol,
    /// Its length.
    pub interval: Interval,
    /// First instant that belongs to it.
    pub open_time: Micros,
    /// First instant that does not.
    pub close_time: Micros,
    /// Price of the trade with the earliest event time; among equals, the first in the log.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Price of the trade with the latest event time; among equals, the last in the log.
    pub close: f64,
    /// Sum of sizes.
    pub volume: f64,
    /// Sum of price times size, over `volume`; the close where there was no trade.
    pub vwap: f64,
    /// How many trades.
    pub trades: u64,
    /// Volume whose taker bought.
    pub buy_volume: f64,
    /// Volume whose taker sold.
    pub sell_volume: f64,
    /// Whether every trade of it is known to be in it: not so for a symbol's first bar and for one that a gap touches.
    pub complete: bool,
    /// Whether it was made without a trade, from the close before it.
    pub synthetic: bool,
    /// Event time of its last trade; a synthetic bar carries it on.
    pub last_event_time: Micros,
}

impl Bar {
    /// The bar after `self` when no trade fell into it.
    pub fn synthetic_next(&self, complete: bool) -> Bar {
        Bar {
            symbol: self.symbol.clone(),
            interval: self.interval,
            open_time: self.close_time,
            close_time: self.close_time + self.interval.micros(),
            open: self.close,
            high: self.close,
            low: self.close,
            close: self.close,
            volume: 0.0,
            vwap: self.close,
            trades: 0,
            buy_volume: 0.0,
            sell_volume: 0.0,
            complete,
            synthetic: true,
            last_event_time: self.last_event_time,
        }
    }
}

/// A bar that still takes trades.
#[derive(Clone, Debug)]
pub struct OpenBar {
    /// Its end.
    pub close_time: Micros,
    /// Offset of the earliest record in it: where a restore begins to read.
    pub first_offset: i64,
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: f64,
    notional: f64,
    trades: u64,
    buy_volume: f64,
    sell_volume: f64,
    first_event_time: Micros,
    last_event_time: Micros,
    ids: TradeIds,
}

impl OpenBar {
    /// Opens a bar that ends at `close_time` with its first trade, read at `offset`.
    pub fn new(close_time: Micros, offset: i64, trade: &Trade<'_>) -> Self {
        let mut bar = Self {
            close_time,
            first_offset: offset,
            open: trade.price,
            high: trade.price,
            low: trade.price,
            close: trade.price,
            volume: 0.0,
            notional: 0.0,
            trades: 0,
            buy_volume: 0.0,
            sell_volume: 0.0,
            first_event_time: trade.event_time,
            last_event_time: trade.event_time,
            ids: TradeIds::default(),
        };
        bar.apply(trade);
        bar
    }

    /// Adds a trade; `false` when its id is already in the bar, which then stays as it is.
    ///
    /// The order of event times decides what opens and closes the bar, so a straggler within the lateness does neither.
    pub fn apply(&mut self, trade: &Trade<'_>) -> bool {
        if let Some(id) = &trade.trade_id
            && !self.ids.insert(id)
        {
            return false;
        }
        self.high = self.high.max(trade.price);
        self.low = self.low.min(trade.price);
        if trade.event_time < self.first_event_time {
            self.first_event_time = trade.event_time;
            self.open = trade.price;
        }
        if trade.event_time >= self.last_event_time {
            self.last_event_time = trade.event_time;
            self.close = trade.price;
        }
        self.volume = add(self.volume, trade.size);
        self.notional += trade.price * trade.size;
        self.trades += 1;
        match trade.side {
            Side::Buy => self.buy_volume = add(self.buy_volume, trade.size),
            Side::Sell => self.sell_volume = add(self.sell_volume, trade.size),
            Side::Unknown => {}
        }
        true
    }

    /// Closes it.
    pub fn close(self, symbol: Symbol, interval: Interval, complete: bool) -> Bar {
        Bar {
            symbol,
            interval,
            open_time: self.close_time - interval.micros(),
            close_time: self.close_time,
            open: self.open,
            high: self.high,
            low: self.low,
            close: self.close,
            volume: self.volume,
            // Rounding must not put the average outside the bar, and a sum that overflows must not poison the window.
            vwap: clamp(self.notional / self.volume, self.low, self.high, self.close),
            trades: self.trades,
            buy_volume: self.buy_volume,
            sell_volume: self.sell_volume,
            complete,
            synthetic: false,
            last_event_time: self.last_event_time,
        }
    }
}

/// The sum, or the largest number there is: a sum of absurd sizes must not be infinite, which no record can hold.
fn add(sum: f64, size: f64) -> f64 {
    (sum + size).min(f64::MAX)
}

fn clamp(value: f64, low: f64, high: f64, otherwise: f64) -> f64 {
    if value.is_finite() { value.clamp(low, high) } else { otherwise }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::tick::TradeId;
    use crate::flow::time::SECOND;

    fn trade(time: Micros, price: f64, id: u64) -> Trade<'static> {
        Trade {
            symbol: "A".into(),
            price,
            size: 2.0,
            side: Side::Buy,
            trade_id: Some(TradeId::Number(id)),
            event_time: time,
        }
    }

    fn close(bar: OpenBar) -> Bar {
        bar.close(Symbol::new("A").unwrap(), Interval::from_seconds(1).unwrap(), true)
    }

    #[test]
    fn event_time_decides_open_and_close() {
        let mut bar = OpenBar::new(SECOND, 7, &trade(500, 10.0, 1));
        assert!(bar.apply(&trade(400, 11.0, 2)));
        assert!(bar.apply(&trade(500, 12.0, 3)));
        assert!(bar.apply(&trade(400, 13.0, 4)));
        let bar = close(bar);
        assert_eq!((bar.open, bar.high, bar.low, bar.close), (11.0, 13.0, 10.0, 12.0));
        assert_eq!((bar.volume, bar.trades, bar.buy_volume, bar.last_event_time), (8.0, 4, 8.0, 500));
        assert_eq!(bar.vwap, 11.5);
    }

    #[test]
    fn a_repeated_id_counts_once() {
        let mut bar = OpenBar::new(SECOND, 7, &trade(500, 10.0, 1));
        assert!(!bar.apply(&trade(600, 99.0, 1)));
        assert_eq!(close(bar).high, 10.0);
    }

    #[test]
    fn an_overflowing_average_stays_a_price() {
        let mut bar = OpenBar::new(SECOND, 7, &Trade { size: f64::MAX, ..trade(1, 10.0, 1) });
        bar.apply(&Trade { size: f64::MAX, ..trade(2, 10.0, 2) });
        assert_eq!(close(bar).vwap, 10.0);
    }

    #[test]
    fn a_synthetic_bar_carries_the_last_close() {
        let bar = close(OpenBar::new(SECOND, 7, &trade(500, 10.0, 1))).synthetic_next(true);
        assert_eq!((bar.open_time, bar.close_time, bar.vwap, bar.trades), (SECOND, 2 * SECOND, 10.0, 0));
        assert!(bar.synthetic && bar.last_event_time == 500);
    }
}
