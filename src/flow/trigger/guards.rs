//! What keeps a retrain rare: whether an alarm may become a request.

use std::fmt;

use super::settings::Settings;
use crate::flow::time::{Micros, SECOND};

/// Of the layout of [`Guards::numbers`].
const VERSION: f64 = 1.0;
const DAY: Micros = 86_400 * SECOND;
/// The cooldown doubles with every rejected challenger, so many times: up to sixteenfold.
const MOST_DOUBLINGS: u32 = 4;

/// Why an alarm does not become a request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A retrain of this model is on its way.
    RequestOpen,
    /// Too soon after the last request, promotion or rejection.
    Cooldown {
        /// When it ends, event time.
        until: Micros,
        /// Challengers rejected in a row: each has doubled the cooldown, up to sixteenfold.
        rejections: u32,
    },
    /// The day's requests are spent.
    DailyCap {
        /// When the next UTC day begins, event time.
        until: Micros,
        /// How many a day may have.
        cap: u32,
    },
}

impl Held {
    /// Its name in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RequestOpen => "request_open",
            Self::Cooldown { .. } => "cooldown",
            Self::DailyCap { .. } => "daily_cap",
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestOpen => write!(f, "a retrain of this model is on its way"),
            Self::Cooldown { until, rejections: 0 } => write!(f, "cooldown until {until}"),
            Self::Cooldown { until, rejections } => {
                write!(f, "cooldown until {until}, longer because of {rejections} rejected challengers in a row")
            }
            Self::DailyCap { until, cap } => {
                write!(f, "{cap} requests a day are allowed; the next day begins at {until}")
            }
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its challenger is the champion now: rejections are forgotten.
    Promoted,
    /// Its challenger was no better: the next one must wait twice as long.
    Rejected,
    /// It gave no challenger, or nobody wants it any more: neither good nor bad news.
    Cancelled,
}

/// The guards of one model, shared by all its horizons. Times are event time, so a replay decides as the live run did.
///
/// Requests by people count (`requested`) but need not ask (`allow`).
#[derive(Clone, Debug, PartialEq)]
pub struct Guards {
    cooldown: Micros,
    daily_cap: u32,
    /// The last request, promotion or rejection.
    last: Option<Micros>,
    day: i64,
    today: u32,
    rejections: u32,
}

impl Guards {
    /// Guards of a model for which nothing was requested yet.
    pub fn new(settings: &Settings) -> Self {
        let Settings { cooldown, daily_cap, .. } = *settings;
        Self { cooldown, daily_cap, last: None, day: 0, today: 0, rejections: 0 }
    }

    /// Whether an alarm at `at` may become a request; `request_open` when one of this model is under way. Changes nothing.
    ///
    /// # Errors
    /// What holds it back: an open request before the cooldown, the cooldown before the day's cap.
    pub fn allow(&self, at: Micros, request_open: bool) -> Result<(), Held> {
        if request_open {
            return Err(Held::RequestOpen);
        }
        let wait = self.cooldown.saturating_mul(1 << self.rejections.min(MOST_DOUBLINGS));
        if let Some(until) = self.last.map(|last| last.saturating_add(wait)).filter(|&until| at < until) {
            return Err(Held::Cooldown { until, rejections: self.rejections });
        }
        let (day, cap) = (at.div_euclid(DAY), self.daily_cap);
        // A day that is over does not come back, however horizons are interleaved.
        let spent = if day > self.day { 0 } else { self.today };
        if spent >= cap {
            return Err(Held::DailyCap { until: (day.max(self.day) + 1) * DAY, cap });
        }
        Ok(())
    }

    /// A request was made at `at`, by an alarm or by a person.
    pub fn requested(&mut self, at: Micros) {
        let day = at.div_euclid(DAY);
        if day > self.day {
            (self.day, self.today) = (day, 0);
        }
        self.today = self.today.saturating_add(1);
        self.touch(at);
    }

    /// A request ended at `at`. After a promotion or a rejection the cooldown begins anew; after a cancellation it still
    /// counts from the request.
    pub fn closed(&mut self, closed: Closed, at: Micros) {
        match closed {
            Closed::Promoted => self.rejections = 0,
            Closed::Rejected => self.rejections = self.rejections.saturating_add(1),
            Closed::Cancelled => return,
        }
        self.touch(at);
    }

    fn touch(&mut self, at: Micros) {
        self.last = self.last.max(Some(at));
    }

