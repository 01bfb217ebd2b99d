use std::io::Read as _;

use serde_json::{Value, json};

use crate::agent::backend::scripted::Step;
use crate::http::testing::{Answer, BEARER, World};
use crate::limits::{MAX_TOOL_USES, TOOLS_BODY_BYTES};

const PATH: &str = "POST /tools/invoke";

async fn world(config: Value) -> World {
    let world = World::new(config, Vec::<Vec<Step>>::new()).await;
    for agent in ["main", "ops"] {
        let workspace = world.runs.workspace(agent);
        std::fs::create_dir_all(&workspace).unwrap();
        std::fs::write(workspace.join("a.txt"), agent).unwrap();
    }
    world
}

async fn ask(world: &World, body: &Value) -> Answer {
    world.ask(PATH, BEARER, &body.to_string()).await
}

#[tokio::test]
async fn what_tools_bring() {
    let world = world(json!({})).await;
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    let ok = |content: Value| json!({"ok": true, "result": {"content": content}});
    let failed = |kind: &str, message: &str| json!({"ok": false, "error": {"type": kind, "message": message}});
    let wrong =
        |message: &str| json!({"error": {"message": message, "type": "invalid_request_error"}});
    let no_tool = wrong("tools.invoke requires body.tool");
    for (body, code, expected) in [
        (
            json!({"tool": "read", "args": {"path": "a.txt"}}),
            200,
            ok(text("main")),
        ),
        (
            json!({"tool": " read ", "args": {"path": "a.txt"}, "sessionKey": "agent:ops:x", "dryRun": true}),
            200,
            ok(text("ops")),
        ),
        // Read has no action: it goes nowhere.
        (
            json!({"tool": "read", "action": "x", "args": {"path": "a.txt"}, "sessionKey": "main"}),
            200,
            ok(text("main")),
        ),
        (
            json!({"tool": "sessions_list"}),
            200,
            json!({"ok": true, "result": {"content": text("[]"), "details": []}}),
        ),
        (
            json!({"tool": "read", "args": {"path": "b.txt"}}),
            400,
            failed("tool_error", "b.txt: there is no such file."),
        ),
        (
            json!({"tool": "read"}),
            400,
            failed(
                "tool_error",
                "The arguments are not right: missing field `path`.",
            ),
        ),
        (
            json!({"tool": "fly"}),
            404,
            failed("not_found", "Tool not available: fly"),
        ),
        // Denied by the configuration, and not there without the rest of the gateway.
        (
            json!({"tool": "exec"}),
            404,
            failed("not_found", "Tool not available: exec"),
        ),
        (
            json!({"tool": "cron"}),
            404,
            failed("not_found", "Tool not available: cron"),
        ),
        (json!({}), 400, no_tool.clone()),
        (json!({"tool": 5}), 400, no_tool.clone()),
        (json!({"tool": " "}), 400, no_tool),
        (json!([]), 400, wrong("the body must be a JSON object")),
        (
            json!({"tool": "read", "args": "a.txt"}),
            400,
            wrong("tools.invoke takes an object as body.args"),
        ),
        (
            json!({"tool": "read", "sessionKey": "agent:nobody:x"}),
            400,
            wrong("invalid agent params: unknown agent id \"nobody\""),
        ),
    ] {
        let answer = ask(&world, &body).await;
        assert_eq!((answer.code, answer.json()), (code, expected), "{body}");
    }
    assert_eq!(world.model.asked().len(), 0);
}

#[tokio::test]
async fn who_may_ask_and_how_much() {
    let world = world(json!({})).await;
    let more = format!("{BEARER}Content-Length: {}\r\n", TOOLS_BODY_BYTES + 1);
    for (start, headers, code, said) in [
        ("GET /tools/invoke", BEARER, 405, "Method Not Allowed"),
        (PATH, "", 401, "unauthorized"),
        (PATH, "Authorization: Bearer no\r\n", 401, "unauthorized"),
        (PATH, &more, 400, "payload too large"),
    ] {
        let answer = world.ask(start, headers, "").await;
        assert_eq!(answer.code, code, "{start} {headers} {answer:?}");
        assert!(answer.body.contains(said), "{answer:?}");
    }
    let mut most = json!({"tool": "fly"}).to_string();
    most.push_str(&" ".repeat(TOOLS_BODY_BYTES - most.len()));
    assert_eq!(world.ask(PATH, BEARER, &most).await.code, 404);
}

#[tokio::test]
async fn the_policy_of_an_agent_holds() {
    let world = world(json!({"tools": {"deny": ["group:fs"]}})).await;
    let answer = ask(&world, &json!({"tool": "read", "args": {"path": "a.txt"}})).await;
    assert_eq!(answer.code, 404, "{answer:?}");
}

#[tokio::test]
async fn uses_at_a_time_are_bounded_and_end_with_their_clients() {
    let world = world(json!({"tools": {"exec": {"security": "full"}}})).await;
    let workspace = world.runs.workspace("main");
    let mut held = Vec::new();
    for n in 0..MAX_TOOL_USES {
        let fifo = workspace.join(format!("fifo{n}"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        let command = format!("exec 3>fifo{n}; echo up >&3; sleep 1000");
        let body = json!({"tool": "exec", "args": {"command": command}}).to_string();
        let client = world.send(PATH, BEARER, &body).await;
        // Both ends open together, so the command runs when its word is here.
        let begun = tokio::task::spawn_blocking(move || {
            let mut fifo = std::fs::File::open(fifo).unwrap();
            let mut word = [0; 3];
            fifo.read_exact(&mut word).unwrap();
            fifo
        });
        held.push((client, begun.await.unwrap()));
    }
    let one_more = || async {
        let body = json!({"tool": "exec", "args": {"command": "true"}});
        ask(&world, &body).await
    };
    let full = one_more().await;
    assert_eq!(full.code, 503, "{full:?}");
    assert!(full.body.contains("too many tools"), "{full:?}");
    for ((client, _server), mut fifo) in held {
        drop(client);
        // It comes to its end when nobody holds it open any more: the command is dead.
        let end = tokio::task::spawn_blocking(move || fifo.read_to_end(&mut Vec::new()).unwrap());
        assert_eq!(end.await.unwrap(), 0);
    }
    let answer = one_more().await;
    assert_eq!(answer.code, 200, "{answer:?}");
}
