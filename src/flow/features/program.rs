//! Feature sets of plain arithmetic over indicators as a flat program: a row at a time, without an array or an allocation a step.
//!
//! A call of a DataFusion expression allocates arrays and asks for the types of its arguments, whatever the number of rows: where
//! few symbols close together that costs more than the indicators. What this program cannot express it refuses, and DataFusion computes the whole
//! set; what it can it computes to the same bits (tested).

use arrow::array::{Array, AsArray, ListViewArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::{Expr, ExprSchemable, Operator};

use super::functions::{Indicator, MAX_COLUMNS, MAX_PARAMETERS};

/// A compiled set: its steps, and which of their values are the features.
#[derive(Debug, Default)]
pub(super) struct Program {
    steps: Vec<Step>,
    outputs: Vec<usize>,
}

/// One value of a row, computed from the window or from values before it.
#[derive(Debug)]
enum Step {
    Number(f64),
    Indicator(&'static Indicator, [usize; MAX_COLUMNS], [usize; MAX_PARAMETERS]),
    One(fn(f64) -> f64, usize),
    Two(fn(f64, f64) -> f64, usize, usize),
}

/// What a column of a projection is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// A column of `window`, by its number there.
    Window(usize),
    /// The value of a step.
    Step(usize),
}

impl Program {
    /// Adds a projection of `expressions` over columns that are `input`; none where the program cannot express one of them.
    pub fn project(&mut self, expressions: &[Expr], schema: &DFSchema, input: &[Value]) -> Option<Vec<Value>> {
        expressions.iter().map(|expression| self.value(expression, schema, input)).collect()
    }

    /// Makes the values `outputs` the features; none where one of them is no number of a step.
    pub fn finish(mut self, outputs: &[Value]) -> Option<Self> {
        self.outputs = outputs.iter().map(|&output| step(output)).collect::<Option<_>>()?;
        Some(self)
    }

    fn value(&mut self, expression: &Expr, schema: &DFSchema, input: &[Value]) -> Option<Value> {
        match expression {
            Expr::Alias(alias) => self.value(&alias.expr, schema, input),
            Expr::Column(column) => input.get(schema.maybe_index_of_column(column)?).copied(),
            _ if expression.get_type(schema).ok()? != DataType::Float64 => None,
            Expr::Literal(ScalarValue::Float64(Some(number)), _) => Some(self.push(Step::Number(*number))),
            Expr::BinaryExpr(binary) => {
                let operation: fn(f64, f64) -> f64 = match binary.op {
                    Operator::Plus => |a, b| a + b,
                    Operator::Minus => |a, b| a - b,
                    Operator::Multiply => |a, b| a * b,
                    Operator::Divide => |a, b| a / b,
                    _ => return None,
                };
                let left = step(self.value(&binary.left, schema, input)?)?;
                let right = step(self.value(&binary.right, schema, input)?)?;
                Some(self.push(Step::Two(operation, left, right)))
            }
            Expr::ScalarFunction(call) => {
                let arguments: Vec<&Expr> = call.args.iter().collect();
                match (Indicator::named(call.func.name()), call.func.name()) {
                    (Some(indicator), _) => self.indicator(indicator, &arguments, schema, input),
                    (None, "ln") => {
                        let [argument] = arguments[..] else { return None };
                        let argument = step(self.value(argument, schema, input)?)?;
                        Some(self.push(Step::One(f64::ln, argument)))
                    }
                    // As DataFusion has it, NaN is larger than any number, and 0.0 larger than -0.0.
                    (None, "greatest") => {
                        self.pick(&arguments, schema, input, |a, b| if a.total_cmp(&b).is_ge() { a } else { b })
                    }
                    (None, "least") => {
                        self.pick(&arguments, schema, input, |a, b| if a.total_cmp(&b).is_le() { a } else { b })
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn pick(
        &mut self,
        arguments: &[&Expr],
        schema: &DFSchema,
        input: &[Value],
        best: fn(f64, f64) -> f64,
    ) -> Option<Value> {
        let (first, rest) = arguments.split_first()?;
        let mut kept = self.value(first, schema, input)?;
        for argument in rest {
            let other = step(self.value(argument, schema, input)?)?;
            kept = self.push(Step::Two(best, step(kept)?, other));
        }
        Some(kept)
    }

    fn indicator(
        &mut self,
        indicator: &'static Indicator,
        arguments: &[&Expr],
        schema: &DFSchema,
        input: &[Value],
    ) -> Option<Value> {
        let (windows, numbers) = arguments.split_at_checked(indicator.columns.len())?;
        let (mut columns, mut parameters) = ([usize::MAX; MAX_COLUMNS], [0; MAX_PARAMETERS]);
        for (place, window) in columns.iter_mut().zip(windows) {
            let Expr::Column(column) = window else { return None };
            let Value::Window(number) = *input.get(schema.maybe_index_of_column(column)?)? else { return None };
            *place = number;
        }
        for (place, number) in parameters.iter_mut().zip(numbers) {
            let Expr::Literal(ScalarValue::Int64(Some(number)), _) = number else { return None };
            *place = usize::try_from(*number).ok()?;
        }
        Some(self.push(Step::Indicator(indicator, columns, parameters)))
    }

    fn push(&mut self, step: Step) -> Value {
        self.steps.push(step);
        Value::Step(self.steps.len() - 1)
    }

    /// Computes every row of a batch of `window`, adding to `features`, one column each.
    pub fn run(&self, batch: &RecordBatch, features: &mut [Vec<f64>]) {
        let columns: Vec<Option<(&[f64], &ListViewArray)>> = batch
            .columns()
            .iter()
            .map(|column| {
                let lists = column.as_any().downcast_ref::<ListViewArray>()?;
                Some((&lists.values().as_primitive::<Float64Type>().values()[..], lists))
            })
            .collect();
        let mut windows: Vec<&[f64]> = vec![&[]; columns.len()];
        let mut values = vec![0.0; self.steps.len()];
        for row in 0..batch.num_rows() {
            for (window, column) in windows.iter_mut().zip(&columns) {
                if let Some((bars, lists)) = column {
                    let start = lists.offsets()[row] as usize;
                    *window = &bars[start..start + lists.sizes()[row] as usize];
                }
            }
            for (place, step) in self.steps.iter().enumerate() {
                values[place] = match step {
                    Step::Number(number) => *number,
                    Step::Indicator(indicator, columns, parameters) => {
                        let bars = columns.map(|column| windows.get(column).copied().unwrap_or_default());
                        indicator.value(&bars, parameters)
                    }
                    Step::One(function, a) => function(values[*a]),
                    Step::Two(function, a, b) => function(values[*a], values[*b]),
                };
            }
            for (column, output) in features.iter_mut().zip(&self.outputs) {
                column.push(super::finite(values[*output]));
            }
        }
    }
}

fn step(value: Value) -> Option<usize> {
    match value {
        Value::Step(step) => Some(step),
        Value::Window(_) => None,
    }
}
