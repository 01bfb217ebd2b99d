//! `--force`: ends whatever listens on the port, politely first (contract 11.4). Linux: from the tables in `/proc`.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// Between SIGTERM and SIGKILL.
const PATIENCE: Duration = Duration::from_millis(700);
/// How long a killed process may take to let go of its port.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// Between two looks at the port.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// State of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// Frees the port. Says what it did in the log; a port that stays taken is found when it is bound.
pub(super) async fn free(port: u16) {
    let owners = owners(port);
    if owners.is_empty() {
        return;
    }
    for (signal, patience) in [(Signal::TERM, PATIENCE), (Signal::KILL, LAST_WAIT)] {
        for pid in &owners {
            tracing::warn!(
                pid,
                ?signal,
                port,
                "ending the process that listens on the port"
            );
            if let Some(pid) = Pid::from_raw(*pid) {
                // It may have ended already.
                let _ = kill_process(pid, signal);
            }
        }
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
                .await
                .is_ok()
            {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Processes that listen on the port, but for this one.
fn owners(port: u16) -> BTreeSet<i32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inodes: BTreeSet<String> = tables
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| listeners(&table, port))
        .collect();
    if inodes.is_empty() {
        return BTreeSet::new();
    }
    let own = i32::try_from(std::process::id()).ok();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| Some(*pid) != own && holds(*pid, &inodes))
        .collect()
}

/// Inodes of the sockets that listen on the port, from the text of a table.
fn listeners(table: &str, port: u16) -> Vec<String> {
    let port = format!(":{port:04X}");
    let rows = table
        .lines()
        .skip(1)
        .map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter_map(|row| match row.as_slice() {
        [_, local, _, state, _, _, _, _, _, inode, ..]
            if *state == LISTENING && local.ends_with(&port) =>
        {
            Some(format!("socket:[{inode}]"))
        }
        _ => None,
    })
    .collect()
}

fn holds(pid: i32, inodes: &BTreeSet<String>) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    descriptors
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|target| {
            target
                .to_str()
                .is_some_and(|target| inodes.contains(target))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_sockets() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:4965 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1\n\
             1: 0100007F:4965 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 222 1\n\
             2: 0100007F:1111 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1\n";
        assert_eq!(listeners(table, 0x4965), ["socket:[111]"]);
        assert!(listeners(table, 80).is_empty());
        assert!(listeners("garbage", 80).is_empty());
    }

    #[test]
    fn this_process_is_never_an_owner() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        assert!(owners(port).is_empty());
    }
}
