//! A retrain event, a request or its end, as a row of `retrains`.

use super::{Unusable, accuracy, check_horizon, check_interval, check_prose, check_text, check_time, put, unusable};
use crate::flow::time::Micros;
use crate::io::postgres::columns::Column;
use crate::io::postgres::rows::{Rows, key_digest};
use crate::service::store::batch::{Added, CloudEvent};
use crate::wire::retrain::{self, CLOSED, ClosedRecord, REQUESTED, RequestRecord};

/// Rows in one transaction: they are long, for each may hold a report, and few.
const MAX_ROWS: usize = 100;

/// What the headers say.
struct Head<'a> {
    id: &'a str,
    kind: &'static str,
    time: Option<Micros>,
}

/// Adds the event that `event` and `value` make.
///
/// # Errors
/// When it is none of ours, or holds what PostgreSQL cannot.
pub fn add(rows: &mut Rows, event: CloudEvent<'_>, value: &[u8], max_rows: usize) -> Result<Added, Unusable> {
    let kind = header("ce_type", event.kind)?.ok_or_else(|| unusable("header ce_type is missing"))?;
    let id = header("ce_id", event.id)?.filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| unusable("header ce_id is missing"))?;
    check_text("header ce_id", id)?;
    let time = header("ce_time", event.time)?.map(moment).transpose()?;
    let key = key_digest(0, 0, &[id]);
    let max_rows = max_rows.min(MAX_ROWS);
    match kind {
        REQUESTED => {
            let request = retrain::decode_request(value).map_err(unusable)?;
            check_request(&request)?;
            let evidence = request.evidence.as_ref().map(serde_json::to_string).transpose().map_err(unusable)?;
            let head = Head { id, kind: "requested", time };
            let fill = |columns: &mut [Column]| fill_request(&head, &request, evidence.as_deref(), columns);
            Ok(put(rows, request.as_of, key, max_rows, fill))
        }
        CLOSED => {
            let closed = retrain::decode_closed(value).map_err(unusable)?;
            check_closed(&closed)?;
            let head = Head { id, kind: "closed", time };
            Ok(put(rows, closed.as_of, key, max_rows, |columns| fill_closed(&head, &closed, columns)))
        }
        other => Err(unusable(format!("ce_type `{}` is neither {REQUESTED} nor {CLOSED}", other.escape_debug()))),
    }
}

fn header<'a>(name: &str, value: Option<&'a [u8]>) -> Result<Option<&'a str>, Unusable> {
    value.map(std::str::from_utf8).transpose().map_err(|_| unusable(format!("header {name} is not UTF-8")))
}

/// The time in RFC 3339.
fn moment(text: &str) -> Result<Micros, Unusable> {
    let time: jiff::Timestamp = text.parse().map_err(|_| unusable("header ce_time is no time as in RFC 3339"))?;
    let time = time.as_microsecond();
    check_time("ce_time", time).map(|()| time)
}

fn check_request(request: &RequestRecord<'_>) -> Result<(), Unusable> {
    request.interval.as_deref().map_or(Ok(()), check_interval)?;
    request.horizon.map_or(Ok(()), check_horizon)?;
    let times = [("as_of", Some(request.as_of)), ("data_from", request.data_from), ("data_to", request.data_to)];
    for (field, time) in times {
        time.map_or(Ok(()), |time| check_time(field, time))?;
    }
    let named = [
        ("request_id", Some(&request.request_id)),
        ("model", Some(&request.model)),
        ("model_version", request.model_version.as_ref()),
        ("requested_by", Some(&request.requested_by)),
        ("requester", request.requester.as_ref()),
        ("detector", request.detector.as_ref()),
    ];
    for (field, text) in named {
        text.map_or(Ok(()), |text| check_text(field, text))?;
    }
    check_prose("reason", &request.reason)?;
    request.evidence.as_ref().map_or(Ok(()), accuracy::check)
}

fn check_closed(closed: &ClosedRecord<'_>) -> Result<(), Unusable> {
    check_time("as_of", closed.as_of)?;
    let named = [("request_id", &closed.request_id), ("model", &closed.model), ("result", &closed.result)];
    let requester = closed.requester.iter().map(|requester| ("requester", requester));
    named.into_iter().chain(requester).try_for_each(|(field, text)| check_text(field, text))?;
    check_prose("reason", &closed.reason)
}

fn fill_request(head: &Head<'_>, request: &RequestRecord<'_>, report: Option<&str>, columns: &mut [Column]) {
    let [
        event_id,
        event_type,
        event_time,
        request_id,
        model,
        model_version,
        interval,
        horizon,
        requested_by,
        requester,
        reason,
        as_of,
        detector,
        statistic,
        threshold,
        reference,
        deviation,
        data_from,
        data_to,
        evidence,
        result,
    ] = columns
    else {
        unreachable!("the columns of RETRAINS")
    };
    event_id.text(head.id);
    event_type.text(head.kind);
    event_time.int8(head.time);
    request_id.text(&request.request_id);
    model.text(&request.model);
    model_version.text_or_null(request.model_version.as_deref());
    interval.text_or_null(request.interval.as_deref());
    horizon.int4(request.horizon.map(|horizon| horizon as i32));
    requested_by.text(&request.requested_by);
    requester.text_or_null(request.requester.as_deref());
    reason.text(&request.reason);
    as_of.int8(request.as_of);
    detector.text_or_null(request.detector.as_deref());
    statistic.float8(request.statistic);
    threshold.float8(request.threshold);
    reference.float8(request.reference);
    deviation.float8(request.deviation);
    data_from.int8(request.data_from);
    data_to.int8(request.data_to);
    evidence.json(report);
    result.null();
}

fn fill_closed(head: &Head<'_>, closed: &ClosedRecord<'_>, columns: &mut [Column]) {
    let [event_id, event_type, event_time, request_id, model, rest @ ..] = columns else {
        unreachable!("the columns of RETRAINS")
    };
    let [model_version, interval, horizon, requested_by, requester, reason, as_of, rest @ .., result] = rest else {
        unreachable!("the columns of RETRAINS")
    };
    event_id.text(head.id);
    event_type.text(head.kind);
    event_time.int8(head.time);
    request_id.text(&closed.request_id);
    model.text(&closed.model);
    requester.text_or_null(closed.requester.as_deref());
    reason.text(&closed.reason);
    as_of.int8(closed.as_of);
    result.text(&closed.result);
    [model_version, interval, horizon, requested_by].into_iter().chain(rest).for_each(Column::null);
}