    /// All that [`restore`](Self::restore) needs beside settings: five finite numbers.
    pub fn numbers(&self) -> Vec<f64> {
        // No event time is negative.
        let last = self.last.unwrap_or(-1) as f64;
        vec![VERSION, last, self.day as f64, f64::from(self.today), f64::from(self.rejections)]
    }

    /// The guards that gave `numbers`; none when they are not those of guards.
    pub fn restore(settings: &Settings, numbers: &[f64]) -> Option<Self> {
        let &[version, last, day, today, rejections] = numbers else { return None };
        let last = (last >= 0.0).then_some(last as Micros);
        let guards =
            Self { last, day: day as i64, today: today as u32, rejections: rejections as u32, ..Self::new(settings) };
        (version == VERSION && numbers.iter().all(|n| n.is_finite())).then_some(guards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Micros = 3_600 * SECOND;
    /// The start of a UTC day.
    const START: Micros = 20_000 * DAY;

    fn guards(daily_cap: u32) -> Guards {
        Guards::new(&Settings { cooldown: HOUR, daily_cap, ..Settings::default() })
    }

    #[test]
    fn one_in_flight_and_a_cooldown() {
        let mut guards = guards(9);
        assert_eq!(guards.allow(START, false), Ok(()));
        assert_eq!(guards.allow(START, true), Err(Held::RequestOpen));
        guards.requested(START);
        assert_eq!(guards.allow(START + 2 * HOUR, true), Err(Held::RequestOpen));
        assert_eq!(guards.allow(START + HOUR - 1, false), Err(Held::Cooldown { until: START + HOUR, rejections: 0 }));
        assert_eq!(guards.allow(START + HOUR, false), Ok(()));
    }

    #[test]
    fn rejections_double_the_cooldown_up_to_sixteenfold() {
        let mut guards = guards(99);
        for (rejections, hours) in [(1, 2), (2, 4), (3, 8), (4, 16), (5, 16), (6, 16)] {
            guards.closed(Closed::Rejected, START);
            let until = START + hours * HOUR;
            assert_eq!(guards.allow(until - 1, false), Err(Held::Cooldown { until, rejections }));
            assert_eq!(guards.allow(until, false), Ok(()));
        }
        guards.closed(Closed::Promoted, START + HOUR);
        assert_eq!(guards.allow(START + 2 * HOUR, false), Ok(()), "a promotion forgets");
        assert!(guards.allow(START + 2 * HOUR - 1, false).is_err(), "and begins a cooldown");
    }

    #[test]
    fn a_cancellation_changes_nothing() {
        let mut guards = guards(9);
        guards.requested(START);
        let before = guards.clone();
        guards.closed(Closed::Cancelled, START + HOUR);
        assert_eq!(guards, before);
    }

    #[test]
    fn a_day_has_its_cap() {
        let mut guards = guards(2);
        guards.requested(START + HOUR);
        guards.requested(START + 3 * HOUR);
        let held = Held::DailyCap { until: START + DAY, cap: 2 };
        assert_eq!(guards.allow(START + 5 * HOUR, false), Err(held));
        assert_eq!(guards.allow(START + DAY - 1, false), Err(held));
        assert_eq!(guards.allow(START + DAY, false), Ok(()));
        guards.requested(START + DAY);
        assert_eq!(guards.allow(START + DAY + HOUR, false), Ok(()));
        assert!(super::Guards { daily_cap: 0, ..guards }.allow(START + 9 * DAY, false).is_err());
    }

    #[test]
    fn back_after_a_restart() {
        let settings = Settings { cooldown: HOUR, ..Settings::default() };
        let mut guards = Guards::new(&settings);
        assert_eq!(Guards::restore(&settings, &guards.numbers()), Some(guards.clone()));
        guards.requested(START + 1);
        guards.closed(Closed::Rejected, START + HOUR + 7);
        assert_eq!(Guards::restore(&settings, &guards.numbers()), Some(guards.clone()));
        assert_eq!(Guards::restore(&settings, &[]), None);
        assert_eq!(Guards::restore(&settings, &[1.0, f64::NAN, 0.0, 0.0, 0.0]), None);
        assert_eq!(Guards::restore(&settings, &[2.0, 0.0, 0.0, 0.0, 0.0]), None);
    }

    #[test]
    fn an_absurd_cooldown_is_for_ever() {
        let mut guards = Guards::new(&Settings { cooldown: Micros::MAX, ..Settings::default() });
        guards.requested(START);
        guards.closed(Closed::Rejected, START);
        assert!(guards.allow(START + 1_000 * DAY, false).is_err());
    }
}
