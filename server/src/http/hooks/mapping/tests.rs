use super::*;
use serde_json::json;

#[test]
fn where_replies_go() {
    let to = |channel: Option<&str>, to: Option<&str>| {
        Deliver::To(Wish {
            channel: channel.map(str::to_owned),
            to: to.map(str::to_owned),
            account_id: None,
        })
    };
    for (body, expected) in [
        (json!({}), Deliver::IfPossible),
        (json!({"channel": " ", "to": ""}), Deliver::IfPossible),
        (
            json!({"deliver": false, "channel": "telegram", "to": "7"}),
            Deliver::No,
        ),
        (json!({"deliver": true}), to(None, None)),
        (
            json!({"channel": "Telegram", "to": " 7 "}),
            to(Some("Telegram"), Some("7")),
        ),
        (json!({"to": "7"}), to(None, Some("7"))),
    ] {
        let mut whole = body.clone();
        whole["message"] = json!("m");
        let Ok(Action::Agent(hook)) = agent(whole) else {
            panic!("{body}")
        };
        assert_eq!(hook.deliver, expected, "{body}");
    }
    let mapping = json!({"match": {"path": "p"}, "messageTemplate": "m", "channel": "{{channel}}", "to": "{{who}}"});
    let mappings: Vec<HookMapping> = serde_json::from_value(json!([mapping])).unwrap();
    let mapped = |payload| mapped(&mappings, &context("p", payload)).unwrap().unwrap();
    let Ok(Action::Agent(hook)) = mapped(json!({"channel": "slack", "who": "C1"})) else {
        panic!("an agent's turn")
    };
    assert_eq!(hook.deliver, to(Some("slack"), Some("C1")));
    assert_eq!(
        mapped(json!({"channel": "pigeon"})),
        Err(Meaningless::Channel)
    );
}

fn context(path: &str, payload: Value) -> Context {
    Context {
        payload,
        headers: Default::default(),
        query: Default::default(),
        path: path.to_owned(),
        now: String::new(),
    }
}

fn shown(action: Result<Action, Meaningless>) -> String {
    match action {
        Ok(Action::Wake { text, mode }) => format!("wake {mode:?} {text}"),
        Ok(Action::Agent(hook)) => format!(
            "agent {:?} {}: {} in {:?} by {:?} for {:?}{}",
            hook.mode,
            hook.name,
            hook.message,
            hook.session_key,
            hook.model,
            hook.timeout_seconds,
            if hook.is_external { "" } else { " trusted" }
        ),
        Err(error) => error.to_string(),
    }
}

#[test]
fn wake_and_agent() {
    for (body, expected) in [
        (json!({}), "text required"),
        (json!({"text": " "}), "text required"),
        (json!({"text": " hi "}), "wake Now hi"),
        (
            json!({"text": "hi", "mode": "next-heartbeat", "more": 1}),
            "wake NextHeartbeat hi",
        ),
        (
            json!({"text": 5}),
            "invalid type: integer `5`, expected a string",
        ),
    ] {
        assert_eq!(shown(wake(body.clone())), expected, "{body}");
    }
    for (body, expected) in [
        (json!({}), "message required"),
        (json!({"message": "m", "model": ""}), "model required"),
        (
            json!({"message": "m", "channel": "pigeon"}),
            "channel must be last|whatsapp|telegram|discord|googlechat|slack|signal|imessage|webchat",
        ),
        (
            json!({"message": "m", "channel": "last", "to": "x"}),
            "agent Now Hook: m in None by None for None",
        ),
        (
            json!({"message": "m", "name": "N", "sessionKey": "s", "model": "a/b", "timeoutSeconds": 7.5, "wakeMode": "next-heartbeat"}),
            "agent NextHeartbeat N: m in Some(\"s\") by Some(\"a/b\") for Some(7)",
        ),
        (
            json!({"message": "m", "timeoutSeconds": -1}),
            "agent Now Hook: m in None by None for None",
        ),
    ] {
        assert_eq!(shown(agent(body.clone())), expected, "{body}");
    }
}

#[test]
fn mappings() {
    let configured: Vec<HookMapping> = serde_json::from_value(json!([
        {"match": {"path": "/ci/"}, "action": "wake", "textTemplate": "{{job}} is {{state}}", "wakeMode": "next-heartbeat"},
        {"match": {"source": "shop"}, "messageTemplate": "order {{id}}", "name": "Shop", "sessionKey": "hook:{{id}}",
            "model": "a/b", "timeoutSeconds": 9, "allowUnsafeExternalContent": true},
        {"id": "js", "match": {"path": "js"}, "messageTemplate": "x", "transform": {"module": "./t.js"}},
    ]))
    .unwrap();
    let mappings = in_force(&configured, &["Gmail".to_owned()]);
    let check = |path: &str, payload: Value, expected: &str| {
        let found = mapped(&mappings, &context(path, payload.clone()));
        let found = match found {
            Ok(Some(action)) => shown(action),
            Ok(None) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{path} {payload}");
    };
    check(
        "ci",
        json!({"job": "build", "state": "red"}),
        "wake NextHeartbeat build is red",
    );
    check("ci/x", json!({}), "nothing");
    check(
        "any",
        json!({"source": "shop", "id": 4}),
        "agent Now Shop: order 4 in Some(\"hook:4\") by Some(\"a/b\") for Some(9) trusted",
    );
    check(
        "js",
        json!({}),
        "hook mapping \"js\" needs the transform module \"./t.js\", and this gateway runs none",
    );
    check(
        "gmail",
        json!({"messages": [{"id": "1", "from": "ann", "subject": "s", "snippet": "sn", "body": "b"}]}),
        "agent Now Gmail: New mail from ann\nSubject: s\nsn\nb in Some(\"hook:gmail:1\") by None for None",
    );
    let empty = HookMapping {
        action: HookAction::Wake,
        ..HookMapping::default()
    };
    let found = mapped(&[empty], &context("x", json!({}))).unwrap().unwrap();
    assert_eq!(shown(found), "hook mapping requires text");
    let many = vec![HookMapping::default(); MAX_HOOK_MAPPINGS + 1];
    assert_eq!(in_force(&many, &[]).len(), MAX_HOOK_MAPPINGS);
    assert_eq!(in_force(&many[..2], &["gmail".into()]).len(), 3);
}
