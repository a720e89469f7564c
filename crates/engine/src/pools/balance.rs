//! Balance: which member gets the next message.

use super::member::Member;
use windrose_event::Moment;
use windrose_policy::Balance;

/// Picks a member, or none if all rest or have all the requests that they may.
///
/// One that has rested comes first, with a single message as its probe. `avoid`, where the message failed last, is
/// picked only if no other can be. `turn` goes round, so that equals are picked in turn.
pub(super) fn pick(
    members: &[Member],
    balance: Balance,
    max_in_flight: u32,
    avoid: Option<usize>,
    turn: &mut usize,
    now: Moment,
) -> Option<usize> {
    let count = members.len();
    if count == 0 {
        return None;
    }
    let start = *turn % count;
    // The first of equals is the one whose turn it is.
    let (mut probe, mut best, mut avoided) = (None, None, None);
    for step in 0..count {
        let index = if start + step < count { start + step } else { start + step - count };
        let member = &members[index];
        if member.in_flight >= max_in_flight {
            continue;
        }
        if member.is_well() {
            let best = if Some(index) == avoid { &mut avoided } else { &mut best };
            let is_better = |known: usize| {
                balance == Balance::LeastOutstanding && member.in_flight < members[known].in_flight
            };
            if best.is_none_or(is_better) {
                *best = Some(index);
            }
        } else if probe.is_none() && member.wants_probe(now) {
            probe = Some(index);
        }
    }
    let picked = probe.filter(|index| Some(*index) != avoid).or(best).or(probe).or(avoided)?;
    *turn = picked + 1;
    Some(picked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(in_flight: &[u32]) -> Vec<Member> {
        let member = |in_flight: &u32| {
            let mut member = Member::new("http://x".into(), 0);
            member.in_flight = *in_flight;
            member
        };
        in_flight.iter().map(member).collect()
    }

    #[test]
    fn members_are_picked_in_turn_or_by_what_they_have_to_do() {
        let mut turn = 0;
        let mut picks = |members: &[Member], balance, avoid| {
            pick(members, balance, 10, avoid, &mut turn, Moment::default())
        };
        let equal = members(&[0, 0, 0]);
        let round: Vec<_> = (0..4).filter_map(|_| picks(&equal, Balance::RoundRobin, None)).collect();
        assert_eq!(round, [0, 1, 2, 0]);
        let round: Vec<_> = (0..3).filter_map(|_| picks(&equal, Balance::LeastOutstanding, None)).collect();
        assert_eq!(round, [1, 2, 0], "equals in turn");
        let unequal = members(&[5, 1, 10]);
        assert_eq!(picks(&unequal, Balance::LeastOutstanding, None), Some(1));
        assert_eq!(picks(&unequal, Balance::LeastOutstanding, Some(1)), Some(0), "it failed there");
        assert_eq!(picks(&members(&[3]), Balance::RoundRobin, Some(0)), Some(0), "there is no other");
        assert_eq!(picks(&members(&[10, 10]), Balance::RoundRobin, None), None, "all are busy");
        assert_eq!(picks(&[], Balance::RoundRobin, None), None);
    }
}
