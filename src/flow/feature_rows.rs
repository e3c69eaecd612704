//! The last feature rows of one symbol: the model's input, kept from cycle to cycle.

/// A ring of the newest `sequence` rows of `width` features.
#[derive(Clone, Debug)]
pub struct FeatureRows {
    values: Vec<f32>,
    width: usize,
    sequence: usize,
    /// Where the next row goes.
    head: usize,
    len: usize,
    /// Rows since the newest one that holds a value that is not finite; `sequence` when there is none.
    finite: usize,
}

impl FeatureRows {
    /// An empty ring. Memory is taken with the first row, so a symbol that never warms up costs none.
    pub fn new(sequence: usize, width: usize) -> Self {
        Self { values: Vec::new(), width, sequence, head: 0, len: 0, finite: sequence }
    }

    /// Adds the newest row, dropping the oldest when full.
    ///
    /// # Panics
    /// When `row` has not `width` values: a mistake of the caller.
    pub fn push(&mut self, row: impl ExactSizeIterator<Item = f32>) {
        assert_eq!(row.len(), self.width, "a feature row has one value a feature");
        if self.values.is_empty() {
            self.values.resize(self.sequence * self.width, 0.0);
        }
        let mut finite = true;
        let start = self.head * self.width;
        for (place, value) in self.values[start..start + self.width].iter_mut().zip(row) {
            finite &= value.is_finite();
            *place = value;
        }
        self.head = (self.head + 1) % self.sequence;
        self.len = (self.len + 1).min(self.sequence);
        self.finite = if finite { (self.finite + 1).min(self.sequence) } else { 0 };
    }

    /// Whether all rows are there.
    pub fn is_full(&self) -> bool {
        self.len == self.sequence
    }

    /// Whether every value of every row is finite.
    pub fn is_finite(&self) -> bool {
        self.finite >= self.len
    }

    /// Copies the rows, oldest first, into `input` of `sequence x width` values.
    ///
    /// # Panics
    /// When `input` has another size or the ring is not full: a mistake of the caller.
    pub fn copy_to(&self, input: &mut [f32]) {
        assert!(self.is_full(), "only a full sequence is an input");
        let split = self.head * self.width;
        let (newer, older) = (&self.values[..split], &self.values[split..]);
        input[..older.len()].copy_from_slice(older);
        input[older.len()..].copy_from_slice(newer);
    }

    /// Forgets every row.
    pub fn clear(&mut self) {
        (self.head, self.len, self.finite) = (0, 0, self.sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_first() {
        let mut rows = FeatureRows::new(3, 2);
        for i in 0..5_u8 {
            rows.push([f32::from(i), f32::from(i) + 0.5].into_iter());
            assert_eq!(rows.is_full(), i >= 2);
        }
        let mut input = [0.0; 6];
        rows.copy_to(&mut input);
        assert_eq!(input, [2.0, 2.5, 3.0, 3.5, 4.0, 4.5]);
    }

    #[test]
    fn a_nan_stays_until_its_row_is_gone() {
        let mut rows = FeatureRows::new(2, 1);
        rows.push([f32::NAN].into_iter());
        assert!(!rows.is_finite());
        rows.push([1.0].into_iter());
        assert!(!rows.is_finite());
        rows.push([1.0].into_iter());
        assert!(rows.is_finite());
        rows.push([f32::INFINITY].into_iter());
        assert!(!rows.is_finite());
        rows.clear();
        assert!(rows.is_finite() && !rows.is_full());
    }
}
