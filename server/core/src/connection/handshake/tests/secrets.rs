//! Wrong shared secrets with the hints of contract 2.8, and device tokens that do not open.

use super::*;

#[test]
fn wrong_secrets() {
    let unset = Gate::local().with(|policy| policy.auth = Auth::new(AuthMode::Token, None));
    let unset_password =
        Gate::local().with(|policy| policy.auth = Auth::new(AuthMode::Password, None));
    let token = Gate::local();
    let password = Gate::local().password();
    let cli = |params: &mut Value| params["client"]["mode"] = json!("cli");
    let cli_control_ui = |params: &mut Value| {
        control_ui(params);
        cli(params);
    };
    let webchat = |params: &mut Value| params["client"]["mode"] = json!("webchat");
    let webchat_ui = |params: &mut Value| params["client"]["id"] = json!("webchat-ui");
    type Kind<'a> = (&'a str, &'a dyn Fn(&mut Value), [&'a str; 2]);
    let page = [
        "open a tokenized dashboard URL or paste token in Control UI settings",
        "enter the password in Control UI settings",
    ];
    let command_line = [
        "set gateway.remote.token to match gateway.auth.token",
        "set gateway.remote.password to match gateway.auth.password",
    ];
    let kinds: [Kind<'_>; 6] = [
        ("cli", &cli, command_line),
        (
            "cli that says it is the control UI",
            &cli_control_ui,
            command_line,
        ),
        ("control UI", &control_ui, page),
        ("webchat", &webchat, page),
        ("webchat UI", &webchat_ui, page),
        (
            "other",
            &|_| {},
            [
                "provide gateway auth token",
                "provide gateway auth password",
            ],
        ),
    ];
    for (name, kind, [token_hint, password_hint]) in kinds {
        let cases = [
            (
                &token,
                json!({}),
                format!("gateway token missing ({token_hint})"),
            ),
            (
                &token,
                json!({"password": "tok"}),
                format!("gateway token missing ({token_hint})"),
            ),
            (
                &token,
                json!({"token": "x"}),
                format!("gateway token mismatch ({token_hint})"),
            ),
            (
                &unset,
                json!({"token": "x"}),
                "gateway token not configured on gateway (set gateway.auth.token)".into(),
            ),
            (
                &password,
                json!({"token": "pw"}),
                format!("gateway password missing ({password_hint})"),
            ),
            (
                &password,
                json!({"password": "x"}),
                format!("gateway password mismatch ({password_hint})"),
            ),
            (
                &unset_password,
                json!({"password": "x"}),
                "gateway password not configured on gateway (set gateway.auth.password)".into(),
            ),
        ];
        for (gate, auth, message) in cases {
            let frame = signed(|params| {
                kind(params);
                params["auth"] = auth.clone();
            });
            let message = format!("unauthorized: {message}");
            let expected = Seen::invalid(&message);
            refuses(
                name,
                gate,
                &frame.to_string(),
                expected.closed(1008, &cut_reason(&message)),
            );
        }
    }
    // Without a device a junk token gets as far as here (odd 2), a device token does not open anything.
    for token in ["x", "tox", "tök", DEVICE_TOKEN] {
        let frame = connect(|params| params["auth"]["token"] = json!(token));
        let expected =
            Seen::invalid("unauthorized: gateway token mismatch (provide gateway auth token)");
        refuses(token, &Gate::local(), &frame.to_string(), expected);
    }
}

#[test]
fn device_tokens_that_do_not_open() {
    let expected =
        || Seen::invalid("unauthorized: gateway token mismatch (provide gateway auth token)");
    let token = |params: &mut Value| params["auth"]["token"] = json!(DEVICE_TOKEN);
    let cases = [
        (
            "other role",
            signed(|params| {
                token(params);
                params["role"] = json!("node");
            }),
        ),
        (
            "scope beyond it",
            signed(|params| {
                token(params);
                params["scopes"] = json!(["operator.read", "x"]);
            }),
        ),
        (
            "another token",
            signed(|params| params["auth"]["token"] = json!("059be96934724cb5a6518a2e90f75266")),
        ),
    ];
    for (name, frame) in cases {
        for gate in [Gate::local(), Gate::remote()] {
            refuses(name, &gate, &frame.to_string(), expected());
            assert!(
                gate.devices.asked.borrow().is_empty(),
                "{name}: pairing comes after authentication"
            );
        }
    }
}
