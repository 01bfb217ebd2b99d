//! What a response asks for. Unknown members are refused; those that this gateway has no use for are accepted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::super::body::object;
use super::super::content::{Content, Held};
use super::super::openai::{Role, Said, picture, prompt};
use super::super::turn::Order;

/// A request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "members that are accepted without effect")]
struct Body {
    model: String,
    input: Input,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(default)]
    tool_choice: Option<Value>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    max_output_tokens: Option<u64>,
    #[serde(default)]
    max_tool_calls: Option<IgnoredAny>,
    #[serde(default)]
    temperature: Option<IgnoredAny>,
    #[serde(default)]
    top_p: Option<IgnoredAny>,
    #[serde(default)]
    metadata: Option<IgnoredAny>,
    #[serde(default)]
    store: Option<IgnoredAny>,
    #[serde(default)]
    previous_response_id: Option<IgnoredAny>,
    #[serde(default)]
    reasoning: Option<IgnoredAny>,
    #[serde(default)]
    truncation: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Items(Vec<Item>),
}

/// An item of the conversation; which members count depends on its type.
#[derive(Debug, Deserialize)]
struct Item {
    /// Absent: a message.
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    content: Option<Content<Part>>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
    #[serde(default)]
    output: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    image_url: Option<String>,
    #[serde(default)]
    file_data: Option<String>,
    #[serde(default)]
    filename: Option<String>,
    #[serde(default)]
    source: Option<Source>,
}

/// Where a picture or file is.
#[derive(Debug, Deserialize)]
struct Source {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    data: Option<String>,
    #[serde(default)]
    filename: Option<String>,
}

/// A request, read.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) is_stream: bool,
    pub(super) user: Option<String>,
    instructions: Option<String>,
    input: Input,
}

impl Asked {
    /// Reads a request.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    pub(super) fn read(body: Value) -> Result<Self, String> {
        let body: Body = object(body)?;
        if body.tools.is_some_and(|tools| !tools.is_empty())
            && body.tool_choice.is_none_or(|choice| choice != "none")
        {
            return Err(
                "tools: tools of clients are not offered to agents by this gateway".to_owned(),
            );
        }
        Ok(Self {
            model: body.model,
            is_stream: body.stream.unwrap_or(false),
            user: body.user,
            instructions: body.instructions,
            input: body.input,
        })
    }

    /// The turn that is asked for.
    ///
    /// # Errors
    /// What is missing or cannot be used, for the client.
    pub(super) fn order(self, agent: Option<String>, session_key: String) -> Result<Order, String> {
        let mut system: Vec<String> = self.instructions.into_iter().collect();
        let mut talk = Vec::new();
        match self.input {
            Input::Text(text) => talk.push(Said {
                role: Role::User,
                name: None,
                text,
                images: Vec::new(),
            }),
            Input::Items(items) => {
                for item in items {
                    take(item, &mut system, &mut talk)?;
                }
            }
        }
        system.retain(|text| !text.trim().is_empty());
        let (message, images) =
            prompt(talk).ok_or_else(|| "Missing user message in `input`.".to_owned())?;
        Ok(Order {
            agent,
            session_key,
            message,
            system: (!system.is_empty()).then(|| system.join("\n\n")),
            images,
        })
    }
}

/// Adds an item to what it belongs to.
fn take(item: Item, system: &mut Vec<String>, talk: &mut Vec<Said>) -> Result<(), String> {
    let said = |role, text: String, images| Said {
        role,
        name: None,
        text,
        images,
    };
    match item.kind.as_deref().unwrap_or("message") {
        "message" => {
            let (text, images) = Content::read(item.content, take_part)?;
            match item.role.as_deref() {
                Some("system" | "developer") => system.push(text),
                Some("user") => talk.push(said(Role::User, text, images)),
                Some("assistant") => talk.push(said(Role::Assistant, text, images)),
                _ => {
                    return Err(
                        "input: a message needs the role user, assistant, system or developer"
                            .to_owned(),
                    );
                }
            }
        }
        "function_call" => {
            let name = item.name.unwrap_or_default();
            let arguments = item.arguments.unwrap_or_default();
            talk.push(said(
                Role::Assistant,
                format!("{name}({arguments})"),
                Vec::new(),
            ));
        }
        "function_call_output" => {
            let output = match item.output {
                Some(Value::String(text)) => text,
                Some(other) => other.to_string(),
                None => String::new(),
            };
            talk.push(said(Role::Tool, output, Vec::new()));
        }
        // They tell nothing that the agent could use.
        "reasoning" | "item_reference" => {}
        other => return Err(format!("input: items of type {other:?} are not known")),
    }
    Ok(())
}

