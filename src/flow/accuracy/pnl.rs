//! Profit and loss of the trades, in basis points of the entry price, after fees, and how often one must be right to live.
//!
//! Break-even accuracy is the hit rate p* at which a trade earns nothing: `p* g - (1 - p*) l - fee = 0`, so
//! `p* = (l + fee) / (g + l)`, with g the mean gross gain of trades that won, l the mean gross loss of trades that lost, fee
//! the mean fee; gross is before the fee, and a trade of gross zero is neither. (M. López de Prado, Advances in Financial
//! Machine Learning, 2018, chapter 15, the precision that asymmetric payouts demand.) Above 1 no accuracy suffices.

use super::mean;
use super::numbers::Numbers;
use super::row::Row;

/// Sums over trades.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pnl {
    trades: u64,
    sum: f64,
    fees: f64,
    won: u64,
    gains: f64,
    lost: u64,
    losses: f64,
}

impl Pnl {
    /// Adds a row; one without a profit or loss was no trade.
    pub fn add(&mut self, row: &Row) {
        let Some(pnl) = row.pnl_bps else { return };
        self.trades += 1;
        self.sum += pnl;
        self.fees += row.fee_bps;
        let gross = pnl + row.fee_bps;
        if gross > 0.0 {
            self.won += 1;
            self.gains += gross;
        } else if gross < 0.0 {
            self.lost += 1;
            self.losses -= gross;
        }
    }

    /// Adds what `other` summed.
    pub fn merge(&mut self, other: &Self) {
        self.trades += other.trades;
        self.sum += other.sum;
        self.fees += other.fees;
        self.won += other.won;
        self.gains += other.gains;
        self.lost += other.lost;
        self.losses += other.losses;
    }

    /// How many trades.
    pub fn trades(&self) -> u64 {
        self.trades
    }

    /// The sum in basis points; 0 without trades.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The mean of a trade in basis points; none without trades.
    pub fn mean(&self) -> Option<f64> {
        mean(self.sum, self.trades)
    }

    /// Break-even accuracy; none unless some trade won and some trade lost.
    pub fn break_even(&self) -> Option<f64> {
        let (gain, loss) = (mean(self.gains, self.won)?, mean(self.losses, self.lost)?);
        Some((loss + mean(self.fees, self.trades)?) / (gain + loss))
    }

    pub(super) fn write(&self, out: &mut Vec<f64>) {
        let counts = [self.trades, self.won, self.lost].map(|count| count as f64);
        out.extend(counts);
        out.extend([self.sum, self.fees, self.gains, self.losses]);
    }

    pub(super) fn read(numbers: &mut Numbers<'_>) -> Option<Self> {
        let (trades, won, lost) = (numbers.count()?, numbers.count()?, numbers.count()?);
        let mut real = || numbers.real();
        let (sum, fees, gains, losses) = (real()?, real()?, real()?, real()?);
        (won.checked_add(lost)? <= trades).then_some(Self { trades, sum, fees, won, gains, lost, losses })
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive::row;
    use super::*;

    fn of(trades: &[(f64, f64)]) -> Pnl {
        let mut pnl = Pnl::default();
        trades.iter().for_each(|(gross, fee)| pnl.add(&Row { pnl_bps: Some(gross - fee), fee_bps: *fee, ..row() }));
        pnl
    }

    #[test]
    fn edges() {
        let mut none = of(&[]);
        none.add(&Row { pnl_bps: None, ..row() });
        assert_eq!((none.trades(), none.sum(), none.mean(), none.break_even()), (0, 0.0, None, None));
        assert_eq!(of(&[(8.0, 2.0), (4.0, 2.0)]).break_even(), None, "no loss known");
        assert_eq!(of(&[(-8.0, 2.0)]).break_even(), None, "no gain known");
        assert_eq!(of(&[(0.0, 2.0)]).mean(), Some(-2.0));
    }

    #[test]
    fn at_break_even_a_trade_earns_nothing() {
        assert_eq!(of(&[(5.0, 0.0), (-5.0, 0.0)]).break_even(), Some(0.5));
        assert_eq!(of(&[(5.0, 1.0), (-5.0, 1.0)]).break_even(), Some(0.6));
        assert_eq!(of(&[(1.0, 4.0), (-1.0, 4.0), (0.0, 4.0)]).break_even(), Some(2.5), "fees beyond every gain");
        // Right three times in four, and the figure says 0.75: the sum is nothing.
        let trades = of(&[(4.0, 1.0), (2.0, 1.0), (3.0, 1.0), (-5.0, 1.0)]);
        assert_eq!((trades.break_even(), trades.sum()), (Some(0.75), 0.0));
    }
}
