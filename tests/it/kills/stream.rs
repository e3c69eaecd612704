//! A small market with everything in it that makes a restore difficult.

use tickcast::flow::time::{Micros, SECOND};

/// 2024-08-09T00:00:00Z.
pub const BEGIN: Micros = 1_723_161_600 * SECOND;
/// One-second bars of [`market`]; the reference model wants 319 before it speaks.
pub const BARS: i64 = 400;
const SYMBOLS: u64 = 7;

/// A record of the ticks topic.
#[derive(Clone, Debug)]
pub enum Tick {
    /// Keyed by its symbol.
    Keyed(String, Vec<u8>),
    /// To every partition.
    Watermark(Micros),
}

impl Tick {
    /// A trade of size 1 without an id.
    pub fn trade(symbol: &str, price: f64, time: Micros) -> Self {
        let text = format!(r#"{{"symbol":"{symbol}","price":{price},"size":1,"event_time":{time}}}"#);
        Self::Keyed(symbol.to_owned(), text.into_bytes())
    }

    /// Its key; empty where it goes everywhere.
    pub fn key(&self) -> &str {
        match self {
            Self::Keyed(key, _) => key,
            Self::Watermark(_) => "",
        }
    }
}

/// SplitMix64: the same numbers everywhere, for ever.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn trade(symbol: &str, price: f64, size: f64, side: &str, id: u64, time: Micros) -> Tick {
    let text = format!(
        r#"{{"symbol":"{symbol}","price":{price},"size":{size},"side":"{side}","trade_id":{id},"event_time":{time}}}"#
    );
    Tick::Keyed(symbol.to_owned(), text.into_bytes())
}

/// Trades of seven symbols: stragglers within the lateness, late ones, duplicates, records that are no ticks, gaps, quiet
/// bars, a symbol that falls silent and comes back, watermarks that jump, and one at the end.
pub fn market() -> Vec<Tick> {
    let mut random = Random(7);
    let mut prices = [0.0; SYMBOLS as usize].map(|_: f64| 100.0 + random.below(900) as f64);
    let mut ticks = Vec::new();
    let mut second = 0;
    let mut id = 0;
    while second < BARS {
        let start = BEGIN + second * SECOND;
        let mut batch = Vec::new();
        for number in 0..SYMBOLS {
            // One symbol is away for longer than max_fill, two others trade rarely at times.
            let away = number == 6 && (120..180).contains(&second);
            let rare = number >= 4 && (second / 50) % 2 == 1;
            let count = if away || (rare && !random.once_in(4)) { 0 } else { random.below(3) + u64::from(!rare) };
            let symbol = format!("S{number}-USDT.TEST");
            for _ in 0..count {
                let price = &mut prices[number as usize];
                *price = (*price * (1.0 + (random.below(2_001) as f64 - 1_000.0) * 1e-6) * 1e4).round() / 1e4;
                let size = (random.below(10_000) + 1) as f64 / 1e3;
                let side = ["buy", "sell", "unknown"][random.below(3) as usize];
                let time = start + random.below(1_000_000) as i64;
                id += 1;
                batch.push((time, trade(&symbol, *price, size, side, id, time)));
                if random.once_in(30) {
                    batch.push((time + 10, trade(&symbol, *price, size, side, id, time)));
                }
                if random.once_in(60) && second > 10 {
                    let late = time - 5 * SECOND;
                    batch.push((time, trade(&symbol, *price * 2.0, size, side, id + 1_000_000, late)));
                }
                if random.once_in(25) {
                    // A straggler: written later than it happened, and still on time.
                    let last = batch.len() - 1;
                    batch[last].0 += 600_000;
                }
            }
        }
        if second == 30 {
            let gap = format!(
                r#"{{"kind":"gap","symbol":"S5-USDT.TEST","from":{},"to":{}}}"#,
                start + SECOND / 2,
                start + 4 * SECOND
            );
            batch.push((start, Tick::Keyed("S5-USDT.TEST".to_owned(), gap.into_bytes())));
        }
        if second % 40 == 7 {
            batch.push((start, Tick::Keyed(format!("S{}-USDT.TEST", second % 7), b"{\"symbol\":".to_vec())));
        }
        batch.sort_by_key(|(time, _)| *time);
        ticks.extend(batch.into_iter().map(|(_, tick)| tick));
        // An outage: nobody trades for a while, and the source says so.
        if matches!(second, 60 | 230) {
            second += 12;
            ticks.push(Tick::Watermark(BEGIN + second * SECOND));
        }
        second += 1;
    }
    ticks.push(Tick::Watermark(BEGIN + BARS * SECOND));
    ticks
}

/// Trades of `symbols` symbols in each of `bars` seconds, and one watermark that closes them all.
pub fn one_jump(symbols: u64, bars: i64) -> Vec<Tick> {
    let mut random = Random(11);
    let mut ticks = Vec::new();
    for second in 0..bars {
        for number in 0..symbols {
            let price = 100.0 + random.below(1_000) as f64 / 100.0;
            let time = BEGIN + second * SECOND + random.below(1_000_000) as i64;
            let id = second as u64 * symbols + number;
            // Now and then a bar without a trade.
            if second < 5 || !random.once_in(10) {
                ticks.push(trade(&format!("J{number}"), price, 1.5, "buy", id, time));
            }
        }
    }
    ticks.push(Tick::Watermark(BEGIN + bars * SECOND));
    ticks
}
