use super::fit::{NO_RESULT, OLD_PICTURES, OLD_RESULT};
use super::summary::{Plan, SUMMED_RESULT};
use super::*;
use crate::sessions::open_in;
use serde_json::json;

/// A model with room for `bytes` of conversation.
fn choice(bytes: u64) -> Choice {
    Choice {
        provider: "mock".into(),
        model: "echo-1".into(),
        api: "openai-completions",
        // A quarter of a small window is reserve: three of four tokens, of three bytes each.
        context_tokens: bytes * 4 / 9,
        max_tokens: None,
        reasoning: false,
        images: false,
        cost: None,
    }
}

fn said(role: &str, text: &str) -> Value {
    json!({"role": role, "content": [{"type": "text", "text": text}]})
}

fn calling(id: &str) -> Value {
    json!({"role": "assistant", "content": [{"type": "toolCall", "id": id, "name": "r", "arguments": {}}]})
}

fn result(id: &str, text: &str) -> Value {
    json!({"role": "toolResult", "toolCallId": id, "content": [{"type": "text", "text": text}]})
}

async fn load(messages: Vec<Value>) -> Stored {
    let dir = tempfile::tempdir().unwrap();
    let sessions = open_in(dir.path());
    let write = sessions.write(move |changes| {
        for message in &messages {
            changes.append("s", message)?;
        }
        Ok(())
    });
    write.await.unwrap();
    sessions.read(|reader| Stored::load(reader, "s")).unwrap()
}

/// Turns in words: `u:text`, `a:text`, `call:id`, `id=text`.
fn words(turns: &[Turn]) -> String {
    let word = |turn: &Turn| match turn {
        Turn::User { text, .. } => format!("u:{text}"),
        Turn::Assistant { text, calls, .. } if calls.is_empty() => format!("a:{text}"),
        Turn::Assistant { calls, .. } => {
            let ids: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
            format!("call:{}", ids.join("+"))
        }
        Turn::Result { call_id, text, .. } => format!("{call_id}={text}"),
    };
    turns.iter().map(word).collect::<Vec<_>>().join(" | ")
}

async fn check(messages: Vec<Value>, bytes: u64, told: &str) {
    let stored = load(messages).await;
    assert_eq!(words(&stored.turns(&choice(bytes))), told, "{bytes}");
}

#[tokio::test]
async fn what_fits_is_told_from_a_users_words_on() {
    let talk = || {
        vec![
            said("assistant", "greeting"),
            said("user", "one"),
            said("assistant", ""),
            said("user", "two"),
            said("assistant", "half"),
            said("user", "three"),
        ]
    };
    check(talk(), 9_000, "u:one | u:two | a:half | u:three").await;
    check(talk(), 18, "u:one | u:two | a:half | u:three").await;
    check(talk(), 12, "u:two | a:half | u:three").await;
    check(talk(), 9, "u:three").await;
    check(talk(), 0, "u:three").await;
    check(vec![], 9, "").await;
}

#[tokio::test]
async fn calls_and_results_belong_together() {
    let all = 9_000;
    check(
        vec![
            said("user", "x"),
            calling("1"),
            result("1", "ok"),
            said("assistant", "y"),
        ],
        all,
        "u:x | call:1 | 1=ok | a:y",
    )
    .await;
    check(
        vec![said("user", "x"), calling("1"), said("user", "z")],
        all,
        &format!("u:x | call:1 | 1={NO_RESULT} | u:z"),
    )
    .await;
    check(
        vec![said("user", "x"), calling("1")],
        all,
        &format!("u:x | call:1 | 1={NO_RESULT}"),
    )
    .await;
    check(
        vec![
            said("user", "x"),
            result("1", "ok"),
            calling("2"),
            result("1", "no"),
            result("2", "ok"),
        ],
        all,
        "u:x | call:2 | 2=ok",
    )
    .await;
    check(
        vec![calling("1"), result("1", "ok"), said("user", "x")],
        all,
        "u:x",
    )
    .await;
    let sent = said("assistant", "sent");
    check(
        vec![
            said("user", "x"),
            calling("1"),
            sent.clone(),
            result("1", "ok"),
            sent,
        ],
        all,
        "u:x | a:sent | call:1 | 1=ok | a:sent",
    )
    .await;
    // What follows the user's last words is told even when it does not fit.
    check(
        vec![said("user", "x"), calling("1"), result("1", "long enough")],
        9,
        "u:x | call:1 | 1=long enough",
    )
    .await;
}

