//! Topics of a bench's own, generated ticks, a lane run over them in this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use tickcast::config::{self, Config};
use tickcast::io::kafka::feeder::Feeder;
use tickcast::io::kafka::{client, topics};
use tickcast::service::health::{Health, Stop};
use tickcast::service::run::{Role, Running};
use tickcast::telemetry::metrics::{Metrics, ResultLabel};

/// 2024-01-01, a bar's start.
const START: i64 = 1_704_067_200_000_000;
const BAR: i64 = 10_000_000;

/// A broker to measure on.
pub struct Bench;

/// Ticks of `symbols`, round robin, `ticks_per_bar` a symbol and bar, from bar `first_bar` on.
pub struct Load {
    pub symbols: usize,
    pub ticks_per_bar: i64,
    pub first_bar: i64,
}

/// What a lane did.
pub struct LaneRun {
    pub elapsed: Duration,
    pub bars: u64,
    pub predictions: u64,
    pub scored: u64,
    pub cycle_seconds: f64,
    pub commit_seconds: f64,
}

/// Topics under a prefix of their own, one partition each.
pub struct Topic {
    config: Arc<Config>,
    ticks: String,
}

impl Bench {
    pub fn from_environment() -> Option<Self> {
        std::env::var_os("TICKCAST__KAFKA__BROKERS").map(|_| Self)
    }

    pub fn topic(&self, title: &str) -> Topic {
        self.topic_with(title, &[])
    }

    /// Topics whose lane has settings of its own.
    pub fn topic_with(&self, title: &str, settings: &[&str]) -> Topic {
        let unique = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
        let name: String = title.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
        let mut set = vec![
            format!("kafka.topic_prefix=bench-{name}-{unique}."),
            format!("kafka.group=bench-{unique}"),
            "bars.idle_timeout=off".to_owned(),
            "http.listen=off".to_owned(),
        ];
        set.extend(settings.iter().map(|&setting| setting.to_owned()));
        let config = config::load(None, &set).expect("settings of a bench are valid");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(topics::apply(&config.kafka, 1, -1, config.bars.interval)).expect("topics are made");
        let ticks = format!("{}ticks", config.kafka.topic_prefix);
        Topic { config: Arc::new(config), ticks }
    }
}

impl Topic {
    /// The settings of its lane.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Writes `count` ticks and the watermark after them; gives the bytes of their values.
    pub fn produce(&self, load: &Load, count: i64) -> u64 {
        let mut feeder = Feeder::open(&self.config.kafka, &self.ticks).expect("a producer");
        let symbols: Vec<String> = (0..load.symbols).map(|n| format!("SYM{n:04}-USDT.BENCH")).collect();
        let per_cycle = i64::try_from(load.symbols).expect("few symbols") * load.ticks_per_bar;
        let mut bytes = 0;
        let mut time = 0;
        for n in 0..count {
            let (cycle, within) = (n / per_cycle, n % per_cycle);
            time = START + (load.first_bar + cycle) * BAR + within * BAR / per_cycle;
            let symbol = &symbols[usize::try_from(n).expect("positive") % symbols.len()];
            let price = 100.0 + ((n * 7_919) % 10_007) as f64 / 1_000.0;
            let side = if n % 3 == 0 { "buy" } else { "sell" };
            let tick = format!(
                r#"{{"symbol":"{symbol}","price":{price:.3},"size":0.25,"side":"{side}","trade_id":"{}","event_time":{time}}}"#,
                // A venue numbers the trades of each symbol upwards.
                n / i64::try_from(symbols.len()).expect("few symbols") + load.first_bar * 1_000_000_000
            );
            bytes += tick.len() as u64;
            feeder.send(symbol, tick.as_bytes()).expect("queued");
        }
        feeder.send_watermarks((time / BAR + 1) * BAR).expect("queued");
        feeder.finish().expect("delivered");
        bytes
    }

    /// The end of the ticks.
    pub fn high(&self) -> i64 {
        let consumer: BaseConsumer = client::consumer(&self.config.kafka, "bench").create().expect("a consumer");
        consumer.fetch_watermarks(&self.ticks, 0, Duration::from_secs(10)).expect("watermarks").1
    }

    /// How long a consumer takes that only counts the records from `from` to the end.
    pub fn count_bare(&self, from: i64) -> Duration {
        let consumer: BaseConsumer = client::consumer(&self.config.kafka, "bench")
            .set("queued.max.messages.kbytes", "65536")
            .set("fetch.message.max.bytes", "4194304")
            .create()
            .expect("a consumer");
        let high = self.high();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.ticks, 0, Offset::Offset(from)).expect("an offset");
        consumer.assign(&list).expect("assigned");
        let (mut seen, mut began) = (from, None);
        while seen < high {
            if let Some(Ok(_)) = consumer.poll(Duration::from_millis(100)) {
                began.get_or_insert_with(Instant::now);
                seen += 1;
            }
        }
        began.map_or(Duration::ZERO, |began| began.elapsed())
    }

    /// Runs one lane until every tick is committed; timed from the end of its restore.
    pub fn run_lane(&self) -> LaneRun {
        let (metrics, health, stop) = (Arc::new(Metrics::default()), Health::default(), Stop::default());
        let target = u64::try_from(self.high()).expect("positive");
        let done = self.committed();
        let running =
            Running::start(&self.config, &[Role::Forecast], &metrics, &health, &stop).expect("the lane starts");
        while sum(&metrics, "tickcast_restore_seconds_count") == 0.0 && !running.over() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let began = Instant::now();
        let used = |result| metrics.ticks.get_or_create(&ResultLabel { result }).get();
        while done + used("used") + used("dead") + used("duplicate") < target && !running.over() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let elapsed = began.elapsed();
        running.finish().expect("the lane ends well");
        let predictions = |result| metrics.predictions.get_or_create(&ResultLabel { result }).get();
        LaneRun {
            elapsed,
            bars: metrics.bars.get(),
            predictions: predictions("scored") + predictions("abstained"),
            scored: predictions("scored"),
            cycle_seconds: sum(&metrics, "tickcast_cycle_seconds_sum"),
            commit_seconds: sum(&metrics, "tickcast_commit_seconds_sum"),
        }
    }

    fn committed(&self) -> u64 {
        let consumer: BaseConsumer =
            client::consumer(&self.config.kafka, &self.config.kafka.group).create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.ticks, 0);
        let committed = consumer.committed_offsets(list, Duration::from_secs(10)).expect("offsets");
        let offset = committed.elements()[0].offset().to_raw().unwrap_or(0);
        u64::try_from(offset).unwrap_or(0)
    }
}

/// The value of an instrument by its name.
pub fn sum(metrics: &Metrics, name: &str) -> f64 {
    let text = metrics.encode();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split(' ').nth(1)).and_then(|value| value.parse().ok()).unwrap_or(0.0)
}
