//! What this process has cost so far, as the kernel counts it.

use std::time::Duration;
use std::{fs, io, thread};

/// CPU time of the main thread, to the nanosecond.
///
/// # Errors
/// If the kernel does not say (`/proc/self/schedstat`).
pub fn cpu_time() -> io::Result<Duration> {
    // the kernel brings the number up to date when a thread goes to sleep
    thread::sleep(Duration::from_millis(1));
    let text = fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
    nanoseconds.map(Duration::from_nanos).ok_or_else(|| unreadable("/proc/self/schedstat"))
}

/// CPU time of all threads, to a hundredth of a second.
///
/// # Errors
/// If the kernel does not say (`/proc/self/stat`).
pub fn cpu_time_of_all_threads() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/self/stat")?;
    // the name of the program stands in brackets and may hold anything; then follow state, ...
    let fields = text.rsplit_once(')').map(|(_, fields)| fields.split_whitespace().collect::<Vec<_>>());
    let ticks = |index: usize| fields.as_ref()?.get(index)?.parse::<u64>().ok();
    let (user, system) = ticks(11).zip(ticks(12)).ok_or_else(|| unreadable("/proc/self/stat"))?;
    Ok(Duration::from_millis((user + system) * 10))
}

/// The most memory that the process has had resident, in KiB.
///
/// # Errors
/// If the kernel does not say (`VmHWM` in `/proc/self/status`).
pub fn peak_kib() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|number| number.parse().ok());
    number.ok_or_else(|| unreadable("VmHWM in /proc/self/status"))
}

fn unreadable(what: &str) -> io::Error {
    io::Error::other(format!("{what} cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_costs_something() {
        let before = cpu_time().unwrap();
        assert!(cpu_time().unwrap() >= before);
        assert!(peak_kib().unwrap() > 100);
    }
}
