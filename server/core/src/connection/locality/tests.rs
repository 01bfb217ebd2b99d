//! Tables over 2.6 and its two improvements.

mod counted;

use super::*;

const TAILNET: &str = "100.101.102.103";

/// A connection from loopback to `localhost`; each case changes what it is about.
fn facts() -> PeerFacts {
    PeerFacts {
        host: Some("127.0.0.1:18789".into()),
        ..PeerFacts::direct(ip("127.0.0.1"), ip("127.0.0.1"))
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[track_caller]
fn check(name: &str, trust: &Trust, facts: &PeerFacts, local: bool, reported: Option<&str>) {
    let verdict = trust.judge(facts);
    assert_eq!(
        (verdict.local, verdict.reported_ip),
        (local, reported.map(ip)),
        "{name}: {facts:?}"
    );
}

#[test]
fn peer_and_host() {
    let cases = [
        ("127.0.0.1", "localhost", true),
        ("127.0.0.1", "LOCALHOST:1", true),
        ("127.8.9.10", "127.0.0.1:18789", true),
        ("::1", "[::1]:18789", true),
        ("::1", "[::1]", true),
        ("::ffff:127.0.0.1", "localhost", true),
        ("127.0.0.1", "box.tail1234.ts.net", true),
        ("127.0.0.1", "gateway.example:18789", false),
        ("127.0.0.1", "127.0.0.2", false),
        ("127.0.0.1", "localhost.", false),
        ("127.0.0.1", "localhost.evil.example", false),
        ("127.0.0.1", "ts.net", false),
        ("127.0.0.1", "evil-ts.net", false),
        ("127.0.0.1", "", false),
        ("127.0.0.1", "localhost, gateway.example", false),
        // Brackets are needed for an IPv6 address: the first colon ends the host part.
        ("::1", "::1", false),
        ("127.0.0.1", TAILNET, false),
    ];
    for (peer, host, local) in cases {
        let facts = PeerFacts {
            peer: ip(peer),
            host: some(host),
            ..facts()
        };
        check(host, &Trust::default(), &facts, local, None);
    }
    let no_host = PeerFacts {
        host: None,
        ..facts()
    };
    check("no Host", &Trust::default(), &no_host, false, None);
}

#[test]
fn other_peers_are_reported() {
    for (peer, reported) in [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
    ] {
        let facts = PeerFacts {
            peer: ip(peer),
            ..facts()
        };
        check(peer, &Trust::default(), &facts, false, Some(reported));
    }
}

#[test]
fn headers_of_an_untrusted_peer_only_take_away() {
    let proxied = [
        PeerFacts {
            forwarded_for: some("127.0.0.1"),
            ..facts()
        },
        PeerFacts {
            real_ip: some("127.0.0.1"),
            ..facts()
        },
        PeerFacts {
            forwarded_host: some("localhost"),
            ..facts()
        },
        PeerFacts {
            forwarded: true,
            ..facts()
        },
        PeerFacts {
            forwarded_for: some(""),
            ..facts()
        },
    ];
    let others = Trust::new(
        &["10.0.0.1".into(), "10.0.0.0/8".into(), "proxy".into()],
        &[],
        &[],
    );
    for facts in &proxied {
        check("loopback", &Trust::default(), facts, false, None);
        check("another is trusted", &others, facts, false, None);
        // A remote peer that sends such headers is not even reported: it may be anybody's proxy.
        let remote = PeerFacts {
            peer: ip("10.0.0.9"),
            ..facts.clone()
        };
        check("remote", &others, &remote, false, None);
    }
}

#[test]
fn headers_of_a_trusted_proxy() {
    let trust = Trust::new(&["127.0.0.1".into(), "::ffff:10.0.0.1".into()], &[], &[]);
    // X-Forwarded-For, X-Real-IP, local, reported
    let cases = [
        (None, None, true, None),
        (some("127.0.0.1"), None, true, None),
        (some("[::1]:4711"), None, true, None),
        (some("127.0.0.1:4711"), None, true, None),
        (
            some(" 192.0.2.7 , 127.0.0.1"),
            None,
            false,
            Some("192.0.2.7"),
        ),
        (some("192.0.2.7:99"), None, false, Some("192.0.2.7")),
        (some("[2001:db8::7]:99"), None, false, Some("2001:db8::7")),
        (some("2001:db8::7"), None, false, Some("2001:db8::7")),
        (some("::ffff:192.0.2.7"), None, false, Some("192.0.2.7")),
        (None, some("192.0.2.7"), false, Some("192.0.2.7")),
        (some(""), some("192.0.2.7"), false, Some("192.0.2.7")),
        (
            some("192.0.2.1"),
            some("192.0.2.7"),
            false,
            Some("192.0.2.1"),
        ),
        (some("unknown"), None, false, None),
        // What the client itself wrote in front does not help it.
        (some("127.0.0.1, 192.0.2.7"), None, false, None),
        (some("127.0.0.1"), some("192.0.2.7"), false, None),
    ];
    for (forwarded_for, real_ip, local, reported) in cases {
        let facts = PeerFacts {
            forwarded_for,
            real_ip,
            ..facts()
        };
        check("from here", &trust, &facts, local, reported);
    }
    let elsewhere = PeerFacts {
        peer: ip("10.0.0.1"),
        forwarded_for: some("127.0.0.1"),
        ..facts()
    };
    check(
        "the proxy's loopback is not ours",
        &trust,
        &elsewhere,
        false,
        None,
    );
    let host_only = PeerFacts {
        forwarded_host: some("gw.example"),
        ..facts()
    };
    check("host of a trusted proxy", &trust, &host_only, true, None);
    let unread = PeerFacts {
        forwarded: true,
        ..facts()
    };
    check("Forwarded is never read", &trust, &unread, false, None);
}

#[test]
fn own_tailnet_addresses() {
    let v6 = "fd7a:115c:a1e0::5";
    let listed = Trust::new(&[], &[ip(TAILNET), ip("192.0.2.10")], &[]);
    // peer, our end, Host, local with nothing listed, local with the addresses listed
    let cases = [
        (TAILNET, TAILNET, "100.101.102.103:18789", true, true),
        (TAILNET, TAILNET, "box.tail1234.ts.net", true, true),
        (TAILNET, TAILNET, "localhost", true, true),
        (TAILNET, "::ffff:100.101.102.103", "localhost", true, true),
        (TAILNET, TAILNET, "gateway.example", false, false),
        (TAILNET, TAILNET, "100.101.102.104", false, false),
        (TAILNET, "0.0.0.0", TAILNET, false, true),
        ("100.64.0.1", TAILNET, TAILNET, false, false),
        ("100.128.0.1", "100.128.0.1", "localhost", false, false),
        ("192.0.2.10", "192.0.2.10", "localhost", false, false),
        (v6, v6, "[fd7a:115c:a1e0:0::5]:18789", true, true),
        (
            "fd7a:115c:a1e1::5",
            "fd7a:115c:a1e1::5",
            "localhost",
            false,
            false,
        ),
    ];
    for (peer, our_end, host, alone, with_list) in cases {
        let facts = PeerFacts {
            host: some(host),
            ..PeerFacts::direct(ip(peer), ip(our_end))
        };
        for (trust, local) in [(&Trust::default(), alone), (&listed, with_list)] {
            check(host, trust, &facts, local, (!local).then_some(peer));
            let proxied = PeerFacts {
                forwarded_for: some("127.0.0.1"),
                ..facts.clone()
            };
            check("behind a proxy", trust, &proxied, false, None);
        }
    }
}

#[test]
fn pages() {
    let configured = [
        "https://ui.example".to_owned(),
        "dev.example:5173".to_owned(),
        "null".to_owned(),
    ];
    let trust = Trust::new(&[], &[], &configured);
    // Origin, Host, local
    let cases = [
        ("http://127.0.0.1:18789", "127.0.0.1:18789", true),
        ("HTTP://LocalHost:18789", "localhost:18789", true),
        ("http://localhost", "localhost:80", true),
        ("https://localhost:443", "localhost", true),
        ("http://localhost:18789/", "localhost:18789", true),
        ("http://localhost:18789", "127.0.0.1:18789", false),
        ("http://localhost:3000", "localhost:18789", false),
        ("https://localhost", "localhost:80", false),
        ("http://evil.example", "localhost:18789", false),
        ("null", "localhost:18789", false),
        ("file://", "localhost:18789", false),
        ("", "localhost:18789", false),
        (
            "http://localhost:18789, http://evil.example",
            "localhost:18789",
            false,
        ),
        ("https://ui.example", "localhost:18789", true),
        ("https://ui.example:443", "localhost:18789", true),
        ("http://ui.example", "localhost:18789", false),
        ("https://ui.example:444", "localhost:18789", false),
        ("http://dev.example:5173", "localhost:18789", true),
        ("https://dev.example:5173", "localhost:18789", true),
        ("http://dev.example", "localhost:18789", false),
    ];
    for (origin, host, local) in cases {
        let facts = PeerFacts {
            origin: some(origin),
            host: some(host),
            ..facts()
        };
        check(origin, &trust, &facts, local, None);
    }
    // A rebound name is its own origin, but no name of this host.
    let rebound = PeerFacts {
        origin: some("http://evil.example:18789"),
        host: some("evil.example:18789"),
        ..facts()
    };
    check("rebinding", &trust, &rebound, false, None);
}

#[test]
fn facts_of_a_request() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "localhost:1"),
        ("origin", "http://localhost:1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "192.0.2.2"),
        ("x-real-ip", "192.0.2.3"),
        ("x-forwarded-host", "gw.example"),
        ("x-forwarded-proto", "https"),
        ("tailscale-user-login", "alice@example.com"),
    ] {
        headers.append(name, value.parse().unwrap());
    }
    let ends = Ends::Tcp {
        peer: "127.0.0.1:1".parse().unwrap(),
        local: "127.0.0.1:2".parse().unwrap(),
    };
    let expected = PeerFacts {
        host: some("localhost:1"),
        origin: some("http://localhost:1"),
        forwarded_for: some("192.0.2.1, 192.0.2.2"),
        real_ip: some("192.0.2.3"),
        forwarded_host: some("gw.example"),
        forwarded_proto: true,
        tailscale_login: some("alice@example.com"),
        ..facts()
    };
    assert_eq!(PeerFacts::of_request(ends, &headers), expected);

    headers.append("host", "localhost:1".parse().unwrap());
    headers.insert("forwarded", "for=192.0.2.1".parse().unwrap());
    headers.insert(
        "x-real-ip",
        hyper::header::HeaderValue::from_bytes(&[0xff]).unwrap(),
    );
    let twice = PeerFacts::of_request(ends, &headers);
    assert_eq!(twice.host.as_deref(), Some("localhost:1, localhost:1"));
    assert_eq!(twice.real_ip.as_deref(), Some("\u{fffd}"));
    assert!(twice.forwarded);
}

