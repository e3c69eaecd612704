//! The name of one instrument on one venue.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest symbol, in bytes.
pub const MAX_LEN: usize = 64;

/// A checked symbol such as `BTC-USDT.BINANCE-SPOT`: spot and futures of one name are two symbols.
///
/// Cheap to clone: every bar and prediction of a symbol shares one string.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(Arc<str>);

/// Whether `text` may be a symbol: letters, digits and `.-_/:`, 1 to 64 of them.
pub fn is_valid(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_LEN
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/' | b':'))
}

impl Symbol {
    /// Checks and takes `text`.
    ///
    /// # Errors
    /// When [`is_valid`] says no.
    pub fn new(text: &str) -> Result<Self, SymbolError> {
        if is_valid(text) { Ok(Self(text.into())) } else { Err(SymbolError(text.chars().take(80).collect())) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that cannot be a symbol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a symbol: use letters, digits and .-_/: (at most 64), for example BTC-USDT.BINANCE-SPOT")]
pub struct SymbolError(String);

impl Borrow<str> for Symbol {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        assert!(Symbol::new("BTC-USDT.BINANCE-SPOT").is_ok());
        assert!(Symbol::new(&"A".repeat(64)).is_ok());
        for bad in ["", "A B", "Ä", "A\n", &"A".repeat(65), "A'"] {
            assert!(Symbol::new(bad).is_err(), "{bad:?}");
        }
    }
}
