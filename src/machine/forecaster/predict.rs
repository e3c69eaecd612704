//! From feature rows to predictions: who is scored, who abstains and why.

use arrow::datatypes::ToByteSlice;
use xxhash_rust::xxh3::xxh3_64;

use super::{Champion, Cycle, Forecaster};
use crate::flow::bar::Bar;
use crate::flow::hex::Hex;
use crate::flow::model::CLASSES;
use crate::flow::prediction::{AbstainReason, Decision, Prediction, PredictionIds, Probabilities, Reference, Role};
use crate::flow::time::Micros;

impl Forecaster {
    /// Predictions for the symbols whose bar just closed, in their order.
    pub(super) fn predict(&mut self, places: &[u32], end: Micros, champion: &mut Champion, out: &mut Cycle) {
        let mut reasons: Vec<Vec<AbstainReason>> = places.iter().map(|&place| self.unready(place, champion)).collect();
        let scored: Vec<usize> = (0..places.len()).filter(|&row| reasons[row].is_empty()).collect();
        let outputs = self.score(places, &scored, champion, out);
        let mut output = vec![None; places.len()];
        for (&row, scores) in scored.iter().zip(outputs) {
            match scores {
                Some(scores) => output[row] = Some(scores),
                None => reasons[row].push(AbstainReason::ScoringFailed),
            }
        }
        let ids = champion.ids(self.rules.interval, end);
        for ((&place, reasons), output) in places.iter().zip(reasons).zip(output) {
            let Some(bar) = &self.book.get(place).last else { continue };
            for index in 0..champion.spec().horizons.len() {
                let prediction = self.prediction(bar, index, champion, &ids, &reasons, output.as_ref());
                out.predictions.push(prediction);
            }
        }
    }

    /// The last word about a symbol that fell silent: no bar closed at `end`, the last one was `last`.
    pub(super) fn predict_silent(&self, last: &Bar, end: Micros, champion: &Champion, out: &mut Cycle) {
        let mut bar = last.synthetic_next(true);
        bar.close_time = end;
        let ids = champion.ids(self.rules.interval, end);
        for index in 0..champion.spec().horizons.len() {
            out.predictions.push(self.prediction(&bar, index, champion, &ids, &[AbstainReason::Silent], None));
        }
    }

    /// Why the model cannot be asked about this symbol; empty when it can.
    fn unready(&self, place: u32, champion: &Champion) -> Vec<AbstainReason> {
        let entry = self.book.get(place);
        let needed = champion.spec().bars_needed();
        let mut reasons = Vec::new();
        if self.book.windows.len(entry.slot) < needed || !entry.rows.is_full() {
            reasons.push(AbstainReason::WarmingUp);
        }
        let span = i64::try_from(needed).unwrap_or(i64::MAX).saturating_mul(self.rules.interval.micros());
        let newest = entry.last.as_ref().map_or(Micros::MAX, |bar| bar.close_time);
        if entry.last_incomplete > newest.saturating_sub(span) {
            reasons.push(AbstainReason::GapInWindow);
        }
        if reasons.is_empty() && !entry.rows.is_finite() {
            reasons.push(AbstainReason::ScoringFailed);
        }
        reasons
    }

    /// Scores the rows `scored` of `places` in one run; rows that make it fail are found by running each alone.
    fn score(&self, places: &[u32], scored: &[usize], champion: &mut Champion, out: &mut Cycle) -> Vec<Option<Scores>> {
        if scored.is_empty() {
            return Vec::new();
        }
        let horizons = champion.spec().horizons.len();
        let width = champion.spec().sequence * champion.features.names().len();
        let scorer = champion.scorer.as_mut();
        let input = scorer.input(scored.len());
        // The digest is taken while the row is still in the cache.
        let rows = scored.iter().zip(input.chunks_exact_mut(width));
        let digests: Vec<Hex<16>> = rows
            .map(|(&row, place)| {
                self.book.get(places[row]).rows.copy_to(place);
                digest(place)
            })
            .collect();
        out.scored += scored.len();
        let size = horizons * CLASSES;
        match scorer.run(scored.len()) {
            Ok(output) => {
                output.chunks_exact(size).zip(digests).map(|(row, digest)| Scores::checked(row, digest)).collect()
            }
            Err(error) => {
                out.problems.push(error.to_string());
                let alone = scored.iter().zip(digests).map(|(&row, digest)| {
                    self.book.get(places[row]).rows.copy_to(&mut scorer.input(1)[..width]);
                    scorer.run(1).ok().and_then(|output| Scores::checked(&output[..size], digest))
                });
                alone.collect()
            }
        }
    }

