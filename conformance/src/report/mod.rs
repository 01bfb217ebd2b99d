//! What a run tells: a line for each session as it ends, a table, the differences of those that failed, and the same as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use similar::TextDiff;

use crate::compare::{Difference, What, short};
use crate::judge::{Finding, Problem};
use crate::session::{Action, Session};
use crate::suite::{Outcome, Status};
use crate::track::Requests;

/// Findings of a session that are told in full; the rest is counted.
const TOLD_FINDINGS: usize = 8;
/// Lines of one diff.
const DIFF_LINES: usize = 40;
/// Frames before and after the one in question that are listed.
const FRAMES_AROUND: usize = 3;

/// One line about a session.
pub fn line(outcome: &Outcome) -> String {
    let (verdict, note) = match &outcome.status {
        Status::Passed => ("passed", String::new()),
        Status::Deviating(odds) => ("deviating", list(odds)),
        Status::Without(methods) => ("partly", without(methods)),
        Status::KnownFailing(reason) => ("known failing", reason.clone()),
        Status::UnexpectedPass(reason) => {
            ("UNEXPECTED PASS", format!("listed as failing: {reason}"))
        }
        Status::Failed => ("FAILED", String::new()),
        Status::Skipped(reason) => ("skipped", reason.clone()),
    };
    let line = format!(
        "{verdict:<15} {:<40} {:>6.1} s  {note}",
        outcome.session.name,
        outcome.took.as_secs_f64()
    );
    line.trim_end().to_owned()
}

fn without(methods: &[String]) -> String {
    format!("not served yet: {}", methods.join(", "))
}

/// Numbers of oddities: rows of section 13 of the wire contract, or of `found` in `deviations.json`.
fn list(odds: &[u32]) -> String {
    let odds: Vec<String> = odds.iter().map(u32::to_string).collect();
    format!("odd {}", odds.join(", "))
}

/// Table, details of what failed, totals.
pub fn summary(outcomes: &[Outcome], took: Duration, verbose: bool) -> String {
    let mut out = String::new();
    for outcome in outcomes {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", line(outcome));
    }
    for outcome in outcomes {
        let told = outcome.status.is_bad()
            || (verbose && matches!(outcome.status, Status::KnownFailing(_)));
        if told {
            out.push_str(&details(outcome));
        }
    }
    let count = |fits: fn(&Status) -> bool| outcomes.iter().filter(|o| fits(&o.status)).count();
    let _ = write!(
        out,
        "\n{} sessions: {} passed, {} deviating as expected, {} known failing",
        outcomes.len(),
        count(|s| matches!(s, Status::Passed)),
        count(|s| matches!(s, Status::Deviating(_))),
        count(|s| matches!(s, Status::KnownFailing(_))),
    );
    for (name, number) in [
        (
            "as far as served",
            count(|s| matches!(s, Status::Without(_))),
        ),
        ("skipped", count(|s| matches!(s, Status::Skipped(_)))),
        ("FAILED", count(|s| matches!(s, Status::Failed))),
        (
            "UNEXPECTED PASS",
            count(|s| matches!(s, Status::UnexpectedPass(_))),
        ),
    ] {
        if number > 0 {
            let _ = write!(out, ", {number} {name}");
        }
    }
    let _ = writeln!(out, " ({:.0} s)", took.as_secs_f64());
    out
}

/// Everything that is wrong in one session.
pub fn details(outcome: &Outcome) -> String {
    let session = &outcome.session;
    let mut out = format!("\n── {}: {}\n", session.name, session.description);
    if let Status::UnexpectedPass(_) = outcome.status {
        out.push_str("  It passes: take it off known-failing.txt.\n");
    }
    if let Some(error) = &outcome.error {
        let _ = writeln!(out, "  {error}");
    }
    let requests = Requests::of(session);
    if let Some(stall) = &outcome.stall {
        let before = match session.steps.get(stall.step) {
            Some(step) => format!(
                "step {} ({})",
                stall.step + 1,
                describe(&step.action, &requests)
            ),
            None => "the end".to_owned(),
        };
        let _ = writeln!(out, "  stopped before {before}: {}", stall.message);
        for step in stall.missing.iter().take(FRAMES_AROUND) {
            let action = describe(&session.steps[*step].action, &requests);
            let _ = writeln!(out, "    has not come: step {} ({action})", step + 1);
        }
    }
    for finding in outcome.findings.iter().take(TOLD_FINDINGS) {
        out.push_str(&tell(finding, outcome, &requests));
    }
    if outcome.findings.len() > TOLD_FINDINGS {
        let _ = writeln!(
            out,
            "  … and {} more",
            outcome.findings.len() - TOLD_FINDINGS
        );
    }
    if let Some(home) = &outcome.home {
        let _ = writeln!(out, "  home of the gateway: {}", home.display());
    }
    out
}

