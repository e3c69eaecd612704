//! The rolling bar columns of all symbols of one partition, and the view of them that feature SQL reads.
//!
//! Each column is one contiguous `Vec<f64>` for all symbols. A symbol has a slot of `stride` values in each; its bars are
//! appended until the slot is full, then the last `capacity - 1` move to its front (amortised over the slack, at most 64
//! bars). A window is therefore a row of a [`ListViewArray`] into the column: [`Windows::view`] lends the vectors to Arrow
//! and takes them back, and no bar is copied. Rows may overlap: the same view serves the live cycle (one row a symbol), the
//! restore (`sequence` rows a symbol) and the training set (one row a bar).
//!
//! Not here: what is computed from a window ([`super::indicator`], [`super::features`]).

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, ListViewArray, RecordBatch, StringArray};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::bar::Bar;
use super::time::Micros;

/// The bar's columns in the view `window`, in order, after `symbol` and `close_time`.
pub const COLUMNS: [&str; 9] =
    ["open", "high", "low", "close", "volume", "vwap", "trades", "buy_volume", "sell_volume"];

/// Most bars of slack in a slot.
const MAX_SLACK: usize = 64;

static ITEM: LazyLock<FieldRef> = LazyLock::new(|| Arc::new(Field::new_list_field(DataType::Float64, false)));

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields =
        vec![Field::new("symbol", DataType::Utf8, false), Field::new("close_time", DataType::Int64, false)];
    fields.extend(COLUMNS.map(|name| Field::new(name, DataType::ListView(ITEM.clone()), false)));
    Arc::new(Schema::new(fields))
});

/// The schema of the view `window`: `symbol` Utf8, `close_time` Int64 (microseconds), and [`COLUMNS`] as
/// `ListView<Float64>`, the oldest bar first.
pub fn schema() -> SchemaRef {
    SCHEMA.clone()
}

/// A symbol's place in [`Windows`]; valid from [`Windows::insert`] to [`Windows::remove`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(u32);

/// One row of a view: the last `window` bars that end `back` bars before the newest. Fewer where the symbol has fewer.
#[derive(Clone, Copy, Debug)]
pub struct WindowRow<'a> {
    /// Whose bars.
    pub slot: Slot,
    /// How many of the newest bars to leave out.
    pub back: usize,
    /// The column `symbol`.
    pub symbol: &'a str,
    /// The column `close_time`: the end of the row's last bar.
    pub close_time: Micros,
}

/// Why a view could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// Arrow's list views count in 32 bits.
    #[error(
        "the windows of this partition hold {values} values a column, more than the {limit} that a list view can address: \
         use more partitions, or a smaller window, sequence or max_symbols", limit = i32::MAX
    )]
    TooLarge {
        /// Values a column.
        values: usize,
    },
    /// The function given to [`Windows::view`] kept a reference to a column.
    #[error(
        "the reader of a window view kept column `{column}`: it was copied back, and the view's result is discarded"
    )]
    Kept {
        /// Its name.
        column: &'static str,
    },
    /// Arrow refused the columns.
    #[error("the window view could not be built: {0}")]
    Arrow(#[from] ArrowError),
}

#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    /// First value in the slot.
    start: u32,
    len: u32,
}

/// The bars of all symbols of one partition; see the module.
#[derive(Debug)]
pub struct Windows {
    window: usize,
    capacity: usize,
    stride: usize,
    columns: [Vec<f64>; COLUMNS.len()],
    extents: Vec<Extent>,
    free: Vec<Slot>,
}

impl Windows {
    /// Windows of `window` bars, of which the last `sequence` can be viewed: `window + sequence - 1` bars a symbol are kept.
    /// Zero counts as one.
    pub fn new(window: usize, sequence: usize) -> Self {
        let window = window.max(1);
        let capacity = window + sequence.max(1) - 1;
        let stride = capacity + (capacity / 4).clamp(1, MAX_SLACK);
        Self { window, capacity, stride, columns: Default::default(), extents: Vec::new(), free: Vec::new() }
    }

    /// Bars in a full window.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Bars kept a symbol: `window + sequence - 1`.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Takes a slot without bars: a removed one where there is one, else the columns grow by a quarter.
    pub fn insert(&mut self) -> Slot {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        let slots = self.extents.len();
        let (needed, more) = ((slots + 1) * self.stride, (slots / 4).max(1));
        for column in &mut self.columns {
            // Exactly: the doubling of a plain `resize` would hold up to twice as much.
            if column.capacity() < needed {
                column.reserve_exact(more * self.stride);
            }
            column.resize(needed, 0.0);
        }
        if self.extents.capacity() == slots {
            self.extents.reserve_exact(more);
        }
        self.extents.push(Extent::default());
        Slot(slots as u32)
    }

    /// Gives a slot back: its bars are forgotten.
    pub fn remove(&mut self, slot: Slot) {
        self.clear(slot);
        debug_assert!(!self.free.contains(&slot), "slot removed twice");
        self.free.push(slot);
    }

