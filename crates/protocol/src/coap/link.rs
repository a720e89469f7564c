//! Links to last values, in CoRE Link Format (RFC 6690), and the queries that pick some of them.

use super::format;
use crate::uri::SEGMENT;
use percent_encoding::utf8_percent_encode;
use std::fmt::Write;
use windrose_event::{Event, Filter, Text};

/// Attributes that a link has if the value's sender gave them as Uri-Query (RFC 6690 §3, RFC 8288 §3.4).
const GIVEN: [&str; 3] = ["rt", "if", "title"];

/// Which links are wanted (RFC 6690 §4.1). Of several conditions all must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkQuery(Vec<Condition>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    name: String,
    /// `None`: the attribute is there, whatever it says.
    value: Option<Wanted>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Exactly(String),
    /// The pattern ended with `*`.
    Prefix(String),
}

impl Wanted {
    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exactly(wanted) => value == wanted,
            Self::Prefix(wanted) => value.starts_with(wanted.as_str()),
        }
    }
}

impl LinkQuery {
    /// Reads Uri-Query options.
    pub fn parse<'a>(queries: impl Iterator<Item = &'a str>) -> Self {
        let condition = |query: &'a str| {
            let (name, value) =
                query.split_once('=').map_or((query, None), |(name, value)| (name, Some(value)));
            let value = value.map(|value| match value.strip_suffix('*') {
                Some(prefix) => Wanted::Prefix(prefix.into()),
                None => Wanted::Exactly(value.into()),
            });
            Condition { name: name.into(), value }
        };
        Self(queries.map(condition).collect())
    }

    /// The addresses among which all that are wanted are: those under the path that `href` begins with.
    pub fn filter(&self) -> Option<Filter> {
        let under = self.0.iter().filter(|condition| condition.name == "href").find_map(|condition| {
            match condition.value.as_ref()? {
                Wanted::Exactly(path) => Some(path.strip_prefix('/')?.to_owned()),
                // What is behind the last `/` is the beginning of a level.
                Wanted::Prefix(path) => {
                    let (parent, _) = path.strip_prefix('/')?.rsplit_once('/')?;
                    Some(format!("{parent}/#"))
                }
            }
        });
        // Clients undo the encoding of queries, but for those that do not.
        let under = under.filter(|path| !path.contains(['%', '+']));
        under.and_then(|path| Filter::new(&path).ok()).or_else(|| Filter::new("#").ok())
    }

    /// Appends the link to a last value, behind a comma if it is not the first, if it is wanted.
    pub fn write(&self, event: &Event, out: &mut String) {
        let mut target = String::with_capacity(event.address.as_bytes().len() + 1);
        for level in event.address.levels() {
            target.push('/');
            target.extend(utf8_percent_encode(level, SEGMENT));
        }
        let link = Link {
            target: &target,
            address: event.address.as_str(),
            given: event.headers(),
            format: format_of(event),
            size: Some(event.payload.len()),
        };
        self.write_link(&link, out);
    }

    /// Appends the link to the resource directory where things register (RFC 9176 §4), if it is wanted.
    pub fn write_directory(&self, out: &mut String) {
        let given = [(Text::from_static("rt"), Text::from_static("core.rd"))];
        let format = Some(format::LINK_FORMAT);
        self.write_link(&Link { target: "/rd", address: "rd", given: &given, format, size: None }, out);
    }

    /// Appends the links to the authority (RFC 9148 §4.1), as far as they are wanted.
    pub fn write_enrolment(&self, out: &mut String) {
        for (name, resource_type, format) in [
            ("crts", "ace.est.crts", Some(format::CERTIFICATES)),
            ("sen", "ace.est.sen", Some(format::CERTIFICATES)),
            ("sren", "ace.est.sren", Some(format::CERTIFICATES)),
            ("att", "ace.est.att", Some(format::CSR_ATTRIBUTES)),
        ] {
            let given = [(Text::from_static("rt"), Text::from_static(resource_type))];
            let target = format!("/.well-known/est/{name}");
            let address = target.trim_start_matches('/');
            self.write_link(&Link { target: &target, address, given: &given, format, size: None }, out);
        }
    }

    fn write_link(&self, link: &Link<'_>, out: &mut String) {
        if self.0.iter().all(|condition| link.meets(condition)) {
            link.write(out);
        }
    }
}

/// The number of a value's content format, if its sender said what it is and there is one.
pub fn format_of(event: &Event) -> Option<u16> {
    match event.content_type() {
        Some(media_type) => format::number(media_type),
        None => event
            .details
            .as_ref()
            .is_some_and(|details| details.is_text == Some(true))
            .then_some(format::TEXT),
    }
}

struct Link<'a> {
    target: &'a str,
    address: &'a str,
    /// Named values, some of which are attributes.
    given: &'a [(Text, Text)],
    format: Option<u16>,
    /// Of a last value, which can be observed.
    size: Option<usize>,
}

