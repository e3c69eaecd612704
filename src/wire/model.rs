//! The declaration inside an ONNX file: metadata properties `tickcast.*`, all of them text.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::flow::model::{Golden, ModelSpec};
use crate::flow::time::Micros;

/// Version of the contract between model files and this program.
pub const CONTRACT: &str = "1";

/// Every key that the contract requires.
pub const KEYS: [&str; 12] = [
    "tickcast.contract",
    "tickcast.name",
    "tickcast.version",
    "tickcast.features",
    "tickcast.window",
    "tickcast.sequence",
    "tickcast.bar_interval",
    "tickcast.horizons",
    "tickcast.dead_band_bps",
    "tickcast.training_range",
    "tickcast.acceptance",
    "tickcast.golden",
];

/// Optional parts of the contract that are not built yet: refused by name rather than ignored.
const RESERVED: [&str; 3] = ["tickcast.min_sequence", "tickcast.quantile_levels", "tickcast.symbol_vocabulary"];

/// The hit rates by horizon that an acceptance speaks of: `{"horizons": {"5": {"hit": 0.64, ..}, ..}, ..}`, as the trainer
/// writes it. It is free text for people, so what is not of this shape simply says nothing.
pub fn accepted_hit_rates(acceptance: &str) -> BTreeMap<u32, f64> {
    #[derive(Deserialize)]
    struct Horizon {
        hit: f64,
    }
    #[derive(Deserialize)]
    struct Acceptance {
        horizons: BTreeMap<String, Horizon>,
    }
    let Ok(acceptance) = serde_json::from_str::<Acceptance>(acceptance) else { return BTreeMap::new() };
    let rate = |(horizon, said): (String, Horizon)| {
        Some((horizon.parse().ok()?, said.hit)).filter(|(_, hit)| (0.0..=1.0).contains(hit))
    };
    acceptance.horizons.into_iter().filter_map(rate).collect()
}

