//! Under which name guesses and connections are counted.

use super::*;

#[test]
fn guessers() {
    let trust = Trust::new(
        &["127.0.0.1".into(), "10.0.0.1".into()],
        &[],
        &["https://ui.example".into()],
    );
    let nobody = Trust::default();
    let check = |name: &str, trust: &Trust, facts: PeerFacts, expected: Option<(&str, bool)>| {
        let expected = expected.map(|(address, is_foreign_page)| Guesser {
            network: Network::of(ip(address)),
            is_foreign_page,
        });
        assert_eq!(trust.judge(&facts).guesser, expected, "{name}");
    };
    let from = |peer: &str| PeerFacts {
        peer: ip(peer),
        ..facts()
    };
    let page = |origin: &str| PeerFacts {
        origin: some(origin),
        ..facts()
    };
    let forwarded = |peer: &str, list: &str| PeerFacts {
        forwarded_for: some(list),
        ..from(peer)
    };
    check("native", &nobody, facts(), None);
    check(
        "native, another name",
        &nobody,
        PeerFacts {
            host: some("gateway.example"),
            ..facts()
        },
        None,
    );
    check(
        "remote",
        &nobody,
        from("192.0.2.7"),
        Some(("192.0.2.7", false)),
    );
    check(
        "own page",
        &nobody,
        page("http://127.0.0.1:18789"),
        Some(("127.0.0.1", false)),
    );
    let named = |peer: &str, name: &str| PeerFacts {
        host: some(name),
        local: ip("192.0.2.100"),
        origin: some(&format!("http://{name}")),
        ..from(peer)
    };
    for (peer, name, is_foreign) in [
        ("192.0.2.7", "192.0.2.100:18789", false),
        ("127.0.0.1", "localhost:18789", false),
        ("127.0.0.1", "box.tail1.ts.net", false),
        // Its name may have been pointed at us by whoever owns it.
        ("127.0.0.1", "evil.example:18789", true),
        ("192.0.2.7", "192.0.2.101:18789", true),
    ] {
        check(name, &nobody, named(peer, name), Some((peer, is_foreign)));
    }
    check(
        "by a trusted proxy",
        &trust,
        named("10.0.0.1", "gateway.example"),
        Some(("10.0.0.1", false)),
    );
    check(
        "a proxy that says only how it was talked to",
        &nobody,
        PeerFacts {
            forwarded_proto: true,
            ..facts()
        },
        Some(("127.0.0.1", false)),
    );
    check(
        "configured page",
        &trust,
        page("https://ui.example"),
        Some(("127.0.0.1", false)),
    );
    check(
        "foreign page",
        &nobody,
        page("https://evil.example"),
        Some(("127.0.0.1", true)),
    );
    check(
        "unknown proxy",
        &nobody,
        forwarded("127.0.0.1", "192.0.2.7"),
        Some(("127.0.0.1", false)),
    );
    check(
        "unknown proxy elsewhere",
        &trust,
        forwarded("10.0.0.9", "192.0.2.7"),
        Some(("10.0.0.9", false)),
    );
    check(
        "proxy",
        &trust,
        forwarded("10.0.0.1", "192.0.2.7"),
        Some(("192.0.2.7", false)),
    );
    check(
        "made-up first entry",
        &trust,
        forwarded("10.0.0.1", "1.1.1.1, 192.0.2.7"),
        Some(("192.0.2.7", false)),
    );
    check(
        "two proxies",
        &trust,
        forwarded("127.0.0.1", "192.0.2.7, 10.0.0.1"),
        Some(("192.0.2.7", false)),
    );
    check(
        "no address",
        &trust,
        forwarded("10.0.0.1", "192.0.2.7, unknown"),
        Some(("10.0.0.1", false)),
    );
    check(
        "proxy for this host",
        &trust,
        forwarded("127.0.0.1", "127.0.0.1"),
        None,
    );
    check(
        "proxy for itself",
        &trust,
        from("10.0.0.1"),
        Some(("10.0.0.1", false)),
    );
    let real = PeerFacts {
        real_ip: some("192.0.2.7"),
        ..from("10.0.0.1")
    };
    check("X-Real-IP", &trust, real, Some(("192.0.2.7", false)));
}

#[test]
fn networks_in_which_connections_are_counted() {
    let trust = Trust::new(&["10.0.0.1".into()], &[], &[]);
    for (peer, counted) in [
        ("127.0.0.1", None),
        ("::ffff:127.0.0.2", None),
        ("::1", None),
        ("10.0.0.1", None),
        ("10.0.0.2", Some("10.0.0.2")),
        ("2001:db8::7", Some("2001:db8::8")),
    ] {
        let counted = counted.map(|address| Network::of(ip(address)));
        assert_eq!(trust.network(ip(peer)), counted, "{peer}");
    }
    for (peer, list, counted) in [
        ("10.0.0.1", "192.0.2.7", Some("192.0.2.7")),
        ("10.0.0.1", "127.0.0.1", None),
        ("10.0.0.1", "", None),
        ("10.0.0.2", "192.0.2.7", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, list.parse().unwrap());
        let counted = counted.map(|address| Network::of(ip(address)));
        assert_eq!(
            trust.network_behind_proxy(ip(peer), &headers),
            counted,
            "{peer} {list}"
        );
    }
}
