//! Event time: microseconds since the Unix epoch, UTC, and the bar interval that divides it.
//!
//! Not here: wall clocks. Whoever needs "now" takes it as an argument.

use std::fmt;
use std::str::FromStr;

/// Microseconds since the Unix epoch, UTC.
pub type Micros = i64;

/// One second in [`Micros`].
pub const SECOND: Micros = 1_000_000;

/// The earliest event time that is believed (1990-01-01): earlier ones are seconds or milliseconds taken for microseconds.
pub const EARLIEST: Micros = 631_152_000 * SECOND;

/// The latest event time that is believed (2200-01-01): later ones are nanoseconds taken for microseconds.
pub const LATEST: Micros = 7_258_118_400 * SECOND;

/// The length of a bar: a whole number of seconds that divides a day, written `10s`, `1m`, `4h` or `1d`.
///
/// Bars are aligned to the epoch, so that every process cuts time at the same places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interval(Micros);

impl Interval {
    /// Makes an interval of `seconds`.
    ///
    /// # Errors
    /// When it is not positive or does not divide a day of 86,400 seconds.
    pub fn from_seconds(seconds: i64) -> Result<Self, IntervalError> {
        if seconds <= 0 || 86_400 % seconds != 0 {
            return Err(IntervalError(format!("{seconds}s")));
        }
        Ok(Self(seconds * SECOND))
    }

    /// Its length in microseconds.
    pub const fn micros(self) -> Micros {
        self.0
    }

    /// The start of the bar that holds `time`: bars are half-open, `[open, close)`.
    pub const fn open_of(self, time: Micros) -> Micros {
        time.div_euclid(self.0) * self.0
    }

    /// The end of the bar that holds `time`.
    pub const fn close_of(self, time: Micros) -> Micros {
        self.open_of(time) + self.0
    }
}

/// An interval that cannot cut a day into whole bars.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "bar interval `{0}` is not usable: write a whole number of seconds, minutes or hours that divides a day, such as 10s, 1m or 4h"
)]
pub struct IntervalError(String);

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || IntervalError(text.to_owned());
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(error)?;
        let number: i64 = number.parse().map_err(|_| error())?;
        let scale = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(error()),
        };
        Self::from_seconds(number.checked_mul(scale).ok_or_else(error)?).map_err(|_| error())
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / SECOND;
        match seconds {
            s if s % 86_400 == 0 => write!(f, "{}d", s / 86_400),
            s if s % 3_600 == 0 => write!(f, "{}h", s / 3_600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read_back() {
        for text in ["1s", "10s", "1m", "15m", "1h", "4h", "1d"] {
            assert_eq!(text.parse::<Interval>().unwrap().to_string(), text);
        }
        assert_eq!("60s".parse::<Interval>().unwrap().to_string(), "1m");
    }

    #[test]
    fn refuses_what_does_not_divide_a_day() {
        for text in ["", "s", "0s", "-1s", "7s", "5", "1w", "1.5m", "2d", "9999999999999999999s", "é"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }

    #[test]
    fn bars_are_half_open() {
        let ten = Interval::from_seconds(10).unwrap();
        assert_eq!(ten.open_of(20 * SECOND), 20 * SECOND);
        assert_eq!(ten.close_of(20 * SECOND), 30 * SECOND);
        assert_eq!(ten.close_of(20 * SECOND - 1), 20 * SECOND);
    }
}
