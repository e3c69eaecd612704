//! What a feature set may not contain, and the words in which it is refused.

use arrow::datatypes::{DataType, Field};
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, ScalarValue, TableReference};
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan, Volatility};
use datafusion_sql::sqlparser::ast::{self, Statement};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;
use std::collections::HashSet;
use std::ops::ControlFlow;

use super::FeatureError;
use super::functions::Indicator;

/// The longest period a function takes, in bars.
pub const MAX_PERIOD: i64 = 10_000;

/// A function call and the bars it needs before it has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The call.
    pub call: String,
    /// Bars.
    pub bars: usize,
}

/// Functions whose value depends on when or how often they are called.
const CLOCKS_AND_DICE: [&str; 13] = [
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "localtimestamp",
    "today",
    "random",
    "rand",
    "randn",
    "uuid",
    "gen_random_uuid",
    "statement_timestamp",
];

fn refused(part: impl ToString, why: impl Into<String>, remedy: impl Into<String>) -> FeatureError {
    FeatureError::Refused { part: part.to_string(), why: why.into(), remedy: remedy.into() }
}

/// The one query that `sql` holds.
pub(super) fn parse(sql: &str) -> Result<Statement, FeatureError> {
    let mut statements =
        Parser::parse_sql(&GenericDialect {}, sql).map_err(|error| FeatureError::Plan(error.to_string()))?;
    let one = "write one SELECT ... FROM window";
    let count = statements.len();
    let (1, Some(statement)) = (count, statements.pop()) else {
        return Err(refused(sql.trim(), format!("holds {count} statements"), one));
    };
    if !matches!(statement, Statement::Query(_)) {
        return Err(refused(&statement, "is not a SELECT", one));
    }
    let found = ast::visit_expressions(&statement, |expression| match call(expression) {
        Ok(()) => ControlFlow::Continue(()),
        Err(refusal) => ControlFlow::Break(refusal),
    });
    match found {
        ControlFlow::Break(refusal) => Err(refusal),
        ControlFlow::Continue(()) => Ok(statement),
    }
}

/// Refuses calls by name where the name alone says enough.
fn call(expression: &ast::Expr) -> Result<(), FeatureError> {
    let ast::Expr::Function(function) = expression else { return Ok(()) };
    let name = function.name.to_string().to_lowercase();
    if CLOCKS_AND_DICE.contains(&name.as_str()) {
        let remedy = "use the columns of `window`, such as close_time";
        return Err(refused(expression, "is not a function of the window's bars alone", remedy));
    }
    if name == "context" {
        return Err(refused(expression, "uses a name reserved for later", "use the columns of `window`"));
    }
    if function.over.is_some() {
        let remedy = "a row of `window` is already a symbol's bars: use functions such as sma(close, 20)";
        return Err(refused(expression, "is a window function", remedy));
    }
    Ok(())
}

/// Whether a table may be read.
pub(super) fn table(name: &TableReference) -> Result<(), FeatureError> {
    let plain = name.table().to_lowercase();
    let interval =
        plain.strip_prefix('w').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    match (&plain[..], name.schema()) {
        ("window", None) => Ok(()),
        ("context", _) => {
            Err(refused(name, "is reserved for later (windows of other symbols)", "the only table is `window`"))
        }
        _ if interval => {
            Err(refused(name, "is reserved for later (windows of other intervals)", "the only table is `window`"))
        }
        _ => Err(refused(name, "is not a table that features may read", "the only table is `window`")),
    }
}

/// Accepts projections over `window` and nothing else.
pub(super) fn plan(plan: &LogicalPlan) -> Result<(), FeatureError> {
    let one_row = "a feature set gives one row for each row of `window`: SELECT expressions only";
    let mut node = plan;
    loop {
        let (part, why) = match node {
            LogicalPlan::Projection(projection) => {
                projection.expr.iter().try_for_each(deterministic)?;
                node = &projection.input;
                continue;
            }
            LogicalPlan::SubqueryAlias(alias) => {
                node = &alias.input;
                continue;
            }
            LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => return Ok(()),
            LogicalPlan::Filter(filter) => (format!("WHERE {}", filter.predicate), "drops rows"),
            LogicalPlan::Aggregate(_) => ("GROUP BY".to_owned(), "joins rows of different symbols"),
            LogicalPlan::Window(_) => ("OVER".to_owned(), "looks across rows of different symbols"),
            LogicalPlan::Sort(_) => ("ORDER BY".to_owned(), "reorders rows"),
            LogicalPlan::Limit(_) => ("LIMIT".to_owned(), "drops rows"),
            LogicalPlan::Distinct(_) => ("DISTINCT".to_owned(), "drops rows"),
            LogicalPlan::Join(_) => ("JOIN".to_owned(), "pairs rows of different symbols"),
            LogicalPlan::Union(_) => ("UNION".to_owned(), "adds rows"),
            LogicalPlan::Unnest(_) => ("UNNEST".to_owned(), "makes a row of each bar"),
            LogicalPlan::EmptyRelation(_) => ("SELECT".to_owned(), "reads no table: FROM window is missing"),
            LogicalPlan::Values(_) => ("VALUES".to_owned(), "is not the view `window`"),
            other => (other.display().to_string(), "is not part of a feature set"),
        };
        return Err(refused(part, why, one_row));
    }
}

