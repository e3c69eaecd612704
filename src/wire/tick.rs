//! JSON of what comes in: trades, gaps and watermarks.
//!
//! A good record is read in one pass without copying: a plain one by [`scan`], any other by serde. Only a bad one is read
//! again, to say what is wrong with it.

mod scan;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::flow::dead_letter::Reason;
use crate::flow::tick::{Gap, Record, Side, Trade, TradeId};
use crate::flow::time::Micros;

/// Decodes and checks one record of the `ticks` topic.
///
/// # Errors
/// Why it belongs to the dead letters.
pub fn decode(bytes: Option<&[u8]>, max_bytes: usize) -> Result<Record<'_>, Reason> {
    let bytes = bytes.ok_or(Reason::Tombstone)?;
    if bytes.len() > max_bytes {
        return Err(Reason::Oversized);
    }
    let Some(raw) = scan::plain(bytes) else { return decode_with_serde(bytes) };
    let record = raw.into_record()?;
    record.check()?;
    Ok(record)
}

/// [`decode`] for whatever is JSON, and for what is not.
fn decode_with_serde(bytes: &[u8]) -> Result<Record<'_>, Reason> {
    // serde passes over the texts of fields that are not ours as they are.
    if std::str::from_utf8(bytes).is_err() {
        return Err(Reason::Malformed);
    }
    // It would take an array for a struct as well.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Reason::Malformed);
    }
    let raw: RawTick<'_> = serde_json::from_slice(bytes).map_err(|_| diagnose(bytes))?;
    let record = raw.into_record()?;
    record.check()?;
    Ok(record)
}

#[derive(Default, Deserialize)]
struct RawTick<'a> {
    #[serde(borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    symbol: Option<Text<'a>>,
    #[serde(default)]
    price: Option<Decimal>,
    #[serde(default)]
    size: Option<Decimal>,
    #[serde(borrow, default)]
    side: Option<Text<'a>>,
    #[serde(borrow, default)]
    trade_id: Option<RawId<'a>>,
    #[serde(default)]
    event_time: Option<Micros>,
    #[serde(default)]
    from: Option<Micros>,
    #[serde(default)]
    to: Option<Micros>,
}

impl<'a> RawTick<'a> {
    fn into_record(self) -> Result<Record<'a>, Reason> {
        let missing = Reason::MissingField;
        match self.kind.as_ref().map_or("trade", |kind| kind.0.as_ref()) {
            "trade" => Ok(Record::Trade(Trade {
                symbol: self.symbol.ok_or(missing)?.0,
                price: self.price.ok_or(missing)?.0,
                size: self.size.ok_or(missing)?.0,
                side: self.side.map_or(Ok(Side::Unknown), |side| Side::parse(&side.0))?,
                trade_id: match self.trade_id {
                    None => None,
                    Some(RawId::Number(number)) => Some(TradeId::Number(number)),
                    // An empty id is how a CSV or a careless producer says that there is none.
                    Some(RawId::Text(text)) if text.is_empty() => None,
                    Some(RawId::Text(text)) => Some(TradeId::parse(text)?),
                },
                event_time: self.event_time.ok_or(missing)?,
            })),
            "gap" => Ok(Record::Gap(Gap {
                symbol: self.symbol.ok_or(missing)?.0,
                from: self.from.ok_or(missing)?,
                to: self.to.ok_or(missing)?,
            })),
            "watermark" => Ok(Record::Watermark(self.event_time.ok_or(missing)?)),
            _ => Err(Reason::BadKind),
        }
    }
}

