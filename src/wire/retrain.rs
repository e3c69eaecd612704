//! The `retrain` topic: CloudEvents 1.0 in Kafka's binary mode. Attributes are headers (`ce_*`), the value is JSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::WireError;
use super::accuracy::{self, AccuracyRecord};
use crate::flow::retrain::Request;
use crate::flow::time::Micros;

/// `ce_specversion`.
pub const SPEC_VERSION: &str = "1.0";
/// `ce_source` of whatever tickcast asks for.
pub const SOURCE: &str = "/tickcast";
/// `ce_type` of a request.
pub const REQUESTED: &str = "io.tickcast.retrain.requested";
/// `ce_type` of a request's end.
pub const CLOSED: &str = "io.tickcast.retrain.closed";
/// `requested_by` of the judge.
pub const JUDGE: &str = "judge";
/// `requested_by` of a person.
pub const MANUAL: &str = "manual";
/// `content-type`.
pub const CONTENT_TYPE: &str = "application/json";

/// A request to retrain a model. Its id is `ce_id`, its model `ce_subject`.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct RequestRecord<'a> {
    /// The id again, for readers that see the value alone.
    #[serde(borrow)]
    pub request_id: Cow<'a, str>,
    /// Name of the model.
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    /// Version of the champion; null where the person who asked did not say.
    #[serde(borrow)]
    pub model_version: Option<Cow<'a, str>>,
    /// Length of the bars.
    #[serde(borrow)]
    pub interval: Option<Cow<'a, str>>,
    /// The horizon whose accuracy gave the reason; null for all.
    pub horizon: Option<u32>,
    /// `judge`, or `manual`.
    #[serde(borrow)]
    pub requested_by: Cow<'a, str>,
    /// The person or program, for `manual`.
    #[serde(borrow)]
    pub requester: Option<Cow<'a, str>>,
    /// Why, in words.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// Event time of the request: the newest cohort's target; for `manual` the time it was made.
    pub as_of: Micros,
    /// cusum, threshold or model_age; null for `manual`.
    #[serde(borrow)]
    pub detector: Option<Cow<'a, str>>,
    /// The detector's statistic.
    pub statistic: Option<f64>,
    /// The threshold that it passed.
    pub threshold: Option<f64>,
    /// The hit rate that it was measured against.
    pub reference: Option<f64>,
    /// Deviation of a cohort's score.
    pub deviation: Option<f64>,
    /// Train on data from here: the detector's change point. Older data follow another rule. Null where it is not known.
    pub data_from: Option<Micros>,
    /// Data up to here are known.
    pub data_to: Option<Micros>,
    /// The report of the moment, baselines included.
    #[serde(borrow)]
    pub evidence: Option<AccuracyRecord<'a>>,
}

/// The end of a request.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct ClosedRecord<'a> {
    /// The request.
    #[serde(borrow)]
    pub request_id: Cow<'a, str>,
    /// Name of the model.
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    /// promoted, rejected or cancelled.
    #[serde(borrow)]
    pub result: Cow<'a, str>,
    /// Who closed it.
    #[serde(borrow)]
    pub requester: Option<Cow<'a, str>>,
    /// Why, in words.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// When.
    pub as_of: Micros,
}

/// Writes the judge's request, made at `produced_at`, to the end of `out`.
pub fn encode(request: &Request, produced_at: Micros, out: &mut Vec<u8>) {
    let (subject, alarm) = (&request.subject, &request.alarm);
    write(
        &RequestRecord {
            request_id: Cow::Borrowed(&request.id),
            model: Cow::Borrowed(&subject.model),
            model_version: Some(Cow::Borrowed(&subject.model_version)),
            interval: Some(subject.interval.to_string().into()),
            horizon: Some(subject.horizon),
            requested_by: JUDGE.into(),
            requester: None,
            reason: Cow::Borrowed(&alarm.reason),
            as_of: request.as_of,
            detector: Some(alarm.detector.into()),
            statistic: Some(alarm.statistic),
            threshold: Some(alarm.threshold),
            reference: alarm.reference,
            deviation: alarm.deviation,
            data_from: alarm.change_point,
            data_to: Some(request.as_of),
            evidence: Some(accuracy::record(&request.evidence, produced_at)),
        },
        out,
    );
}

/// Writes an event's value to the end of `out`.
pub fn write(record: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, record).expect("a record of plain fields is always JSON, and a Vec takes every byte");
}

/// Reads the value of a [`REQUESTED`] event.
///
/// # Errors
/// When it is none.
pub fn decode_request(bytes: &[u8]) -> Result<RequestRecord<'_>, WireError> {
    serde_json::from_slice(bytes).map_err(|source| WireError::Json { what: "retrain request", source })
}

/// Reads the value of a [`CLOSED`] event.
///
/// # Errors
/// When it is none.
pub fn decode_closed(bytes: &[u8]) -> Result<ClosedRecord<'_>, WireError> {
    serde_json::from_slice(bytes).map_err(|source| WireError::Json { what: "end of a retrain request", source })
}
