//! What the judge writes down and takes up again.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::track::Track;
use super::{Judge, Model, Settings};
use crate::flow::accuracy::Subject;
use crate::flow::judge_state::{BlockState, Item, Key, ModelState, TrackState};
use crate::flow::time::{Micros, SECOND};
use crate::flow::trigger::Guards;

/// Late outcomes whose offsets are kept; more of them, and every track is sealed instead.
const MAX_LATE: usize = 256;
/// Event time after which a track that gets no more cohorts is sealed: what it held back may soon be deleted by retention.
const IDLE: Micros = 86_400 * SECOND;
/// Records between the first outcome that is not sealed and the end, before whoever holds it back is sealed.
const MAX_BEHIND: i64 = 400_000;

/// Items that were read back, the latest of each key.
#[derive(Default)]
pub struct Restored {
    models: BTreeMap<Key, ModelState>,
    tracks: BTreeMap<Key, TrackState>,
    blocks: HashMap<Key, BlockState>,
}

impl Restored {
    /// Takes an item, in the order of the log.
    pub fn take(&mut self, item: Item) {
        let key = item.key();
        match item {
            Item::Model(model) => drop(self.models.insert(key, model)),
            Item::Track(track) => drop(self.tracks.insert(key, track)),
            Item::Block(block) => drop(self.blocks.insert(key, block)),
        }
    }
}

impl Restored {
    /// A tombstone: the item with the key of this text is gone.
    pub fn forget(&mut self, text: &str) {
        self.models.retain(|key, _| key.to_string() != text);
        self.tracks.retain(|key, _| key.to_string() != text);
        self.blocks.retain(|key, _| key.to_string() != text);
    }
}

impl Judge {
    /// A judge of the items that were written down, and what of them does not fit the settings, in words: that begins anew.
    pub fn restore(settings: Settings, restored: Restored) -> (Self, Vec<String>) {
        let mut judge = Self::new(settings);
        let mut problems = Vec::new();
        for state in restored.models.into_values() {
            let mut model = Model::new(&judge.settings);
            model.closed = state.closed;
            model.participants = state.participants.into_iter().collect();
            match Guards::restore(&judge.settings.trigger, &state.guards) {
                Some(guards) => model.guards = guards,
                None => problems.push(format!("model {}: its guards do not fit and begin anew", state.model)),
            }
            (model.ends, model.late, model.dirty) = (state.ends, state.late, false);
            model.late.sort_unstable();
            judge.models.insert(state.model, model);
        }
        let mut blocks = restored.blocks;
        for state in restored.tracks.into_values() {
            let Some(model) = judge.models.get_mut(&state.subject.model) else { continue };
            let (track, found) = Track::restore(state, &mut blocks, &judge.settings);
            let s = &track.subject;
            problems.extend(found.into_iter().map(|why| {
                format!("model {} {} horizon {}: {why}; it begins anew", s.model, s.model_version, s.horizon)
            }));
            model.tracks.insert(track.subject.clone(), track);
        }
        (judge, problems)
    }

    /// R: where a restore begins to read outcomes when `next` is the next record to apply.
    pub fn resume(&self, next: i64) -> i64 {
        self.models.values().filter_map(Model::resume).min().unwrap_or(next)
    }

    /// What is to be written with the commit of `next`.
    pub fn save(&mut self, next: i64) -> Vec<Item> {
        let mut items = Vec::new();
        let now = self.models.values().filter_map(|model| model.closed).max().unwrap_or(Micros::MIN);
        for (name, model) in &mut self.models {
            let behind = model.resume().is_some_and(|resume| next - resume > MAX_BEHIND);
            let all = model.late.len() > MAX_LATE;
            let closed = model.closed.unwrap_or(Micros::MIN);
            for track in model.tracks.values_mut() {
                let pinned = behind && track.unsealed_from.is_some_and(|from| next - from > MAX_BEHIND / 2);
                let idle = track.unsealed_from.is_some() && track.newest < now - IDLE;
                if all || pinned || idle || track.wants_seal() {
                    items.extend(track.seal(closed, next));
                }
            }
            if all {
                model.late.clear();
            }
            if let Some(resume) = model.resume() {
                model.late.retain(|offset| *offset >= resume);
            } else {
                model.late.clear();
            }
            if model.dirty {
                model.dirty = false;
                items.push(Item::Model(model.state(name)));
            }
        }
        items
    }

    /// The item of `key` as it was last written, to be written again nearer to the end; several where a track is sealed for
    /// it. Empty where it is gone.
    pub fn rewrite(&mut self, key: &Key, next: i64) -> Vec<Item> {
        match key {
            Key::Model(name) => self.models.get(name).map(|model| Item::Model(model.state(name))).into_iter().collect(),
            Key::Track(subject) => self.seal(subject, next),
            Key::Block { subject, slot, chunk } => {
                let track = self.models.get(&subject.model).and_then(|model| model.tracks.get(subject));
                match track.and_then(|track| track.finished_chunk(*slot, *chunk)) {
                    Some(item) => vec![item],
                    None => self.seal(subject, next),
                }
            }
        }
    }

    fn seal(&mut self, subject: &Subject, next: i64) -> Vec<Item> {
        let Some(model) = self.models.get_mut(&subject.model) else { return Vec::new() };
        let closed = model.closed.unwrap_or(Micros::MIN);
        model.tracks.get_mut(subject).map(|track| track.seal_whole(closed, next)).unwrap_or_default()
    }

    /// Keys of tracks that were dropped since the last call: tombstones are to be written for them.
    pub fn gone(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.gone)
    }
}

impl Model {
    fn resume(&self) -> Option<i64> {
        let folded = self.tracks.values().filter_map(|track| track.unsealed_from).min();
        let open = self.open.values().map(|cohort| cohort.first_offset).min();
        [folded, open].into_iter().flatten().min()
    }

    fn state(&self, name: &std::sync::Arc<str>) -> ModelState {
        ModelState {
            model: name.clone(),
            closed: self.closed,
            participants: self.participants.iter().map(|(&partition, &time)| (partition, time)).collect(),
            guards: self.guards.numbers(),
            ends: self.ends,
            late: self.late.clone(),
        }
    }
}
