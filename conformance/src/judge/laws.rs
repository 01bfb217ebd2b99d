//! What holds for all frames of a connection together: sequence numbers, state versions, what may come before hello-ok,
//! and how long a gateway waits before it closes.

use serde_json::Value;

use super::{Finding, HeardFrame, Laws, Problem};
use crate::session::{Action, Session};
use crate::track::event_name;

/// A recorded wait of less is an immediate reaction: whatever the gateway needs for it is right.
const IMMEDIATE_MS: u64 = 1000;
/// How much a gateway may close too early; timers are not exact.
const EARLY_MS: u64 = 500;
/// How much it may close too late: a busy machine.
const LATE_MS: u64 = 3000;

/// Checks the frames of one connection.
pub(super) fn check(laws: Laws, conn: &str, frames: &[HeardFrame], findings: &mut Vec<Finding>) {
    let mut broken = |heard: usize, message: String| {
        findings.push(Finding {
            conn: Some(conn.to_owned()),
            step: None,
            heard: Some(heard),
            problem: Problem::Law(message),
        });
    };
    let hello = frames.iter().position(|f| {
        f.frame
            .pointer("/payload/type")
            .is_some_and(|t| t == "hello-ok")
    });
    let mut seq: Option<u64> = None;
    let mut versions: [Option<u64>; 2] = [None, None];
    let mut presence_event: Option<u64> = None;
    for (i, HeardFrame { frame, .. }) in frames.iter().enumerate() {
        let event = event_name(frame);
        let early = event.is_some_and(|name| {
            name != "connect.challenge" && (laws.hello_first || name != "node.invoke.request")
        });
        if early && hello.is_some_and(|hello| i < hello) {
            broken(i, "an event before hello-ok".into());
        }
        if let Some(now) = frame.get("seq").and_then(Value::as_u64) {
            if let Some(before) = seq {
                if laws.seq_per_connection && now != before + 1 {
                    broken(
                        i,
                        format!("seq is {now} after {before}: it counts what this connection gets"),
                    );
                } else if now < before {
                    // Equal is right for the recorded gateway where a socket was registered twice (odd 1).
                    broken(i, format!("seq is {now} after {before}"));
                }
            }
            seq = Some(now);
        }
        let state = frame
            .get("stateVersion")
            .or_else(|| frame.pointer("/payload/snapshot/stateVersion"));
        for (known, name) in versions.iter_mut().zip(["presence", "health"]) {
            let Some(now) = state.and_then(|s| s.get(name)).and_then(Value::as_u64) else {
                continue;
            };
            if known.is_some_and(|before| now < before) {
                broken(i, format!("stateVersion.{name} fell to {now}"));
            }
            *known = Some(now);
        }
        if event == Some("presence") {
            let now = frame
                .pointer("/stateVersion/presence")
                .and_then(Value::as_u64);
            if presence_event
                .zip(now)
                .is_some_and(|(before, now)| now <= before)
            {
                broken(i, "a presence event without a new presence version".into());
            }
            presence_event = now.or(presence_event);
        }
    }
}

/// How long the gateway waited before it closed `conn` in step `closed` at `t`, counted from the last thing that the client
/// did there.
pub(super) fn recorded_wait(session: &Session, conn: &str, closed: usize, t: u64) -> u64 {
    let acted = session.steps[..closed]
        .iter()
        .rev()
        .find_map(|s| match &s.action {
            Action::Open { conn: c, .. } | Action::Send { conn: c, .. } if c == conn => Some(s.t),
            _ => None,
        });
    t - acted.unwrap_or(0).min(t)
}

/// What is wrong with having waited `actual` where `recorded` was recorded.
pub(super) fn late_or_early(recorded: u64, actual: u64) -> Option<String> {
    if recorded < IMMEDIATE_MS {
        return None;
    }
    let fits = actual + EARLY_MS >= recorded && actual <= recorded + LATE_MS;
    (!fits).then(|| format!("closed after {actual} ms, recorded were {recorded} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check_frames(laws: Laws, frames: &[Value], expected: &[(usize, &str)]) {
        let heard: Vec<HeardFrame> = frames
            .iter()
            .map(|frame| HeardFrame {
                at: 0,
                frame: frame.clone(),
            })
            .collect();
        let mut findings = Vec::new();
        check(laws, "A", &heard, &mut findings);
        let found: Vec<(usize, String)> = findings
            .into_iter()
            .filter_map(|f| match f.problem {
                Problem::Law(message) => Some((f.heard?, message)),
                _ => None,
            })
            .collect();
        let found: Vec<(usize, &str)> = found.iter().map(|(i, m)| (*i, m.as_str())).collect();
        assert_eq!(found, expected, "{frames:?}");
    }

    #[test]
    fn sequence_numbers() {
        let ours = Laws {
            seq_per_connection: true,
            ..Laws::default()
        };
        let seqs = |seqs: &[u64]| seqs.iter().map(|s| json!({"seq": s})).collect::<Vec<_>>();
        check_frames(ours, &seqs(&[7, 8, 9]), &[]);
        check_frames(
            ours,
            &seqs(&[7, 9]),
            &[(1, "seq is 9 after 7: it counts what this connection gets")],
        );
        check_frames(Laws::default(), &seqs(&[7, 9]), &[]);
        check_frames(
            ours,
            &seqs(&[7, 7]),
            &[(1, "seq is 7 after 7: it counts what this connection gets")],
        );
        check_frames(Laws::default(), &seqs(&[7, 7]), &[]);
        check_frames(Laws::default(), &seqs(&[7, 6]), &[(1, "seq is 6 after 7")]);
    }

    #[test]
    fn state_versions_and_the_first_event() {
        let health = |presence: u64, health: u64| json!({"type": "event", "event": "health", "stateVersion": {"presence": presence, "health": health}});
        let presence = |version: u64| json!({"type": "event", "event": "presence", "stateVersion": {"presence": version, "health": 1}});
        let hello = json!({"type": "res", "payload": {"type": "hello-ok", "snapshot": {"stateVersion": {"presence": 2, "health": 2}}}});
        let laws = Laws::default();
        check_frames(laws, &[hello.clone(), health(2, 3), health(3, 3)], &[]);
        check_frames(
            laws,
            &[hello.clone(), health(1, 2)],
            &[(1, "stateVersion.presence fell to 1")],
        );
        check_frames(
            laws,
            &[health(2, 1), hello.clone()],
            &[(0, "an event before hello-ok")],
        );
        let invoke = json!({"type": "event", "event": "node.invoke.request"});
        let strict = Laws {
            hello_first: true,
            ..Laws::default()
        };
        check_frames(laws, &[invoke.clone(), hello.clone()], &[]);
        check_frames(strict, &[invoke, hello], &[(0, "an event before hello-ok")]);
        check_frames(laws, &[presence(2), presence(3)], &[]);
        check_frames(
            laws,
            &[presence(2), presence(2)],
            &[(1, "a presence event without a new presence version")],
        );
    }

    #[test]
    fn waits_before_a_close() {
        for (recorded, actual, fits) in [
            (3, 9000, true),
            (999, 0, true),
            (1000, 499, false),
            (1000, 500, true),
            (10_004, 9504, true),
            (10_004, 9503, false),
            (10_004, 13_004, true),
            (10_004, 13_005, false),
        ] {
            assert_eq!(
                late_or_early(recorded, actual).is_none(),
                fits,
                "{recorded} {actual}"
            );
        }
    }
}
