//! The judge against other orders of the same log, and against itself after a restore.

mod newcomer;

use proptest::prelude::*;

use super::*;
use crate::flow::judge_state::{Item, Key};
use crate::flow::outcome::{Realised, Unscorable};
use crate::flow::prediction::{Decision, Probabilities};

const STEP: Micros = 10_000_000;
const HORIZONS: [u32; 2] = [1, 3];

pub(super) fn settings(partitions: i32) -> Settings {
    Settings {
        report_every: 3,
        window: 20,
        trigger: trigger::Settings { baseline_n: 5, in_control: 1e4, cooldown: 20 * STEP, ..Default::default() },
        partitions,
        max_open_rows: 100_000,
        acceptances: Vec::new(),
    }
}

/// A record of the outcomes topic.
#[derive(Clone, Debug)]
enum Line {
    Outcome { symbol: String, target: i64, horizon: u32, up: bool, p_up: f32, unscorable: bool },
    Progress { partition: i32, end: i64 },
    Left { partition: i32, end: i64 },
}

fn feed(judge: &mut Judge, offset: i64, line: &Line, again: bool) -> Option<Verdict> {
    let passage = |partition: i32, end: i64| Passage { model: "m".into(), partition, time: end * STEP };
    match line {
        Line::Outcome { symbol, target, horizon, up, p_up, unscorable } => {
            let evidence = Evidence {
                symbol,
                interval: "10s".parse().unwrap(),
                horizon: *horizon,
                target_time: target * STEP,
                model: "m",
                model_version: "1",
                probabilities: Probabilities { down: 1.0 - p_up, flat: 0.0, up: *p_up },
                decision: Decision::Up,
                fee_bps: 1.0,
                prior_return_bps: Some(if target % 2 == 0 { 1.0 } else { -1.0 }),
                realised: match (unscorable, up) {
                    (true, _) => Err(Unscorable::Missing),
                    (false, true) => Ok(Realised::Up),
                    (false, false) => Ok(Realised::Down),
                },
                hit: (!unscorable).then_some((*p_up > 0.5) == *up),
                pnl_bps: (!unscorable).then_some(if *up { 2.0 } else { -4.0 }),
            };
            if again {
                judge.reapply(offset, &evidence);
                return None;
            }
            return Some(judge.apply(offset, &evidence));
        }
        Line::Progress { partition, end } if !again => judge.progress(&passage(*partition, *end)),
        Line::Left { partition, end } if !again => judge.left(&passage(*partition, *end)),
        _ => {}
    }
    None
}

/// Closes what is due; whoever is absent has nothing to say.
fn close(judge: &mut Judge, out: &mut Vec<Judged>) {
    for question in judge.questions() {
        judge.answer(&question);
    }
    while judge.close(out) {}
}

/// One partition's stream: outcomes of its symbols, a progress after each bar end.
fn stream(partition: i32, ends: i64, draw: &[(bool, f32, bool)]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut draws = draw.iter().cycle();
    for end in 1..=ends {
        for number in 0..2 {
            for horizon in HORIZONS {
                let &(up, p_up, unscorable) = draws.next().unwrap();
                let symbol = format!("S{partition}-{number}");
                lines.push(Line::Outcome { symbol, target: end, horizon, up, p_up, unscorable });
            }
        }
        lines.push(Line::Progress { partition, end });
    }
    lines
}

fn draws() -> impl Strategy<Value = Vec<(bool, f32, bool)>> {
    proptest::collection::vec((any::<bool>(), 0.01f32..0.99, 0..8u8).prop_map(|(up, p, u)| (up, p, u == 0)), 50)
}

/// The streams in some order that keeps each one's own. Both have shown the model before the first cohort can close.
fn interleave(streams: &[Vec<Line>], choices: &[bool]) -> Vec<Line> {
    let mut places = [0, 0];
    let mut lines: Vec<Line> = (0..2).map(|partition| Line::Progress { partition, end: 0 }).collect();
    let mut choices = choices.iter().cycle();
    while places[0] < streams[0].len() || places[1] < streams[1].len() {
        let wanted = usize::from(*choices.next().unwrap());
        let which = if places[wanted] < streams[wanted].len() { wanted } else { 1 - wanted };
        lines.push(streams[which][places[which]].clone());
        places[which] += 1;
    }
    lines
}

