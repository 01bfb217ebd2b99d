//! What is accepted, and what the pairing is then asked.

use super::*;

/// A kept key saves work only where it is asked for.
#[test]
fn the_key_of_a_device_is_asked_for_once() {
    let id = VerifiedDevice::of_key(key().verifying_key().to_bytes())
        .id()
        .to_owned();
    for (frame, expected) in [(signed(|_| {}), vec![id]), (connect(|_| {}), vec![])] {
        let gate = Gate::local();
        gate.accept(&frame);
        assert_eq!(*gate.devices.keys_asked.borrow(), expected);
    }
}

#[test]
fn roles_and_scopes() {
    // role, scopes as sent, effective role, effective scopes
    let cases = [
        (None, None, Role::Operator, vec!["operator.admin"]),
        (
            None,
            Some(json!([])),
            Role::Operator,
            vec!["operator.admin"],
        ),
        (
            Some("operator"),
            None,
            Role::Operator,
            vec!["operator.admin"],
        ),
        (Some("node"), None, Role::Node, vec![]),
        (Some("node"), Some(json!([])), Role::Node, vec![]),
        (Some("node"), Some(json!(["x"])), Role::Node, vec!["x"]),
        (
            None,
            Some(json!(["operator.write", "operator.read"])),
            Role::Operator,
            vec!["operator.write", "operator.read"],
        ),
        // Unknown names are taken as they are (odd 38).
        (
            None,
            Some(json!(["made.up", " "])),
            Role::Operator,
            vec!["made.up", " "],
        ),
    ];
    for (role, scopes, effective_role, effective_scopes) in cases {
        for device in [false, true] {
            let frame = connect(|params| {
                if let Some(role) = role {
                    params["role"] = json!(role);
                }
                if let Some(scopes) = &scopes {
                    params["scopes"] = scopes.clone();
                }
                if device {
                    sign(params, Some(NONCE));
                }
            });
            let gate = Gate::local();
            let accepted = gate.accept(&frame);
            assert_eq!(
                (accepted.role, &accepted.scopes[..]),
                (
                    effective_role,
                    &effective_scopes
                        .iter()
                        .map(|&s| s.to_owned())
                        .collect::<Vec<_>>()[..]
                )
            );
            assert_eq!(accepted.request_id, "A-1");
            assert_eq!(
                (accepted.device.is_some(), accepted.grant.is_some()),
                (device, device)
            );
            assert!(accepted.params.auth.is_none() && accepted.params.device.is_none());
            let asked = gate.devices.asked.borrow();
            assert_eq!(asked.len(), usize::from(device));
            for ask in asked.iter() {
                assert_eq!((ask.role, &ask.scopes), (effective_role, &accepted.scopes));
            }
        }
    }
}

#[test]
fn ways_in() {
    let password = Gate::local().password();
    let insecure = Gate::local().with(|policy| policy.allow_insecure_auth = true);
    let disabled = Gate::local().with(|policy| policy.disable_device_auth = true);
    let with = |auth: Value| move |params: &mut Value| params["auth"] = auth.clone();
    let ui_with = |auth: Value| {
        move |params: &mut Value| {
            control_ui(params);
            params["auth"] = auth.clone();
        }
    };
    // name, gate, frame, is a device in effect, does the pairing matter
    let cases = [
        ("token", &Gate::local(), connect(|_| {}), false, false),
        (
            "token, remote",
            &Gate::remote(),
            connect(|_| {}),
            false,
            false,
        ),
        (
            "wider range",
            &Gate::local(),
            connect(|params| (params["minProtocol"], params["maxProtocol"]) = (json!(1), json!(9))),
            false,
            false,
        ),
        // Odd 2: in password mode the password is enough.
        (
            "password",
            &password,
            connect(with(json!({"password": "pw"}))),
            false,
            false,
        ),
        (
            "password and junk",
            &password,
            connect(with(json!({"password": "pw", "token": "junk"}))),
            false,
            false,
        ),
        (
            "v1 here",
            &Gate::local(),
            connect(|params| sign(params, None)),
            true,
            true,
        ),
        ("v2 here", &Gate::local(), signed(|_| {}), true, true),
        ("v2 elsewhere", &Gate::remote(), signed(|_| {}), true, true),
        (
            "device and password",
            &password,
            signed(with(json!({"password": "pw"}))),
            true,
            true,
        ),
        (
            "device token",
            &Gate::local(),
            signed(with(json!({"token": DEVICE_TOKEN}))),
            true,
            true,
        ),
        (
            "device token, remote",
            &Gate::remote(),
            signed(with(json!({"token": DEVICE_TOKEN}))),
            true,
            true,
        ),
        (
            "device token in password mode",
            &password,
            signed(with(json!({"token": DEVICE_TOKEN}))),
            true,
            true,
        ),
        (
            "at the edge of the skew",
            &Gate::local(),
            connect(|params| sign_at(params, Some(NONCE), NOW - 600_000)),
            true,
            true,
        ),
        (
            "control UI with device",
            &Gate::local(),
            signed(control_ui),
            true,
            true,
        ),
        (
            "control UI, flag 1",
            &insecure,
            connect(control_ui),
            false,
            false,
        ),
        (
            "control UI, flag 1, device",
            &insecure,
            signed(control_ui),
            true,
            false,
        ),
        (
            "control UI, flag 2",
            &disabled,
            connect(control_ui),
            false,
            false,
        ),
        (
            "control UI, flag 2, device ignored",
            &disabled,
            connect(|params| {
                control_ui(params);
                params["device"] =
                    json!({"id": "x", "publicKey": "y", "signature": "z", "signedAt": 0});
            }),
            false,
            false,
        ),
        (
            "control UI, flag 1, password",
            &insecure.clone().password(),
            connect(ui_with(json!({"password": "pw"}))),
            false,
            false,
        ),
        ("others, flag 2", &disabled, signed(|_| {}), true, true),
        (
            "alias",
            &Gate::local(),
            signed(|params| params["client"]["id"] = json!("clawdbot-macos")),
            true,
            true,
        ),
    ];
    for (name, gate, frame, device, paired) in cases {
        gate.devices.asked.borrow_mut().clear();
        let accepted = gate.accept(&frame);
        assert_eq!(accepted.device.is_some(), device, "{name}");
        let asked = gate.devices.asked.borrow();
        let optional: Vec<bool> = asked.iter().map(|ask| ask.optional).collect();
        assert_eq!(
            optional,
            if device { vec![!paired] } else { vec![] },
            "{name}"
        );
        let by_token = frame["params"]["auth"]["token"] == DEVICE_TOKEN;
        assert!(
            asked.iter().all(|ask| ask.by_device_token == by_token),
            "{name}"
        );
        assert!(
            asked.iter().all(|ask| ask.local == accepted.locality.local),
            "{name}"
        );
    }
}

