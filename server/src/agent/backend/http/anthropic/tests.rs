use serde_json::{Value, json};

use super::super::testing::{call_of, read, read_tool, result, user};
use super::Decoder;
use super::call::{DEFAULT_MAX_TOKENS, call};
use crate::agent::attachments::Image;
use crate::agent::backend::{Chunk, MAX_THOUGHT, ModelRequest, StopReason, Thought, Turn, Usage};
use crate::agent::words::Thinking;

#[test]
fn calls() {
    let picture = Image {
        mime: "image/png".into(),
        base64: "AAAA".into(),
    };
    let request = ModelRequest {
        model: "m".into(),
        system: "be kind".into(),
        turns: vec![
            user("a"),
            user(" "),
            Turn::User {
                text: "look".into(),
                images: vec![picture.clone()],
            },
            Turn::Assistant {
                text: "b".into(),
                calls: vec![
                    call_of("1", json!({"path": "a"})),
                    call_of("2", json!("{pa")),
                ],
                thoughts: vec![],
            },
            Turn::Result {
                call_id: "1".into(),
                text: "line".into(),
                images: vec![picture],
                is_error: false,
            },
            result("2", "", true),
            user("c"),
        ],
        thinking: Some(Thinking::Low),
        tools: vec![read_tool()].into(),
        max_tokens: Some(100),
    };
    let sent: Value = serde_json::from_str(&call(&request)).unwrap();
    let expected = json!({
        "model": "m", "max_tokens": 2148, "stream": true,
        "system": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}],
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "tools": [{"name": "read", "description": "Reads.", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "a"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "text", "text": "look"},
            ]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "b"},
                {"type": "tool_use", "id": "1", "name": "read", "input": {"path": "a"}},
                {"type": "tool_use", "id": "2", "name": "read", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "1", "is_error": false, "content": [
                    {"type": "text", "text": "line"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                ]},
                {"type": "tool_result", "tool_use_id": "2", "content": [], "is_error": true},
                {"type": "text", "text": "c"},
            ]},
        ]
    });
    assert_eq!(sent, expected);
    let plain = ModelRequest {
        system: String::new(),
        tools: Vec::new().into(),
        thinking: Some(Thinking::Off),
        max_tokens: None,
        turns: vec![user("a")],
        ..request.clone()
    };
    let after_a_tool = ModelRequest {
        turns: request.turns[..5].to_vec(),
        ..request
    };
    let sent: Value = serde_json::from_str(&call(&after_a_tool)).unwrap();
    assert_eq!(
        (sent.get("thinking"), &sent["max_tokens"]),
        (None, &json!(100))
    );
    let sent: Value = serde_json::from_str(&call(&plain)).unwrap();
    let expected = json!({
        "model": "m", "max_tokens": DEFAULT_MAX_TOKENS, "stream": true,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    });
    assert_eq!(sent, expected);
}

#[track_caller]
fn check(events: &[&str], expected: Result<&[Chunk], &str>) {
    read(Decoder::new("p"), events, expected);
}

#[test]
fn streams() {
    let start = r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":1}}}"#;
    let hello =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}"#;
    let ending = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#;
    let stop = r#"{"type":"message_stop"}"#;
    let text = || Chunk::Delta("hello".into());
    let counted = |output| {
        Chunk::Usage(Usage {
            input: 7,
            output,
            cache_read: 3,
            cache_write: 0,
        })
    };
    let done = || Chunk::Done(StopReason::Stop);
    check(
        &[
            start,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"ping"}"#,
            hello,
            r#"{"type":"content_block_stop","index":0}"#,
            ending,
            stop,
        ],
        Ok(&[counted(1), text(), counted(5), done()]),
    );
    check(
        &[start, hello, ending],
        Ok(&[counted(1), text(), counted(5), done()]),
    );
    check(&[hello, stop], Ok(&[text(), done()]));
    let cut = "model stream ended before the reply was complete";
    check(&[hello], Err(cut));
    check(&[], Err(cut));
    check(
        &[
            r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens"}}"#,
            stop,
        ],
        Ok(&[Chunk::Done(StopReason::Length)]),
    );
    check(
        &[r#"{"type":"message_delta","delta":{"stop_reason":"refusal"}}"#],
        Err("model error: the model declined to answer"),
    );
    check(
        &[r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#],
        Err("model error: Overloaded"),
    );
    let garbage = "model provider \"p\" sent an answer that is not understood: an event is not one of a message";
    check(&[hello, "{"], Err(garbage));
    check(&["5"], Err(garbage));
    check(
        &[r#"{"type":"content_block_delta","index":0}"#],
        Err(garbage),
    );
    check(
        &[
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"c","name":"read","input":{}}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"path\":"}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"\"a\"}"}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
            stop,
        ],
        Ok(&[
            Chunk::Call(call_of("c", json!({"path": "a"}))),
            Chunk::Done(StopReason::ToolUse),
        ]),
    );
}

