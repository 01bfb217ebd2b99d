use std::fs;
use std::path::Path;

use serde_json::json;

use super::checks::TOKEN_CHARS;
use super::*;
use crate::config::Config;

fn config(gateway: &serde_json::Value) -> Config {
    serde_json::from_value(json!({ "gateway": gateway })).unwrap()
}

#[track_caller]
fn check(found: &[Finding], level: Level, words: &str) {
    let worst = found.iter().map(|finding| finding.level).max();
    assert_eq!(worst, Some(level), "{found:?}");
    let text = format!("{found:?}");
    assert!(text.contains(words), "{words}: {text}");
}

#[test]
fn exposures() {
    for (gateway, level, words) in [
        (json!({}), Level::Ok, "bind loopback"),
        (json!({"bind": "lan"}), Level::Warning, "strictDevices"),
        (
            json!({"bind": "lan", "auth": {"strictDevices": true}}),
            Level::Warning,
            "without TLS",
        ),
        (
            json!({"bind": "tailnet", "auth": {"strictDevices": true}}),
            Level::Ok,
            "bind tailnet",
        ),
        (
            json!({"tls": {"enabled": true}}),
            Level::Error,
            "speaks no TLS",
        ),
        (
            json!({"controlUi": {"allowInsecureAuth": true}}),
            Level::Warning,
            "allowInsecureAuth",
        ),
        (
            json!({"controlUi": {"dangerouslyDisableDeviceAuth": true}}),
            Level::Warning,
            "dangerouslyDisableDeviceAuth",
        ),
        (
            json!({"controlUi": {"dangerouslyDisableDeviceAuth": true}, "auth": {"strictDevices": true}}),
            Level::Ok,
            "loopback",
        ),
        (
            json!({"controlUi": {"allowedOrigins": ["https://*.example"]}}),
            Level::Warning,
            "wildcard",
        ),
        (
            json!({"trustedProxies": ["10.0.0.1", "10.0.0.0/8"]}),
            Level::Warning,
            "10.0.0.0/8",
        ),
    ] {
        check(&exposure(&config(&gateway)), level, words);
    }
}

#[test]
fn secrets() {
    let environment = Environment::new("/home/u", [] as [(&str, &str); 0]);
    let good = "0123456789abcdef0123456789abcdef";
    for (auth, level, words) in [
        (json!({"token": good}), Level::Ok, "long enough"),
        (
            json!({"token": good[..TOKEN_CHARS - 1]}),
            Level::Warning,
            "weak",
        ),
        (
            json!({"token": good[..TOKEN_CHARS]}),
            Level::Ok,
            "long enough",
        ),
        (json!({"token": "a".repeat(64)}), Level::Warning, "weak"),
        (json!({"password": "hunter2"}), Level::Warning, "weak"),
        (
            json!({"password": "correct horse"}),
            Level::Ok,
            "long enough",
        ),
        (json!({}), Level::Error, "no gateway token"),
        (
            json!({"mode": "password"}),
            Level::Error,
            "no gateway password",
        ),
        (json!({"allowTailscale": true}), Level::Ok, "tailnet"),
    ] {
        let config = config(&json!({ "auth": auth }));
        let resolved = GatewayAuth::resolve(&config, &environment, &Overrides::default());
        let found = [secret(&resolved)];
        check(&found, level, words);
        assert!(!format!("{found:?}").contains(good), "a secret is shown");
    }
}

#[test]
fn modes_of_files() {
    for (mode, level, words) in [
        (0o100_600, Level::Ok, "1 private"),
        (0o100_644, Level::Error, "chmod 600"),
        (0o100_660, Level::Error, "chmod 600"),
        (0o040_755, Level::Error, "chmod 700"),
        (0o040_700, Level::Ok, "closed"),
    ] {
        check(&permissions(&[("/x".into(), mode)]), level, words);
    }
}

#[test]
fn ports_and_sockets() {
    for (answer, level) in [
        (Answer::Gateway, Level::Ok),
        (Answer::Nobody, Level::Warning),
        (Answer::SomebodyElse, Level::Error),
    ] {
        check(&[port(&Ok(1), answer)], level, "port 1");
        check(&[socket(Path::new("/s"), answer)], level, "/s");
    }
    check(
        &[port(&Err("no port".into()), Answer::Nobody)],
        Level::Error,
        "no port",
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let stale = dir.path().join("stale");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    for (path, expected) in [
        (dir.path().join("none"), Answer::Nobody),
        (stale, Answer::Nobody),
        (file, Answer::SomebodyElse),
    ] {
        assert_eq!(who_is_at_socket(&path), expected, "{}", path.display());
    }
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = silent.local_addr().unwrap().port();
    std::thread::spawn(move || drop(silent.accept()));
    assert_eq!(who_is_at_port(taken), Answer::SomebodyElse);
}
