//! What the system says of a process: its processor time and its memory, threads and descendants included.

use crate::Result;
use std::fs;

/// Clock ticks of a second in `/proc` (`USER_HZ`, which Linux keeps at 100 for programs).
const TICKS: f64 = 100.0;

/// By how much counts in ticks and in nanoseconds may differ when both are of the same threads.
const AGREE: f64 = 0.05;

/// Processor time spent so far by a process and all that descend from it, in seconds (user and system, all threads).
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let (ticks, precise) = (by_ticks(pid)?, by_scheduler(pid));
    // The scheduler's own count has no ticks, but leaves out threads and processes that are gone.
    Ok(if precise + AGREE >= ticks { precise } else { ticks })
}

/// What the scheduler says of all threads that live.
fn by_scheduler(pid: u32) -> f64 {
    let threads = family(pid).into_iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
    let nanoseconds = threads.flatten().flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    nanoseconds.sum::<u64>() as f64 / 1e9
}

fn by_ticks(pid: u32) -> Result<f64> {
    let mut ticks = 0;
    for stat in read_family(pid, "stat")? {
        // The program's name stands in parentheses and may contain anything.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        // utime, stime, and the same of children that are gone (proc(5): fields 14 to 17).
        for number in 14..=17 {
            ticks += fields.get(number - 3).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(ticks as f64 / TICKS)
}

/// Resident memory of a process and all that descend from it, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let mut kilobytes = 0;
    for status in read_family(pid, "status")? {
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        kilobytes += line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0);
    }
    Ok(kilobytes * 1024)
}

/// The processor's model and how many cores this process may use.
pub(crate) fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores of {}", model.unwrap_or(std::env::consts::ARCH).trim())
}

/// The kernel's release.
pub(crate) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// A process and all that descend from it, itself first.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&pid) = family.get(next) {
        next += 1;
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    family
}

/// A file of a process and of all that descend from it. A descendant that has ended meanwhile is left out: what it spent
/// is in its parent's count.
fn read_family(pid: u32, file: &str) -> Result<Vec<String>> {
    let read = |pid: u32| fs::read_to_string(format!("/proc/{pid}/{file}"));
    let own = read(pid)
        .map_err(|error| format!("the server's process {pid} cannot be measured (did it end?): {error}"))?;
    let descendants = family(pid).into_iter().skip(1).filter_map(|pid| read(pid).ok());
    Ok(std::iter::once(own).chain(descendants).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn time_and_memory_of_this_process_are_seen() {
        let before = cpu_seconds(std::process::id()).unwrap();
        let mut number = 1_u64;
        while cpu_seconds(std::process::id()).unwrap() < before + 0.05 {
            (0..100_000).for_each(|step| number = std::hint::black_box(number.wrapping_mul(31) + step));
        }
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
    }

    #[test]
    fn a_childs_child_is_in_the_family() {
        let mut shell =
            Command::new("sh").args(["-c", "sleep 20 & echo; wait"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = [0];
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut line).unwrap();
        let family = family(shell.id());
        assert_eq!(family.len(), 2, "{family:?}");
        Command::new("kill").arg(family[1].to_string()).status().unwrap();
        shell.wait().unwrap();
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(cpu_seconds(u32::MAX).unwrap_err().to_string().contains("cannot be measured"));
    }
}
