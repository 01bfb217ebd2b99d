//! Round trips, and what other releases left in their folders.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::super::{Compacted, Entry, Sessions, open_in};
use super::*;

async fn put(sessions: &Sessions, raw: &str, entry: Value, messages: &[Value]) {
    let key = sessions.key(raw);
    let entry: Entry = serde_json::from_value(entry).unwrap();
    let messages = messages.to_vec();
    let write = sessions.write(move |changes| {
        changes.put_entry(&key, &entry)?;
        for message in &messages {
            changes.append(&entry.session_id, message)?;
        }
        Ok(())
    });
    write.await.unwrap();
}

fn said(role: &str, text: &str) -> Value {
    json!({"role": role, "content": [{"type": "text", "text": text}], "timestamp": 1_795_404_123_385_u64})
}

/// Every file below `dir` with its text; places are cut out of them.
fn files(dir: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, dir: &Path, found: &mut BTreeMap<String, String>) {
        for item in std::fs::read_dir(dir).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                let text = std::fs::read_to_string(&path).unwrap();
                found.insert(name, text.replace(&root.display().to_string(), "ROOT"));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, dir, &mut found);
    found
}

async fn import(sessions: &Sessions, from: &Path) -> Imported {
    let mut imported = Imported::default();
    sessions.import(from, None, &mut imported).await.unwrap();
    imported
}

#[tokio::test]
async fn out_and_in_again() {
    let (home, out, second_home, second_out) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let sessions = open_in(home.path());
    let entry = json!({"sessionId": "s-1", "updatedAt": 7, "label": "L", "queueMode": "collect", "origin": {"label": "A"}});
    put(
        &sessions,
        "main",
        entry,
        &[
            said("user", "one"),
            said("assistant", "two\nlines \u{1f600}"),
        ],
    )
    .await;
    put(
        &sessions,
        "silent",
        json!({"sessionId": "s-2", "updatedAt": 8}),
        &[],
    )
    .await;
    put(
        &sessions,
        "agent:ops:x",
        json!({"sessionId": "../../s-3", "updatedAt": 9}),
        &[said("user", "three")],
    )
    .await;
    put(
        &sessions,
        "old",
        json!({"sessionId": "s-4", "updatedAt": 10}),
        &[said("user", "four"), said("user", "five")],
    )
    .await;
    let (main, old) = (sessions.key("main"), sessions.key("old"));
    sessions
        .write(move |changes| changes.compact(&main, 1, 20))
        .await
        .unwrap();
    sessions
        .write(move |changes| changes.delete(&old, true, 1_795_404_123_385))
        .await
        .unwrap();

    let exported = sessions.export(out.path(), None).unwrap();
    let counts = (
        exported.agents,
        exported.sessions,
        exported.messages,
        exported.archived,
    );
    assert_eq!(counts, (2, 3, 6, 2));
    let written = files(out.path());
    let names: Vec<&str> = written.keys().map(String::as_str).collect();
    let digest = crate::hex::sha256_hex(b"../../s-3");
    let expected = [
        "agents/main/sessions/s-1.jsonl".to_owned(),
        "agents/main/sessions/s-1.jsonl.bak.1970-01-01T00-00-00.020Z".to_owned(),
        "agents/main/sessions/s-4.jsonl.deleted.2026-11-23T03-22-03.385Z".to_owned(),
        "agents/main/sessions/sessions.json".to_owned(),
        format!("agents/ops/sessions/{digest}.jsonl"),
        "agents/ops/sessions/sessions.json".to_owned(),
    ];
    assert_eq!(names, expected);
    let lines: Vec<Value> =
        written["agents/main/sessions/s-4.jsonl.deleted.2026-11-23T03-22-03.385Z"]
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
    let time = "2026-11-23T03:22:03.385Z";
    assert_eq!(
        lines[0],
        json!({"type": "session", "version": 3, "id": "s-4", "timestamp": time})
    );
    let (first, second) = (
        json!({"type": "message", "id": "00000001", "parentId": null, "timestamp": time, "message": said("user", "four")}),
        json!({"type": "message", "id": "00000002", "parentId": "00000001", "timestamp": time, "message": said("user", "five")}),
    );
    assert_eq!(lines[1..], [first, second]);
    let index: Value =
        serde_json::from_str(&written["agents/main/sessions/sessions.json"]).unwrap();
    assert_eq!(
        index["agent:main:main"]["sessionFile"],
        "ROOT/agents/main/sessions/s-1.jsonl"
    );
    assert_eq!(
        index["agent:main:silent"],
        json!({"sessionId": "s-2", "updatedAt": 8})
    );
    let occupied = sessions.export(out.path(), None).unwrap_err().to_string();
    assert!(occupied.contains("is there already"), "{occupied}");

    let other = open_in(second_home.path());
    let imported = import(&other, out.path()).await;
    assert_eq!(
        (imported.sessions, imported.messages, imported.archived),
        (3, 6, 2)
    );
    assert_eq!(imported.passed_over, []);
    for raw in ["main", "silent", "agent:ops:x"] {
        assert_eq!(
            other.entry(&other.key(raw)).unwrap(),
            sessions.entry(&sessions.key(raw)).unwrap()
        );
    }
    other.export(second_out.path(), None).unwrap();
    // Archived transcripts of an import have the time of their file in their head.
    let without_heads = |files: BTreeMap<String, String>| -> BTreeMap<String, String> {
        let head = |(name, text): (String, String)| {
            let is_list = name.ends_with(INDEX);
            let rest = text.lines().skip(usize::from(!is_list));
            (name, rest.collect::<Vec<_>>().join("\n"))
        };
        files.into_iter().map(head).collect()
    };
    assert_eq!(
        without_heads(files(second_out.path())),
        without_heads(written)
    );

    let again = import(&other, out.path()).await;
    assert_eq!((again.sessions, again.messages, again.archived), (0, 0, 0));
    let why: Vec<&str> = again
        .passed_over
        .iter()
        .map(|one| one.why.as_str())
        .collect();
    assert_eq!(why, ["there is such a session already"; 3]);
}