impl Link<'_> {
    fn given(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    fn meets(&self, Condition { name, value }: &Condition) -> bool {
        let is = |text: &str| value.as_ref().is_none_or(|wanted| wanted.matches(text));
        match name.as_str() {
            // As it is written, or as the address reads: clients undo the encoding of queries.
            "href" => {
                is(self.target)
                    || value.as_ref().is_some_and(|wanted| wanted.matches(&format!("/{}", self.address)))
            }
            "ct" => self.format.is_some_and(|format| is(&format.to_string())),
            "sz" => self.size.is_some_and(|size| is(&size.to_string())),
            "obs" => value.is_none() && self.size.is_some(),
            "title" => self.given("title").is_some_and(is),
            // A list of values: one that matches is enough (RFC 6690 §4.1).
            "rt" | "if" => self.given(name).is_some_and(|given| given.split(' ').any(is)),
            _ => false,
        }
    }

    fn write(&self, out: &mut String) {
        if !out.is_empty() {
            out.push(',');
        }
        // Writing to a string does not fail.
        let _ = write!(out, "<{}>", self.target);
        for name in GIVEN {
            if let Some(value) = self.given(name) {
                let _ = write!(out, ";{name}=");
                quote(value, out);
            }
        }
        if let Some(format) = self.format {
            let _ = write!(out, ";ct={format}");
        }
        if let Some(size) = self.size {
            let _ = write!(out, ";sz={size};obs");
        }
    }
}

/// A quoted string (RFC 2616 §2.2, by RFC 6690 §2).
fn quote(value: &str, out: &mut String) {
    out.push('"');
    for character in value.chars().filter(|character| !character.is_control()) {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;
    use std::sync::Arc;
    use windrose_event::{Address, Assurance, Details, EventId, Identity, Origin, Timestamp};

    fn event(address: &str, content_type: Option<&str>, headers: &[(&str, &str)]) -> Event {
        let details = Details {
            content_type: content_type.map(Into::into),
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            ..Details::default()
        };
        Event {
            id: EventId::new(Timestamp::default(), 0, 0),
            time: Timestamp::default(),
            address: Address::new(address).unwrap(),
            origin: Arc::new(Origin {
                identity: Identity::anonymous(),
                session: "s".into(),
                protocol: "test",
                listener: "l".into(),
            }),
            assurance: Assurance::AtMostOnce,
            retain: true,
            expires: None,
            payload: Bytes::from_static(b"21.5"),
            details: Some(Box::new(details)),
        }
    }

    /// The links of some values that a query picks.
    fn links(query: &[&str]) -> String {
        let all = [
            event(
                "sensors/temp",
                Some("application/json"),
                &[("rt", "temperature-c core.s"), ("if", "sensor")],
            ),
            event("sensors/light", None, &[("rt", "light-lux")]),
            event("a b/\"c\"", Some("image/webp"), &[("title", "say \"hi\"\n")]),
        ];
        let mut out = String::new();
        let query = LinkQuery::parse(query.iter().copied());
        for event in &all {
            query.write(event, &mut out);
        }
        out
    }

    const TEMP: &str = "</sensors/temp>;rt=\"temperature-c core.s\";if=\"sensor\";ct=50;sz=4;obs";
    const LIGHT: &str = "</sensors/light>;rt=\"light-lux\";sz=4;obs";
    const ODD: &str = "</a%20b/%22c%22>;title=\"say \\\"hi\\\"\";sz=4;obs";

    #[test]
    fn links_are_written_with_what_is_known_of_their_values() {
        assert_eq!(links(&[]), format!("{TEMP},{LIGHT},{ODD}"));
    }

    #[test]
    fn a_path_narrows_what_is_looked_at() {
        for (query, expected) in [
            ("href=/sensors/temp", "sensors/temp"),
            ("href=/sensors/te*", "sensors/#"),
            ("href=/sensors/7/*", "sensors/7/#"),
            ("href=/sensors*", "#"),
            ("href=*", "#"),
            ("href=/a%20b/c*", "#"),
            ("href=/a/+/c*", "#"),
            ("href=/#/c", "#"),
            ("rt=x", "#"),
        ] {
            assert_eq!(LinkQuery::parse([query].into_iter()).filter(), Filter::new(expected).ok(), "{query}");
        }
    }

    #[test]
    fn queries_pick_links() {
        // RFC 6690 §4.1 and §5, their examples among them.
        for (query, expected) in [
            (&["rt=light-lux"][..], LIGHT),
            (&["rt=core.s"], TEMP),
            (&["rt=temperature*"], TEMP),
            (&["rt=temperature"], ""),
            (&["if=sensor"], TEMP),
            (&["href=/sensors/light"], LIGHT),
            (&["href=/sensors*", "rt=light*"], LIGHT),
            (&["href=/a b*"], ODD),
            (&["href=/a%20b*"], ODD),
            (&["ct=50"], TEMP),
            (&["ct=5"], ""),
            (&["title=say*"], ODD),
            (&["sz=5"], ""),
            (&["obs", "rt=light-lux"], LIGHT),
            (&["colour=red"], ""),
            (&["=", "*"], ""),
        ] {
            assert_eq!(links(query), expected, "{query:?}");
        }
        assert_eq!(links(&["rt=*"]), format!("{TEMP},{LIGHT}"));
        assert_eq!(links(&["sz=4"]), links(&[]));
        let mut out = String::new();
        LinkQuery::parse(["rt=core.rd"].into_iter()).write_directory(&mut out);
        assert_eq!(out, "</rd>;rt=\"core.rd\";ct=40");
    }
}
