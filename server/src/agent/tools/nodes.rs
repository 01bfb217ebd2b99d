//! `nodes`: what the connected devices can do. Which commands a device may have is for the registry and its lists to decide;
//! which of them an agent may never give is decided here.

use std::collections::BTreeMap;

use openclaw_protocol::protocol::texts;
use openclaw_protocol::types::NodeRow;
use serde::Deserialize;
use serde_json::{Value, json};

use super::device::{Device, MAX_WAIT_MS, Order};
use super::parameters::{all, count, flag, object, one_of, text};
use super::policy::Tool;
use super::reach::Reached;
use super::{Output, ToolSpec, Toolbox, arguments, told};
use crate::config::ExecSecurity;
use crate::nodes;

/// Longest recording that is asked for, in ms; what it weighs has to come in one message.
const MAX_RECORDING_MS: u64 = 60_000;
/// Recording when the model does not say, in ms.
const RECORDING_MS: u64 = 10_000;

#[derive(Deserialize)]
#[serde(
    tag = "action",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
enum Ask {
    #[serde(alias = "status")]
    List,
    Describe {
        node: String,
    },
    Notify {
        node: Option<String>,
        title: Option<String>,
        body: Option<String>,
        priority: Option<Priority>,
    },
    CameraList {
        node: Option<String>,
    },
    CameraSnap {
        node: Option<String>,
        facing: Option<Facing>,
        max_width: Option<u32>,
        device_id: Option<String>,
    },
    CameraClip {
        node: Option<String>,
        facing: Option<Facing>,
        duration_ms: Option<u64>,
        include_audio: Option<bool>,
        device_id: Option<String>,
    },
    ScreenRecord {
        node: Option<String>,
        duration_ms: Option<u64>,
        screen_index: Option<u32>,
        include_audio: Option<bool>,
    },
    LocationGet {
        node: Option<String>,
        max_age_ms: Option<u64>,
        desired_accuracy: Option<Accuracy>,
    },
    Run {
        node: Option<String>,
        command: Vec<String>,
        cwd: Option<String>,
        env: Option<BTreeMap<String, String>>,
        timeout_ms: Option<u64>,
    },
    Invoke {
        node: Option<String>,
        command: String,
        params: Option<Value>,
        timeout_ms: Option<u64>,
    },
}

/// Which camera.
#[derive(Clone, Copy, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Facing {
    Front,
    Back,
}

/// How exact a place has to be.
#[derive(Clone, Copy, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Accuracy {
    Coarse,
    Balanced,
    Precise,
}

/// How much a notification wants to be seen, in Apple's words.
#[derive(Clone, Copy, Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
enum Priority {
    Passive,
    Active,
    TimeSensitive,
}

/// What models are told.
pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: "nodes".into(),
        description: "The user's devices: notifications, cameras, screens, places, commands. Pictures and recordings are saved in the workspace."
            .into(),
        parameters: all(
            json!({
                "action": one_of(
                    &["list", "describe", "notify", "camera_list", "camera_snap", "camera_clip", "screen_record", "location_get", "run", "invoke"],
                    "What to do.",
                ),
                "node": text("Id or name of the device. May be left out where only one connected device can do it."),
                "title": text("notify: the title."),
                "body": text("notify: the text."),
                "priority": one_of(&["passive", "active", "timeSensitive"], "notify: how much it wants to be seen."),
                "facing": one_of(&["front", "back"], "camera_snap, camera_clip: which camera."),
                "deviceId": text("camera_snap, camera_clip: which camera, as camera_list names it."),
                "maxWidth": count("camera_snap: widest picture in pixels."),
                "durationMs": count("camera_clip, screen_record: how long, at most a minute."),
                "includeAudio": flag("camera_clip, screen_record: with sound."),
                "screenIndex": count("screen_record: which screen."),
                "maxAgeMs": count("location_get: oldest place that will do."),
                "desiredAccuracy": one_of(&["coarse", "balanced", "precise"], "location_get: how exact."),
                "command": {"description": "run: program and arguments as a list of strings; invoke: name of the command.",
                    "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]},
                "cwd": text("run: directory."),
                "env": {"type": "object", "additionalProperties": {"type": "string"}, "description": "run: variables."},
                "params": object("invoke: what the command takes."),
                "timeoutMs": count("run, invoke: how long to wait."),
            }),
            &["action"],
        ),
    }
}

