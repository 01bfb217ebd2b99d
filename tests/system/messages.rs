//! `openclaw message` and `openclaw outbox`, and the mistakes that are likely with them.

use std::path::Path;

use openclaw_client::Clock;
use openclaw_core::store::{Store, StoreError, Table};
use openclaw_tests::{Gateway, Home, Ran, free_port};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::outbox::{connect, texts};

const CONFIG: &str = r#"{"gateway": {"mode": "local", "auth": {"token": "tok"}}}"#;

/// A gateway that commands of its home find.
pub(crate) struct World {
    home: Home,
    pub(crate) gateway: Gateway,
}

impl World {
    pub(crate) async fn new() -> Self {
        let home = Home::new();
        home.write_config(CONFIG);
        let gateway = Gateway::start(&home, &[]).await;
        Self { home, gateway }
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        let port = self.gateway.port.to_string();
        self.home
            .run_with(arguments, &[("OPENCLAW_GATEWAY_PORT", &port)])
            .await
    }

    /// What a command prints that succeeds.
    pub(crate) async fn out(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments).await;
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}{}", ran.out, ran.err);
        ran.out
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.out(arguments).await).expect("JSON")
    }

    /// A command that must fail, with a code and words on standard error.
    pub(crate) async fn fails(&self, arguments: &[&str], code: i32, words: &str) {
        let ran = self.run(arguments).await;
        assert_eq!(
            ran.code,
            Some(code),
            "{arguments:?}: {}{}",
            ran.out,
            ran.err
        );
        assert!(ran.err.contains(words), "{arguments:?}: {}", ran.err);
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
    }
}

/// `message send` to the main conversation.
fn send<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let words = ["message", "send", "--channel", "webchat", "-t", "main"];
    [&words[..], more].concat()
}

#[tokio::test]
async fn messages_are_sent_and_found_in_the_outbox() {
    let world = World::new().await;
    let said = world.out(&send(&["-m", "hello"])).await;
    assert!(said.starts_with("Sent through webchat: message "), "{said}");
    let keyed = send(&["-m", "once", "--idempotency-key", "k", "--json"]);
    let first = world.json(&keyed).await;
    assert_eq!(
        (&first["runId"], &first["chatId"]),
        (&json!("k"), &json!("agent:main:main"))
    );
    assert_eq!(world.json(&keyed).await, first);
    let media = [
        "-m",
        "look",
        "--media",
        "https://a/1.png",
        "--media",
        "https://a/2.png",
    ];
    world.out(&send(&media)).await;
    let client = connect(&world.gateway).await;
    let look = "look\nhttps://a/1.png\nhttps://a/2.png";
    assert_eq!(texts(&client).await, ["hello", look, "once"]);

    let listed = world
        .json(&["outbox", "list", "--json", "--limit", "2"])
        .await;
    let deliveries = listed["deliveries"].as_array().expect("a list");
    assert_eq!(
        (&deliveries[0]["preview"], &deliveries[1]["preview"]),
        (&json!("look"), &json!("once"))
    );
    let before = listed["nextBefore"].to_string();
    let rest = world.out(&["outbox", "list", "--before", &before]).await;
    assert!(
        rest.contains("hello") && rest.contains("sent") && !rest.contains("once"),
        "{rest}"
    );
    let page = world.out(&["outbox", "list", "--limit", "1"]).await;
    assert!(page.contains("There are more: --before 3"), "{page}");
    let none = world.out(&["outbox", "list", "--state", "failed"]).await;
    assert_eq!(none, "No messages.\n");
    let id = deliveries[0]["id"].as_str().expect("an id");
    let shown = world.out(&["outbox", "show", &id[..12]]).await;
    assert!(
        shown.contains(id) && shown.ends_with(&format!("\n\n{look}\n")),
        "{shown}"
    );
    let whole = world.json(&["outbox", "show", id, "--json"]).await;
    assert_eq!(whole["delivery"], deliveries[0]);

    world
        .fails(&["outbox", "retry", id], 1, "this one is sent")
        .await;
    world
        .fails(&["outbox", "cancel", id], 1, "this one is sent")
        .await;
    world
        .fails(&["outbox", "show", "zz"], 1, "unknown delivery: zz")
        .await;
    world
        .fails(&["outbox", "show", " "], 1, "openclaw outbox list")
        .await;
    world.fails(&["outbox", "show"], 2, "<ID>").await;
    world
        .fails(&["outbox", "list", "--state", "lost"], 2, "cancelled")
        .await;
    world
        .fails(&["outbox", "list", "--limit", "201"], 2, "1..=200")
        .await;
}

