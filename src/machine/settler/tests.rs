//! The settler against a direct reading of its input, and against itself after a restore.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const STEP: Micros = 10_000_000;
const HORIZONS: [u32; 3] = [1, 2, 4];

/// One record of a made stream.
#[derive(Clone, Debug)]
struct Line {
    symbol: String,
    end: i64,
    horizon: u32,
    reference: Reference,
    scored: bool,
    silent: bool,
    id: String,
}

impl Line {
    fn said(&self) -> Said<'_> {
        Said {
            prediction_id: &self.id,
            symbol: &self.symbol,
            interval: "10s".parse().unwrap(),
            horizon: self.horizon,
            as_of: self.end * STEP,
            target_time: (self.end + i64::from(self.horizon)) * STEP,
            reference: self.reference,
            dead_band_bps: 1.0,
            probabilities: self.scored.then_some(Probabilities { down: 0.3, flat: 0.1, up: 0.6 }),
            decision: if self.scored { Decision::Up } else { Decision::Abstain },
            silent: self.silent,
            model: "m",
            model_version: "1",
            role: Role::Champion,
        }
    }
}

/// What happens to one symbol at one bar end: absent until it comes, then one bar after the other, until it is silent.
#[derive(Clone, Copy, Debug)]
enum Event {
    Bar { price: f64, complete: bool, synthetic: bool, scored: bool },
    Silent,
    Absent,
}

fn event() -> impl Strategy<Value = Event> {
    let bar = (90.0f64..110.0, 0..10u8, 0..10u8, 0..4u8).prop_map(|(price, incomplete, synthetic, unscored)| {
        Event::Bar { price, complete: incomplete > 0, synthetic: synthetic == 0, scored: unscored > 0 }
    });
    prop_oneof![12 => bar, 1 => Just(Event::Silent)]
}

/// The records of up to three symbols over some bar ends, as a forecaster writes them.
fn lines(plan: &[Vec<Event>]) -> Vec<Line> {
    let mut out = Vec::new();
    let mut live = [false; 3];
    for (end, events) in plan.iter().enumerate() {
        for (number, event) in events.iter().enumerate() {
            let (reference, scored, silent) = match *event {
                Event::Bar { price, complete, synthetic, scored } => {
                    live[number] = true;
                    (Reference { price, vwap: price + 0.01, complete, synthetic }, scored, false)
                }
                Event::Silent if live[number] => {
                    live[number] = false;
                    (Reference { price: 100.0, vwap: 100.0, complete: true, synthetic: true }, false, true)
                }
                Event::Silent | Event::Absent => continue,
            };
            out.extend(HORIZONS.map(|horizon| Line {
                symbol: format!("S{number}"),
                end: end as i64,
                horizon,
                reference,
                scored,
                silent,
                id: format!("S{number}-{end}-{horizon}"),
            }));
        }
    }
    out
}

fn plan() -> impl Strategy<Value = Vec<Vec<Event>>> {
    proptest::collection::vec(proptest::collection::vec(event(), 3), 1..30)
}

fn run(settler: &mut Settler, lines: &[Line], first: i64) -> Vec<Settled> {
    let mut out = Vec::new();
    for (offset, line) in (first..).zip(lines) {
        assert_eq!(settler.apply(offset, &line.said(), &mut out), Verdict::Used);
    }
    out
}

fn new() -> Settler {
    Settler::new(2, 10.0, 10_000)
}

/// What must be written of one scored line, once it is decided: looked up in the whole stream.
fn direct(line: &Line, bars: &BTreeMap<(String, i64), (Reference, bool)>) -> Result<Settlement, Unscorable> {
    // A symbol that falls silent on the way breaks the chain: the bars after it belong to another life.
    let at = |end: i64| {
        let whole = (line.end..end).all(|e| bars.get(&(line.symbol.clone(), e)).is_some_and(|(_, silent)| !silent));
        bars.get(&(line.symbol.clone(), end)).filter(|_| whole).map(|(bar, _)| *bar)
    };
    let target = at(line.end + i64::from(line.horizon)).ok_or(Unscorable::Missing)?;
    for bar in [line.reference, target] {
        if let Some(why) = unreal(bar) {
            return Err(why);
        }
    }
    let entry = at(line.end + 1).filter(|bar| unreal(*bar).is_none()).map(|bar| bar.vwap);
    let prices = Prices { reference: line.reference.price, entry, target: target.price };
    Ok(settle(Probabilities { down: 0.3, flat: 0.1, up: 0.6 }, Decision::Up, 1.0, 10.0, prices))
}

