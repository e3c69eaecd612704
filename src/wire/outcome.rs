//! JSON of the `outcomes` topic: outcomes, and the control records that say how far a partition has come.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::WireError;
use crate::flow::evidence::Evidence;
use crate::flow::outcome::{Outcome, Passage, Realised, Settled, Settlement, Unscorable};
use crate::flow::prediction::Probabilities;
use crate::flow::symbol::Symbol;
use crate::flow::time::Micros;

/// An outcome as it stands on the `outcomes` topic; see [`Outcome`] and [`Settlement`] for the meaning of its fields.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of `Outcome` and `Settlement`")]
pub struct OutcomeRecord<'a> {
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub prediction_id: Cow<'a, str>,
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    #[serde(borrow)]
    pub interval: Cow<'a, str>,
    pub horizon: u32,
    pub as_of: Micros,
    pub target_time: Micros,
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    #[serde(borrow)]
    pub model_version: Cow<'a, str>,
    #[serde(borrow)]
    pub role: Cow<'a, str>,
    pub p_down: f32,
    pub p_flat: f32,
    pub p_up: f32,
    #[serde(borrow)]
    pub decision: Cow<'a, str>,
    pub reference_price: f64,
    pub dead_band_bps: f64,
    pub fee_bps: f64,
    pub prior_return_bps: Option<f64>,
    pub entry_price: Option<f64>,
    pub target_price: Option<f64>,
    pub realised_return_bps: Option<f64>,
    #[serde(borrow)]
    pub realised: Option<Cow<'a, str>>,
    pub hit: Option<bool>,
    pub log_loss: Option<f64>,
    pub brier: Option<f64>,
    pub pnl_bps: Option<f64>,
    #[serde(borrow)]
    pub unscorable: Option<Cow<'a, str>>,
    pub produced_at: Micros,
}

/// A control record: `progress` or `left`.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of `Passage`")]
pub struct PassageRecord<'a> {
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    pub partition: i32,
    pub time: Micros,
    pub produced_at: Micros,
}

/// The value of `kind` of an outcome.
pub const OUTCOME: &str = "outcome";
/// The value of `kind` of a [`Settled::Progress`].
pub const PROGRESS: &str = "progress";
/// The value of `kind` of a [`Settled::Left`].
pub const LEFT: &str = "left";

/// Writes what was settled at `produced_at` to the end of `out`.
pub fn encode(settled: &Settled, produced_at: Micros, out: &mut Vec<u8>) {
    let written = match settled {
        Settled::Outcome(outcome) => serde_json::to_writer(out, &record(outcome, produced_at)),
        Settled::Progress(passage) => serde_json::to_writer(out, &control(PROGRESS, passage, produced_at)),
        Settled::Left(passage) => serde_json::to_writer(out, &control(LEFT, passage, produced_at)),
    };
    written.expect("a record of plain fields is always JSON, and a Vec takes every byte");
}

fn control<'a>(kind: &'static str, passage: &'a Passage, produced_at: Micros) -> PassageRecord<'a> {
    PassageRecord {
        kind: kind.into(),
        model: Cow::Borrowed(&passage.model),
        partition: passage.partition,
        time: passage.time,
        produced_at,
    }
}

fn record(outcome: &Outcome, produced_at: Micros) -> OutcomeRecord<'_> {
    let settled = outcome.settlement.as_ref().ok();
    OutcomeRecord {
        kind: OUTCOME.into(),
        prediction_id: Cow::Borrowed(&outcome.prediction_id),
        symbol: Cow::Borrowed(outcome.symbol.as_str()),
        interval: outcome.interval.to_string().into(),
        horizon: outcome.horizon,
        as_of: outcome.as_of,
        target_time: outcome.target_time,
        model: Cow::Borrowed(&outcome.model),
        model_version: Cow::Borrowed(&outcome.model_version),
        role: outcome.role.as_str().into(),
        p_down: outcome.probabilities.down,
        p_flat: outcome.probabilities.flat,
        p_up: outcome.probabilities.up,
        decision: outcome.decision.as_str().into(),
        reference_price: outcome.reference_price,
        dead_band_bps: outcome.dead_band_bps,
        fee_bps: outcome.fee_bps,
        prior_return_bps: outcome.prior_return_bps,
        entry_price: settled.and_then(|s| s.entry_price),
        target_price: settled.map(|s| s.target_price),
        realised_return_bps: settled.map(|s| s.realised_return_bps),
        realised: settled.map(|s| s.realised.as_str().into()),
        hit: settled.and_then(|s| s.hit),
        log_loss: settled.and_then(|s| s.log_loss),
        brier: settled.and_then(|s| s.brier),
        pnl_bps: settled.and_then(|s| s.pnl_bps),
        unscorable: outcome.settlement.as_ref().err().map(|why| why.as_str().into()),
        produced_at,
    }
}

