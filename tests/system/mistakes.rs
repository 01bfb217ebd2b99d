//! The likely mistakes, each with a clear message and exit code 1.

use openclaw_tests::{Gateway, Home, free_port};

/// Runs `openclaw gateway` where it must fail, and checks that the message names all the words.
async fn fails(home: &Home, arguments: &[&str], words: &[&str]) {
    let port = free_port().to_string();
    let mut all = vec!["gateway"];
    if !arguments.contains(&"--port") {
        all.extend(["--port", &port]);
    }
    all.extend_from_slice(arguments);
    let ran = home.run(&all).await;
    assert_eq!(ran.code, Some(1), "{all:?}\n{}\n{}", ran.out, ran.err);
    let text = ran.out + &ran.err;
    for word in words {
        assert!(
            text.contains(word),
            "{all:?}: {word:?} is missing in\n{text}"
        );
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[tokio::test]
async fn a_second_gateway_in_one_state_directory() {
    let home = Home::new();
    let _first = Gateway::start(&home, &[]).await;
    fails(&home, &[], &["gateway already running"]).await;
}

#[tokio::test]
async fn a_port_that_is_taken() {
    let (home, other) = (Home::new(), Home::new());
    let first = Gateway::start(&home, &[]).await;
    let port = first.port.to_string();
    fails(
        &other,
        &["--port", &port],
        &[
            "another gateway instance is already listening on ws://127.0.0.1",
            &port,
        ],
    )
    .await;
}

#[tokio::test]
async fn a_config_that_is_no_json5_names_line_and_column() {
    let home = Home::new();
    home.write_config("{\n  gateway: { mode: 'local',\n    port: ] }\n");
    fails(&home, &[], &["openclaw.json", "line 3"]).await;
    let text = std::fs::read_to_string(home.config()).expect("still there");
    assert!(text.contains("port: ]"), "the file is left alone");
}

#[tokio::test]
async fn a_wrong_value_is_named_and_does_not_stop_the_gateway() {
    let home = Home::new();
    home.write_config("{ gateway: { mode: 'local', auth: { token: 'secret-token' }, trustedProxies: 5 }, session: { scope: 'everywhere' } }");
    let mut gateway = Gateway::start(&home, &[]).await;
    let port = gateway.port.to_string();
    let ran = home
        .run_with(&["health"], &[("OPENCLAW_GATEWAY_PORT", &port)])
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    gateway.signal(rustix::process::Signal::TERM);
    gateway.ended().await;
    let log = gateway.output().await;
    assert!(log.contains("gateway.trustedProxies"), "{log}");
    assert!(log.contains("session.scope"), "{log}");
}

#[tokio::test]
async fn no_secret_and_no_way_to_one() {
    let home = Home::new();
    home.write_config("{ gateway: { mode: 'local' } }");
    fails(&home, &[], &["gateway.auth.token"]).await;
}

#[tokio::test]
async fn a_config_for_another_host() {
    let home = Home::new();
    home.write_config("{ gateway: { mode: 'remote', remote: { url: 'wss://far.example' } } }");
    fails(&home, &[], &["remote"]).await;
}

#[tokio::test]
async fn flags_with_bad_values() {
    let home = Home::new();
    for (arguments, word) in [
        (&["--port", "70000"][..], "70000"),
        (&["--bind", "everywhere"], "everywhere"),
        (&["--auth", "none"], "none"),
        (&["--ws-log", "loud"], "loud"),
        (&["--reset"], "--dev"),
    ] {
        fails(&home, arguments, &[word]).await;
    }
}

#[tokio::test]
async fn commands_without_a_gateway_or_with_a_wrong_token() {
    let home = Home::new();
    let nobody = free_port().to_string();
    let ran = home
        .run_with(&["health"], &[("OPENCLAW_GATEWAY_PORT", &nobody)])
        .await;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("cannot reach the gateway") && ran.err.contains(&nobody),
        "{}",
        ran.err
    );

    let gateway = Gateway::start(&home, &[]).await;
    let stranger = Home::new();
    let ran = stranger
        .run(&["health", "--url", &gateway.url(), "--token", "wrong"])
        .await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("gateway token mismatch"), "{}", ran.err);
    let ran = stranger
        .run(&["call", "health", "--url", &gateway.url()])
        .await;
    assert_eq!(ran.code, Some(1), "{}", ran.out);

    let port = gateway.port.to_string();
    let here = [("OPENCLAW_GATEWAY_PORT", port.as_str())];
    for (arguments, code, word) in [
        (
            &["call", "no.such.method"][..],
            1,
            "unknown method: no.such.method",
        ),
        (
            &["call", "chat.history"],
            1,
            "must have required property 'sessionKey'",
        ),
        (
            &["call", "health", "--params", "{"],
            1,
            "--params is not JSON",
        ),
        (&["agent", "--message", ""], 1, "--message is empty"),
        (&["agent"], 2, "--message"),
        (&["health", "--url", "http://x"], 1, "http://x"),
    ] {
        let ran = home.run_with(arguments, &here).await;
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(word), "{arguments:?}: {}", ran.err);
    }
}
