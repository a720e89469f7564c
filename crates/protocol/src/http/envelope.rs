//! Events whose payload is a CloudEvent already.

use super::body::read_structured;
use super::media;
use std::borrow::Cow;
use windrose_event::Event;

/// The event itself, unless its payload is a CloudEvents envelope (a sender that speaks structured mode, CloudEvents MQTT
/// binding §3.2): then the event inside. An envelope passed on as it is would let its sender write the attributes that are
/// always ours.
pub(super) fn open(event: &Event) -> Cow<'_, Event> {
    let Some(content_type) = event.content_type().filter(|given| media::is_cloudevents(given)) else {
        return Cow::Borrowed(event);
    };
    let mut opened = event.clone();
    let inside = media::essence(content_type)
        .eq_ignore_ascii_case(media::essence(media::STRUCTURED))
        .then(|| read_structured(&event.payload).ok())
        .flatten();
    let mut details = opened.details.take().unwrap_or_default();
    // What cannot be understood is bytes without a type.
    details.content_type = None;
    if let Some(inside) = inside {
        opened.payload = inside.payload;
        details.content_type = inside.details.content_type;
        details.headers.splice(0..0, inside.details.headers);
    }
    opened.details = Some(details);
    Cow::Owned(opened)
}
