//! From text to expressions: DataFusion's parser, planner, type coercion and optimiser (constants folded, common
//! subexpressions computed once), then one physical expression an output column.
//!
//! A checked feature set is a chain of projections over the scan of `window`, so nothing here needs DataFusion's executors:
//! each projection is evaluated on the batch, in turn, on the caller's thread.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{DFSchema, DataFusionError, Result, TableReference, plan_err};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::logical_plan::builder::LogicalTableSource;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::{AggregateUDF, HigherOrderUDF, LogicalPlan, Projection, ScalarUDF, TableSource, WindowUDF};
use datafusion_optimizer::common_subexpr_eliminate::CommonSubexprEliminate;
use datafusion_optimizer::optimize_projections::OptimizeProjections;
use datafusion_optimizer::simplify_expressions::SimplifyExpressions;
use datafusion_optimizer::{Analyzer, Optimizer, OptimizerContext};
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion_sql::planner::{ContextProvider, SqlToRel};

use super::check::{self, Reach};
use super::program::{Program, Value};
use super::{FeatureError, functions};
use crate::flow::window;

/// Rows computed together. Every function reads the windows of all of them before the next one does: so many stay in a core's
/// cache between two functions, and are still enough to hide what a call of an expression costs.
const ROWS_AT_ONCE: usize = 32;

/// A compiled feature set.
#[derive(Debug)]
pub(super) struct Compiled {
    /// The columns of `window` that are read.
    columns: Vec<usize>,
    stages: Vec<Stage>,
    /// The output columns.
    fields: Vec<FieldRef>,
    reach: Option<Reach>,
    /// The same without DataFusion, where that can be.
    program: Option<Program>,
}

/// One projection.
#[derive(Debug)]
struct Stage {
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
}

impl Compiled {
    pub fn names(&self) -> Vec<String> {
        self.fields.iter().map(|field| check::name_of(field)).collect()
    }

    pub fn reach(&self) -> Option<Reach> {
        self.reach.clone()
    }

    /// The program that computes the same, where there is one.
    pub fn program(&self) -> Option<&Program> {
        self.program.as_ref()
    }

    /// Gives the output columns of a batch of `window` to `each`, [`ROWS_AT_ONCE`] rows at a time.
    pub fn run(&self, batch: &RecordBatch, mut each: impl FnMut(&[ArrayRef]) -> Result<()>) -> Result<()> {
        let batch = batch.project(&self.columns)?;
        for first in (0..batch.num_rows()).step_by(ROWS_AT_ONCE) {
            let rows = ROWS_AT_ONCE.min(batch.num_rows() - first);
            each(self.stages(batch.slice(first, rows))?.columns())?;
        }
        Ok(())
    }

    fn stages(&self, mut batch: RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        for stage in &self.stages {
            let evaluate = |expression: &Arc<dyn PhysicalExpr>| expression.evaluate(&batch)?.into_array(rows);
            let arrays = stage.expressions.iter().map(evaluate).collect::<Result<Vec<_>>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            batch = RecordBatch::try_new_with_options(stage.schema.clone(), arrays, &options)?;
        }
        Ok(batch)
    }
}

/// Parses, checks, plans and compiles `sql`.
pub(super) fn compile(sql: &str) -> Result<Compiled, FeatureError> {
    let query = check::parse(sql)?;
    let catalogue = Catalogue::default();
    let plan = SqlToRel::new(&catalogue).sql_statement_to_plan(query).map_err(error)?;
    check::plan(&plan)?;
    let plan = optimise(plan).map_err(error)?;
    check::outputs(plan.schema())?;

    let mut projections = Vec::new();
    let mut reach = None;
    let mut node = &plan;
    let columns = loop {
        match node {
            LogicalPlan::Projection(projection) => {
                check::expressions(&projection.expr, projection.input.schema(), &mut reach)?;
                projections.push(projection);
                node = &projection.input;
            }
            LogicalPlan::SubqueryAlias(alias) => node = &alias.input,
            LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => {
                break scan.projection.clone().unwrap_or_else(|| (0..window::schema().fields().len()).collect());
            }
            other => return Err(FeatureError::Plan(format!("unexpected step {}", other.display()))),
        }
    };
    projections.reverse();
    let stage = |p: &&Projection| Stage::new(&p.expr, p.input.schema(), &p.schema).map_err(error);
    let stages = projections.iter().map(stage).collect::<Result<_, _>>()?;
    let program = program(&projections, &columns);
    let fields = plan.schema().fields().iter().cloned().collect();
    Ok(Compiled { columns, stages, fields, reach, program })
}

