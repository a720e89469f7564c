//! `${NAME}` and `${NAME:-default}` in values, taken from the environment.
//!
//! They are filled in after the YAML was read, so that a variable's value can never change the document's structure.
//! `$${` stands for `${` itself.

use super::Reading;
use super::reading::Environment;
use super::tree::At;
use std::borrow::Cow;

/// Fills in the variables of `text`. Gives the text and whether there were any; `None` after noting a mistake.
pub(super) fn fill<'t>(text: &'t str, at: &At, reading: &mut Reading<'_>) -> Option<(Cow<'t, str>, bool)> {
    let Some(environment) = reading.environment().filter(|_| text.contains("${")) else {
        return Some((Cow::Borrowed(text), false));
    };
    let (mut filled, mut any, mut complete) = (String::with_capacity(text.len()), false, true);
    let mut rest = text;
    while let Some(found) = rest.find("${") {
        let (before, variable) = rest.split_at(found);
        if let Some(escaped) = before.strip_suffix('$') {
            filled.push_str(escaped);
            filled.push_str("${");
            rest = &variable[2..];
            continue;
        }
        filled.push_str(before);
        let begin = text.len() - variable.len();
        let Some(end) = variable.find('}') else {
            let place = reading.within(at, text, begin..text.len());
            reading.mistake(&place, "`${` has no `}`").help("write `$${` for the characters `${` themselves");
            return None;
        };
        any = true;
        let inner = &variable[2..end];
        match value(inner, environment) {
            Ok(value) => filled.push_str(&value),
            Err((message, help)) => {
                let place = reading.within(at, text, begin..begin + end + 1);
                reading.mistake(&place, message).help(help);
                complete = false;
            }
        }
        rest = &variable[end + 1..];
    }
    filled.push_str(rest);
    complete.then_some((Cow::Owned(filled), any))
}

fn value(inner: &str, environment: Environment<'_>) -> Result<String, (String, String)> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !plain || name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
        let help = "write `${NAME}` or `${NAME:-default}`; `$${` stands for the characters `${` themselves";
        return Err((format!("`{name}` is no name of an environment variable"), help.to_owned()));
    }
    // As in a shell, an empty variable is as good as none if there is a default.
    let set = environment(name).filter(|value| default.is_none() || !value.is_empty());
    set.or(default.map(str::to_owned)).ok_or_else(|| {
        let help = format!("set it, or give a default: `${{{name}:-default}}`");
        (format!("the environment variable `{name}` is not set"), help)
    })
}
