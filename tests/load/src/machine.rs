//! What the operating system says about processes, and where they run. Linux only: CPU time comes from `schedstat`,
//! which counts nanoseconds, memory from `/proc`.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Core of the server under load.
pub(crate) const SERVER_CORE: usize = 0;

/// Core of the load generator, where there are two.
pub(crate) const GENERATOR_CORE: usize = 1;

/// Cores that this process may use, counted before it was pinned to one: ask once before that.
pub(crate) fn cores() -> usize {
    static CORES: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));
    *CORES
}

/// Keeps this thread, and the processes that it starts from now on, on one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on core {core}"))
}

/// Lets this process and its children have as many descriptors as the system allows. Returns that number.
pub(crate) fn raise_descriptor_limit() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit of open files")?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// CPU time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}

/// CPU time of a process by thread, in nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct CpuMark(BTreeMap<u32, u64>);

impl CpuMark {
    /// The time spent until now. Exact for threads that wait, up to a tick late for those that run.
    pub(crate) fn take(pid: u32) -> Result<Self> {
        let mut threads = BTreeMap::new();
        for entry in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = entry?.path();
            // A thread may end between the listing and here. It was idle for seconds before, so nothing is lost.
            let Ok(text) = std::fs::read_to_string(path.join("schedstat")) else {
                continue;
            };
            let id = path.file_name().and_then(|name| name.to_str());
            let spent = text.split_ascii_whitespace().next();
            if let (Some(id), Some(spent)) = (id, spent) {
                threads.insert(id.parse()?, spent.parse()?);
            }
        }
        Ok(Self(threads))
    }

    /// Nanoseconds spent since `earlier`, user and system.
    pub(crate) fn since(&self, earlier: &Self) -> u64 {
        let of = |(id, now): (&u32, &u64)| now - earlier.0.get(id).copied().unwrap_or(0).min(*now);
        self.0.iter().map(of).sum()
    }
}

/// Resident memory of a process in KiB, counted page by page.
pub(crate) fn rss_kib(pid: u32) -> Result<u64> {
    field_kib(&format!("/proc/{pid}/smaps_rollup"), "Rss:")
}

/// The most resident memory that a process ever had, in KiB.
pub(crate) fn peak_rss_kib(pid: u32) -> Result<u64> {
    field_kib(&format!("/proc/{pid}/status"), "VmHWM:")
}

fn field_kib(path: &str, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    parse_field(&text, name).with_context(|| format!("no {name} in {path}"))
}

fn parse_field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let text = "VmPeak:\t  10 kB\nVmHWM:\t     312 kB\nVmRSS:\t 300 kB\n";
        for (name, expected) in [("VmHWM:", Some(312)), ("VmRSS:", Some(300)), ("Rss:", None)] {
            assert_eq!(parse_field(text, name), expected, "{name}");
        }
    }

    #[test]
    fn cpu_of_new_and_old_threads_counts() {
        let mark = |threads: &[(u32, u64)]| CpuMark(threads.iter().copied().collect());
        let before = mark(&[(1, 100), (2, 50), (3, 7)]);
        // Thread 2 has ended, 4 is new, 3 did nothing.
        let after = mark(&[(1, 160), (3, 7), (4, 5)]);
        assert_eq!(after.since(&before), 65);
    }

    #[test]
    fn this_process_can_be_read() {
        let pid = std::process::id();
        assert!(rss_kib(pid).unwrap() > 0);
        assert!(peak_rss_kib(pid).unwrap() > 0);
        CpuMark::take(pid).unwrap();
    }
}
