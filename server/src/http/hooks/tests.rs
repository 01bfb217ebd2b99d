use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::ChatState;
use serde_json::{Value, json};

use super::turn::EXTERNAL;
use super::*;
use crate::agent::backend::scripted::{Step, say};
use crate::http::testing::World;
use crate::sessions::Entry;

const TOKEN: &str = "Authorization: Bearer hook\r\n";

async fn world(replies: impl IntoIterator<Item = Vec<Step>>) -> World {
    let hooks = json!({"hooks": {"enabled": true, "token": "hook", "maxBodyBytes": 200, "mappings": [
        {"match": {"path": "ci"}, "action": "wake", "textTemplate": "{{job}} {{headers.authorization}}{{query.who}}"},
        {"match": {"path": "js"}, "transform": {"module": "x"}},
        {"match": {"path": "empty"}, "messageTemplate": "{{none}}"}]}});
    World::new(hooks, replies).await
}

#[tokio::test]
async fn requests_in_the_order_of_their_checks() {
    let world = world([]).await;
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(200));
    for (start, headers, body, code, said) in [
        ("POST /hooks/wake", "", "{}", 401, "Unauthorized"),
        ("GET /hooks/wake", "", "", 401, "Unauthorized"),
        (
            "POST /hooks/wake",
            "Authorization: Bearer tok\r\n",
            "{}",
            401,
            "Unauthorized",
        ),
        ("GET /hooks/wake", TOKEN, "", 405, "Method Not Allowed"),
        ("POST /hooks", TOKEN, "{}", 404, "Not Found"),
        ("POST /hooks/", TOKEN, "{}", 404, "Not Found"),
        ("POST /hooks/other", TOKEN, "{}", 404, "Not Found"),
        ("POST /hooksome", TOKEN, "{}", 404, "Not Found"),
        (
            "POST /hooks/wake",
            TOKEN,
            &long,
            413,
            r#"{"error":"payload too large","ok":false}"#,
        ),
        ("POST /hooks/wake", TOKEN, "{", 400, r#""ok":false"#),
        ("POST /hooks/wake", TOKEN, "", 400, "text required"),
        ("POST /hooks/agent", TOKEN, "{}", 400, "message required"),
        (
            "POST /hooks/empty",
            TOKEN,
            "{}",
            400,
            "hook mapping requires message",
        ),
        ("POST /hooks/js", TOKEN, "{}", 500, "hook mapping failed"),
        (
            "POST /hooks/wake",
            TOKEN,
            r#"{"text":"a"}"#,
            200,
            r#"{"mode":"now","ok":true}"#,
        ),
        (
            "POST /hooks/wake",
            "X-OpenClaw-Token: hook\r\n",
            r#"{"text":"b","mode":"next-heartbeat"}"#,
            200,
            "next-heartbeat",
        ),
        (
            "POST /hooks/wake?token=ho%6Fk",
            "",
            r#"{"text":"c"}"#,
            200,
            "now",
        ),
        (
            "POST /hooks/ci?who=a+b",
            TOKEN,
            r#"{"job":"build"}"#,
            200,
            "now",
        ),
    ] {
        let answer = world.ask(start, headers, body).await;
        assert_eq!(answer.code, code, "{start} {body}: {answer:?}");
        assert!(answer.body.contains(said), "{start} {body}: {answer:?}");
    }
    assert_eq!(waiting(&world), ["a", "b", "c", "build a b"]);
    assert_eq!(world.model.asked().len(), 0);
}

/// What waits for the main conversation.
fn waiting(world: &World) -> Vec<String> {
    world.events.peek(&world.sessions.key("main"))
}

#[tokio::test]
async fn a_turn_is_begun_and_its_result_noted() {
    let world = world([say(&["done it"])]).await;
    let body = r#"{"message":"look","name":"Shop","model":"mock/echo-2"}"#;
    let answer = world.ask("POST /hooks/agent", TOKEN, body).await;
    assert_eq!(answer.code, 202, "{answer:?}");
    let run_id = answer.json()["runId"].as_str().unwrap().to_owned();
    assert_eq!(world.first_end().await, ChatState::Final);
    let wait =
        openclaw_protocol::types::AgentWaitParams::new(NonEmptyString::or(run_id.clone(), "x"));
    assert_eq!(json!(world.runs.agent_wait(wait).await)["status"], "ok");
    let asked = world.model.asked();
    assert!(asked[0].system.contains(EXTERNAL), "{asked:?}");
    assert_eq!(asked[0].model, "echo-2");
    let key = format!("agent:main:hook:{run_id}");
    assert_eq!(world.sessions.summary("main", 9).recent[0].key, key);
    let key = world.sessions.key(&key);
    let entry = world.sessions.entry(&key).unwrap().unwrap();
    assert_eq!(entry.model_override, None, "for this turn only");
    // The note is made by a task behind the run's end.
    while waiting(&world).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(waiting(&world), ["Hook Shop: done it"]);
}

