//! Rows/s of the store (records decoded on one thread, batches written by another, each with its offsets in one transaction),
//! beside a bare COPY of the same rows in as many transactions.
//!
//! `cargo bench --bench store [-- ROWS [ROWS_A_BATCH]]`, with `TICKCAST__POSTGRES__URL` set (`make bench` sets it). It works in a
//! schema of its own, which it drops. Store and COPY alternate; figures are medians.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::SinkExt as _;
use tickcast::io::postgres::copy::pieces;
use tickcast::io::postgres::offsets::{self, Advance, Source};
use tickcast::io::postgres::partitions::{Known, ensure};
use tickcast::io::postgres::tables::{BARS, PREDICTIONS, Table};
use tickcast::io::postgres::write::{Batch, Outcome, Statements, write};
use tickcast::io::postgres::{Target, connect, migrate};
use tickcast::service::store::batch::{Added, CloudEvent, Content, Origin, Record, add};
use tokio_postgres::Client;

/// 2024-08-10, a day's first microsecond, and its number.
const MIDNIGHT: i64 = 1_723_248_000_000_000;
const DAY: i64 = 19_945;
const ROUNDS: usize = 5;

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let rows = numbers.first().copied().unwrap_or(100_000);
    let sizes = numbers.get(1).map_or(vec![2_000, 10_000], |size| vec![*size]);
    let Ok(url) = std::env::var("TICKCAST__POSTGRES__URL") else {
        println!("store: SKIPPED, TICKCAST__POSTGRES__URL is not set (use `make bench`)");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for size in sizes {
            for (content, table) in [(Content::Bars, &BARS), (Content::Predictions, &PREDICTIONS)] {
                let mut bench = Bench::new(&url, content, table, rows, size).await;
                bench.run().await;
            }
        }
    });
}

struct Bench {
    client: Client,
    target: Target,
    content: Content,
    table: &'static Table,
    texts: Arc<Vec<String>>,
    size: usize,
    known: Known,
    source: Source,
}

impl Bench {
    async fn new(url: &str, content: Content, table: &'static Table, rows: usize, size: usize) -> Self {
        let target = Target::parse(url).expect("a URL");
        let mut client = connect::connect(&target).await.expect("PostgreSQL answers");
        // One session, not a pool: a setting of it is safe here.
        let schema = "DROP SCHEMA IF EXISTS bench CASCADE; CREATE SCHEMA bench; SET search_path = bench";
        client.batch_execute(schema).await.expect("a schema");
        migrate::migrate(&mut client, &target).await.expect("tables");
        let text = |n| if content == Content::Bars { bar(n) } else { prediction(n) };
        let texts = Arc::new((0..rows as i64).map(text).collect());
        let source = Source { topic: table.name.into(), partition: 0, identity: "bench".into() };
        Self { client, target, content, table, texts, size, known: Known::default(), source }
    }