/// Says what keeps `bytes` from being a [`RawTick`].
fn diagnose(bytes: &[u8]) -> Reason {
    // As raw text: a number that no f64 holds is JSON all the same.
    let Ok(fields) = serde_json::from_slice::<HashMap<String, &RawValue>>(bytes) else { return Reason::Malformed };
    let given = |name: &str| fields.get(name).map(|value| value.get()).filter(|&value| value != "null");
    let is_text = |value: &str| value.starts_with('"');
    let is_number = |value: &str| value.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let decimal = |value: &str| is_number(value) || is_text(value);
    let is_finite = |value: &str| value.parse().is_ok_and(f64::is_finite);
    if ["kind", "symbol", "side"].into_iter().filter_map(given).any(|value| !is_text(value))
        || ["price", "size", "trade_id"].into_iter().filter_map(given).any(|value| !decimal(value))
    {
        return Reason::WrongType;
    }
    for time in ["event_time", "from", "to"].into_iter().filter_map(given) {
        match time.parse::<i64>() {
            Ok(_) => {}
            // A whole number that does not fit 64 bits is a time all the same, an absurd one.
            Err(_) if is_number(time) && time.parse().is_ok_and(|time: f64| time.abs() > 9e18) => {
                return Reason::BadTime;
            }
            Err(_) => return Reason::WrongType,
        }
    }
    if given("trade_id").is_some_and(|id| !is_text(id) && id.parse::<u64>().is_err()) {
        return Reason::BadTradeId;
    }
    for (name, reason) in [("price", Reason::BadPrice), ("size", Reason::BadSize)] {
        if given(name).is_some_and(|value| is_number(value) && !is_finite(value)) {
            return reason;
        }
    }
    // A field given twice, which one is meant nobody knows; or half a character in a text.
    Reason::Malformed
}

/// Borrowed where the JSON text holds no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// A JSON number, or a string that holds one; what cannot be read is NaN, which the range check refuses.
struct Decimal(f64);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DecimalVisitor;
        impl Visitor<'_> for DecimalVisitor {
            type Value = Decimal;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a string that holds one")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Decimal, E> {
                Ok(Decimal(value))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Decimal, E> {
                Ok(Decimal(value as f64))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Decimal, E> {
                Ok(Decimal(value as f64))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
                Ok(Decimal(text.parse().unwrap_or(f64::NAN)))
            }
        }
        deserializer.deserialize_any(DecimalVisitor)
    }
}

