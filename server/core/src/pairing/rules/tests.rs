//! Tables over the rules.

use super::*;

const NOW: u64 = 1_000_000;

fn texts(scopes: &[&str]) -> Vec<String> {
    scopes.iter().map(|&scope| scope.to_owned()).collect()
}

fn salt(byte: u8) -> Salt {
    Salt::from_bytes([byte; 16])
}

fn device() -> VerifiedDevice {
    VerifiedDevice::of_key([1; 32])
}

fn ask(role: Role, scopes: &[&str], local: bool) -> Ask {
    Ask {
        device: device(),
        role,
        scopes: texts(scopes),
        local,
        optional: false,
        by_device_token: false,
        profile: Profile::default(),
    }
}

/// Paired as operator for `scopes`, with a token for `token`.
fn record(scopes: &[&str], token: &[&str]) -> Device {
    let granted = approve(
        None,
        ask(Role::Operator, scopes, true).terms(),
        salt(1),
        NOW,
    )
    .unwrap();
    Device {
        tokens: vec![DeviceToken {
            scopes: texts(token),
            ..granted.tokens[0].clone()
        }],
        ..granted
    }
}

fn request(id: &str, role: Role, scopes: &[&str], seen_at_ms: u64) -> PendingPairing {
    PendingPairing {
        request_id: id.to_owned(),
        device_id: device().id().to_owned(),
        public_key: device().public_key().to_owned(),
        profile: Profile::default(),
        role,
        scopes: texts(scopes),
        is_repair: false,
        ts: 1,
        seen_at_ms,
    }
}

#[test]
fn steps() {
    use Role::{Node, Operator};

    let paired = record(&["read", "write"], &["read", "write"]);
    let narrow = record(&["read", "write"], &["read"]);
    let revoked = revoke(&paired, Operator, NOW).unwrap();
    let other_key = Device {
        public_key: "other".into(),
        ..paired.clone()
    };
    let admin = record(&["operator.admin"], &["operator.admin"]);
    let unscoped = record(&[], &[]);
    // record, ask, step if the connection is remote, step if it is local
    let cases = [
        (
            "unknown",
            None,
            (Operator, &["read"][..]),
            Step::Request,
            Step::Approve,
        ),
        (
            "known",
            Some(&paired),
            (Operator, &["read", "write"]),
            Step::Admit,
            Step::Admit,
        ),
        (
            "any order",
            Some(&paired),
            (Operator, &["write", "read"]),
            Step::Admit,
            Step::Admit,
        ),
        (
            "fewer scopes",
            Some(&paired),
            (Operator, &["write"]),
            Step::Admit,
            Step::Admit,
        ),
        (
            "no scopes",
            Some(&paired),
            (Operator, &[]),
            Step::Admit,
            Step::Admit,
        ),
        (
            "more scopes",
            Some(&paired),
            (Operator, &["read", "admin"]),
            Step::Request,
            Step::Approve,
        ),
        (
            "other role",
            Some(&paired),
            (Node, &[]),
            Step::Request,
            Step::Approve,
        ),
        (
            "other role and scopes",
            Some(&paired),
            (Node, &["x"]),
            Step::Request,
            Step::Approve,
        ),
        (
            "token too narrow",
            Some(&narrow),
            (Operator, &["write"]),
            Step::Mint,
            Step::Mint,
        ),
        (
            "token wide enough",
            Some(&narrow),
            (Operator, &["read"]),
            Step::Admit,
            Step::Admit,
        ),
        (
            "token revoked",
            Some(&revoked),
            (Operator, &["read"]),
            Step::Mint,
            Step::Mint,
        ),
        (
            "other key",
            Some(&other_key),
            (Operator, &["read"]),
            Step::Request,
            Step::Approve,
        ),
        // Scopes are literal here: admin contains the others for methods only.
        (
            "admin asks for less",
            Some(&admin),
            (Operator, &["operator.read"]),
            Step::Request,
            Step::Approve,
        ),
        (
            "record without scopes",
            Some(&unscoped),
            (Operator, &["read"]),
            Step::Request,
            Step::Approve,
        ),
    ];
    for (name, record, (role, scopes), remote, local) in cases {
        let asked = ask(role, scopes, false);
        assert_eq!(next_step(record, [], &asked, NOW), remote, "{name}, remote");
        let here = Ask {
            local: true,
            ..asked.clone()
        };
        assert_eq!(next_step(record, [], &here, NOW), local, "{name}, local");
        let skipped = if matches!(remote, Step::Request) {
            Step::Skip
        } else {
            remote
        };
        for ask in [asked, here] {
            let optional = Ask {
                optional: true,
                ..ask
            };
            assert_eq!(
                next_step(record, [], &optional, NOW),
                skipped,
                "{name}, optional"
            );
        }
    }
}

