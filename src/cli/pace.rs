//! How fast recorded or generated time goes by.

use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::flow::time::Micros;
use crate::io::clock::now;

/// `max`, or so many times as fast as it happened: `1x`, `20x`, `0.5x`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// Without waiting.
    Max,
    /// This many seconds of event time in a second.
    Times(f64),
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.strip_suffix('x').and_then(|number| number.parse().ok());
        match times {
            Some(times) if (1e-3..=1e9_f64).contains(&times) => Ok(Self::Times(times)),
            _ => Err(format!("`{text}` is not a speed: write max, or a multiple of recorded time such as 1x or 20x")),
        }
    }
}

/// Tells how long to wait before an event is due. The first event is due at once.
#[derive(Clone, Debug)]
pub struct Pace {
    speed: Speed,
    /// Whether events wait for the wall clock to reach them: live readers refuse trades from the future.
    not_before_event: bool,
    first: Option<(Instant, Micros)>,
}

impl Pace {
    /// Time that goes at `speed`; with `not_before_event`, an event is never due before the wall clock shows its time.
    pub fn new(speed: Speed, not_before_event: bool) -> Self {
        Self { speed, not_before_event, first: None }
    }

    /// How long to wait from now for an event at `time`; nothing for one that is due.
    pub fn wait(&mut self, time: Micros) -> Duration {
        let (begun, first) = *self.first.get_or_insert_with(|| (Instant::now(), time));
        let recorded = match self.speed {
            Speed::Max => Duration::ZERO,
            Speed::Times(times) => {
                let due = Duration::from_secs_f64((time - first).max(0) as f64 / 1e6 / times);
                due.saturating_sub(begun.elapsed())
            }
        };
        let wall = if self.not_before_event { micros(time - now()) } else { Duration::ZERO };
        recorded.max(wall)
    }
}

fn micros(span: Micros) -> Duration {
    Duration::from_micros(u64::try_from(span).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("20x".parse(), Ok(Speed::Times(20.0)));
        assert_eq!("0.5x".parse(), Ok(Speed::Times(0.5)));
        for bad in ["", "x", "20", "0x", "-1x", "NaNx", "infx", "MAX"] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
    }

    #[test]
    fn events_are_due_as_recorded() {
        let mut pace = Pace::new(Speed::Times(2.0), false);
        assert_eq!(pace.wait(1_000_000), Duration::ZERO);
        let wait = pace.wait(21_000_000);
        assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10), "{wait:?}");
        assert_eq!(pace.wait(500_000), Duration::ZERO, "a straggler does not wait");
        assert_eq!(Pace::new(Speed::Max, false).wait(i64::MAX), Duration::ZERO);
    }

    #[test]
    fn events_wait_for_the_wall_clock() {
        let mut pace = Pace::new(Speed::Max, true);
        assert_eq!(pace.wait(0), Duration::ZERO);
        assert!(pace.wait(now() + 5_000_000) > Duration::from_secs(4));
    }
}