proptest! {
    #[test]
    fn every_decided_line_is_settled_once_and_as_a_direct_reading_has_it(plan in plan()) {
        let lines = lines(&plan);
        let bars: BTreeMap<_, _> =
            lines.iter().map(|l| ((l.symbol.clone(), l.end), (l.reference, l.silent))).collect();
        let mut settler = new();
        let out = run(&mut settler, &lines, 0);
        let mut said: BTreeMap<String, Outcome> = BTreeMap::new();
        for settled in out {
            if let Settled::Outcome(outcome) = settled {
                prop_assert!(said.insert(outcome.prediction_id.to_string(), outcome).is_none(), "settled twice");
            }
        }
        prop_assert_eq!(said.len() + settler.pending(), lines.iter().filter(|l| l.scored).count());
        for line in lines.iter().filter(|line| line.scored) {
            if let Some(outcome) = said.get(&line.id) {
                prop_assert_eq!(&outcome.settlement, &direct(line, &bars), "{}", &line.id);
            }
        }
    }

    #[test]
    fn a_restored_settler_goes_on_as_the_one_that_was_lost(plan in plan(), cut in 0.0f64..1.0) {
        let lines = lines(&plan);
        let cut = (lines.len() as f64 * cut) as usize;
        let mut whole = new();
        let before = run(&mut whole, &lines[..cut], 0);
        let resume = usize::try_from(whole.resume(cut as i64)).unwrap();
        let mut restored = new();
        run(&mut restored, &lines[resume..cut], resume as i64);
        prop_assert_eq!(restored.pending(), whole.pending());
        let rest = run(&mut whole, &lines[cut..], cut as i64);
        prop_assert_eq!(run(&mut restored, &lines[cut..], cut as i64), rest);
        drop(before);
    }

    #[test]
    fn progress_comes_after_all_it_promises(plan in plan()) {
        let lines = lines(&plan);
        let mut passed = Micros::MIN;
        for settled in run(&mut new(), &lines, 0) {
            match settled {
                Settled::Outcome(outcome) => prop_assert!(outcome.target_time > passed),
                Settled::Progress(passage) => {
                    prop_assert!(passage.time > passed && passage.partition == 2);
                    passed = passage.time;
                }
                Settled::Left(passage) => prop_assert!(passage.time >= passed),
            }
        }
    }
}

fn bar(price: f64) -> Event {
    Event::Bar { price, complete: true, synthetic: false, scored: true }
}

#[test]
fn a_model_leaves_with_its_last_symbol_and_nothing_waits_then() {
    let mut plan: Vec<_> = (0..3).map(|_| vec![bar(100.0), bar(50.0)]).collect();
    plan.push(vec![Event::Silent, bar(50.0)]);
    plan.push(vec![Event::Absent, Event::Silent]);
    let mut settler = new();
    let out = run(&mut settler, &lines(&plan), 0);
    assert_eq!(settler.pending(), 0);
    let left = Passage { model: "m".into(), partition: 2, time: 4 * STEP };
    assert_eq!(out.last(), Some(&Settled::Left(left)));
    assert_eq!(out.iter().filter(|s| matches!(s, Settled::Left(_))).count(), 1);
}

#[test]
fn a_symbol_that_misses_a_cycle_is_gone() {
    let plan = [vec![bar(100.0), bar(50.0)], vec![Event::Absent, bar(51.0)], vec![Event::Absent, bar(52.0)]];
    let mut settler = new();
    let out = run(&mut settler, &lines(&plan), 0);
    let missing = out.iter().filter(
        |s| matches!(s, Settled::Outcome(o) if o.symbol.as_str() == "S0" && o.settlement == Err(Unscorable::Missing)),
    );
    assert_eq!(missing.count(), 3);
}

#[test]
fn the_prior_return_is_that_of_the_same_span_before() {
    let prices = [100.0, 101.0, 103.0, 102.0, 104.0, 105.0];
    let plan: Vec<_> = prices.iter().map(|&price| vec![bar(price)]).collect();
    let out = run(&mut new(), &lines(&plan), 0);
    let prior = |id: &str| {
        out.iter().find_map(|s| match s {
            Settled::Outcome(o) if &*o.prediction_id == id => Some(o.prior_return_bps),
            _ => None,
        })
    };
    assert_eq!(prior("S0-0-1"), Some(None));
    assert_eq!(prior("S0-1-1"), Some(Some(return_bps(100.0, 101.0))));
    assert_eq!(prior("S0-3-2"), Some(Some(return_bps(101.0, 102.0))));
}

