//! What the system says of this process, for metrics.

use windrose_control::ProcessFacts;
use windrose_storage::read_file;

/// Clock ticks of a second in `/proc` (`USER_HZ`, which Linux keeps at 100 for programs).
const TICKS: f64 = 100.0;

/// Bytes of a page.
const PAGE: u64 = 4_096;

/// Reads the process's memory, processor time and open files; `None` where the system does not say.
pub(crate) fn facts() -> Option<ProcessFacts> {
    let text = |path: &str| read_file(path.as_ref()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let stat = text("/proc/self/stat")?;
    // The program's name stands in parentheses and may contain anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u64>().ok());
    let boot = text("/proc/stat")?
        .lines()
        .find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok())?;
    let resident = text("/proc/self/statm")?.split_whitespace().nth(1)?.parse::<u64>().ok()?;
    let ticks = |count: u64| count as f64 / TICKS;
    Some(ProcessFacts {
        resident_bytes: resident * PAGE,
        cpu_seconds: ticks(field(14)? + field(15)?),
        open_fds: windrose_storage::count_entries("/proc/self/fd".as_ref()).unwrap_or(0),
        start_seconds: boot as f64 + ticks(field(22)?),
    })
}