/// Reads the declaration.
///
/// # Errors
/// Every problem at once: keys that are missing, that cannot be read, or that are reserved.
pub fn decode(metadata: &BTreeMap<String, String>) -> Result<ModelSpec, Vec<String>> {
    let mut problems = Vec::new();
    for key in KEYS {
        if !metadata.contains_key(key) {
            problems.push(format!("metadata `{key}` is missing"));
        }
    }
    for key in RESERVED {
        if metadata.contains_key(key) {
            problems.push(format!(
                "metadata `{key}` belongs to a part of the contract that is not built yet: export without it"
            ));
        }
    }
    if metadata.get(KEYS[0]).is_some_and(|version| version != CONTRACT) {
        problems
            .push(format!("metadata `tickcast.contract` is `{}`: this program knows `{CONTRACT}`", metadata[KEYS[0]]));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut fields = Fields { metadata, problems: Vec::new() };
    let spec = fields.spec();
    let mut problems = fields.problems;
    match spec {
        Some(spec) if problems.is_empty() => {
            problems.extend(spec.problems());
            if problems.is_empty() { Ok(spec) } else { Err(problems) }
        }
        _ => Err(problems),
    }
}

struct Fields<'a> {
    metadata: &'a BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Fields<'_> {
    fn spec(&mut self) -> Option<ModelSpec> {
        // Every field is read before the first failure ends it, so that all problems are told.
        let window = self.json::<usize>("tickcast.window");
        let sequence = self.json::<usize>("tickcast.sequence");
        let horizons = self.json::<Vec<u32>>("tickcast.horizons");
        let dead_band = self.json::<f64>("tickcast.dead_band_bps");
        let range = self.json::<Range>("tickcast.training_range");
        let golden = self.golden();
        let interval = match self.metadata["tickcast.bar_interval"].as_str() {
            "any" => Some(None),
            text => match text.parse() {
                Ok(interval) => Some(Some(interval)),
                Err(error) => {
                    self.problems.push(format!("metadata `tickcast.bar_interval`: {error}, or `any`"));
                    None
                }
            },
        };
        let range = range?;
        Some(ModelSpec {
            name: self.metadata["tickcast.name"].clone(),
            version: self.metadata["tickcast.version"].clone(),
            features: self.metadata["tickcast.features"].clone(),
            window: window?,
            sequence: sequence?,
            bar_interval: interval?,
            horizons: horizons?,
            dead_band_bps: dead_band?,
            training_range: (range.from, range.to),
            acceptance: self.metadata["tickcast.acceptance"].clone(),
            golden: golden?,
        })
    }

    fn json<T: serde::de::DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        serde_json::from_str(&self.metadata[key])
            .map_err(|error| self.problems.push(format!("metadata `{key}`: {error}")))
            .ok()
    }

    fn golden(&mut self) -> Option<Golden> {
        let raw = self.json::<RawGolden>("tickcast.golden")?;
        let features = self.floats("features", &raw.features);
        let probabilities = self.floats("probabilities", &raw.probabilities);
        Some(Golden { rows: raw.rows, features: features?, probabilities: probabilities? })
    }

    fn floats(&mut self, name: &str, text: &str) -> Option<Vec<f32>> {
        match STANDARD.decode(text) {
            Ok(bytes) if bytes.len().is_multiple_of(4) => {
                Some(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
            }
            _ => {
                self.problems.push(format!("metadata `tickcast.golden`: {name} is not base64 of little-endian f32"));
                None
            }
        }
    }
}

#[derive(Deserialize)]
struct Range {
    from: Micros,
    to: Micros,
}

#[derive(Deserialize)]
struct RawGolden {
    rows: usize,
    features: String,
    probabilities: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> BTreeMap<String, String> {
        let floats = STANDARD.encode(1.5_f32.to_le_bytes());
        let golden = format!(r#"{{"rows":1,"features":"{floats}","probabilities":"{floats}"}}"#);
        let values =
            ["1", "m", "1.0.0", "SELECT 1", "256", "64", "any", "[1,5]", "0", r#"{"from":1,"to":2}"#, "{}", &golden];
        KEYS.iter().zip(values).map(|(key, value)| ((*key).to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn a_declaration() {
        let spec = decode(&good()).unwrap();
        assert_eq!((spec.window, spec.sequence, spec.horizons.as_slice()), (256, 64, [1, 5].as_slice()));
        assert_eq!((spec.training_range, spec.golden.features.as_slice()), ((1, 2), [1.5].as_slice()));
    }

    #[test]
    fn every_problem_is_named() {
        let cases = [
            ("tickcast.contract", "2"),
            ("tickcast.window", "x"),
            ("tickcast.window", "1"),
            ("tickcast.sequence", "-1"),
            ("tickcast.bar_interval", "7s"),
            ("tickcast.horizons", "[5,1]"),
            ("tickcast.horizons", "[]"),
            ("tickcast.dead_band_bps", "-1"),
            ("tickcast.name", "a b"),
            ("tickcast.golden", "{}"),
            ("tickcast.golden", r#"{"rows":1,"features":"?","probabilities":""}"#),
        ];
        for (key, value) in cases {
            let mut metadata = good();
            metadata.insert(key.to_owned(), value.to_owned());
            let problems = decode(&metadata).unwrap_err();
            let name = key.trim_start_matches("tickcast.");
            assert!(problems.iter().any(|p| p.contains(name)), "{key}={value}: {problems:?}");
        }
        for key in KEYS {
            let mut metadata = good();
            metadata.remove(key);
            assert!(decode(&metadata).unwrap_err()[0].contains(key));
        }
        let mut metadata = good();
        metadata.insert("tickcast.min_sequence".to_owned(), "8".to_owned());
        assert!(decode(&metadata).unwrap_err()[0].contains("min_sequence"));
    }
}
