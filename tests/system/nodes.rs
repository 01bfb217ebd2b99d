//! A node beside the gateway, and people who ask for it: what the protocol's tables promise, with real processes.

use openclaw_client::identity::DeviceIdentity;
use openclaw_client::{Client, ClientConfig, Events, GatewayCalls as _, Notice, Reconnect};
use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::Role;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    ClientId, ClientMode, ConnectClient, NodeEventParams, NodeInvokeRequestEvent,
    NodeInvokeResultParams, SkillsBinsParams,
};
use openclaw_tests::{Gateway, Home, PATIENCE};
use serde_json::{Value, json};
use tokio::time::timeout;

fn text(text: &str) -> NonEmptyString {
    NonEmptyString::or(text, "-")
}

/// A Mac of the device with this seed.
async fn mac(gateway: &Gateway, seed: u8) -> (Client, Events) {
    let mut me = ConnectClient::new(
        ClientId::NodeHost,
        text("1"),
        text("macos 15"),
        ClientMode::Node,
    );
    me.display_name = Some(text("Studio"));
    let mut config = ClientConfig::new(&gateway.url(), me).expect("a URL");
    config.token = Some("tok".into());
    config.role = Role::Node;
    config.commands = ["system.which", "system.run", "sms.send"]
        .map(str::to_owned)
        .to_vec();
    config.identity = Some(DeviceIdentity::from_seed(&[seed; 32]));
    config.reconnect = Reconnect::Never;
    let client = Client::connect(config).await.expect("a connection");
    let events = client.events();
    (client, events)
}

/// Waits for the first event that `wanted` takes.
async fn event<T>(events: &mut Events, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(Notice::Event(received)) = events.next().await
                && let Some(found) = received.event.clone().and_then(&mut wanted)
            {
                return found;
            }
        }
    };
    timeout(PATIENCE, found).await.expect("the event")
}

async fn request(events: &mut Events) -> NodeInvokeRequestEvent {
    event(events, |event| match event {
        Event::NodeInvokeRequest(request) => Some(request),
        _ => None,
    })
    .await
}

async fn answer(client: &Client, asked: &NodeInvokeRequestEvent, payload: Value) {
    let mut result = NodeInvokeResultParams::new(asked.id.clone(), asked.node_id.clone(), true);
    result.payload = Some(payload);
    let taken = client.node_invoke_result(&result).await.expect("an answer");
    assert_eq!(taken.ignored, None);
}

/// The command, as JSON.
async fn openclaw(home: &Home, gateway: &Gateway, arguments: &[&str]) -> Value {
    let url = gateway.url();
    let all = [arguments, &["--json", "--url", &url, "--token", "tok"]].concat();
    let ran = home.run(&all).await;
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{arguments:?}: {}", ran.out))
}

async fn tell(client: &Client, name: &str, payload: Value) {
    let mut params = NodeEventParams::new(text(name));
    params.payload = Some(payload);
    client
        .node_event(&params)
        .await
        .expect("an acknowledgement");
}