#[test]
fn through_the_socket() {
    let trust = Trust::new(&["127.0.0.1".into()], &[], &[]);
    let check = |name: &str, facts: PeerFacts, vouched: bool| {
        let verdict = trust.judge(&facts);
        assert_eq!(
            (
                verdict.is_vouched_for,
                verdict.local,
                verdict.guesser.is_none(),
                verdict.reported_ip
            ),
            (vouched, vouched, vouched, None),
            "{name}"
        );
    };
    let socket = PeerFacts::by_socket;
    check("a process", socket(), true);
    check(
        "any host",
        PeerFacts {
            host: some("gateway.example"),
            ..socket()
        },
        true,
    );
    check(
        "a page",
        PeerFacts {
            origin: some("http://localhost"),
            host: some("localhost"),
            ..socket()
        },
        false,
    );
    check(
        "a proxy",
        PeerFacts {
            forwarded_for: some("192.0.2.7"),
            ..socket()
        },
        false,
    );
    check(
        "a proxy of this host's clients",
        PeerFacts {
            forwarded_for: some("127.0.0.1"),
            ..socket()
        },
        false,
    );
    check(
        "a proxy that says only how it was talked to",
        PeerFacts {
            forwarded_proto: true,
            ..socket()
        },
        false,
    );
    check(
        "another proxy",
        PeerFacts {
            forwarded: true,
            ..socket()
        },
        false,
    );
}
