//! A thousand hours of one-minute bars with a restart every fifty: what the judge writes down and keeps stays bounded, and it
//! says what a judge says that never stopped.
//!
//! Versions and symbols come and go, the model turns bad now and then, outcomes come late. The topics are logs in memory, cut
//! off at what the checkpoint says is needed: a restore that needed more would find nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Keys, Line, MAX_SPAN};
use crate::flow::evidence::Evidence;
use crate::flow::outcome::{Passage, Realised, Unscorable};
use crate::flow::prediction::{Decision, Probabilities};
use crate::flow::retrain::{Flight, Request};
use crate::flow::time::{Micros, SECOND};
use crate::flow::trigger::{self, Closed};
use crate::machine::judge::{Judge, Judged, Restored, Settings, Verdict};
use crate::wire::judge_state::{decode, encode};

const MINUTE: Micros = 60 * SECOND;
/// 2024-08-09T00:00:00Z.
const START: Micros = 1_723_161_600 * SECOND;
const MINUTES: i64 = 1_000 * 60;
const RESTART: i64 = 50 * 60;
const HORIZONS: [u32; 2] = [1, 15];

/// The offsets that a topic still holds.
struct Log<T> {
    first: i64,
    records: VecDeque<T>,
}

impl<T> Log<T> {
    fn new() -> Self {
        Self { first: 0, records: VecDeque::new() }
    }

    fn end(&self) -> i64 {
        self.first + self.records.len() as i64
    }

    fn push(&mut self, record: T) -> i64 {
        self.records.push_back(record);
        self.end() - 1
    }

    /// Deletes what lies before `offset`, which is never asked for again.
    fn cut(&mut self, offset: i64) {
        while self.first < offset && self.records.pop_front().is_some() {
            self.first += 1;
        }
    }

    fn from(&self, offset: i64) -> impl Iterator<Item = (i64, &T)> {
        assert!(offset >= self.first && offset <= self.end(), "{offset} of [{}, {})", self.first, self.end());
        (self.first..).zip(&self.records).skip((offset - self.first) as usize)
    }
}

/// A record of the outcomes.
enum Told {
    Outcome { symbol: String, version: String, horizon: u32, target: Micros, up: bool, hit: bool, unscorable: bool },
    Progress { partition: i32, time: Micros },
}

