//! Expected calibration error of the probability of up, in bins of equal mass.
//!
//! `ECE = Σ_bins (n_b / n) |mean p in b - share of ups in b| = Σ_bins |Σ p - ups| / n`. M. P. Naeini, G. Cooper and M.
//! Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015; bins of equal mass instead of
//! equal width after K. Nguyen and B. O'Connor, EMNLP 2015: probabilities of a price crowd around one half.
//!
//! So that it can be added up and repeated exactly, rows are gathered on a grid: cell `min(999, floor(1000 p))`. A cell is
//! never split: all its rows go to bin `floor(10 · rows in lower cells / n)`. That is, cells are walked upward and a bin is
//! closed after the cell with which the rows so far reach the next tenth of `n`; a large cell may fill several tenths, so
//! there are at most ten bins.

use super::clip;
use super::numbers::Numbers;

/// Cells of the grid.
pub const CELLS: u16 = 1_000;

/// Most bins.
pub const BINS: u64 = 10;

/// The cell of a probability.
pub fn cell_of(probability: f64) -> u16 {
    // Not negative, and a cast saturates.
    ((probability * f64::from(CELLS)) as u16).min(CELLS - 1)
}

/// Rows of one cell.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cell {
    sum: f64,
    count: u32,
    ups: u32,
    cell: u16,
}

/// The cells that have rows, in ascending order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    cells: Vec<Cell>,
}

impl Calibration {
    /// Adds a row that moved.
    pub fn add(&mut self, probability_up: f64, up: bool) {
        let probability = clip(probability_up);
        let cell = cell_of(probability);
        let index = self.cells.partition_point(|own| own.cell < cell);
        match self.cells.get_mut(index) {
            Some(own) if own.cell == cell => {
                own.sum += probability;
                own.count += 1;
                own.ups += u32::from(up);
            }
            _ => self.cells.insert(index, Cell { sum: probability, count: 1, ups: u32::from(up), cell }),
        }
    }

    /// Adds the rows of `other`.
    pub fn merge(&mut self, other: &Self) {
        let mut merged = Vec::with_capacity((self.cells.len() + other.cells.len()).min(usize::from(CELLS)));
        let mut theirs = other.cells.iter().copied().peekable();
        for own in &self.cells {
            while let Some(lower) = theirs.next_if(|cell| cell.cell < own.cell) {
                merged.push(lower);
            }
            let mut cell = *own;
            if let Some(same) = theirs.next_if(|cell| cell.cell == own.cell) {
                cell.sum += same.sum;
                cell.count += same.count;
                cell.ups += same.ups;
            }
            merged.push(cell);
        }
        merged.extend(theirs);
        self.cells = merged;
    }

    /// The expected calibration error; none without rows.
    pub fn value(&self) -> Option<f64> {
        let n: u64 = self.cells.iter().map(|cell| u64::from(cell.count)).sum();
        if n == 0 {
            return None;
        }
        let (mut error, mut open, mut sum, mut ups, mut lower) = (0.0, 0, 0.0, 0.0, 0);
        for cell in &self.cells {
            let bin = BINS * lower / n;
            if bin != open {
                error += f64::abs(sum - ups);
                (open, sum, ups) = (bin, 0.0, 0.0);
            }
            sum += cell.sum;
            ups += f64::from(cell.ups);
            lower += u64::from(cell.count);
        }
        Some((error + f64::abs(sum - ups)) / n as f64)
    }

    /// Forgets all rows and keeps the room.
    pub(super) fn clear(&mut self) {
        self.cells.clear();
    }

    /// A cell of one row as its probability, negative where the price went down, any other as `1 + cell + 1000 ups`, rows
    /// and sum: a symbol has few rows in a block.
    pub(super) fn write(&self, out: &mut Vec<f64>) {
        for cell in &self.cells {
            match (cell.count, cell.ups) {
                (1, 0) => out.push(-cell.sum),
                (1, _) => out.push(cell.sum),
                (count, ups) => {
                    let key = 1 + u64::from(cell.cell) + u64::from(CELLS) * u64::from(ups);
                    out.extend([key as f64, f64::from(count), cell.sum]);
                }
            }
        }
    }

