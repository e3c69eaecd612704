//! What comes in: trades, and the in-band control records `gap` and `watermark`.
//!
//! Values here borrow from the bytes they were decoded from; checking them is here, decoding them is in [`crate::wire`].

use std::borrow::Cow;

use super::dead_letter::Reason;
use super::symbol;
use super::time::{EARLIEST, LATEST, Micros};

/// The taker's side of a trade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// The taker bought.
    Buy,
    /// The taker sold.
    Sell,
    /// The venue does not say.
    #[default]
    Unknown,
}

impl Side {
    /// Its name in a record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
            Self::Unknown => "unknown",
        }
    }

    /// Reads a name; an empty one is unknown.
    ///
    /// # Errors
    /// [`Reason::BadSide`] for any other value.
    pub fn parse(name: &str) -> Result<Self, Reason> {
        match name {
            "buy" => Ok(Self::Buy),
            "sell" => Ok(Self::Sell),
            "unknown" | "" => Ok(Self::Unknown),
            _ => Err(Reason::BadSide),
        }
    }
}

/// The venue's id of a trade: what makes a repeated delivery recognisable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TradeId<'a> {
    /// A whole number, written as a JSON number or as its plain decimal string.
    Number(u64),
    /// Anything else.
    Text(Cow<'a, str>),
}

impl<'a> TradeId<'a> {
    /// The longest text, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Reads a textual id: `"17"` is the number 17, `"017"` is a text.
    ///
    /// # Errors
    /// [`Reason::BadTradeId`] when it is too long.
    pub fn parse(text: Cow<'a, str>) -> Result<Self, Reason> {
        let bytes = text.as_bytes();
        let plain = matches!(bytes, [b'0'] | [b'1'..=b'9', ..]) && bytes.iter().all(u8::is_ascii_digit);
        match text.parse() {
            Ok(number) if plain => Ok(Self::Number(number)),
            _ if text.len() > Self::MAX_LEN => Err(Reason::BadTradeId),
            _ => Ok(Self::Text(text)),
        }
    }
}

/// One trade.
#[derive(Clone, Debug, PartialEq)]
pub struct Trade<'a> {
    /// The instrument.
    pub symbol: Cow<'a, str>,
    /// Price, in quote currency.
    pub price: f64,
    /// Size, in the venue's own unit (base currency or contracts).
    pub size: f64,
    /// The taker's side.
    pub side: Side,
    /// The venue's id, where it gives one.
    pub trade_id: Option<TradeId<'a>>,
    /// When the venue says it happened.
    pub event_time: Micros,
}

impl Trade<'_> {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// The reason for the dead letters.
    pub fn check(&self) -> Result<(), Reason> {
        if !symbol::is_valid(&self.symbol) {
            return Err(Reason::BadSymbol);
        }
        if !(self.price.is_finite() && self.price > 0.0) {
            return Err(Reason::BadPrice);
        }
        if !(self.size.is_finite() && self.size > 0.0) {
            return Err(Reason::BadSize);
        }
        check_time(self.event_time)
    }
}

/// A statement that trades of `symbol` are missing in `[from, to)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap<'a> {
    /// The instrument.
    pub symbol: Cow<'a, str>,
    /// Start of what is missing.
    pub from: Micros,
    /// End of what is missing.
    pub to: Micros,
}

impl Gap<'_> {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// The reason for the dead letters.
    pub fn check(&self) -> Result<(), Reason> {
        if !symbol::is_valid(&self.symbol) {
            return Err(Reason::BadSymbol);
        }
        check_time(self.from)?;
        check_time(self.to)?;
        if self.from > self.to { Err(Reason::BadTime) } else { Ok(()) }
    }
}

/// A decoded input record.
#[derive(Clone, Debug, PartialEq)]
pub enum Record<'a> {
    /// A trade.
    Trade(Trade<'a>),
    /// Missing trades.
    Gap(Gap<'a>),
    /// Nothing earlier than this will come in this partition.
    Watermark(Micros),
}

impl Record<'_> {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// The reason for the dead letters.
    pub fn check(&self) -> Result<(), Reason> {
        match self {
            Self::Trade(trade) => trade.check(),
            Self::Gap(gap) => gap.check(),
            Self::Watermark(time) => check_time(*time),
        }
    }
}

fn check_time(time: Micros) -> Result<(), Reason> {
    if (EARLIEST..LATEST).contains(&time) { Ok(()) } else { Err(Reason::BadTime) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade() -> Trade<'static> {
        Trade { symbol: "A".into(), price: 1.0, size: 1.0, side: Side::Buy, trade_id: None, event_time: EARLIEST }
    }

    #[test]
    fn a_trade_is_checked_field_by_field() {
        assert_eq!(trade().check(), Ok(()));
        assert_eq!(Trade { symbol: "a b".into(), ..trade() }.check(), Err(Reason::BadSymbol));
        for price in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Trade { price, ..trade() }.check(), Err(Reason::BadPrice));
            assert_eq!(Trade { size: price, ..trade() }.check(), Err(Reason::BadSize));
        }
        for event_time in [0, -1, EARLIEST - 1, LATEST, i64::MAX, i64::MIN] {
            assert_eq!(Trade { event_time, ..trade() }.check(), Err(Reason::BadTime));
        }
    }

    #[test]
    fn ids_that_are_plain_numbers_are_numbers() {
        assert_eq!(TradeId::parse("17".into()), Ok(TradeId::Number(17)));
        assert_eq!(TradeId::parse("0".into()), Ok(TradeId::Number(0)));
        for text in ["017", "+17", "a", "", "99999999999999999999"] {
            assert_eq!(TradeId::parse(text.into()), Ok(TradeId::Text(text.into())));
        }
        assert_eq!(TradeId::parse("x".repeat(65).into()), Err(Reason::BadTradeId));
    }

    #[test]
    fn a_gap_does_not_end_before_it_begins() {
        let gap = Gap { symbol: "A".into(), from: EARLIEST + 1, to: EARLIEST };
        assert_eq!(gap.check(), Err(Reason::BadTime));
    }
}
