//! `mutate TARGET SECONDS [KEEP]`: looks for inputs that break a target's promises, without any tools. With KEEP it adds to
//! the corpus the seeds, and about that many inputs, of every length, that did something new.

use std::time::{Duration, Instant, SystemTime};
use windrose_fuzz::{TARGETS, corpus, mutate, target};

/// No longer input is added to a corpus.
const LONGEST: usize = 400;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let names = || TARGETS.map(|target| target.name).join(", ");
    let target =
        target(&name).ok_or_else(|| format!("there is no target {name:?}: choose one of {}", names()))?;
    let seconds = arguments.next().map_or(Ok(60), |seconds| seconds.parse())?;
    let keep: Option<usize> = arguments.next().map(|keep| keep.parse()).transpose()?;
    let mut known = corpus::read(target).unwrap_or_default();
    known.extend((target.seeds)());
    let until = Instant::now() + Duration::from_secs(seconds);
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos() as u64;
    let turns = std::cell::Cell::new(0);
    let mut new = mutate::explore(target, &known, seed, |turn| {
        turns.set(turn);
        Instant::now() < until
    });
    println!("{name}: {} inputs, {} new behaviours, all promises kept", turns.get(), new.len());
    if let Some(keep) = keep {
        new.retain(|input| input.len() <= LONGEST);
        new.sort_by_key(Vec::len);
        let step = new.len().div_ceil(keep.max(1)).max(1);
        corpus::write(target, &(target.seeds)())?;
        corpus::write(target, &new.into_iter().step_by(step).collect::<Vec<_>>())?;
    }
    Ok(())
}
