//! An event as an expression sees it.

use cel::Value;
use cel::common::types::{CelBool, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use std::collections::HashMap;
use std::sync::OnceLock;
use windrose_event::Event;

/// The fields of `event`.
pub(super) const FIELDS: [&str; 13] = [
    "address",
    "levels",
    "size",
    "content_type",
    "headers",
    "retain",
    "assurance",
    "device",
    "owner",
    "session",
    "protocol",
    "listener",
    "json",
];

/// Answers an expression's questions about one event, each when it is asked.
pub(super) struct View<'e> {
    event: &'e Event,
    json: OnceLock<Box<dyn Val>>,
}

impl<'e> View<'e> {
    pub(super) fn new(event: &'e Event) -> Self {
        Self { event, json: OnceLock::new() }
    }

    fn headers(&self) -> CelMap<'e> {
        let mut headers: HashMap<CelMapKey<'e>, Box<dyn Val + 'e>> = HashMap::new();
        for (name, value) in self.event.headers() {
            headers.insert(CelMapKey::from(name.as_str()), Box::new(CelString::from(value.as_str())));
        }
        CelMap::from(headers)
    }

    fn levels(&self) -> CelList<'e> {
        let levels = self.event.address.levels();
        CelList::from(
            levels.map(|level| Box::new(CelString::from(level)) as Box<dyn Val + 'e>).collect::<Vec<_>>(),
        )
    }

    fn json(&self) -> &(dyn Val + 'static) {
        self.json
            .get_or_init(|| {
                let value = serde_json::from_slice(&self.event.payload).map_or(Value::Null, value_of);
                // What JSON can say, CEL can hold: the fallback is for the type only.
                Box::<dyn Val>::try_from(value).unwrap_or_else(|_| Box::new(CelNull))
            })
            .as_ref()
    }
}

impl VariableResolver for View<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let event = self.event;
        let text = |text: &'b str| Some(CowVal::owned(CelString::from(text)));
        match variable.strip_prefix("event.")? {
            "address" => text(event.address.as_str()),
            "levels" => Some(CowVal::owned(self.levels())),
            "size" => {
                Some(CowVal::owned(CelInt::from(i64::try_from(event.payload.len()).unwrap_or(i64::MAX))))
            }
            "content_type" => text(event.content_type().map_or("", |content_type| content_type.as_str())),
            "headers" => Some(CowVal::owned(self.headers())),
            "retain" => Some(CowVal::owned(CelBool::from(event.retain))),
            "assurance" => Some(CowVal::owned(CelInt::from(event.assurance as i64))),
            "device" => text(event.origin.identity.device().map_or("", |device| &**device)),
            "owner" => text(event.origin.identity.owner().map_or("", |owner| &**owner)),
            "session" => text(&event.origin.session),
            "protocol" => text(event.origin.protocol),
            "listener" => text(&event.origin.listener),
            "json" => Some(CowVal::Borrowed(self.json())),
            _ => None,
        }
    }
}

/// JSON as CEL knows it. Whole numbers are `int` where they fit, so that they calculate with the expression's own.
fn value_of(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (_, Some(number)) => Value::UInt(number),
            _ => Value::Float(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::String(text.into()),
        serde_json::Value::Array(items) => {
            Value::List(items.into_iter().map(value_of).collect::<Vec<_>>().into())
        }
        serde_json::Value::Object(entries) => {
            let entries: HashMap<_, _> =
                entries.into_iter().map(|(key, value)| (key, value_of(value))).collect();
            entries.into()
        }
    }
}
