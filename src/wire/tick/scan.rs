//! The quick way through a tick: one pass over plain JSON, as nearly every producer writes it.
//!
//! Plain is: one flat object of known fields, each once, strings of ASCII without escapes, numbers without sign or exponent.
//! Anything else is left to serde, which also says what is wrong with it: where this gives a record, serde gives the same one.

use super::{Decimal, RawId, RawTick, Text};

/// Reads plain JSON; none for whatever is not plain, good or bad.
pub(super) fn plain(bytes: &[u8]) -> Option<RawTick<'_>> {
    let mut scan = Scan { bytes, at: 0 };
    let mut tick = RawTick::default();
    scan.space();
    scan.expect(b'{')?;
    loop {
        scan.space();
        let key = scan.string()?;
        scan.space();
        scan.expect(b':')?;
        scan.space();
        match key {
            b"symbol" => once(&mut tick.symbol, scan.text()?)?,
            b"price" => once(&mut tick.price, scan.decimal()?)?,
            b"size" => once(&mut tick.size, scan.decimal()?)?,
            b"side" => once(&mut tick.side, scan.text()?)?,
            b"trade_id" => once(&mut tick.trade_id, scan.id()?)?,
            b"event_time" => once(&mut tick.event_time, scan.time()?)?,
            // Not used, and written by our own producers.
            b"receive_time" => _ = scan.time()?,
            b"kind" => once(&mut tick.kind, scan.text()?)?,
            b"from" => once(&mut tick.from, scan.time()?)?,
            b"to" => once(&mut tick.to, scan.time()?)?,
            _ => return None,
        }
        scan.space();
        match scan.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    scan.space();
    (scan.at == bytes.len()).then_some(tick)
}

/// A field given twice is not plain.
fn once<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

/// Powers of ten that an f64 holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Digits of a decimal, with at most one point between them.
struct Digits<'a> {
    text: &'a [u8],
    /// All digits as one number, wrapped when there are more than 19.
    mantissa: u64,
    count: usize,
    /// Digits after the point; none when there is no point.
    fraction: Option<usize>,
}

impl Digits<'_> {
    /// The nearest f64.
    fn value(&self) -> Option<f64> {
        let fraction = self.fraction.unwrap_or(0);
        // Both are exact, so their quotient is rounded once (W. D. Clinger, How to Read Floating Point Numbers Accurately, 1990).
        if self.count <= 19 && self.mantissa <= 1 << 53 && fraction < POWERS.len() {
            return Some(self.mantissa as f64 / POWERS[fraction]);
        }
        std::str::from_utf8(self.text).ok()?.parse().ok()
    }

    /// A whole number below 10^18, which every integer type of a tick holds.
    fn whole(&self) -> Option<u64> {
        (self.fraction.is_none() && self.count <= 18).then_some(self.mantissa)
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The inside of a string of printable ASCII without escapes.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let inside = &self.bytes[self.at..];
        let len = plain_until_quote(inside)?;
        self.at += len + 1;
        Some(&inside[..len])
    }

    fn text(&mut self) -> Option<Text<'a>> {
        std::str::from_utf8(self.string()?).ok().map(|text| Text(text.into()))
    }

    /// A number, or a string that holds nothing but one.
    fn decimal(&mut self) -> Option<Decimal> {
        if self.peek()? != b'"' {
            return self.digits()?.value().map(Decimal);
        }
        let mut inside = Scan { bytes: self.string()?, at: 0 };
        let digits = inside.digits()?;
        if inside.at == inside.bytes.len() { digits.value().map(Decimal) } else { None }
    }

    fn id(&mut self) -> Option<RawId<'a>> {
        if self.peek()? == b'"' {
            return self.text().map(|text| RawId::Text(text.0));
        }
        self.digits()?.whole().map(RawId::Number)
    }

    fn time(&mut self) -> Option<i64> {
        self.digits()?.whole()?.try_into().ok()
    }

    fn digits(&mut self) -> Option<Digits<'a>> {
        let start = self.at;
        let (mut mantissa, mut count, mut fraction) = (0_u64, 0_usize, None);
        loop {
            match self.peek() {
                Some(digit @ b'0'..=b'9') => {
                    mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
                    count += 1;
                    fraction = fraction.map(|digits: usize| digits + 1);
                }
                Some(b'.') if fraction.is_none() && count > 0 => fraction = Some(0),
                // An exponent is neither `,` nor `}` nor the end of a string: whoever called refuses it.
                _ => break,
            }
            self.at += 1;
        }
        let text = &self.bytes[start..self.at];
        let leading_zero = text.len() > 1 && text[0] == b'0' && text[1] != b'.';
        (count > 0 && fraction != Some(0) && !leading_zero).then_some(Digits { text, mantissa, count, fraction })
    }
}

