//! Streams of timed things, merged into one in time order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::time::Micros;

/// Something that happened at a time.
pub trait Timed {
    /// When.
    fn time(&self) -> Micros;
}

/// Merges streams by the time of their next item; at equal times the earlier stream goes first, and each stream keeps
/// its own order.
///
/// A stream that is not in time order is not sorted (that would need all of it): an item that is older than the one
/// before it comes out right after it, as late as it was recorded. The first error ends the merge.
#[derive(Debug)]
pub struct Merge<I: Iterator> {
    streams: Vec<I>,
    heads: Vec<Option<I::Item>>,
    /// The next time of each stream that goes on.
    queue: BinaryHeap<Reverse<(Micros, usize)>>,
    /// Streams whose next item is not known yet.
    pending: Vec<usize>,
}

impl<T: Timed, E, I: Iterator<Item = Result<T, E>>> Merge<I> {
    /// Merges `streams`; none of them is touched before the first item is asked for.
    pub fn new(streams: Vec<I>) -> Self {
        let count = streams.len();
        Self {
            streams,
            heads: (0..count).map(|_| None).collect(),
            queue: BinaryHeap::with_capacity(count),
            pending: (0..count).rev().collect(),
        }
    }

    /// The streams, for what they know of their progress.
    pub fn streams(&self) -> &[I] {
        &self.streams
    }
}

impl<T: Timed, E, I: Iterator<Item = Result<T, E>>> Iterator for Merge<I> {
    type Item = Result<T, E>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(index) = self.pending.pop() {
            match self.streams[index].next() {
                None => {}
                Some(Ok(item)) => {
                    self.queue.push(Reverse((item.time(), index)));
                    self.heads[index] = Some(Ok(item));
                }
                Some(Err(error)) => {
                    self.queue.clear();
                    self.pending.clear();
                    return Some(Err(error));
                }
            }
        }
        let Reverse((_, index)) = self.queue.pop()?;
        self.pending.push(index);
        self.heads[index].take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Row(Micros, usize, usize);

    impl Timed for Row {
        fn time(&self) -> Micros {
            self.0
        }
    }

    fn files(times: &[Vec<Micros>]) -> Vec<Vec<Row>> {
        let row = |file: usize| move |(row, &time): (usize, &Micros)| Row(time, file, row);
        times.iter().enumerate().map(|(file, times)| times.iter().enumerate().map(row(file)).collect()).collect()
    }

    fn merge(files: &[Vec<Row>]) -> Vec<Row> {
        let streams = files.iter().map(|rows| rows.iter().cloned().map(Ok::<_, ()>)).collect();
        Merge::new(streams).map(Result::unwrap).collect()
    }

    proptest! {
        #[test]
        fn sorted_streams_come_out_as_a_stable_sort_of_all(
            times in proptest::collection::vec(proptest::collection::vec(0_i64..20, 0..30), 0..6),
        ) {
            let sorted: Vec<Vec<Micros>> = times.into_iter().map(|mut t| { t.sort_unstable(); t }).collect();
            let files = files(&sorted);
            let mut expected = files.concat();
            expected.sort_by_key(|row| row.0);
            prop_assert_eq!(merge(&files), expected);
        }

        #[test]
        fn every_stream_keeps_its_order(
            times in proptest::collection::vec(proptest::collection::vec(0_i64..20, 0..30), 0..6),
        ) {
            let files = files(&times);
            let merged = merge(&files);
            for (index, file) in files.iter().enumerate() {
                let own: Vec<_> = merged.iter().filter(|row| row.1 == index).cloned().collect();
                prop_assert_eq!(&own, file);
            }
        }
    }

    #[test]
    fn a_straggler_follows_its_predecessor() {
        let merged = merge(&files(&[vec![1, 5, 2, 6], vec![3, 5, 7]]));
        let times: Vec<_> = merged.iter().map(|row| row.0).collect();
        assert_eq!(times, [1, 3, 5, 2, 5, 6, 7]);
    }

    #[test]
    fn the_first_error_is_the_last_item() {
        let streams = vec![vec![Ok(Row(1, 0, 0)), Err("broken"), Ok(Row(9, 0, 2))], vec![Ok(Row(2, 1, 0))]];
        let items: Vec<_> = Merge::new(streams.into_iter().map(Vec::into_iter).collect()).collect();
        assert_eq!(items, [Ok(Row(1, 0, 0)), Err("broken")]);
    }
}
