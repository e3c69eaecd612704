//! The same outputs without a state machine: all trades that count first, then bars symbol by symbol, then what is said.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::fake::{HORIZONS, NAMES, SEQUENCE, WINDOW, answer, digest};
use super::{Event, KAFKA_TIME, LATENESS, MAX_FILL, SKEW, interval};
use crate::flow::bar::Bar;
use crate::flow::prediction::{AbstainReason, Prediction, Reference};
use crate::flow::symbol::Symbol;
use crate::flow::time::{Micros, SECOND};

/// What matters of a prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub as_of: Micros,
    pub symbol: String,
    pub horizon: u32,
    pub reasons: Vec<AbstainReason>,
    pub reference: Reference,
    pub digest: Option<String>,
    pub probabilities: Option<[f32; 3]>,
    pub max_event_time: Micros,
}

impl Said {
    pub fn order(&self, other: &Self) -> Ordering {
        (self.as_of, &self.symbol, self.horizon).cmp(&(other.as_of, &other.symbol, other.horizon))
    }
}

impl From<&Prediction> for Said {
    fn from(p: &Prediction) -> Self {
        Self {
            as_of: p.as_of,
            symbol: p.symbol.to_string(),
            horizon: p.horizon,
            reasons: p.abstain_reasons.clone(),
            reference: p.reference,
            digest: p.feature_digest.map(|digest| digest.to_string()),
            probabilities: p.probabilities.map(|p| [p.down, p.flat, p.up]),
            max_event_time: p.max_event_time,
        }
    }
}

/// Everything that should have been emitted, bars by end and symbol.
#[derive(Default)]
pub struct Naive {
    pub bars: Vec<Bar>,
    pub said: Vec<Said>,
}

#[derive(Clone, Copy)]
struct Deal {
    time: Micros,
    price: f64,
    size: f64,
    id: Option<u64>,
}

pub fn compute(events: &[Event]) -> Naive {
    let close_of = |time: Micros| time.div_euclid(SECOND) * SECOND + SECOND;
    let mut deals: BTreeMap<(usize, Micros), Vec<Deal>> = BTreeMap::new();
    let mut gaps: Vec<(usize, Micros, Micros)> = Vec::new();
    let mut watermark = Micros::MIN;
    for event in events {
        match *event {
            Event::Watermark(time) => watermark = watermark.max(time),
            Event::Gap { symbol, from, to } => {
                let last = if to > from { close_of(to - 1) } else { close_of(from) };
                // Of the bars it touches, those that are closed stay as they are.
                gaps.push((symbol, close_of(from).max(watermark.saturating_add(1)), last));
            }
            Event::Trade { symbol, time, price, size, id } => {
                let close = close_of(time);
                if time > KAFKA_TIME + SKEW || close <= watermark {
                    continue;
                }
                let deals = deals.entry((symbol, close)).or_default();
                if id.is_none() || deals.iter().all(|deal| deal.id != id) {
                    deals.push(Deal { time, price, size, id });
                    watermark = watermark.max(time - LATENESS);
                }
            }
        }
    }
    let mut naive = Naive::default();
    for symbol in 0..NAMES.len() {
        let is_whole = |close: Micros| !gaps.iter().any(|&(s, from, to)| s == symbol && from <= close && close <= to);
        let own: BTreeMap<Micros, &[Deal]> = deals
            .range((symbol, Micros::MIN)..=(symbol, Micros::MAX))
            .map(|((_, close), deals)| (*close, &deals[..]))
            .collect();
        let mut next = own.keys().next().copied();
        while let Some(first) = next.filter(|first| *first <= watermark) {
            let (life, silent) = live(symbol, first, &own, watermark, is_whole);
            naive.said.extend(say(&life));
            if let Some(last) = life.last().filter(|_| silent) {
                let mut bar = last.synthetic_next(true);
                bar.close_time = last.close_time + SECOND;
                naive.said.extend(HORIZONS.iter().map(|h| said(&bar, *h, vec![AbstainReason::Silent], None)));
            }
            let end = life.last().map_or(first, |bar| bar.close_time);
            next = own.range(end + 1..).next().map(|(close, _)| *close).filter(|_| silent);
            naive.bars.extend(life);
        }
    }
    naive.bars.sort_by_key(|bar| (bar.close_time, bar.symbol.clone()));
    naive.said.sort_by(Said::order);
    naive
}