#[test]
fn what_the_pairing_learns() {
    let mut gate = Gate::remote();
    gate.peer.peer = "192.0.2.7".parse().unwrap();
    let long = "n".repeat(1000);
    let frame = signed(|params| {
        params["client"]["id"] = json!("moltbot-ios");
        params["client"]["displayName"] = json!(long);
    });
    let accepted = gate.accept(&frame);
    let [ask] = &gate.devices.asked.borrow()[..] else {
        panic!()
    };
    assert_eq!(Some(&ask.device), accepted.device.as_ref());
    assert_eq!(
        ask.profile,
        Profile {
            display_name: Some(long[..256].to_owned()),
            platform: Some("linux".into()),
            client_id: Some("moltbot-ios".into()),
            client_mode: Some("test".into()),
            remote_ip: Some("192.0.2.7".into()),
        }
    );
    assert_eq!(
        accepted.params.client.display_name.as_deref(),
        Some(long.as_str()),
        "presence shows it whole"
    );

    let unnamed = Gate::local();
    unnamed.accept(&signed(|params| {
        without(&mut params["client"], "displayName")
    }));
    let asked = unnamed.devices.asked.borrow();
    assert_eq!(
        (&asked[0].profile.display_name, &asked[0].profile.remote_ip),
        (&None, &None)
    );
}

#[test]
fn unpaired_where_that_is_enough() {
    let gate = Gate::remote()
        .with(|policy| policy.allow_insecure_auth = true)
        .deciding(Decision::Unpaired);
    let accepted = gate.accept(&signed(control_ui));
    assert!(accepted.device.is_some() && accepted.grant.is_none());
}

#[test]
fn a_commit_comes_between() {
    let gate = Gate::local().deciding(Decision::Undecided);
    let need = || match gate.receive(&signed(|_| {}).to_string()) {
        Verdict::NeedPairing(need) => need,
        other => panic!("{other:?}"),
    };
    assert!(need().ask().local);
    let granted = Outcome::Granted {
        grant: grant(),
        resolved: vec![],
    };
    for (outcome, expected) in [(granted, Some(grant())), (Outcome::Unpaired, None)] {
        let Verdict::Accept(accepted) = need().decided(Ok(outcome)) else {
            panic!()
        };
        assert_eq!(
            (accepted.grant.as_ref(), accepted.request_id.as_str()),
            (expected.as_ref(), "A-1")
        );
    }
}

#[test]
fn nothing_secret_is_printed() {
    let gate = Gate::local();
    let frame =
        signed(|params| params["auth"] = json!({"token": DEVICE_TOKEN, "password": "hunter2"}));
    let printed = format!("{:?} {:?}", gate.receive(&frame.to_string()), gate.policy);
    assert!(
        !printed.contains(DEVICE_TOKEN) && !printed.contains("hunter2"),
        "{printed}"
    );
}

#[test]
fn members_may_come_in_any_order() {
    let frame = signed(|_| {});
    let params = &frame["params"];
    for text in [
        format!(r#"{{"params":{params},"method":"connect","id":"A-1","type":"req"}}"#),
        format!(
            r#" {{ "id":"A-1", "params" : {params} , "type":"req","method":"\u0063onnect" }} "#
        ),
    ] {
        assert!(
            matches!(Gate::local().receive(&text), Verdict::Accept(_)),
            "{text}"
        );
    }
}
