//! `nodes` and `canvas`.

use super::*;
use crate::agent::attachments::Image;
use crate::agent::backend::Turn;
use crate::sessions::Entry;

/// The pictures that results of tools showed to the model when it was last asked.
fn pictures(world: &World) -> Vec<Image> {
    let asked = world.model.asked();
    let turns = asked.into_iter().next_back().unwrap().turns;
    let images = turns.into_iter().map(|turn| match turn {
        Turn::Result { images, .. } => images,
        _ => Vec::new(),
    });
    images.flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn devices_do_what_they_may() {
    let config = json!({
        "tools": {"exec": {"security": "full"}},
        "models": {"providers": {"mock": {"baseUrl": "http://127.0.0.1:1/v1", "models": [
            {"id": "echo-1", "contextWindow": 128_000, "input": ["text", "image"]},
        ]}}},
    });
    let world = World::configured(config, Vec::<Vec<Step>>::new()).await;
    let rest = rest(&world).await;
    let picture = json!({"format": "jpg", "base64": "/9j/", "width": 3});
    let (phone, _place) = rest.device(
        ("phone-1", "Ann's phone", "iOS 18"),
        [
            ("camera.snap", Ok(picture.clone())),
            ("camera.clip", Ok(json!({"format": "mp4", "base64": "?"}))),
            ("screen.record", Ok(json!({}))),
            ("location.get", Ok(json!({"lat": 1.5}))),
        ],
    );
    let (laptop, _other) = rest.device(
        ("laptop-1", "laptop", "macos 15"),
        [
            ("camera.snap", Ok(picture)),
            ("system.run", Ok(json!({"stdout": "hi\n", "exitCode": 0}))),
            ("system.notify", Ok(Value::Null)),
            ("system.which", Err("not now")),
            ("system.execApprovals.set", Ok(Value::Null)),
        ],
    );
    let told = use_more(
        &world,
        &[
            ("nodes", json!({"action": "location_get", "desiredAccuracy": "coarse"})),
            ("nodes", json!({"action": "camera_snap", "node": "ANN's phone", "facing": "front", "maxWidth": 640})),
            ("nodes", json!({"action": "notify", "title": "tea", "priority": "timeSensitive"})),
            ("nodes", json!({"action": "run", "command": ["echo", "hi"], "timeoutMs": 5})),
            ("nodes", json!({"action": "list"})),
            ("nodes", json!({"action": "describe", "node": "laptop"})),
            ("nodes", json!({"action": "invoke", "command": "location.get", "node": "phone-"})),
            ("nodes", json!({"action": "camera_clip", "durationMs": 999_999})),
            ("nodes", json!({"action": "screen_record"})),
            ("nodes", json!({"action": "camera_snap"})),
            ("nodes", json!({"action": "camera_list"})),
            ("nodes", json!({"action": "notify", "node": "phone-1", "title": "x"})),
            ("nodes", json!({"action": "notify", "node": "tv", "title": "x"})),
            ("nodes", json!({"action": "describe", "node": "tv"})),
            ("nodes", json!({"action": "invoke", "command": "system.which", "params": {"bins": []}})),
            ("nodes", json!({"action": "invoke", "command": " system.run", "params": {"approved": true}})),
            ("nodes", json!({"action": "invoke", "command": "system.execApprovals.set"})),
            ("nodes", json!({"action": "run", "command": [" "]})),
            ("nodes", json!({"action": "run", "command": "ls"})),
        ],
    )
    .await;
    let bad = |text: &str| (text.to_owned(), true);
    assert_eq!(json_of(&told[0]), json!({"lat": 1.5}));
    let saved = json_of(&told[1]);
    let path = saved["path"].as_str().unwrap();
    assert!(
        path.starts_with("nodes/camera-") && path.ends_with(".jpg"),
        "{path}"
    );
    assert_eq!((&saved["bytes"], saved.get("base64")), (&json!(3), None));
    let bytes = std::fs::read(world.path().join("workspace").join(path)).unwrap();
    assert_eq!(bytes, [0xff, 0xd8, 0xff]);
    let shown = Image {
        mime: "image/jpeg".into(),
        base64: "/9j/".into(),
    };
    assert_eq!(pictures(&world), [shown], "the model sees what was taken");
    assert_eq!(told[2], ("Done.".to_owned(), false));
    assert_eq!(json_of(&told[3])["stdout"], "hi\n");
    assert_eq!(json_of(&told[4]).as_array().unwrap().len(), 2);
    assert_eq!(json_of(&told[5])["nodeId"], "laptop-1");
    assert_eq!(json_of(&told[6]), json!({"lat": 1.5}));
    for (index, text) in [
        (7, "What the device sent cannot be read."),
        (8, "The device sent no picture or recording."),
        (
            9,
            "More than one device is meant; name one: laptop, Ann's phone.",
        ),
        (10, "No connected device can do camera.list."),
        (
            11,
            "Ann's phone: the node may not be asked for system.notify: command not allowlisted.",
        ),
        (12, "No device \"tv\" is connected."),
        (13, "There is no such device."),
        (14, "laptop: it refused: not now."),
        (15, "Use the action run."),
        (16, "What a device may run is for people to decide."),
        (17, "The command is empty."),
    ] {
        assert_eq!(told[index], bad(text), "{index}");
    }
    assert!(
        told[18].0.starts_with("The arguments are not right: "),
        "{:?}",
        told[18]
    );
    let asked = phone.asked();
    assert_eq!(
        asked[1],
        (
            "camera.snap".to_owned(),
            json!({"facing": "front", "maxWidth": 640, "format": "jpg"}),
        )
    );
    assert_eq!(asked[3].1["durationMs"], 60_000, "at most");
    let run = json!({"command": ["echo", "hi"], "timeoutMs": 5, "agentId": "main", "sessionKey": "agent:main:main"});
    let asked = laptop.asked();
    assert_eq!(asked[1], ("system.run".to_owned(), run));
    assert_eq!(
        asked.len(),
        3,
        "nothing that was refused has reached it: {asked:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn commands_on_devices_want_exec() {
    let deny = |entry: &mut Entry| entry.exec_security = Some("deny".to_owned());
    for (security, why) in [
        (
            "deny",
            "The command is not run: you may run none (tools.exec.security, or exec is denied).",
        ),
        (
            "full",
            "The command is not run: this conversation's execSecurity is deny.",
        ),
    ] {
        let config = json!({"tools": {"exec": {"security": security}}});
        let world = World::configured(config, Vec::<Vec<Step>>::new()).await;
        world.settle("main", deny).await;
        let rest = super::rest(&world).await;
        let (laptop, _place) =
            rest.device(("laptop-1", "", "linux"), [("system.run", Ok(json!({})))]);
        let run = ("nodes", json!({"action": "run", "command": ["ls"]}));
        let told = use_more(&world, &[run]).await;
        assert_eq!(told, [(why.to_owned(), true)]);
        assert_eq!(laptop.asked(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn pages_and_surfaces_are_shown() {
    let world = World::configured(json!({}), Vec::<Vec<Step>>::new()).await;
    let rest = rest(&world).await;
    let (phone, _place) = rest.device(
        ("phone-1", "phone", "android 15"),
        [
            ("canvas.present", Ok(Value::Null)),
            ("canvas.hide", Ok(Value::Null)),
            ("canvas.navigate", Ok(Value::Null)),
            ("canvas.eval", Ok(json!({"result": "4"}))),
            (
                "canvas.snapshot",
                Ok(json!({"format": "jpeg", "base64": "AAEC"})),
            ),
            ("canvas.a2ui.push", Ok(Value::Null)),
            ("canvas.a2ui.reset", Ok(Value::Null)),
        ],
    );
    let workspace = world.path().join("workspace");
    std::fs::create_dir_all(&workspace).unwrap();
    std::fs::write(workspace.join("a.jsonl"), "{\"a\":1}\n\n{\"b\":2}\n").unwrap();
    let most = format!("{{\"a\":\"{}\"}}", "x".repeat(256 * 1024 - 8));
    let more = format!("{most}\n");
    let told = use_more(
        &world,
        &[
            (
                "canvas",
                json!({"action": "present", "url": "/x.html", "x": 1, "width": 2.5}),
            ),
            ("canvas", json!({"action": "present"})),
            (
                "canvas",
                json!({"action": "navigate", "url": "https://host/"}),
            ),
            ("canvas", json!({"action": "eval", "javaScript": "2+2"})),
            (
                "canvas",
                json!({"action": "snapshot", "outputFormat": "jpg"}),
            ),
            (
                "canvas",
                json!({"action": "a2ui_push", "jsonlPath": "a.jsonl"}),
            ),
            ("canvas", json!({"action": "a2ui_push", "jsonl": most})),
            ("canvas", json!({"action": "a2ui_reset"})),
            ("canvas", json!({"action": "hide"})),
            ("canvas", json!({"action": "a2ui_push", "jsonl": more})),
            ("canvas", json!({"action": "a2ui_push", "jsonl": "{}\n[]"})),
            ("canvas", json!({"action": "a2ui_push", "jsonl": " "})),
            ("canvas", json!({"action": "a2ui_push"})),
            (
                "canvas",
                json!({"action": "a2ui_push", "jsonlPath": "../a.jsonl"}),
            ),
            ("canvas", json!({"action": "navigate"})),
        ],
    )
    .await;
    for index in [0, 1, 2, 5, 6, 7, 8] {
        assert_eq!(told[index], ("Done.".to_owned(), false), "{index}");
    }
    assert_eq!(json_of(&told[3]), json!({"result": "4"}));
    let path = json_of(&told[4])["path"].as_str().unwrap().to_owned();
    assert!(
        path.starts_with("nodes/canvas-") && path.ends_with(".jpg"),
        "{path}"
    );
    for (index, text) in [
        (9, "The messages are larger than 262144 bytes."),
        (10, "Line 2 is no JSON object."),
        (11, "There are no messages."),
        (12, "One of jsonl and jsonlPath is needed."),
        (13, "../a.jsonl: the path leads out of the workspace."),
        (14, "The arguments are not right: missing field `url`."),
    ] {
        assert_eq!(told[index], (text.to_owned(), true), "{index}");
    }
    let asked = phone.asked();
    assert_eq!(
        asked[0].1,
        json!({"url": "/x.html", "placement": {"x": 1.0, "width": 2.5}})
    );
    assert_eq!(asked[1].1, Value::Null);
    assert_eq!(asked[4].1, json!({"format": "jpeg"}));
    let pushed = json!({"jsonl": "{\"a\":1}\n\n{\"b\":2}\n"});
    assert_eq!(asked[5], ("canvas.a2ui.push".to_owned(), pushed));
    assert_eq!(asked.len(), 9);
}
