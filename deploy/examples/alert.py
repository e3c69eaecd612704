#!/usr/bin/env python3
"""Raises an alert when the state of a model at a horizon becomes warning or degraded, when that is over, and on retrain events.

    pip install confluent-kafka
    TICKCAST__KAFKA__BROKERS=127.0.0.1:9092 ALERT_WEBHOOK=https://... python3 alert.py

An alert is one line on stderr, one JSON object on stdout and, where ALERT_WEBHOOK is set, the same object as a POST (its
`text` is what chat programs show). ALERT_TOPICS (default `accuracy,retrain`), ALERT_GROUP and ALERT_INSTANCE, and TLS and
passwords for Kafka, as in bot.py.

Reports repeat the state; an alert comes once per change. The log is the memory: after a restart the last reports before the
committed offset are read again, silently. An alert is committed when it was delivered, so a crash between the two repeats it.
When the webhook fails, or on any other error, this ends with exit code 1: let a supervisor start it again.
"""

import json
import os
import sys
import urllib.request
from datetime import UTC, datetime

from confluent_kafka import Consumer, TopicPartition

REMEMBERED = 10_000  # records of a partition that a restart reads again; models and horizons whose state is kept
BAD = ("warning", "degraded")
SECURITY = ("security.protocol", "ssl.ca.location", "sasl.mechanism", "sasl.username", "sasl.password")


def figure(value):
    return "none" if value is None else f"{value:.3f}"


def day(micros):
    return "unknown" if micros is None else datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="seconds")


def accuracy_alert(report, states):
    """The alert of a report that changes the state of its model and horizon, or None. `states` is brought up to date."""
    if report["symbol"] is not None:  # one symbol's report; the state is that of all together
        return None
    key = tuple(report[name] for name in ("model", "model_version", "interval", "horizon"))
    was, state = states.pop(key, "ok"), report["state"]
    states[key] = state
    if len(states) > REMEMBERED:
        del states[next(iter(states))]
    if state == was or (state not in BAD and was not in BAD):
        return None
    baselines = {name: baseline["hit_rate"] for name, baseline in report["baselines"].items()}
    text = (
        f"{report['model']} {report['model_version']}, {report['horizon']} x {report['interval']} ahead, is {state} (was {was}): "
        f"hit rate {figure(report['hit_rate'])} [{figure(report['hit_low'])}, {figure(report['hit_high'])}] "
        f"on {report['n_effective']:.1f} effective rows; "
        + ", ".join(f"{name} {figure(rate)}" for name, rate in baselines.items())
        + f"; since {day(report['since'])}: {report['reason'] or 'no reason given'}"
    )
    copied = "model model_version interval horizon hit_rate hit_low hit_high n_effective since reason as_of".split()
    return {"alert": state, "was": was, "text": text} | {name: report[name] for name in copied} | {"baselines": baselines}


def retrain_alert(kind, event):
    """The alert of a retrain event; `kind` is the last part of its type: requested or closed."""
    what = f"asked for by {event['requester'] or event['requested_by']}" if kind == "requested" else event.get("result", kind)
    text = f"{event['model']}: retrain {what}: {event['reason']}"
    return {"alert": f"retrain {kind}", "text": text} | {name: event[name] for name in ("model", "request_id", "reason", "as_of")}


def deliver(alert, webhook):
    print(f"alert: {alert['text']}", file=sys.stderr, flush=True)
    print(json.dumps(alert), flush=True)
    if not webhook:
        return
    try:
        request = urllib.request.Request(webhook, json.dumps(alert).encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=10).close()
    except Exception as error:  # not its text: it may hold the URL, which is a secret
        why = getattr(error, "code", None) or getattr(error, "reason", None) or type(error).__name__
        sys.exit(f"alert: the webhook did not take it ({why})")


def main():
    env = os.environ.get
    webhook = env("ALERT_WEBHOOK", "")
    if webhook and not webhook.startswith(("http://", "https://")):
        sys.exit("alert: ALERT_WEBHOOK is not a URL of http or https")
    prefix = env("TICKCAST__KAFKA__TOPIC_PREFIX", "tickcast.")
    accuracy = prefix + "accuracy"
    topics = [prefix + name.strip() for name in env("ALERT_TOPICS", "accuracy,retrain").split(",")]
    states, known = {}, {}  # state by model, version, interval and horizon; by partition, where what is new begins

    def assigned(consumer, partitions):
        """Starts some way before the committed offset; where there is none at the end, as `auto.offset.reset` says."""
        places = consumer.committed(partitions, timeout=30)
        for place in places:
            known[place.topic, place.partition] = place.offset
            if place.offset >= 0:
                first, _ = consumer.get_watermark_offsets(place, timeout=30)
                place.offset = max(first, place.offset - (REMEMBERED if place.topic == accuracy else 0))
        consumer.assign(places)

    consumer = Consumer(
        {
            "bootstrap.servers": env("TICKCAST__KAFKA__BROKERS", "127.0.0.1:9092"),
            "group.id": env("ALERT_GROUP", "alert"),
            # A name that returns gets its old partitions back at once; with other topics it must be another name.
            "group.instance.id": ".".join([*topics, env("ALERT_INSTANCE", "0")]),
            "isolation.level": "read_committed",
            "auto.offset.reset": "latest",
            "enable.auto.offset.store": False,  # a record is done with when its alert was delivered
        }
        | {key: value for key in SECURITY if (value := env("TICKCAST__KAFKA__" + key.upper().replace(".", "_")))}
    )
    consumer.subscribe(topics, on_assign=assigned)
    for message in iter(consumer.poll, None):
        if message.error():
            sys.exit(f"alert: {message.error().str()}")
        value = json.loads(message.value())
        if message.topic() == accuracy:
            alert = accuracy_alert(value, states)
        else:
            kind = dict(message.headers() or []).get("ce_type", b"unknown").decode().rsplit(".", 1)[-1]
            alert = retrain_alert(kind, value)
        if message.offset() < known[message.topic(), message.partition()]:
            continue
        done = TopicPartition(message.topic(), message.partition(), message.offset() + 1)
        if alert:
            deliver(alert, webhook)
            consumer.commit(offsets=[done], asynchronous=False)
        consumer.store_offsets(offsets=[done])


if __name__ == "__main__":
    main()
