//! The driver over generated markets: how partitions lie is all the same, and what comes out is what the machines give when
//! each works off its whole input before the next begins.

use std::collections::BTreeMap;

use super::*;
use crate::flow::market::{Market, MarketSpec, MarketTick, Schedule};
use crate::flow::model::{CLASSES, Golden, ModelSpec, ScoreError, Scorer};
use crate::flow::partitioner;
use crate::flow::tick::{Side, Trade};
use crate::flow::time::SECOND;
use crate::flow::trigger;

const START: Micros = 1_700_000_000 * SECOND;
const BARS: u64 = 120;
const END: Micros = START + 10 * SECOND * 120;

/// Sees a drift in the last return, and answers a row alone as it answers it among others.
struct Follows {
    spec: ModelSpec,
    input: Vec<f32>,
    output: Vec<f32>,
}

impl Scorer for Follows {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn input(&mut self, rows: usize) -> &mut [f32] {
        self.input.resize(2 * rows, f32::NAN);
        &mut self.input
    }

    fn run(&mut self, rows: usize) -> Result<&[f32], ScoreError> {
        let answer = |row: &[f32]| {
            let up = (0.5 + 100.0 * (row[0] + row[1])).clamp(0.05, 0.85);
            [0.9 - up, 0.1, up]
        };
        self.output = self.input.chunks_exact(2).take(rows).flat_map(|row| answer(row).repeat(2)).collect();
        assert_eq!(self.output.len(), rows * 2 * CLASSES);
        Ok(&self.output)
    }
}

fn champion() -> Champion {
    let spec = ModelSpec {
        name: "follows".to_owned(),
        version: "1".to_owned(),
        features: r#"SELECT last(close) / lag(close, 5) - 1 AS r FROM "window""#.to_owned(),
        window: 8,
        sequence: 2,
        bar_interval: None,
        horizons: vec![1, 3],
        dead_band_bps: 0.0,
        training_range: (0, 0),
        acceptance: String::new(),
        golden: Golden::default(),
    };
    Champion::new(Box::new(Follows { spec, input: Vec::new(), output: Vec::new() })).unwrap()
}

fn settings(partitions: i32) -> Settings {
    Settings {
        rules: Rules {
            interval: "10s".parse().unwrap(),
            lateness: SECOND,
            max_fill: 6,
            future_skew: SECOND,
            max_symbols: 100,
            assets: None,
            max_staleness: None,
            min_confidence: 0.0,
            max_model_age: None,
        },
        fee_bps: 1.0,
        max_pending: 10_000,
        max_bad_ratio: 0.5,
        judge: judge::Settings {
            report_every: 5,
            window: 40,
            trigger: trigger::Settings { baseline_n: 10, in_control: 100.0, ..trigger::Settings::default() },
            partitions,
            max_open_rows: 10_000,
            acceptances: Vec::new(),
        },
    }
}

/// Seven symbols, of which one falls silent and comes back, and one begins late.
fn market() -> Vec<MarketTick> {
    let spec = MarketSpec {
        symbols: 7,
        interval: settings(1).rules.interval,
        start: START,
        bars: Some(BARS),
        seed: 3,
        ticks_per_bar: 2.0,
        schedule: Schedule::flipping(&[70]).unwrap(),
        correlation: 0.0,
    };
    let bar = |tick: &MarketTick| (tick.event_time - START) / (10 * SECOND);
    let there = |tick: &MarketTick| match tick.symbol.as_str() {
        "SIM-2.TICKCAST" => !(30..55).contains(&bar(tick)),
        "SIM-5.TICKCAST" => bar(tick) >= 60,
        _ => true,
    };
    Market::new(&spec).filter(there).collect()
}

fn home(tick: &MarketTick, partitions: i32) -> usize {
    usize::try_from(partitioner::partition(tick.symbol.as_str().as_bytes(), partitions)).unwrap()
}

