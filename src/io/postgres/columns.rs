//! Columns of rows on their way into one statement: contiguous values, sent as one binary array each.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `text`
    Text,
    /// `text[]`, sent as one text whose parts are separated by [`SEPARATOR`].
    Texts,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `boolean`
    Bool,
    /// `jsonb`
    Json,
}

/// What PostgreSQL's binary `jsonb` begins with; the rest is the text.
const JSONB_VERSION: u8 = 1;

/// Separates the parts of a [`Kind::Texts`]; no part may hold it.
pub const SEPARATOR: char = '\u{1f}';

impl Kind {
    /// The array's type as SQL writes it.
    pub const fn array(self) -> &'static str {
        match self {
            Self::Text | Self::Texts => "text[]",
            Self::Int4 => "int4[]",
            Self::Int8 => "int8[]",
            Self::Float4 => "float4[]",
            Self::Float8 => "float8[]",
            Self::Bool => "bool[]",
            Self::Json => "jsonb[]",
        }
    }

    const fn array_type(self) -> Type {
        match self {
            Self::Text | Self::Texts => Type::TEXT_ARRAY,
            Self::Int4 => Type::INT4_ARRAY,
            Self::Int8 => Type::INT8_ARRAY,
            Self::Float4 => Type::FLOAT4_ARRAY,
            Self::Float8 => Type::FLOAT8_ARRAY,
            Self::Bool => Type::BOOL_ARRAY,
            Self::Json => Type::JSONB_ARRAY,
        }
    }

    const fn element_type(self) -> Type {
        match self {
            Self::Text | Self::Texts => Type::TEXT,
            Self::Int4 => Type::INT4,
            Self::Int8 => Type::INT8,
            Self::Float4 => Type::FLOAT4,
            Self::Float8 => Type::FLOAT8,
            Self::Bool => Type::BOOL,
            Self::Json => Type::JSONB,
        }
    }
}

/// The values of one column, already as PostgreSQL's binary array holds them: a length and the bytes of each, big-endian.
#[derive(Debug)]
pub struct Column {
    kind: Kind,
    count: usize,
    nulls: bool,
    elements: BytesMut,
}

impl Column {
    /// An empty one.
    pub fn new(kind: Kind) -> Self {
        Self { kind, count: 0, nulls: false, elements: BytesMut::new() }
    }

    /// The array's type.
    pub fn array_type(&self) -> Type {
        self.kind.array_type()
    }

    /// Its kind, and its values: a length and the bytes of each; the length of a null is -1.
    pub fn elements(&self) -> (Kind, &[u8]) {
        (self.kind, &self.elements)
    }

    /// Forgets the values and keeps the memory.
    pub fn clear(&mut self) {
        self.count = 0;
        self.nulls = false;
        self.elements.clear();
    }

    fn begin(&mut self, kind: Kind, length: i32) {
        debug_assert_eq!(self.kind, kind, "a value of another type than the column's");
        self.count += 1;
        self.elements.put_i32(length);
    }

    /// Adds a null.
    pub fn null(&mut self) {
        self.count += 1;
        self.nulls = true;
        self.elements.put_i32(-1);
    }

    /// Adds a text; its length is bounded by the caller, and it holds no NUL: PostgreSQL has none.
    pub fn text(&mut self, value: &str) {
        self.begin(Kind::Text, value.len() as i32);
        self.elements.put_slice(value.as_bytes());
    }

    /// Adds a text as [`Column::text`] does, or null.
    pub fn text_or_null(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    /// Adds JSON, or null; its length is bounded by the caller, and no text in it holds a NUL.
    pub fn json(&mut self, value: Option<&str>) {
        let Some(value) = value else { return self.null() };
        self.begin(Kind::Json, value.len() as i32 + 1);
        self.elements.put_u8(JSONB_VERSION);
        self.elements.put_slice(value.as_bytes());
    }

    /// Adds texts as one value.
    pub fn texts<'a>(&mut self, values: impl Iterator<Item = &'a str> + Clone) {
        let length = values.clone().map(|value| value.len() + 1).sum::<usize>().saturating_sub(1);
        self.begin(Kind::Texts, length as i32);
        for (index, value) in values.enumerate() {
            if index > 0 {
                self.elements.put_u8(SEPARATOR as u8);
            }
            self.elements.put_slice(value.as_bytes());
        }
    }