/// A decoded record that borrows its text; an outcome is read as `O`.
#[derive(Debug)]
pub enum Decoded<'a, O> {
    /// An outcome.
    Outcome(O),
    /// `progress`.
    Progress(PassageRecord<'a>),
    /// `left`.
    Left(PassageRecord<'a>),
}

/// Reads a record of the `outcomes` topic, an outcome as `O`: an [`OutcomeRecord`], or an [`EvidenceRecord`].
///
/// # Errors
/// When it is none.
pub fn decode<'a, O: Deserialize<'a>>(bytes: &'a [u8]) -> Result<Decoded<'a, O>, WireError> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        kind: Cow<'a, str>,
    }
    let wrong = |source| WireError::Json { what: "outcome", source };
    // Ours begin with the kind, and nearly all are outcomes: these are read once.
    if bytes.starts_with(b"{\"kind\":\"outcome\",") {
        return serde_json::from_slice(bytes).map(Decoded::Outcome).map_err(wrong);
    }
    let kind: Kind<'_> = serde_json::from_slice(bytes).map_err(wrong)?;
    match kind.kind.as_ref() {
        OUTCOME => serde_json::from_slice(bytes).map(Decoded::Outcome).map_err(wrong),
        PROGRESS => serde_json::from_slice(bytes).map(Decoded::Progress).map_err(wrong),
        LEFT => serde_json::from_slice(bytes).map(Decoded::Left).map_err(wrong),
        other => Err(WireError::Value { what: "outcome", why: format!("kind `{}`", other.escape_debug()) }),
    }
}

impl<'a> TryFrom<Decoded<'a, OutcomeRecord<'a>>> for Settled {
    type Error = WireError;

    fn try_from(decoded: Decoded<'a, OutcomeRecord<'a>>) -> Result<Self, WireError> {
        match decoded {
            Decoded::Outcome(record) => Outcome::try_from(record).map(Self::Outcome),
            Decoded::Progress(record) => Ok(Self::Progress(record.passage())),
            Decoded::Left(record) => Ok(Self::Left(record.passage())),
        }
    }
}

impl PassageRecord<'_> {
    /// What it says.
    pub fn passage(&self) -> Passage {
        Passage { model: self.model.as_ref().into(), partition: self.partition, time: self.time }
    }
}

/// What the judge needs of an outcome: it reads every one of them, so what it does not need is passed over.
#[derive(Debug, Deserialize)]
pub struct EvidenceRecord<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    interval: Cow<'a, str>,
    horizon: u32,
    target_time: Micros,
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    model_version: Cow<'a, str>,
    p_down: f32,
    p_flat: f32,
    p_up: f32,
    #[serde(borrow)]
    decision: Cow<'a, str>,
    fee_bps: f64,
    prior_return_bps: Option<f64>,
    #[serde(borrow)]
    realised: Option<&'a str>,
    hit: Option<bool>,
    pnl_bps: Option<f64>,
    #[serde(borrow)]
    unscorable: Option<&'a str>,
}

impl EvidenceRecord<'_> {
    /// What it says.
    ///
    /// # Errors
    /// When a field holds what no outcome can.
    pub fn evidence(&self) -> Result<Evidence<'_>, WireError> {
        let wrong = |why: &str| WireError::Value { what: "outcome", why: why.to_owned() };
        let realised = match (&self.unscorable, &self.realised) {
            (Some(text), _) => Err(Unscorable::ALL
                .into_iter()
                .find(|w| w.as_str() == *text)
                .ok_or_else(|| wrong("unknown unscorable"))?),
            (None, Some(text)) => {
                Ok(Realised::ALL.into_iter().find(|c| c.as_str() == *text).ok_or_else(|| wrong("unknown realised"))?)
            }
            (None, None) => return Err(wrong("neither settled nor unscorable")),
        };
        let probabilities = Probabilities { down: self.p_down, flat: self.p_flat, up: self.p_up };
        if self.horizon == 0 || !probabilities.is_valid() || self.model.is_empty() {
            return Err(wrong("horizon, probabilities or model cannot be"));
        }
        Ok(Evidence {
            symbol: &self.symbol,
            interval: self.interval.parse().map_err(|_| wrong("interval cannot be read"))?,
            horizon: self.horizon,
            target_time: self.target_time,
            model: &self.model,
            model_version: &self.model_version,
            probabilities,
            decision: self.decision.parse().map_err(|()| wrong("unknown decision"))?,
            fee_bps: self.fee_bps,
            prior_return_bps: self.prior_return_bps,
            realised,
            hit: self.hit,
            pnl_bps: self.pnl_bps,
        })
    }
}