#[test]
fn open_requests() {
    use Role::{Node, Operator};

    let edge = NOW - PENDING_TTL_MS;
    let same = request("same", Operator, &["read", "write"], NOW);
    let cases = [
        ("same terms", vec![same.clone()], Some("same")),
        (
            "asked for at the edge",
            vec![request("old", Operator, &["write", "read"], edge)],
            Some("old"),
        ),
        (
            "dead",
            vec![request("dead", Operator, &["read", "write"], edge - 1)],
            None,
        ),
        (
            "clock went back",
            vec![request("early", Operator, &["read", "write"], NOW + 99)],
            Some("early"),
        ),
        (
            "fewer scopes",
            vec![request("less", Operator, &["read"], NOW)],
            None,
        ),
        (
            "more scopes",
            vec![request("more", Operator, &["read", "write", "admin"], NOW)],
            None,
        ),
        (
            "other role",
            vec![request("node", Node, &["read", "write"], NOW)],
            None,
        ),
        (
            "other key",
            vec![PendingPairing {
                public_key: "x".into(),
                ..same.clone()
            }],
            None,
        ),
        (
            "among others",
            vec![request("less", Operator, &["read"], NOW), same.clone()],
            Some("same"),
        ),
    ];
    for (name, pending, waits) in cases {
        let expected = waits.map_or(Step::Request, |id| Step::Wait(id.to_owned()));
        let remote = ask(Operator, &["read", "write", "read"], false);
        assert_eq!(next_step(None, &pending, &remote, NOW), expected, "{name}");
        // What an earlier connection asked for never decides about a local one (odd 6).
        let local = ask(Operator, &["read", "write"], true);
        assert_eq!(
            next_step(None, &pending, &local, NOW),
            Step::Approve,
            "{name}"
        );
    }
}

#[test]
fn approvals_merge_and_replace_the_token() {
    let first = approve(
        None,
        ask(Role::Operator, &["write", "read", "write"], false).terms(),
        salt(1),
        NOW,
    )
    .unwrap();
    assert_eq!(first.scopes, ["write", "read"]);
    assert_eq!(first.tokens[0].scopes, ["read", "write"]);
    assert_eq!((first.created_at_ms, first.approved_at_ms), (NOW, NOW));
    assert_eq!(
        (first.tokens[0].created_at_ms, first.tokens[0].rotated_at_ms),
        (NOW, None)
    );

    let second = approve(
        Some(&first),
        ask(Role::Operator, &["admin"], false).terms(),
        salt(2),
        NOW + 1,
    )
    .unwrap();
    assert_eq!(second.scopes, ["write", "read", "admin"]);
    assert_eq!(second.roles, [Role::Operator]);
    assert_eq!(
        (second.created_at_ms, second.approved_at_ms),
        (NOW, NOW + 1)
    );
    let token = &second.tokens[0];
    assert_eq!((token.salt, &token.scopes), (salt(2), &texts(&["admin"])));
    assert_eq!(
        (token.created_at_ms, token.rotated_at_ms),
        (NOW, Some(NOW + 1))
    );
    assert_eq!(token.issued_at_ms(), NOW + 1);

    let node = approve(
        Some(&second),
        ask(Role::Node, &[], false).terms(),
        salt(3),
        NOW + 2,
    )
    .unwrap();
    assert_eq!(node.roles, [Role::Operator, Role::Node]);
    assert_eq!(node.role, Role::Node);
    assert_eq!(
        node.tokens
            .iter()
            .map(|token| token.role)
            .collect::<Vec<_>>(),
        [Role::Node, Role::Operator]
    );
    assert_eq!(node.token(Role::Operator), second.token(Role::Operator));

    let stranger = Device {
        public_key: "other".into(),
        ..node
    };
    let fresh = approve(
        Some(&stranger),
        ask(Role::Node, &[], false).terms(),
        salt(4),
        NOW + 3,
    )
    .unwrap();
    assert_eq!((fresh.roles, fresh.scopes), (vec![Role::Node], vec![]));
    assert_eq!(
        (fresh.public_key.as_str(), fresh.tokens.len()),
        (device().public_key(), 1)
    );
}

