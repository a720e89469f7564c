//! Via: which nodes an event has come through, so that nodes joined in a ring do not pass it on for ever.

use crate::Text;

/// The header (MQTT 5: User Property) that names a node that sent the event on; one for each node, in order.
pub const VIA: &str = "windrose-via";

/// The most nodes that an event may have come through.
const MOST_NODES: usize = 16;

/// Whether an event with these headers has been at `node` before, or has come through more nodes than is sensible.
pub fn has_passed(headers: &[(Text, Text)], node: &str) -> bool {
    let mut nodes = 0;
    for (_, name) in headers.iter().filter(|(name, _)| name.as_bytes() == VIA.as_bytes()) {
        nodes += 1;
        if name.as_bytes() == node.as_bytes() || nodes > MOST_NODES {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_knows_what_it_has_sent_on_and_a_long_way_ends() {
        let via = |node: &str| (Text::from_static(VIA), Text::from(node));
        let other = (Text::from_static("name"), Text::from("here"));
        assert!(!has_passed(&[via("there"), other], "here"));
        assert!(has_passed(&[via("there"), via("here")], "here"));
        let far: Vec<_> = (0..MOST_NODES).map(|node| via(&node.to_string())).collect();
        assert!(!has_passed(&far, "here"));
        assert!(has_passed(&[far, vec![via("x")]].concat(), "here"));
    }
}