/// The bars of one symbol from its first one at `close` until it falls silent (then `true`) or the watermark ends it.
fn live(
    symbol: usize,
    mut close: Micros,
    deals: &BTreeMap<Micros, &[Deal]>,
    watermark: Micros,
    is_whole: impl Fn(Micros) -> bool,
) -> (Vec<Bar>, bool) {
    let mut bars: Vec<Bar> = Vec::new();
    let mut fills = 0;
    while close <= watermark {
        match (deals.get(&close), bars.last()) {
            (Some(deals), last) => {
                let complete = last.is_some() && is_whole(close);
                bars.push(bar(symbol, close, deals, complete));
                fills = 0;
            }
            (None, _) if fills == MAX_FILL => return (bars, true),
            (None, Some(last)) => {
                let next = Bar {
                    open_time: last.close_time,
                    close_time: close,
                    open: last.close,
                    high: last.close,
                    low: last.close,
                    vwap: last.close,
                    volume: 0.0,
                    trades: 0,
                    buy_volume: 0.0,
                    sell_volume: 0.0,
                    complete: is_whole(close),
                    synthetic: true,
                    ..last.clone()
                };
                bars.push(next);
                fills += 1;
            }
            (None, None) => unreachable!("a life begins with trades"),
        }
        close += SECOND;
    }
    (bars, false)
}

fn bar(symbol: usize, close: Micros, deals: &[Deal], complete: bool) -> Bar {
    let earliest = deals.iter().map(|d| d.time).min().unwrap();
    let latest = deals.iter().map(|d| d.time).max().unwrap();
    let (low, high) = deals.iter().fold((f64::MAX, 0.0_f64), |(low, high), d| (low.min(d.price), high.max(d.price)));
    let volume: f64 = deals.iter().fold(0.0, |sum, d| sum + d.size);
    let notional: f64 = deals.iter().fold(0.0, |sum, d| sum + d.price * d.size);
    Bar {
        symbol: Symbol::new(NAMES[symbol]).unwrap(),
        interval: interval(),
        open_time: close - SECOND,
        close_time: close,
        open: deals.iter().find(|d| d.time == earliest).unwrap().price,
        high,
        low,
        close: deals.iter().rfind(|d| d.time == latest).unwrap().price,
        volume,
        vwap: (notional / volume).clamp(low, high),
        trades: deals.len() as u64,
        buy_volume: deals.iter().filter(|d| d.time % 2 == 0).fold(0.0, |sum, d| sum + d.size),
        sell_volume: 0.0,
        complete,
        synthetic: false,
        last_event_time: latest,
    }
}

/// What is said about each bar of a life.
fn say(bars: &[Bar]) -> Vec<Said> {
    let needed = WINDOW + SEQUENCE - 1;
    let features = |index: usize| {
        let (now, old, before) = (&bars[index], &bars[index - (WINDOW - 1)], &bars[index - 1]);
        [(now.close / old.close - 1.0) as f32, (now.close / before.close - 1.0) as f32, now.volume as f32]
    };
    let mut all = Vec::new();
    for (index, bar) in bars.iter().enumerate() {
        let held = &bars[(index + 1).saturating_sub(needed)..=index];
        let mut reasons = Vec::new();
        if held.len() < needed {
            reasons.push(AbstainReason::WarmingUp);
        }
        if held.iter().any(|bar| !bar.complete) {
            reasons.push(AbstainReason::GapInWindow);
        }
        let row: Option<Vec<f32>> =
            reasons.is_empty().then(|| (index + 1 - SEQUENCE..=index).flat_map(features).collect());
        for (place, horizon) in HORIZONS.iter().enumerate() {
            let answer = row.as_ref().map(|row| (format!("{:016x}", digest(row)), answer(row)[place]));
            all.push(said(bar, *horizon, reasons.clone(), answer));
        }
    }
    all
}

fn said(bar: &Bar, horizon: u32, reasons: Vec<AbstainReason>, answer: Option<(String, [f32; 3])>) -> Said {
    let (digest, probabilities) = answer.unzip();
    Said {
        as_of: bar.close_time,
        symbol: bar.symbol.to_string(),
        horizon,
        reasons,
        reference: Reference::from(bar),
        digest,
        probabilities,
        max_event_time: bar.last_event_time,
    }
}