    /// Reads to the end: these numbers come last.
    pub(super) fn read(numbers: &mut Numbers<'_>) -> Option<Self> {
        let mut cells: Vec<Cell> = Vec::new();
        while !numbers.is_empty() {
            let cell = Cell::read(numbers)?;
            if cells.last().is_some_and(|last| last.cell >= cell.cell) {
                return None;
            }
            cells.push(cell);
        }
        Some(Self { cells })
    }
}

impl Cell {
    fn read(numbers: &mut Numbers<'_>) -> Option<Self> {
        let first = numbers.real()?;
        if first.abs() < 1.0 {
            let cell = cell_of(first.abs());
            return (first != 0.0).then_some(Self { sum: first.abs(), count: 1, ups: u32::from(first > 0.0), cell });
        }
        let key = Numbers::new(&[first]).count()?.checked_sub(1)?;
        let (count, sum) = (u32::try_from(numbers.count()?).ok()?, numbers.real()?);
        let (cell, ups) = ((key % u64::from(CELLS)) as u16, u32::try_from(key / u64::from(CELLS)).ok()?);
        let fits = count >= 2 && ups <= count && sum > 0.0 && sum < f64::from(count);
        fits.then_some(Self { sum, count, ups, cell })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(f64, bool)]) -> Calibration {
        let mut calibration = Calibration::default();
        rows.iter().for_each(|(p, up)| calibration.add(*p, *up));
        calibration
    }

    #[test]
    fn cells_reach_from_end_to_end() {
        assert_eq!(
            [0.0, 1e-6, 0.000_999, 0.001, 0.5, 0.999, 1.0 - 1e-6, 1.0].map(cell_of),
            [0, 0, 0, 1, 500, 999, 999, 999]
        );
    }

    #[test]
    fn edges() {
        assert_eq!(of(&[]).value(), None);
        assert_eq!(of(&[(0.5, true)]).value(), Some(0.5));
        assert_eq!(of(&[(0.5, true), (0.5, false)]).value(), Some(0.0), "one cell is one bin");
        let error = of(&[(0.25, false), (0.75, true)]).value().unwrap();
        assert_eq!(error, 0.25, "errors of two bins do not cancel");
    }

    #[test]
    fn a_bin_closes_when_a_tenth_is_reached() {
        // Twenty rows in cells 400 to 419: two rows a bin. Ups and downs in turn, so each bin holds one up.
        let rows: Vec<_> = (0..20).map(|i| (0.4005 + 0.001 * f64::from(i), i % 2 == 0)).collect();
        let by_hand: f64 = rows.chunks(2).map(|two| (two[0].0 + two[1].0 - 1.0).abs()).sum::<f64>() / 20.0;
        assert!((of(&rows).value().unwrap() - by_hand).abs() < 1e-12);
    }

    #[test]
    fn a_large_cell_is_not_split() {
        let mut rows = vec![(0.3, true)];
        rows.extend([(0.6, true); 8]);
        rows.push((0.9, false));
        let by_hand = (0.7 + (8.0 - 8.0 * 0.6) + 0.9) / 10.0;
        assert!((of(&rows).value().unwrap() - by_hand).abs() < 1e-12);
    }

    #[test]
    fn numbers_are_few_and_checked() {
        let calibration = of(&[(0.1, true), (0.2, false), (0.3, true), (0.3, false), (0.9999999, true)]);
        let mut numbers = Vec::new();
        calibration.write(&mut numbers);
        assert_eq!(numbers.len(), 6, "one for a single row, three for a cell of several");
        assert_eq!(Calibration::read(&mut Numbers::new(&numbers)), Some(calibration));
        for bad in [
            &[0.2, 0.1][..],
            &[0.0],
            &[301.0],
            &[301.0, 2.0],
            &[301.0, 1.0, 0.3],
            &[3301.0, 2.0, 0.6],
            &[-5.0],
            &[f64::NAN],
        ] {
            assert_eq!(Calibration::read(&mut Numbers::new(bad)), None, "{bad:?}");
        }
    }
}
