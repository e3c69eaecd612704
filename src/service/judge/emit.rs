//! What leaves the judge: reports, retrain requests as CloudEvents, and its own state. All to the partition of the outcomes.

use super::stage::{Outcomes, OutcomesState};
use super::state::Line;
use crate::flow::accuracy::{Report, Subject};
use crate::flow::retrain::Request;
use crate::flow::time::Micros;
use crate::flow::trigger::Alarm;
use crate::io::clock;
use crate::io::kafka::producer::Outgoing;
use crate::machine::judge::Judged;
use crate::service::lane::{LaneError, Outlet, version_header};
use crate::service::requests::cloud_event;
use crate::telemetry::metrics::{ReasonLabel, SubjectLabel};
use crate::wire;

impl Outcomes {
    /// Sends what the last cohort brought.
    pub(super) fn emit(
        &mut self,
        partition: i32,
        state: &mut OutcomesState,
        out: &mut Outlet,
    ) -> Result<(), LaneError> {
        let produced_at = clock::now();
        for judged in std::mem::take(&mut self.judged) {
            match judged {
                Judged::Report(report) => self.send_report(partition, &report, produced_at, out)?,
                Judged::Alarm { subject, alarm, at, evidence } => {
                    self.alarm(partition, state, (&subject, alarm, at, *evidence), produced_at, out)?;
                }
            }
        }
        Ok(())
    }

    fn send_report(
        &mut self,
        partition: i32,
        report: &Report,
        produced_at: Micros,
        out: &mut Outlet,
    ) -> Result<(), LaneError> {
        *self.counts.entry("report").or_default() += 1;
        if let Some(standing) = &report.standing {
            let label = SubjectLabel::from(&report.subject);
            self.metrics.model_state.get_or_create(&label).set(standing.state as i64);
            self.metrics.hit_rate.get_or_create(&label).set(report.figures.hit_rate.unwrap_or(f64::NAN));
        }
        self.buffer.clear();
        wire::accuracy::encode(report, produced_at, &mut self.buffer);
        out.send(Outgoing {
            topic: &self.topics.accuracy,
            partition,
            key: Some(report.subject.model.as_bytes()),
            value: &self.buffer,
            headers: version_header(),
            tag: None,
        })
    }

    /// An alarm becomes a request unless something holds it back.
    fn alarm(
        &mut self,
        partition: i32,
        state: &mut OutcomesState,
        (subject, alarm, at, evidence): (&Subject, Alarm, Micros, Report),
        produced_at: Micros,
        out: &mut Outlet,
    ) -> Result<(), LaneError> {
        let (kafka, topic) = (&self.config.kafka, &self.topics.retrain);
        let asked = match state.judge.may_request(&subject.model, at) {
            Ok(()) => match state.requests.of(kafka, topic, partition, &subject.model) {
                Ok(flight) => state.judge.request(subject, alarm, at, evidence, &flight).map_err(|held| held.name()),
                // The alarm comes again with the next cohort.
                Err(error) => {
                    tracing::warn!(%error, topic, "whether a request is open cannot be known now");
                    Err("unknown")
                }
            },
            Err(held) => Err(held.name()),
        };
        match asked {
            Ok(request) => {
                *self.counts.entry("retrain").or_default() += 1;
                let (id, reason) = (&request.id, &request.alarm.reason);
                tracing::warn!(model = &*subject.model, horizon = subject.horizon, id, reason, "retrain requested");
                state.requests.sent(&subject.model, &request.id);
                self.send_request(partition, &request, produced_at, out)
            }
            Err(reason) => {
                self.metrics.retrains_held.get_or_create(&ReasonLabel { reason }).inc();
                Ok(())
            }
        }
    }

    fn send_request(
        &mut self,
        partition: i32,
        request: &Request,
        produced_at: Micros,
        out: &mut Outlet,
    ) -> Result<(), LaneError> {
        self.buffer.clear();
        wire::retrain::encode(request, produced_at, &mut self.buffer);
        let model = &request.subject.model;
        out.send(Outgoing {
            topic: &self.topics.retrain,
            partition,
            key: Some(model.as_bytes()),
            value: &self.buffer,
            headers: cloud_event(&request.id, wire::retrain::REQUESTED, model, produced_at),
            tag: None,
        })
    }

    /// Sends what is to be written down with the commit of `next`.
    pub(super) fn write_state(
        &mut self,
        partition: i32,
        state: &mut OutcomesState,
        next: i64,
        out: &mut Outlet,
    ) -> Result<(), LaneError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        for line in state.keys.write(&mut state.judge, next) {
            buffer.clear();
            match line {
                Line::Item(item, tag) => {
                    wire::judge_state::encode(&item, &mut buffer);
                    self.send_item(partition, &item.key().to_string(), &buffer, Some(tag), out)?;
                }
                Line::Gone(key) => self.send_item(partition, &key, &[], None, out)?,
            }
        }
        self.buffer = buffer;
        Ok(())
    }

    /// Sends an item; without a tag it is a tombstone.
    fn send_item(
        &self,
        partition: i32,
        key: &str,
        value: &[u8],
        tag: Option<u64>,
        out: &mut Outlet,
    ) -> Result<(), LaneError> {
        out.send(Outgoing {
            topic: &self.topics.accuracy_state,
            partition,
            key: Some(key.as_bytes()),
            value: tag.map(|_| value).unwrap_or_default(),
            headers: version_header(),
            tag,
        })
    }
}
