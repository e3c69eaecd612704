//! What the referee wrote about a market whose rule flips, and when it has nothing more to say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use serde_json::Value;
use tickcast::flow::market::{Market, MarketSpec, Schedule, Sent, SentAs};
use tickcast::flow::partitioner;
use tickcast::flow::time::{Micros, SECOND};
use tickcast::io::kafka::client;
use tickcast::io::kafka::reader::{Event, Reader, Start, Stop};
use tickcast::service::settle;
use tickcast::wire::sent_row::SentRow;
use tickcast::wire::tick::encode_watermark;

use super::stream::{BEGIN, Tick};
use super::world::{Process, World, wait_until};

/// Partitions of the tests' topics. The market's symbols lie in the first two; the third holds no symbol, ever.
pub const PARTITIONS: i32 = 3;
/// One-second bars; the reference model wants 319 before it speaks.
pub const BARS: i64 = 520;
/// The bar from which on the rule is the other one.
pub const FLIP: i64 = 410;
/// A referee that comes to its conclusions within such a market.
pub const RULES: [&str; 6] = [
    "judge.report_every=7",
    "judge.baseline_n=20",
    "judge.window=40",
    "judge.in_control=100",
    "judge.drop=0.1",
    "fees.bps=1",
];

const CALL: Duration = Duration::from_secs(30);
const SLICE: Duration = Duration::from_millis(100);

/// When bar `number` ends, counted from 1.
pub fn end_of(number: i64) -> Micros {
    BEGIN + number * SECOND
}

/// Which partition a trade goes to, and the trade.
pub type Trade = (i32, Micros, Tick);

/// Trades of two symbols in partition 0 and two in partition 1, every bar of each with at least one.
pub fn market() -> Vec<Trade> {
    let spec = MarketSpec {
        symbols: 16,
        interval: "1s".parse().unwrap(),
        start: BEGIN,
        bars: Some(BARS as u64),
        seed: 4,
        ticks_per_bar: 1.5,
        schedule: Schedule::flipping(&[FLIP as u64]).unwrap(),
        correlation: 0.0,
    };
    let mut chosen: [Vec<String>; 2] = Default::default();
    let mut trades = Vec::new();
    for tick in Market::new(&spec) {
        let symbol = tick.symbol.to_string();
        let partition = partitioner::partition(symbol.as_bytes(), PARTITIONS);
        let Some(chosen) = chosen.get_mut(partition as usize) else { continue };
        if !chosen.contains(&symbol) && chosen.len() < 2 {
            chosen.push(symbol.clone());
        }
        if chosen.contains(&symbol) {
            let (mut value, time) = (Vec::new(), tick.event_time);
            SentRow::from(Sent { tick, kind: SentAs::Trade }).encode(&mut value);
            trades.push((partition, time, Tick::Keyed(symbol, value)));
        }
    }
    assert!(chosen.iter().all(|symbols| symbols.len() == 2), "{chosen:?}");
    trades
}

/// The trades of some bars (from 0) and partitions.
pub fn part(trades: &[Trade], bars: std::ops::Range<i64>, partitions: &[i32]) -> Vec<Tick> {
    let wanted = |(partition, time, _): &&Trade| {
        partitions.contains(partition) && bars.contains(&((time - BEGIN).div_euclid(SECOND)))
    };
    trades.iter().filter(wanted).map(|(.., tick)| tick.clone()).collect()
}

/// The symbols of a partition.
pub fn symbols_of(trades: &[Trade], partition: i32) -> BTreeSet<&str> {
    trades.iter().filter(|(number, ..)| *number == partition).map(|(.., tick)| tick.key()).collect()
}

/// Tells one partition alone that everything before `time` has come.
pub fn over(trades: &[Trade], partition: i32, time: Micros) -> Tick {
    let symbol = symbols_of(trades, partition).first().copied().expect("a symbol");
    Tick::Keyed(symbol.to_owned(), encode_watermark(time))
}

/// The whole market, closed to its last bar.
pub fn whole() -> Vec<Tick> {
    let mut ticks = part(&market(), 0..BARS, &[0, 1]);
    ticks.push(Tick::Watermark(end_of(BARS)));
    ticks
}

/// What the referee wrote, without what may differ between two runs.
#[derive(Debug)]
pub struct Judged {
    /// Every record of `outcomes`, and how often it is there.
    pub outcomes: BTreeMap<String, usize>,
    /// In the order of the log.
    pub accuracy: Vec<Value>,
    /// Ids and requests, in the order of the log.
    pub retrain: Vec<(String, Value)>,
}

/// Knows how far the roles of a world have come.
pub struct Referee<'a> {
    world: &'a World,
    settle: BaseConsumer,
    judge: BaseConsumer,
}

impl<'a> Referee<'a> {
    pub fn new(world: &'a World) -> Self {
        let group = |role| {
            let group = settle::group(&world.config, role);
            client::consumer(&world.config.kafka, &group).create().expect("a consumer")
        };
        Self { world, settle: group("settle"), judge: group("judge") }
    }

    /// Records and markers in a topic, committed or not.
    pub fn end(&self, topic: &str) -> i64 {
        (0..self.world.partitions).map(|partition| self.world.end(topic, partition)).sum()
    }

    /// The ends of the topics that the roles write, by name and partition.
    pub fn ends(&self) -> Vec<(String, i64)> {
        let topics = &self.world.topics;
        let names = [&topics.predictions, &topics.outcomes, &topics.accuracy, &topics.accuracy_state, &topics.retrain];
        let places = names.iter().flat_map(|name| (0..self.world.partitions).map(move |partition| (*name, partition)));
        places.map(|(name, p)| (format!("{name}/{p}"), self.world.end(name, p))).collect()
    }