#[derive(Default, Debug, PartialEq)]
struct Out {
    predictions: Vec<Prediction>,
    outcomes: Vec<Outcome>,
    reports: Vec<Report>,
    requests: Vec<Request>,
}

impl Sink for Out {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Prediction(prediction) => self.predictions.push(prediction.clone()),
            Event::Outcome(outcome) => self.outcomes.push(outcome.clone()),
            Event::Report(report) => self.reports.push(report.clone()),
            Event::Request(request) => self.requests.push(request.clone()),
            Event::Held(..) => {}
        }
    }
}

impl Out {
    /// In an order of its own, not that of the partitions.
    fn sorted(mut self) -> Self {
        self.predictions.sort_by_key(|prediction| prediction.prediction_id);
        self.outcomes.sort_by(|a, b| a.prediction_id.cmp(&b.prediction_id));
        self.reports.sort_by_key(|report| (report.subject.clone(), report.as_of, report.symbol.clone()));
        self
    }
}

fn run(partitions: i32) -> (Out, Counts) {
    let (mut machines, mut out) = (Backtest::new(settings(partitions), champion()), Out::default());
    for tick in market() {
        let verdict = machines.apply(home(&tick, partitions), Ok(&Record::Trade(tick.trade())), &mut out);
        assert_eq!(verdict, Ok(Verdict::Used));
    }
    machines.finish(END, &mut out).unwrap();
    (out, machines.counts().clone())
}

#[test]
fn how_many_partitions_there_are_is_all_the_same() {
    let (one, counts) = run(1);
    let one = one.sorted();
    assert!(counts.scored > 1_000 && counts.outcomes > 1_000 && counts.reports > 100, "{counts:?}");
    assert_eq!((counts.late, counts.problems, counts.skipped, one.requests.len()), (0, 0, 0, 1));
    assert!(one.outcomes.iter().any(|outcome| outcome.settlement.is_err()));
    for partitions in [2, 5, 16] {
        let (several, theirs) = run(partitions);
        assert_eq!(several.sorted(), one, "{partitions} partitions");
        assert_eq!(theirs, counts);
    }
}

#[test]
fn the_machines_one_after_the_other_give_the_same() {
    const PARTITIONS: i32 = 3;
    let settings = settings(PARTITIONS);
    let (mut champion, mut cycle, mut naive) = (champion(), Cycle::default(), Out::default());
    let mut log: Vec<Settled> = Vec::new();
    for partition in 0..PARTITIONS {
        let mut forecaster = Forecaster::new(settings.rules.clone(), &champion);
        let mut settler = Settler::new(partition, settings.fee_bps, settings.max_pending);
        let ticks = market();
        let own = ticks.iter().filter(|tick| i32::try_from(home(tick, PARTITIONS)) == Ok(partition));
        let records = own.map(|tick| Record::Trade(tick.trade())).chain([Record::Watermark(END)]);
        let mut offset = 0;
        for (place, record) in (0..).zip(records) {
            forecaster.apply(Position { offset: place, kafka_time: END }, &record);
            while let Some(end) = forecaster.next_cycle() {
                forecaster.close(end, &mut champion, &mut cycle);
                for prediction in &cycle.predictions {
                    settler.apply(offset, &Said::from(prediction), &mut log);
                    naive.predictions.push(prediction.clone());
                    offset += 1;
                }
            }
        }
    }
    let (mut judge, mut judged) = (Judge::new(settings.judge), Vec::new());
    for (offset, settled) in (0..).zip(&log) {
        match settled {
            Settled::Outcome(outcome) => {
                assert_eq!(judge.apply(offset, &Evidence::from(outcome)), judge::Verdict::Used);
                naive.outcomes.push(outcome.clone());
            }
            Settled::Progress(passage) => judge.progress(passage),
            Settled::Left(passage) => judge.left(passage),
        }
    }
    // All have said everything.
    judge.questions().iter().for_each(|question| judge.answer(question));
    while judge.close(&mut judged) {}
    for judged in judged {
        match judged {
            Judged::Report(report) => naive.reports.push(*report),
            Judged::Alarm { subject, alarm, at, evidence } if naive.requests.is_empty() => {
                naive.requests.extend(judge.request(&subject, alarm, at, *evidence, &Flight::default()));
            }
            Judged::Alarm { .. } => {}
        }
    }
    assert_eq!(naive.sorted(), run(PARTITIONS).0.sorted());
}

