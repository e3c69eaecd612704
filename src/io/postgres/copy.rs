//! Rows as PostgreSQL's binary COPY format holds them: what a statement per batch costs the server is left out.
//!
//! Not here: which table, and what is done when a key is there already ([`super::write`]).

use bytes::{BufMut, Bytes, BytesMut};
use tokio_postgres::types::Type;

use super::columns::{Column, Kind, SEPARATOR};
use super::rows::Rows;

/// Bytes handed to the driver at a time.
const PIECE: usize = 256 * 1024;

/// What every stream begins with: the signature, no flags, no extension.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// `rows` in pieces, the whole of which is one stream for `COPY ... FROM STDIN (FORMAT binary)`.
pub fn pieces(rows: &Rows) -> impl Iterator<Item = Bytes> {
    let mut columns: Vec<(Kind, &[u8])> = rows.columns().iter().map(Column::elements).collect();
    let (mut left, mut state) = (rows.len(), Some(BytesMut::from(&HEADER[..])));
    std::iter::from_fn(move || {
        let mut piece = state.take()?;
        while left > 0 && piece.len() < PIECE {
            left -= 1;
            piece.put_i16(columns.len() as i16);
            columns.iter_mut().for_each(|(kind, elements)| field(*kind, elements, &mut piece));
        }
        if left > 0 {
            state = Some(BytesMut::with_capacity(PIECE + PIECE / 8));
        } else {
            piece.put_i16(-1);
        }
        Some(piece.freeze())
    })
}

/// Moves the first of `elements`, which are length and bytes as a field's are, to the row.
fn field(kind: Kind, elements: &mut &[u8], row: &mut BytesMut) {
    let (head, _) = elements.split_first_chunk::<4>().expect("every column has a value for every row");
    let length = usize::try_from(i32::from_be_bytes(*head)).unwrap_or(0);
    let (element, rest) = elements.split_at(4 + length);
    *elements = rest;
    match kind {
        Kind::Texts => array(&element[4..], row),
        _ => row.put_slice(element),
    }
}

/// Texts that were joined by [`SEPARATOR`], as a `text[]`.
fn array(joined: &[u8], row: &mut BytesMut) {
    let parts = || joined.split(|byte| *byte == SEPARATOR as u8).filter(|_| !joined.is_empty());
    let bytes: usize = parts().map(|part| 4 + part.len()).sum();
    let count = parts().count() as i32;
    let dimensions = i32::from(count > 0);
    row.put_i32(12 + 8 * dimensions + bytes as i32);
    row.put_i32(dimensions);
    row.put_i32(0);
    row.put_u32(Type::TEXT.oid());
    if count > 0 {
        row.put_i32(count);
        row.put_i32(1);
    }
    for part in parts() {
        row.put_i32(part.len() as i32);
        row.put_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::types::FromSql;

    use super::*;

    #[test]
    fn the_driver_reads_the_arrays() {
        for texts in [&["warming_up", "stale"][..], &["silent"], &[]] {
            let mut row = BytesMut::new();
            array(texts.join("\u{1f}").as_bytes(), &mut row);
            assert_eq!(row.len(), 4 + i32::from_be_bytes(row[..4].try_into().unwrap()) as usize);
            assert_eq!(Vec::<String>::from_sql(&Type::TEXT_ARRAY, &row[4..]).unwrap(), texts);
        }
    }

    #[test]
    fn pieces_are_cut_between_rows_and_end_the_stream() {
        let mut rows = Rows::new(&crate::io::postgres::tables::BARS);
        for n in 0..5_000_i64 {
            rows.push(n, n as u128, |columns| {
                for (index, column) in columns.iter_mut().enumerate() {
                    match index {
                        0 | 1 => column.text("symbol"),
                        2 | 3 | 10 | 15 => column.int8(n),
                        13 | 14 => column.bool(true),
                        _ => column.float8(1.0),
                    }
                }
            });
        }
        let pieces: Vec<Bytes> = pieces(&rows).collect();
        assert!(pieces.len() > 1);
        let whole = pieces.concat();
        let row = 2 + 2 * (4 + 6) + 12 * (4 + 8) + 2 * (4 + 1);
        assert_eq!(whole.len(), HEADER.len() + 5_000 * row + 2);
        assert_eq!(whole[HEADER.len()..][..2], 16_i16.to_be_bytes());
        assert_eq!(whole[whole.len() - 2..], (-1_i16).to_be_bytes());
    }
}
