//! Typed settings: embedded defaults < file < environment < `--set`, all problems reported at once.
//!
//! Not here: what the settings do. Every key is described in `default.toml`.

mod load;
pub mod tokens;
mod types;

pub use load::{ConfigError, DEFAULTS, load, load_over};
pub use types::{Off, Secret, Span};

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::flow::time::Interval;
use crate::flow::trigger;

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Brokers, topics and group.
    pub kafka: Kafka,
    /// What shapes bars.
    pub bars: Bars,
    /// The champion.
    pub model: Model,
    /// The forecast role.
    pub forecast: Forecast,
    /// The settle role.
    pub settle: Settle,
    /// The judge role.
    pub judge: Judge,
    /// What trading costs.
    pub fees: Fees,
    /// PostgreSQL.
    pub postgres: Postgres,
    /// The store role.
    pub store: Store,
    /// Health and metrics.
    pub http: Http,
    /// Spans.
    pub otlp: Otlp,
    /// Logging.
    pub log: Log,
    /// The symbols to forecast; none given, every symbol is accepted.
    #[serde(default)]
    pub assets: Vec<Asset>,
}

/// `[kafka]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "default.toml describes every key")]
pub struct Kafka {
    pub brokers: String,
    pub topic_prefix: String,
    pub group: String,
    pub instance: String,
    pub static_membership: bool,
    pub session_timeout: Span,
    pub transaction_timeout: Span,
    pub security_protocol: String,
    pub ssl_ca_location: String,
    pub sasl_mechanism: String,
    pub sasl_username: String,
    pub sasl_password: Secret,
    pub sasl_password_file: PathBuf,
}

/// `[bars]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "default.toml describes every key")]
pub struct Bars {
    #[serde(deserialize_with = "types::from_text")]
    pub interval: Interval,
    pub allowed_lateness: Span,
    pub max_fill: u32,
    pub max_future_skew: Span,
    pub idle_timeout: Off<Span>,
}

/// `[model]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "default.toml describes every key")]
pub struct Model {
    pub path: PathBuf,
    pub intra_threads: usize,
}

/// `[forecast]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "default.toml describes every key")]
pub struct Forecast {
    pub lanes: u32,
    pub commit_interval: Span,
    pub max_transaction_bytes: usize,
    pub max_record_bytes: usize,
    pub max_bad_ratio: f64,
    pub max_symbols: usize,
    pub max_staleness: Off<Span>,
    pub min_confidence: f32,
    pub max_model_age: Off<Span>,
    pub watchdog_timeout: Span,
}

/// `[settle]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "default.toml describes every key")]
pub struct Settle {
    pub max_pending: usize,
}

/// `[judge]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "default.toml describes every key")]
pub struct Judge {
    pub report_every: u32,
    pub window: u32,
    pub detector: String,
    pub baseline_n: u32,
    pub drop: f64,
    pub in_control: f64,
    pub floor: f64,
    pub min_cohorts: u32,
    pub max_model_age: Off<Span>,
    pub cooldown: Span,
    pub daily_cap: u32,
    pub max_open_rows: usize,
}

/// `[fees]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "default.toml describes every key")]
pub struct Fees {
    pub bps: f64,
}

/// `[postgres]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "default.toml describes every key")]
pub struct Postgres {
    pub url: Secret,
    pub url_file: PathBuf,
}

/// `[store]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "default.toml describes every key")]
pub struct Store {
    pub batch_rows: usize,
    pub linger: Span,
    pub retention: Off<Span>,
}

/// `[http]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "default.toml describes every key")]
pub struct Http {
    pub listen: String,
    pub tokens: Secret,
    pub tokens_file: PathBuf,
}

/// `[otlp]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "default.toml describes every key")]
pub struct Otlp {
    pub endpoint: String,
    pub sample_ratio: f64,
    pub timeout: Span,
    pub max_queue: usize,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "default.toml describes every key")]
pub struct Log {
    pub format: String,
    pub filter: String,
}

/// `[[assets]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// The canonical symbol.
    pub symbol: String,
}

impl Judge {
    /// What detectors and guards are told.
    ///
    /// # Errors
    /// When `detector` is none, in words.
    pub fn trigger(&self) -> Result<trigger::Settings, String> {
        Ok(trigger::Settings {
            kind: self.detector.parse()?,
            baseline_n: self.baseline_n,
            drop: self.drop,
            in_control: self.in_control,
            floor: self.floor,
            min_cohorts: self.min_cohorts,
            max_model_age: self.max_model_age.get().map(Span::micros),
            cooldown: self.cooldown.micros(),
            daily_cap: self.daily_cap,
        })
    }
}

impl Kafka {
    fn security_problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"].contains(&self.security_protocol.as_str()) {
            found.push("kafka.security_protocol must be plaintext, ssl, sasl_plaintext or sasl_ssl".to_owned());
        }
        if self.security_protocol.starts_with("sasl") {
            if !["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].contains(&self.sasl_mechanism.as_str()) {
                found.push("kafka.sasl_mechanism must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512".to_owned());
            }
            if self.sasl_username.is_empty() || self.sasl_password.expose().is_empty() {
                found.push(format!(
                    "kafka.security_protocol={} needs kafka.sasl_username and a password: kafka.sasl_password_file, or \
                     TICKCAST__KAFKA__SASL_PASSWORD in the environment",
                    self.security_protocol
                ));
            }
        }
        found
    }
}