#[tokio::test]
async fn callers_stay_in_conversations_of_hooks() {
    let configured = |more: Value| {
        let mut hooks = json!({"enabled": true, "token": "hook", "mappings": [
            {"match": {"path": "theirs"}, "messageTemplate": "m", "sessionKey": "{{key}}"},
            {"match": {"path": "ours"}, "messageTemplate": "m", "sessionKey": "main"}]});
        hooks
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({ "hooks": hooks })
    };
    let refused = "sessionKey must begin with hook:";
    for (more, path, body, code, said) in [
        (
            json!({}),
            "agent",
            r#"{"message":"m","sessionKey":"hook:a"}"#,
            202,
            "runId",
        ),
        (
            json!({}),
            "agent",
            r#"{"message":"m","sessionKey":"main"}"#,
            400,
            refused,
        ),
        (
            json!({}),
            "agent",
            r#"{"message":"m","sessionKey":"agent:main:main"}"#,
            400,
            refused,
        ),
        (json!({}), "theirs", r#"{"key":"main"}"#, 400, refused),
        (json!({}), "theirs", r#"{"key":"hook:b"}"#, 202, "runId"),
        (json!({}), "ours", "{}", 202, "runId"),
        (
            json!({}),
            "agent",
            r#"{"message":"m","model":"mock/none"}"#,
            400,
            "mock/none",
        ),
        (
            json!({"allowedSessionKeyPrefixes": [""]}),
            "agent",
            r#"{"message":"m","sessionKey":"main"}"#,
            202,
            "runId",
        ),
    ] {
        let world = World::new(configured(more), [say(&["a"])]).await;
        let start = format!("POST /hooks/{path}");
        let answer = world.ask(&start, TOKEN, body).await;
        assert_eq!(answer.code, code, "{path} {body}: {answer:?}");
        assert!(answer.body.contains(said), "{path} {body}: {answer:?}");
    }
}

#[tokio::test]
async fn a_hooks_words_are_no_command() {
    let world = world([say(&["well"])]).await;
    let answer = world
        .ask("POST /hooks/agent", TOKEN, r#"{"message":"/new look"}"#)
        .await;
    assert_eq!(answer.code, 202, "{answer:?}");
    assert_eq!(world.first_end().await, ChatState::Final);
    let asked = format!("{:?}", world.model.asked()[0].turns);
    assert!(asked.contains("/new look"), "{asked}");
}

#[tokio::test]
async fn replies_go_to_people() {
    let last = json!({"sessionId": "s-1", "lastChannel": "pigeon", "lastTo": "@ann"});
    let unsupported =
        "Hook Shop (error): the reply was not delivered: unsupported channel: telegram";
    let nobody = "Hook Shop (error): the reply was not delivered: no channel is named, and none was used in the conversation yet";
    for (entry, more, taken, problem) in [
        (last.clone(), json!({}), Some("ann:done it"), None),
        (
            last.clone(),
            json!({"to": "@bob"}),
            Some("bob:done it"),
            None,
        ),
        (last.clone(), json!({"deliver": false}), None, None),
        (
            last,
            json!({"channel": "telegram", "to": "7"}),
            None,
            Some(unsupported),
        ),
        (json!({"sessionId": "s-1"}), json!({}), None, None),
        (
            json!({"sessionId": "s-1"}),
            json!({"deliver": true}),
            None,
            Some(nobody),
        ),
        (
            json!({"sessionId": "s-1"}),
            json!({"channel": "webchat"}),
            None,
            None,
        ),
    ] {
        let world = world([say(&["done it"])]).await;
        let main = world.sessions.rules().main("main");
        let entry: Entry = serde_json::from_value(entry).unwrap();
        let written = world
            .sessions
            .write(move |changes| changes.put_entry(&main, &entry));
        written.await.unwrap();
        let mut body = more.clone();
        body["message"] = json!("look");
        body["name"] = json!("Shop");
        let answer = world
            .ask("POST /hooks/agent", TOKEN, &body.to_string())
            .await;
        assert_eq!(answer.code, 202, "{answer:?}");
        let expected: Vec<&str> = ["Hook Shop: done it"].into_iter().chain(problem).collect();
        while waiting(&world).len() < expected.len()
            || world.pigeon.taken().len() < usize::from(taken.is_some())
        {
            tokio::task::yield_now().await;
        }
        assert_eq!(waiting(&world), expected, "{more}");
        assert_eq!(world.pigeon.taken(), Vec::from_iter(taken), "{more}");
    }
}

#[tokio::test]
async fn tokens_cannot_be_guessed_fast() {
    use crate::connection::limiter::FREE_FAILURES;
    let world = world([]).await;
    // Native clients of this host are not limited; a page in its browser is.
    let headers = "Origin: https://evil.example\r\nAuthorization: Bearer no\r\n";
    for _ in 0..=FREE_FAILURES {
        assert_eq!(world.ask("POST /hooks/wake", headers, "{}").await.code, 401);
    }
    let right = "Origin: https://evil.example\r\nAuthorization: Bearer hook\r\n";
    let answer = world
        .ask("POST /hooks/wake", right, r#"{"text":"a"}"#)
        .await;
    assert_eq!(answer.code, 429, "{answer:?}");
    assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
}

#[test]
fn hooks_that_cannot_be_served() {
    for (config, expected) in [
        (json!({}), Err(HooksOff::NotEnabled)),
        (json!({"enabled": true}), Err(HooksOff::NoToken)),
        (
            json!({"enabled": true, "token": " "}),
            Err(HooksOff::NoToken),
        ),
        (
            json!({"enabled": true, "token": "x", "path": "/"}),
            Err(HooksOff::Path),
        ),
        (
            json!({"enabled": true, "token": "x"}),
            Ok("/hooks".to_owned()),
        ),
        (
            json!({"enabled": true, "token": "x", "path": "my/hooks/"}),
            Ok("/my/hooks".to_owned()),
        ),
    ] {
        let hooks: config::Hooks = serde_json::from_value(config.clone()).unwrap();
        assert_eq!(
            Place::of(&hooks).map(|place| place.path),
            expected,
            "{config}"
        );
    }
}

#[test]
fn queries_are_decoded() {
    let expected: Value = json!({"a": "b c", "ü": "%", "flag": "", "x": "%zz", "y": "% 1"});
    let found = query("a=b+c&%C3%BC=%25&flag&x=%zz&&y=no&y=%+1&");
    assert_eq!(json!(found), expected);
}
