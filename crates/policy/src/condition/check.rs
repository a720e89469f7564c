//! What is wrong with an expression, found when the document is compiled.

use super::view::FIELDS;
use super::{Condition, ConditionError, STANDARD};
use crate::document::suggestion;
use bytes::Bytes;
use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, ExecutionError, ParseErrors, Program, Value};
use std::ops::Range;
use std::sync::Arc;
use windrose_event::{Address, Assurance, Details, Event, EventId, Identity, Origin, Principal, Timestamp};

/// The deepest expression: evaluation takes stack for each level.
const MAX_DEPTH: usize = 100;

/// Identifiers that are types, not variables.
const TYPES: [&str; 12] = [
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "timestamp",
    "uint",
];

/// What the parser did not like.
pub(super) fn syntax(text: &str, errors: &ParseErrors) -> Vec<ConditionError> {
    let mut list: Vec<_> = errors
        .errors
        .iter()
        .map(|error| ConditionError {
            part: position(text, error.pos),
            message: format!("this is not CEL: {}", error.msg.trim()),
            help: None,
        })
        .collect();
    if list.is_empty() {
        list.push(ConditionError { part: None, message: "this is not CEL".to_owned(), help: None });
    }
    list.truncate(1);
    list
}

/// The byte at a line and column, both from 1.
fn position(text: &str, (line, column): (isize, isize)) -> Option<Range<usize>> {
    let (line, column) = (usize::try_from(line - 1).ok()?, usize::try_from(column - 1).ok()?);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let offset = text.get(before..)?.char_indices().nth(column).map_or(text.len(), |(at, _)| before + at);
    let length = text.get(offset..)?.chars().next().map_or(0, char::len_utf8);
    Some(offset..offset + length)
}

/// Checks every variable and function of a program. Gives whether it reads `event.json`.
pub(super) fn fields(text: &str, program: &Program) -> Result<bool, Vec<ConditionError>> {
    let mut walk = Walk { text, program, scope: Vec::new(), reads_json: false, errors: Vec::new() };
    walk.expression(program.expression(), 0, 0);
    if walk.errors.is_empty() { Ok(walk.reads_json) } else { Err(walk.errors) }
}

struct Walk<'p> {
    text: &'p str,
    program: &'p Program,
    /// Variables of the macros around the place.
    scope: Vec<&'p str>,
    reads_json: bool,
    errors: Vec<ConditionError>,
}

