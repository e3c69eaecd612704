//! Statistics as plain numbers and back, without loss: how a state is kept is the business of others.

/// The largest integer up to which every integer is a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Numbers that are read one after the other; a reader that meets what cannot have been written gives nothing.
pub(super) struct Numbers<'a>(&'a [f64]);

impl<'a> Numbers<'a> {
    pub(super) fn new(numbers: &'a [f64]) -> Self {
        Self(numbers)
    }

    /// A finite number.
    pub(super) fn real(&mut self) -> Option<f64> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        first.is_finite().then_some(*first)
    }

    /// An integer.
    pub(super) fn integer(&mut self) -> Option<i64> {
        self.real().filter(|value| value.fract() == 0.0 && value.abs() <= EXACT).map(|value| value as i64)
    }

    /// An integer that is not negative.
    pub(super) fn count(&mut self) -> Option<u64> {
        self.integer().and_then(|value| u64::try_from(value).ok())
    }

    /// Whether all were read.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_what_can_have_been_written() {
        let mut numbers = Numbers::new(&[1.5, 7.0, -7.0, 0.0, 1.5, -1.0, f64::NAN, 1e17]);
        assert_eq!((numbers.real(), numbers.count(), numbers.integer()), (Some(1.5), Some(7), Some(-7)));
        assert_eq!((numbers.count(), numbers.count(), numbers.count()), (Some(0), None, None));
        assert_eq!((numbers.real(), numbers.integer()), (None, None));
        assert!(numbers.is_empty());
        assert_eq!(numbers.real(), None);
    }
}
