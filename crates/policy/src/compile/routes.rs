//! `routes`: which events go where.

use super::pools::Pools;
use super::{Names, amqp_pools, entries, unknown_name};
use crate::condition::Condition;
use crate::document::{Located, Optional, Reading};
use crate::keys::RouteKeys;
use crate::snapshot::{Promise, Route};
use std::sync::Arc;
use std::time::Duration;
use windrose_event::{Filter, Template};

pub(super) fn routes(
    section: Optional<Vec<Located<RouteKeys>>>,
    pools: &Pools,
    reading: &mut Reading<'_>,
) -> Vec<Arc<Route>> {
    let mut names = Names(Vec::new());
    let entries = entries(section).into_iter();
    entries.filter_map(|keys| route(keys.value, pools, &mut names, reading)).map(Arc::new).collect()
}

fn route(keys: RouteKeys, pools: &Pools, names: &mut Names, reading: &mut Reading<'_>) -> Option<Route> {
    if let Some(name) = &keys.name.0 {
        names.take("route", name, reading);
    }
    let filter = keys.r#match.0.and_then(|text| match Filter::new(&text.value) {
        Ok(filter) => Some(filter),
        Err(error) => {
            reading.mistake(&text.at, format!("this is not a filter: {error}"));
            None
        }
    });
    let condition = keys.when.0.and_then(|text| condition(&text, reading));
    let named = keys.deliver.get().and_then(|deliver| deliver.pool.0);
    let to_pool = named.is_some();
    let pool = named.and_then(|name| {
        let found = pools.names.iter().position(|pool| *pool == name.value);
        if found.is_none() {
            let names = pools.names.iter().map(String::as_str);
            unknown_name("pool", &name.value, &name.at, names, reading);
        }
        found
    });
    if let Some(promise) = &keys.acknowledge.0
        && promise.value == Promise::Delivered
        && !to_pool
    {
        let help = "add `deliver: {pool: NAME}`, or write `acknowledge: received`";
        reading
            .mistake(&promise.at, "without a pool there is nobody whose answer could be waited for")
            .help(help);
    }
    if let Some(at) = keys.r#as.at()
        && !to_pool
    {
        let help = "add `deliver: {pool: NAME}`, or take `as` out";
        reading
            .mistake(at, "subscribers get payloads as they came: only pools get them otherwise")
            .help(help);
    }
    let promise = if to_pool { Promise::Delivered } else { Promise::Received };
    Some(Route {
        name: keys.name.0?.value.0.into(),
        filter: filter?,
        condition,
        pool,
        as_json: keys.r#as.get().is_some(),
        acknowledge: keys.acknowledge.or(promise),
        deadline: keys.deadline.get().map_or(Duration::from_secs(30), |wait| wait.0),
        reply_to: keys
            .reply_to
            .at()
            .is_some()
            .then(|| amqp_pools::template(keys.reply_to, Template::address(), reading)),
        subscribers: keys.subscribers.or(true),
        stop: keys.stop.or(false),
    })
}

fn condition(text: &Located<String>, reading: &mut Reading<'_>) -> Option<Condition> {
    match Condition::new(&text.value) {
        Ok(condition) => Some(condition),
        Err(errors) => {
            for error in errors {
                let at = match error.part {
                    Some(part) => reading.within(&text.at, &text.value, part),
                    None => text.at.clone(),
                };
                let mistake = reading.mistake(&at, error.message);
                if let Some(help) = error.help {
                    mistake.help(help);
                }
            }
            None
        }
    }
}
