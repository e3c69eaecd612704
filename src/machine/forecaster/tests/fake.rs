//! A model whose answer is a hash of its input: any difference in what it is asked shows.

use xxhash_rust::xxh3::xxh3_64;

use crate::flow::model::{CLASSES, Golden, ModelSpec, ScoreError, Scorer};
use crate::machine::forecaster::Champion;

/// Symbols, in order.
pub const NAMES: [&str; 4] = ["A", "B", "C", "D"];
/// Bars that a feature row looks at.
pub const WINDOW: usize = 8;
/// Feature rows in an input.
pub const SEQUENCE: usize = 4;
/// Bars ahead.
pub const HORIZONS: [u32; 2] = [1, 3];
/// Features, as [`super::naive`] computes them: the oldest and the newest bars of the window are in them.
const FEATURES: &str = "SELECT last(close) / lag(close, 7) - 1 AS r, last(close) / lag(close, 1) - 1 AS s, \
                        last(volume) AS v FROM window";

struct Fake {
    spec: ModelSpec,
    width: usize,
    input: Vec<f32>,
    output: Vec<f32>,
}

/// The fake model with its features planned.
pub fn fake() -> Champion {
    let spec = ModelSpec {
        name: "fake".to_owned(),
        version: "1".to_owned(),
        features: FEATURES.to_owned(),
        window: WINDOW,
        sequence: SEQUENCE,
        bar_interval: None,
        horizons: HORIZONS.to_vec(),
        dead_band_bps: 0.0,
        training_range: (0, 0),
        acceptance: String::new(),
        golden: Golden::default(),
    };
    Champion::new(Box::new(Fake { spec, width: 3 * SEQUENCE, input: Vec::new(), output: Vec::new() })).unwrap()
}

/// Digest of an input row.
pub fn digest(row: &[f32]) -> u64 {
    let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
    xxh3_64(&bytes)
}

/// What the fake says about a row: down, flat, up for each horizon.
pub fn answer(row: &[f32]) -> Vec<[f32; CLASSES]> {
    let hash = digest(row);
    let one = |index: usize| {
        let part = (hash >> (16 * index)) & 0xffff;
        let (down, up) = ((part % 101) as f32 / 256.0, (part / 101 % 101) as f32 / 256.0);
        [down, 1.0 - down - up, up]
    };
    (0..HORIZONS.len()).map(one).collect()
}

impl Scorer for Fake {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn input(&mut self, rows: usize) -> &mut [f32] {
        // What an earlier batch left must not matter.
        self.input.resize(rows * self.width, f32::NAN);
        &mut self.input
    }

    fn run(&mut self, rows: usize) -> Result<&[f32], ScoreError> {
        self.output = self.input.chunks_exact(self.width).take(rows).flat_map(|row| answer(row).concat()).collect();
        Ok(&self.output)
    }
}
