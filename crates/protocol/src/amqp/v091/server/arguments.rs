//! What arguments of declarations and bindings mean (RabbitMQ's `x-` extensions; AMQP 0-9-1 §3.1.3.4 for headers).

use super::failure::Failure;
use crate::amqp::v091::codec::{ReplyCode, Table, Value};
use crate::amqp::v091::message::text_of;
use std::time::Duration;
use windrose_event::{HeadersTest, Overflow, QueueOptions, Text};

fn precondition(text: String) -> Failure {
    Failure::new(ReplyCode::PRECONDITION_FAILED, text)
}

fn invalid(name: &str, queue: &str, why: &str) -> Failure {
    precondition(format!("invalid arg '{name}' for queue '{queue}' in vhost '/': {why}"))
}

/// A number that is not negative.
fn number(table: Table<'_>, name: &str, queue: &str) -> Result<Option<u64>, Failure> {
    let Some(value) = table.get(name) else { return Ok(None) };
    let number = value.as_integer().ok_or_else(|| invalid(name, queue, "unacceptable type"))?;
    let number =
        u64::try_from(number).map_err(|_| invalid(name, queue, &format!("{{value_negative,{number}}}")))?;
    Ok(Some(number))
}

fn text(table: Table<'_>, name: &str, queue: &str) -> Result<Option<Text>, Failure> {
    let Some(value) = table.get(name) else { return Ok(None) };
    value.as_str().map(|text| Some(Text::from(text))).ok_or_else(|| invalid(name, queue, "unacceptable type"))
}

/// What a queue's arguments say. Those that are about how RabbitMQ stores it are taken and mean nothing.
pub(super) fn queue_options(
    queue: &str,
    arguments: Table<'_>,
    durable: bool,
    exclusive: bool,
) -> Result<QueueOptions, Failure> {
    if arguments.is_empty() {
        return Ok(QueueOptions::default());
    }
    let millis = |name| number(arguments, name, queue).map(|millis| millis.map(Duration::from_millis));
    let options = QueueOptions {
        message_ttl: millis("x-message-ttl")?,
        expires: millis("x-expires")?,
        max_length: number(arguments, "x-max-length", queue)?,
        max_length_bytes: number(arguments, "x-max-length-bytes", queue)?,
        overflow: match text(arguments, "x-overflow", queue)?.as_deref() {
            None => None,
            Some("drop-head") => Some(Overflow::DropHead),
            Some("reject-publish") => Some(Overflow::RejectPublish),
            Some("reject-publish-dlx") => Some(Overflow::RejectPublishDlx),
            Some(_) => return Err(invalid("x-overflow", queue, "invalid overflow")),
        },
        dead_letter_exchange: text(arguments, "x-dead-letter-exchange", queue)?,
        dead_letter_routing_key: text(arguments, "x-dead-letter-routing-key", queue)?,
        single_active_consumer: match arguments.get("x-single-active-consumer") {
            None => false,
            Some(Value::Bool(single)) => single,
            Some(_) => return Err(invalid("x-single-active-consumer", queue, "unacceptable type")),
        },
    };
    if options.expires == Some(Duration::ZERO) {
        return Err(invalid("x-expires", queue, "{value_zero,0}"));
    }
    if options.dead_letter_routing_key.is_some() && options.dead_letter_exchange.is_none() {
        let why = "routing_key_but_no_dlx_defined";
        return Err(invalid("x-dead-letter-routing-key", queue, why));
    }
    if let Some(most) = number(arguments, "x-max-priority", queue)?
        && most > 255
    {
        return Err(invalid("x-max-priority", queue, "{max_value_exceeded,255}"));
    }
    match text(arguments, "x-queue-type", queue)?.as_deref() {
        None | Some("classic") => {}
        Some("quorum") if durable && !exclusive => {}
        Some("quorum") => {
            let what = if durable { "exclusive" } else { "durable" };
            return Err(precondition(format!("invalid property '{what}' for queue '{queue}' in vhost '/'")));
        }
        Some(other) => {
            return Err(precondition(format!(
                "invalid arg 'x-queue-type' for queue '{queue}' in vhost '/': there are no queues of type '{other}'"
            )));
        }
    }
    Ok(options)
}

/// An exchange's `alternate-exchange`.
pub(super) fn alternate(exchange: &str, arguments: Table<'_>) -> Result<Option<Text>, Failure> {
    let Some(value) = arguments.get("alternate-exchange") else { return Ok(None) };
    value.as_str().filter(|name| !name.is_empty()).map(|name| Some(Text::from(name))).ok_or_else(|| {
        precondition(format!(
            "invalid arg 'alternate-exchange' for exchange '{exchange}' in vhost '/': unacceptable type"
        ))
    })
}

/// Which headers a binding asks for: `x-match` says whether all of them or any; names that begin with `x-` are not looked
/// at, unless it says so (RabbitMQ: all-with-x, any-with-x).
pub(super) fn headers_test(arguments: Table<'_>) -> Result<Option<HeadersTest>, Failure> {
    if arguments.is_empty() {
        return Ok(None);
    }
    let (any, with_x) = match arguments.get("x-match") {
        None => (false, false),
        Some(value) => match value.as_str() {
            Some("all") => (false, false),
            Some("any") => (true, false),
            Some("all-with-x") => (false, true),
            Some("any-with-x") => (true, true),
            _ => {
                let given = text_of(value).unwrap_or_default();
                return Err(precondition(format!(
                    "Invalid x-match field value {given}; expected all, any, all-with-x, or any-with-x"
                )));
            }
        },
    };
    let wanted = arguments
        .iter()
        .filter(|(name, _)| *name != "x-match" && (with_x || !name.starts_with("x-")))
        .map(|(name, value)| {
            let value = if value == Value::Void { None } else { text_of(value) };
            (Text::from(name), value)
        })
        .collect();
    Ok(Some(HeadersTest { any, wanted }))
}
