//! Ticks at a steady rate, and a reader that notes when the predictions of a cycle have all come.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use tickcast::config::Config;
use tickcast::io::kafka::client;
use tickcast::wire;

use crate::{PREDICTIONS, SYMBOLS};

/// 2024-01-01; bars of one second.
const START: i64 = 1_704_067_200_000_000;
const BAR: i64 = 1_000_000;
/// Bars that fill the windows before anything is measured.
const WARM_BARS: i64 = 322;
const LIVE: i64 = START + WARM_BARS * BAR;
const LATENESS: i64 = BAR;

/// Which tick has which event time, and which bar's end it carries the watermark past.
#[derive(Clone, Copy)]
pub struct Schedule {
    rate: i64,
    pace: i64,
}

impl Schedule {
    fn time(self, n: i64) -> i64 {
        LIVE + n * BAR * self.pace / self.rate
    }

    /// The end of the bar that live tick `n` closes, if any.
    pub fn closes(self, n: i64) -> Option<i64> {
        let due = |n| (self.time(n) - LATENESS) / BAR * BAR;
        (n > 0 && due(n) > due(n - 1)).then(|| due(n))
    }
}

/// A producer of ticks into one topic.
pub struct Feed {
    pub schedule: Schedule,
    producer: BaseProducer,
    topic: String,
    symbols: Vec<String>,
    next: i64,
    /// When the tick that closes a bar was handed over, by the bar's end.
    sent: BTreeMap<i64, Instant>,
}

impl Feed {
    pub fn new(config: &Config, rate: u64, pace: u64) -> Self {
        // No lingering: a tick that waits for company is late before it is sent.
        let producer = client::producer(&config.kafka).set("linger.ms", "0").create().expect("a producer");
        Self {
            schedule: Schedule { rate: rate.cast_signed(), pace: pace.cast_signed() },
            producer,
            topic: format!("{}ticks", config.kafka.topic_prefix),
            symbols: (0..SYMBOLS).map(|n| format!("SYM{n:04}-USDT.BENCH")).collect(),
            next: 0,
            sent: BTreeMap::new(),
        }
    }

    /// Fills the windows: a tick a symbol and bar.
    pub fn warm(&mut self) {
        let symbols = SYMBOLS as i64;
        for n in 0..WARM_BARS * symbols {
            self.send(n, START + n / symbols * BAR + n % symbols, -1 - n);
        }
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::ZERO);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Feeds for `turn`, then waits until what was fed has come through.
    pub fn run(&mut self, turn: Duration, seen: &mut Watch) {
        let (began, first) = (Instant::now(), self.next);
        let mut last = 0;
        while began.elapsed() < turn {
            let due = first + began.elapsed().as_micros() as i64 * self.schedule.rate / 1_000_000;
            while self.next <= due {
                let n = self.next;
                self.next += 1;
                if let Some(end) = self.schedule.closes(n) {
                    last = end;
                    self.sent.insert(end, Instant::now());
                }
                self.send(n, self.schedule.time(n), n);
            }
            self.producer.poll(Duration::ZERO);
            std::thread::sleep(Duration::from_micros(300));
        }
        let patience = Instant::now();
        while seen.newest() < last && patience.elapsed() < Duration::from_secs(10) {
            self.producer.poll(Duration::ZERO);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn send(&self, n: i64, time: i64, id: i64) {
        let symbol = &self.symbols[usize::try_from(n).expect("positive") % SYMBOLS];
        let price = 100.0 + ((n * 7_919) % 10_007) as f64 / 1_000.0;
        let side = if n % 3 == 0 { "buy" } else { "sell" };
        let tick = format!(
            r#"{{"symbol":"{symbol}","price":{price:.3},"size":0.25,"side":"{side}","trade_id":"{id}","event_time":{time}}}"#
        );
        self.producer.send(BaseRecord::to(&self.topic).key(symbol).payload(&tick)).expect("queued");
    }
}

type Arrivals = Arc<Mutex<BTreeMap<i64, (usize, Instant)>>>;

/// A `read_committed` reader of predictions on a thread of its own.
pub struct Watch {
    /// By the bar's end: how many predictions, and when the last of them came.
    arrivals: Arrivals,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub fn open(config: &Config) -> Self {
        let consumer: BaseConsumer = client::consumer(&config.kafka, "bench-watch").create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        let topic = format!("{}predictions", config.kafka.topic_prefix);
        list.add_partition_offset(&topic, 0, Offset::Offset(0)).expect("an offset");
        consumer.assign(&list).expect("assigned");
        let (arrivals, ended) = (Arrivals::default(), Arc::new(AtomicBool::new(false)));
        let (seen, over) = (Arc::clone(&arrivals), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Acquire) {
                let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else { continue };
                let now = Instant::now();
                let end = as_of(message.payload().unwrap_or_default());
                let mut seen = seen.lock().expect("no panic");
                let entry = seen.entry(end).or_insert((0, now));
                *entry = (entry.0 + 1, now);
            }
        });
        Self { arrivals, ended, thread: Some(thread) }
    }

    /// End of the newest bar whose predictions have all come.
    fn newest(&self) -> i64 {
        let arrivals = self.arrivals.lock().expect("no panic");
        arrivals.iter().rev().find(|(_, (count, _))| *count == PREDICTIONS).map_or(0, |(end, _)| *end)
    }

    /// Of every cycle that `feed` has caused: from its tick to its last prediction; sorted.
    pub fn latencies(&mut self, feed: &Feed) -> Vec<Duration> {
        self.ended.store(true, Ordering::Release);
        self.thread.take().map(JoinHandle::join);
        let arrivals = self.arrivals.lock().expect("no panic");
        let complete = |end: &i64| arrivals.get(end).filter(|(count, _)| *count == PREDICTIONS).map(|(_, at)| *at);
        let mut all: Vec<_> = feed.sent.iter().filter_map(|(end, sent)| Some(complete(end)? - *sent)).collect();
        assert!(all.len() + 1 >= feed.sent.len(), "{} of {} cycles have come", all.len(), feed.sent.len());
        all.sort_unstable();
        all
    }
}

/// A prediction's bar: of a record, or the number that a record of the bare loop begins with.
fn as_of(payload: &[u8]) -> i64 {
    if payload.first() == Some(&b'{') {
        return wire::prediction::decode(payload).map_or(0, |said| said.as_of);
    }
    let digits = payload.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
}