fn describe(action: &Action, requests: &Requests) -> String {
    match action {
        Action::Open { conn, .. } => format!("{conn} opens"),
        Action::Send { conn, text, .. } => {
            let frame: Value = serde_json::from_str(text).unwrap_or(Value::Null);
            let member = |key: &str| frame.get(key).map(Value::to_string).unwrap_or_default();
            format!("{conn} sends {} {}", member("method"), member("id"))
        }
        Action::Receive { conn, frame } => {
            let id = frame
                .get("id")
                .map(|id| format!(" {id}"))
                .unwrap_or_default();
            format!("{conn} gets {}{id}", requests.describe(conn, frame))
        }
        Action::Close { conn, close } => format!("{conn} is {close}"),
        Action::Mark(mark) => format!("{mark:?}"),
    }
}

fn tell(finding: &Finding, outcome: &Outcome, requests: &Requests) -> String {
    let session: &Session = &outcome.session;
    let conn = finding.conn.as_deref().unwrap_or_default();
    let step = finding.step.map(|i| {
        let step = &session.steps[i];
        format!(
            "step {} at {} ms ({})",
            i + 1,
            step.t,
            describe(&step.action, requests)
        )
    });
    let heard = finding.heard.map(|i| format!("frame {} of {conn}", i + 1));
    let place = [step, heard]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ");
    let mut out = format!(
        "  {}\n",
        if place.is_empty() {
            format!("connection {conn}")
        } else {
            place
        }
    );
    match &finding.problem {
        Problem::Differs(differences) => {
            for difference in differences.iter().take(TOLD_FINDINGS) {
                let _ = writeln!(out, "    {difference}");
            }
            let expected = finding.step.and_then(|i| match &session.steps[i].action {
                Action::Receive { frame, .. } => Some(frame),
                _ => None,
            });
            if let Some(expected) = expected {
                out.push_str(&diff(expected, differences));
            }
        }
        Problem::Missing(frame) => {
            let _ = writeln!(out, "    did not come: {}", short(frame));
        }
        Problem::Unexpected(frame) => {
            let _ = writeln!(out, "    was not expected: {}", short(frame));
        }
        Problem::Order { expected, actual } => {
            let _ = writeln!(
                out,
                "    wrong order\n      expected {}\n      got      {}",
                expected.join(" → "),
                actual.join(" → ")
            );
        }
        Problem::Closed { expected, actual } => {
            let show = |close: &Option<crate::session::Close>| match close {
                Some(close) => close.to_string(),
                None => "open".to_owned(),
            };
            let _ = writeln!(
                out,
                "    expected: {}\n    got:      {}",
                show(expected),
                show(actual)
            );
        }
        Problem::Law(message) => {
            let _ = writeln!(out, "    {message}");
        }
        Problem::Schema(errors) => {
            for error in errors {
                let _ = writeln!(out, "    not what the schema says: {error}");
            }
        }
    }
    if !matches!(finding.problem, Problem::Differs(_)) {
        out.push_str(&around(finding, outcome, requests));
    }
    out
}