fn run(judge: &mut Judge, lines: &[Line], first: i64, out: &mut Vec<Judged>) {
    for (offset, line) in (first..).zip(lines) {
        assert!(!matches!(feed(judge, offset, line, false), Some(Verdict::Full | Verdict::BadSymbol)));
        close(judge, out);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_in_which_partitions_come_does_not_matter(
        a in draws(), b in draws(), one in proptest::collection::vec(any::<bool>(), 40), other in proptest::collection::vec(any::<bool>(), 40),
    ) {
        let streams = [stream(0, 60, &a), stream(1, 60, &b)];
        let judged = |choices: &[bool]| {
            let (mut judge, mut out) = (Judge::new(settings(2)), Vec::new());
            run(&mut judge, &interleave(&streams, choices), 0, &mut out);
            prop_assert_eq!(judge.open_rows(), 0);
            Ok(out)
        };
        let first = judged(&one)?;
        prop_assert!(first.len() > 100);
        prop_assert_eq!(first, judged(&other)?);
    }

    #[test]
    fn a_restored_judge_goes_on_as_the_one_that_was_lost(
        a in draws(), b in draws(), order in proptest::collection::vec(any::<bool>(), 40), cuts in proptest::collection::vec((0.0f64..1.0, 0..3usize), 1..4),
        late in 0usize..300,
    ) {
        let mut lines = interleave(&[stream(0, 60, &a), stream(1, 60, &b)], &order);
        lines.insert(late, Line::Outcome { symbol: "L".into(), target: 1, horizon: 1, up: true, p_up: 0.6, unscorable: false });
        let (mut whole, mut expected) = (Judge::new(settings(2)), Vec::new());
        run(&mut whole, &lines, 0, &mut expected);

        // Lost behind a line, and behind some of the cohorts that close with it: a commit is allowed between any two steps.
        let place = |&(cut, closed): &(f64, usize)| ((lines.len() as f64 * cut) as usize, closed);
        let mut places: Vec<(usize, usize)> = cuts.iter().map(place).collect();
        places.sort_unstable();
        let (mut log, mut out, mut from): (Vec<Item>, _, _) = (Vec::new(), Vec::new(), 0);
        let mut judge = Judge::new(settings(2));
        for (cut, closed) in places.into_iter().chain([(lines.len(), 1)]) {
            for (at, line) in lines.iter().enumerate().take(cut).skip(from) {
                close(&mut judge, &mut out);
                feed(&mut judge, at as i64, line, false);
                if at + 1 == cut {
                    judge.questions().iter().for_each(|question| judge.answer(question));
                    (0..closed).for_each(|_| _ = judge.close(&mut out));
                } else {
                    close(&mut judge, &mut out);
                }
                log.extend(judge.save(at as i64 + 1));
            }
            let resume = usize::try_from(judge.resume(cut as i64)).unwrap();
            prop_assert!(resume <= cut);
            let mut restored = Restored::default();
            log.iter().cloned().for_each(|item| restored.take(item));
            let (again, problems) = Judge::restore(settings(2), restored);
            prop_assert!(problems.is_empty(), "{:?}", problems);
            judge = again;
            for (at, line) in lines[..cut].iter().enumerate().skip(resume) {
                feed(&mut judge, at as i64, line, true);
            }
            judge.rebuilt();
            from = cut;
        }
        close(&mut judge, &mut out);
        prop_assert_eq!(out, expected);
        prop_assert_eq!(judge.reports(), whole.reports());
        prop_assert_eq!(judge.open_rows(), whole.open_rows());
    }
}

fn steady(partition: i32, ends: std::ops::RangeInclusive<i64>, hit: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    for end in ends {
        let symbol = format!("S{partition}");
        lines.push(Line::Outcome { symbol, target: end, horizon: 1, up: hit, p_up: 0.6, unscorable: false });
        lines.push(Line::Progress { partition, end });
    }
    lines
}

#[test]
fn nothing_closes_before_the_absent_are_asked_about() {
    let mut judge = Judge::new(settings(2));
    let lines = steady(0, 1..=4, true);
    for (offset, line) in (0..).zip(&lines) {
        feed(&mut judge, offset, line, false);
    }
    let mut out = Vec::new();
    assert!(!judge.close(&mut out));
    let questions = judge.questions();
    assert_eq!(questions.len(), 1);
    assert_eq!(questions[0].absent, BTreeSet::from([1]));
    // What comes after the question is not answered by it.
    for (offset, line) in (8..).zip(&steady(0, 5..=6, true)) {
        feed(&mut judge, offset, line, false);
    }
    judge.answer(&questions[0]);
    while judge.close(&mut out) {}
    assert_eq!(judge.open_rows(), 2);
    assert_eq!(judge.questions().len(), 1);
}

#[test]
fn a_cohort_waits_for_a_participant_and_says_so() {
    let mut judge = Judge::new(settings(2));
    let mut out = Vec::new();
    run(&mut judge, &[Line::Progress { partition: 1, end: 0 }], 0, &mut out);
    run(&mut judge, &steady(0, 1..=3, true), 1, &mut out);
    assert!(out.is_empty());
    assert_eq!(judge.waits_for(), [("m".into(), STEP, vec![1])]);
    run(&mut judge, &[Line::Left { partition: 1, end: 0 }], 9, &mut out);
    assert_eq!(judge.waits_for(), []);
    assert_eq!(judge.open_rows(), 0);
    assert_eq!(out.len(), 2, "a report of all and one of the symbol after three cohorts");
}

#[test]
fn what_comes_late_is_counted_and_nothing_else() {
    let mut judge = Judge::new(settings(1));
    let mut out = Vec::new();
    run(&mut judge, &steady(0, 1..=3, true), 0, &mut out);
    let before = judge.reports();
    let line = Line::Outcome { symbol: "X".into(), target: 2, horizon: 1, up: false, p_up: 0.6, unscorable: false };
    assert_eq!(feed(&mut judge, 6, &line, false), Some(Verdict::Late));
    let after = judge.reports();
    assert_eq!((after[0].late, &after[0].figures), (1, &before[0].figures));
}

#[test]
fn a_model_that_turns_bad_asks_once_until_the_cooldown_is_over() {
    let mut judge = Judge::new(settings(1));
    let (mut lines, mut out) = (Vec::new(), Vec::new());
    for end in 1..=200 {
        lines.extend(steady(0, end..=end, if end <= 100 { end % 2 == 0 } else { false }));
    }
    run(&mut judge, &lines, 0, &mut out);
    let (mut requests, mut flight) = (Vec::new(), Flight::default());
    for judged in out {
        let Judged::Alarm { subject, alarm, at, evidence } = judged else { continue };
        assert!(at > 100 * STEP);
        if let Ok(request) = judge.request(&subject, alarm, at, *evidence, &flight) {
            flight.requested(&request.id);
            requests.push(request);
        }
    }
    assert_eq!(requests.len(), 1, "while one is open there is no other");
    assert_eq!(requests[0].evidence.standing.as_ref().unwrap().state, trigger::State::Degraded);
}

#[test]
fn tracks_of_old_versions_make_room() {
    let mut judge = Judge::new(settings(1));
    for version in 0..=MAX_TRACKS {
        let evidence = Evidence {
            symbol: "S",
            interval: "10s".parse().unwrap(),
            horizon: 1,
            target_time: version as i64 * STEP,
            model: "m",
            model_version: &version.to_string(),
            probabilities: Probabilities { down: 0.4, flat: 0.0, up: 0.6 },
            decision: Decision::Up,
            fee_bps: 1.0,
            prior_return_bps: None,
            realised: Ok(Realised::Up),
            hit: Some(true),
            pnl_bps: Some(1.0),
        };
        judge.apply(version as i64, &evidence);
        judge.progress(&Passage { model: "m".into(), partition: 0, time: version as i64 * STEP });
        close(&mut judge, &mut Vec::new());
    }
    assert_eq!(judge.reports().len(), MAX_TRACKS);
    assert!(matches!(&judge.gone()[0], Key::Track(subject) if &*subject.model_version == "0"));
}
