//! What an agent run says: milestones (accepted, start, tool calls, end, final) in order, and between them speech, the
//! assistant events and chat deltas. Where the model's text is cut into pieces and which deltas the throttle lets through
//! differs on every run, so speech is judged by what its pieces make together.

use serde_json::{Value, json};

use super::pairing::{align, disorder, label};
use super::{At, Out, Problem};
use crate::track::{Requests, event_name, is_speech, speech_text};

/// Least time between two chat deltas of a run, milliseconds (contract 6.10: 150), less what a clock read twice may differ.
const DELTA_SPACING_MS: i64 = 145;

/// A frame that must be there, or a stretch of speech.
enum Item<'a> {
    Milestone(At<'a>),
    Speech(Vec<At<'a>>),
}

impl<'a> Item<'a> {
    fn first(&self) -> At<'a> {
        match self {
            Self::Milestone(at) => *at,
            Self::Speech(ats) => ats[0],
        }
    }

    fn label(&self, requests: &Requests, conn: &str) -> String {
        match self {
            Self::Milestone(at) => label(requests, conn, at.frame),
            Self::Speech(_) => "speech".into(),
        }
    }
}

/// Frames of a run with their `seq` counted from what is visible on the connection, and grouped.
struct Telling<'a> {
    items: Vec<Item<'a>>,
    /// By position in the track: what to compare instead of `payload.seq`.
    seqs: Vec<(usize, Value)>,
}

/// Pairs the frames of a run.
pub(super) fn pair(requests: &Requests, expected: &[At<'_>], actual: &[At<'_>], out: &mut Out<'_>) {
    let (told, heard) = (telling(expected), telling(actual));
    let labels = |telling: &Telling<'_>| -> Vec<String> {
        telling
            .items
            .iter()
            .map(|item| item.label(requests, out.conn))
            .collect()
    };
    let (expected_labels, actual_labels) = (labels(&told), labels(&heard));
    if let Some(first) = disorder(&expected_labels, &actual_labels) {
        let problem = Problem::Order {
            expected: expected_labels[first..].to_vec(),
            actual: actual_labels[first..].to_vec(),
        };
        let (e, a) = (told.items[first].first(), heard.items[first].first());
        out.find(Some(e.index), Some(a.index), problem);
        return;
    }
    let open_ended = is_open_ended(expected);
    let pairs = align(&expected_labels, &actual_labels);
    for (e, a) in pairs.meet {
        match (&told.items[e], &heard.items[a]) {
            (Item::Milestone(e), Item::Milestone(a)) => {
                let label = requests.describe(out.conn, e.frame);
                out.meet(
                    label,
                    e.index,
                    a.index,
                    told.with_seq(*e),
                    heard.with_seq(*a),
                );
            }
            (Item::Speech(e), Item::Speech(a)) => {
                meet_speech(requests, &told, e, &heard, a, out);
                judge_speech(e, a, open_ended, out);
            }
            (e, a) => {
                let (e, a) = (e.first(), a.first());
                out.find(Some(e.index), None, Problem::Missing(e.frame.clone()));
                out.find(None, Some(a.index), Problem::Unexpected(a.frame.clone()));
            }
        }
    }
    for e in pairs.missing {
        let at = told.items[e].first();
        out.find(Some(at.index), None, Problem::Missing(at.frame.clone()));
    }
    for a in pairs.unexpected {
        let at = heard.items[a].first();
        out.find(None, Some(at.index), Problem::Unexpected(at.frame.clone()));
    }
}

/// Whether a run was cut short, by an abort or because the recording ends in the midst of it: how far its text had come is a
/// matter of time.
fn is_open_ended(frames: &[At<'_>]) -> bool {
    let states = || {
        let state = |at: &At<'_>| {
            at.frame
                .pointer("/payload/state")?
                .as_str()
                .map(str::to_owned)
        };
        frames.iter().filter_map(state)
    };
    let has_events = frames.iter().any(|at| event_name(at.frame).is_some());
    let has_ended = states().any(|state| matches!(state.as_str(), "final" | "error"));
    states().any(|state| state == "aborted") || (has_events && !has_ended)
}

fn telling<'a>(frames: &[At<'a>]) -> Telling<'a> {
    let mut items: Vec<Item<'a>> = Vec::new();
    let mut seqs = Vec::new();
    let (mut agent_events, mut last_agent_seq) = (0_i64, None);
    for at in frames {
        if is_speech(at.frame) {
            match items.last_mut() {
                Some(Item::Speech(ats)) => ats.push(*at),
                _ => items.push(Item::Speech(vec![*at])),
            }
        } else {
            items.push(Item::Milestone(*at));
        }
        let Some(seq) = at.frame.pointer("/payload/seq").and_then(Value::as_i64) else {
            continue;
        };
        // Events that are held back count too, and how many pieces the text has differs: so an agent event is compared by
        // how far its number is ahead of its place, a chat event by how far it is ahead of the agent event that caused it.
        let relative = match (event_name(at.frame), last_agent_seq) {
            (Some("agent"), _) => {
                agent_events += 1;
                last_agent_seq = Some(seq);
                json!(format!("place of the event + {}", seq - agent_events))
            }
            (_, Some(last)) => json!(format!("seq of the agent event before + {}", seq - last)),
            (_, None) => json!(seq),
        };
        seqs.push((at.index, relative));
    }
    Telling { items, seqs }
}

