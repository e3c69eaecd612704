//! One model: its tracks, its open cohorts, and who must pass before these close.

use std::collections::BTreeMap;

use super::track::Track;
use super::{Judged, MAX_TRACKS, Model, Settings};
use crate::flow::accuracy::Subject;
use crate::flow::evidence::Evidence;
use crate::flow::judge_state::Key;
use crate::flow::time::Micros;
use crate::flow::trigger::Guards;

impl Model {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            participants: BTreeMap::new(),
            closed: None,
            cleared: Micros::MIN,
            tracks: BTreeMap::new(),
            open: BTreeMap::new(),
            guards: Guards::new(&settings.trigger),
            ends: 0,
            late: Vec::new(),
            dirty: true,
        }
    }

    /// How far every participant has come; where all have left, as far as there are cohorts.
    pub(super) fn frontier(&self) -> Option<Micros> {
        let open = self.open.keys().next_back().map(|(target, _)| *target);
        self.participants.values().min().copied().or(open)
    }

    /// Target of the first open cohort.
    pub(super) fn first_open(&self) -> Option<Micros> {
        self.open.keys().next().map(|(target, _)| *target)
    }

    /// Whether the first open cohort may close.
    pub(super) fn due(&self, partitions: i32) -> bool {
        let Some(((first, _), frontier)) = self.open.keys().next().zip(self.frontier()) else { return false };
        let all = i32::try_from(self.participants.len()).is_ok_and(|count| count >= partitions);
        *first <= frontier && (all || *first <= self.cleared)
    }

    /// Closes the first open cohort; gives the number of rows that it held.
    pub(super) fn close_first(&mut self, settings: &Settings, silent: bool, out: &mut Vec<Judged>) -> usize {
        let Some(((target, subject), cohort)) = self.open.pop_first() else { return 0 };
        let rows = cohort.entries.len();
        let track = self.tracks.entry(subject.clone()).or_insert_with(|| Track::new(subject, settings, Micros::MIN));
        let folded = track.fold(target, cohort, settings, silent);
        if !silent {
            out.extend(folded.reports.into_iter().map(|report| Judged::Report(Box::new(report))));
            out.extend(folded.alarm.and_then(|alarm| track.judged(alarm, target)));
        }
        self.closed = self.closed.max(Some(target));
        self.dirty = true;
        rows
    }

    /// The track of an outcome. One that is new takes the place of the one that has been quiet longest, where there are too
    /// many; its keys go to `gone`.
    pub(super) fn track(&mut self, evidence: &Evidence<'_>, settings: &Settings, gone: &mut Vec<Key>) -> &mut Track {
        let subject = self.subject(evidence);
        if !self.tracks.contains_key(&subject) && self.tracks.len() >= MAX_TRACKS {
            let open: Vec<&Subject> = self.open.keys().map(|(_, subject)| subject).collect();
            let idle = self.tracks.values().filter(|track| !open.contains(&&track.subject));
            if let Some(oldest) = idle.min_by_key(|track| track.newest).map(|track| track.subject.clone())
                && let Some(track) = self.tracks.remove(&oldest)
            {
                gone.extend(track.keys());
            }
        }
        let sealed = self.closed.unwrap_or(Micros::MIN);
        self.tracks.entry(subject.clone()).or_insert_with(|| Track::new(subject, settings, sealed))
    }

    fn subject(&self, evidence: &Evidence<'_>) -> Subject {
        let same = |subject: &&Subject| {
            subject.horizon == evidence.horizon
                && subject.interval == evidence.interval
                && &*subject.model_version == evidence.model_version
        };
        match self.tracks.keys().find(same) {
            Some(subject) => subject.clone(),
            None => Subject {
                model: self.tracks.keys().next().map_or_else(|| evidence.model.into(), |s| s.model.clone()),
                model_version: evidence.model_version.into(),
                interval: evidence.interval,
                horizon: evidence.horizon,
            },
        }
    }
}