#[test]
fn thoughts_come_back_as_they_were() {
    let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#;
    let thinking = |text: &str| {
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": text}})
            .to_string()
    };
    let signature = r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sig"}}"#;
    let over = r#"{"type":"content_block_stop","index":0}"#;
    let stop = r#"{"type":"message_stop"}"#;
    let open = |text: &str| Thought::Open {
        text: text.into(),
        signature: "sig".into(),
    };
    check(
        &[
            start,
            &thinking("h"),
            &thinking("m"),
            signature,
            over,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"xyz"}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            stop,
        ],
        Ok(&[
            Chunk::Thought(open("hm")),
            Chunk::Thought(Thought::Sealed { data: "xyz".into() }),
            Chunk::Done(StopReason::Stop),
        ]),
    );
    let most = "x".repeat(MAX_THOUGHT - "sig".len());
    check(
        &[start, &thinking(&most), signature, over, stop],
        Ok(&[Chunk::Thought(open(&most)), Chunk::Done(StopReason::Stop)]),
    );
    check(
        &[start, &thinking(&most), signature, &thinking("x")],
        Err(&format!("model reply is larger than {MAX_THOUGHT} bytes")),
    );
}

#[test]
fn with_results_of_tools_a_model_thinks_on_or_not_at_all() {
    let asking = |thoughts: &[Thought]| Turn::Assistant {
        text: String::new(),
        calls: vec![call_of("1", json!({}))],
        thoughts: thoughts.to_vec(),
    };
    let thoughts = [
        Thought::Open {
            text: "hm".into(),
            signature: "sig".into(),
        },
        Thought::Sealed { data: "xyz".into() },
    ];
    let blocks = [
        json!({"type": "thinking", "thinking": "hm", "signature": "sig"}),
        json!({"type": "redacted_thinking", "data": "xyz"}),
    ];
    let done = || result("1", "ok", false);
    for (turns, level, thinks, blocks) in [
        (vec![user("a")], Thinking::Low, true, &[][..]),
        (
            vec![user("a"), asking(&thoughts), done()],
            Thinking::Low,
            true,
            &blocks,
        ),
        // Only the first reply of an answer is thought on unless the model thinks between tools, too.
        (
            vec![user("a"), asking(&thoughts), done(), asking(&[]), done()],
            Thinking::Low,
            true,
            &blocks,
        ),
        (
            vec![user("a"), asking(&[]), done()],
            Thinking::Low,
            false,
            &[],
        ),
        (
            vec![user("a"), asking(&[]), done(), asking(&thoughts), done()],
            Thinking::Low,
            false,
            &[],
        ),
        (
            vec![user("a"), asking(&thoughts), done()],
            Thinking::Off,
            false,
            &[],
        ),
        (
            vec![user("a"), asking(&[]), done(), user("b")],
            Thinking::Low,
            true,
            &[],
        ),
    ] {
        let request = ModelRequest {
            model: "m".into(),
            system: String::new(),
            turns,
            thinking: Some(level),
            tools: Vec::new().into(),
            max_tokens: None,
        };
        let sent: Value = serde_json::from_str(&call(&request)).unwrap();
        assert_eq!(sent.get("thinking").is_some(), thinks, "{request:?}");
        let messages = sent["messages"].as_array().unwrap().iter();
        let found = messages.flat_map(|message| message["content"].as_array().unwrap());
        let found: Vec<&Value> = found
            .filter(|block| block["type"].as_str().unwrap().contains("thinking"))
            .collect();
        assert_eq!(found, blocks.iter().collect::<Vec<_>>(), "{request:?}");
    }
}