    fn at_end(&self, group: &BaseConsumer, topic: &str, partitions: std::ops::Range<i32>) -> bool {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, partitions.start, partitions.end - 1);
        let committed = group.committed_offsets(list, CALL).expect("Kafka answers");
        let elements = committed.elements();
        elements.iter().all(|e| e.offset().to_raw() == Some(self.world.end(topic, e.partition())))
    }

    /// Whether every prediction is settled.
    pub fn settled(&self) -> bool {
        self.world.is_done() && self.at_end(&self.settle, &self.world.topics.predictions, 0..self.world.partitions)
    }

    /// Whether the judge has read all outcomes.
    pub fn read(&self) -> bool {
        self.settled() && self.at_end(&self.judge, &self.world.topics.outcomes, 0..self.world.partitions)
    }

    /// Whether the judge has read all outcomes of partition 0, and these are all that its predictions give.
    pub fn has_read_partition_0(&self) -> bool {
        self.world.is_done()
            && self.at_end(&self.settle, &self.world.topics.predictions, 0..1)
            && self.at_end(&self.judge, &self.world.topics.outcomes, 0..self.world.partitions)
    }

    /// The latest state of the model that the judge has written down.
    pub fn model(&self) -> Option<Value> {
        let records = self.records(&self.world.topics.accuracy_state);
        records.into_iter().rev().map(|(_, value)| value).find(|value| value["model"].is_object())
    }

    /// Whether the judge has read all outcomes and closed every cohort up to `closed`.
    pub fn done(&self, closed: Micros) -> bool {
        self.read() && self.closed() == Some(closed)
    }

    /// Target time of the last cohort that is closed.
    pub fn closed(&self) -> Option<Micros> {
        self.model().and_then(|state| state["model"]["closed"].as_i64())
    }

    /// Waits until the referee has judged everything but the bar that nobody has passed yet.
    pub fn finish(&self, processes: &mut [&mut Process]) {
        // The last bar of all is passed when a later one comes.
        wait_until("everything is judged", processes, || self.done(end_of(BARS - 1)));
    }

    /// Key and value of every committed record of a topic; of an event, its id for a key.
    fn records(&self, topic: &str) -> Vec<(String, Value)> {
        let mut reader =
            Reader::open(&self.world.config.kafka, topic, None, Start::Beginning, Stop::End).expect("a reader");
        let mut records = Vec::new();
        loop {
            match reader.next(SLICE).expect("Kafka answers") {
                Event::Finished => return records,
                Event::Idle => {}
                Event::Record(message) => {
                    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
                    let id = message.headers().and_then(|headers| headers.iter().find(|h| h.key == "ce_id"));
                    let key = id.map_or_else(|| text(message.key()), |id| text(id.value));
                    let mut value = serde_json::from_slice(message.payload().unwrap_or(b"null")).expect("JSON");
                    forget_clock(&mut value);
                    records.push((key, value));
                }
            }
        }
    }

    /// Everything that a reader of committed records finds.
    pub fn output(&self) -> Judged {
        let topics = &self.world.topics;
        let mut outcomes = BTreeMap::new();
        for (_, value) in self.records(&topics.outcomes) {
            *outcomes.entry(value.to_string()).or_default() += 1;
        }
        let accuracy = self.records(&topics.accuracy).into_iter().map(|(_, value)| value).collect();
        Judged { outcomes, accuracy, retrain: self.records(&topics.retrain) }
    }
}

/// A request carries a report: both say when they were made.
fn forget_clock(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    fields.remove("produced_at");
    fields.values_mut().for_each(forget_clock);
}

impl Judged {
    /// Fails with the first difference. Outcomes are a set: partitions reach the topic in any order.
    pub fn assert_same(&self, found: &Self) {
        found.assert_once();
        let missing = self.outcomes.keys().find(|record| !found.outcomes.contains_key(*record));
        let unexpected = found.outcomes.keys().find(|record| !self.outcomes.contains_key(*record));
        assert_eq!((missing, unexpected), (None, None), "outcomes: missing, unexpected");
        for (index, (expected, found)) in self.accuracy.iter().zip(&found.accuracy).enumerate() {
            assert_eq!(expected, found, "report {index}");
        }
        assert_eq!(self.accuracy.len(), found.accuracy.len(), "reports");
        assert_eq!(self.retrain, found.retrain, "requests");
    }

    /// Every outcome, report and request is there once.
    pub fn assert_once(&self) {
        let twice = self.outcomes.iter().find(|(_, count)| **count > 1);
        assert_eq!(twice, None, "an outcome is there more than once");
        let mut seen = BTreeSet::new();
        for report in &self.accuracy {
            let key = ["model", "model_version", "horizon", "symbol", "as_of"].map(|field| report[field].to_string());
            assert!(seen.insert(key), "there twice: {report}");
        }
        let ids: BTreeSet<_> = self.retrain.iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), self.retrain.len(), "a request is there twice: {:?}", self.retrain);
    }

    /// Rows that came after their cohort was closed, by horizon, as the last reports say.
    pub fn late(&self) -> BTreeMap<i64, i64> {
        let models = self.accuracy.iter().filter(|report| report["symbol"].is_null());
        models.map(|r| (r["horizon"].as_i64().unwrap(), r["late"].as_i64().unwrap())).collect()
    }
}