enum RawId<'a> {
    Number(u64),
    Text(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for RawId<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl<'de> Visitor<'de> for IdVisitor {
            type Value = RawId<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a whole number")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<RawId<'de>, E> {
                Ok(RawId::Number(value))
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<RawId<'de>, E> {
                Ok(RawId::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawId<'de>, E> {
                Ok(RawId::Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_any(IdVisitor)
    }
}

/// A trade as our own producers write it.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs, reason = "the fields are those of `Trade`")]
pub struct TradeRecord<'a> {
    pub symbol: &'a str,
    /// Written as it was read, digit for digit.
    pub price: &'a RawValue,
    pub size: &'a RawValue,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub side: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub trade_id: &'a str,
    pub event_time: Micros,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_time: Option<Micros>,
}

/// A watermark as our own producers write it.
pub fn encode_watermark(time: Micros) -> Vec<u8> {
    format!(r#"{{"kind":"watermark","event_time":{time}}}"#).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: i64 = 1_723_161_240_000_000;

    fn reason(json: &str) -> Reason {
        decode(Some(json.as_bytes()), 1_000).unwrap_err()
    }

    fn with(field: &str) -> String {
        // The field under test comes first; the good ones that it names are left out.
        let name = field.split('"').nth(1).unwrap();
        let good = [
            ("symbol", r#""symbol":"A""#.to_owned()),
            ("price", r#""price":1.5"#.to_owned()),
            ("size", r#""size":"2""#.to_owned()),
            ("event_time", format!(r#""event_time":{TIME}"#)),
        ];
        let rest: Vec<_> = good.iter().filter(|(n, _)| *n != name).map(|(_, f)| f.as_str()).collect();
        format!("{{{field},{}}}", rest.join(","))
    }

    #[test]
    fn a_trade() {
        let json = format!(
            r#"{{"symbol":"A","price":"0.1","size":2,"side":"sell","trade_id":"17","event_time":{TIME},"receive_time":1,"extra":[]}}"#
        );
        let trade = Trade {
            symbol: "A".into(),
            price: 0.1,
            size: 2.0,
            side: Side::Sell,
            trade_id: Some(TradeId::Number(17)),
            event_time: TIME,
        };
        assert_eq!(decode(Some(json.as_bytes()), 1_000), Ok(Record::Trade(trade)));
    }

    #[test]
    fn a_gap_and_a_watermark() {
        let gap = format!(r#"{{"kind":"gap","symbol":"A","from":{TIME},"to":{TIME}}}"#);
        assert!(matches!(decode(Some(gap.as_bytes()), 1_000), Ok(Record::Gap(_))));
        assert_eq!(decode(Some(&encode_watermark(TIME)), 1_000), Ok(Record::Watermark(TIME)));
    }

    #[test]
    fn every_bad_record_has_its_reason() {
        assert_eq!(decode(None, 1_000), Err(Reason::Tombstone));
        assert_eq!(decode(Some(&[b' '; 1_001]), 1_000), Err(Reason::Oversized));
        for json in ["", "{", "[]", "17", "null", "\"x\"", "{\"price\":NaN}", "\u{0}", "{\"symbol\":\"\\ud800\"}"] {
            assert_eq!(reason(json), Reason::Malformed, "{json}");
        }
        assert_eq!(decode(Some(b"{\"symbol\":\"\xff\"}"), 1_000), Err(Reason::Malformed));
        assert_eq!(decode(Some(b"{\"junk\":\"\xff\"}"), 1_000), Err(Reason::Malformed));
        assert_eq!(reason("{}"), Reason::MissingField);
        let cases = [
            (r#""price":true"#, Reason::WrongType),
            (r#""price":[1]"#, Reason::WrongType),
            (r#""symbol":5"#, Reason::WrongType),
            (r#""event_time":"1723161240000000""#, Reason::WrongType),
            (r#""event_time":1.5"#, Reason::WrongType),
            (r#""price":null"#, Reason::MissingField),
            (r#""kind":"quote""#, Reason::BadKind),
            (r#""symbol":"a b""#, Reason::BadSymbol),
            (r#""symbol":"""#, Reason::BadSymbol),
            (r#""price":-1"#, Reason::BadPrice),
            (r#""price":"NaN""#, Reason::BadPrice),
            (r#""price":"abc""#, Reason::BadPrice),
            (r#""price":"inf""#, Reason::BadPrice),
            (r#""price":1e400"#, Reason::BadPrice),
            (r#""price":-1e400"#, Reason::BadPrice),
            (r#""size":0"#, Reason::BadSize),
            (r#""size":1e400"#, Reason::BadSize),
            (r#""size":"1e400""#, Reason::BadSize),
            (r#""side":"BUY""#, Reason::BadSide),
            (r#""event_time":0"#, Reason::BadTime),
            (r#""event_time":1723161240000"#, Reason::BadTime),
            (r#""event_time":1723161240000000000"#, Reason::BadTime),
            (r#""event_time":18446744073709551615"#, Reason::BadTime),
            (r#""event_time":99999999999999999999999"#, Reason::BadTime),
            (r#""event_time":1e400"#, Reason::BadTime),
            (r#""event_time":true"#, Reason::WrongType),
            (r#""trade_id":1e400"#, Reason::BadTradeId),
            (r#""trade_id":-5"#, Reason::BadTradeId),
        ];
        for (field, expected) in cases {
            assert_eq!(reason(&with(field)), expected, "{field}");
        }
        assert_eq!(reason(&format!(r#"{{"price":1,{}"#, &with(r#""price":2"#)[1..])), Reason::Malformed);
    }

    #[test]
    fn absent_and_empty_sides_are_unknown() {
        for field in [r#""side":"""#, r#""side":null"#, r#""trade_id":"""#] {
            let json = with(field);
            let Ok(Record::Trade(trade)) = decode(Some(json.as_bytes()), 1_000) else { panic!("{field}") };
            assert_eq!((trade.side, trade.trade_id), (Side::Unknown, None));
        }
    }
}