impl TryFrom<OutcomeRecord<'_>> for Outcome {
    type Error = WireError;

    fn try_from(record: OutcomeRecord<'_>) -> Result<Self, WireError> {
        let wrong = |why: String| WireError::Value { what: "outcome", why };
        let unknown = |field: &str, text: &str| wrong(format!("{field} `{}`", text.escape_debug()));
        let settlement = match &record.unscorable {
            Some(text) => {
                let why = Unscorable::ALL.into_iter().find(|why| why.as_str() == text.as_ref());
                Err(why.ok_or_else(|| unknown("unscorable", text))?)
            }
            None => Ok(settlement(&record).ok_or_else(|| wrong("neither settled nor unscorable".to_owned()))?),
        };
        Ok(Self {
            prediction_id: record.prediction_id.into(),
            symbol: Symbol::new(&record.symbol).map_err(|error| wrong(error.to_string()))?,
            interval: record.interval.parse().map_err(|error| wrong(format!("{error}")))?,
            horizon: record.horizon,
            as_of: record.as_of,
            target_time: record.target_time,
            model: record.model.into(),
            model_version: record.model_version.into(),
            role: record.role.parse().map_err(|()| unknown("role", &record.role))?,
            probabilities: Probabilities { down: record.p_down, flat: record.p_flat, up: record.p_up },
            decision: record.decision.parse().map_err(|()| unknown("decision", &record.decision))?,
            reference_price: record.reference_price,
            dead_band_bps: record.dead_band_bps,
            fee_bps: record.fee_bps,
            prior_return_bps: record.prior_return_bps,
            settlement,
        })
    }
}

fn settlement(record: &OutcomeRecord<'_>) -> Option<Settlement> {
    let text = record.realised.as_deref()?;
    Some(Settlement {
        target_price: record.target_price?,
        realised_return_bps: record.realised_return_bps?,
        realised: Realised::ALL.into_iter().find(|class| class.as_str() == text)?,
        hit: record.hit,
        log_loss: record.log_loss,
        brier: record.brier,
        entry_price: record.entry_price,
        pnl_bps: record.pnl_bps,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::outcome::{Prices, settle};
    use crate::flow::prediction::{Decision, Role};
    use proptest::prelude::*;

    fn an_outcome(settlement: Result<Settlement, Unscorable>) -> Outcome {
        Outcome {
            prediction_id: "0".repeat(32).into(),
            symbol: Symbol::new("A").unwrap(),
            interval: "10s".parse().unwrap(),
            horizon: 5,
            as_of: 1,
            target_time: 2,
            model: "m".into(),
            model_version: "1".into(),
            role: Role::Champion,
            probabilities: Probabilities { down: 0.1, flat: 0.2, up: 0.7 },
            decision: Decision::Up,
            reference_price: 100.0,
            dead_band_bps: 0.0,
            fee_bps: 10.0,
            prior_return_bps: None,
            settlement,
        }
    }

    fn comes_back(settled: Settled) {
        let mut bytes = Vec::new();
        encode(&settled, 7, &mut bytes);
        if let (Settled::Outcome(outcome), Decoded::Outcome(record)) =
            (&settled, decode::<EvidenceRecord<'_>>(&bytes).unwrap())
        {
            assert_eq!(record.evidence().unwrap(), Evidence::from(outcome));
        }
        assert_eq!(Settled::try_from(decode(&bytes).unwrap()).unwrap(), settled);
    }

    proptest! {
        #[test]
        fn every_number_comes_back(target in 1e-9f64..1e9, up in 0.0f32..1.0, entry in proptest::option::of(1.0f64..1e3)) {
            let p = Probabilities { down: 1.0 - up, flat: 0.0, up };
            let settlement = settle(p, Decision::Up, 0.5, 10.0, Prices { reference: 3.7, entry, target });
            let outcome = Outcome { probabilities: p, prior_return_bps: entry, ..an_outcome(Ok(settlement)) };
            comes_back(Settled::Outcome(outcome));
        }
    }

    #[test]
    fn the_rest_comes_back() {
        for why in Unscorable::ALL {
            comes_back(Settled::Outcome(an_outcome(Err(why))));
        }
        let passage = Passage { model: "m".into(), partition: 3, time: 9 };
        comes_back(Settled::Progress(passage.clone()));
        comes_back(Settled::Left(passage));
    }

    #[test]
    fn what_is_none_is_refused() {
        let mut bytes = Vec::new();
        encode(&Settled::Outcome(an_outcome(Err(Unscorable::Missing))), 7, &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        for broken in ["{}".to_owned(), text.replace("missing", "mislaid"), text.replace("\"outcome\"", "\"x\"")] {
            assert!(decode(broken.as_bytes()).and_then(Settled::try_from).is_err(), "{broken}");
        }
    }
}