impl Http {
    fn problems(&self) -> Vec<String> {
        let tokens = match tokens::parse(&self.tokens) {
            Ok(tokens) => tokens,
            Err(problems) => return problems.into_iter().map(|problem| format!("http.tokens: {problem}")).collect(),
        };
        let problem = match self.listen.parse::<std::net::SocketAddr>() {
            _ if self.listen == "off" => None,
            Err(_) => Some(format!("http.listen `{}` must be IP:PORT or off", self.listen)),
            Ok(address) if !address.ip().is_loopback() && tokens.is_empty() => Some(format!(
                "http.listen `{address}` is not loopback, and anybody who reaches it could ask: give http.tokens_file or \
                 http.tokens (NAME:SCOPES:SECRET), or listen on 127.0.0.1"
            )),
            Ok(_) => None,
        };
        problem.into_iter().collect()
    }
}

impl Config {
    /// Every problem of the values, in words that name the key and the remedy; empty when there is none.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut require = |holds: bool, text: &str| {
            if !holds {
                found.push(text.to_owned());
            }
        };
        require(!self.kafka.brokers.trim().is_empty(), "kafka.brokers is empty: give host:port[,host:port]");
        require(!self.kafka.group.is_empty(), "kafka.group is empty: give the consumer group of the forecasters");
        require(
            !self.kafka.instance.is_empty(),
            "kafka.instance is empty: give this process a name that survives restarts",
        );
        require(
            self.kafka.topic_prefix.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')),
            "kafka.topic_prefix may hold letters, digits and ._- only",
        );
        require(
            self.kafka.session_timeout.get() >= Duration::from_secs(1),
            "kafka.session_timeout is below 1s: brokers refuse that",
        );
        require(
            (Duration::from_secs(1)..=Duration::from_secs(900)).contains(&self.kafka.transaction_timeout.get()),
            "kafka.transaction_timeout must lie between 1s and 15m (the broker's transaction.max.timeout.ms)",
        );
        require(self.bars.max_fill >= 1, "bars.max_fill must be at least 1");
        require(
            self.bars.idle_timeout.get().is_none_or(|span| span.get() >= Duration::from_millis(10)),
            "bars.idle_timeout is below 10ms: give a duration or off",
        );
        require((1..=64).contains(&self.forecast.lanes), "forecast.lanes must lie between 1 and 64");
        require(
            self.forecast.commit_interval.get() * 2 <= self.kafka.transaction_timeout.get(),
            "forecast.commit_interval must be at most half of kafka.transaction_timeout",
        );
        require(
            (1_024..=500_000).contains(&self.forecast.max_record_bytes),
            "forecast.max_record_bytes must lie between 1024 and 500000: dead letters carry that much, and brokers take 1 MB",
        );
        require(self.forecast.max_transaction_bytes >= 1_024, "forecast.max_transaction_bytes must be at least 1024");
        require((0.0..=1.0).contains(&self.forecast.max_bad_ratio), "forecast.max_bad_ratio must lie between 0 and 1");
        require(
            (0.0..=1.0).contains(&self.forecast.min_confidence),
            "forecast.min_confidence must lie between 0 and 1",
        );
        require((1..=20_000).contains(&self.forecast.max_symbols), "forecast.max_symbols must lie between 1 and 20000");
        require(
            (1_000..=50_000_000).contains(&self.settle.max_pending),
            "settle.max_pending must lie between 1000 and 50000000",
        );
        require(self.judge.report_every >= 1, "judge.report_every must be at least 1");
        require((10..=100_000).contains(&self.judge.window), "judge.window must lie between 10 and 100000 cohorts");
        require(
            (1_000..=50_000_000).contains(&self.judge.max_open_rows),
            "judge.max_open_rows must lie between 1000 and 50000000",
        );
        require((0.0..=1_000.0).contains(&self.fees.bps), "fees.bps must lie between 0 and 1000");
        require((1..=64).contains(&self.model.intra_threads), "model.intra_threads must lie between 1 and 64");
        require((0.0..=1.0).contains(&self.otlp.sample_ratio), "otlp.sample_ratio must lie between 0 and 1");
        require((64..=1_000_000).contains(&self.otlp.max_queue), "otlp.max_queue must lie between 64 and 1000000");
        require(
            (Duration::from_millis(10)..=Duration::from_secs(60)).contains(&self.otlp.timeout.get()),
            "otlp.timeout must lie between 10ms and 1m",
        );
        require((1..=10_000).contains(&self.store.batch_rows), "store.batch_rows must lie between 1 and 10000");
        require(
            self.store.retention.get().is_none_or(|span| span.get() >= Duration::from_secs(86_400)),
            "store.retention is below 1day: tables are dropped by whole UTC days; give a longer duration or off",
        );
        require(["text", "json"].contains(&self.log.format.as_str()), "log.format must be text or json");
        match self.judge.trigger() {
            Ok(trigger) => found.extend(trigger.problems().into_iter().map(|problem| format!("judge.{problem}"))),
            Err(problem) => found.push(format!("judge.detector: {problem}")),
        }
        found.extend(self.kafka.security_problems());
        found.extend(self.http.problems());
        if self.otlp.endpoint != "off" && !self.otlp.endpoint.starts_with("http://") {
            found.push(format!(
                "otlp.endpoint `{}` must be http://HOST:PORT or off: TLS is left to a collector beside this process",
                self.otlp.endpoint
            ));
        }
        // Whoever sets it means it, also where this process does not store.
        let url = self.postgres.url.expose();
        if !url.is_empty()
            && let Err(error) = crate::io::postgres::Target::parse(url)
        {
            found.push(error.to_string());
        }
        let mut symbols = std::collections::HashSet::new();
        for asset in &self.assets {
            if let Err(error) = crate::flow::symbol::Symbol::new(&asset.symbol) {
                found.push(format!("assets: {error}"));
            } else if !symbols.insert(&asset.symbol) {
                found.push(format!("assets: {} is given twice: remove one", asset.symbol));
            }
        }
        found
    }
}
