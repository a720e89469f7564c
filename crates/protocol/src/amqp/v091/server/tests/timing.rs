//! Heartbeats, silence, and brakes.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn heartbeats_are_sent_if_nothing_else_is() {
    let mut link = Link::open_with(config(), 10);
    assert_eq!(link.server.next_timeout(), Some(link.now.moment + 5 * SECOND));
    // What was said in opening counts.
    link.wait(5 * SECOND);
    link.read();
    link.send_bytes(&[8, 0, 0, 0, 0, 0, 0, 206]);
    link.wait(5 * SECOND);
    assert_eq!(link.read(), [Heard::Heartbeat]);
    link.open_channel(1);
    link.wait(5 * SECOND);
    assert_eq!(link.read(), [], "channel.open-ok was said");
}

#[test]
fn two_silent_intervals_end_the_connection_without_a_word() {
    let mut link = Link::open_with(config(), 10);
    for _ in 0..4 {
        assert!(!link.closed);
        link.wait(5 * SECOND);
    }
    assert!(link.closed);
    assert!(matches!(link.intent(), Intent::Close(close) if close.cause == CloseCause::KeepAlive));
    assert!(link.read().iter().all(|heard| *heard == Heard::Heartbeat));
}

#[test]
fn no_heartbeat_is_no_bound() {
    let link = Link::open_with(config(), 0);
    assert_eq!(link.server.next_timeout(), None);
}

#[test]
fn opening_takes_no_longer_than_it_may() {
    let mut link = Link::new(config());
    link.wait(4 * SECOND);
    assert!(!link.closed);
    link.wait(SECOND);
    assert!(link.closed);
    assert_eq!(link.server.close_cause(), Some(&CloseCause::NoOpen));
}

#[test]
fn a_brake_that_lasts_is_told_and_its_silence_is_ours() {
    let mut link = Link::open_with(config(), 2);
    assert!(!link.server.handle_pause(link.now));
    link.wait(SECOND);
    let heard = link.read();
    assert!(heard.iter().any(|heard| is(heard, "ConnectionBlocked")), "{heard:?}");
    for _ in 0..20 {
        link.wait(SECOND);
    }
    assert!(!link.closed, "nobody listened to it");
    assert!(link.read().contains(&Heard::Heartbeat), "it is told that we are there");
    link.server.handle_resume(link.now);
    assert!(link.read_one().contains("ConnectionUnblocked"));

    assert!(!link.server.handle_pause(link.now));
    link.server.handle_resume(link.now);
    assert_eq!(link.read(), [], "short brakes are the socket's");
}
