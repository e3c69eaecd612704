//! `tickcast tail`: prints the committed records of a topic.

use std::borrow::Cow;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::time::Duration;

use clap::Args;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::config::Config;
use crate::io::kafka::reader::{Event, Reader, Start, Stop};

/// Print the committed records of a topic.
#[derive(Debug, Args)]
pub struct Tail {
    /// A topic: full, or without the prefix (`predictions`).
    topic: String,
    /// Start at the oldest record instead of behind the newest.
    #[arg(long)]
    from_beginning: bool,
    /// Stop at what is the end of each partition now.
    #[arg(long)]
    until_end: bool,
    /// One JSON object a line: topic, partition, offset, timestamp_ms, key, value, headers.
    #[arg(long)]
    json: bool,
    /// This partition only.
    #[arg(long, value_name = "P")]
    partition: Option<i32>,
    /// Stop after this many records.
    #[arg(long, value_name = "N")]
    max: Option<u64>,
}

impl Tail {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let topic = full_name(&self.topic, &config.kafka.topic_prefix);
        let start = if self.from_beginning { Start::Beginning } else { Start::End };
        let stop = if self.until_end { Stop::End } else { Stop::Never };
        let mut reader = Reader::open(&config.kafka, &topic, self.partition, start, stop)?;
        let mut out = BufWriter::with_capacity(1 << 18, io::stdout().lock());
        match self.copy(&mut reader, &mut out).and_then(|()| Ok(out.flush()?)) {
            // The reader of our output has seen enough: `tickcast tail ... | head`.
            Err(error) if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe) => {
                Ok(())
            }
            result => result,
        }
    }

    fn copy(&self, reader: &mut Reader, out: &mut impl Write) -> anyhow::Result<()> {
        let mut left = self.max.unwrap_or(u64::MAX);
        // What is printed is flushed before anybody waits for more.
        let mut wait = Duration::ZERO;
        while left > 0 {
            match reader.next(wait)? {
                Event::Record(message) => {
                    write_record(&message, self.json, out)?;
                    left -= 1;
                    wait = Duration::ZERO;
                }
                Event::Finished => break,
                Event::Idle => {
                    out.flush()?;
                    wait = Duration::from_millis(200);
                }
            }
        }
        Ok(())
    }
}

/// `predictions` and `tickcast.predictions` are the same topic.
fn full_name(topic: &str, prefix: &str) -> String {
    if topic.starts_with(prefix) { topic.to_owned() } else { format!("{prefix}{topic}") }
}

fn write_record(message: &BorrowedMessage<'_>, json: bool, out: &mut impl Write) -> io::Result<()> {
    if !json {
        return write_plain(message, out);
    }
    let record = Record {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(Text),
        value: message.payload().map(Payload::new),
        headers: HeaderMap(message),
    };
    serde_json::to_writer(&mut *out, &record)?;
    out.write_all(b"\n")
}

fn write_plain(message: &BorrowedMessage<'_>, out: &mut impl Write) -> io::Result<()> {
    let text =
        |bytes: Option<&[u8]>| bytes.map_or("-".to_owned(), |b| String::from_utf8_lossy(b).escape_debug().to_string());
    write!(out, "{}:{} {}", message.partition(), message.offset(), text(message.key()))?;
    // Tabs and quotes may stand as they are; control characters must not reach a terminal.
    let value = message.payload().map_or(Cow::Borrowed("-"), String::from_utf8_lossy);
    if value.chars().any(char::is_control) {
        write!(out, " {}", value.escape_debug())?
    } else {
        write!(out, " {value}")?
    }
    for header in message.headers().iter().flat_map(|headers| headers.iter()) {
        write!(out, " {}={}", header.key, text(header.value))?;
    }
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct Record<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<Text<'a>>,
    value: Option<Payload<'a>>,
    headers: HeaderMap<'a>,
}

/// Bytes as a string where they are one, else as `{"base64": "..."}`.
struct Text<'a>(&'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(self.0) {
            return serializer.serialize_str(text);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("base64", &openssl::base64::encode_block(self.0))?;
        map.end()
    }
}

/// Bytes as the JSON that they are, digit for digit, else as [`Text`].
enum Payload<'a> {
    Json(Cow<'a, RawValue>),
    Text(Text<'a>),
}

impl<'a> Payload<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self::parse(bytes).map_or(Self::Text(Text(bytes)), Self::Json)
    }

    fn parse(bytes: &'a [u8]) -> Option<Cow<'a, RawValue>> {
        let text = std::str::from_utf8(bytes).ok()?;
        // Deep nesting is JSON, but many parsers that read our output refuse it: so does a full parse.
        if bytes.iter().filter(|b| matches!(b, b'[' | b'{')).count() > 100 {
            serde_json::from_str::<Value>(text).ok()?;
        }
        // Line ends in JSON stand between tokens only; one record is one line.
        if holds_line_end(bytes) {
            let line = text.replace(['\n', '\r'], " ");
            return RawValue::from_string(line.trim().to_owned()).ok().map(Cow::Owned);
        }
        serde_json::from_str::<&RawValue>(text).ok().map(Cow::Borrowed)
    }
}

fn holds_line_end(bytes: &[u8]) -> bool {
    bytes.iter().any(|b| matches!(b, b'\n' | b'\r'))
}

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(raw) => raw.serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
        }
    }
}

/// Headers as an object; of a repeated name the last one counts.
struct HeaderMap<'a>(&'a BorrowedMessage<'a>);

impl Serialize for HeaderMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all: Vec<_> = self.0.headers().map_or_else(Vec::new, |headers| headers.iter().collect());
        let last = all.iter().enumerate().filter(|(i, h)| all[i + 1..].iter().all(|later| later.key != h.key));
        let mut map = serializer.serialize_map(None)?;
        for (_, header) in last {
            map.serialize_entry(header.key, &header.value.map(Text))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(bytes: &[u8]) -> String {
        serde_json::to_string(&Payload::new(bytes)).unwrap()
    }

    #[test]
    fn short_names_get_the_prefix() {
        assert_eq!(full_name("bars", "tickcast."), "tickcast.bars");
        assert_eq!(full_name("tickcast.bars", "tickcast."), "tickcast.bars");
        assert_eq!(full_name("bars", ""), "bars");
    }

    #[test]
    fn json_stays_as_it_is() {
        assert_eq!(json(br#"{"price":61837.63000000,"a":[1e999]}"#), r#"{"price":61837.63000000,"a":[1e999]}"#);
        assert_eq!(json(b"{\n\"a\":\r\n1}\n"), r#"{ "a":  1}"#);
        assert_eq!(json(b"17"), "17");
    }

    #[test]
    fn what_is_not_json_is_text_or_base64() {
        assert_eq!(json(b"{\"a\":"), r#""{\"a\":""#);
        assert_eq!(json(b"a\nb"), r#""a\nb""#);
        assert_eq!(json(b""), r#""""#);
        assert_eq!(json(b"NaN"), r#""NaN""#);
        assert_eq!(json(&[0xff, 0x00, 0x10]), r#"{"base64":"/wAQ"}"#);
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert_eq!(json(deep.as_bytes()), format!("\"{deep}\""));
    }
}