    /// Forgets a slot's bars.
    pub fn clear(&mut self, slot: Slot) {
        self.extents[slot.0 as usize] = Extent::default();
    }

    /// Bars held, at most [`Windows::capacity`].
    pub fn len(&self, slot: Slot) -> usize {
        self.extents[slot.0 as usize].len as usize
    }

    /// Whether a slot has no bars.
    pub fn is_empty(&self, slot: Slot) -> bool {
        self.len(slot) == 0
    }

    /// Bytes held for all symbols.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(|c| c.capacity() * size_of::<f64>()).sum::<usize>()
            + self.extents.capacity() * size_of::<Extent>()
            + self.free.capacity() * size_of::<Slot>()
    }

    /// Appends a bar; the oldest goes when there are more than [`Windows::capacity`].
    pub fn push(&mut self, slot: Slot, bar: &Bar) {
        let base = slot.0 as usize * self.stride;
        let extent = &mut self.extents[slot.0 as usize];
        let (mut start, mut len) = (extent.start as usize, extent.len as usize);
        if len == self.capacity {
            start += 1;
            len -= 1;
        }
        let full = start + len == self.stride;
        let values = [
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            bar.volume,
            bar.vwap,
            bar.trades as f64,
            bar.buy_volume,
            bar.sell_volume,
        ];
        for (column, value) in self.columns.iter_mut().zip(values) {
            let place = &mut column[base..base + self.stride];
            if full {
                place.copy_within(start..start + len, 0);
                place[len] = value;
            } else {
                place[start + len] = value;
            }
        }
        *extent = Extent { start: if full { 0 } else { start as u32 }, len: len as u32 + 1 };
    }

    /// Lends `rows` to `f` as a batch of [`schema`], without copying a bar.
    ///
    /// # Errors
    /// When the columns are too long for list views, or when `f` lets an array of the batch outlive it (the bars are kept,
    /// the result is not).
    pub fn view<'a, R>(
        &mut self,
        rows: impl IntoIterator<Item = WindowRow<'a>>,
        f: impl FnOnce(&RecordBatch) -> R,
    ) -> Result<R, WindowError> {
        let values = self.columns[0].len();
        if i32::try_from(values).is_err() {
            return Err(WindowError::TooLarge { values });
        }
        let rows = rows.into_iter();
        let expected = rows.size_hint().0;
        let (mut offsets, mut sizes) = (Vec::with_capacity(expected), Vec::with_capacity(expected));
        let (mut symbols, mut times) = (Vec::with_capacity(expected), Vec::with_capacity(expected));
        for row in rows {
            let (offset, size) = self.range(row.slot, row.back);
            offsets.push(offset as i32);
            sizes.push(size as i32);
            symbols.push(row.symbol);
            times.push(row.close_time);
        }
        let (offsets, sizes) = (ScalarBuffer::from(offsets), ScalarBuffer::from(sizes));
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(2 + COLUMNS.len());
        arrays.push(Arc::new(StringArray::from_iter_values(symbols)));
        arrays.push(Arc::new(Int64Array::from(times)));

        // From here to `take_back` the columns belong to Arrow: every path between must end there.
        let lent = self.columns.each_mut().map(|column| Buffer::from_vec(std::mem::take(column)));
        let result = batch(arrays, &lent, &offsets, &sizes).map(|batch| f(&batch));
        self.take_back(lent)?;
        result
    }

    /// Where in a column the window lies that ends `back` bars before the newest.
    fn range(&self, slot: Slot, back: usize) -> (usize, usize) {
        let extent = self.extents[slot.0 as usize];
        let end = (extent.len as usize).saturating_sub(back);
        let size = end.min(self.window);
        (slot.0 as usize * self.stride + extent.start as usize + end - size, size)
    }

    fn take_back(&mut self, lent: [Buffer; COLUMNS.len()]) -> Result<(), WindowError> {
        let mut kept = None;
        for ((column, buffer), name) in self.columns.iter_mut().zip(lent).zip(COLUMNS) {
            *column = match buffer.into_vec() {
                Ok(values) => values,
                // A vector without capacity was lent: there is nothing to take.
                Err(buffer) if buffer.is_empty() => Vec::new(),
                Err(buffer) => {
                    kept = Some(name);
                    buffer.typed_data().to_vec()
                }
            };
        }
        kept.map_or(Ok(()), |column| Err(WindowError::Kept { column }))
    }
}

fn batch(
    mut arrays: Vec<ArrayRef>,
    columns: &[Buffer],
    offsets: &ScalarBuffer<i32>,
    sizes: &ScalarBuffer<i32>,
) -> Result<RecordBatch, WindowError> {
    for column in columns {
        let values = Arc::new(Float64Array::new(column.clone().into(), None));
        let lists = ListViewArray::try_new(ITEM.clone(), offsets.clone(), sizes.clone(), values, None)?;
        debug_assert!(!lists.is_nullable());
        arrays.push(Arc::new(lists));
    }
    Ok(RecordBatch::try_new(schema(), arrays)?)
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
