//! Where the judge's items lie in `accuracy.state`: [B, E) of the checkpoint, kept short without help from compaction.

use std::collections::BTreeMap;

use crate::flow::judge_state::{Item, Key};
use crate::machine::judge::Judge;

/// Offsets from the oldest item that is still needed to the end, before the oldest are written again.
const MAX_SPAN: i64 = 20_000;
/// Items that are written again in one commit, at most.
const REWRITES: usize = 16;

/// A record that is to be written.
pub(super) enum Line {
    /// An item, and the tag by which [`Keys::placed`] is told where it lies.
    Item(Item, u64),
    /// A tombstone for this key.
    Gone(String),
}

/// The items by the text of their key.
#[derive(Default)]
pub(super) struct Keys {
    placed: BTreeMap<String, (i64, Key)>,
    /// Those of the running transaction, by tag - 1.
    sent: Vec<Key>,
    end: i64,
}

impl Keys {
    /// Nothing is known, and the topic ends here.
    pub fn begin_at(&mut self, end: i64) {
        self.end = end;
    }

    /// An item was read back.
    pub fn found(&mut self, key: Key, offset: i64) {
        self.placed.insert(key.to_string(), (offset, key));
        self.end = self.end.max(offset + 1);
    }

    /// A tombstone was read back or is sent.
    pub fn forget(&mut self, key: &str) {
        self.placed.remove(key);
    }

    /// What is to be written with the commit of `next`, in this order.
    pub fn write(&mut self, judge: &mut Judge, next: i64) -> Vec<Line> {
        self.begin();
        let mut lines = Vec::new();
        for key in judge.gone() {
            self.bury(key.to_string(), &mut lines);
        }
        self.items(judge.save(next), &mut lines);
        for _ in 0..REWRITES {
            let Some(key) = self.oldest_too_far() else { break };
            let items = judge.rewrite(&key, next);
            if items.iter().any(|item| item.key() == key) {
                self.forget(&key.to_string());
            } else {
                self.bury(key.to_string(), &mut lines);
            }
            self.items(items, &mut lines);
        }
        lines
    }

    fn items(&mut self, items: Vec<Item>, lines: &mut Vec<Line>) {
        lines.extend(items.into_iter().map(|item| {
            let tag = self.send(item.key());
            Line::Item(item, tag)
        }));
    }

    fn bury(&mut self, key: String, lines: &mut Vec<Line>) {
        self.forget(&key);
        lines.push(Line::Gone(key));
    }

    /// A new transaction begins.
    fn begin(&mut self) {
        self.sent.clear();
    }

    /// An item is sent; gives its tag.
    fn send(&mut self, key: Key) -> u64 {
        self.sent.push(key);
        self.sent.len() as u64
    }

    /// The item with `tag` lies at `offset`.
    pub fn placed(&mut self, tag: u64, offset: i64) {
        let place = usize::try_from(tag).unwrap_or(0).wrapping_sub(1);
        if let Some(key) = self.sent.get(place) {
            self.found(key.clone(), offset);
        }
    }

    /// [B, E): from the oldest item to the end.
    pub fn range(&self) -> (i64, i64) {
        (self.placed.values().map(|(offset, _)| *offset).min().unwrap_or(self.end), self.end)
    }

    /// The oldest item, when it lies too far back.
    fn oldest_too_far(&self) -> Option<Key> {
        let (offset, key) = self.placed.values().min_by_key(|(offset, _)| *offset)?;
        (self.end - offset > MAX_SPAN).then(|| key.clone())
    }
}

#[cfg(test)]
mod thousand_hours;

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> Key {
        Key::Model(name.into())
    }

    #[test]
    fn the_range_reaches_from_the_oldest_item_to_the_end() {
        let mut keys = Keys::default();
        assert_eq!(keys.range(), (0, 0));
        keys.begin();
        let tags = [keys.send(model("a")), keys.send(model("b"))];
        keys.placed(tags[0], 10);
        keys.placed(tags[1], 11);
        assert_eq!(keys.range(), (10, 12));
        keys.begin();
        let tag = keys.send(model("a"));
        keys.placed(tag, 20);
        assert_eq!(keys.range(), (11, 21));
        assert_eq!(keys.oldest_too_far(), None);
        keys.begin();
        let tag = keys.send(model("a"));
        keys.placed(tag, 11 + MAX_SPAN);
        assert_eq!(keys.oldest_too_far(), Some(model("b")));
        keys.forget("model|b");
        assert_eq!(keys.range(), (11 + MAX_SPAN, 12 + MAX_SPAN));
    }
}
