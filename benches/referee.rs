//! Settling and judging 1000 symbols at 3 horizons, beside forecasting the same stream. Everything that a process does with the
//! records but Kafka itself: reading JSON, machines, writing JSON.
//!
//! Last, what a restore of the judge takes, Kafka apart: its items and the outcomes since, from JSON to a judge that goes on.
//!
//! `cargo bench --bench referee`: needs ONNX Runtime (`make bench` sets its place), no Kafka. One bar end after the other is
//! forecast, settled and judged, so that all see the same machine; figures are means over bar ends.

use std::time::{Duration, Instant};

use tickcast::flow::outcome::Settled;
use tickcast::flow::rules::Rules;
use tickcast::flow::time::{Interval, Micros, SECOND};
use tickcast::flow::trigger;
use tickcast::io::inference;
use tickcast::machine::forecaster::{Champion, Cycle, Forecaster, Position};
use tickcast::machine::judge::{Judge, Judged, Restored, Settings};
use tickcast::machine::settler::Settler;
use tickcast::wire;

/// 2024-01-01, a bar's start.
const BEGIN: Micros = 1_704_067_200 * SECOND;
const SYMBOLS: usize = 1_000;

fn main() {
    println!(
        "settling and judging {SYMBOLS} symbols at 3 horizons beside forecasting them (aim: less than a tenth), per bar end"
    );
    for (ticks, rounds) in [(3, 60), (30, 60), (300, 60), (1_000, 20)] {
        let mut stream = Stream::new(ticks);
        for _ in 0..stream.champion.spec().bars_needed() + 20 {
            // Windows are warmed with few ticks: what counts is what follows.
            stream.bar(1);
        }
        let (mut forecast, mut settle, mut judge) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let took = stream.bar(ticks);
            forecast.push(took.0);
            settle.push(took.1);
            judge.push(took.2);
        }
        // Reports of every symbol make each tenth bar end dear: a mean tells the cost, a median would hide it.
        let (f, s, j) = (mean(&forecast), mean(&settle), mean(&judge));
        println!(
            "  {ticks:>4} ticks a bar and symbol ({:>3} a prediction): forecast {:>8.2} ms, settle {:>6.2} ms, judge {:>6.2} ms: {:>5.1}%",
            ticks / 3,
            f * 1e3,
            s * 1e3,
            j * 1e3,
            (s + j) / f * 100.0
        );
    }
    let mut stream = Stream::new(1);
    // Until the window's blocks are all there, and nearly a whole one is not written down.
    let bars = stream.champion.spec().bars_needed() + 15 + 549;
    (0..bars).for_each(|_| _ = stream.bar(1));
    stream.restore();
}

fn mean(times: &[Duration]) -> f64 {
    times.iter().sum::<Duration>().as_secs_f64() / times.len() as f64
}

/// One partition of everything.
struct Stream {
    symbols: Vec<String>,
    prices: Vec<f64>,
    champion: Champion,
    forecaster: Forecaster,
    settler: Settler,
    judge: Judge,
    cycle: Cycle,
    bar: i64,
    offsets: [i64; 3],
    random: u64,
    /// The judge's items by key, as they are in `accuracy.state`.
    items: std::collections::BTreeMap<String, Vec<u8>>,
    /// Outcomes from [`Judge::resume`] on, with their offsets.
    log: std::collections::VecDeque<(i64, Vec<u8>)>,
    settings: Settings,
}

impl Stream {
    fn new(ticks: usize) -> Self {
        let rules = Rules {
            interval: Interval::from_seconds(1).expect("an interval"),
            lateness: 0,
            max_fill: 60,
            future_skew: 60 * SECOND,
            max_symbols: SYMBOLS,
            assets: None,
            max_staleness: None,
            min_confidence: 0.0,
            max_model_age: None,
        };
        let model = inference::load(std::path::Path::new(""), 1).expect("the reference model");
        let champion = Champion::new(Box::new(model)).expect("the reference model's features");
        let settings = Settings {
            report_every: 10,
            window: 500,
            trigger: trigger::Settings::default(),
            partitions: 1,
            max_open_rows: 1_000_000,
            acceptances: Vec::new(),
        };
        Self {
            symbols: (0..SYMBOLS).map(|n| format!("SYM{n:04}-USDT.BENCH")).collect(),
            prices: vec![100.0; SYMBOLS],
            forecaster: Forecaster::new(rules, &champion),
            champion,
            settler: Settler::new(0, 10.0, 1_000_000),
            judge: Judge::new(settings.clone()),
            cycle: Cycle::default(),
            bar: 0,
            offsets: [0; 3],
            random: ticks as u64,
            items: Default::default(),
            log: Default::default(),
            settings,
        }
    }

    /// One bar with `ticks` trades a symbol; gives what forecasting, settling and judging took.
    fn bar(&mut self, ticks: usize) -> (Duration, Duration, Duration) {
        let records = self.ticks(ticks);
        let began = Instant::now();
        let predictions = self.forecast(&records);
        let forecast = began.elapsed();
        let began = Instant::now();
        let outcomes = self.settle(&predictions);
        let settle = began.elapsed();
        let began = Instant::now();
        let written = self.judged(&outcomes);
        std::hint::black_box(written);
        let judge = began.elapsed();
        let first = self.offsets[2] - outcomes.len() as i64;
        self.log.extend((first..).zip(outcomes));
        let resume = self.judge.resume(self.offsets[2]);
        while self.log.front().is_some_and(|(offset, _)| *offset < resume) {
            self.log.pop_front();
        }
        (forecast, settle, judge)
    }

