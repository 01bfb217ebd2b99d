//! What programs print, read as a reply. Pure.

use serde::Deserialize;
use serde_json::Value;

use super::super::{BackendError, Chunk, StopReason, Usage};
use crate::config::CliOutput;

/// Reads what one call of a program prints.
#[derive(Debug)]
pub(super) struct Reader {
    output: CliOutput,
    provider: String,
    /// A JSON object that comes in several lines.
    object: String,
    said: bool,
    done: bool,
}

/// Counts of tokens, under the names that programs use.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    input_tokens: u64,
    output_tokens: u64,
    #[serde(alias = "cached_input_tokens")]
    cache_read_input_tokens: u64,
    cache_creation_input_tokens: u64,
}

impl Reader {
    pub(super) fn new(output: CliOutput, provider: &str) -> Self {
        Self {
            output,
            provider: provider.to_owned(),
            object: String::new(),
            said: false,
            done: false,
        }
    }

    /// Whether the reply is complete, whatever else is printed.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The chunks that a line means; it has its break, if it has one.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<Vec<Chunk>, BackendError> {
        let line = String::from_utf8_lossy(line);
        match self.output {
            CliOutput::Text => Ok(vec![Chunk::Delta(line.into_owned())]),
            CliOutput::Json => {
                // Bounded by what a program may print at all.
                self.object.push_str(&line);
                Ok(Vec::new())
            }
            // Programs print other things between their objects: warnings, progress.
            CliOutput::Jsonl => match serde_json::from_str(&line) {
                Ok(object) => self.object(&object),
                Err(_) => Ok(Vec::new()),
            },
        }
    }

    /// The program has ended well.
    pub(super) fn end(&mut self) -> Result<Vec<Chunk>, BackendError> {
        match self.output {
            CliOutput::Text => Ok(vec![Chunk::Done(StopReason::Stop)]),
            CliOutput::Jsonl if self.said => Ok(vec![Chunk::Done(StopReason::Stop)]),
            CliOutput::Jsonl => Err(BackendError::CutOff),
            CliOutput::Json => {
                let text = std::mem::take(&mut self.object);
                let object: Value =
                    serde_json::from_str(&text).map_err(|_| BackendError::Garbage {
                        provider: self.provider.clone(),
                        what: "it is no JSON object".to_owned(),
                    })?;
                let mut chunks = self.object(&object)?;
                if !self.done {
                    let names = ["result", "text", "message", "content", "response"];
                    let text = names.iter().find_map(|name| object.get(name)?.as_str());
                    chunks.extend(text.map(|text| Chunk::Delta(text.to_owned())));
                    chunks.push(Chunk::Done(StopReason::Stop));
                }
                Ok(chunks)
            }
        }
    }

    fn object(&mut self, object: &Value) -> Result<Vec<Chunk>, BackendError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let failed = |message: Option<&str>| {
            let message = message.unwrap_or("no reason given").to_owned();
            Err(BackendError::Reported { message })
        };
        Ok(match text("/type").unwrap_or_default() {
            // claude: a message, which may be one of several between its own tools; then the result.
            "assistant" => {
                let parts = object.pointer("/message/content").and_then(Value::as_array);
                let texts = parts.into_iter().flatten();
                let texts = texts.filter_map(|part| part.get("text")?.as_str());
                self.say(&texts.collect::<Vec<_>>().join("\n"))
            }
            "result" if object.get("is_error") == Some(&Value::Bool(true)) => {
                return failed(text("/result").or(text("/subtype")));
            }
            "result" => {
                let mut chunks = match text("/result") {
                    Some(result) if !self.said => self.say(result),
                    _ => Vec::new(),
                };
                chunks.extend(self.finish(object));
                chunks
            }
            // codex
            "item.completed" if text("/item/type") == Some("agent_message") => {
                let said = text("/item/text").unwrap_or_default().to_owned();
                self.say(&said)
            }
            "turn.completed" => self.finish(object),
            "turn.failed" => return failed(text("/error/message")),
            "error" => return failed(text("/message").or(text("/error/message"))),
            _ => Vec::new(),
        })
    }

    /// A whole message; between two of them stands an empty line.
    fn say(&mut self, text: &str) -> Vec<Chunk> {
        if text.is_empty() {
            return Vec::new();
        }
        let text = if std::mem::replace(&mut self.said, true) {
            format!("\n\n{text}")
        } else {
            text.to_owned()
        };
        vec![Chunk::Delta(text)]
    }

    fn finish(&mut self, object: &Value) -> Vec<Chunk> {
        self.done = true;
        let counts = object.get("usage").cloned().unwrap_or_default();
        let usage = serde_json::from_value(counts).ok().map(|counts: Counts| {
            // codex counts what came from the cache as part of the prompt, claude beside it.
            let is_codex = object.get("type").and_then(Value::as_str) == Some("turn.completed");
            let cached = counts.cache_read_input_tokens;
            let beside = if is_codex { cached } else { 0 };
            Chunk::Usage(Usage {
                input: counts.input_tokens.saturating_sub(beside),
                output: counts.output_tokens,
                cache_read: cached,
                cache_write: counts.cache_creation_input_tokens,
            })
        });
        usage
            .into_iter()
            .chain([Chunk::Done(StopReason::Stop)])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text and tokens, or what went wrong.
    type Expected<'a> = Result<(&'a str, Option<(u64, u64, u64)>), &'a str>;

    #[track_caller]
    fn check(output: CliOutput, printed: &str, expected: Expected<'_>) {
        let mut reader = Reader::new(output, "p");
        let mut chunks = Vec::new();
        let mut read = || {
            for line in printed.split_inclusive('\n') {
                if !reader.is_done() {
                    chunks.extend(reader.line(line.as_bytes())?);
                }
            }
            if !reader.is_done() {
                chunks.extend(reader.end()?);
            }
            Ok::<_, BackendError>(())
        };
        let result = read().map_err(|error| error.to_string());
        let (mut text, mut usage) = (String::new(), None);
        for chunk in &chunks {
            match chunk {
                Chunk::Delta(delta) => text.push_str(delta),
                Chunk::Usage(told) => usage = Some((told.input, told.cache_read, told.output)),
                _ => {}
            }
        }
        if result.is_ok() {
            assert_eq!(
                chunks.last(),
                Some(&Chunk::Done(StopReason::Stop)),
                "{printed}"
            );
        }
        let expected = expected.map(|(text, usage)| (text.to_owned(), usage));
        assert_eq!(
            result.map(|()| (text, usage)),
            expected.map_err(str::to_owned),
            "{printed}"
        );
    }

    #[test]
    fn replies() {
        use CliOutput::{Json, Jsonl, Text};
        check(Text, "hello\nyou", Ok(("hello\nyou", None)));
        check(Text, "", Ok(("", None)));
        let claude = r#"{"type":"system","subtype":"init","session_id":"s"}
a warning
{"type":"assistant","message":{"content":[{"type":"text","text":"I look."},{"type":"tool_use","id":"t"}]}}
{"type":"assistant","message":{"content":[{"type":"text","text":"Done."}]}}
{"type":"result","subtype":"success","is_error":false,"result":"Done.","usage":{"input_tokens":3,"cache_read_input_tokens":4,"output_tokens":5}}
{"type":"assistant","message":{"content":[{"type":"text","text":"too late"}]}}
"#;
        check(Jsonl, claude, Ok(("I look.\n\nDone.", Some((3, 4, 5)))));
        check(
            Jsonl,
            r#"{"type":"result","result":"Only this."}"#,
            Ok(("Only this.", None)),
        );
        check(
            Jsonl,
            r#"{"type":"result","is_error":true,"subtype":"error_max_turns"}"#,
            Err("model error: error_max_turns"),
        );
        let codex = r#"{"type":"thread.started","thread_id":"t"}
{"type":"item.completed","item":{"type":"reasoning","text":"hm"}}
{"type":"item.completed","item":{"type":"agent_message","text":"Hello."}}
{"type":"turn.completed","usage":{"input_tokens":10,"cached_input_tokens":4,"output_tokens":5}}
"#;
        check(Jsonl, codex, Ok(("Hello.", Some((6, 4, 5)))));
        check(
            Jsonl,
            r#"{"type":"turn.failed","error":{"message":"no credit"}}"#,
            Err("model error: no credit"),
        );
        check(
            Jsonl,
            r#"{"type":"error","message":"no login"}"#,
            Err("model error: no login"),
        );
        check(
            Jsonl,
            r#"{"type":"item.completed","item":{"type":"agent_message","text":"Cut"}}"#,
            Ok(("Cut", None)),
        );
        let cut = "model stream ended before the reply was complete";
        check(Jsonl, "", Err(cut));
        check(Jsonl, "not JSON\n", Err(cut));
        check(
            Json,
            "{\n\"type\": \"result\",\n\"result\": \"Hi.\"}\n",
            Ok(("Hi.", None)),
        );
        check(Json, r#"{"response":"Hi.","stats":{}}"#, Ok(("Hi.", None)));
        let garbage =
            "model provider \"p\" sent an answer that is not understood: it is no JSON object";
        check(Json, "Hi.", Err(garbage));
    }
}
