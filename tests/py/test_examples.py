"""The consumers of deploy/examples on a real Kafka: what they print for hand-written records, and what a restart does to that.

Each guard of bot.py is also taken out of a copy of it, which must then print what the guard held back: the records can tell.
"""

import collections
import hashlib
import http.server
import json
import os
import pathlib
import queue
import re
import subprocess
import sys
import threading
import time
import uuid

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = ROOT / "deploy/examples"
PATIENCE = 60  # seconds
HOUR = 3_600_000_000


def readme_block(language, word):
    blocks = re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    return next(block for block in blocks if word in block)


SAMPLE = json.loads(re.sub(r"\s//.*", "", readme_block("json", "prediction_id")))


def identity(p):
    text = "|".join(str(p[name]) for name in ("symbol", "interval", "as_of", "horizon", "model", "model_version"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def prediction(symbol, decision="up", age=0):
    """A prediction of the hourly bar that closed `age` hours before the last one; ten minutes late are allowed."""
    as_of = (time.time_ns() // 1000 // HOUR - age) * HOUR
    times = {"as_of": as_of, "target_time": as_of + 15 * HOUR, "valid_until": as_of + HOUR + HOUR // 6, "sequence": as_of // HOUR}
    said = {"decision": decision}
    if decision == "abstain":
        said |= {"abstain_reasons": ["warming_up"], "p_down": None, "p_flat": None, "p_up": None, "feature_digest": None}
    record = SAMPLE | {"symbol": symbol, "interval": "1h", "max_event_time": as_of - 1, "produced_at": as_of + 1} | times | said
    return record | {"prediction_id": identity(record)}


def report(model, state, horizon=15, **changes):
    baseline = {"hit_rate": 0.5, "log_loss": 0.693, "brier": 0.25}
    return {
        "model": model, "model_version": "1.0.0", "interval": "1m", "horizon": horizon, "symbol": None,
        "as_of": 1723161960000000, "window_start": 1723131960000000, "cohorts": 500, "cohorts_total": 812, "scored": 4000,
        "unscorable": 3, "late": 0, "n": 3600, "n_effective": 212.25, "hit_rate": 0.4125, "hit_low": 0.3485, "hit_high": 0.4796,
        "log_loss": 0.71, "brier": 0.26, "calibration_error": 0.05, "coverage": 0.9, "decided_n": 3300, "decided_hit_rate": 0.41,
        "class_accuracy": 0.4, "class_log_loss": 1.1, "trades": 3300, "pnl_bps": -41000.0, "pnl_mean_bps": -12.4, "break_even": 0.81,
        "baselines": {"majority": baseline, "persistence": baseline | {"hit_rate": None}, "reversal": baseline | {"hit_rate": 0.587}},
        "state": state, "since": 1723161900000000, "reason": "CUSUM at 6.1 of 5.9", "produced_at": 1795449868417066,
    } | changes  # fmt: skip


ASKED = {
    "request_id": "r1", "model": "m", "model_version": "1.0.0", "interval": "1m", "horizon": 15, "requested_by": "judge",
    "requester": None, "reason": "CUSUM at 6.1 of 5.9", "as_of": 1723161960000000, "detector": "cusum", "statistic": 6.1,
    "threshold": 5.9, "reference": 0.55, "deviation": 0.2, "data_from": None, "data_to": 1723161960000000, "evidence": None,
}  # fmt: skip
CLOSED = {"request_id": "r1", "model": "m", "result": "rejected", "requester": None, "reason": "no better", "as_of": 1723169960000000}


def schema(name):
    return json.loads((ROOT / f"schemas/kafka/{name}.schema.json").read_text())


class Kafka:
    """Topics under a prefix of their own, and a transactional producer."""

    def __init__(self, brokers):
        self.brokers, self.prefix = brokers, f"examples-{uuid.uuid4().hex[:12]}."
        self.names = [self.prefix + name for name in ("predictions", "accuracy", "retrain")]
        self.admin = AdminClient({"bootstrap.servers": brokers})
        for made in self.admin.create_topics([NewTopic(name, 1, 1) for name in self.names]).values():
            made.result(PATIENCE)
        self.producer = confluent_kafka.Producer({"bootstrap.servers": brokers, "transactional.id": self.prefix + "test"})
        self.producer.init_transactions(PATIENCE)

    def send(self, topic, *values, commit=True, kind=None):
        """One transaction."""
        self.producer.begin_transaction()
        for value in values:
            headers = [("ce_type", f"io.tickcast.retrain.{kind}")] if kind else []
            self.producer.produce(self.prefix + topic, json.dumps(value), value.get("symbol") or value["model"], headers=headers)
        assert self.producer.flush(PATIENCE) == 0
        self.producer.commit_transaction(PATIENCE) if commit else self.producer.abort_transaction(PATIENCE)

    def drop(self):
        for dropped in self.admin.delete_topics(self.names).values():
            dropped.result(PATIENCE)


@pytest.fixture
def kafka():
    brokers = os.environ.get("TICKCAST__KAFKA__BROKERS")
    if not brokers:
        pytest.skip("no stack in the environment: run through deploy/test")
    made = Kafka(brokers)
    yield made
    made.drop()


class Program:
    """An example as a process; `lines` are the JSON objects of its stdout, in order, None at its end."""

    def __init__(self, kafka, script, **env):
        mine = {"TICKCAST__KAFKA__BROKERS": kafka.brokers, "TICKCAST__KAFKA__TOPIC_PREFIX": kafka.prefix, "no_proxy": "*"}
        env = os.environ | mine | {"BOT_GROUP": kafka.prefix, "ALERT_GROUP": kafka.prefix} | env
        self.process = subprocess.Popen([sys.executable, script], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines, self.errors = queue.Queue(), []
        self.readers = [threading.Thread(target=read, daemon=True) for read in (self._read_lines, self._read_errors)]
        for reader in self.readers:
            reader.start()

    def _read_lines(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def _read_errors(self):
        self.errors.extend(line.rstrip("\n") for line in self.process.stderr)

    def follow(self, probe, is_probe):
        """Sends probes until one is answered: from then on it reads what is sent. Answers to other probes are to be ignored."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            probe()
            try:
                line = self.lines.get(timeout=0.3)
            except queue.Empty:
                continue
            assert line and is_probe(line), (line, self.errors)
            return
        raise AssertionError(f"no probe was answered: {self.errors}")

    def until(self, is_end, ignored=lambda _: False):
        """What it prints before the line that ends it."""
        found = []
        while not is_end(line := self.lines.get(timeout=PATIENCE)):
            assert line is not None, self.errors
            if not ignored(line):
                found.append(line)
        return found

    def kill(self):
        self.process.kill()
        self.ended()

    def ended(self):
        code = self.process.wait(PATIENCE)
        for reader in self.readers:
            reader.join(PATIENCE)
        return code


@pytest.fixture
def start(kafka):
    started = []

    def start(script, **env):
        started.append(Program(kafka, script, **env))
        return started[-1]

    yield start
    for program in started:
        program.kill()


def test_the_readme_shows_the_bot_and_a_prediction_as_they_are():
    source = (EXAMPLES / "bot.py").read_text()
    code = source[source.index('"""\n\n') + 5 :]
    assert readme_block("python", "read_committed") == code, "README.md shows another bot than deploy/examples/bot.py"
    assert len(code[code.index("env = ") :].splitlines()) <= 20, "the issue asks for about fifteen lines"

    assert list(SAMPLE) == schema("predictions")["required"], "the README's prediction has other fields than its schema"
    assert SAMPLE["prediction_id"] == identity(SAMPLE)


def test_the_records_of_these_tests_have_the_fields_of_their_schemas():
    assert set(prediction("X")) == set(schema("predictions")["required"])
    assert set(report("m", "ok")) == set(schema("accuracy")["required"])
    assert [set(ASKED), set(CLOSED)] == [set(kind["required"]) for kind in schema("retrain")["oneOf"]]


# What is taken out of the bot, and the symbol that it then acts on although it must not.
GUARDS = {
    "aborted": [("read_committed", "read_uncommitted")],
    "stale": [("stale or ", "")],
    "abstaining": [(' or p["decision"] == "abstain"', ""), ('"flat": "wait"', '"flat": "wait", "abstain": "?"')],
    "twice": [(' or p["prediction_id"] in acted', "")],
    "before": [('"latest"', '"earliest"')],
}


def symbol_is(prefix):
    return lambda line: line is not None and line["symbol"].startswith(prefix)


def test_the_bot_acts_once_on_each_prediction_that_it_may_act_on(kafka, start, tmp_path):
    source = (EXAMPLES / "bot.py").read_text()
    scripts = {"nothing": EXAMPLES / "bot.py"}
    for name, changes in GUARDS.items():
        text = source
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        scripts[name] = tmp_path / f"without_{name}.py"
        scripts[name].write_text(text)

    kafka.send("predictions", prediction("before"))
    bots = {name: start(script, BOT_GROUP=kafka.prefix + name) for name, script in scripts.items()}
    numbers = iter(range(1_000_000))
    for name, bot in bots.items():
        first = {"before": "before"}.get(name, "probe")
        bot.follow(lambda: kafka.send("predictions", prediction(f"probe-{next(numbers)}")), symbol_is(first))
    sent = {p["symbol"]: p for p in (prediction("one"), prediction("two", "down"), prediction("three", "flat"), prediction("twice"))}
    kafka.send("predictions", sent["one"], prediction("stale", age=2), prediction("abstaining", "abstain"), sent["twice"])
    kafka.send("predictions", prediction("aborted"), commit=False)
    kafka.send("predictions", sent["two"], sent["twice"], sent["three"], prediction("end"))

    for name, bot in bots.items():
        found = bot.until(symbol_is("end"), symbol_is("probe"))
        expected = [("buy", "one"), ("buy", "twice"), ("sell", "two"), ("wait", "three")]
        if name == "nothing":
            names = ("symbol", "horizon", "valid_until", "prediction_id")
            assert found == [{"do": do} | {name: sent[symbol][name] for name in names} for do, symbol in expected]
        else:
            extra = collections.Counter(line["symbol"] for line in found) - collections.Counter(symbol for _, symbol in expected)
            assert extra == ({} if name == "before" else {name: 1}), f"without its guard against {name}"


def test_a_bot_that_was_killed_goes_on_behind_what_it_acted_on(kafka, start):
    bot = start(EXAMPLES / "bot.py")
    numbers = iter(range(1_000_000))
    bot.follow(lambda: kafka.send("predictions", prediction(f"probe-{next(numbers)}")), symbol_is("probe"))
    kafka.send("predictions", prediction("first"), prediction("end"))
    assert [line["symbol"] for line in bot.until(symbol_is("end"), symbol_is("probe"))] == ["first"]
    bot.kill()

    kafka.send("predictions", prediction("while_down"), prediction("stale_by_now", age=2))
    bot = start(EXAMPLES / "bot.py")
    kafka.send("predictions", prediction("after"), prediction("last"))
    assert [line["symbol"] for line in bot.until(symbol_is("last"))] == ["while_down", "after"]


class Webhook(http.server.ThreadingHTTPServer):
    """Keeps what is posted to it; answers with `status`."""

    def __init__(self):
        self.posts, self.status, self.news = [], 204, threading.Condition()
        super().__init__(("127.0.0.1", 0), WebhookRequest)
        self.url = f"http://127.0.0.1:{self.server_port}/secret"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def wait_for(self, model):
        with self.news:
            assert self.news.wait_for(lambda: any(post["model"] == model for post in self.posts), PATIENCE)


class WebhookRequest(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.status
        if status < 300:
            with self.server.news:
                self.server.posts.append(json.loads(body))
                self.server.news.notify_all()
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def webhook():
    server = Webhook()
    yield server
    server.shutdown()
    server.server_close()


def model_is(prefix):
    return lambda line: line is not None and line["model"].startswith(prefix)


def follow_accuracy(kafka, program):
    numbers = iter(range(1_000_000))
    program.follow(lambda: kafka.send("accuracy", report(f"probe-{next(numbers)}", "warning")), model_is("probe"))


def test_an_alert_once_per_change_of_state(kafka, start, webhook):
    alert = start(EXAMPLES / "alert.py", ALERT_WEBHOOK=webhook.url, ALERT_TOPICS="accuracy")
    follow_accuracy(kafka, alert)
    for state in ("cold", "ok", "warning", "warning", "degraded", "degraded"):
        kafka.send("accuracy", report("m", state), report("m", None, symbol="X", since=None, reason=None), report("m", "ok", horizon=1))
    kafka.send("accuracy", report("m", "ok"), commit=False)
    kafka.send("accuracy", report("m", "degraded"), report("m", "cold", model_version="1.0.1"), report("m", "warning"))
    kafka.send("accuracy", report("m", "ok"), report("m", "cold"), report("m", "ok"), report("end", "degraded", hit_rate=None))
    found = alert.until(model_is("end"), model_is("probe"))

    assert [(line["was"], line["alert"]) for line in found] == [
        ("ok", "warning"), ("warning", "degraded"), ("degraded", "warning"), ("warning", "ok"),
    ]  # fmt: skip
    text = (
        "m 1.0.0, 15 x 1m ahead, is degraded (was warning): hit rate 0.412 [0.348, 0.480] on 212.2 effective rows; "
        "majority 0.500, persistence none, reversal 0.587; since 2024-08-09T00:05:00+00:00: CUSUM at 6.1 of 5.9"
    )
    assert found[1] == {
        "alert": "degraded", "was": "warning", "text": text, "model": "m", "model_version": "1.0.0", "interval": "1m", "horizon": 15,
        "hit_rate": 0.4125, "hit_low": 0.3485, "hit_high": 0.4796, "n_effective": 212.25, "since": 1723161900000000,
        "reason": "CUSUM at 6.1 of 5.9", "as_of": 1723161960000000,
        "baselines": {"majority": 0.5, "persistence": None, "reversal": 0.587},
    }  # fmt: skip
    alert.kill()
    assert [line for line in alert.errors if line.startswith("alert: m ")] == [f"alert: {line['text']}" for line in found]
    assert [post for post in webhook.posts if post["model"] == "m"] == found


def test_alerts_survive_a_kill_and_a_webhook_that_fails(kafka, start, webhook):
    alert = start(EXAMPLES / "alert.py", ALERT_WEBHOOK=webhook.url, ALERT_TOPICS="accuracy")
    follow_accuracy(kafka, alert)
    kafka.send("accuracy", report("m", "degraded"), report("marker-1", "warning"))
    assert [line["alert"] for line in alert.until(model_is("marker-1"), model_is("probe"))] == ["degraded"]
    alert.kill()

    # The state is known again; what changed meanwhile is said. The marker's alert may have been killed before its commit.
    kafka.send("accuracy", report("m", "degraded"), report("m", "ok"), report("marker-2", "warning"))
    alert = start(EXAMPLES / "alert.py", ALERT_WEBHOOK=webhook.url, ALERT_TOPICS="accuracy")
    assert [(line["was"], line["alert"]) for line in alert.until(model_is("marker-2"), model_is("marker-1"))] == [("degraded", "ok")]

    webhook.wait_for("marker-2")
    webhook.status = 500
    kafka.send("accuracy", report("m", "warning"), report("marker-3", "warning"))
    assert alert.lines.get(timeout=PATIENCE)["alert"] == "warning" and alert.ended() == 1
    assert alert.errors[-1] == "alert: the webhook did not take it (500)"

    webhook.status = 204
    alert = start(EXAMPLES / "alert.py", ALERT_WEBHOOK=webhook.url, ALERT_TOPICS="accuracy")
    assert [(line["was"], line["alert"]) for line in alert.until(model_is("marker-3"))] == [("ok", "warning")]
    assert [post["alert"] for post in webhook.posts if post["model"] == "m"] == ["degraded", "ok", "warning"]


def test_a_retrain_event_is_an_alert(kafka, start):
    alert = start(EXAMPLES / "alert.py", ALERT_TOPICS="retrain")
    numbers = iter(range(1_000_000))

    def probe():
        kafka.send("retrain", ASKED | {"model": f"probe-{next(numbers)}"}, kind="requested")

    alert.follow(probe, model_is("probe"))
    kafka.send("retrain", ASKED, ASKED | {"requested_by": "manual", "requester": "ada"}, kind="requested")
    kafka.send("retrain", CLOSED, CLOSED | {"model": "end"}, kind="closed")
    found = alert.until(model_is("end"), model_is("probe"))
    assert [line["text"] for line in found] == [
        "m: retrain asked for by judge: CUSUM at 6.1 of 5.9",
        "m: retrain asked for by ada: CUSUM at 6.1 of 5.9",
        "m: retrain rejected: no better",
    ]
    assert found[2] == {
        "alert": "retrain closed", "text": "m: retrain rejected: no better", "model": "m", "request_id": "r1",
        "reason": "no better", "as_of": 1723169960000000,
    }  # fmt: skip
