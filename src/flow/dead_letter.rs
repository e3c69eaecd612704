//! Why an input record could not be used. The list is part of the contract: `schemas/kafka/deadletter.schema.json`.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, decodable: $decodable:literal;)*) => {
        /// Why a record went to the dead letters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// Every reason, in the order of the schema.
            pub const ALL: &[Reason] = &[$(Reason::$variant),*];

            /// Its name in the `reason` header.
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $name),* }
            }

            /// Whether the record itself was understood (it only came too late, or for a name that is not wanted). Only records
            /// that were not count towards `forecast.max_bad_ratio`.
            pub const fn is_decodable(self) -> bool {
                match self { $(Reason::$variant => $decodable),* }
            }
        }
    };
}

reasons! {
    /// A record without a value.
    Tombstone => "tombstone", decodable: false;
    /// A value longer than `forecast.max_record_bytes`.
    Oversized => "oversized", decodable: false;
    /// Not JSON (a bare `NaN` or `Infinity` is not), not UTF-8, or not an object.
    Malformed => "malformed", decodable: false;
    /// A field holds another JSON type than it should.
    WrongType => "wrong_type", decodable: false;
    /// A required field is absent or null.
    MissingField => "missing_field", decodable: false;
    /// `kind` is none of `trade`, `gap` and `watermark`.
    BadKind => "bad_kind", decodable: false;
    /// `symbol` holds other characters than letters, digits and `.-_/:`, or is empty or too long.
    BadSymbol => "bad_symbol", decodable: false;
    /// `price` is not a finite number above 0.
    BadPrice => "bad_price", decodable: false;
    /// `size` is not a finite number above 0.
    BadSize => "bad_size", decodable: false;
    /// `side` is none of `buy`, `sell` and `unknown`.
    BadSide => "bad_side", decodable: false;
    /// A time outside the years 1990 to 2199 (another unit than microseconds?), or a gap that ends before it begins.
    BadTime => "bad_time", decodable: false;
    /// `trade_id` is longer than 64 bytes.
    BadTradeId => "bad_trade_id", decodable: false;
    /// A symbol that is not among the configured assets.
    UnknownSymbol => "unknown_symbol", decodable: true;
    /// A trade, gap or watermark further ahead of its Kafka timestamp than `bars.max_future_skew`.
    Future => "future", decodable: true;
    /// A trade whose bar had already been closed by the watermark, or a gap that touches closed bars only.
    Late => "late", decodable: true;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