fn program(projections: &[&Projection], columns: &[usize]) -> Option<Program> {
    let mut program = Program::default();
    let mut values: Vec<Value> = columns.iter().map(|&column| Value::Window(column)).collect();
    for projection in projections {
        values = program.project(&projection.expr, projection.input.schema(), &values)?;
    }
    program.finish(&values)
}

impl Stage {
    fn new(expressions: &[datafusion_expr::Expr], input: &DFSchema, output: &DFSchema) -> Result<Self> {
        let (properties, context) = (ExecutionProps::new(), PhysicalPlanningContext::default());
        let compile = |expression| create_physical_expr(expression, input, &properties, &context);
        Ok(Self {
            expressions: expressions.iter().map(compile).collect::<Result<_>>()?,
            schema: Arc::new(output.as_arrow().clone()),
        })
    }
}

fn optimise(plan: LogicalPlan) -> Result<LogicalPlan> {
    let options = Arc::new(ConfigOptions::default());
    let plan = Analyzer::new().execute_and_check(plan, &options, |_, _| {})?;
    let rules = Optimizer::with_rules(vec![
        Arc::new(SimplifyExpressions::new()),
        Arc::new(CommonSubexprEliminate::new()),
        Arc::new(OptimizeProjections::new()),
    ]);
    // Without a start time nothing can be folded into the plan that depends on when it was planned.
    let config = OptimizerContext::new_with_config_options(options).without_query_execution_start_time();
    rules.optimize(plan, &config, |_, _| {})
}

/// A refusal that travelled through DataFusion comes out as it was; anything else is DataFusion's own message.
fn error(error: DataFusionError) -> FeatureError {
    match error {
        DataFusionError::External(cause) => match cause.downcast::<FeatureError>() {
            Ok(refusal) => *refusal,
            Err(cause) => FeatureError::Plan(cause.to_string()),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => self::error(*inner),
        other => FeatureError::Plan(check::readable(&other.strip_backtrace())),
    }
}

/// The functions that feature SQL may call: the indicators, mathematics, and what handles nulls.
static FUNCTIONS: LazyLock<BTreeMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
    use datafusion_functions::core;
    let nulls = [core::nullif(), core::nvl(), core::nvl2(), core::coalesce(), core::greatest(), core::least()];
    let all = datafusion_functions::math::functions().into_iter().chain(nulls).chain(functions::udfs());
    let mut functions = BTreeMap::new();
    for function in all {
        for name in function.aliases() {
            functions.entry(name.clone()).or_insert_with(|| function.clone());
        }
        functions.insert(function.name().to_owned(), function);
    }
    functions
});

/// What DataFusion's planner may know: one table and [`FUNCTIONS`].
#[derive(Default)]
struct Catalogue {
    options: ConfigOptions,
}

impl ContextProvider for Catalogue {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        check::table(&name).map_err(|refusal| DataFusionError::External(Box::new(refusal)))?;
        Ok(Arc::new(LogicalTableSource::new(window::schema())))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        FUNCTIONS.get(name).cloned()
    }

    fn get_table_function_source(&self, name: &str, _: Vec<datafusion_expr::Expr>) -> Result<Arc<dyn TableSource>> {
        plan_err!("there is no table `{name}`: the only table is `window`")
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        FUNCTIONS.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
