//! What the referee has said so far: the newest report of each horizon, and lines about what changes.
//!
//! Not here: reading it from Kafka ([`super::referee`]) and showing it ([`super::board`]).

use std::collections::BTreeMap;

use serde::Serialize;

use super::standing::{Standing, bars};
use crate::cli::feed::utc;
use crate::cli::simulate::known::Rule;
use crate::flow::market::{MarketSpec, Stretch};
use crate::flow::time::Micros;
use crate::wire::accuracy::AccuracyRecord;
use crate::wire::retrain::{ClosedRecord, RequestRecord};

/// Most requests that are kept: a model has one in flight.
const MOST: usize = 100;

/// A request to retrain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// Its id.
    pub id: String,
    /// The horizon that gave the reason; null for a person's request.
    pub horizon: Option<u32>,
    /// Event time.
    pub as_of: Micros,
    /// Bars from the last flip of the rule to it; null where none came before.
    pub bars_after_flip: Option<i64>,
    /// Why.
    pub reason: String,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Score {
    spec: MarketSpec,
    /// By horizon, in bars.
    pub standings: BTreeMap<u32, Standing>,
    /// Requests of this demo.
    pub asked: Vec<Asked>,
    /// Requests that nobody has closed: id and event time.
    open: BTreeMap<String, Micros>,
    /// Event time up to which flips were told.
    told: Micros,
    /// Requests that wait for the report that they rest on, with what else is to be said.
    untold: Vec<(Asked, String)>,
}

impl Score {
    /// Nothing was said about `spec` yet.
    pub fn new(spec: MarketSpec) -> Self {
        let told = spec.open_of(0);
        Self { spec, standings: BTreeMap::new(), asked: Vec::new(), open: BTreeMap::new(), told, untold: Vec::new() }
    }

    /// Takes a report over all symbols; changes go to `lines`. One from before this demo (`earlier`) changes nothing.
    pub fn report(&mut self, record: &AccuracyRecord<'_>, earlier: bool, lines: &mut Vec<String>) {
        let Some(state) = record.state.as_deref() else { return };
        let rule = Rule::of(&self.spec, self.stretch(record.as_of));
        let flip = self.pass(record.as_of);
        let ahead = record.horizon as usize;
        let standing = Standing {
            hit_rate: record.hit_rate,
            hit_low: record.hit_low,
            hit_high: record.hit_high,
            n: record.n,
            n_effective: record.n_effective,
            state: state.to_owned(),
            optimum: rule.optimum.get(&ahead).copied(),
            frozen: rule.frozen.get(&ahead).copied(),
            baselines: record.baselines,
            as_of: record.as_of,
        };
        let before = self.standings.insert(record.horizon, standing);
        if earlier {
            return;
        }
        lines.extend(flip);
        let was = before.map_or_else(|| "cold".to_owned(), |before| before.state);
        if was != state {
            let reason = record.reason.as_deref().unwrap_or("no reason given");
            lines.push(format!("{}: {}: {was} -> {state}: {reason}", utc(record.as_of), bars(record.horizon)));
        }
        self.tell(false, lines);
    }

    /// Takes a request. It is told when the report that it rests on was ([`tell`](Self::tell)): topics are read one by one.
    pub fn requested(&mut self, record: &RequestRecord<'_>, earlier: bool, lines: &mut Vec<String>) {
        let id = record.request_id.clone().into_owned();
        self.open.insert(id.clone(), record.as_of);
        if earlier {
            return;
        }
        let asked = Asked {
            id,
            horizon: record.horizon,
            as_of: record.as_of,
            bars_after_flip: None,
            reason: record.reason.clone().into_owned(),
        };
        let data_from = record.data_from.map_or_else(|| "where you like".to_owned(), utc);
        self.untold.push((asked, format!("for model {}, train on data from {data_from}", record.model)));
        self.tell(false, lines);
    }

