//! What a node tells its gateway, in the order in which it was said: one queue, one task that sends.

use std::collections::HashSet;

use openclaw_client::{CallError, Client, GatewayCalls};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    NodeEventParams, NodeInvokeError, NodeInvokeResultParams, SkillsBinsParams, SystemRunResult,
};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::Failure;

/// Messages that wait to be sent: some for each command that may run at a time.
pub(super) const QUEUE: usize = 256;

/// Bytes of a frame around the payload of a result.
const FRAME_ROOM: usize = 4 * 1024;

/// One message.
#[derive(Debug)]
pub(super) enum Told {
    /// Something happened.
    Event(NodeEventParams),
    /// What came of a command: the id it was asked under, and the outcome.
    Result(NonEmptyString, Result<Payload, Failure>),
    /// Which programs do skills need? Without an answer: none.
    SkillBins(oneshot::Sender<HashSet<String>>),
}

/// What a command gives.
#[derive(Debug)]
pub(super) enum Payload {
    /// Something short.
    Value(Value),
    /// Output of a program, which may have to be shortened.
    Run(Box<SystemRunResult>),
    /// Nothing.
    Nothing,
}

/// The end where messages go in. Clones share the queue.
#[derive(Debug, Clone)]
pub(super) struct Speaker(mpsc::Sender<Told>);

/// A queue: the end for commands, and the end for [`send_all`].
pub(super) fn queue() -> (Speaker, mpsc::Receiver<Told>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Speaker(sender), receiver)
}

impl Told {
    /// An event with a payload.
    pub(super) fn event(name: &'static str, payload: &impl Serialize) -> Self {
        let mut params = NodeEventParams::new(NonEmptyString::or(name, "event"));
        // Only a defect of ours makes this fail; the event goes out without a payload then.
        params.payload_json = serde_json::to_string(payload).ok();
        Self::Event(params)
    }
}

impl Speaker {
    /// Queues a message; waits while too many are queued. Lost when the node host is ending.
    pub(super) async fn tell(&self, told: Told) {
        let _ = self.0.send(told).await;
    }

    /// Names of programs that skills need, as the gateway knows them now.
    pub(super) async fn skill_bins(&self) -> HashSet<String> {
        let (answer, bins) = oneshot::channel();
        self.tell(Told::SkillBins(answer)).await;
        bins.await.unwrap_or_default()
    }
}

/// Sends what is queued, one after another. What cannot be sent is lost: the gateway has given up on it by then.
pub(super) async fn send_all(
    client: Client,
    node_id: NonEmptyString,
    mut queue: mpsc::Receiver<Told>,
) {
    while let Some(told) = queue.recv().await {
        let sent = match told {
            Told::Event(params) => client.node_event(&params).await.map(|_| ()),
            Told::Result(id, outcome) => {
                let room = usize::try_from(client.hello().policy.max_payload).unwrap_or(usize::MAX);
                let params = result(
                    id,
                    node_id.clone(),
                    outcome,
                    room.saturating_sub(FRAME_ROOM),
                );
                client.node_invoke_result(&params).await.map(|_| ())
            }
            Told::SkillBins(answer) => skill_bins(&client, answer).await,
        };
        if let Err(error) = sent {
            tracing::warn!(%error, "the gateway was not told");
        }
    }
}

async fn skill_bins(
    client: &Client,
    answer: oneshot::Sender<HashSet<String>>,
) -> Result<(), CallError> {
    let bins = client.skills_bins(&SkillsBinsParams::default()).await?.bins;
    let _ = answer.send(bins.into_iter().map(String::from).collect());
    Ok(())
}

/// The params of an answer, whose JSON stays within `room` bytes.
fn result(
    id: NonEmptyString,
    node_id: NonEmptyString,
    outcome: Result<Payload, Failure>,
    room: usize,
) -> NodeInvokeResultParams {
    let mut params = NodeInvokeResultParams::new(id, node_id, outcome.is_ok());
    let text = match outcome {
        Ok(Payload::Nothing) => None,
        Ok(Payload::Value(value)) => Some(value.to_string()),
        Ok(Payload::Run(run)) => Some(fitted(*run, room)),
        Err(failure) => {
            let mut error = NodeInvokeError::new();
            error.code = NonEmptyString::new(failure.code);
            error.message = NonEmptyString::new(failure.message);
            params.error = Some(error);
            None
        }
    };
    params.payload_json = text.map(Value::String);
    params
}

/// The text of a run's result. Output that is long once it is quoted twice loses its end, half by half.
fn fitted(mut run: SystemRunResult, room: usize) -> String {
    loop {
        let text = serde_json::to_string(&run).unwrap_or_default();
        let quoted = serde_json::to_string(&text).map_or(0, |text| text.len());
        let longest = if run.stdout.len() >= run.stderr.len() {
            &mut run.stdout
        } else {
            &mut run.stderr
        };
        if quoted <= room || longest.is_empty() {
            return text;
        }
        longest.truncate(longest.floor_char_boundary(longest.len() / 2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> NonEmptyString {
        NonEmptyString::new(text).unwrap()
    }

    #[test]
    fn output_fits_into_a_frame() {
        for (output, room) in [
            ("x".repeat(1000), 2000),
            ("\u{1}".repeat(1000), 2000),
            ("é\"".repeat(1000), 500),
        ] {
            let run =
                SystemRunResult::new(Some(0), false, true, output.clone(), output.clone(), None);
            let text = fitted(run.clone(), room);
            assert!(serde_json::to_string(&text).unwrap().len() <= room);
            let shown: SystemRunResult = serde_json::from_str(&text).unwrap();
            assert!(output.starts_with(&shown.stdout) && shown.stdout.len() < output.len());
            assert_eq!(
                fitted(run.clone(), 100_000),
                serde_json::to_string(&run).unwrap()
            );
        }
    }

    #[test]
    fn answers() {
        let check = |outcome: Result<Payload, Failure>, expected: Value| {
            let params = result(id("i"), id("n"), outcome, 10_000);
            assert_eq!(serde_json::to_value(params).unwrap(), expected);
        };
        check(
            Ok(Payload::Nothing),
            serde_json::json!({"id": "i", "nodeId": "n", "ok": true}),
        );
        check(
            Ok(Payload::Value(serde_json::json!({"bins": {}}))),
            serde_json::json!({"id": "i", "nodeId": "n", "ok": true, "payloadJSON": "{\"bins\":{}}"}),
        );
        check(
            Err(Failure::unavailable("no")),
            serde_json::json!({"id": "i", "nodeId": "n", "ok": false, "error": {"code": "UNAVAILABLE", "message": "no"}}),
        );
    }
}