fn home_with_a_skill() -> Home {
    let home = Home::new();
    home.write_config("{gateway: {mode: 'local', auth: {mode: 'token', token: 'tok'}}}");
    let skill = home.state().join("skills/memo");
    std::fs::create_dir_all(&skill).expect("the skill's folder");
    let head = r#"{"openclaw": {"os": ["darwin"], "requires": {"bins": ["memo"]}}}"#;
    std::fs::write(
        skill.join("SKILL.md"),
        format!("---\nname: memo\nmetadata: {head}\n---\n"),
    )
    .expect("the skill");
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_found_asked_and_replaced() {
    let home = home_with_a_skill();
    let gateway = Gateway::start(&home, &[]).await;
    let (node, mut events) = mac(&gateway, 1).await;

    // Right after hello-ok: the words that wake it, and the programs that skills need.
    let words = event(&mut events, |event| match event {
        Event::VoicewakeChanged(words) => Some(words.triggers.len()),
        _ => None,
    });
    assert_eq!(words.await, 3);
    let probe = request(&mut events).await;
    assert_eq!(&*probe.command, "system.which");
    assert_eq!(probe.params_json.as_deref(), Some(r#"{"bins":["memo"]}"#));
    answer(&node, &probe, json!({"bins": ["memo"]})).await;
    let bins = node
        .skills_bins(&SkillsBinsParams::new())
        .await
        .expect("bins")
        .bins;
    assert_eq!(bins, [text("memo")]);

    let list = openclaw(&home, &gateway, &["nodes", "list"]).await;
    let row = &list["nodes"][0];
    assert_eq!(
        (&row["displayName"], &row["connected"]),
        (&json!("Studio"), &json!(true))
    );
    assert_eq!(row["commands"], json!(["system.run", "system.which"]));
    let described = openclaw(&home, &gateway, &["nodes", "describe", "--node", "studio"]).await;
    assert_eq!(described["nodeId"], row["nodeId"]);
    let table = home
        .run(&["nodes", "status", "--url", &gateway.url(), "--token", "tok"])
        .await;
    assert!(
        table.out.contains("Studio") && table.out.contains("connected"),
        "{}",
        table.out
    );

    let invoke = [
        "nodes",
        "invoke",
        "--node",
        "Studio",
        "--command",
        "system.which",
        "--params",
        "{\"bins\":[\"sh\"]}",
    ];
    let asked = openclaw(&home, &gateway, &invoke);
    let served = async {
        let asked = request(&mut events).await;
        assert_eq!(asked.timeout_ms, Some(15_000));
        answer(&node, &asked, json!({"bins": {"sh": "/bin/sh"}})).await;
    };
    let (asked, ()) = tokio::join!(asked, served);
    assert_eq!(asked["payload"], json!({"bins": {"sh": "/bin/sh"}}));

    // The same device again: the older connection is closed, the newer one stays when that has ended.
    let (newer, _newer_events) = mac(&gateway, 1).await;
    let closed = async {
        loop {
            match events.next().await {
                Some(Notice::Disconnected(why)) => return format!("{why:?}"),
                Some(_) => {}
                None => panic!("no notice of the end"),
            }
        }
    };
    let why = timeout(PATIENCE, closed).await.expect("a close");
    assert!(why.contains("1008") && why.contains("replaced by"), "{why}");
    let list = openclaw(&home, &gateway, &["nodes", "list", "--connected"]).await;
    assert_eq!(list["nodes"].as_array().map(Vec::len), Some(1));
    drop(newer);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_list_keeps_what_was_seen_of_a_node() {
    let home = home_with_a_skill();
    let gateway = Gateway::start(&home, &[]).await;
    let call = async |method: &str, params: Value| {
        openclaw(
            &home,
            &gateway,
            &["call", method, "--params", &params.to_string()],
        )
        .await
    };
    let identity = DeviceIdentity::from_seed(&[3; 32]);
    let asked = call("node.pair.request", json!({"nodeId": identity.device_id()})).await;
    let id = &asked["request"]["requestId"];
    call("node.pair.approve", json!({"requestId": id})).await;
    let listed = call("node.pair.list", json!({})).await;
    assert_eq!(listed["paired"][0]["lastConnectedAtMs"], Value::Null);

    let (node, mut events) = mac(&gateway, 3).await;
    let probe = request(&mut events).await;
    answer(&node, &probe, json!({"bins": ["memo"]})).await;
    // It is written behind the answer.
    let seen = async {
        loop {
            let listed = call("node.pair.list", json!({})).await;
            if !listed["paired"][0]["bins"].is_null() {
                return listed;
            }
        }
    };
    let listed = timeout(PATIENCE, seen).await.expect("what was seen");
    let row = &listed["paired"][0];
    assert_eq!(row["bins"], json!(["memo"]));
    assert!(row["lastConnectedAtMs"].as_u64() >= row["approvedAtMs"].as_u64());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_begins_turns_and_leaves_notes() {
    let home = home_with_a_skill();
    let gateway = Gateway::start(&home, &[]).await;
    let (node, mut events) = mac(&gateway, 2).await;
    for (name, payload, session_key) in [
        (
            "agent.request",
            json!({"message": "/new from the node", "sessionKey": "agent:main:asked"}),
            "agent:main:asked",
        ),
        (
            "voice.transcript",
            json!({"text": "/new spoken words"}),
            "main",
        ),
    ] {
        tell(&node, "chat.subscribe", json!({"sessionKey": session_key})).await;
        tell(&node, name, payload).await;
        let mut copies = 0;
        let ended = async {
            loop {
                let Some(Notice::Event(received)) = events.next().await else {
                    continue;
                };
                let Some(Event::Chat(chat)) = &received.event else {
                    continue;
                };
                assert_eq!(&*chat.session_key, session_key);
                assert_eq!(
                    chat.run_id.starts_with("voice-"),
                    name == "voice.transcript"
                );
                copies += usize::from(received.seq.is_none());
                if chat.state.as_str() == "final" && received.seq.is_none() {
                    return;
                }
            }
        };
        timeout(PATIENCE, ended).await.expect("the end of the turn");
        assert!(copies >= 1);
    }
    let history = |key: &str| {
        let params = json!({ "sessionKey": key }).to_string();
        let (home, gateway) = (&home, &gateway);
        async move {
            let history = openclaw(
                home,
                gateway,
                &["call", "chat.history", "--params", &params],
            )
            .await;
            history["messages"][0]["content"].to_string()
        }
    };
    // Commands are for operators; what a node says is for the model.
    let asked = history("agent:main:asked").await;
    assert!(asked.contains("/new from the node"), "{asked}");
    let spoken = history("main").await;
    assert!(spoken.contains("/new spoken words"), "{spoken}");

    tell(
        &node,
        "exec.finished",
        json!({"sessionKey": "main", "runId": "r1", "exitCode": 0, "output": "done"}),
    )
    .await;
    tell(&node, "nothing.known", json!(null)).await;
    let status = openclaw(&home, &gateway, &["status"]).await;
    let notes = status["queuedSystemEvents"].to_string();
    assert!(notes.contains("id=r1, code 0)\\ndone"), "{notes}");
}
