//! The transport is cut at every byte of either direction: nothing is lost, and what is exactly once comes exactly once.

use super::broker::Pair;
use super::*;

/// Everything that a pair does, with the transport cut once after so many bytes.
fn scene(version: Version, fuse: [usize; 2]) -> (Pair, bool) {
    let mut pair = Pair::new(version, fuse);
    let qos = [Assurance::AtLeastOnce, Assurance::ExactlyOnce];
    for (tag, assurance) in [1, 2, 3, 4].into_iter().zip(qos.into_iter().cycle()) {
        pair.deliver(tag, event("down", &format!("{assurance:?} {tag}"), assurance));
    }
    let mut cut = false;
    let mut connections = 0;
    loop {
        connections += 1;
        assert!(connections < 5, "cut at {fuse:?}: it goes on for ever");
        pair.connect();
        if connections == 1 {
            for (token, assurance) in (0..6).zip(qos.into_iter().cycle()) {
                pair.publish(token, event("up", &format!("{assurance:?} {token}"), assurance));
            }
        }
        let whole = pair.run();
        if whole {
            return (pair, cut);
        }
        if pair.fuse.contains(&0) {
            cut = true;
            pair.fuse = [usize::MAX; 2];
        }
        // What was given back because it was never sent is published again, as a pool does.
        for (token, outcome) in std::mem::take(&mut pair.settled) {
            match outcome {
                Outcome::Accepted => pair.settled.push((token, outcome)),
                _ => {
                    let assurance = qos[token as usize % 2];
                    pair.publish(token, event("up", &format!("{assurance:?} {token}"), assurance));
                }
            }
        }
    }
}

fn check(pair: &Pair, at: &str) {
    let mut settled: Vec<_> = pair.settled.iter().map(|(token, _)| *token).collect();
    settled.sort_unstable();
    assert_eq!(settled, [0, 1, 2, 3, 4, 5], "{at}: each is settled once");
    assert!(pair.client.is_settled(), "{at}");
    for (all, here) in [(&pair.session.taken, "broker"), (&pair.messages, "client")] {
        let numbers = if here == "broker" { 0..6 } else { 1..5 };
        for number in numbers {
            let own: Vec<_> = all.iter().filter(|text| text.ends_with(&format!(" {number}"))).collect();
            assert!(!own.is_empty(), "{at}: {number} is lost at the {here}");
            if own[0].starts_with("Exactly") {
                assert_eq!(own.len(), 1, "{at}: {number} came twice to the {here}");
            }
        }
    }
}

#[test]
fn nothing_is_lost_or_doubled_wherever_the_transport_is_cut() {
    for version in [Version::V5, Version::V3] {
        for direction in 0..2 {
            for bytes in 1.. {
                let mut fuse = [usize::MAX; 2];
                fuse[direction] = bytes;
                let (pair, cut) = scene(version, fuse);
                check(&pair, &format!("{version:?}, cut at {fuse:?}"));
                if !cut {
                    assert!(bytes > 50, "the transport was cut now and then");
                    break;
                }
            }
        }
    }
}