#[tokio::test]
async fn lines_that_a_compaction_counts_are_those_of_the_file() {
    let answer = |text: &str| {
        let mut answer = said("assistant", text);
        answer["api"] = json!("a");
        answer["provider"] = json!("p");
        answer["model"] = json!("m");
        answer
    };
    let silent = vec![said("user", "one"), said("assistant", "no model")];
    let answered = vec![said("user", "one"), answer("two"), said("user", "three")];
    for (messages, kept) in [(silent, 3), (answered, 7)] {
        let (home, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let sessions = open_in(home.path());
        let entry = json!({"sessionId": "s", "updatedAt": 7});
        put(&sessions, "main", entry, &messages).await;
        let main = sessions.key("main");
        let compact = sessions.write(move |changes| changes.compact(&main, 400, 20));
        let expected = Compacted::Short {
            messages: messages.len() as u64,
            lines: kept,
        };
        assert_eq!(compact.await.unwrap(), expected);
        sessions.export(out.path(), None).unwrap();
        let text = files(out.path())
            .remove("agents/main/sessions/s.jsonl")
            .unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len() as u64, kept);
        // Every record but the first names the one before it.
        let mut before = Value::Null;
        for line in &lines[1..] {
            assert_eq!(line["parentId"], before, "{line}");
            before = line["id"].clone();
        }
        let other = open_in(out.path());
        let imported = import(&other, out.path()).await;
        let heads = kept - messages.len() as u64;
        assert_eq!(
            (imported.messages, imported.other_lines),
            (messages.len() as u64, heads)
        );
    }
}

