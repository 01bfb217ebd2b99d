//! `schema/dist/asyncapi.json`: all frames, in both directions, for tools that know AsyncAPI 3.0.
//!
//! Seen from the gateway: it receives a request frame for each method, replies with response frames, and
//! sends an event frame for each event. There is one channel, the socket.

use serde_json::{Map, Value, json};

use super::components::{HOST, put, refer, refer_or_null, schemas, step};
use super::frames::{self, Exchange};
use crate::Outputs;
use crate::model::{Drop, Event, Group, Method, Model, Outcome, Type};

const VERSION: &str = "3.0.0";
const CHANNEL: &str = "gateway";
/// Key of the answer that says why a request was not served, without a payload.
const ERROR: &str = "error";

/// Emits the document.
pub(super) fn emit(model: &Model, bundle: &Value, outputs: &mut Outputs) {
    let mut document = Document {
        model,
        schemas: schemas(bundle),
        messages: Map::new(),
        operations: Map::new(),
    };
    document.error();
    for group in &model.groups {
        for method in &group.methods {
            document.method(group, method);
        }
        for event in &group.events {
            document.event(group, event);
        }
    }
    let channel_messages: Map<String, Value> = document
        .messages
        .keys()
        .map(|key| {
            let target = format!("#/components/messages/{}", step(key));
            (key.clone(), json!({ "$ref": target }))
        })
        .collect();
    let tags: Vec<Value> = model
        .groups
        .iter()
        .map(|group| json!({ "name": group.name, "description": group.description }))
        .collect();
    let whole = json!({
        "asyncapi": VERSION,
        "info": {
            "title": model.name,
            "version": model.version.to_string(),
            "description": model.description,
            "tags": tags,
        },
        "defaultContentType": "application/json",
        "servers": {
            CHANNEL: {
                "host": HOST,
                "protocol": "ws",
                "description": "A gateway as it starts without further words.",
            },
        },
        "channels": {
            CHANNEL: {
                "address": "/",
                "description": "The socket. Any path upgrades; one text message is one frame.",
                "messages": channel_messages,
                "bindings": { "ws": { "method": "GET" } },
            },
        },
        "operations": document.operations,
        "components": {
            "schemas": document.schemas,
            "messages": document.messages,
        },
    });
    outputs.add("schema/dist/asyncapi.json", format!("{whole:#}\n"));
}

/// The growing document.
struct Document<'a> {
    model: &'a Model,
    schemas: Value,
    messages: Map<String, Value>,
    operations: Map<String, Value>,
}