impl Telling<'_> {
    fn with_seq(&self, at: At<'_>) -> Value {
        let mut frame = at.frame.clone();
        let relative = self.seqs.iter().find(|(index, _)| *index == at.index);
        if let (Some((_, seq)), Some(slot)) = (relative, frame.pointer_mut("/payload/seq")) {
            *slot = seq.clone();
        }
        frame
    }
}

/// Every piece must look like the recorded piece of its kind, but for the text.
fn meet_speech(
    requests: &Requests,
    told: &Telling<'_>,
    expected: &[At<'_>],
    heard: &Telling<'_>,
    actual: &[At<'_>],
    out: &mut Out<'_>,
) {
    for a in actual {
        let kind = event_name(a.frame);
        let Some(model) = expected.iter().find(|e| event_name(e.frame) == kind) else {
            out.find(None, Some(a.index), Problem::Unexpected(a.frame.clone()));
            continue;
        };
        let without_text = |mut frame: Value| {
            for pointer in [
                "/payload/data/text",
                "/payload/data/delta",
                "/payload/message/content/0/text",
            ] {
                if let Some(slot @ Value::String(_)) = frame.pointer_mut(pointer) {
                    *slot = json!("…");
                }
            }
            frame
        };
        let label = requests.describe(out.conn, model.frame);
        let (e, now) = (
            without_text(told.with_seq(*model)),
            without_text(heard.with_seq(*a)),
        );
        out.meet(label, model.index, a.index, e, now);
    }
}

/// The pieces must grow to the recorded text, each delta must show the text of the event before it.
fn judge_speech(expected: &[At<'_>], actual: &[At<'_>], open_ended: bool, out: &mut Out<'_>) {
    let step = expected[0].index;
    let mut text = String::new();
    let mut shown: Option<&str> = None;
    let mut last_delta: Option<i64> = None;
    for at in actual {
        let now = speech_text(at.frame).unwrap_or_default();
        let mut broken =
            |message: String| out.find(Some(step), Some(at.index), Problem::Law(message));
        if event_name(at.frame) == Some("agent") {
            let delta = at
                .frame
                .pointer("/payload/data/delta")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if now != format!("{text}{delta}") {
                broken(format!(
                    "assistant text is {now:?}, before it was {text:?} and the delta is {delta:?}"
                ));
            }
            text = now.to_owned();
            shown = Some(now);
            continue;
        }
        if shown.is_some_and(|shown| shown != now) {
            broken(format!(
                "chat delta shows {now:?}, the agent event before it {text:?}"
            ));
        }
        let time = at
            .frame
            .pointer("/payload/message/timestamp")
            .and_then(Value::as_i64);
        if let (Some(before), Some(time)) = (last_delta, time)
            && time - before < DELTA_SPACING_MS
        {
            broken(format!(
                "chat delta {} ms after the one before",
                time - before
            ));
        }
        last_delta = time.or(last_delta);
        if shown.is_none() {
            text = now.to_owned();
        }
    }
    let has_delta = |ats: &[At<'_>]| ats.iter().any(|at| event_name(at.frame) == Some("chat"));
    if has_delta(expected) && !has_delta(actual) {
        out.find(
            Some(step),
            None,
            Problem::Law("no chat delta for what the run says".into()),
        );
    }
    let recorded = expected
        .iter()
        .rev()
        .find_map(|at| speech_text(at.frame))
        .unwrap_or_default();
    let cut = open_ended && (recorded.starts_with(&text) || text.starts_with(recorded));
    if !cut {
        // Compared like any other text: it may hold ids.
        let heard = actual.last().map_or(0, |at| at.index);
        let (expected, said) = (json!({"says": recorded}), json!({"says": text}));
        out.meet("what the run says".into(), step, heard, expected, said);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_open_until_its_last_chat_event() {
        let agent = json!({"event": "agent", "type": "event", "payload": {"stream": "lifecycle", "data": {"phase": "end"}}});
        let chat =
            |state: &str| json!({"event": "chat", "type": "event", "payload": {"state": state}});
        for (frames, open) in [
            (vec![], false),
            (vec![json!({"type": "res"})], false),
            (vec![agent.clone()], true),
            (vec![chat("delta"), agent.clone()], true),
            (vec![chat("delta"), chat("final")], false),
            (vec![chat("error")], false),
            (vec![chat("delta"), chat("aborted")], true),
        ] {
            let ats = frames.iter().enumerate();
            let ats: Vec<At<'_>> = ats.map(|(index, frame)| At { index, frame }).collect();
            assert_eq!(is_open_ended(&ats), open, "{frames:?}");
        }
    }
}