    async fn run(&mut self) {
        let (mut stores, mut copies) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            stores.push(self.store().await);
            copies.push(self.copy().await);
        }
        let rate = |times: Vec<Duration>| self.texts.len() as f64 / median(times).as_secs_f64();
        let (store, copy) = (rate(stores), rate(copies));
        println!(
            "{}, batches of {}: store {store:.0} rows/s, bare COPY {copy:.0} rows/s: {:.0}% (aim: at least 60%)",
            self.table.name,
            self.size,
            100.0 * store / copy
        );
        self.client.batch_execute("DROP SCHEMA bench CASCADE").await.expect("dropped");
    }

    async fn empty(&mut self) {
        let name = self.table.name;
        self.client.batch_execute(&format!("TRUNCATE {name}, sink_offsets; CHECKPOINT")).await.expect("emptied");
        offsets::load(&self.client, &self.target, &[(self.source.clone(), 0)].into()).await.expect("offsets");
        ensure(&mut self.client, &self.target, &mut self.known, self.table, DAY..DAY + 2).await.expect("partitions");
    }

    /// As the role does it: one batch is decoded on a thread of its own while another is written.
    async fn store(&mut self) -> Duration {
        self.empty().await;
        let (content, size, source) = (self.content, self.size, self.source.clone());
        let texts = Arc::clone(&self.texts);
        let statements = Statements::default();
        let (full, mut batches) = tokio::sync::mpsc::channel::<Batch>(1);
        let (empty, spares) = std::sync::mpsc::channel::<Batch>();
        let began = Instant::now();
        let decoder = std::thread::spawn(move || {
            let mut from = 0;
            for chunk in texts.chunks(size) {
                let mut batch = spares.try_recv().unwrap_or_default();
                batch.clear();
                chunk.iter().for_each(|text| put(&mut batch, content, text, size));
                let to = from + chunk.len() as i64;
                batch.advances.insert(source.clone(), Advance { from, to });
                from = to;
                full.blocking_send(batch).expect("the writer takes it");
            }
        });
        while let Some(batch) = batches.recv().await {
            let outcome = write(&mut self.client, &self.target, &mut self.known, &statements, &batch).await;
            assert_eq!(outcome.expect("written"), Outcome::Stored);
            // The decoder may have ended.
            let _ = empty.send(batch);
        }
        let took = began.elapsed();
        decoder.join().expect("the decoder ends");
        self.check().await;
        took
    }

    /// The same rows, ready to be sent, with nothing else in the transaction.
    async fn copy(&mut self) -> Duration {
        self.empty().await;
        let mut streams = Vec::new();
        for chunk in self.texts.chunks(self.size) {
            let mut batch = Batch::default();
            chunk.iter().for_each(|text| put(&mut batch, self.content, text, self.size));
            let rows = if self.content == Content::Bars { &batch.bars } else { &batch.predictions };
            streams.push(pieces(rows).collect::<Vec<Bytes>>());
        }
        let statement = self.table.copy();
        let began = Instant::now();
        for stream in streams {
            let sink = self.client.copy_in::<_, Bytes>(&statement).await.expect("a COPY");
            let mut sink = std::pin::pin!(sink);
            for piece in stream {
                sink.send(piece).await.expect("sent");
            }
            sink.finish().await.expect("copied");
        }
        let took = began.elapsed();
        self.check().await;
        took
    }

    async fn check(&self) {
        let query = format!("SELECT count(*) FROM {}", self.table.name);
        let count: i64 = self.client.query_typed(&query, &[]).await.expect("a count")[0].get(0);
        assert_eq!(count, self.texts.len() as i64, "every row is there");
    }
}

fn put(batch: &mut Batch, content: Content, text: &str, size: usize) {
    let (origin, event) = (Origin::default(), CloudEvent::default());
    let record = Record { value: Some(text.as_bytes()), offset: 0, timestamp_ms: 0, origin, event };
    assert_eq!(add(batch, content, &record, size).expect("a record"), Added::Yes);
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn bar(n: i64) -> String {
    let (symbol, close) = (n % 1_000, MIDNIGHT + n / 1_000 * 60_000_000);
    let (price, volume) = (100.0 + n as f64 / 7.0, n as f64 / 3.0);
    format!(
        r#"{{"symbol":"S{symbol:04}-USDT.BINANCE-SPOT","interval":"1m","open_time":{},"close_time":{close},"open":{price},"high":{price},"low":{price},"close":{price},"volume":{volume},"vwap":{price},"trades":17,"buy_volume":1.5,"sell_volume":2.25,"complete":true,"synthetic":false,"last_event_time":{}}}"#,
        close - 60_000_000,
        close - 7
    )
}

fn prediction(n: i64) -> String {
    let (symbol, horizon, as_of) = (n / 3 % 1_000, n % 3, MIDNIGHT + n / 3_000 * 60_000_000);
    let id = (n as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    let (price, vwap) = (100.0 + n as f64 / 7.0, 100.0 + n as f64 / 9.0);
    format!(
        r#"{{"prediction_id":"{id:032x}","symbol":"S{symbol:04}-USDT.BINANCE-SPOT","interval":"1m","horizon":{horizon},"as_of":{as_of},"target_time":{},"valid_until":{},"sequence":{},"reference_price":{price},"reference_vwap":{vwap},"reference_complete":true,"reference_synthetic":false,"p_down":0.31,"p_flat":0.2,"p_up":0.49,"decision":"up","abstain_reasons":[],"model":"reference","model_version":"1.0.0","role":"champion","feature_digest":"00ff00ff00ff00ff","max_event_time":{},"produced_at":{}}}"#,
        as_of + horizon * 60_000_000,
        as_of + 61_000_000,
        as_of / 60_000_000,
        as_of - 5,
        as_of + 17
    )
}
