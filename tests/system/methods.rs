//! What the gateway can do and what it says of the rest: `docs/status.md`, hello-ok and the answers agree.

use std::path::Path;
use std::time::Duration;

use openclaw_client::{CallError, Client, ClientConfig};
use openclaw_gateway::methods::UNFINISHED;
use openclaw_protocol::client::Transport;
use openclaw_protocol::examples;
use openclaw_protocol::methods::{METHODS, MethodSpec};
use openclaw_protocol::protocol::{FEATURE_METHODS, errors};
use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::{ClientId, ClientMode, ConnectClient};
use openclaw_tests::{Gateway, Home};
use serde_json::Value;

/// Set to write `docs/status.md` instead of comparing it.
const UPDATE: &str = "UPDATE_STATUS";

/// The page: which methods are there, by group.
fn status() -> String {
    let list = |methods: &[&MethodSpec]| {
        let names: Vec<String> = methods
            .iter()
            .map(|spec| format!("`{}`", spec.name))
            .collect();
        names.join(", ")
    };
    let mut text = format!(
        "# What is done\n\nWritten by `{UPDATE}=1 cargo test -p openclaw-tests --test system status` from what the server \
         registers. Do not edit.\n\nThe protocol has {} methods; the gateway serves {}. The others check caller and params \
         like any method, then answer `UNAVAILABLE` with `{}`. They are left out of `features.methods` in hello-ok.\n\n\
         | Group | Served | Not there yet |\n| --- | --- | --- |\n",
        METHODS.len(),
        METHODS.len() - UNFINISHED.len(),
        errors::METHOD_UNFINISHED
            .with(&[("method", "<method>")])
            .message
            .as_str(),
    );
    let mut groups: Vec<&str> = METHODS.iter().map(|spec| spec.group).collect();
    groups.dedup();
    for group in groups {
        let (rest, done): (Vec<_>, Vec<_>) = METHODS
            .iter()
            .filter(|spec| spec.group == group)
            .partition(|spec| UNFINISHED.contains(&spec.method));
        text += &format!("| {group} | {} | {} |\n", list(&done), list(&rest));
    }
    text
}

#[test]
fn the_status_page_is_what_the_gateway_registers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/status.md");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, status()).expect("written");
    }
    let page = std::fs::read_to_string(&path).expect("docs/status.md");
    assert_eq!(page, status(), "write it anew with {UPDATE}=1");
}

#[tokio::test]
async fn methods_that_are_not_there_say_so_and_no_others_do() {
    let home = Home::new();
    let gateway = Gateway::start(&home, &["--token", "tok"]).await;
    let text = |text: &str| NonEmptyString::or(text, "-");
    let who = ConnectClient::new(ClientId::Test, text("1"), text("linux"), ClientMode::Test);
    let mut config = ClientConfig::new(&gateway.url(), who).expect("a URL");
    config.token = Some(SecretString::new("tok"));
    // A method that waits for people is there, though it does not answer.
    config.call_timeout = Duration::from_secs(5);
    let client = Client::connect(config).await.expect("connected");

    let advertised: Vec<String> = client
        .hello()
        .features
        .methods
        .iter()
        .map(|name| name.to_string())
        .collect();
    let expected: Vec<&str> = FEATURE_METHODS
        .iter()
        .copied()
        .filter(|name| !UNFINISHED.iter().any(|method| method.name() == *name))
        .collect();
    assert_eq!(advertised, expected);

    let mut calls = 0;
    for spec in METHODS.iter().filter(|spec| !spec.handshake) {
        if spec.role != openclaw_protocol::protocol::Role::Operator {
            continue;
        }
        let params = examples::ALL
            .iter()
            .find(|of| std::ptr::eq(of.node, spec.params))
            .and_then(|of| of.valid.first())
            .unwrap_or_else(|| panic!("{} has params with an example", spec.name));
        let params: Value = serde_json::from_str(params).expect("JSON");
        let answer: Result<Value, CallError> = client.call(spec.method, &params).await;
        let unfinished = errors::METHOD_UNFINISHED.with(&[("method", spec.name)]);
        let says_so = match &answer {
            Err(CallError::Refused { error, .. }) => **error == unfinished,
            _ => false,
        };
        assert_eq!(
            says_so,
            UNFINISHED.contains(&spec.method),
            "{}: {answer:?}",
            spec.name
        );
        calls += 1;
    }
    println!("{calls} methods called");
}