    /// Tells of the requests whose reports were read, or `all`: nothing more is to be read now.
    pub fn tell(&mut self, all: bool, lines: &mut Vec<String>) {
        let standings = &self.standings;
        let read = |asked: &Asked| {
            let report = asked.horizon.and_then(|horizon| standings.get(&horizon));
            report.is_some_and(|report| report.as_of >= asked.as_of)
        };
        let (due, rest) = std::mem::take(&mut self.untold).into_iter().partition(|(asked, _)| all || read(asked));
        self.untold = rest;
        let due: Vec<(Asked, String)> = due;
        for (mut asked, what) in due {
            lines.extend(self.pass(asked.as_of));
            asked.bars_after_flip = self.flip_at().map(|flip| (asked.as_of - flip) / self.spec.interval.micros());
            let after = asked.bars_after_flip.map_or_else(String::new, |after| format!(" {after} bars after the flip"));
            let at = asked.horizon.map_or_else(String::new, |horizon| format!(", {}", bars(horizon)));
            let (time, id, reason) = (utc(asked.as_of), &asked.id, &asked.reason);
            lines.push(format!(
                "{time}: retrain requested{after}{at}: {reason}; id {id}, {what}; nobody answers it yet"
            ));
            self.asked.push(asked);
            if self.asked.len() > MOST {
                self.asked.remove(0);
            }
        }
    }

    /// Takes the end of a request.
    pub fn closed(&mut self, record: &ClosedRecord<'_>, earlier: bool, lines: &mut Vec<String>) {
        if self.open.remove(&*record.request_id).is_some() && !earlier {
            lines.push(format!(
                "{}: retrain {} ended: {}: {}",
                utc(record.as_of),
                record.request_id,
                record.result,
                record.reason
            ));
        }
    }

    /// What was asked for before this demo and is still open: no second request is made meanwhile.
    pub fn open(&self) -> Vec<String> {
        let line = |(id, as_of): (&String, &Micros)| {
            format!(
                "retrain {id} of {} is still open, so no other one is requested; nobody answers it yet",
                utc(*as_of)
            )
        };
        self.open.iter().map(line).collect()
    }

    /// When the rule flipped last, as far as reports and requests have come.
    pub fn flip_at(&self) -> Option<Micros> {
        self.spec.flip_times().take_while(|flip| *flip < self.told).last()
    }

    /// The rule that holds at `time`, and when it flips next.
    pub fn present(&self, time: Micros) -> String {
        let rule = Rule::of(&self.spec, self.stretch(time)).text();
        let next = self.spec.flip_times().find(|flip| *flip >= time);
        next.map_or(rule.clone(), |next| format!("{rule}; it flips at {}", utc(next)))
    }

    /// The rule of the bar that ends at `close`, or holds it.
    fn stretch(&self, close: Micros) -> &Stretch {
        let stretches = self.spec.schedule.stretches();
        let later = stretches.partition_point(|stretch| self.spec.open_of(stretch.from_bar) < close);
        &stretches[later.saturating_sub(1)]
    }

