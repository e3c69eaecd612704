//! The indicators as SQL functions: window columns first, then whole-number literals.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Float64Array, ListViewArray};
use arrow::datatypes::{DataType, Float64Type};
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::flow::indicator as ta;

/// Most window columns of one function.
pub(super) const MAX_COLUMNS: usize = 4;
/// Most whole-number parameters of one function.
pub(super) const MAX_PARAMETERS: usize = 3;

/// One SQL function over windows.
pub struct Indicator {
    /// Its SQL name.
    pub name: &'static str,
    /// Its window columns, as its documentation names them.
    pub columns: &'static [&'static str],
    /// Its whole-number parameters.
    pub parameters: &'static [&'static str],
    /// How many bars it needs before it has a value.
    pub bars: fn(&[usize]) -> usize,
    value: fn(&[&[f64]; MAX_COLUMNS], &[usize; MAX_PARAMETERS]) -> f64,
}

macro_rules! indicators {
    ($($name:ident($($column:ident),+ $(; $($parameter:ident),+)?) needs $bars:expr;)+) => {
        &[$(Indicator {
            name: stringify!($name),
            columns: &[$(stringify!($column)),+],
            parameters: &[$($(stringify!($parameter)),+)?],
            bars: |_p| { let [$($($parameter),+)?] = *_p else { return 0 }; $bars },
            value: |c, p| {
                let [$($column),+, ..] = *c;
                let [$($($parameter,)+)? ..] = *p;
                ta::$name($($column),+ $($(, $parameter)+)?)
            },
        }),+]
    };
}

/// All of them.
pub static INDICATORS: &[Indicator] = indicators! {
    last(x) needs 1;
    lag(x; n) needs n + 1;
    sum(x; n) needs n;
    min(x; n) needs n;
    max(x; n) needs n;
    sma(x; n) needs n;
    ema(x; n) needs n;
    wma(x; n) needs n;
    rsi(x; n) needs n + 1;
    roc(x; n) needs n + 1;
    macd(x; fast, slow) needs slow.max(fast);
    macd_hist(x; fast, slow, signal) needs slow.max(fast) + signal - 1;
    stddev(x; n) needs n;
    bb_z(x; n) needs n;
    realised_vol(x; n) needs n + 1;
    atr(high, low, close; n) needs n + 1;
    parkinson(high, low; n) needs n;
    adx(high, low, close; n) needs 2 * n;
    plus_di(high, low, close; n) needs n + 1;
    minus_di(high, low, close; n) needs n + 1;
    stoch_k(high, low, close; n) needs n;
    willr(high, low, close; n) needs n;
    cci(high, low, close; n) needs n;
    mfi(high, low, close, volume; n) needs n + 1;
    obv_slope(close, volume; n) needs n;
    vwap_gap(close, vwap, volume; n) needs n;
    trade_imbalance(buy_volume, sell_volume; n) needs n;
};

impl std::fmt::Debug for Indicator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.usage())
    }
}

impl Indicator {
    /// The indicator of that SQL name.
    pub fn named(name: &str) -> Option<&'static Indicator> {
        INDICATORS.iter().find(|indicator| indicator.name == name)
    }

    /// Its value for windows and parameters in the order of its arguments; what it does not take is not looked at.
    pub(super) fn value(&self, windows: &[&[f64]; MAX_COLUMNS], parameters: &[usize; MAX_PARAMETERS]) -> f64 {
        (self.value)(windows, parameters)
    }

    /// How it is called: `sma(x, n)`.
    pub fn usage(&self) -> String {
        let arguments: Vec<&str> = self.columns.iter().chain(self.parameters).copied().collect();
        format!("{}({})", self.name, arguments.join(", "))
    }
}

/// All indicators as DataFusion functions.
pub fn udfs() -> impl Iterator<Item = Arc<ScalarUDF>> {
    INDICATORS.iter().map(|indicator| Arc::new(ScalarUDF::new_from_impl(Udf::new(indicator))))
}

struct Udf {
    indicator: &'static Indicator,
    signature: Signature,
}

impl Udf {
    fn new(indicator: &'static Indicator) -> Self {
        Self { indicator, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl std::fmt::Debug for Udf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.indicator.usage())
    }
}

impl PartialEq for Udf {
    fn eq(&self, other: &Self) -> bool {
        self.indicator.name == other.indicator.name
    }
}

impl Eq for Udf {}

impl Hash for Udf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.indicator.name.hash(state);
    }
}

impl ScalarUDFImpl for Udf {
    fn name(&self) -> &str {
        self.indicator.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let Indicator { columns, parameters, .. } = self.indicator;
        let usage = self.indicator.usage();
        if types.len() != columns.len() + parameters.len() {
            return plan_err!(
                "{}: write {usage}, with {} and not {} arguments",
                self.name(),
                columns.len() + parameters.len(),
                types.len()
            );
        }
        let (windows, numbers) = types.split_at(columns.len());
        for (given, wanted) in windows.iter().zip(*columns) {
            let is_window = matches!(given, DataType::ListView(item) if item.data_type() == &DataType::Float64);
            if !is_window {
                return plan_err!("{usage}: `{wanted}` must be a column of `window` such as close, not a {given}");
            }
        }
        for (given, wanted) in numbers.iter().zip(*parameters) {
            if !given.is_integer() {
                return plan_err!("{usage}: `{wanted}` must be a whole number, written out, not a {given}");
            }
        }
        Ok(windows.iter().cloned().chain(numbers.iter().map(|_| DataType::Int64)).collect())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (windows, numbers) = args.args.split_at(self.indicator.columns.len());
        let mut parameters = [0; MAX_PARAMETERS];
        for (parameter, number) in parameters.iter_mut().zip(numbers) {
            *parameter = whole(number)?;
        }
        let mut lists: [Option<Lists<'_>>; MAX_COLUMNS] = [None; MAX_COLUMNS];
        for (list, window) in lists.iter_mut().zip(windows) {
            *list = Some(Lists::new(window)?);
        }
        let mut values = Vec::with_capacity(args.number_rows);
        for i in 0..args.number_rows {
            let row = lists.map(|list| list.map_or(&[][..], |list| list.row(i)));
            values.push((self.indicator.value)(&row, &parameters));
        }
        Ok(ColumnarValue::Array(Arc::new(Float64Array::from(values))))
    }
}

/// The value of a checked parameter.
fn whole(value: &ColumnarValue) -> Result<usize> {
    match value {
        ColumnarValue::Scalar(ScalarValue::Int64(Some(number))) if *number > 0 => Ok(*number as usize),
        other => exec_err!("a period must be a whole number above 0, not {other:?}"),
    }
}

/// A column of windows: one slice a row.
#[derive(Clone, Copy)]
struct Lists<'a> {
    values: &'a [f64],
    lists: &'a ListViewArray,
}

impl<'a> Lists<'a> {
    fn new(column: &'a ColumnarValue) -> Result<Self> {
        let ColumnarValue::Array(array) = column else { return exec_err!("a window must be a column of `window`") };
        let Some(lists) = array.as_any().downcast_ref::<ListViewArray>() else {
            return exec_err!("a window must be a list view, not a {}", array.data_type());
        };
        Ok(Self { values: lists.values().as_primitive::<Float64Type>().values(), lists })
    }

    fn row(&self, i: usize) -> &'a [f64] {
        let start = self.lists.offsets()[i] as usize;
        &self.values[start..start + self.lists.sizes()[i] as usize]
    }
}