    fn prediction(
        &self,
        bar: &Bar,
        index: usize,
        champion: &Champion,
        ids: &PredictionIds,
        reasons: &[AbstainReason],
        scores: Option<&Scores>,
    ) -> Prediction {
        let spec = champion.spec();
        let interval = self.rules.interval;
        let horizon = spec.horizons[index];
        let (as_of, step) = (bar.close_time, interval.micros());
        let probabilities = scores.map(|scores| scores.probabilities[index]);
        let mut reasons = reasons.to_vec();
        self.limits(bar, champion, probabilities, &mut reasons);
        let decision = match probabilities {
            Some(p) if reasons.is_empty() => p.decision(),
            _ => Decision::Abstain,
        };
        Prediction {
            prediction_id: ids.id(bar.symbol.as_str(), index),
            symbol: bar.symbol.clone(),
            interval,
            horizon,
            as_of,
            target_time: as_of + i64::from(horizon) * step,
            valid_until: as_of + step + self.rules.lateness,
            sequence: as_of / step,
            reference: Reference::from(bar),
            dead_band_bps: spec.dead_band_bps,
            probabilities,
            decision,
            abstain_reasons: reasons,
            model: champion.name.clone(),
            model_version: champion.version.clone(),
            role: Role::Champion,
            feature_digest: scores.map(|scores| scores.digest),
            max_event_time: bar.last_event_time,
        }
    }

    /// The limits that are off by default. A row beyond them is scored all the same, so that it can be judged.
    fn limits(&self, bar: &Bar, champion: &Champion, p: Option<Probabilities>, reasons: &mut Vec<AbstainReason>) {
        if reasons.contains(&AbstainReason::Silent) {
            return;
        }
        if self.rules.max_staleness.is_some_and(|limit| bar.close_time - bar.last_event_time > limit) {
            reasons.push(AbstainReason::Stale);
        }
        if p.is_some_and(|p| p.down.max(p.flat).max(p.up) < self.rules.min_confidence) {
            reasons.push(AbstainReason::LowConfidence);
        }
        let trained = champion.spec().training_range.1;
        if self.rules.max_model_age.is_some_and(|limit| bar.close_time.saturating_sub(trained) > limit) {
            reasons.push(AbstainReason::ModelExpired);
        }
    }
}

/// The model's answer for one row.
#[derive(Clone)]
struct Scores {
    /// One a horizon.
    probabilities: Vec<Probabilities>,
    /// Digest of the input.
    digest: Hex<16>,
}

impl Scores {
    /// Takes an output row, unless it holds what no probability can be.
    fn checked(row: &[f32], digest: Hex<16>) -> Option<Self> {
        let probabilities: Vec<_> = row
            .chunks_exact(CLASSES)
            .map(|class| Probabilities { down: class[0], flat: class[1], up: class[2] })
            .collect();
        probabilities.iter().all(|p| p.is_valid()).then_some(Self { probabilities, digest })
    }
}

// What lies in memory is what the digest is of.
const _: () = assert!(cfg!(target_endian = "little"), "digests are of little-endian values");

fn digest(row: &[f32]) -> Hex<16> {
    Hex::of(&xxh3_64(row.to_byte_slice()).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_all_bytes() {
        for len in [0, 1, 255, 256, 257, 1_024, 1_100] {
            let row: Vec<f32> = (0..len).map(|n| n as f32 * 0.37 - 3.0).collect();
            let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
            assert_eq!(&*digest(&row), format!("{:016x}", xxh3_64(&bytes)));
        }
    }
}
