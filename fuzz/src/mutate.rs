//! A mutator without tools: it changes inputs at random, and keeps those that do something new.

use crate::Target;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Inputs are not grown beyond this.
const MOST: usize = 4_096;

/// Values that programs stumble over.
const TELLING: [u8; 14] =
    [0x00, 0x01, 0x02, 0x7f, 0x80, 0x81, 0xff, 0x04, 0x05, 0x10, 0x30, 0x26, b'/', b'#'];

/// Random numbers that a seed decides (xorshift64*).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that this seed decides.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next one.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.draw() >> 11) as usize % bound
    }
}

/// Changes an input in a few places.
fn change(input: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let inside = at.min(input.len().saturating_sub(1));
        match random.below(8) {
            0 if !input.is_empty() => input[inside] ^= 1 << random.below(8),
            1 if !input.is_empty() => input[inside] = TELLING[random.below(TELLING.len())],
            2 if !input.is_empty() => input[inside] = random.draw() as u8,
            3 => input.insert(at, TELLING[random.below(TELLING.len())]),
            4 if !input.is_empty() => {
                let end = (at + 1 + random.below(8)).min(input.len());
                input.drain(inside.min(end)..end);
            }
            5 => {
                let end = (at + random.below(32)).min(input.len());
                let copy = input[at.min(end)..end].to_vec();
                input.splice(at..at, copy);
            }
            6 => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            7 if input.len() > 1 => {
                input[inside] = input[inside].wrapping_add(random.below(3) as u8).wrapping_sub(1)
            }
            _ => input.truncate(at),
        }
    }
    input.truncate(MOST);
}

/// Runs an input; if it breaks a promise, says which input it was before the panic goes on.
pub fn run(target: Target, input: &[u8]) -> u64 {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).unwrap_or_else(|panic| {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("target {} fails on this input; keep it as fuzz/corpus/{0}/NAME:\n{hex}", target.name);
        resume_unwind(panic)
    })
}

/// Runs every input of `known` and then changed ones, `times` in all; returns those that did something new.
///
/// # Panics
/// If a promise is broken.
pub fn explore(target: Target, known: &[Vec<u8>], seed: u64, times: impl Fn(u64) -> bool) -> Vec<Vec<u8>> {
    let mut seen: HashSet<u64> = known.iter().map(|input| run(target, input)).collect();
    let mut inputs = if known.is_empty() { vec![Vec::new()] } else { known.to_vec() };
    let mut random = Random::new(seed);
    let mut turn = 0;
    while times(turn) {
        turn += 1;
        let mut input = inputs[random.below(inputs.len())].clone();
        change(&mut input, &inputs, &mut random);
        if seen.insert(run(target, &input)) {
            inputs.push(input);
        }
    }
    inputs.split_off(known.len().min(inputs.len()))
}
