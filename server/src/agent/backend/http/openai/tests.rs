use super::super::testing::{call_of, read, read_tool, result, user};
use super::*;
use crate::agent::attachments::Image;

#[test]
fn calls() {
    let image = Image {
        mime: "image/png".into(),
        base64: "AAAA".into(),
    };
    let request = ModelRequest {
        model: "m".into(),
        system: "be kind".into(),
        turns: vec![
            user("a"),
            Turn::Assistant {
                text: "b".into(),
                calls: vec![],
                thoughts: vec![],
            },
            Turn::User {
                text: String::new(),
                images: vec![image],
            },
        ],
        thinking: Some(Thinking::High),
        tools: Vec::new().into(),
        max_tokens: None,
    };
    let sent: Value = serde_json::from_str(&call(&request)).unwrap();
    let expected = json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true}, "reasoning_effort": "high",
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}
        ]
    });
    assert_eq!(sent, expected);
    for thinking in [None, Some(Thinking::Off)] {
        let quiet = ModelRequest {
            thinking,
            system: String::new(),
            ..request.clone()
        };
        let sent: Value = serde_json::from_str(&call(&quiet)).unwrap();
        assert_eq!(
            (
                sent.get("reasoning_effort"),
                sent["messages"].as_array().unwrap().len()
            ),
            (None, 3)
        );
    }
}

#[test]
fn tools_and_what_they_brought() {
    let request = ModelRequest {
        model: "m".into(),
        system: String::new(),
        turns: vec![
            Turn::Assistant {
                text: String::new(),
                calls: vec![
                    call_of("1", json!({"path": "a"})),
                    call_of("2", json!("{pa")),
                ],
                thoughts: vec![],
            },
            result("1", "line", false),
        ],
        thinking: None,
        tools: vec![read_tool()].into(),
        max_tokens: Some(9),
    };
    let sent: Value = serde_json::from_str(&call(&request)).unwrap();
    let calls = json!([
        {"id": "1", "type": "function", "function": {"name": "read", "arguments": "{\"path\":\"a\"}"}},
        {"id": "2", "type": "function", "function": {"name": "read", "arguments": "{pa"}},
    ]);
    assert_eq!(
        sent["messages"],
        json!([
            {"role": "assistant", "content": null, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "1", "content": "line"},
        ])
    );
    assert_eq!(
        sent["tools"],
        json!([{"type": "function", "function": {"name": "read", "description": "Reads.", "parameters": {"type": "object"}}}])
    );
}

#[test]
fn pictures_that_tools_brought_follow_the_last_result() {
    let showing = |id: &str| Turn::Result {
        call_id: id.into(),
        text: "seen".into(),
        images: vec![Image {
            mime: "image/png".into(),
            base64: id.into(),
        }],
        is_error: false,
    };
    let words =
        |id: &str| json!({"type": "text", "text": format!("[What the tool call {id} shows]")});
    let picture = |id: &str| json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{id}")}});
    let seen = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "seen"});
    let both =
        json!({"role": "user", "content": [words("1"), picture("1"), words("3"), picture("3")]});
    let plain = json!({"role": "tool", "tool_call_id": "2", "content": "x"});
    for (last, told) in [
        (None, vec![]),
        (
            Some(user("and?")),
            vec![json!({"role": "user", "content": "and?"})],
        ),
    ] {
        let turns = [showing("1"), result("2", "x", false), showing("3")];
        let turns: Vec<Turn> = turns.into_iter().chain(last).collect();
        let mut expected = vec![seen("1"), plain.clone(), seen("3"), both.clone()];
        expected.extend(told);
        assert_eq!(messages(&turns), expected);
    }
}

#[track_caller]
fn check(events: &[&str], expected: Result<&[Chunk], &str>) {
    read(Decoder::new("p"), events, expected);
}

fn text(text: &str) -> Chunk {
    Chunk::Delta(text.to_owned())
}

#[test]
fn streams() {
    const DONE: &str = "[DONE]";
    let hello = r#"{"choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":null}]}"#;
    let stop = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}}"#;
    let counted = Chunk::Usage(Usage {
        input: 6,
        output: 5,
        cache_read: 4,
        cache_write: 0,
    });
    let done = Chunk::Done(StopReason::Stop);
    check(
        &[hello, stop, usage, DONE],
        Ok(&[text("hello"), counted.clone(), done.clone()]),
    );
    check(
        &[hello, stop, usage],
        Ok(&[text("hello"), counted, done.clone()]),
    );
    check(&[hello, DONE], Ok(&[text("hello"), done.clone()]));
    check(
        &[hello],
        Err("model stream ended before the reply was complete"),
    );
    check(&[], Err("model stream ended before the reply was complete"));
    let length = r#"{"choices":[{"delta":null,"finish_reason":"length"}],"usage":null}"#;
    check(
        &[hello, length, DONE],
        Ok(&[text("hello"), Chunk::Done(StopReason::Length)]),
    );
    check(
        &[r#"{"choices":[{"finish_reason":"content_filter"}]}"#],
        Err("model error: the provider's content filter ended the reply"),
    );
    check(
        &[r#"{"error":{"message":"overloaded"}}"#],
        Err("model error: overloaded"),
    );
    check(
        &[r#"{"error":"overloaded"}"#],
        Err("model error: overloaded"),
    );
    check(
        &[r#"{"error":{"code":5}}"#],
        Err("model error: no reason given"),
    );
    check(
        &[hello, "{"],
        Err(
            "model provider \"p\" sent an answer that is not understood: an event is not a completion chunk",
        ),
    );
    check(
        &["5"],
        Err(
            "model provider \"p\" sent an answer that is not understood: an event is not a completion chunk",
        ),
    );
    let call = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"read","arguments":""}}]}}]}"#;
    let arguments = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
    check(
        &[call, arguments, DONE],
        Ok(&[
            Chunk::Call(call_of("c", json!({}))),
            Chunk::Done(StopReason::ToolUse),
        ]),
    );
}
