//! `schema/dist/openrpc.json`: every method for tools that know OpenRPC 1.3.
//!
//! OpenRPC describes JSON-RPC, whose envelope differs from ours, and knows neither second answers nor
//! rights nor error codes that are words. What it has no place for is in members that begin with `x-`.

use serde_json::{Map, Value, json};

use super::components::{HOST, put, refer, refer_or_null, schema, schemas, step};
use super::frames::{examples, failure};
use crate::Outputs;
use crate::model::{Member, Method, Model, Outcome, Type};

/// The newest version that the OpenRPC meta-schema knows in the 1.3 line.
const VERSION: &str = "1.3.2";

/// Emits the document.
pub(super) fn emit(model: &Model, bundle: &Value, outputs: &mut Outputs) {
    let methods: Vec<Value> = model
        .groups
        .iter()
        .flat_map(|group| group.methods.iter().map(move |m| (group.name.as_str(), m)))
        .map(|(group, method)| describe(model, group, method))
        .collect();
    let document = json!({
        "openrpc": VERSION,
        "info": {
            "title": model.name,
            "version": model.version.to_string(),
            "description": format!(
                "{} The envelope is not JSON-RPC 2.0: a request is {{\"type\":\"req\",\"id\",\"method\",\"params\"}}, a response {{\"type\":\"res\",\"id\",\"ok\",\"payload\",\"error\"}}. Error codes are words, here in `data.code`; their numbers exist in this document only. `x-params` is the whole type of the params, `x-client-params` what clients should write where that admits more, `x-stages` the two answers of a method that answers twice with one id. Events are in the AsyncAPI document.",
                model.description
            ),
        },
        "servers": [{ "name": "gateway", "url": format!("ws://{HOST}") }],
        "methods": methods,
        "components": {
            "schemas": schemas(bundle),
            "errors": errors(model),
            "tags": tags(model),
        },
    });
    outputs.add("schema/dist/openrpc.json", format!("{document:#}\n"));
}

fn describe(model: &Model, group: &str, method: &Method) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), json!(method.name));
    put(&mut out, "summary", &method.summary);
    put(&mut out, "description", &method.description);
    out.insert(
        "tags".into(),
        json!([{ "$ref": format!("#/components/tags/{}", step(group)) }]),
    );
    out.insert("paramStructure".into(), json!("by-name"));
    out.insert("params".into(), params(model, &method.params));
    let result = match &method.result {
        Outcome::Single { payload, nullable } => refer_or_null(payload, *nullable),
        Outcome::Staged { first, last, .. } => {
            let mut final_stage = json!({ "name": "final", "schema": refer(last) });
            if let Some(failure) = failure(method) {
                final_stage["failure"] = refer(failure);
            }
            let first_stage = json!({ "name": "accepted", "schema": refer(first) });
            out.insert("x-stages".into(), json!([first_stage, final_stage]));
            refer(last)
        }
    };
    out.insert(
        "result".into(),
        json!({ "name": "result", "schema": result }),
    );
    let errors: Vec<Value> = method
        .errors
        .iter()
        .map(|code| json!({ "$ref": format!("#/components/errors/{}", step(code)) }))
        .collect();
    out.insert("errors".into(), json!(errors));
    out.insert("examples".into(), pairings(model, method));
    out.insert("x-params".into(), refer(&method.params));
    if let Some(params) = &method.client_params {
        out.insert("x-client-params".into(), refer(params));
    }
    out.insert("x-role".into(), json!(method.access.role));
    out.insert("x-scopes".into(), json!(method.access.scopes));
    let effect = if method.write { "write" } else { "read" };
    out.insert("x-effect".into(), json!(effect));
    out.insert("x-since".into(), json!(method.since));
    out.insert("x-emits".into(), json!(method.emits));
    if method.extension {
        out.insert("x-extension".into(), json!(true));
    }
    if method.handshake {
        out.insert("x-handshake".into(), json!(true));
    }
    if let Some(key) = &method.idempotency {
        out.insert(
            "x-idempotency".into(),
            json!({ "key": key.pointer, "space": key.space, "ttlMs": key.ttl_ms }),
        );
    }
    if let Some(failure) = failure(method) {
        out.insert("x-failure".into(), refer(failure));
    }
    Value::Object(out)
}

