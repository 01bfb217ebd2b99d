//! `canvas`: pages and surfaces on the screens of devices.

use openclaw_protocol::protocol::texts;
use serde::Deserialize;
use serde_json::{Value, json};

use super::device::{Device, Order};
use super::parameters::{all, number, one_of, positive, text};
use super::reach::Reached;
use super::workspace::Workspace;
use super::{Output, ToolSpec, Toolbox, arguments, shorten};

/// Most bytes of A2UI that are pushed at a time: it has to fit a message to a device.
pub(super) const MAX_JSONL: usize = 256 * 1024;

#[derive(Deserialize)]
#[serde(
    tag = "action",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
enum Ask {
    Present {
        node: Option<String>,
        url: Option<String>,
        x: Option<f64>,
        y: Option<f64>,
        width: Option<f64>,
        height: Option<f64>,
    },
    Hide {
        node: Option<String>,
    },
    Navigate {
        node: Option<String>,
        url: String,
    },
    Eval {
        node: Option<String>,
        java_script: String,
    },
    Snapshot {
        node: Option<String>,
        #[serde(alias = "outputFormat")]
        format: Option<Format>,
        max_width: Option<u32>,
    },
    A2uiPush {
        node: Option<String>,
        jsonl: Option<String>,
        jsonl_path: Option<String>,
    },
    A2uiReset {
        node: Option<String>,
    },
}

/// Kind of a picture.
#[derive(Clone, Copy, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Png,
    #[serde(alias = "jpg")]
    Jpeg,
}

/// What models are told.
pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: "canvas".into(),
        description: "Shows pages and A2UI surfaces on the screen of a device. A snapshot is saved in the workspace.".into(),
        parameters: all(
            json!({
                "action": one_of(
                    &["present", "hide", "navigate", "eval", "snapshot", "a2ui_push", "a2ui_reset"],
                    "What to do.",
                ),
                "node": text("Id or name of the device. May be left out where only one connected device can do it."),
                "url": text("present, navigate: the page."),
                "x": number("present: left edge."),
                "y": number("present: upper edge."),
                "width": number("present: width."),
                "height": number("present: height."),
                "javaScript": text("eval: what the page is to evaluate."),
                "format": one_of(&["png", "jpeg"], "snapshot: kind of picture."),
                "maxWidth": positive("snapshot: widest picture in pixels."),
                "jsonl": text("a2ui_push: messages, one JSON object a line."),
                "jsonlPath": text("a2ui_push: file of the workspace with them."),
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
    let (node, order) = match ask {
        Ask::Present {
            node,
            url,
            x,
            y,
            width,
            height,
        } => {
            let sides = [("x", x), ("y", y), ("width", width), ("height", height)];
            let placement: serde_json::Map<String, Value> = sides
                .into_iter()
                .filter_map(|(name, side)| Some((name.to_owned(), json!(side?))))
                .collect();
            let order = Order::new(texts::NODE_COMMAND_CANVAS_PRESENT)
                .with("url", url)
                .with("placement", (!placement.is_empty()).then_some(placement));
            (node, order)
        }
        Ask::Hide { node } => (node, Order::new(texts::NODE_COMMAND_CANVAS_HIDE)),
        Ask::Navigate { node, url } => {
            let order = Order::new(texts::NODE_COMMAND_CANVAS_NAVIGATE);
            (node, order.with("url", Some(url)))
        }
        Ask::Eval { node, java_script } => {
            let order = Order::new(texts::NODE_COMMAND_CANVAS_EVAL);
            (node, order.with("javaScript", Some(java_script)))
        }
        Ask::A2uiReset { node } => (node, Order::new(texts::NODE_COMMAND_CANVAS_A2UI_RESET)),
        Ask::Snapshot {
            node,
            format,
            max_width,
        } => {
            let order = Order::new(texts::NODE_COMMAND_CANVAS_SNAPSHOT)
                .with("format", Some(format.unwrap_or(Format::Png)))
                .with("maxWidth", max_width);
            let device = Device::find(&reached.nodes, node.as_deref(), order.command())?;
            return device.record(order, &tools.workspace, "canvas").await;
        }
        Ask::A2uiPush {
            node,
            jsonl,
            jsonl_path,
        } => {
            let jsonl = messages(&tools.workspace, jsonl, jsonl_path).await?;
            // Newer devices know only the one, older ones only the other.
            let (long, short) = (
                texts::NODE_COMMAND_CANVAS_A2UI_PUSH_JSONL,
                texts::NODE_COMMAND_CANVAS_A2UI_PUSH,
            );
            let device = Device::find(&reached.nodes, node.as_deref(), long)
                .or_else(|_| Device::find(&reached.nodes, node.as_deref(), short))?;
            let command = if device.has(long) { long } else { short };
            return device
                .tell(Order::new(command).with("jsonl", Some(jsonl)))
                .await;
        }
    };
    let device = Device::find(&reached.nodes, node.as_deref(), order.command())?;
    device.tell(order).await
}

/// The messages of a push, each of them an object.
async fn messages(
    workspace: &Workspace,
    jsonl: Option<String>,
    path: Option<String>,
) -> Result<String, Output> {
    let jsonl = match (jsonl, path) {
        (Some(jsonl), None) => jsonl,
        (None, Some(path)) => {
            let workspace = workspace.clone();
            let read = tokio::task::spawn_blocking(move || {
                let shown = shorten(&path);
                let bytes = workspace.read(&path);
                bytes.map_err(|error| Output::bad(format!("{shown}: {error}.")))
            });
            let bytes = read
                .await
                .map_err(|_| Output::bad("The file cannot be read."))??;
            String::from_utf8(bytes).map_err(|_| Output::bad("The file is no text."))?
        }
        _ => return Err(Output::bad("One of jsonl and jsonlPath is needed.")),
    };
    if jsonl.len() > MAX_JSONL {
        return Err(Output::bad(format!(
            "The messages are larger than {MAX_JSONL} bytes."
        )));
    }
    let mut lines = jsonl.lines().enumerate();
    let wrong = lines.find(|(_, line)| {
        let is_object = serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object());
        !line.trim().is_empty() && !is_object
    });
    match wrong {
        Some((index, _)) => Err(Output::bad(format!(
            "Line {} is no JSON object.",
            index + 1
        ))),
        None if jsonl.trim().is_empty() => Err(Output::bad("There are no messages.")),
        None => Ok(jsonl),
    }
}
