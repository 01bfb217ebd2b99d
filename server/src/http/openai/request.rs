//! What a chat completion asks for, and how a conversation that the client keeps becomes one prompt.

use serde::Deserialize;
use serde_json::Value;

use super::super::body::object;
use super::super::content::{Content, Held};
use super::super::turn::Order;

/// A request. Members that are not here are passed over, as the original does.
#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    user: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Option<Content<Part>>,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    image_url: Option<ImageUrl>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ImageUrl {
    Object { url: String },
    Text(String),
}

/// A request, read.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) is_stream: bool,
    pub(super) with_usage: bool,
    pub(super) user: Option<String>,
    messages: Vec<Message>,
}

/// Who said something in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Role {
    /// The person.
    User,
    /// The agent.
    Assistant,
    /// A tool of the client.
    Tool,
}

/// What somebody said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Said {
    /// Who.
    pub(in super::super) role: Role,
    /// A name of theirs.
    pub(in super::super) name: Option<String>,
    /// The words.
    pub(in super::super) text: String,
    /// Pictures that came with them.
    pub(in super::super) images: Vec<String>,
}

impl Asked {
    /// Reads a request.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    pub(super) fn read(body: Value) -> Result<Self, String> {
        let body: Body = object(body)?;
        Ok(Self {
            model: body.model.unwrap_or_else(|| "openclaw".to_owned()),
            is_stream: body.stream.unwrap_or(false),
            with_usage: body
                .stream_options
                .and_then(|options| options.include_usage)
                .unwrap_or(false),
            user: body.user,
            messages: body.messages,
        })
    }

    /// The turn that is asked for.
    ///
    /// # Errors
    /// What is missing, for the client.
    pub(super) fn order(self, agent: Option<String>, session_key: String) -> Result<Order, String> {
        let (mut system, mut talk) = (Vec::new(), Vec::new());
        for message in self.messages {
            let (text, images) = Content::read(message.content, take)?;
            let role = match message.role.as_str() {
                "system" | "developer" => {
                    if !text.trim().is_empty() {
                        system.push(text.trim().to_owned());
                    }
                    continue;
                }
                "user" => Role::User,
                "assistant" => Role::Assistant,
                "tool" | "function" => Role::Tool,
                // A role of the future says nothing that could be understood.
                _ => continue,
            };
            talk.push(Said {
                role,
                name: message.name,
                text,
                images,
            });
        }
        let (message, images) =
            prompt(talk).ok_or_else(|| "Missing user message in `messages`.".to_owned())?;
        Ok(Order {
            agent,
            session_key,
            message,
            system: (!system.is_empty()).then(|| system.join("\n\n")),
            images,
        })
    }
}

/// Adds what a part holds. Parts of the future say nothing that could be understood.
fn take(part: Part, held: &mut Held) -> Result<(), String> {
    match (part.kind.as_str(), part.text, part.image_url) {
        ("text" | "input_text", Some(text), _) => held.texts.push(text),
        ("image_url", _, Some(ImageUrl::Object { url } | ImageUrl::Text(url))) => {
            held.images.push(picture(url)?);
        }
        _ => {}
    }
    Ok(())
}

/// A picture that came inside the request. Addresses are not fetched: a request could make the gateway visit any host
/// that it reaches.
pub(in super::super) fn picture(url: String) -> Result<String, String> {
    let is_inside = url
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("data:"));
    is_inside.then_some(url).ok_or_else(|| {
        "pictures are taken as data: URLs only; this gateway fetches nothing from addresses in requests"
            .to_owned()
    })
}

/// One prompt out of a conversation: the last thing that a person or a tool said, under what was said before it. None
/// when nobody asks anything.
pub(in super::super) fn prompt(mut talk: Vec<Said>) -> Option<(String, Vec<String>)> {
    let has_words = |said: &Said| !said.text.trim().is_empty() || !said.images.is_empty();
    talk.retain(has_words);
    let last = talk.iter().rposition(|said| said.role != Role::Assistant)?;
    talk.truncate(last + 1);
    let now = talk.pop()?;
    let words = match (now.text.trim(), now.images.len()) {
        ("", 1) => "[picture]".to_owned(),
        ("", count) => format!("[{count} pictures]"),
        (text, _) => text.to_owned(),
    };
    // Pictures of the past stay in the past: the words about them are there.
    if talk.is_empty() {
        return Some((words, now.images));
    }
    let before: Vec<String> = talk.iter().map(line).collect();
    let now_line = line(&Said {
        text: words,
        images: Vec::new(),
        ..now.clone()
    });
    let text = format!(
        "[What was said before, for context]\n{}\n\n[What is said now, to be answered]\n{now_line}",
        before.join("\n")
    );
    Some((text, now.images))
}

fn line(said: &Said) -> String {
    let who = match said.role {
        Role::User => "User",
        Role::Assistant => "Assistant",
        Role::Tool => "Tool",
    };
    let text = said.text.trim();
    match said
        .name
        .as_deref()
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        Some(name) => format!("{who} ({name}): {text}"),
        None => format!("{who}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(messages: Value, expected: Result<(&str, Option<&str>, usize), &str>) {
        let asked = Asked::read(json!({"messages": messages}))
            .and_then(|asked| asked.order(None, "k".into()));
        let found = asked.as_ref().map(|order| {
            (
                order.message.as_str(),
                order.system.as_deref(),
                order.images.len(),
            )
        });
        assert_eq!(found.map_err(String::as_str), expected, "{messages}");
    }

    #[test]
    fn conversations_become_prompts() {
        let image =
            json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
        check(
            json!([{"role": "user", "content": "hi"}]),
            Ok(("hi", None, 0)),
        );
        check(
            json!([{"role": "system", "content": "be brief"}, {"role": "developer", "content": "and kind"},
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]),
            Ok(("a\nb", Some("be brief\n\nand kind"), 0)),
        );
        check(
            json!([{"role": "user", "content": "one"}, {"role": "assistant", "content": "1"},
                {"role": "tool", "name": "adder", "content": "2"}, {"role": "assistant", "content": null}]),
            Ok((
                "[What was said before, for context]\nUser: one\nAssistant: 1\n\n[What is said now, to be answered]\nTool (adder): 2",
                None,
                0,
            )),
        );
        check(
            json!([{"role": "user", "content": [image, image]}]),
            Ok(("[2 pictures]", None, 2)),
        );
        check(
            json!([{"role": "user", "content": [{"type": "text", "text": "see"}, image]}]),
            Ok(("see", None, 1)),
        );
        let missing = Err("Missing user message in `messages`.");
        check(json!([]), missing);
        check(json!([{"role": "user", "content": " "}]), missing);
        check(
            json!([{"role": "assistant", "content": "x"}, {"role": "system", "content": "y"}]),
            missing,
        );
        check(
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": "https://10.0.0.1/x.png"}]}]),
            Err(
                "pictures are taken as data: URLs only; this gateway fetches nothing from addresses in requests",
            ),
        );
    }

    #[test]
    fn what_is_no_request() {
        for body in [
            json!([]),
            json!({"messages": "x"}),
            json!({"messages": [{"content": "x"}]}),
            json!({"stream": 1}),
        ] {
            assert!(Asked::read(body.clone()).is_err(), "{body}");
        }
        let asked = Asked::read(
            json!({"stream": true, "stream_options": {"include_usage": true}, "extra": 1}),
        )
        .unwrap();
        assert!(asked.is_stream && asked.with_usage);
    }
}
