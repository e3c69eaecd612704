//! JSON of a prediction.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::WireError;
use crate::flow::prediction::{AbstainReason, Prediction, Probabilities, Reference};
use crate::flow::said::Said;
use crate::flow::time::Micros;

/// A prediction as it stands on the `predictions` topic; see [`Prediction`] for the meaning of its fields.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of `Prediction`")]
pub struct PredictionRecord<'a> {
    #[serde(borrow)]
    pub prediction_id: Cow<'a, str>,
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    #[serde(borrow)]
    pub interval: Cow<'a, str>,
    pub horizon: u32,
    pub as_of: Micros,
    pub target_time: Micros,
    pub valid_until: Micros,
    pub sequence: i64,
    pub reference_price: f64,
    pub reference_vwap: f64,
    pub reference_complete: bool,
    pub reference_synthetic: bool,
    /// Records of before 0.2 lack it.
    #[serde(default)]
    pub dead_band_bps: f64,
    pub p_down: Option<f32>,
    pub p_flat: Option<f32>,
    pub p_up: Option<f32>,
    #[serde(borrow)]
    pub decision: Cow<'a, str>,
    #[serde(borrow)]
    pub abstain_reasons: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    #[serde(borrow)]
    pub model_version: Cow<'a, str>,
    #[serde(borrow)]
    pub role: Cow<'a, str>,
    #[serde(borrow)]
    pub feature_digest: Option<Cow<'a, str>>,
    pub max_event_time: Micros,
    pub produced_at: Micros,
}

/// Writes `prediction`, made at `produced_at`, to the end of `out`.
pub fn encode(prediction: &Prediction, produced_at: Micros, out: &mut Vec<u8>) {
    let p = prediction.probabilities;
    let record = PredictionRecord {
        prediction_id: Cow::Borrowed(&prediction.prediction_id),
        symbol: Cow::Borrowed(prediction.symbol.as_str()),
        interval: prediction.interval.to_string().into(),
        horizon: prediction.horizon,
        as_of: prediction.as_of,
        target_time: prediction.target_time,
        valid_until: prediction.valid_until,
        sequence: prediction.sequence,
        reference_price: prediction.reference.price,
        reference_vwap: prediction.reference.vwap,
        reference_complete: prediction.reference.complete,
        reference_synthetic: prediction.reference.synthetic,
        dead_band_bps: prediction.dead_band_bps,
        p_down: p.map(|p| p.down),
        p_flat: p.map(|p| p.flat),
        p_up: p.map(|p| p.up),
        decision: prediction.decision.as_str().into(),
        abstain_reasons: prediction.abstain_reasons.iter().map(|reason| reason.as_str().into()).collect(),
        model: Cow::Borrowed(&prediction.model),
        model_version: Cow::Borrowed(&prediction.model_version),
        role: prediction.role.as_str().into(),
        feature_digest: prediction.feature_digest.as_deref().map(Cow::Borrowed),
        max_event_time: prediction.max_event_time,
        produced_at,
    };
    serde_json::to_writer(out, &record).expect("a record of plain fields is always JSON, and a Vec takes every byte");
}

/// Reads a record of the `predictions` topic.
///
/// # Errors
/// When it is not a prediction.
pub fn decode(bytes: &[u8]) -> Result<PredictionRecord<'_>, WireError> {
    serde_json::from_slice(bytes).map_err(|source| WireError::Json { what: "prediction", source })
}

/// What is needed to settle a prediction: settle reads every one, so what it does not need is passed over.
#[derive(Debug, Deserialize)]
pub struct SaidRecord<'a> {
    #[serde(borrow)]
    prediction_id: Cow<'a, str>,
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    interval: Cow<'a, str>,
    horizon: u32,
    as_of: Micros,
    target_time: Micros,
    reference_price: f64,
    reference_vwap: f64,
    reference_complete: bool,
    reference_synthetic: bool,
    #[serde(default)]
    dead_band_bps: f64,
    p_down: Option<f32>,
    p_flat: Option<f32>,
    p_up: Option<f32>,
    #[serde(borrow)]
    decision: Cow<'a, str>,
    #[serde(borrow)]
    abstain_reasons: Vec<&'a str>,
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    model_version: Cow<'a, str>,
    #[serde(borrow)]
    role: Cow<'a, str>,
}

/// Reads what is needed to settle a record of the `predictions` topic.
///
/// # Errors
/// When it is not a prediction.
pub fn decode_said(bytes: &[u8]) -> Result<SaidRecord<'_>, WireError> {
    serde_json::from_slice(bytes).map_err(|source| WireError::Json { what: "prediction", source })
}

impl SaidRecord<'_> {
    /// What it says.
    ///
    /// # Errors
    /// When a field holds what no prediction can.
    pub fn said(&self) -> Result<Said<'_>, WireError> {
        let wrong = |why: String| WireError::Value { what: "prediction", why };
        let probabilities = match (self.p_down, self.p_flat, self.p_up) {
            (Some(down), Some(flat), Some(up)) => {
                let p = Probabilities { down, flat, up };
                Some(p.is_valid().then_some(p).ok_or_else(|| wrong("probabilities that cannot be".to_owned()))?)
            }
            (None, None, None) => None,
            _ => return Err(wrong("some probabilities and not others".to_owned())),
        };
        let said = Said {
            prediction_id: &self.prediction_id,
            symbol: &self.symbol,
            interval: self.interval.parse().map_err(|error| wrong(format!("{error}")))?,
            horizon: self.horizon,
            as_of: self.as_of,
            target_time: self.target_time,
            reference: Reference {
                price: self.reference_price,
                vwap: self.reference_vwap,
                complete: self.reference_complete,
                synthetic: self.reference_synthetic,
            },
            dead_band_bps: self.dead_band_bps,
            probabilities,
            decision: self
                .decision
                .parse()
                .map_err(|()| wrong(format!("decision `{}`", self.decision.escape_debug())))?,
            silent: self.abstain_reasons.iter().any(|reason| *reason == AbstainReason::Silent.as_str()),
            model: &self.model,
            model_version: &self.model_version,
            role: self.role.parse().map_err(|()| wrong(format!("role `{}`", self.role.escape_debug())))?,
        };
        match said.problem() {
            Some(why) => Err(wrong(why.to_owned())),
            None => Ok(said),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"prediction_id":"0","symbol":"A","interval":"10s","horizon":1,"as_of":10000000,"target_time":20000000,"reference_price":1.5,"reference_vwap":1.5,"reference_complete":true,"reference_synthetic":false,"dead_band_bps":0.0,"p_down":0.25,"p_flat":0.25,"p_up":0.5,"decision":"up","abstain_reasons":[],"model":"m","model_version":"1","role":"champion"}"#;

    #[test]
    fn what_no_forecaster_writes_is_refused() {
        let read = |text: &str| decode_said(text.as_bytes()).unwrap().said().map(|said| said.probabilities.is_some());
        assert!(read(GOOD).unwrap());
        assert!(!read(&GOOD.replace("0.25", "null").replace(":0.5,", ":null,")).unwrap());
        for (from, to) in [
            ("\"p_up\":0.5", "\"p_up\":0.9"),
            ("\"p_up\":0.5", "\"p_up\":null"),
            ("\"target_time\":20000000", "\"target_time\":30000000"),
            ("\"decision\":\"up\"", "\"decision\":\"sideways\""),
            ("\"reference_price\":1.5", "\"reference_price\":0"),
            ("\"role\":\"champion\"", "\"role\":\"jester\""),
        ] {
            assert!(read(&GOOD.replace(from, to)).is_err(), "{to}");
        }
    }
}