#[tokio::test]
async fn what_the_reference_leaves_in_a_folder() {
    let (home, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = folder(from.path(), "main");
    std::fs::create_dir_all(&dir).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    let index = json!({
        "agent:main:main": {"sessionId": "new", "updatedAt": 9, "sessionFile": "/elsewhere/agents/main/sessions/new.jsonl", "compactionCount": 0},
        "main": {"sessionId": "older", "updatedAt": 3},
        "telegram:1": {"sessionId": "bare", "updatedAt": 2},
        "agent:main:gone": {"sessionId": "no-file", "updatedAt": 1},
        "agent:main:bad": {"sessionId": 5}
    });
    write(INDEX, &index.to_string());
    let message = |text: &str| {
        json!({"type": "message", "id": "a", "message": said("user", text)}).to_string()
    };
    let lines = [
        r#"{"type":"session","version":3,"id":"new"}"#.to_owned(),
        message("one"),
        r#"{"type":"model_change","id":"b"}"#.to_owned(),
        r#"{"type":"custom","message":"a text is no message"}"#.to_owned(),
        String::new(),
        message("two"),
        r#"{"type":"message","mess"#.to_owned(),
    ];
    write("new.jsonl", &lines.join("\n"));
    write("older.jsonl", &message("before"));
    write("bare.jsonl", &message("bare"));
    write(
        "gone.jsonl.deleted.2026-01-01T00-00-00.000Z",
        &message("deleted"),
    );
    write("empty.jsonl", "");
    write("notes.txt", "x");

    let sessions = open_in(home.path());
    let imported = import(&sessions, from.path()).await;
    assert_eq!(
        (
            imported.sessions,
            imported.messages,
            imported.archived,
            imported.other_lines
        ),
        (3, 5, 2, 4)
    );
    let passed: Vec<&str> = imported
        .passed_over
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(passed, ["agent:main:bad", "agent:main:main"]);
    let main = sessions.key("main");
    let history = sessions.history(&main, 9).unwrap();
    let entry = history.entry.unwrap();
    assert_eq!(
        (entry.session_id.as_str(), history.messages.len()),
        ("new", 2)
    );
    assert_eq!(
        serde_json::to_value(entry).unwrap(),
        json!({"sessionId": "new", "updatedAt": 9, "compactionCount": 0})
    );
    assert_eq!(
        sessions
            .history(&sessions.key("telegram:1"), 9)
            .unwrap()
            .messages
            .len(),
        1
    );
    assert_eq!(sessions.summary("main", 9).count, 3);

    let nothing = tempfile::tempdir().unwrap();
    let error = sessions
        .import(nothing.path(), None, &mut Imported::default())
        .await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .starts_with("no sessions in ")
    );
    let error = sessions
        .import(from.path(), Some("ops"), &mut Imported::default())
        .await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .starts_with("no sessions in ")
    );
    write(INDEX, "[]");
    let error = sessions
        .import(from.path(), None, &mut Imported::default())
        .await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("is no list of sessions")
    );
}

#[tokio::test]
async fn what_replies_used_comes_along_once() {
    let (home, out, other) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let sessions = open_in(home.path());
    let reply = |input: u64| {
        let mut reply = said("assistant", "yes");
        reply["usage"] = json!({"input": input, "output": 0, "cacheRead": 0, "cacheWrite": 0, "totalTokens": input});
        reply
    };
    for (raw, inputs) in [("cut", [1, 2]), ("deleted", [4, 8]), ("live", [16, 32])] {
        let entry = json!({"sessionId": raw, "updatedAt": 7});
        put(&sessions, raw, entry, &inputs.map(reply)).await;
    }
    let (cut, deleted) = (sessions.key("cut"), sessions.key("deleted"));
    let changed = sessions.write(move |changes| {
        changes.compact(&cut, 1, 20)?;
        changes.delete(&deleted, true, 20)
    });
    changed.await.unwrap();
    assert_eq!(tokens(&sessions), 63, "nothing that was spent is forgotten");
    sessions.export(out.path(), None).unwrap();
    let sessions = open_in(other.path());
    for _ in 0..2 {
        import(&sessions, out.path()).await;
        assert_eq!(tokens(&sessions), 62, "all but what was cut off");
    }
}

/// All tokens that models used.
fn tokens(sessions: &Sessions) -> u64 {
    let models = crate::agent::Models::new(std::sync::Arc::default());
    let costs = crate::usage::Costs::new(sessions.clone(), jiff::tz::TimeZone::UTC);
    let params = serde_json::from_value(json!({"days": 1})).unwrap();
    let cost = costs.of(&params, &models, 1_795_404_123_385).unwrap();
    cost.totals.total_tokens
}