#[tokio::test]
async fn old_results_are_cut_when_half_is_full() {
    let long = "r".repeat(OLD_RESULT + 5);
    let mut talk = vec![said("user", "x"), calling("1"), result("1", &long)];
    for id in ["2", "3", "4"] {
        talk.extend([calling(id), result(id, &long)]);
    }
    let cut = format!(
        "{}\n[5 bytes of this old result are left out]",
        "r".repeat(OLD_RESULT)
    );
    let told = |first: &str| {
        format!(
            "u:x | call:1 | 1={first} | call:2 | 2={long} | call:3 | 3={long} | call:4 | 4={long}"
        )
    };
    check(talk.clone(), 90_000, &told(&long)).await;
    check(talk.clone(), 4_500, &told(&cut)).await;
    // Pictures count, and those of old results go first.
    let part = json!({"type": "image", "data": "AAAA", "mimeType": "image/png"});
    for message in &mut talk {
        if message["role"] == "toolResult" {
            message["content"][0]["text"] = json!("r");
            message["content"]
                .as_array_mut()
                .unwrap()
                .push(part.clone());
        }
    }
    for (window, shown) in [(90_000, 4), (8_000, 3)] {
        let choice = Choice {
            images: true,
            ..choice(window)
        };
        let turns = load(talk.clone()).await.turns(&choice);
        let pictures = turns.iter().map(|turn| match turn {
            Turn::Result { images, .. } => images.len(),
            _ => 0,
        });
        assert_eq!(pictures.sum::<usize>(), shown, "{window}");
        let is_told = words(&turns).contains(&format!("1=r{OLD_PICTURES}"));
        assert_eq!(is_told, shown == 3, "{window}");
    }
}

#[tokio::test]
async fn a_summary_takes_the_place_of_what_it_sums_up() {
    let summary = |kept: u64| json!({"role": message::COMPACTION, "content": [{"type": "text", "text": "S"}], "kept": kept});
    let before = "u:[What was said before, in short]\nS";
    let talk = |summary: Value| {
        vec![
            said("user", "one"),
            said("assistant", "1"),
            said("user", "two"),
            summary,
            said("assistant", "2"),
        ]
    };
    check(talk(summary(1)), 9_000, &format!("{before} | u:two | a:2")).await;
    check(
        talk(summary(3)),
        9_000,
        &format!("{before} | u:one | a:1 | u:two | a:2"),
    )
    .await;
    check(
        talk(summary(99)),
        9_000,
        &format!("{before} | u:one | a:1 | u:two | a:2"),
    )
    .await;
    let twice = [talk(summary(3)), vec![said("user", "three"), summary(1)]].concat();
    check(twice, 9_000, &format!("{before} | u:three")).await;
}

#[tokio::test]
async fn summing_up_begins_at_three_quarters_and_keeps_a_quarter() {
    let text = "0123456789";
    let talk = |count: usize| {
        let pair = |n: usize| {
            [
                said("user", text),
                said("assistant", &format!("reply {n:4}")),
            ]
        };
        (0..count).flat_map(pair).collect::<Vec<_>>()
    };
    let plan = |stored: Stored, bytes: u64| stored.plan(&choice(bytes)).map(|plan| plan.kept);
    assert_eq!(plan(load(talk(6)).await, 162), None, "120 of 162 bytes");
    assert_eq!(plan(load(talk(6)).await, 153), Some(2), "120 of 153 bytes");
    assert_eq!(
        plan(load(talk(1)).await, 9),
        None,
        "there is nothing before"
    );
    let long = vec![
        said("user", "one"),
        said("assistant", "1"),
        said("user", &text.repeat(20)),
        calling("c"),
    ];
    assert_eq!(
        plan(load(long).await, 153),
        Some(2),
        "the last words stay, however long"
    );
    let stored = load(vec![
        json!({"role": message::COMPACTION, "content": [{"type": "text", "text": "older"}], "kept": 0}),
        said("user", "one"),
        calling("1"),
        result("1", &"r".repeat(SUMMED_RESULT + 1)),
        said("assistant", "done"),
        said("user", "two"),
    ])
    .await;
    let plan = stored.plan(&choice(630)).unwrap();
    let old = format!(
        "Before: older\n\nUser: one\n\nAssistant:  [used r]\n\nResult: {}\n\nAssistant: done",
        "r".repeat(SUMMED_RESULT)
    );
    assert_eq!(plan, Plan { old, kept: 1 });
}

#[tokio::test]
async fn the_number_of_messages_is_bounded() {
    let long = (0..=MAX_MESSAGES)
        .map(|n| said("user", &n.to_string()))
        .collect();
    let stored = load(long).await;
    assert_eq!(
        (stored.messages.len(), text_of(&stored.messages[0])),
        (MAX_MESSAGES, "1".to_owned())
    );
}
