//! Params of three methods as plain types: the members and kinds of values that the protocol has, no bounds.

#![expect(dead_code, reason = "making them is what is measured")]

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chat {
    session_key: String,
    message: String,
    thinking: Option<String>,
    deliver: Option<bool>,
    attachments: Option<Vec<Attachment>>,
    timeout_ms: Option<u64>,
    idempotency_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    r#type: Option<String>,
    mime_type: Option<String>,
    file_name: Option<String>,
    content: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Agent {
    message: String,
    agent_id: Option<String>,
    to: Option<String>,
    reply_to: Option<String>,
    session_id: Option<String>,
    session_key: Option<String>,
    thinking: Option<String>,
    deliver: Option<bool>,
    attachments: Option<Vec<Attachment>>,
    channel: Option<String>,
    reply_channel: Option<String>,
    account_id: Option<String>,
    reply_account_id: Option<String>,
    thread_id: Option<String>,
    group_id: Option<String>,
    group_channel: Option<String>,
    group_space: Option<String>,
    timeout: Option<u64>,
    lane: Option<String>,
    extra_system_prompt: Option<String>,
    idempotency_key: String,
    label: Option<String>,
    spawned_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connect {
    min_protocol: u64,
    max_protocol: u64,
    client: Client,
    caps: Option<Vec<String>>,
    commands: Option<Vec<String>>,
    permissions: Option<BTreeMap<String, bool>>,
    path_env: Option<String>,
    role: Option<String>,
    scopes: Option<Vec<String>>,
    device: Option<Device>,
    auth: Option<Auth>,
    locale: Option<String>,
    user_agent: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Client {
    id: String,
    display_name: Option<String>,
    version: String,
    platform: String,
    device_family: Option<String>,
    model_identifier: Option<String>,
    mode: String,
    instance_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    id: String,
    public_key: String,
    signature: String,
    signed_at: u64,
    nonce: Option<String>,
}

#[derive(Deserialize)]
struct Auth {
    token: Option<String>,
    password: Option<String>,
}