/// SplitMix64 of a place in the stream.
fn random(minute: i64, number: u64) -> u64 {
    let mut z = (minute as u64).wrapping_mul(64).wrapping_add(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What is told in one minute: two symbols in each of two partitions, of which one is always some bars behind.
fn minute(n: i64) -> Vec<Told> {
    let mut told = Vec::new();
    for partition in 0..2 {
        let n = n - i64::from(partition) * (n / 700 % 5);
        let target = START + n * MINUTE;
        for number in 0..2 {
            // Symbols come and go, and so do versions: more of them than a model may have tracks.
            let symbol = format!("S{partition}{number}-{}", (n + 900 * number) / 3_600);
            for horizon in HORIZONS {
                let drawn = random(n, u64::from(horizon) + 16 * number as u64 + 32 * partition as u64);
                let is_bad = (8_000..8_300).contains(&(n % 9_000));
                told.push(Told::Outcome {
                    symbol: symbol.clone(),
                    version: (n / 1_100).to_string(),
                    horizon,
                    target,
                    up: drawn & 1 == 0,
                    hit: drawn / 2 % 100 < if is_bad { 25 } else { 56 },
                    unscorable: (drawn / 256).is_multiple_of(50),
                });
            }
        }
        told.push(Told::Progress { partition, time: target });
    }
    if n % 777 == 0 {
        let (symbol, target) = ("LATE".to_owned(), START + (n - 100) * MINUTE);
        let version = ((n - 100) / 1_100).to_string();
        told.push(Told::Outcome { symbol, version, horizon: 1, target, up: true, hit: true, unscorable: false });
    }
    told
}

fn settings() -> Settings {
    Settings {
        report_every: 120,
        window: 500,
        trigger: trigger::Settings { baseline_n: 100, ..trigger::Settings::default() },
        partitions: 2,
        max_open_rows: 1_000,
        acceptances: Vec::new(),
    }
}

fn feed(judge: &mut Judge, offset: i64, told: &Told, again: bool) {
    match told {
        Told::Outcome { symbol, version, horizon, target, up, hit, unscorable } => {
            let p_up = if up == hit { 0.6 } else { 0.4 };
            let evidence = Evidence {
                symbol,
                interval: "1m".parse().unwrap(),
                horizon: *horizon,
                target_time: *target,
                model: "m",
                model_version: version,
                probabilities: Probabilities { down: 1.0 - p_up, flat: 0.0, up: p_up },
                decision: if p_up > 0.5 { Decision::Up } else { Decision::Down },
                fee_bps: 1.0,
                prior_return_bps: Some(if offset % 3 == 0 { 1.0 } else { -2.0 }),
                realised: match (unscorable, up) {
                    (true, _) => Err(Unscorable::Missing),
                    (false, true) => Ok(Realised::Up),
                    (false, false) => Ok(Realised::Down),
                },
                hit: (!unscorable).then_some(*hit),
                pnl_bps: (!unscorable).then_some(if *hit { 2.0 } else { -4.0 }),
            };
            if again {
                judge.reapply(offset, &evidence);
            } else {
                assert!(matches!(judge.apply(offset, &evidence), Verdict::Used | Verdict::Late));
            }
        }
        Told::Progress { partition, time } if !again => {
            judge.progress(&Passage { model: "m".into(), partition: *partition, time: *time });
        }
        Told::Progress { .. } => {}
    }
}

/// Closes what is due; requests are answered with a promotion at once.
fn close(judge: &mut Judge, flight: &mut Flight) -> (Vec<Judged>, Vec<Request>) {
    for question in judge.questions() {
        judge.answer(&question);
    }
    let (mut out, mut requests) = (Vec::new(), Vec::new());
    while judge.close(&mut out) {}
    for judged in &out {
        let Judged::Alarm { subject, alarm, at, evidence } = judged else { continue };
        if let Ok(request) = judge.request(subject, alarm.clone(), *at, (**evidence).clone(), flight) {
            flight.requested(&request.id);
            flight.closed(&request.id, Closed::Promoted, *at + 3 * MINUTE);
            requests.push(request);
        }
    }
    (out, requests)
}

/// The greatest that anything has been.
#[derive(Debug, Default)]
struct Most {
    span: i64,
    bytes: usize,
    keys: usize,
    behind: i64,
    open_rows: usize,
    restore: Duration,
}

#[test]
fn what_is_kept_is_bounded_and_restarts_change_nothing() {
    let (mut whole, mut whole_flight) = (Judge::new(settings()), Flight::default());
    let (mut judge, mut flight, mut keys) = (Judge::new(settings()), Flight::default(), Keys::default());
    let (mut outcomes, mut state): (Log<Told>, Log<(String, Vec<u8>)>) = (Log::new(), Log::new());
    let (mut most, mut bytes, mut buried, mut reports, mut asked) = (Most::default(), 0, 0, 0, 0);
    for n in 1..=MINUTES {
        for told in minute(n) {
            let offset = outcomes.end();
            feed(&mut whole, offset, &told, false);
            feed(&mut judge, offset, &told, false);
            outcomes.push(told);
        }
        let (expected, found) = (close(&mut whole, &mut whole_flight), close(&mut judge, &mut flight));
        assert_eq!(expected, found, "minute {n}");
        (reports, asked) = (reports + found.0.len(), asked + found.1.len());

        // The commit.
        let next = outcomes.end();
        let mut placed = Vec::new();
        for line in keys.write(&mut judge, next) {
            let (key, tag, mut value) = match &line {
                Line::Item(item, tag) => (item.key().to_string(), Some(*tag), Vec::new()),
                Line::Gone(key) => (key.clone(), None, Vec::new()),
            };
            if let Line::Item(item, _) = &line {
                encode(item, &mut value);
            }
            buried += usize::from(tag.is_none());
            bytes += value.len();
            placed.extend(Some(state.push((key, value))).zip(tag));
        }
        placed.into_iter().for_each(|(offset, tag)| keys.placed(tag, offset));
        // Its marker.
        state.push(Default::default());
        let ((begin, end), resume) = (keys.range(), judge.resume(next));
        bytes -=
            state.from(state.first).take_while(|(at, _)| *at < begin).map(|(_, (_, value))| value.len()).sum::<usize>();
        state.cut(begin);
        outcomes.cut(resume);
        most.span = most.span.max(end - begin);
        most.bytes = most.bytes.max(bytes);
        most.keys = most.keys.max(keys.placed.len());
        most.behind = most.behind.max(next - resume);
        most.open_rows = most.open_rows.max(judge.open_rows());

        if n % RESTART == 0 {
            let began = Instant::now();
            (judge, keys) = restored(&state, (begin, end), &outcomes, resume);
            most.restore = most.restore.max(began.elapsed());
            assert_eq!(judge.reports(), whole.reports(), "after the restart in minute {n}");
        }
    }
    eprintln!("{most:?}; {buried} tombstones, {reports} reports and alarms, {asked} requests");
    assert!(buried > 100 && reports > 1_000 && asked > 3, "the hours were not eventful");
    // Some commits' worth more than the span after which items are written again.
    assert!(most.span <= MAX_SPAN + 1_000, "{most:?}");
    // One model of 64 tracks, each with at most ten blocks.
    assert!(most.keys <= 1 + 64 * (1 + 10), "{most:?}");
    assert!(most.bytes <= 32 << 20, "{most:?}");
    // What a track that rests holds back for a day, and some.
    assert!(most.behind <= 2 * 24 * 60 * 10, "{most:?}");
    assert!(most.open_rows <= 5 * 8, "{most:?}");
}

/// Another process takes over, as the stage does it.
fn restored(
    state: &Log<(String, Vec<u8>)>,
    (begin, end): (i64, i64),
    outcomes: &Log<Told>,
    resume: i64,
) -> (Judge, Keys) {
    let (mut keys, mut items) = (Keys::default(), Restored::default());
    keys.begin_at(end);
    for (offset, (key, value)) in state.from(begin).take_while(|(offset, _)| *offset < end) {
        match (key.is_empty(), value.is_empty()) {
            (true, _) => {}
            (false, true) => {
                items.forget(key);
                keys.forget(key);
            }
            (false, false) => {
                let item = decode(value).unwrap();
                keys.found(item.key(), offset);
                items.take(item);
            }
        }
    }
    let (mut judge, problems) = Judge::restore(settings(), items);
    assert!(problems.is_empty(), "{problems:?}");
    for (offset, told) in outcomes.from(resume) {
        feed(&mut judge, offset, told, true);
    }
    judge.rebuilt();
    (judge, keys)
}