impl<'p> Walk<'p> {
    fn expression(&mut self, expression: &'p IdedExpr, depth: usize, loops: usize) {
        if depth > MAX_DEPTH {
            let too_deep = |error: &ConditionError| error.message.starts_with("it is nested");
            if !self.errors.iter().any(too_deep) {
                self.error(None, format!("it is nested deeper than {MAX_DEPTH} levels"), None);
            }
            return;
        }
        let depth = depth + 1;
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.variable(expression, name),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(name) if name == "event" && !self.scope.contains(&"event") => {
                    self.field(expression, &select.field, select.test);
                }
                _ => self.expression(&select.operand, depth, loops),
            },
            Expr::Call(call) => {
                self.function(expression, &call.func_name);
                for part in call.target.as_deref().into_iter().chain(&call.args) {
                    self.expression(part, depth, loops);
                }
            }
            Expr::List(list) => {
                for element in &list.elements {
                    self.expression(element, depth, loops);
                }
            }
            Expr::Map(map) => self.entries(map.entries.iter().map(|entry| &entry.expr), depth, loops),
            Expr::Struct(object) => {
                self.entries(object.entries.iter().map(|entry| &entry.expr), depth, loops)
            }
            Expr::Comprehension(comprehension) => {
                if loops > 0 {
                    // Each would multiply the work that one event can cause.
                    let message = "macros such as `exists` and `map` cannot be inside one another".to_owned();
                    self.error(self.place(expression), message, None);
                    return;
                }
                self.expression(&comprehension.iter_range, depth, loops);
                self.expression(&comprehension.accu_init, depth, loops);
                let outer = self.scope.len();
                self.scope.push(&comprehension.iter_var);
                self.scope.extend(comprehension.iter_var2.as_deref());
                self.scope.push(&comprehension.accu_var);
                self.expression(&comprehension.loop_cond, depth, loops + 1);
                self.expression(&comprehension.loop_step, depth, loops + 1);
                self.expression(&comprehension.result, depth, loops + 1);
                self.scope.truncate(outer);
            }
        }
    }

    fn entries(&mut self, entries: impl Iterator<Item = &'p EntryExpr>, depth: usize, loops: usize) {
        for entry in entries {
            match entry {
                EntryExpr::StructField(field) => self.expression(&field.value, depth, loops),
                EntryExpr::MapEntry(entry) => {
                    self.expression(&entry.key, depth, loops);
                    self.expression(&entry.value, depth, loops);
                }
            }
        }
    }

    fn variable(&mut self, expression: &IdedExpr, name: &str) {
        if self.scope.contains(&name) || TYPES.contains(&name) {
            return;
        }
        let place = self.place(expression).map(|place| place.start..place.start + name.len());
        if name == "event" {
            let help = format!("write `event.` and one of {}", FIELDS.join(", "));
            self.error(place, "`event` can only be used by its fields".to_owned(), Some(help));
        } else {
            let help = match FIELDS.contains(&name) {
                true => format!("write `event.{name}`"),
                false => "the only variable is `event`, such as in `event.size < 65536`".to_owned(),
            };
            self.error(place, format!("there is no variable `{name}`"), Some(help));
        }
    }

    fn field(&mut self, expression: &IdedExpr, field: &str, test: bool) {
        self.reads_json |= field == "json";
        if !FIELDS.contains(&field) {
            let help = match suggestion(field, FIELDS) {
                Some(near) => format!("did you mean `event.{near}`?"),
                None => format!("an event has {}", FIELDS.join(", ")),
            };
            let place = self.place(expression).and_then(|place| self.find(place.start, field));
            self.error(place, format!("an event has no field `{field}`"), Some(help));
        } else if test {
            let help = "compare it with what it is without a value: `event.device != \"\"`";
            self.error(None, format!("`has(event.{field})` is always true"), Some(help.to_owned()));
        }
    }

    /// A function that CEL does not have shows itself when called without arguments; the others want some.
    fn function(&mut self, expression: &IdedExpr, name: &str) {
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') || name.starts_with('_') {
            return;
        }
        let unknown = |call: &str| {
            let context = Context::with_env(STANDARD.with(Arc::clone));
            Program::compile(call).is_ok_and(|program| {
                matches!(program.execute(&context), Err(ExecutionError::UndeclaredReference(_)))
            })
        };
        if unknown(&format!("{name}()")) && unknown(&format!("''.{name}()")) {
            let place = self.place(expression).and_then(|place| self.find_before(place.start, name));
            self.error(place, format!("there is no function `{name}`"), None);
        }
    }

    /// Where an expression was written; of a selection its dot, of a call its parenthesis.
    fn place(&self, expression: &IdedExpr) -> Option<Range<usize>> {
        let (start, stop) = self.program.source_info().offset_for(expression.id)?;
        let offset = |characters: u32| {
            let characters = usize::try_from(characters).ok()?;
            Some(self.text.char_indices().nth(characters).map_or(self.text.len(), |(at, _)| at))
        };
        Some(offset(start)?..offset(stop.saturating_add(1))?)
    }

    fn find(&self, from: usize, word: &str) -> Option<Range<usize>> {
        let at = from + self.text.get(from..)?.find(word)?;
        Some(at..at + word.len())
    }

    fn find_before(&self, to: usize, word: &str) -> Option<Range<usize>> {
        let end = self.text.len().min(to + word.len());
        let at = self.text.get(..end)?.rfind(word)?;
        Some(at..at + word.len())
    }

    fn error(&mut self, part: Option<Range<usize>>, message: String, help: Option<String>) {
        self.errors.push(ConditionError { part, message, help });
    }
}

/// Evaluates a condition on a made-up event: what does not depend on the event shows here and not in operation.
pub(super) fn trial(condition: &Condition) -> Result<(), Vec<ConditionError>> {
    let Some(sample) = sample() else { return Ok(()) };
    let message = match condition.evaluate(&sample) {
        Ok(Value::Bool(_)) => return Ok(()),
        // JSON has what types it has: what it compares with cannot be told before.
        _ if condition.reads_json => return Ok(()),
        Ok(other) => format!("it gives {} instead of true or false", other.type_of()),
        Err(error @ (ExecutionError::NoSuchOverload(_) | ExecutionError::UndeclaredReference(_))) => {
            error.to_string()
        }
        // Other failures are of the values, such as an index past the end.
        Err(_) => return Ok(()),
    };
    Err(vec![ConditionError { part: None, message, help: None }])
}

fn sample() -> Option<Event> {
    Some(Event {
        id: EventId::new(Timestamp::default(), 0, 0),
        time: Timestamp::default(),
        address: Address::new("devices/car-7/telemetry").ok()?,
        origin: Arc::new(Origin {
            identity: Identity {
                principal: Principal::Device { id: "car-7".into(), owner: Some("alice".into()) },
                ..Identity::anonymous()
            },
            session: "car-7".into(),
            protocol: "mqtt",
            listener: "mqtt".into(),
        }),
        assurance: Assurance::AtLeastOnce,
        retain: false,
        expires: None,
        payload: Bytes::from_static(b"{}"),
        details: Some(Box::new(Details {
            content_type: Some("application/json".into()),
            ..Details::default()
        })),
    })
}
