//! The state of a detector, and the ladder it moves on.

use std::fmt;
use std::str::FromStr;

/// What a detector says of a model at one horizon; what ops alert on. Ordered by how bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Too little was seen to say anything; nothing is asked for.
    #[default]
    Cold,
    /// As good as its reference, for all one knows.
    Ok,
    /// On the way to degraded; most warnings go away again.
    Warning,
    /// Worse than its reference: every cohort in this state raises an alarm.
    Degraded,
}

impl State {
    const ALL: [Self; 4] = [Self::Cold, Self::Ok, Self::Warning, Self::Degraded];

    /// As it is written in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Degraded => "degraded",
        }
    }

    pub(super) fn number(self) -> f64 {
        f64::from(self as u8)
    }

    pub(super) fn from_number(number: f64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is not a state: cold, ok, warning or degraded"))
    }
}

/// Where a rule's evidence, as a share of what makes it degraded (1), moves the state. Leaving takes less evidence than
/// entering does, so that a statistic that trembles at a border gives one change and not many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ladder {
    /// From here on a warning.
    pub warn: f64,
    /// Below it a warning is over.
    pub calm: f64,
    /// Below it degraded is over.
    pub leave: f64,
}

impl Ladder {
    /// The state after `evidence`.
    pub fn step(self, now: State, evidence: f64) -> State {
        match now {
            _ if evidence >= 1.0 => State::Degraded,
            State::Degraded if evidence >= self.leave => State::Degraded,
            State::Degraded | State::Warning if evidence >= self.calm => State::Warning,
            _ if evidence >= self.warn => State::Warning,
            _ => State::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read_back() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(State::from_number(state.number()), Some(state));
        }
        assert!(
            "bad".parse::<State>().is_err() && State::from_number(4.0).is_none() && State::from_number(0.5).is_none()
        );
        assert!(State::Degraded > State::Warning && State::Warning > State::Ok && State::Ok > State::Cold);
    }

    #[test]
    fn a_ladder_is_left_lower_than_it_is_entered() {
        let ladder = Ladder { warn: 0.5, calm: 0.25, leave: 0.5 };
        let mut state = State::Cold;
        let mut walk = |evidence| {
            state = ladder.step(state, evidence);
            state
        };
        assert_eq!(walk(0.49), State::Ok);
        assert_eq!(walk(0.5), State::Warning);
        assert_eq!(walk(0.25), State::Warning);
        assert_eq!(walk(0.24), State::Ok);
        assert_eq!(walk(0.99), State::Warning);
        assert_eq!(walk(1.0), State::Degraded);
        assert_eq!(walk(0.5), State::Degraded);
        assert_eq!(walk(0.49), State::Warning);
        assert_eq!(walk(1.2), State::Degraded);
        assert_eq!(walk(0.1), State::Ok);
    }
}
