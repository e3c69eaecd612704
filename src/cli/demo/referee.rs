//! A subscriber of the referee's topics, as somebody in operations would be: committed records only.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::bail;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use super::score::Score;
use crate::config::Config;
use crate::flow::market::MarketSpec;
use crate::flow::time::Micros;
use crate::io::clock::now;
use crate::io::kafka::reader::{Event, Reader, Start, Stop as End};
use crate::io::kafka::topics::Topics;
use crate::service::health::Stop;
use crate::wire::{accuracy, retrain};

/// How long nothing must come until what was committed is taken for read.
const WAIT: Duration = Duration::from_millis(100);
/// Reports between two looks at the requests, at most: about two rounds of a demo.
const REPORTS: u32 = 100;
/// At the end, how long may be read until nothing more comes.
const LAST: Duration = Duration::from_secs(5);

/// Reads what the referee says and keeps the score.
pub struct Referee {
    thread: JoinHandle<anyhow::Result<()>>,
    stop: Stop,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    score: Score,
    /// What is still to be shown.
    lines: Vec<String>,
}

impl Referee {
    /// Subscribes: at the end of the reports, but for the last ones of an earlier demo, and to all requests.
    ///
    /// # Errors
    /// When Kafka fails.
    pub fn start(config: &Config, spec: MarketSpec) -> anyhow::Result<Self> {
        let topics = Topics::new(&config.kafka.topic_prefix);
        // Two rounds of reports over three horizons, all symbols together and each by itself, and as many markers.
        let last = i64::from(spec.symbols) * 12 + 100;
        let mut reports = Reader::open(&config.kafka, &topics.accuracy, None, Start::Last(last), End::Never)?;
        let mut requests = Reader::open(&config.kafka, &topics.retrain, None, Start::Beginning, End::Never)?;
        let shared = Arc::new(Mutex::new(Shared { score: Score::new(spec), lines: Vec::new() }));
        let (stop, begun) = (Stop::default(), now());
        let (wish, into) = (stop.clone(), Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("referee".to_owned()).spawn(move || {
            let (mut ending, mut told) = (None, false);
            loop {
                let idle = read_reports(&mut reports, &into, begun)?;
                while let Event::Record(message) = requests.next(Duration::ZERO)? {
                    take_request(&message, &mut lock(&into), begun);
                }
                if idle {
                    let shared = &mut *lock(&into);
                    shared.score.tell(true, &mut shared.lines);
                    if !told {
                        told = true;
                        shared.lines.extend(shared.score.open());
                    }
                }
                if wish.requested() {
                    let since: Instant = *ending.get_or_insert_with(Instant::now);
                    if idle || since.elapsed() > LAST {
                        return Ok(());
                    }
                }
            }
        })?;
        Ok(Self { thread, stop, shared })
    }

    /// The score as it stands, and what was not shown yet.
    pub fn look(&self) -> (Score, Vec<String>) {
        let mut shared = lock(&self.shared);
        (shared.score.clone(), std::mem::take(&mut shared.lines))
    }

    /// Whether it has ended by itself, which only a failure does.
    pub fn has_failed(&self) -> bool {
        self.thread.is_finished()
    }

    /// Reads what has been committed by now, and stops.
    ///
    /// # Errors
    /// When Kafka failed it.
    pub fn finish(self) -> anyhow::Result<(Score, Vec<String>)> {
        self.stop.request();
        let ended = self.thread.join();
        ended.unwrap_or_else(|_| bail!("the referee's reader panicked; its output says where"))?;
        let shared = &mut *lock(&self.shared);
        Ok((shared.score.clone(), std::mem::take(&mut shared.lines)))
    }
}

/// Reads reports until none comes for a moment (`true`), or there were many.
fn read_reports(reader: &mut Reader, into: &Mutex<Shared>, begun: Micros) -> anyhow::Result<bool> {
    for _ in 0..REPORTS {
        let Event::Record(message) = reader.next(WAIT)? else { return Ok(true) };
        if let Ok(record) = accuracy::decode(message.payload().unwrap_or_default())
            && record.symbol.is_none()
        {
            let shared = &mut *lock(into);
            shared.score.report(&record, record.produced_at < begun, &mut shared.lines);
        }
    }
    Ok(false)
}

fn take_request(message: &BorrowedMessage<'_>, shared: &mut Shared, begun: Micros) {
    let headers = message.headers();
    let kind = headers.and_then(|headers| headers.iter().find(|header| header.key == "ce_type")?.value);
    let earlier = message.timestamp().to_millis().is_some_and(|ms| ms.saturating_mul(1_000) < begun);
    let value = message.payload().unwrap_or_default();
    if kind == Some(retrain::REQUESTED.as_bytes())
        && let Ok(record) = retrain::decode_request(value)
    {
        shared.score.requested(&record, earlier, &mut shared.lines);
    } else if kind == Some(retrain::CLOSED.as_bytes())
        && let Ok(record) = retrain::decode_closed(value)
    {
        shared.score.closed(&record, earlier, &mut shared.lines);
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
