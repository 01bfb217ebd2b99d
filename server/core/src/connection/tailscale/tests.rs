//! A program of the test stands for `tailscale`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::clock::ManualClock;

const NOW: u64 = 1_769_900_000_000;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A program that notes each of its runs, and the tool around it.
struct Bench {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    whois: Whois,
}

impl Bench {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("tailscale");
        let runs = dir.path().join("runs");
        let text = format!("#!/bin/sh\necho \"$@\" >> {}\n{script}\n", runs.display());
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let whois = Whois::new(
            program,
            Handle::current(),
            Arc::clone(&clock) as Arc<dyn Clock>,
        );
        Self { dir, clock, whois }
    }

    fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join("runs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

const ALICE: &str = r#"echo '{"Node":{"ID":1},"UserProfile":{"ID":2,"LoginName":"alice@example.com"},"CapMap":null}'"#;

#[tokio::test]
async fn answers_are_kept_for_a_minute_and_failures_for_seconds() {
    let who = address("100.64.0.7");
    let known = Bench::new(ALICE);
    let broken = Bench::new("exit 1");
    for (bench, login, life) in [
        (&known, Some("alice@example.com"), 60_000),
        (&broken, None, 5_000),
    ] {
        for (later, runs) in [(0, 1), (life - 1, 1), (1, 2)] {
            bench.clock.advance(later);
            assert_eq!(bench.whois.login(who).await.as_deref(), login);
            assert_eq!(bench.runs().len(), runs, "{login:?} {later}");
        }
        assert_eq!(bench.runs()[0], "whois --json 100.64.0.7");
    }
}

#[tokio::test]
async fn answers_that_are_none() {
    for script in [
        "echo '{}'",
        "echo not JSON",
        r#"echo '{"UserProfile":{"LoginName":" "}}'"#,
        r#"echo '{"UserProfile":{"LoginName":"alice@example.com"}}'; exit 3"#,
    ] {
        let bench = Bench::new(script);
        assert_eq!(
            bench.whois.login(address("100.64.0.7")).await,
            None,
            "{script}"
        );
    }
    let mut bench = Bench::new(ALICE);
    bench.whois.program = Path::new("/nonexistent/tailscale").to_owned();
    assert_eq!(bench.whois.login(address("100.64.0.7")).await, None);
}

#[tokio::test]
async fn a_program_that_hangs_is_ended() {
    let mut bench = Bench::new("echo $$ > \"$(dirname \"$0\")/pid\"; exec sleep 600");
    bench.whois.time = Duration::from_millis(300);
    assert_eq!(bench.whois.login(address("100.64.0.7")).await, None);
    let pid = fs::read_to_string(bench.dir.path().join("pid")).unwrap();
    let status = Path::new("/proc").join(pid.trim()).join("stat");
    let is_over = || match fs::read_to_string(&status) {
        Ok(text) => text.contains(") Z "),
        Err(_) => true,
    };
    let ended = async {
        while !is_over() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), ended).await.unwrap();
}

#[tokio::test]
async fn one_question_for_all_who_wait_and_few_at_a_time() {
    let bench = Bench::new(ALICE);
    let same = (0..8).map(|_| bench.whois.login(address("100.64.0.7")));
    let logins = futures_util::future::join_all(same).await;
    assert!(
        logins
            .iter()
            .all(|login| login.as_deref() == Some("alice@example.com"))
    );
    assert!(bench.runs().len() <= MAX_CHILDREN, "{:?}", bench.runs());
}

#[tokio::test]
async fn the_memory_is_bounded() {
    let bench = Bench::new(ALICE);
    let numbered =
        |n: usize| IpAddr::from([100, 64, u8::try_from(n >> 8).unwrap(), (n & 255) as u8]);
    for n in 0..MAX_REMEMBERED {
        bench.whois.remember(numbered(n), Some("a".into()));
        bench.clock.advance(1);
    }
    assert_eq!(bench.whois.table().len(), MAX_REMEMBERED);
    bench.whois.remember(numbered(MAX_REMEMBERED), None);
    assert_eq!(bench.whois.table().len(), MAX_REMEMBERED);
    assert!(bench.whois.known(numbered(0)).is_none(), "the oldest went");
    assert!(bench.whois.known(numbered(1)).is_some());
}

#[test]
fn claims() {
    let served = || PeerFacts {
        forwarded_for: Some("100.64.0.7".into()),
        forwarded_host: Some("box.tail1.ts.net".into()),
        forwarded_proto: true,
        tailscale_login: Some(" Alice@example.com ".into()),
        ..PeerFacts::direct(address("127.0.0.1"), address("127.0.0.1"))
    };
    let check = |name: &str, change: &dyn Fn(&mut PeerFacts), is_one: bool| {
        let mut facts = served();
        change(&mut facts);
        assert_eq!(Claim::of(&facts).is_some(), is_one, "{name}");
    };
    check("served", &|_| {}, true);
    check("IPv6", &|facts| facts.peer = address("::1"), true);
    check(
        "from elsewhere",
        &|facts| facts.peer = address("100.64.0.7"),
        false,
    );
    check("by socket", &|facts| facts.by_socket = true, false);
    check("no login", &|facts| facts.tailscale_login = None, false);
    check(
        "blank login",
        &|facts| facts.tailscale_login = Some(" ".into()),
        false,
    );
    check("no address", &|facts| facts.forwarded_for = None, false);
    check("no scheme", &|facts| facts.forwarded_proto = false, false);
    check("no host", &|facts| facts.forwarded_host = None, false);
    check(
        "a word",
        &|facts| facts.forwarded_for = Some("unknown".into()),
        false,
    );

    let claim = Claim::of(&served()).unwrap();
    assert_eq!(claim.address, address("100.64.0.7"));
    for (owner, proven) in [
        (Some("alice@example.com"), true),
        (Some(" ALICE@EXAMPLE.COM "), true),
        (Some("mallory@example.com"), false),
        (Some(""), false),
        (None, false),
    ] {
        assert_eq!(claim.is_proven_by(owner), proven, "{owner:?}");
    }
}
