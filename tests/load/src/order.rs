//! Which functions a start and the common work execute, for the linker: beside each other in the binary they take a
//! fraction of the memory, and of the caches, that they take where the compiler left them. `server/build.rs` hands the list
//! over.
//!
//! Callgrind tells the functions of a gateway that has its symbols. Names are the linker's own, with the hashes of one version
//! of the compiler; under another one the list says nothing and does no harm.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use openclaw_client::{Clock, DeviceIdentity};

use crate::conn::Conn;
use crate::load::{self, Burst};
use crate::process::Server;
use crate::rows;

/// Requests, handshakes and events that make a function that belongs to them stand out from those of the start.
const REPEATS: u64 = 400;

/// Under callgrind a gateway is fifty times slower; what follows a start is over by then.
const SETTLE: Duration = Duration::from_secs(3);

/// Writes the list for `gateway` to `list`.
pub(crate) async fn order(gateway: &Path, list: &Path) -> Result<()> {
    let gateway = gateway
        .canonicalize()
        .with_context(|| format!("no gateway at {}", gateway.display()))?;
    let dir = tempfile::tempdir()?;
    let start = watched(&gateway, &dir.path().join("start"), false).await?;
    let busy = watched(&gateway, &dir.path().join("busy"), true).await?;
    ensure!(
        !start.is_empty(),
        "{} has no symbols: build it with `-C strip=none`",
        gateway.display()
    );
    let names = in_order(&start, &busy);
    let mut text = String::new();
    for name in &names {
        text.push_str(name);
        text.push('\n');
    }
    fs::write(list, text).with_context(|| format!("cannot write {}", list.display()))?;
    writeln!(io::stderr(), "{} functions", names.len())?;
    Ok(())
}

/// Instructions by function.
type Costs = HashMap<String, u64>;

/// What a gateway executes from its start to its end, with work in between or none.
async fn watched(gateway: &Path, out: &Path, with_work: bool) -> Result<Costs> {
    let home = tempfile::tempdir()?;
    let script = home.path().join("watched");
    fs::write(
        &script,
        format!(
            "#!/bin/sh\nexec valgrind --demangle=no --tool=callgrind '--callgrind-out-file={}' '{}' \"$@\"\n",
            out.display(),
            gateway.display()
        ),
    )?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
    let server = Server::gateway(&script, home.path())?;
    tokio::time::sleep(SETTLE).await;
    if with_work {
        work(&server).await?;
    }
    server.end().await?;
    let text =
        fs::read_to_string(out).context("callgrind wrote nothing: is valgrind installed?")?;
    Ok(costs(&text, gateway))
}

/// What clients do most.
async fn work(server: &Server) -> Result<()> {
    let (clock, identity) = (Clock::system(), DeviceIdentity::from_seed(&[7; 32]));
    for _ in 0..REPEATS {
        for device in [None, Some((&identity, &clock))] {
            let mut conn = Conn::open(server.address).await?;
            conn.shake_hands(device).await?;
            conn.close().await?;
        }
    }
    for (method, depth) in rows::requests::METHODS.into_iter().zip([1, 16]) {
        let mut conns = load::connect(server, 8, true).await?;
        let burst = Burst::of(&rows::requests::text(method), depth);
        load::run(&mut conns, &burst, Duration::from_secs(4)).await?;
    }
    Ok(())
}

/// The functions of the work first, the busiest before the others, then those of the start by name, which puts what
/// belongs together beside each other.
fn in_order(start: &Costs, busy: &Costs) -> Vec<String> {
    let by_name = |costs: &Costs| {
        let mut names: Vec<String> = costs.keys().cloned().collect();
        names.sort();
        names
    };
    let added = |name: &String| busy[name].saturating_sub(start.get(name).copied().unwrap_or(0));
    let mut names = by_name(busy);
    names.retain(|name| added(name) >= REPEATS);
    names.sort_by_key(|name| std::cmp::Reverse(added(name)));
    let known: HashSet<String> = names.iter().cloned().collect();
    let rest = by_name(start).into_iter().chain(by_name(busy));
    let mut seen = known;
    for name in rest {
        if seen.insert(name.clone()) {
            names.push(name);
        }
    }
    names
}

/// Instructions of each function of `binary`, from what callgrind writes: names appear once and are numbers afterwards,
/// a line of costs belongs to the function named last, and the line after `calls=` is the callee's.
fn costs(text: &str, binary: &Path) -> Costs {
    let mut names: HashMap<(&str, &str), &str> = HashMap::new();
    let (mut is_ours, mut function, mut is_callee) = (false, None, false);
    let mut costs = Costs::new();
    for line in text.lines() {
        if let Some((key, value)) = line.split_once('=') {
            let kind = key.trim_start_matches('c');
            let name = match value.split_once(' ') {
                Some((number, name)) if number.starts_with('(') => {
                    names.insert((kind, number), name);
                    Some(name)
                }
                _ => names.get(&(kind, value)).copied(),
            };
            match key {
                "ob" => is_ours = name.is_some_and(|name| Path::new(name) == binary),
                "fn" => {
                    function = name
                        .filter(|name| is_ours && !name.starts_with(['0', '(']))
                        // A cycle's members are numbered.
                        .map(|name| name.split('\'').next().unwrap_or(name));
                }
                "calls" => is_callee = true,
                _ => {}
            }
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first))
            && !std::mem::take(&mut is_callee)
            && let Some(name) = function
            && let Some(cost) = line.split_ascii_whitespace().nth(1)
        {
            *costs.entry(name.to_owned()).or_default() += cost.parse().unwrap_or(0);
        }
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_belong_to_the_function_named_last() {
        let text = "events: Ir\n\nob=(1) /bin/g\nfl=(1) ???\nfn=(1) _ZN1aE\n0 5\ncfn=(2) _ZN1bE\ncalls=3 0\n0 90\n+2 7\n\n\
            fn=(2)\n0 11\n\nob=(2) /lib/c.so\nfn=(3) malloc\n0 100\n\nob=(1)\nfn=(4) _ZN1aE'2\n* 1\n\nfn=(5) 0x00001050\n0 4\n";
        let expected = [("_ZN1aE", 13), ("_ZN1bE", 11)];
        let expected: Costs = expected.map(|(name, cost)| (name.to_owned(), cost)).into();
        assert_eq!(costs(text, Path::new("/bin/g")), expected);
    }

    #[test]
    fn work_goes_before_the_start() {
        let of = |costs: &[(&str, u64)]| -> Costs {
            costs
                .iter()
                .map(|(name, cost)| ((*name).to_owned(), *cost))
                .collect()
        };
        let start = of(&[("main", 10), ("read", 5), ("config", 9_000)]);
        let busy = of(&[
            ("main", 10),
            ("read", 5 + REPEATS),
            ("write", 2 * REPEATS),
            ("config", 9_000),
            ("once", 1),
        ]);
        assert_eq!(
            in_order(&start, &busy),
            ["write", "read", "config", "main", "once"]
        );
    }
}
