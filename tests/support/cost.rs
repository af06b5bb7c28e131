//! What a process costs: processor time and wakeups of all its threads, memory, descriptors; from /proc.

use std::fs;
use std::ops::Sub;
use std::path::Path;
use std::time::Duration;

/// What a process has used so far, or between two readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// On a processor.
    pub cpu: Duration,
    /// Context switches: each wakeup ends in one.
    pub wakeups: u64,
}

impl Cost {
    /// Of the threads that the process has now. One that has ended takes its share with it, but for what the kernel's
    /// own count of the process shows, which is coarse.
    pub fn of(pid: u32) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
        let sum =
            threads.flatten().map(|thread| Self::of_thread(&thread.path())).fold(Self::default(), |sum, thread| Self {
                cpu: sum.cpu + thread.cpu,
                wakeups: sum.wakeups + thread.wakeups,
            });
        Self { cpu: sum.cpu.max(whole_process(pid)), ..sum }
    }

    /// Of the first thread, on which all tunnels run. Others end when they have nothing to do, and take their share with
    /// them.
    pub fn of_first_thread(pid: u32) -> Self {
        Self::of_thread(Path::new(&format!("/proc/{pid}/task/{pid}")))
    }

    fn of_thread(thread: &Path) -> Self {
        let read = |name: &str| fs::read_to_string(thread.join(name)).unwrap_or_default();
        let nanoseconds = read("schedstat").split_whitespace().next().and_then(|field| field.parse().ok());
        let status = read("status");
        let switches = status.lines().filter(|line| line.contains("ctxt_switches:"));
        let wakeups = switches.filter_map(|line| line.rsplit_once(':')?.1.trim().parse::<u64>().ok()).sum();
        Self { cpu: Duration::from_nanos(nanoseconds.unwrap_or_default()), wakeups }
    }
}

/// KiB of memory that a process has for itself: what no file is behind (proc_pid_status(5), RssAnon).
pub fn memory_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("the process lives")
}

/// How many descriptors a process has open.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives").count()
}

/// utime and stime of proc_pid_stat(5), in hundredths of a second on Linux.
fn whole_process(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field, the name in parentheses, may hold blanks.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(before.cpu), wakeups: self.wakeups.saturating_sub(before.wakeups) }
    }
}