/// Refuses expressions that read other rows, other queries, the clock or dice.
fn deterministic(expression: &Expr) -> Result<(), FeatureError> {
    let mut refusal = None;
    let walked = expression.apply(|node| {
        let why = match node {
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => "is a subquery",
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) => "looks across rows of different symbols",
            Expr::Placeholder(_) | Expr::ScalarVariable(..) => "is a parameter without a value",
            Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
                "is not a function of the window's bars alone"
            }
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        refusal = Some(refused(readable(&node.to_string()), why, "use the columns of `window` and its functions"));
        Ok(TreeNodeRecursion::Stop)
    });
    match (refusal, walked) {
        (Some(refusal), _) => Err(refusal),
        (None, Err(error)) => Err(FeatureError::Plan(error.to_string())),
        (None, Ok(_)) => Ok(()),
    }
}

/// Checks the calls of indicators in optimised expressions: windows are columns, periods are literals. Keeps the longest
/// reach.
pub(super) fn expressions(list: &[Expr], input: &DFSchema, reach: &mut Option<Reach>) -> Result<(), FeatureError> {
    for expression in list {
        let mut refusal = None;
        let walked = expression.apply(|node| {
            if let Err(found) = indicator(node, input, reach) {
                refusal = Some(found);
                return Ok(TreeNodeRecursion::Stop);
            }
            Ok(TreeNodeRecursion::Continue)
        });
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        walked.map_err(|error| FeatureError::Plan(error.to_string()))?;
    }
    Ok(())
}

fn indicator(node: &Expr, input: &DFSchema, reach: &mut Option<Reach>) -> Result<(), FeatureError> {
    let computed = !matches!(node, Expr::Column(_) | Expr::Alias(_));
    if computed && matches!(node.get_type(input), Ok(DataType::ListView(_))) {
        let remedy = "give the functions columns of `window` and compute with their results";
        return Err(refused(readable(&node.to_string()), "computes with a whole window", remedy));
    }
    let Expr::ScalarFunction(call) = node else { return Ok(()) };
    let Some(indicator) = Indicator::named(call.func.name()) else { return Ok(()) };
    let part = readable(&node.to_string());
    let mut periods = Vec::new();
    for (argument, name) in call.args[indicator.columns.len()..].iter().zip(indicator.parameters) {
        match argument {
            Expr::Literal(ScalarValue::Int64(Some(n)), _) if (1..=MAX_PERIOD).contains(n) => periods.push(*n as usize),
            _ => {
                let remedy = format!("write {} with a number from 1 to {MAX_PERIOD}", indicator.usage());
                return Err(refused(part, format!("has no usable `{name}`"), remedy));
            }
        }
    }
    let unordered = matches!((indicator.name, &periods[..]), ("macd" | "macd_hist", [fast, slow, ..]) if fast >= slow);
    if unordered {
        return Err(refused(
            part,
            "has a fast period that is not below the slow one",
            "write macd_hist(close, 12, 26, 9)",
        ));
    }
    let bars = (indicator.bars)(&periods);
    if reach.as_ref().is_none_or(|reach| reach.bars < bars) {
        *reach = Some(Reach { call: part, bars });
    }
    Ok(())
}

/// Checks the output columns: numbers with names of their own.
pub(super) fn outputs(schema: &DFSchema) -> Result<(), FeatureError> {
    let mut names = HashSet::new();
    for field in schema.fields() {
        let name = name_of(field);
        if matches!(field.data_type(), DataType::ListView(_)) {
            let remedy = format!("take a number of it, such as last({name})");
            return Err(refused(name, "is a whole window, not a number", remedy));
        }
        if !field.data_type().is_numeric() {
            let remedy = "make it one, such as CASE WHEN ... THEN 1 ELSE 0 END";
            return Err(refused(name, format!("is a {}, not a number", field.data_type()), remedy));
        }
        if !names.insert(name.clone()) {
            return Err(refused(name, "is the name of two features", "rename one with AS"));
        }
    }
    Ok(())
}

/// A feature's name: its alias, else the expression as it was written.
pub(super) fn name_of(field: &Field) -> String {
    readable(field.name())
}

/// Without what the planner adds to a text: qualifiers and types of literals.
pub(super) fn readable(text: &str) -> String {
    text.replace("window.", "").replace("Int64(", "(").replace("Float64(", "(")
}