/// Adds what a part holds.
fn take_part(part: Part, held: &mut Held) -> Result<(), String> {
    match part.kind.as_str() {
        "input_text" | "output_text" | "text" => held.texts.extend(part.text),
        "input_image" => held.images.push(image(part)?),
        "input_file" => held.texts.push(file(part)?),
        other => return Err(format!("input: parts of type {other:?} are not known")),
    }
    Ok(())
}

fn image(part: Part) -> Result<String, String> {
    match (part.source, part.image_url) {
        (
            Some(Source {
                kind,
                data: Some(data),
                media_type,
                ..
            }),
            _,
        ) if kind == "base64" => Ok(format!(
            "data:{};base64,{data}",
            media_type.as_deref().unwrap_or("image/png")
        )),
        (None, Some(url)) => picture(url),
        _ => picture(String::new()),
    }
}

/// A file as text with its name above it. Only text is read.
fn file(part: Part) -> Result<String, String> {
    let unread = |why: &str| format!("input: a file is taken as base64 of UTF-8 text only; {why}");
    let (data, name) = match (part.source, part.file_data) {
        (Some(source), _) => (
            source.data.filter(|_| source.kind == "base64"),
            source.filename.or(part.filename),
        ),
        (None, data) => (data, part.filename),
    };
    let data = data.ok_or_else(|| unread("this one is not in the request"))?;
    let base64 = data
        .rsplit_once(";base64,")
        .map_or(data.as_str(), |(_, base64)| base64);
    let bytes = STANDARD
        .decode(base64.trim())
        .map_err(|_| unread("this is no base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| unread("this is no text"))?;
    let name = name.unwrap_or_else(|| "file".to_owned());
    Ok(format!("[File {name}]\n{text}\n[End of {name}]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(body: Value, expected: Result<(&str, Option<&str>, usize), &str>) {
        let asked = Asked::read(body.clone()).and_then(|asked| asked.order(None, "k".into()));
        let found = asked.as_ref().map(|order| {
            (
                order.message.as_str(),
                order.system.as_deref(),
                order.images.len(),
            )
        });
        assert_eq!(found.map_err(String::as_str), expected, "{body}");
    }

    #[test]
    fn inputs_become_prompts() {
        check(
            json!({"model": "m", "input": "hi", "instructions": "be brief"}),
            Ok(("hi", Some("be brief"), 0)),
        );
        check(
            json!({"model": "m", "temperature": 1, "metadata": {}, "store": false, "reasoning": null, "input": [
                {"role": "developer", "content": "kind"},
                {"type": "message", "role": "user", "content": [
                    {"type": "input_text", "text": "see"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
                    {"type": "input_image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]}]}),
            Ok(("see", Some("kind"), 2)),
        );
        check(
            json!({"model": "m", "input": [{"role": "user", "content": [
                {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGk="}]}]}),
            Ok(("[File a.txt]\nhi\n[End of a.txt]", None, 0)),
        );
        check(
            json!({"model": "m", "input": [{"role": "user", "content": "add"}, {"type": "reasoning"},
                {"type": "function_call", "name": "add", "arguments": "{}"}, {"type": "function_call_output", "output": "2"}]}),
            Ok((
                "[What was said before, for context]\nUser: add\nAssistant: add({})\n\n[What is said now, to be answered]\nTool: 2",
                None,
                0,
            )),
        );
    }

    #[test]
    fn what_is_no_request() {
        for (body, problem) in [
            (json!({"input": "x"}), "missing field `model`"),
            (json!({"model": "m"}), "missing field `input`"),
            (
                json!({"model": "m", "input": "x", "modle": 1}),
                "unknown field `modle`",
            ),
            (json!({"model": "m", "input": ""}), "Missing user message"),
            (
                json!({"model": "m", "input": [{"content": "x"}]}),
                "a message needs the role",
            ),
            (
                json!({"model": "m", "input": [{"type": "riddle"}]}),
                "\"riddle\" are not known",
            ),
            (
                json!({"model": "m", "input": "x", "tools": [{"type": "function"}]}),
                "tools: ",
            ),
            (
                json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_image",
                "source": {"type": "url", "url": "http://10.0.0.1/"}}]}]}),
                "data: URLs only",
            ),
            (
                json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_file", "file_data": "/////w=="}]}]}),
                "no text",
            ),
        ] {
            let outcome = Asked::read(body.clone()).and_then(|asked| asked.order(None, "k".into()));
            let found = outcome.unwrap_err();
            assert!(found.contains(problem), "{body}: {found}");
        }
        assert!(
            Asked::read(json!({"model": "m", "input": "x", "tools": [1], "tool_choice": "none"}))
                .is_ok()
        );
    }
}