/// Does what a call asks for.
///
/// # Errors
/// What to tell the model instead.
pub(super) async fn call(
    tools: &Toolbox,
    reached: &Reached,
    arguments: &Value,
) -> Result<Output, Output> {
    let ask: Ask = arguments::read(arguments)?;
    let find = |node: Option<String>, command: &str| {
        Device::find(&reached.nodes, node.as_deref(), command)
    };
    let now_ms = tools.runs.clock().now_ms();
    match ask {
        Ask::List => Ok(told(rows(reached).iter().map(|row| json!(row)).collect())),
        Ask::Describe { node } => {
            let named = |row: &NodeRow| {
                let name = row.display_name.as_deref().unwrap_or_default();
                row.node_id.as_str() == node || name.eq_ignore_ascii_case(&node)
            };
            let row = rows(reached).into_iter().find(named);
            let row = row.ok_or_else(|| Output::bad("There is no such device."))?;
            Ok(Output::json(&json!(nodes::described(row, now_ms))))
        }
        Ask::Notify {
            node,
            title,
            body,
            priority,
        } => {
            let order = Order::new(texts::NODE_COMMAND_NOTIFY)
                .with("title", title)
                .with("body", body)
                .with("priority", priority);
            find(node, order.command())?.tell(order).await
        }
        Ask::CameraList { node } => {
            let order = Order::new(texts::NODE_COMMAND_CAMERA_LIST);
            find(node, order.command())?.tell(order).await
        }
        Ask::CameraSnap {
            node,
            facing,
            max_width,
            device_id,
        } => {
            let order = Order::new(texts::NODE_COMMAND_CAMERA_SNAP)
                .with("facing", facing)
                .with("maxWidth", max_width)
                .with("format", Some("jpg"))
                .with("deviceId", device_id);
            let device = find(node, order.command())?;
            device.record(order, &tools.workspace, "camera").await
        }
        Ask::CameraClip {
            node,
            facing,
            duration_ms,
            include_audio,
            device_id,
        } => {
            let order = recording(texts::NODE_COMMAND_CAMERA_CLIP, duration_ms, include_audio)
                .with("facing", facing)
                .with("deviceId", device_id);
            let device = find(node, order.command())?;
            device.record(order, &tools.workspace, "clip").await
        }
        Ask::ScreenRecord {
            node,
            duration_ms,
            screen_index,
            include_audio,
        } => {
            let order = recording(
                texts::NODE_COMMAND_SCREEN_RECORD,
                duration_ms,
                include_audio,
            )
            .with("screenIndex", screen_index);
            let device = find(node, order.command())?;
            device.record(order, &tools.workspace, "screen").await
        }
        Ask::LocationGet {
            node,
            max_age_ms,
            desired_accuracy,
        } => {
            let order = Order::new(texts::NODE_COMMAND_LOCATION_GET)
                .with("maxAgeMs", max_age_ms)
                .with("desiredAccuracy", desired_accuracy);
            find(node, order.command())?.tell(order).await
        }
        Ask::Run {
            node,
            command,
            cwd,
            env,
            timeout_ms,
        } => {
            if !tools.has(Tool::Exec) {
                return Err(Output::bad(
                    "The command is not run: you may run none (tools.exec.security, or exec is denied).",
                ));
            }
            if tools.session_exec()?.security == Some(ExecSecurity::Deny) {
                return Err(Output::bad(
                    "The command is not run: this conversation's execSecurity is deny.",
                ));
            }
            if command.iter().all(|word| word.trim().is_empty()) {
                return Err(Output::bad("The command is empty."));
            }
            let order = Order::new(texts::NODE_COMMAND_RUN)
                .with("command", Some(command))
                .with("cwd", cwd)
                .with("env", env)
                .with("timeoutMs", timeout_ms.map(|ms| ms.min(MAX_WAIT_MS)))
                .with("agentId", Some(tools.session.agent()))
                .with("sessionKey", Some(tools.session.canonical()))
                // A person on the other side may have to say yes first.
                .within(MAX_WAIT_MS);
            find(node, order.command())?.tell(order).await
        }
        Ask::Invoke {
            node,
            command,
            params,
            timeout_ms,
        } => {
            let command = command.trim();
            if let Some(why) = never_by_agents(command) {
                return Err(Output::bad(why));
            }
            let mut order = Order::new(command).with_params(params);
            if let Some(ms) = timeout_ms {
                order = order.within(ms);
            }
            find(node, order.command())?.tell(order).await
        }
    }
}

fn recording(command: &str, duration_ms: Option<u64>, with_audio: Option<bool>) -> Order {
    let ms = duration_ms.unwrap_or(RECORDING_MS).min(MAX_RECORDING_MS);
    Order::new(command)
        .with("durationMs", Some(ms))
        .with("includeAudio", with_audio)
        .with("format", Some("mp4"))
        .after(ms)
}

fn rows(reached: &Reached) -> Vec<NodeRow> {
    let (_, paired) = reached.pairing.list();
    nodes::rows(&reached.nodes.connected(), &paired)
}

/// Why an agent may not give this command, whatever the lists of the configuration say: it could say yes to itself.
fn never_by_agents(command: &str) -> Option<&'static str> {
    match command {
        texts::NODE_COMMAND_RUN => Some("Use the action run."),
        texts::NODE_COMMAND_EXEC_APPROVALS_GET | texts::NODE_COMMAND_EXEC_APPROVALS_SET => {
            Some("What a device may run is for people to decide.")
        }
        _ => None,
    }
}
