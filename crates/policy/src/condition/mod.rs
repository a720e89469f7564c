//! `when`: a CEL expression over an event.
//!
//! The expression sees `event.address`, `event.levels`, `event.size` (of the payload, in bytes), `event.content_type`,
//! `event.headers`, `event.retain`, `event.assurance` (0, 1 or 2), `event.device`, `event.owner`, `event.session`,
//! `event.protocol`, `event.listener` and `event.json` (the payload, `null` if it is not JSON). Texts that an event does
//! not have are empty. A field costs nothing unless the expression asks for it.

mod check;
mod view;

use cel::{Context, Env, Program, Value};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use view::View;
use windrose_event::Event;

/// The longest expression, in bytes.
const MAX_EXPRESSION_BYTES: usize = 4096;

/// The largest payload that `event.json` reads, in bytes.
const MAX_JSON_BYTES: usize = 64 * 1024;

thread_local! {
    /// CEL's standard functions. Made once in each thread: making them takes longer than a hundred evaluations, and a
    /// thread's own copy is counted without disturbing other cores.
    static STANDARD: Arc<Env> = Arc::new(Env::stdlib());
}

/// A compiled CEL expression.
pub struct Condition {
    text: Box<str>,
    program: Program,
    reads_json: bool,
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    /// The bytes of the expression that it is about, if not all of it.
    pub part: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// What would fix it, if that can be said.
    pub help: Option<String>,
}

impl Condition {
    /// Compiles an expression; gives everything that is wrong with it.
    pub fn new(text: &str) -> Result<Self, Vec<ConditionError>> {
        if text.len() > MAX_EXPRESSION_BYTES {
            let message = format!("an expression cannot be longer than {MAX_EXPRESSION_BYTES} bytes");
            return Err(vec![ConditionError { part: None, message, help: None }]);
        }
        let program = Program::compile(text).map_err(|errors| check::syntax(text, &errors))?;
        let reads_json = check::fields(text, &program)?;
        let condition = Self { text: text.into(), program, reads_json };
        check::trial(&condition)?;
        Ok(condition)
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it holds for `event`; `Err` says why it could not be told (the event then does not match).
    pub fn holds(&self, event: &Event) -> Result<bool, String> {
        if self.reads_json && event.payload.len() > MAX_JSON_BYTES {
            return Err(format!("`event.json` reads payloads of at most {MAX_JSON_BYTES} bytes"));
        }
        match self.evaluate(event) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("it gives {} instead of true or false", other.type_of())),
            Err(error) => Err(error.to_string().chars().take(200).collect()),
        }
    }

    fn evaluate(&self, event: &Event) -> Result<Value, cel::ExecutionError> {
        let view = View::new(event);
        let mut context = Context::with_env(STANDARD.with(Arc::clone));
        context.set_variable_resolver(&view);
        self.program.execute(&context)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests;