    /// Time has come to `time`: the flip on the way, if there was one.
    fn pass(&mut self, time: Micros) -> Option<String> {
        let before = self.flip_at();
        self.told = self.told.max(time);
        let flip = self.flip_at();
        (flip != before).then(|| format!("the {}", Rule::of(&self.spec, self.stretch(self.told)).text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::market::Schedule;
    use crate::flow::time::SECOND;

    const START: Micros = 1_700_000_000 * SECOND;

    fn score() -> Score {
        Score::new(MarketSpec {
            symbols: 1,
            interval: "10s".parse().unwrap(),
            start: START,
            bars: None,
            seed: 1,
            ticks_per_bar: 1.0,
            schedule: Schedule::flipping(&[100, 200]).unwrap(),
            correlation: 0.0,
        })
    }

    fn report(bar: i64, horizon: u32, state: &str) -> String {
        let rates = r#"{"hit_rate":0.5,"log_loss":null,"brier":null}"#;
        let mut record = serde_json::json!({"model":"m","model_version":"1","interval":"10s","horizon":horizon,"symbol":null,
            "as_of":START + bar * 10 * SECOND,"window_start":0,"cohorts":1,"cohorts_total":1,"scored":9,"unscorable":0,"late":0,
            "n":9,"n_effective":8.0,"hit_rate":0.6,"hit_low":0.5,"hit_high":0.7,"decided_n":0,"trades":0,"pnl_bps":0.0,
            "state":state,"since":0,"reason":"figures","produced_at":0});
        for name in ["log_loss", "brier", "calibration_error", "coverage", "decided_hit_rate", "class_accuracy"] {
            record[name] = serde_json::Value::Null;
        }
        for name in ["class_log_loss", "pnl_mean_bps", "break_even"] {
            record[name] = serde_json::Value::Null;
        }
        let rates: serde_json::Value = serde_json::from_str(rates).unwrap();
        record["baselines"] = serde_json::json!({"majority":rates,"persistence":rates,"reversal":rates});
        record.to_string()
    }

    fn tell(score: &mut Score, bar: i64, horizon: u32, state: &str, earlier: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let text = report(bar, horizon, state);
        score.report(&crate::wire::accuracy::decode(text.as_bytes()).unwrap(), earlier, &mut lines);
        lines
    }

    #[test]
    fn a_flip_and_a_new_state_are_told_once() {
        let mut score = score();
        assert!(tell(&mut score, 90, 1, "cold", false).is_empty());
        let lines = tell(&mut score, 100, 1, "ok", false);
        assert!(lines.len() == 1 && lines[0].ends_with("1 bar ahead: cold -> ok: figures"), "{lines:?}");
        assert_eq!((score.flip_at(), score.standings[&1].optimum), (None, Some(0.5807)), "the bar before the flip");
        let lines = tell(&mut score, 101, 1, "warning", false);
        assert!(lines.len() == 2 && lines[0].contains("rule flips at"), "the flip before what comes of it: {lines:?}");
        assert_eq!(score.flip_at(), Some(START + 1_000 * SECOND));
        assert_eq!((score.standings[&1].optimum, score.standings[&1].frozen), (Some(0.6222), Some(0.3778)));
        assert!(tell(&mut score, 101, 5, "cold", false).is_empty(), "nor by another horizon");
        assert_eq!(tell(&mut score, 201, 5, "cold", false).len(), 1, "the flip back");
    }

    #[test]
    fn what_was_said_before_is_known_and_not_told() {
        let mut score = score();
        assert!(tell(&mut score, 150, 1, "degraded", true).is_empty());
        assert!(tell(&mut score, 160, 1, "degraded", false).is_empty(), "nothing is new");
        assert_eq!(score.flip_at(), Some(START + 1_000 * SECOND));
        let known = score.present(START + 1_500 * SECOND);
        assert!(known.contains("R = -1") && known.ends_with("it flips at 2023-11-14T22:46:40Z"), "{known}");
    }

    #[test]
    fn a_request_is_told_with_its_distance_from_the_flip() {
        let request = |id: &str| {
            format!(
                r#"{{"request_id":"{id}","model":"m","model_version":"1","interval":"10s","horizon":1,"requested_by":"judge",
                "requester":null,"reason":"worse","as_of":{},"detector":"cusum","statistic":9,"threshold":8,"reference":0.6,
                "deviation":0.1,"data_from":{START},"data_to":null,"evidence":null}}"#,
                START + 1_120 * SECOND
            )
        };
        let (mut score, mut lines) = (score(), Vec::new());
        let (old, new) = (request("old"), request("new"));
        score.requested(&crate::wire::retrain::decode_request(old.as_bytes()).unwrap(), true, &mut lines);
        assert!(lines.is_empty() && score.open().len() == 1 && score.asked.is_empty());
        score.requested(&crate::wire::retrain::decode_request(new.as_bytes()).unwrap(), false, &mut lines);
        tell(&mut score, 111, 1, "ok", true);
        assert!(lines.is_empty(), "its report was not read yet: {lines:?}");
        lines = tell(&mut score, 112, 1, "degraded", false);
        assert!(lines.len() == 2 && lines[0].contains("ok -> degraded"), "{lines:?}");
        assert!(lines[1].contains("12 bars after the flip"), "{lines:?}");
        let late = request("late");
        score.requested(&crate::wire::retrain::decode_request(late.as_bytes()).unwrap(), false, &mut lines);
        score.tell(true, &mut lines);
        assert_eq!(score.asked.len(), 2);
        lines.truncate(2);
        assert_eq!(score.asked[0].bars_after_flip, Some(12));
        let end = r#"{"request_id":"old","model":"m","result":"cancelled","requester":null,"reason":"r","as_of":1}"#;
        score.closed(&crate::wire::retrain::decode_closed(end.as_bytes()).unwrap(), false, &mut lines);
        assert!(lines[2].contains("old ended: cancelled") && score.open().len() == 2, "{lines:?}");
    }
}