    fn ticks(&mut self, ticks: usize) -> Vec<Vec<u8>> {
        let mut records = Vec::with_capacity(ticks * SYMBOLS + 1);
        for n in 0..ticks {
            for symbol in 0..SYMBOLS {
                self.random =
                    self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let uniform = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
                self.prices[symbol] *= 1.0 + 2e-3 * (uniform - 0.5);
                let time = BEGIN + self.bar * SECOND + n as i64 * SECOND / ticks as i64;
                records.push(
                    format!(
                        r#"{{"symbol":"{}","price":{:.5},"size":{:.5},"side":"buy","trade_id":"{}","event_time":{time}}}"#,
                        self.symbols[symbol],
                        self.prices[symbol],
                        0.5 + uniform,
                        self.offsets[0] + records.len() as i64
                    )
                    .into_bytes(),
                );
            }
        }
        self.bar += 1;
        records.push(format!(r#"{{"kind":"watermark","event_time":{}}}"#, BEGIN + self.bar * SECOND).into_bytes());
        records
    }

    fn forecast(&mut self, records: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let kafka_time = BEGIN + (self.bar + 1) * SECOND;
        let mut out = Vec::new();
        for record in records {
            let decoded = wire::tick::decode(Some(record), 65_536).expect("a tick");
            self.forecaster.apply(Position { offset: self.offsets[0], kafka_time }, &decoded);
            self.offsets[0] += 1;
            while let Some(end) = self.forecaster.next_cycle() {
                self.forecaster.close(end, &mut self.champion, &mut self.cycle);
                for bar in &self.cycle.bars {
                    let mut bytes = Vec::with_capacity(400);
                    wire::bar::encode(bar, &mut bytes);
                    std::hint::black_box(bytes);
                }
                for prediction in &self.cycle.predictions {
                    let mut bytes = Vec::with_capacity(700);
                    wire::prediction::encode(prediction, kafka_time, &mut bytes);
                    out.push(bytes);
                }
            }
        }
        assert_eq!(out.len(), 3 * SYMBOLS, "every symbol has traded");
        out
    }

    fn settle(&mut self, predictions: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let (mut out, mut settled) = (Vec::new(), Vec::<Settled>::new());
        for prediction in predictions {
            let record = wire::prediction::decode_said(prediction).expect("a prediction");
            self.settler.apply(self.offsets[1], &record.said().expect("a prediction"), &mut settled);
            self.offsets[1] += 1;
            for settled in settled.drain(..) {
                let mut bytes = Vec::with_capacity(700);
                wire::outcome::encode(&settled, 0, &mut bytes);
                out.push(bytes);
            }
        }
        out
    }

    fn judged(&mut self, outcomes: &[Vec<u8>]) -> usize {
        use wire::outcome::Decoded;
        let (mut written, mut buffer, mut judged) = (0, Vec::new(), Vec::new());
        for outcome in outcomes {
            match wire::outcome::decode::<wire::outcome::EvidenceRecord<'_>>(outcome).expect("an outcome") {
                Decoded::Outcome(record) => {
                    self.judge.apply(self.offsets[2], &record.evidence().expect("an outcome"));
                }
                Decoded::Progress(record) => self.judge.progress(&record.passage()),
                Decoded::Left(record) => self.judge.left(&record.passage()),
            }
            self.offsets[2] += 1;
            while self.judge.close(&mut judged) {}
            for judged in judged.drain(..) {
                if let Judged::Report(report) = judged {
                    buffer.clear();
                    wire::accuracy::encode(&report, 0, &mut buffer);
                    written += buffer.len();
                }
            }
        }
        for item in self.judge.save(self.offsets[2]) {
            buffer.clear();
            wire::judge_state::encode(&item, &mut buffer);
            written += buffer.len();
            self.items.insert(item.key().to_string(), buffer.clone());
        }
        written
    }

    /// Prints what a restore takes.
    fn restore(&self) {
        use wire::outcome::{Decoded, EvidenceRecord};
        let began = Instant::now();
        let mut restored = Restored::default();
        for item in self.items.values() {
            restored.take(wire::judge_state::decode(item).expect("an item"));
        }
        let (mut judge, problems) = Judge::restore(self.settings.clone(), restored);
        let items = began.elapsed();
        assert!(problems.is_empty(), "{problems:?}");
        for (offset, outcome) in &self.log {
            if let Decoded::Outcome(record) = wire::outcome::decode::<EvidenceRecord<'_>>(outcome).expect("an outcome")
            {
                judge.reapply(*offset, &record.evidence().expect("an outcome"));
            }
        }
        judge.rebuilt();
        let all = began.elapsed();
        assert_eq!(judge.reports(), self.judge.reports(), "the judge that was lost");
        println!(
            "restore of the judge (aim: under a second): {:.2} s, of which {:.2} s for {} items ({:.1} MB), the rest for {} outcomes",
            all.as_secs_f64(),
            items.as_secs_f64(),
            self.items.len(),
            self.items.values().map(Vec::len).sum::<usize>() as f64 / 1e6,
            self.log.len()
        );
    }
}
