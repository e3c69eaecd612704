//! Which trace a record belongs to: the `traceparent` of the W3C Trace Context, version 00.
//!
//! Parsed strictly: a context that is not well formed is none. `tracestate` is not carried. Spans are not made here
//! ([`crate::telemetry`]).

use std::fmt;
use std::str::FromStr;

/// Name of the Kafka header.
pub const TRACEPARENT: &str = "traceparent";

/// A position in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; never 0.
    pub trace_id: u128,
    /// The span that the record comes from; never 0.
    pub span_id: u64,
    /// Its flags: bit 0 says that it is sampled. The others are passed on as they came.
    pub flags: u8,
}

/// Not a `traceparent` of version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTraceparent;

impl FromStr for TraceContext {
    type Err = BadTraceparent;

    /// Reads `00-<32 digits>-<16 digits>-<2 digits>`, lower case, ids not 0.
    fn from_str(text: &str) -> Result<Self, BadTraceparent> {
        let mut fields = text.split('-');
        let mut field = |length: usize| {
            let field = fields.next().filter(|field| field.len() == length).ok_or(BadTraceparent)?;
            // `from_str_radix` takes signs and capitals as well.
            let strict = field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if strict { u128::from_str_radix(field, 16).map_err(|_| BadTraceparent) } else { Err(BadTraceparent) }
        };
        let (version, trace_id, span_id, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        if fields.next().is_some() || version != 0 || trace_id == 0 || span_id == 0 {
            return Err(BadTraceparent);
        }
        let span_id = u64::try_from(span_id).map_err(|_| BadTraceparent)?;
        let flags = u8::try_from(flags).map_err(|_| BadTraceparent)?;
        Ok(Self { trace_id, span_id, flags })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_well_formed_comes_back() {
        let context: TraceContext = GOOD.parse().unwrap();
        assert_eq!(context.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((context.span_id, context.flags), (0xb7ad_6b71_6920_3331, 1));
        assert_eq!(context.to_string(), GOOD);
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        let zeros = |text: &str| text.replace(|c: char| c != '-', "0");
        let bad = [
            String::new(),
            zeros(GOOD),
            GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            GOOD.to_uppercase(),
            GOOD.replacen("00-", "01-", 1),
            GOOD.replacen("00-", "ff-", 1),
            GOOD.replacen("00-0a", "00-+a", 1),
            format!("{GOOD}-00"),
            format!("{GOOD} "),
            format!(" {GOOD}"),
            GOOD[..GOOD.len() - 1].to_owned(),
            GOOD.replace('-', "_"),
            GOOD.replacen("00-0af7", "0-00af7", 1),
            GOOD.replace('7', "é"),
        ];
        for text in bad {
            assert_eq!(text.parse::<TraceContext>(), Err(BadTraceparent), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_context_comes_back(trace_id in 1_u128.., span_id in 1_u64.., flags: u8) {
            let context = TraceContext { trace_id, span_id, flags };
            let text = context.to_string();
            prop_assert_eq!(text.len(), 55);
            prop_assert_eq!(text.parse::<TraceContext>(), Ok(context));
        }

        /// Whatever is taken is written again as it was: there is one text for a context.
        #[test]
        fn nothing_else_is_taken(text in "[0-9a-fA-F+ -]{50,60}|.{0,60}") {
            if let Ok(context) = text.parse::<TraceContext>() {
                prop_assert_eq!(context.to_string(), text);
            }
        }

        /// The same of what is nearly one.
        #[test]
        fn one_wrong_character(place in 0_usize..55, put in any::<char>()) {
            let text: String =
                GOOD.chars().enumerate().map(|(index, c)| if index == place { put } else { c }).collect();
            if let Ok(context) = text.parse::<TraceContext>() {
                prop_assert_eq!(context.to_string(), text);
            }
        }
    }
}
