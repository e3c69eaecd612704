//! The ids of an open bar's trades, so that a trade delivered twice counts once.

use std::collections::HashSet;

use super::tick::TradeId;

/// A set of trade ids. Venues number trades upwards, so ids that arrive in order are kept as ranges: a bar of a million
/// consecutive trades costs one range. Only stragglers and textual ids need a hash set.
#[derive(Clone, Debug, Default)]
pub struct TradeIds {
    /// Disjoint, ascending, inclusive.
    ranges: Vec<(u64, u64)>,
    stragglers: HashSet<u64>,
    texts: HashSet<Box<str>>,
}

impl TradeIds {
    /// Adds `id`; `false` when it was there.
    pub fn insert(&mut self, id: &TradeId<'_>) -> bool {
        match id {
            TradeId::Number(number) => self.insert_number(*number),
            TradeId::Text(text) => !self.texts.contains(text.as_ref()) && self.texts.insert(text.as_ref().into()),
        }
    }

    fn insert_number(&mut self, id: u64) -> bool {
        match self.ranges.last_mut() {
            Some((_, last)) if id == last.wrapping_add(1) && id != 0 => {
                *last = id;
                true
            }
            Some((_, last)) if id <= *last => {
                let after = self.ranges.partition_point(|&(first, _)| first <= id);
                let within = after > 0 && self.ranges[after - 1].1 >= id;
                !within && self.stragglers.insert(id)
            }
            _ => {
                self.ranges.push((id, id));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn consecutive_ids_are_one_range() {
        let mut ids = TradeIds::default();
        for id in 5..10_000 {
            assert!(ids.insert(&TradeId::Number(id)));
        }
        assert_eq!(ids.ranges, [(5, 9_999)]);
        assert!(!ids.insert(&TradeId::Number(5)));
    }

    #[test]
    fn the_ends_of_the_numbers_do_not_wrap() {
        let mut ids = TradeIds::default();
        assert!(ids.insert(&TradeId::Number(u64::MAX)));
        assert!(ids.insert(&TradeId::Number(0)));
        assert!(!ids.insert(&TradeId::Number(0)));
        assert!(!ids.insert(&TradeId::Number(u64::MAX)));
    }

    proptest! {
        #[test]
        fn answers_as_a_hash_set_does(numbers in proptest::collection::vec(0_u64..60, 0..200)) {
            let (mut ids, mut naive) = (TradeIds::default(), HashSet::new());
            for number in numbers {
                prop_assert_eq!(ids.insert(&TradeId::Number(number)), naive.insert(number));
            }
        }
    }
}