#[test]
fn what_does_not_belong_is_told_apart() {
    let all = lines(&[vec![bar(100.0)], vec![bar(101.0)]]);
    let mut settler = Settler::new(0, 0.0, 4);
    let mut out = Vec::new();
    let verdicts: Vec<_> = [0, 0, 1, 3, 1].map(|n| settler.apply(0, &all[n].said(), &mut out)).to_vec();
    use Verdict::{Duplicate, OutOfOrder, Used};
    assert_eq!(verdicts, [Used, Duplicate, Used, Used, OutOfOrder]);
    let mut bad = all[4].clone();
    bad.symbol = "no symbol".to_owned();
    assert_eq!(settler.apply(0, &bad.said(), &mut out), Verdict::BadSymbol);
    assert_eq!(settler.apply(0, &all[4].said(), &mut out), Used);
    assert_eq!(settler.apply(0, &all[5].said(), &mut out), Used);
    let next =
        lines(&[vec![], vec![], vec![Event::Bar { price: 1.0, complete: true, synthetic: false, scored: true }]]);
    assert_eq!(settler.apply(0, &next[2].said(), &mut out), Verdict::Full);
}

/// Symbols and versions come and go for a thousand hours of one-minute bars: what is kept is that of the last bars.
#[test]
fn what_is_kept_is_bounded_and_restarts_change_nothing() {
    const MINUTES: i64 = 60_000;
    let reference =
        |end: i64| Reference { price: 100.0 + (end % 7) as f64, vwap: 100.0, complete: true, synthetic: false };
    let lines = |end: i64| -> Vec<Line> {
        let line = |number: i64, horizon| {
            // Each symbol lives for 500 bars, then another one takes its place.
            let (life, age) = ((end + 100 * number) / 500, (end + 100 * number) % 500);
            let symbol = format!("S{number}-{life}");
            let id = format!("{symbol}-{end}-{horizon}");
            Line { symbol, end, horizon, reference: reference(end), scored: age < 499, silent: age == 499, id }
        };
        (0..3).flat_map(|number| [1, 4].map(|horizon| line(number, horizon))).collect()
    };
    let trace = |end: i64| TraceContext { trace_id: end as u128 + 1, span_id: 7, flags: 1 };
    let (mut whole, mut settler) = (new(), new());
    let (mut log, mut first, mut next): (VecDeque<(Line, String)>, i64, i64) = (VecDeque::new(), 0, 0);
    for end in 0..MINUTES {
        for line in lines(end) {
            let version = (end / 700).to_string();
            let (mut expected, mut found) = (Vec::new(), Vec::new());
            let said = Said { model_version: &version, ..line.said() };
            assert_eq!(whole.apply(next, &said, &mut expected), settler.apply(next, &said, &mut found));
            assert_eq!(expected, found, "bar {end}");
            settler.set_trace(trace(end));
            for settled in &found {
                let Settled::Outcome(outcome) = settled else { continue };
                assert_eq!(
                    settler.trace(outcome.as_of),
                    Some(trace(outcome.as_of / STEP)),
                    "its prediction's, not {end}'s"
                );
            }
            log.push_back((line, version));
            next += 1;
        }
        let resume = settler.resume(next);
        while first < resume {
            log.pop_front();
            first += 1;
        }
        // Two horizons back and the bar that is being read, six records each.
        assert!(next - resume <= 9 * 6 && settler.ends.len() <= 9, "bar {end}: {} records", next - resume);
        // Also of the one that is never started again, and so has met every version.
        for settler in [&settler, &whole] {
            assert!(settler.pending() <= 3 * (1 + 4) && settler.tracks.len() <= 3 && settler.versions.len() <= 64);
        }
        if end % 3_000 == 2_999 {
            settler = new();
            for (offset, (line, version)) in (first..).zip(&log) {
                settler.apply(offset, &Said { model_version: version, ..line.said() }, &mut Vec::new());
                settler.set_trace(trace(line.end));
            }
        }
    }
}
