//! Edges of [`super`]: rolling, reuse, overlap, memory, and that a view copies nothing.

use super::*;
use crate::flow::symbol::Symbol;
use crate::flow::time::Interval;

fn bar(value: f64) -> Bar {
    let mut bar = Bar {
        symbol: Symbol::new("A").unwrap(),
        interval: Interval::from_seconds(1).unwrap(),
        open_time: 0,
        close_time: 0,
        open: value,
        high: value,
        low: value,
        close: value,
        volume: value,
        vwap: value,
        trades: value as u64,
        buy_volume: value,
        sell_volume: value,
        complete: true,
        synthetic: false,
        last_event_time: 0,
    };
    bar.sell_volume = -value;
    bar
}

fn row(slot: Slot, back: usize) -> WindowRow<'static> {
    WindowRow { slot, back, symbol: "A", close_time: 7 }
}

fn lists(windows: &mut Windows, rows: &[WindowRow<'_>], column: &str) -> Vec<Vec<f64>> {
    windows
        .view(rows.iter().copied(), |batch| {
            let lists = batch.column_by_name(column).unwrap().as_any().downcast_ref::<ListViewArray>().unwrap();
            (0..lists.len())
                .map(|i| lists.value(i).as_any().downcast_ref::<Float64Array>().unwrap().values().to_vec())
                .collect()
        })
        .unwrap()
}

#[test]
fn rolls_and_looks_back() {
    let mut windows = Windows::new(4, 3);
    let (a, b) = (windows.insert(), windows.insert());
    for i in 1..=100 {
        windows.push(a, &bar(f64::from(i)));
        windows.push(b, &bar(f64::from(-i)));
        let first = |back: i32| (i - back - 3).max(1).max(if i > 6 { i - 5 } else { 1 });
        let expected: Vec<Vec<f64>> = (0..3).map(|back| (first(back)..=i - back).map(f64::from).collect()).collect();
        assert_eq!(lists(&mut windows, &[row(a, 0), row(a, 1), row(a, 2)], "close"), expected, "after {i}");
        assert_eq!(windows.len(a), (i as usize).min(6));
    }
    assert_eq!(lists(&mut windows, &[row(b, 0), row(a, 0)], "sell_volume")[0], [97.0, 98.0, 99.0, 100.0]);
    assert_eq!(lists(&mut windows, &[row(b, 9)], "open"), [Vec::<f64>::new()]);
    windows.remove(a);
    let c = windows.insert();
    assert_eq!(c, a);
    assert!(windows.is_empty(c));
    assert_eq!(lists(&mut windows, &[row(c, 0), row(b, 0)], "open")[1], [-97.0, -98.0, -99.0, -100.0]);
}

#[test]
fn nothing_is_copied() {
    let mut windows = Windows::new(8, 1);
    let slots: Vec<Slot> = (0..10).map(|_| windows.insert()).collect();
    for &slot in &slots {
        (0..20).for_each(|i| windows.push(slot, &bar(f64::from(i))));
    }
    let before: Vec<*const f64> = windows.columns.iter().map(|c| c.as_ptr()).collect();
    let seen: Vec<*const f64> = windows
        .view(slots.iter().map(|&slot| row(slot, 0)), |batch| {
            batch.columns()[2..]
                .iter()
                .map(|c| {
                    let lists = c.as_any().downcast_ref::<ListViewArray>().unwrap();
                    lists.values().as_any().downcast_ref::<Float64Array>().unwrap().values().as_ptr()
                })
                .collect()
        })
        .unwrap();
    let after: Vec<*const f64> = windows.columns.iter().map(|c| c.as_ptr()).collect();
    assert_eq!(before, seen);
    assert_eq!(before, after);
}

#[test]
fn a_kept_column_is_an_error_and_loses_nothing() {
    let mut windows = Windows::new(4, 1);
    let slot = windows.insert();
    (1..=4).for_each(|i| windows.push(slot, &bar(f64::from(i))));
    let mut thief = None;
    let error = windows.view([row(slot, 0)], |batch| thief = Some(batch.column(4).clone())).unwrap_err();
    assert!(matches!(error, WindowError::Kept { column: "low" }), "{error}");
    windows.push(slot, &bar(5.0));
    assert_eq!(lists(&mut windows, &[row(slot, 0)], "low"), [[2.0, 3.0, 4.0, 5.0]]);
}

#[test]
fn empty_views_work() {
    let mut windows = Windows::new(4, 1);
    assert_eq!(windows.view([], |batch| batch.num_rows()).unwrap(), 0);
    let slot = windows.insert();
    assert_eq!(lists(&mut windows, &[row(slot, 0)], "vwap"), [Vec::<f64>::new()]);
}

#[test]
fn memory_is_at_most_twice_the_windows() {
    for (window, sequence) in [(256, 64), (16, 1), (64, 8)] {
        let mut windows = Windows::new(window, sequence);
        let needed = (window + sequence - 1) * COLUMNS.len() * 8;
        for symbols in 1..=1_000 {
            windows.insert();
            assert!(windows.bytes() <= 2 * needed * symbols, "{symbols} symbols of {window} bars: {}", windows.bytes());
        }
    }
}
