//! The claims that the detector's documentation makes, with few runs.

use super::*;

/// False alarms are allowed as often as it takes to count them.
fn often() -> Settings {
    Settings { in_control: 10_000.0, ..Settings::default() }
}

/// One false alarm in 10,000 scores, as the defaults state.
const STATED: f64 = 0.1;

fn find(name: &str, runs: u32) -> Finding {
    let case = cases().into_iter().find(|case| case.name == name).unwrap();
    let mut steps = 0;
    let finding = simulate(&case, &often(), 1, runs, || steps += 1);
    assert_eq!(steps, 3 * runs);
    finding
}

#[test]
fn false_alarms_are_as_rare_as_stated_and_delays_as_predicted() {
    for name in ["independent", "correlated", "one", "thousand"] {
        let found = find(name, 150);
        for rate in [found.young, found.life] {
            assert!((STATED / 2.5..STATED * 2.5).contains(&rate), "{name}: {found:?}");
        }
        if name != "thousand" {
            let ratio = found.delay_20.unwrap() / found.expected_20.unwrap();
            assert!((0.75..1.25).contains(&ratio), "{name}: {found:?}");
            let ratio = found.delay_5.unwrap() / found.expected_5.unwrap();
            assert!((0.5..1.25).contains(&ratio), "{name}: {found:?}");
        }
    }
}

#[test]
fn an_optimistic_acceptance_does_no_harm_because_it_is_a_bound() {
    let (live, bounded) = (find("independent", 20), find("independent_optimistic", 20));
    assert_eq!(live, bounded);
    assert!(find("independent_true", 20).young <= live.young);
    let unbounded = find("independent_unbounded", 20);
    assert!(unbounded.young > 50.0 * STATED, "{unbounded:?}");
    assert_eq!(unbounded.delay_5, None);
}

#[test]
fn overlapping_labels_and_rows_multiply_false_alarms() {
    let (overlapping, rows) = (find("overlapping", 12), find("rows", 40));
    assert!(overlapping.young > 30.0 * STATED, "{overlapping:?}");
    assert!(rows.young > 7.0 * STATED, "{rows:?}");
}

#[test]
fn the_seed_says_it_all() {
    let case = &cases()[4];
    let of = |seed| simulate(case, &often(), seed, 10, || ());
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = cases().iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases().len());
}
