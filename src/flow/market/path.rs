//! The returns of one symbol.

use rand::rngs::StdRng;
use rand_distr::{Distribution as _, StandardNormal};

use super::{Schedule, rng, streams};

/// Weight of the newest return in the average: a span of 20 bars.
const ALPHA: f64 = 2.0 / 21.0;
/// Log return of a bar for a scaled return of 1.
const SCALE: f64 = 8e-4;

/// Log returns of one symbol's bars, without end.
#[derive(Debug)]
pub struct Path {
    schedule: Schedule,
    /// The bar whose return is next.
    bar: u64,
    normals: StdRng,
    common: Option<Common>,
    average: f64,
}

/// What all symbols of a seed share: each draws the same series for itself.
#[derive(Debug)]
struct Common {
    normals: StdRng,
    /// Weights of the shared and of the own normal; their squares add up to 1.
    shared: f64,
    own: f64,
}

impl Path {
    /// The returns of symbol `number` under `seed`: where the rule changes as `schedule` says, and the normals of any two
    /// symbols have this correlation (from 0 to below 1).
    pub fn new(seed: u64, number: u32, schedule: &Schedule, correlation: f64) -> Self {
        // Without correlation nothing is drawn, and the own normals are left as they are, to the last bit.
        let common = (correlation > 0.0).then(|| Common {
            normals: rng(seed, 0, streams::COMMON),
            shared: correlation.sqrt(),
            own: (1.0 - correlation).sqrt(),
        });
        let normals = rng(seed, number, streams::RETURNS);
        Self { schedule: schedule.clone(), bar: 0, normals, common, average: 0.0 }
    }

    /// What the best forecast has the sign of: `R * x`, from closed bars and the rule of the next one alone.
    pub fn signal(&self) -> f64 {
        self.schedule.regime(self.bar).direction * self.x()
    }

    /// The state that returns depend on: their average over its stationary deviation.
    pub fn x(&self) -> f64 {
        self.average / (ALPHA / (2.0 - ALPHA)).sqrt()
    }

    fn normal(&mut self) -> f64 {
        let own: f64 = StandardNormal.sample(&mut self.normals);
        match &mut self.common {
            None => own,
            Some(common) => {
                let shared: f64 = StandardNormal.sample(&mut common.normals);
                common.shared * shared + common.own * own
            }
        }
    }
}

impl Iterator for Path {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        let regime = self.schedule.regime(self.bar);
        let drift = regime.direction * regime.strength * 2.0 * (self.x() / 2.0).tanh();
        let r = self.normal() + drift;
        self.average += ALPHA * (r - self.average);
        self.bar += 1;
        Some(SCALE * r)
    }
}
