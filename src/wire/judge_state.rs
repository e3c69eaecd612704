//! JSON of the `accuracy.state` topic: the judge's own, for nobody else. Numbers lie in arrays, since there are many.

use serde::{Deserialize, Serialize};

use super::WireError;
use crate::flow::accuracy::Subject;
use crate::flow::judge_state::{BlockState, Item, ModelState, TrackState};
use crate::flow::symbol::Symbol;
use crate::flow::time::Micros;

/// Version of the items' shape: others are refused, and the judge begins anew.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Envelope {
    version: u32,
    #[serde(flatten)]
    item: Record,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Model {
        model: String,
        closed: Option<Micros>,
        participants: Vec<(i32, Micros)>,
        guards: Vec<f64>,
        ends: u64,
        late: Vec<i64>,
    },
    Track {
        subject: SubjectRecord,
        sealed: Micros,
        sealed_at: i64,
        cohorts_total: u64,
        late: u64,
        detector: Vec<f64>,
        trailing: Vec<f64>,
        blocks: Vec<(u64, u32)>,
    },
    Block {
        subject: SubjectRecord,
        index: u64,
        chunk: u32,
        from: Micros,
        to: Micros,
        cohorts: u32,
        unscorable: u64,
        all: Vec<f64>,
        symbols: Vec<(String, Vec<f64>)>,
    },
}

/// Model, version, interval, horizon.
type SubjectRecord = (String, String, String, u32);

fn subject_record(subject: &Subject) -> SubjectRecord {
    (subject.model.to_string(), subject.model_version.to_string(), subject.interval.to_string(), subject.horizon)
}

fn wrong(why: impl Into<String>) -> WireError {
    WireError::Value { what: "accuracy.state", why: why.into() }
}

fn subject((model, version, interval, horizon): SubjectRecord) -> Result<Subject, WireError> {
    let interval = interval.parse().map_err(|error| wrong(format!("{error}")))?;
    Ok(Subject { model: model.into(), model_version: version.into(), interval, horizon })
}

/// Writes `item` to the end of `out`.
pub fn encode(item: &Item, out: &mut Vec<u8>) {
    let item = match item.clone() {
        Item::Model(m) => Record::Model {
            model: m.model.to_string(),
            closed: m.closed,
            participants: m.participants,
            guards: m.guards,
            ends: m.ends,
            late: m.late,
        },
        Item::Track(t) => Record::Track {
            subject: subject_record(&t.subject),
            sealed: t.sealed,
            sealed_at: t.sealed_at,
            cohorts_total: t.cohorts_total,
            late: t.late,
            detector: t.detector,
            trailing: t.trailing,
            blocks: t.blocks,
        },
        Item::Block(b) => Record::Block {
            subject: subject_record(&b.subject),
            index: b.index,
            chunk: b.chunk,
            from: b.from,
            to: b.to,
            cohorts: b.cohorts,
            unscorable: b.unscorable,
            all: b.all,
            symbols: b.symbols.into_iter().map(|(symbol, numbers)| (symbol.to_string(), numbers)).collect(),
        },
    };
    serde_json::to_writer(out, &Envelope { version: VERSION, item })
        .expect("a record of plain fields is always JSON, and a Vec takes every byte");
}

/// Reads an item.
///
/// # Errors
/// When it is none, or of another version.
pub fn decode(bytes: &[u8]) -> Result<Item, WireError> {
    let envelope: Envelope =
        serde_json::from_slice(bytes).map_err(|source| WireError::Json { what: "accuracy.state", source })?;
    if envelope.version != VERSION {
        return Err(wrong(format!("version {}, this program knows {VERSION}", envelope.version)));
    }
    Ok(match envelope.item {
        Record::Model { model, closed, participants, guards, ends, late } => {
            Item::Model(ModelState { model: model.into(), closed, participants, guards, ends, late })
        }
        Record::Track { subject: s, sealed, sealed_at, cohorts_total, late, detector, trailing, blocks } => {
            Item::Track(TrackState {
                subject: subject(s)?,
                sealed,
                sealed_at,
                cohorts_total,
                late,
                detector,
                trailing,
                blocks,
            })
        }
        Record::Block { subject: s, index, chunk, from, to, cohorts, unscorable, all, symbols } => {
            let symbols = symbols.into_iter().map(|(symbol, numbers)| {
                Symbol::new(&symbol).map(|symbol| (symbol, numbers)).map_err(|error| wrong(error.to_string()))
            });
            Item::Block(BlockState {
                subject: subject(s)?,
                index,
                chunk,
                from,
                to,
                cohorts,
                unscorable,
                all,
                symbols: symbols.collect::<Result<_, _>>()?,
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_subject() -> Subject {
        Subject { model: "m".into(), model_version: "1".into(), interval: "10s".parse().unwrap(), horizon: 5 }
    }

    #[test]
    fn items_come_back_with_every_digit() {
        let numbers = vec![0.1, 1.0 / 3.0, -1e300, 5e-324, 1_723_161_240_000_000.0];
        let model = ModelState {
            model: "m".into(),
            closed: Some(7),
            participants: vec![(0, 1), (3, 2)],
            guards: numbers.clone(),
            ends: 2,
            late: vec![5],
        };
        let track = TrackState {
            subject: a_subject(),
            sealed: Micros::MIN,
            sealed_at: 9,
            cohorts_total: 8,
            late: 1,
            detector: numbers.clone(),
            trailing: Vec::new(),
            blocks: vec![(3, 1)],
        };
        let block = BlockState {
            subject: a_subject(),
            index: 3,
            chunk: 0,
            from: 1,
            to: 2,
            cohorts: 4,
            unscorable: 5,
            all: numbers.clone(),
            symbols: vec![(Symbol::new("A").unwrap(), numbers)],
        };
        for item in [Item::Model(model), Item::Track(track), Item::Block(block)] {
            let mut bytes = Vec::new();
            encode(&item, &mut bytes);
            assert_eq!(decode(&bytes).unwrap(), item);
            let other = String::from_utf8(bytes).unwrap().replace("\"version\":1", "\"version\":2");
            assert!(decode(other.as_bytes()).is_err());
        }
    }
}