    /// Adds an integer, or null.
    pub fn int4(&mut self, value: impl Into<Option<i32>>) {
        let Some(value) = value.into() else { return self.null() };
        self.begin(Kind::Int4, 4);
        self.elements.put_i32(value);
    }

    /// Adds an integer, or null.
    pub fn int8(&mut self, value: impl Into<Option<i64>>) {
        let Some(value) = value.into() else { return self.null() };
        self.begin(Kind::Int8, 8);
        self.elements.put_i64(value);
    }

    /// Adds a number, or null.
    pub fn float4(&mut self, value: impl Into<Option<f32>>) {
        let Some(value) = value.into() else { return self.null() };
        self.begin(Kind::Float4, 4);
        self.elements.put_f32(value);
    }

    /// Adds a number, or null.
    pub fn float8(&mut self, value: impl Into<Option<f64>>) {
        let Some(value) = value.into() else { return self.null() };
        self.begin(Kind::Float8, 8);
        self.elements.put_f64(value);
    }

    /// Adds a truth, or null.
    pub fn bool(&mut self, value: impl Into<Option<bool>>) {
        let Some(value) = value.into() else { return self.null() };
        self.begin(Kind::Bool, 1);
        self.elements.put_u8(value.into());
    }
}

impl ToSql for Column {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.reserve(self.elements.len() + 20);
        out.put_i32(if self.count == 0 { 0 } else { 1 });
        out.put_i32(self.nulls.into());
        out.put_u32(self.kind.element_type().oid());
        if self.count > 0 {
            out.put_i32(i32::try_from(self.count)?);
            out.put_i32(1);
            out.put_slice(&self.elements);
        }
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        [Kind::Text, Kind::Int4, Kind::Int8, Kind::Float4, Kind::Float8, Kind::Bool, Kind::Json]
            .iter()
            .any(|kind| kind.array_type() == *ty)
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use tokio_postgres::types::FromSql;

    use super::*;

    fn sent(column: &Column) -> BytesMut {
        let mut out = BytesMut::new();
        column.to_sql(&column.array_type(), &mut out).unwrap();
        out
    }

    #[test]
    fn the_driver_reads_what_is_written() {
        let mut column = Column::new(Kind::Text);
        column.text("a");
        column.null();
        column.text("");
        let texts = Vec::<Option<String>>::from_sql(&Type::TEXT_ARRAY, &sent(&column)).unwrap();
        assert_eq!(texts, [Some("a".to_owned()), None, Some(String::new())]);

        let mut column = Column::new(Kind::Texts);
        column.texts(["x", "yz"].into_iter());
        column.texts([].into_iter());
        assert_eq!(Vec::<String>::from_sql(&Type::TEXT_ARRAY, &sent(&column)).unwrap(), ["x\u{1f}yz", ""]);

        let mut column = Column::new(Kind::Json);
        column.json(Some(r#"{"n":1}"#));
        column.json(None);
        let sent_json = sent(&column);
        assert!(sent_json.windows(8).any(|bytes| bytes == b"\x01{\"n\":1}"), "a version, then the text");

        let mut column = Column::new(Kind::Float8);
        assert!(Vec::<f64>::from_sql(&Type::FLOAT8_ARRAY, &sent(&column)).unwrap().is_empty());
        column.float8(-1.5);
        assert_eq!(Vec::<f64>::from_sql(&Type::FLOAT8_ARRAY, &sent(&column)).unwrap(), [-1.5]);
        column.clear();
        column.float8(2.5);
        assert_eq!(Vec::<f64>::from_sql(&Type::FLOAT8_ARRAY, &sent(&column)).unwrap(), [2.5]);
    }
}