/// How many bytes come before the closing quote; none when one of them is an escape, a control character or not ASCII.
///
/// Eight bytes at a time: a subtraction borrows out of a byte that is searched for, so the lowest bit that is set is true,
/// and higher ones are not looked at.
fn plain_until_quote(bytes: &[u8]) -> Option<usize> {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = EACH << 7;
    let zero = |word: u64| word.wrapping_sub(EACH) & !word;
    let mut at = 0;
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        let quote = zero(word ^ (EACH * u64::from(b'"')));
        let escape = zero(word ^ (EACH * u64::from(b'\\')));
        let control = word.wrapping_sub(EACH * 0x20) & !word;
        let found = (quote | escape | control | word) & HIGH;
        if found != 0 {
            let place = found.trailing_zeros() as usize / 8;
            return (eight[place] == b'"').then_some(at + place);
        }
        at += 8;
    }
    let rest = &bytes[at..];
    let place = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || !(0x20..0x80).contains(&byte))?;
    (rest[place] == b'"').then_some(at + place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::dead_letter::Reason;
    use crate::wire::tick::decode_with_serde;

    /// A record is read in the quick way and by serde; what the quick way leaves is not looked at.
    fn agrees(bytes: &[u8]) -> Result<bool, TestCaseError> {
        let Some(tick) = plain(bytes) else { return Ok(false) };
        let quick = tick.into_record().and_then(|record| record.check().map(|()| record));
        prop_assert_eq!(quick, decode_with_serde(bytes), "{}", String::from_utf8_lossy(bytes));
        Ok(true)
    }

    #[test]
    fn what_producers_write_is_plain() {
        let records = [
            r#"{"symbol":"BTC-USDT.SPOT","price":64123.45,"size":0.00012,"side":"buy","trade_id":"17","event_time":1723161240000000}"#,
            r#"{"symbol": "A", "price": "0.1", "size": 2, "trade_id": 17, "event_time": 1723161240000000, "receive_time": 1}"#,
            r#"{"kind":"watermark","event_time":1723161240000000}"#,
            " {\"kind\":\"gap\",\"symbol\":\"A\",\"from\":1723161240000000,\"to\":1723161240000000}\n",
        ];
        for record in records {
            assert!(agrees(record.as_bytes()).unwrap(), "{record}");
            assert!(decode_with_serde(record.as_bytes()).is_ok(), "{record}");
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_serde() {
        for field in [
            r#""x":1"#,
            r#""size":2"#,
            r#""side":null"#,
            r#""side":"\u0062uy""#,
            r#""side":"ä""#,
            "\"side\":\"a\nb\"",
            r#""trade_id":-1"#,
            r#""trade_id":1.0"#,
            r#""trade_id":12345678901234567890"#,
        ] {
            let record = format!(r#"{{"symbol":"A","price":1.5,"size":1,"event_time":1723161240000000,{field}}}"#);
            assert!(plain(record.as_bytes()).is_none(), "{record}");
        }
        for price in
            ["01", "1.", ".5", "1e3", "-1", "+1", "1.2.3", "\"1e3\"", "\" 1\"", "\"\"", "NaN", "true", "[1]", "", "1 2"]
        {
            let record = format!(r#"{{"price":{price}}}"#);
            assert!(plain(record.as_bytes()).is_none(), "{record}");
        }
        for record in [
            "",
            "{",
            "{}",
            "[]",
            r#"{"price":1"#,
            r#"{"price":1,}"#,
            r#"{"price":1}}"#,
            r#"{"price" 1}"#,
            r#"{"symbol":"A"#,
        ] {
            assert!(plain(record.as_bytes()).is_none(), "{record}");
        }
    }

    #[test]
    fn a_string_ends_at_its_first_quote() {
        for len in 0..40 {
            for (end, expected) in [("\"", Some(len)), ("\\\"", None), ("\u{1f}\"", None), ("ä\"", None), ("", None)] {
                let text = format!("{}{end}{}", "!".repeat(len), "#\"\\\u{1}".repeat(3));
                let text = if end.is_empty() { "!".repeat(len) } else { text };
                assert_eq!(plain_until_quote(text.as_bytes()), expected, "{text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_serde_on_decimals(number in r"(0|[1-9][0-9]{0,24})(\.[0-9]{1,30})?", quoted in any::<bool>()) {
            let price = if quoted { format!("\"{number}\"") } else { number };
            let record = format!(r#"{{"symbol":"A","price":{price},"size":1,"event_time":1723161240000000}}"#);
            prop_assert!(agrees(record.as_bytes())?);
        }

        #[test]
        fn agrees_with_serde_on_damaged_records(
            symbol in "[A-Z.-]{1,12}", price in 0.0001_f64..1e6, size in 1_u64..1_000_000, id in any::<u64>(), text in any::<bool>(),
            time in 1_600_000_000_000_000_i64..1_800_000_000_000_000, spaced in any::<bool>(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), 0_u8..3, any::<u8>()), 0..4),
        ) {
            let id = if text { format!("\"{id}\"") } else { id.to_string() };
            let mut record = format!(r#"{{"symbol":"{symbol}","price":{price},"size":"{size}","side":"sell","trade_id":{id},"event_time":{time}}}"#);
            if spaced {
                record = record.replace(':', ": ").replace(',', ", ");
            }
            let mut bytes = record.into_bytes();
            for (place, how, byte) in damage {
                let place = place.index(bytes.len());
                // Half of the bytes are ones that mean something in JSON.
                let byte = if byte < 128 { b"\"\\{}[]:,.0123456789eE+-nt "[usize::from(byte) % 26] } else { byte };
                match how {
                    0 => bytes[place] = byte,
                    1 => bytes.insert(place, byte),
                    _ => _ = bytes.remove(place),
                }
            }
            agrees(&bytes)?;
        }
    }

    #[test]
    fn a_bad_value_keeps_its_reason() {
        let record = br#"{"symbol":"A","price":0,"size":1,"event_time":1723161240000000}"#;
        assert!(agrees(record).unwrap());
        assert_eq!(super::super::decode(Some(record), 1_000), Err(Reason::BadPrice));
    }
}
