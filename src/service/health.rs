//! What `/livez` and `/readyz` answer, and how every thread learns that it is time to stop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A wish to stop, shared by all threads of the process.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks everybody to finish what they hold and end.
    pub fn request(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether somebody asked.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// State of one part of the process, such as a lane.
#[derive(Clone, Debug)]
struct Part {
    /// Why it is not ready; none when it is.
    waits_for: Option<String>,
    /// Why it is not alive; none when it is.
    broken: Option<String>,
    /// Its last sign of life.
    beat: Instant,
    /// How long it may be silent.
    patience: Duration,
}

/// Health of all parts.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, Part>>>);

impl Health {
    /// Adds a part that is not ready yet and may be silent for `patience`.
    pub fn part(&self, name: &str, patience: Duration) -> HealthPart {
        let part = Part { waits_for: Some("starting".to_owned()), broken: None, beat: Instant::now(), patience };
        self.lock().insert(name.to_owned(), part);
        HealthPart { health: self.clone(), name: name.to_owned() }
    }

    /// Why the process is not alive; empty when it is.
    pub fn dead(&self) -> Vec<String> {
        let tell = |(name, part): (&String, &Part)| match &part.broken {
            Some(why) => Some(format!("{name}: {why}")),
            None if part.beat.elapsed() > part.patience => {
                Some(format!("{name}: no sign of life for {:?}", part.beat.elapsed()))
            }
            None => None,
        };
        self.lock().iter().filter_map(tell).collect()
    }

    /// Why the process is not ready; empty when it is.
    pub fn unready(&self) -> Vec<String> {
        let waiting: Vec<String> = self
            .lock()
            .iter()
            .filter_map(|(name, part)| part.waits_for.as_ref().map(|why| format!("{name}: {why}")))
            .collect();
        waiting.into_iter().chain(self.dead()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Part>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One part's handle on the health of the process.
#[derive(Clone, Debug)]
pub struct HealthPart {
    health: Health,
    name: String,
}

impl HealthPart {
    /// A sign of life.
    pub fn beat(&self) {
        self.update(|part| part.beat = Instant::now());
    }

    /// It is ready.
    pub fn ready(&self) {
        self.update(|part| part.waits_for = None);
    }

    /// It is not ready, because of `why`.
    pub fn waits_for(&self, why: impl Into<String>) {
        let why = why.into();
        self.update(|part| part.waits_for = Some(why));
    }

    /// It makes no progress, because of `why`; none when it does again.
    pub fn broken(&self, why: Option<String>) {
        self.update(|part| part.broken = why);
    }

    fn update(&self, change: impl FnOnce(&mut Part)) {
        if let Some(part) = self.health.lock().get_mut(&self.name) {
            change(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_ready_and_alive_together() {
        let health = Health::default();
        let lane = health.part("lane 0", Duration::from_secs(60));
        assert_eq!(health.unready(), ["lane 0: starting"]);
        assert!(health.dead().is_empty());
        lane.ready();
        assert!(health.unready().is_empty());
        lane.broken(Some("stuck".to_owned()));
        assert_eq!(health.dead(), ["lane 0: stuck"]);
        let silent = health.part("lane 1", Duration::ZERO);
        std::thread::yield_now();
        assert_eq!(health.dead().len(), 2);
        drop(silent);
    }
}
