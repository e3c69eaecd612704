//! From the end of a bar to the prediction in a subscriber's hands.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::bail;
use rdkafka::message::Message as _;

use crate::config::Config;
use crate::flow::time::Micros;
use crate::io::clock::now;
use crate::io::kafka::reader::{Event, Reader, Start, Stop as End};
use crate::io::kafka::topics::Topics;
use crate::service::health::Stop;
use crate::wire::prediction;

/// Most samples that are kept; then the oldest half goes.
const MOST: usize = 100_000;

/// A subscriber of the predictions, as a bot is: committed records only.
///
/// Measured is the time from when the watermark may pass the bar's end (its end plus the lateness) until the record is
/// read. That includes the wait for the trade that moves the watermark.
pub struct Subscriber {
    thread: JoinHandle<anyhow::Result<()>>,
    stop: Stop,
    shared: Arc<Shared>,
}

struct Shared {
    /// Bars that end before this are of the past that was fed fast.
    since: AtomicI64,
    samples: Mutex<Vec<Micros>>,
}

impl Subscriber {
    /// Subscribes at the end of the topic.
    ///
    /// # Errors
    /// When Kafka fails.
    pub fn start(config: &Config) -> anyhow::Result<Self> {
        let topic = Topics::new(&config.kafka.topic_prefix).predictions;
        let mut reader = Reader::open(&config.kafka, &topic, None, Start::End, End::Never)?;
        let shared = Arc::new(Shared { since: AtomicI64::new(Micros::MAX), samples: Mutex::default() });
        let (stop, lateness) = (Stop::default(), config.bars.allowed_lateness.micros());
        let (wish, into) = (stop.clone(), Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("subscriber".to_owned()).spawn(move || {
            while !wish.requested() {
                if let Event::Record(message) = reader.next(Duration::from_millis(100))?
                    && let Ok(record) = prediction::decode(message.payload().unwrap_or_default())
                    && record.as_of > into.since.load(Ordering::Relaxed)
                {
                    into.add(now() - record.as_of - lateness);
                }
            }
            Ok(())
        })?;
        Ok(Self { thread, stop, shared })
    }

    /// From now on bars close in real time.
    pub fn live(&self) {
        self.shared.since.store(now(), Ordering::Relaxed);
    }

    /// Whether it has ended by itself, which only a failure does.
    pub fn has_failed(&self) -> bool {
        self.thread.is_finished()
    }

    /// The median and the 99th percentile, in milliseconds; none before the first live bar.
    pub fn percentiles(&self) -> Option<(f64, f64)> {
        let mut samples = self.shared.lock().clone();
        samples.sort_unstable();
        let at = |share: f64| samples.get((share * (samples.len() as f64 - 1.0)).round() as usize);
        Some((*at(0.5)? as f64 / 1e3, *at(0.99)? as f64 / 1e3))
    }

    /// Stops it.
    ///
    /// # Errors
    /// When Kafka failed it.
    pub fn finish(self) -> anyhow::Result<()> {
        self.stop.request();
        self.thread.join().unwrap_or_else(|_| bail!("the subscriber's thread panicked; its output says where"))
    }
}

impl Shared {
    fn add(&self, sample: Micros) {
        let mut samples = self.lock();
        if samples.len() == MOST {
            samples.drain(..MOST / 2);
        }
        samples.push(sample);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Micros>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