#[tokio::test]
async fn likely_mistakes_with_messages() {
    let world = World::new().await;
    for (more, code, words) in [
        (&["-m", ""][..], 1, "--message is empty"),
        (&[], 2, "--message"),
        (&["--media", "https://a/b.png"], 1, "--media alone"),
        (&["-m", "x", "--media", "photo.jpg"], 1, "photo.jpg"),
        (
            &["-m", "x", "--silent"],
            1,
            "--silent: the gateway's `send` cannot carry this; leave it out",
        ),
        (
            &["-m", "x", "--reply-to", "1", "--thread-id", "2"],
            1,
            "--reply-to, --thread-id: the gateway's `send`",
        ),
        (
            &["-m", "x", "--buttons", "[]", "--card", "{}", "--dry-run"],
            1,
            "--buttons, --card: the gateway's `send`",
        ),
    ] {
        world.fails(&send(more), code, words).await;
    }
    let options = |count: usize| ["--poll-option", "a"].repeat(count);
    let poll = |more: &[&'static str], count: usize| {
        let words = ["message", "poll", "-t", "main", "--poll-question", "Tea?"];
        [&words[..], more, &options(count)].concat()
    };
    let webchat = ["--channel", "webchat"];
    for (arguments, code, words) in [
        (vec!["message", "send", "-m", "x"], 2, "--target"),
        (
            vec!["message", "send", "-m", "x", "-t", " "],
            1,
            "--target is empty",
        ),
        (
            vec!["message", "send", "-m", "x", "-t", "7"],
            1,
            "unsupported channel: whatsapp",
        ),
        (
            vec![
                "message",
                "send",
                "-m",
                "x",
                "-t",
                "7",
                "--channel",
                "telegram",
            ],
            1,
            "unsupported channel: telegram",
        ),
        (poll(&webchat, 2), 1, "unsupported poll channel: webchat"),
        (poll(&[], 2), 1, "unsupported poll channel: whatsapp"),
        (poll(&webchat, 0), 2, "--poll-option"),
        (poll(&webchat, 1), 1, "2 to 12 answers"),
        (poll(&webchat, 13), 1, "2 to 12 answers"),
        (poll(&["--poll-duration-hours", "0"], 2), 2, "0"),
        (
            poll(&["-m", "x"], 2),
            1,
            "--message: the gateway's `poll` cannot carry this",
        ),
        (
            vec!["message", "poll", "-t", "7", "--poll-option", "a"],
            2,
            "--poll-question",
        ),
        (vec!["message"], 2, "send"),
    ] {
        world.fails(&arguments, code, words).await;
    }
    let client = connect(&world.gateway).await;
    assert!(texts(&client).await.is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_request_is_shown_beside_its_answer() {
    let world = World::new().await;
    let ran = world
        .run(&send(&["-m", "hi", "--verbose", "--idempotency-key", "k"]))
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let asked: Value = serde_json::from_str(ran.err.trim()).expect("JSON alone");
    assert_eq!(asked["params"]["message"], "hi");
    assert!(ran.out.starts_with("Sent through webchat"), "{}", ran.out);
}

#[tokio::test]
async fn a_rehearsal_needs_no_gateway() {
    let home = Home::new();
    let nobody = free_port().to_string();
    let port = [("OPENCLAW_GATEWAY_PORT", nobody.as_str())];
    let rehearsed = async |arguments: &[&str]| {
        let ran = home.run_with(arguments, &port).await;
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        serde_json::from_str::<Value>(&ran.out).expect("JSON")
    };
    let every = [
        "-m",
        "x",
        "--media",
        "https://a/b.mp4",
        "--gif-playback",
        "--account",
        "work",
        "--session-key",
        "main",
        "--idempotency-key",
        "k",
        "--verbose",
        "--json",
        "--dry-run",
    ];
    let whole = json!({"to": "main", "message": "x", "mediaUrls": ["https://a/b.mp4"], "gifPlayback": true,
        "channel": "webchat", "accountId": "work", "sessionKey": "main", "idempotencyKey": "k"});
    let said = rehearsed(&send(&every)).await;
    assert_eq!(said, json!({"method": "send", "params": whole}));
    let said = rehearsed(&send(&["-m", "x", "--idempotency-key", "k", "--dry-run"])).await;
    let params = json!({"to": "main", "message": "x", "channel": "webchat", "idempotencyKey": "k"});
    assert_eq!(said, json!({"method": "send", "params": params}));
    let poll = [
        "message",
        "poll",
        "-t",
        "7",
        "--poll-question",
        "Tea?",
        "--poll-option",
        "yes",
        "--poll-option",
        "no",
        "--poll-multi",
        "--poll-duration-hours",
        "3",
        "--idempotency-key",
        "p",
        "--dry-run",
    ];
    let params = json!({"to": "7", "question": "Tea?", "options": ["yes", "no"], "maxSelections": 2,
        "durationHours": 3, "idempotencyKey": "p"});
    assert_eq!(
        rehearsed(&poll).await,
        json!({"method": "poll", "params": params})
    );
    let ran = home.run_with(&send(&["-m", "x"]), &port).await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("cannot reach the gateway"), "{}", ran.err);
}

/// Puts deliveries into the store of a gateway that is not there.
async fn leave(store: &Path, records: Vec<Value>) {
    let store = Store::open(store).expect("the store");
    let written = store.write(move |writer| {
        for record in &records {
            let id = record["parcel"]["id"].as_str().expect("an id");
            writer.put(Table::Outbox, format!("delivery:{id}").as_bytes(), record)?;
        }
        Ok::<_, StoreError>(())
    });
    written.await.expect("written");
}

#[tokio::test]
async fn what_a_former_gateway_left_is_shown_and_tried_again() {
    let mut world = World::new().await;
    world.gateway.signal(Signal::TERM);
    world.gateway.ended().await;
    let now = Clock::system().now_ms();
    let record = |number: u64, id: &str, origin: &str, channel: &str, state: Value| {
        json!({origin: "send", "channel": channel, "state": state, "attempts": 1, "number": number,
            "queuedAt": now, "changedAt": now, "parcel": {"id": id, "to": "agent:main:main",
            "content": {"message": {"text": format!("words of {id}"), "media": [], "gif": false}}}})
    };
    let records = vec![
        record(1, "aa11", "space", "telegram", json!("queued")),
        record(2, "ab22", "origin", "telegram", json!("sending")),
        record(
            3,
            "bb33",
            "origin",
            "webchat",
            json!({"failed": "the disk was full"}),
        ),
    ];
    leave(&world.home.state().join("store"), records).await;
    world.gateway = Gateway::start(&world.home, &[]).await;

    let listed = world.out(&["outbox", "list"]).await;
    let rows: Vec<&str> = listed.lines().collect();
    for (row, words) in rows[1..].iter().zip([
        ["bb33", "failed", "the disk was full"],
        ["ab22", "unknown", "the gateway was stopped"],
        ["aa11", "failed", "unsupported channel: telegram"],
    ]) {
        assert!(words.iter().all(|word| row.contains(word)), "{listed}");
    }
    assert_eq!(rows.len(), 4, "{listed}");
    world
        .fails(&["outbox", "show", "a"], 1, "give more of the id")
        .await;
    world
        .fails(&["outbox", "cancel", "ab"], 1, "this one is unknown")
        .await;
    world
        .fails(
            &["outbox", "retry", "aa"],
            1,
            "unsupported channel: telegram",
        )
        .await;
    world
        .fails(&["outbox", "retry", "ab"], 1, "--may-duplicate")
        .await;
    let forced = ["outbox", "retry", "ab", "--may-duplicate"];
    world
        .fails(&forced, 1, "unsupported channel: telegram")
        .await;
    let said = world.out(&["outbox", "retry", "bb"]).await;
    assert_eq!(
        said,
        "Tried again: bb33 to agent:main:main through webchat\n"
    );
    // It was asked for and not waited for.
    let shown = ["outbox", "show", "bb", "--json"];
    while world.json(&shown).await["delivery"]["state"] != "sent" {}
    let client = connect(&world.gateway).await;
    assert_eq!(texts(&client).await, ["words of bb33"]);
    world
        .fails(&["outbox", "retry", "bb"], 1, "this one is sent")
        .await;
}
