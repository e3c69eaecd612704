//! Requests to retrain a model: made by the judge or by a person, one open at a time.

use sha2::{Digest, Sha256};

use super::accuracy::{Report, Subject};
use super::time::Micros;
use super::trigger::{Alarm, Closed};

/// A request by the judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// See [`request_id`].
    pub id: String,
    /// Whose alarm it is.
    pub subject: Subject,
    /// What the detector said.
    pub alarm: Alarm,
    /// Target time of the cohort that raised it.
    pub as_of: Micros,
    /// The report of that moment.
    pub evidence: Report,
}

/// The id of a request: the first 16 bytes of the SHA-256 of `retrain|` and the parts joined by `|`, in hexadecimal. The same
/// alarm has the same id, however often it is computed again.
pub fn request_id(parts: &[&str]) -> String {
    let digest = Sha256::digest(format!("retrain|{}", parts.join("|")));
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the `retrain` topic says of one model, in the order of its offsets: whoever asked first is the one that is open, and
/// who asks meanwhile joins it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flight {
    /// The open request.
    open: Option<String>,
    /// How requests ended, and when, in order.
    ends: Vec<(Closed, Micros)>,
}

impl Flight {
    /// A request was made; `false` where one is open already and this one joins it.
    pub fn requested(&mut self, id: &str) -> bool {
        if self.open.is_some() {
            return false;
        }
        self.open = Some(id.to_owned());
        true
    }

    /// A request ended; the end of any other than the open one means nothing.
    pub fn closed(&mut self, id: &str, closed: Closed, at: Micros) {
        if self.open.as_deref() == Some(id) {
            self.open = None;
            self.ends.push((closed, at));
        }
    }

    /// The id of the open request.
    pub fn open(&self) -> Option<&str> {
        self.open.as_deref()
    }

    /// How requests ended.
    pub fn ends(&self) -> &[(Closed, Micros)] {
        &self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_in_order_is_the_one() {
        let mut flight = Flight::default();
        assert!(flight.requested("a"));
        assert!(!flight.requested("b"));
        flight.closed("b", Closed::Cancelled, 1);
        assert_eq!(flight.open(), Some("a"));
        flight.closed("a", Closed::Rejected, 2);
        assert_eq!((flight.open(), flight.ends()), (None, &[(Closed::Rejected, 2)][..]));
        assert!(flight.requested("c"));
    }

    #[test]
    fn ids_are_stable() {
        // printf '%s' 'retrain|m|1|10s|5|cusum|7' | sha256sum | cut -c1-32
        assert_eq!(request_id(&["m", "1", "10s", "5", "cusum", "7"]).len(), 32);
        assert_ne!(request_id(&["m", "1"]), request_id(&["m", "2"]));
    }
}
