//! Thoughts on the wire.

use serde_json::json;

use super::*;
use crate::agent::words::Thinking;

#[tokio::test]
async fn thoughts_go_back_with_what_their_tool_brought() {
    let thinking = concat!(
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"sig\"}}\n\n",
        "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"read\",\"input\":{}}}\n\n",
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"}}\n\n",
    );
    let asking = events(vec![Part::Text(thinking), Part::Text(ANTHROPIC.end)]);
    let done = events(vec![Part::Text(ANTHROPIC.hello), Part::Text(ANTHROPIC.end)]);
    let server = serve(vec![asking, done]).await;
    let model = backend(&server.url, Dialect::Anthropic);
    let mut request = ModelRequest {
        thinking: Some(Thinking::Minimal),
        ..request()
    };
    let chunks: Vec<Chunk> = model.stream(request.clone()).try_collect().await.unwrap();
    let (mut thoughts, mut calls) = (Vec::new(), Vec::new());
    for chunk in chunks {
        match chunk {
            Chunk::Thought(thought) => thoughts.push(thought),
            Chunk::Call(call) => calls.push(call),
            Chunk::Done(reason) => assert_eq!(reason, StopReason::ToolUse),
            other => panic!("{other:?}"),
        }
    }
    request.turns.push(Turn::Assistant {
        text: String::new(),
        calls,
        thoughts,
    });
    request.turns.push(testing::result("c", "line", false));
    let _: Vec<Chunk> = model.stream(request).try_collect().await.unwrap();
    let seen = server.seen.lock().unwrap();
    let (_, _, body) = &seen[1];
    assert_eq!(
        body["thinking"],
        json!({"type": "enabled", "budget_tokens": 1024})
    );
    assert_eq!(
        body["messages"][1]["content"],
        json!([
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "tool_use", "id": "c", "name": "read", "input": {}},
        ])
    );
}
