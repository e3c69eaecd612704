//! Kinds of values in the settings: durations, durations that may be off, secrets.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::flow::time::Micros;

/// A duration written `250ms`, `10s`, `1h 30m`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Span(Duration);

impl Span {
    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// The duration in whole microseconds.
    pub fn micros(self) -> Micros {
        i64::try_from(self.0.as_micros()).unwrap_or(i64::MAX / 4)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|error| format!("`{text}` is not a duration ({error}): write 250ms, 10s, 5m or 1h"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// A value, or `off`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Off<T>(Option<T>);

impl<T: Copy> Off<T> {
    /// The value, if it is not off.
    pub const fn get(self) -> Option<T> {
        self.0
    }
}

impl<T: fmt::Display> fmt::Debug for Off<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Off<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            // A bare `off` in the environment or after --set arrives as text, but some loaders make it a boolean.
            "off" | "false" => Ok(Self(None)),
            text => text.parse().map(|value| Self(Some(value))).map_err(de::Error::custom),
        }
    }
}

/// A text that never shows: not in logs, not in `check`, not in errors.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "\"***\"" })
    }
}

/// Reads any value that has a text form.
pub(super) fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        assert_eq!(format!("{:?}", Secret::from("hunter2".to_owned())), "\"***\"");
    }

    #[test]
    fn spans() {
        assert_eq!("1500ms".parse::<Span>().unwrap().micros(), 1_500_000);
        assert!("10".parse::<Span>().is_err());
    }
}
