//! REST and CloudEvents, as pure mappings between HTTP messages and events.