#[test]
fn scopes_are_bounded() {
    let many = |count: usize| (0..count).map(|n| format!("s{n}")).collect::<Vec<_>>();
    let long = |bytes: usize| vec!["x".repeat(bytes)];
    for (scopes, fits) in [
        (many(MAX_SCOPES), true),
        (many(MAX_SCOPES + 1), false),
        (long(MAX_SCOPE_BYTES), true),
        (long(MAX_SCOPE_BYTES + 1), false),
    ] {
        let ask = Ask {
            scopes: scopes.clone(),
            ..ask(Role::Operator, &[], true)
        };
        assert_eq!(bounded(&scopes).is_ok(), fits);
        assert_eq!(approve(None, ask.terms(), salt(1), NOW).is_ok(), fits);
        // What was granted before counts too.
        let old = record(&["one more"], &[]);
        assert!(approve(Some(&old), ask.terms(), salt(1), NOW).is_err());
    }
}

#[test]
fn minting() {
    let cases = [
        (
            "narrow",
            record(&["a", "b", "c"], &["a"]),
            vec!["c", "b"],
            vec!["a", "b", "c"],
        ),
        (
            "revoked",
            revoke(&record(&["a", "b"], &["a"]), Role::Operator, NOW).unwrap(),
            vec!["b"],
            vec!["b"],
        ),
        (
            "none",
            Device {
                tokens: vec![],
                ..record(&["a", "b"], &[])
            },
            vec!["b"],
            vec!["b"],
        ),
        (
            "beyond the record",
            record(&["a", "b"], &["a", "gone"]),
            vec!["b"],
            vec!["a", "b"],
        ),
    ];
    for (name, before, wanted, expected) in cases {
        let after = mint(&before, Role::Operator, &texts(&wanted), salt(9), NOW + 5);
        let token = after.token(Role::Operator).unwrap();
        assert_eq!(token.scopes, expected, "{name}");
        assert_eq!((token.salt, token.revoked_at_ms), (salt(9), None), "{name}");
        assert_eq!(token.issued_at_ms(), NOW + 5, "{name}");
        assert_eq!(
            (after.scopes, after.approved_at_ms),
            (before.scopes, before.approved_at_ms),
            "{name}"
        );
    }
}

#[test]
fn rotation_stays_within_the_record() {
    use Role::{Node, Operator};

    let paired = record(&["a", "b"], &["a"]);
    let revoked = revoke(&paired, Operator, NOW).unwrap();
    let without = Device {
        tokens: vec![],
        ..paired.clone()
    };
    // record, role, scopes given, scopes of the new token
    let cases = [
        (&paired, Operator, None, Some(vec!["a"])),
        (
            &paired,
            Operator,
            Some(vec!["b", "a"]),
            Some(vec!["a", "b"]),
        ),
        (&paired, Operator, Some(vec![]), Some(vec![])),
        (&paired, Operator, Some(vec!["c"]), None),
        (&paired, Node, None, None),
        (&paired, Node, Some(vec![]), None),
        (&revoked, Operator, None, Some(vec!["a"])),
        (&without, Operator, None, Some(vec!["a", "b"])),
    ];
    for (device, role, given, expected) in cases {
        let given = given.map(|scopes| texts(&scopes));
        let rotated = rotate(device, role, given.as_deref(), salt(7), NOW + 1);
        let token = rotated.as_ref().and_then(|device| device.token(role));
        assert_eq!(
            token.map(|token| token.scopes.clone()),
            expected.map(|scopes| texts(&scopes))
        );
        if let (Some(token), Some(rotated)) = (token, &rotated) {
            assert_eq!(
                (token.rotated_at_ms, token.revoked_at_ms),
                (Some(NOW + 1), None)
            );
            assert_eq!(rotated.scopes, device.scopes);
        }
    }
    assert_eq!(revoke(&paired, Node, NOW), None);
    let again = revoke(&revoked, Operator, NOW + 1).unwrap();
    assert_eq!(again.token(Operator).unwrap().revoked_at_ms, Some(NOW));
}