/// The expected frame and the same frame with the differences put in, as a diff. Values that may differ do not show.
fn diff(expected: &Value, differences: &[Difference]) -> String {
    let (mut expected, mut actual) = (expected.clone(), expected.clone());
    for difference in differences {
        put(&mut actual, difference);
        // Some fields are compared as something else than the recorded number.
        if let What::Value {
            expected: value, ..
        } = &difference.what
        {
            let what = What::Value {
                expected: Value::Null,
                actual: value.clone(),
            };
            let pointer = difference.pointer.clone();
            put(&mut expected, &Difference { pointer, what });
        }
    }
    let (expected, actual) = (format!("{expected:#}\n"), format!("{actual:#}\n"));
    let diff = TextDiff::from_lines(&expected, &actual);
    let text = diff
        .unified_diff()
        .context_radius(2)
        .header("expected", "got")
        .to_string();
    let mut out = String::new();
    for line in text.lines().skip(2).take(DIFF_LINES) {
        let _ = writeln!(out, "      {}", line.chars().take(200).collect::<String>());
    }
    out
}

fn put(frame: &mut Value, difference: &Difference) {
    let Some((parent, key)) = difference.pointer.rsplit_once('/') else {
        if let What::Value { actual, .. } = &difference.what {
            *frame = actual.clone();
        }
        return;
    };
    let key = key.replace("~1", "/").replace("~0", "~");
    match (frame.pointer_mut(parent), &difference.what) {
        (Some(Value::Object(map)), What::Value { actual, .. } | What::Unexpected(actual)) => {
            map.insert(key, actual.clone());
        }
        (Some(Value::Object(map)), What::Missing(_)) => {
            map.remove(&key);
        }
        (Some(Value::Array(items)), What::Value { actual, .. }) => {
            if let Some(slot) = key.parse::<usize>().ok().and_then(|i| items.get_mut(i)) {
                *slot = actual.clone();
            }
        }
        (Some(Value::Array(items)), What::Unexpected(actual)) => items.push(actual.clone()),
        (Some(Value::Array(items)), What::Missing(value)) => items.retain(|v| v != value),
        _ => {}
    }
}

/// What came before and after on the connection.
fn around(finding: &Finding, outcome: &Outcome, requests: &Requests) -> String {
    let Some(conn) = &finding.conn else {
        return String::new();
    };
    let Some(heard) = outcome.heard.conns.get(conn) else {
        return String::new();
    };
    let at = finding
        .heard
        .unwrap_or(heard.frames.len().saturating_sub(1));
    let from = at.saturating_sub(FRAMES_AROUND);
    let mut out = String::new();
    for (i, frame) in heard
        .frames
        .iter()
        .enumerate()
        .skip(from)
        .take(2 * FRAMES_AROUND + 1)
    {
        let mark = if finding.heard == Some(i) { '>' } else { ' ' };
        let label = requests.describe(conn, &frame.frame);
        let text: String = frame.frame.to_string().chars().take(150).collect();
        let _ = writeln!(
            out,
            "    {mark} {:>3} {:>6} ms  {label}  {text}",
            i + 1,
            frame.at
        );
    }
    if let Some((at, close)) = &heard.close {
        let _ = writeln!(out, "          {at:>6} ms  {close}");
    }
    out
}

/// The results for a machine.
pub fn to_json(outcomes: &[Outcome], took: Duration) -> Value {
    let entry = |o: &Outcome| {
        let (status, reason, odds) = match &o.status {
            Status::Passed => ("passed", None, None),
            Status::Deviating(odds) => ("deviating", None, Some(odds)),
            Status::Without(methods) => ("partly", Some(without(methods)), None),
            Status::KnownFailing(reason) => ("known-failing", Some(reason.clone()), None),
            Status::UnexpectedPass(reason) => ("unexpected-pass", Some(reason.clone()), None),
            Status::Failed => ("failed", None, None),
            Status::Skipped(reason) => ("skipped", Some(reason.clone()), None),
        };
        let mut entry = json!({
            "session": o.session.name,
            "status": status,
            "durationMs": u64::try_from(o.took.as_millis()).unwrap_or(u64::MAX),
        });
        if let Some(reason) = reason {
            entry["reason"] = json!(reason);
        }
        if let Some(odds) = odds {
            entry["odds"] = json!(odds);
        }
        if o.error.is_some() || o.stall.is_some() || !o.findings.is_empty() {
            entry["details"] = json!(details(o));
        }
        entry
    };
    json!({
        "ok": !outcomes.iter().any(|o| o.status.is_bad()),
        "durationMs": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "sessions": outcomes.iter().map(entry).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests;
