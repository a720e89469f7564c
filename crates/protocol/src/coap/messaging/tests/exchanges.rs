//! The memory of exchanges: bounded, small, and given back.

use super::*;

const LIFETIME: Duration = Duration::from_secs(247);

fn moment(millis: u64) -> Moment {
    Moment::from_micros(millis * 1_000)
}

/// A million things that posted once: far below 300 bytes each.
#[test]
fn an_exchange_costs_few_bytes_and_they_come_back() {
    const THINGS: u64 = 300_000;
    let mut exchanges = Exchanges::new(LIFETIME, usize::MAX, usize::MAX);
    let mut chance = Chance::new(1);
    for thing in 0..THINGS {
        exchanges.insert(moment(thing / 10), EndpointHash(chance.next()), thing as u16, Answer::of(&[7; 12]));
    }
    let bytes = exchanges.footprint() as u64 / THINGS;
    assert!(bytes <= 64, "{bytes} bytes");
    exchanges.expire(moment(THINGS / 20) + LIFETIME);
    assert!(exchanges.len() as u64 <= THINGS / 2);
    assert!(exchanges.footprint() as u64 / THINGS <= 40, "half of them are given back");
    exchanges.expire(moment(THINGS / 10) + LIFETIME);
    assert_eq!((exchanges.len(), exchanges.next_timeout()), (0, None));
    assert!(exchanges.footprint() < 50_000, "{}", exchanges.footprint());
}

#[test]
fn the_oldest_goes_when_there_are_too_many() {
    let mut exchanges = Exchanges::new(LIFETIME, 1_000, 10_000);
    let endpoint = EndpointHash(5);
    for id in 0..5_000 {
        exchanges.insert(moment(0), endpoint, id, Answer::of(&[]));
    }
    assert_eq!((exchanges.len(), exchanges.forgotten()), (1_000, 4_000));
    assert!(exchanges.find(moment(1), endpoint, 3_999).is_none());
    let position = exchanges.find(moment(1), endpoint, 4_000).unwrap();
    exchanges.set_answer(position, Answer::of(&[1; 5_000]));
    assert_eq!(exchanges.len(), 1_000);
    let position = exchanges.find(moment(1), endpoint, 4_999).unwrap();
    exchanges.set_answer(position, Answer::of(&[2; 5_000]));
    assert_eq!(exchanges.len(), 999, "answers count, too");
    assert_eq!(exchanges.answer(position).unwrap().bytes(), [2; 5_000]);
}

/// Against a simple model, at random: what is found is what was put in, and as long as it lives.
#[test]
fn what_is_remembered_is_what_a_simple_model_remembers() {
    use std::collections::HashMap;
    for seed in 0..20 {
        let mut chance = Chance::new(seed);
        let mut exchanges = Exchanges::new(Duration::from_millis(5_000), usize::MAX, usize::MAX);
        let mut model = HashMap::<(u64, u16), (u64, Vec<u8>)>::new();
        let mut now = u64::from(u32::MAX) - 10_000;
        for _ in 0..20_000 {
            now += chance.next() % 4;
            // Few endpoints of which some share what the index sees of them, counting up or at random.
            let endpoint = ((chance.next() % 4) << 60) | (chance.next() % 2);
            let id = (chance.next() % 600) as u16;
            let known = model.get(&(endpoint, id)).filter(|(came, _)| now - came < 5_000);
            let found = exchanges.find(moment(now), EndpointHash(endpoint), id);
            assert_eq!(found.is_some(), known.is_some(), "seed {seed}");
            match (found, known) {
                (Some(position), Some((_, answer))) => {
                    assert_eq!(exchanges.answer(position).unwrap().bytes(), answer, "seed {seed}");
                }
                _ => {
                    let answer = vec![id as u8; (chance.next() % 40) as usize];
                    let position =
                        exchanges.insert(moment(now), EndpointHash(endpoint), id, Answer::Awaited(0));
                    exchanges.set_answer(position, Answer::of(&answer));
                    model.insert((endpoint, id), (now, answer));
                }
            }
        }
    }
}