impl Document<'_> {
    /// The answer to any request that is refused.
    fn error(&mut self) {
        let payload = self.frame(
            frames::RESPONSE,
            &[("ok", Some(json!({ "enum": [false] }))), ("payload", None)],
            &["ok", "error"],
        );
        let message = Message {
            key: ERROR.into(),
            name: frames::RESPONSE,
            summary: "The request was not served.".into(),
            payload,
            correlated: true,
            examples: Vec::new(),
        };
        self.message(message);
    }

    fn method(&mut self, group: &Group, method: &Method) {
        let Exchange {
            requests,
            accepted,
            answers,
            failures,
        } = frames::exchange(self.model, method);
        let params = &self.model.definition(&method.params).ty;
        let request = self.frame(
            frames::REQUEST,
            &[
                ("method", Some(json!({ "enum": [method.name] }))),
                ("params", Some(refer(&method.params))),
            ],
            if requires_a_member(self.model.resolve(params)) {
                &["params"]
            } else {
                &[]
            },
        );
        let request = self.message(Message {
            key: format!("request.{}", method.name),
            name: frames::REQUEST,
            summary: format!("Calls {}.", method.name),
            payload: request,
            correlated: true,
            examples: requests.iter().map(|tree| tree.to_value()).collect(),
        });
        let mut replies = Vec::new();
        if let Outcome::Staged { first, .. } = &method.result {
            replies.push(self.answer(
                format!("accepted.{}", method.name),
                format!("First answer of {}.", method.name),
                refer(first),
                accepted.iter().map(|tree| tree.to_value()).collect(),
            ));
        }
        let result = match &method.result {
            Outcome::Single { payload, nullable } => refer_or_null(payload, *nullable),
            Outcome::Staged { last, .. } => refer(last),
        };
        replies.push(self.answer(
            format!("response.{}", method.name),
            match method.result {
                Outcome::Single { .. } => format!("Answer of {}.", method.name),
                Outcome::Staged { .. } => format!("Final answer of {}, same id.", method.name),
            },
            result,
            answers.iter().map(|tree| tree.to_value()).collect(),
        ));
        if let Some(failure) = frames::failure(method) {
            let payload = self.frame(
                frames::RESPONSE,
                &[
                    ("ok", Some(json!({ "enum": [false] }))),
                    ("payload", Some(refer(failure))),
                ],
                &["ok", "error", "payload"],
            );
            replies.push(self.message(Message {
                key: format!("failure.{}", method.name),
                name: frames::RESPONSE,
                summary: format!("{} failed; the payload tells how far it came.", method.name),
                payload,
                correlated: true,
                examples: failures.iter().map(|tree| tree.to_value()).collect(),
            }));
        }
        replies.push(in_channel(ERROR));
        let mut operation = operation(group, "receive", &method.summary, vec![request]);
        put(&mut operation, "description", &method.description);
        operation.insert(
            "reply".into(),
            json!({ "channel": channel(), "messages": replies }),
        );
        operation.insert("x-role".into(), json!(method.access.role));
        operation.insert("x-scopes".into(), json!(method.access.scopes));
        let effect = if method.write { "write" } else { "read" };
        operation.insert("x-effect".into(), json!(effect));
        operation.insert("x-since".into(), json!(method.since));
        operation.insert("x-errors".into(), json!(method.errors));
        operation.insert("x-emits".into(), json!(method.emits));
        self.operations
            .insert(format!("call.{}", method.name), Value::Object(operation));
    }

    fn answer(
        &mut self,
        key: String,
        summary: String,
        payload: Value,
        examples: Vec<Value>,
    ) -> Value {
        let payload = self.frame(
            frames::RESPONSE,
            &[
                ("ok", Some(json!({ "enum": [true] }))),
                ("payload", Some(payload)),
                ("error", None),
            ],
            &["ok", "payload"],
        );
        self.message(Message {
            key,
            name: frames::RESPONSE,
            summary,
            payload,
            correlated: true,
            examples,
        })
    }

    fn event(&mut self, group: &Group, event: &Event) {
        let mut members = vec![
            ("event", Some(json!({ "enum": [event.name] }))),
            ("payload", Some(refer(&event.payload))),
        ];
        let mut required = vec!["event", "payload"];
        for (name, is_there) in [
            ("seq", event.broadcast),
            ("stateVersion", event.state_version),
        ] {
            if is_there {
                required.push(name);
            } else {
                members.push((name, None));
            }
        }
        let payload = self.frame(frames::EVENT, &members, &required);
        let message = self.message(Message {
            key: format!("event.{}", event.name),
            name: frames::EVENT,
            summary: event.summary.clone(),
            payload,
            correlated: false,
            examples: frames::events(self.model, event)
                .iter()
                .map(|tree| tree.to_value())
                .collect(),
        });
        let mut operation = operation(group, "send", &event.summary, vec![message]);
        operation.insert("x-roles".into(), json!(event.roles));
        operation.insert("x-scopes".into(), json!(event.scopes));
        operation.insert("x-since".into(), json!(event.since));
        operation.insert("x-broadcast".into(), json!(event.broadcast));
        operation.insert(
            "x-drop-if-slow".into(),
            match &event.drop {
                Drop::Never => json!(false),
                Drop::Always => json!(true),
                Drop::When { member, equals } => json!({ "member": member, "equals": equals }),
            },
        );
        self.operations
            .insert(format!("push.{}", event.name), Value::Object(operation));
    }

    /// The schema of a kind of frame with some members made narrower (`Some`) or taken away (`None`), and
    /// `required` added to what the kind requires anyway. Without that definition the frame is open.
    fn frame(&self, kind: &str, members: &[(&str, Option<Value>)], required: &[&str]) -> Value {
        let mut schema = match self.schemas.get(kind) {
            Some(schema) => schema.clone(),
            None => json!({ "type": "object" }),
        };
        for (name, narrowed) in members {
            match narrowed {
                Some(narrowed) => schema["properties"][name] = narrowed.clone(),
                None => {
                    if let Some(properties) = schema["properties"].as_object_mut() {
                        properties.remove(*name);
                    }
                }
            }
        }
        let mut all: Vec<Value> = schema["required"].as_array().cloned().unwrap_or_default();
        for name in required {
            let is_known = schema["properties"].get(name).is_some();
            if is_known && !all.contains(&json!(name)) {
                all.push(json!(name));
            }
        }
        schema["required"] = json!(all);
        schema
    }

    /// Keeps a message and gives the reference by which operations name it.
    fn message(&mut self, message: Message) -> Value {
        let mut out = Map::new();
        out.insert("name".into(), json!(message.name));
        out.insert("title".into(), json!(message.key));
        put(&mut out, "summary", &message.summary);
        out.insert("payload".into(), message.payload);
        if message.correlated {
            out.insert(
                "correlationId".into(),
                json!({ "location": "$message.payload#/id" }),
            );
        }
        if !message.examples.is_empty() {
            let examples: Vec<Value> = message
                .examples
                .into_iter()
                .map(|payload| json!({ "payload": payload }))
                .collect();
            out.insert("examples".into(), json!(examples));
        }
        let reference = in_channel(&message.key);
        self.messages.insert(message.key, Value::Object(out));
        reference
    }
}

/// One message.
struct Message {
    key: String,
    name: &'static str,
    summary: String,
    payload: Value,
    /// Carries the id by which answers find their request.
    correlated: bool,
    examples: Vec<Value>,
}

fn operation(
    group: &Group,
    action: &str,
    summary: &str,
    messages: Vec<Value>,
) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("action".into(), json!(action));
    out.insert("channel".into(), channel());
    put(&mut out, "summary", summary);
    out.insert("tags".into(), json!([{ "name": group.name }]));
    out.insert("messages".into(), json!(messages));
    out
}

fn channel() -> Value {
    json!({ "$ref": format!("#/channels/{CHANNEL}") })
}

fn in_channel(key: &str) -> Value {
    json!({ "$ref": format!("#/channels/{CHANNEL}/messages/{}", step(key)) })
}

/// Must params be sent at all?
fn requires_a_member(params: &Type) -> bool {
    match params {
        Type::Object(object) => object.members.iter().any(|member| member.required),
        Type::Tagged { .. } | Type::OneOf(_) => true,
        _ => false,
    }
}