#[test]
fn empty_partitions_do_not_hold_up_the_others() {
    let (mut machines, mut out) = (Backtest::new(settings(64), champion()), Out::default());
    let mut open = 0;
    // One that falls silent alone in its partition does hold up the others, as live.
    for tick in market().into_iter().filter(|tick| tick.symbol.as_str() != "SIM-2.TICKCAST") {
        machines.apply(home(&tick, 64), Ok(&Record::Trade(tick.trade())), &mut out).unwrap();
        open = open.max(machines.judge.open_rows());
    }
    assert!(out.reports.len() > 100, "before the end");
    // Two horizons of a bar or two, and what those who were late in a bar have not said yet.
    assert!(open < 6 * 2 * 4, "{open} outcomes waited");
}

/// A partition whose few trades all lie within the lateness has closed nothing when the end comes, and then says a lot.
#[test]
fn at_the_end_everybody_has_the_last_word() {
    let interval = 10 * SECOND;
    let mut settings = settings(2);
    settings.rules.lateness = 5 * interval;
    let (mut machines, mut out) = (Backtest::new(settings, champion()), Out::default());
    for bar in 0..40 {
        for (partition, symbol, from) in [(0, "A", 0), (1, "B", 25)] {
            if (from..if partition == 0 { 40 } else { 30 }).contains(&bar) {
                let price = 100.0 + (bar % 7) as f64;
                let trade = Trade {
                    symbol: symbol.into(),
                    price,
                    size: 1.0,
                    side: Side::Buy,
                    trade_id: None,
                    event_time: START + bar * interval,
                };
                machines.apply(partition, Ok(&Record::Trade(trade)), &mut out).unwrap();
            }
        }
    }
    machines.finish(START + 40 * interval, &mut out).unwrap();
    assert!(out.outcomes.iter().any(|outcome| outcome.symbol.as_str() == "B"));
    assert_eq!(machines.counts().late, 0);
}

#[test]
fn it_stops_where_a_partition_would_pause() {
    let feed = |settings: Settings, partitions: i32| {
        let mut machines = Backtest::new(settings, champion());
        let ticks = market();
        ticks.iter().try_for_each(|tick| {
            machines.apply(home(tick, partitions), Ok(&Record::Trade(tick.trade())), &mut Out::default()).map(drop)
        })
    };
    let one = settings(1);
    let few = Settings { rules: Rules { max_symbols: 3, ..one.rules.clone() }, ..one.clone() };
    assert_eq!(feed(few, 1), Err(Stopped::Symbols { partition: 0, symbols: 3 }));
    let little = Settings { max_pending: 5, ..one.clone() };
    assert_eq!(feed(little, 1), Err(Stopped::Pending { partition: 0, pending: 5 }));
    let open = Settings { judge: judge::Settings { max_open_rows: 4, ..one.judge.clone() }, ..one.clone() };
    assert_eq!(feed(open, 1), Err(Stopped::Open { rows: 4 }));

    let mut machines = Backtest::new(one, champion());
    let mut bad = || machines.apply(0, Err(Reason::BadPrice), &mut Out::default());
    for _ in 0..BLOCK / 2 {
        assert_eq!(bad(), Ok(Verdict::Dead(Reason::BadPrice)));
    }
    assert_eq!(bad(), Err(Stopped::Bad { partition: 0, reason: "bad_price" }));
    assert_eq!(machines.counts().dead, BTreeMap::from([("bad_price", u64::from(BLOCK / 2))]));
}
