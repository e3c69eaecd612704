#!/usr/bin/env python3
"""What a trading bot must check before it acts on a prediction. Prints what it would do, one line of JSON each.

    pip install confluent-kafka
    TICKCAST__KAFKA__BROKERS=127.0.0.1:9092 BOT_GROUP=mine python3 bot.py

Every bot needs a BOT_GROUP of its own, and every process of it a BOT_INSTANCE: a second process of the same name takes the
place of the first, which ends. It ends on any error, also where the topic is missing: let a supervisor start it again.

TLS and passwords are given as to tickcast: TICKCAST__KAFKA__SECURITY_PROTOCOL, ..._SSL_CA_LOCATION, ..._SASL_MECHANISM (no
default here), ..._SASL_USERNAME, ..._SASL_PASSWORD.
"""

import json
import os
import sys
import time
from collections import deque

from confluent_kafka import Consumer

SECURITY = ("security.protocol", "ssl.ca.location", "sasl.mechanism", "sasl.username", "sasl.password")
env = os.environ.get
topic, name = env("TICKCAST__KAFKA__TOPIC_PREFIX", "tickcast.") + "predictions", env("BOT_INSTANCE", "0")
config = {"bootstrap.servers": env("TICKCAST__KAFKA__BROKERS", "127.0.0.1:9092"), "group.id": env("BOT_GROUP", "bot")}
config |= {"isolation.level": "read_committed"}  # never a prediction of an aborted transaction
config |= {"auto.offset.reset": "latest", "enable.auto.commit": False, "group.instance.id": f"{topic}.{name}"}
config |= {key: value for key in SECURITY if (value := env("TICKCAST__KAFKA__" + key.upper().replace(".", "_")))}
consumer = Consumer(config)
consumer.subscribe([topic])
acted = deque(maxlen=10_000)  # ids of what it acted on last
for message in iter(consumer.poll, None):
    if message.error():
        sys.exit(f"bot: {message.error().str()}")
    p = json.loads(message.value())
    stale = time.time() * 1e6 > p["valid_until"]
    if stale or p["decision"] == "abstain" or p["prediction_id"] in acted:
        continue
    acted.append(p["prediction_id"])
    consumer.commit(message, asynchronous=False)  # before acting: a restart may miss a prediction, but never acts twice on one
    act = {"do": {"up": "buy", "down": "sell", "flat": "wait"}[p["decision"]]}
    print(json.dumps(act | {name: p[name] for name in ("symbol", "horizon", "valid_until", "prediction_id")}), flush=True)