/// Params by name. A tagged union has the members of all its variants; `x-params` tells which go together.
fn params(model: &Model, name: &str) -> Value {
    let whole = &model.definition(name).ty;
    let descriptors: Vec<Value> = match model.resolve(whole) {
        Type::Object(object) => object.members.iter().map(descriptor).collect(),
        Type::Lenient(members) => members.iter().map(ignorable).collect(),
        Type::Tagged { variants, .. } => {
            let variants: Vec<&[Member]> = variants
                .iter()
                .map(|(_, object, _)| object.members.as_slice())
                .collect();
            union(&variants)
        }
        _ => Vec::new(),
    };
    json!(descriptors)
}

fn descriptor(member: &Member) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), json!(member.name));
    put(&mut out, "description", &member.description);
    out.insert("required".into(), json!(member.required));
    out.insert("schema".into(), schema(&member.ty));
    Value::Object(out)
}

/// A member that is meant to be of its type, and counts as absent where it is not.
fn ignorable(member: &Member) -> Value {
    let mut out = descriptor(member);
    out["x-lenient"] = json!(true);
    out
}

/// Members of any of the variants: required where all require them, of any type that one of them gives.
fn union(variants: &[&[Member]]) -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for member in variants.iter().flat_map(|members| members.iter()) {
        if !names.contains(&member.name.as_str()) {
            names.push(&member.name);
        }
    }
    names
        .into_iter()
        .filter_map(|name| {
            let found: Vec<&Member> = variants
                .iter()
                .filter_map(|members| members.iter().find(|member| member.name == name))
                .collect();
            let mut types: Vec<Value> = Vec::new();
            for member in &found {
                let ty = schema(&member.ty);
                if !types.contains(&ty) {
                    types.push(ty);
                }
            }
            let mut out = descriptor(found.first()?);
            let required = found.len() == variants.len() && found.iter().all(|m| m.required);
            out["required"] = json!(required);
            if types.len() > 1 {
                out["schema"] = json!({ "anyOf": types });
            }
            Some(out)
        })
        .collect()
}

/// Every example of params and result once, the shorter list going on with its last one.
fn pairings(model: &Model, method: &Method) -> Value {
    let requests: Vec<Value> = examples(model, &method.params)
        .map(|params| params.to_value())
        .filter(Value::is_object)
        .collect();
    let payload = match &method.result {
        Outcome::Single { payload, .. } => payload,
        Outcome::Staged { last, .. } => last,
    };
    let results: Vec<Value> = examples(model, payload).map(|r| r.to_value()).collect();
    let count = match requests.len() {
        0 => 0,
        some => some.max(results.len()),
    };
    let list: Vec<Value> = (0..count)
        .map(|i| {
            let params: Vec<Value> = requests[i.min(requests.len() - 1)]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| json!({ "name": name, "value": value }))
                .collect();
            let mut pairing = json!({
                "name": format!("{} {}", method.name, i + 1),
                "description": "Valid values; the result is not what these very params would give.",
                "params": params,
            });
            if let Some(result) = results.get(i).or(results.last()) {
                pairing["result"] = json!({ "name": "result", "value": result });
            }
            pairing
        })
        .collect();
    json!(list)
}

/// OpenRPC wants a number and gives no other place to a word than `data`.
fn errors(model: &Model) -> Value {
    let errors: Map<String, Value> = model
        .error_codes
        .iter()
        .enumerate()
        .map(|(i, code)| {
            let error = json!({
                "code": i + 1,
                "message": code.description,
                "data": { "code": code.name },
            });
            (code.name.clone(), error)
        })
        .collect();
    Value::Object(errors)
}

fn tags(model: &Model) -> Value {
    let tags: Map<String, Value> = model
        .groups
        .iter()
        .filter(|group| !group.methods.is_empty())
        .map(|group| {
            let tag = json!({ "name": group.name, "description": group.description });
            (group.name.clone(), tag)
        })
        .collect();
    Value::Object(tags)
}
