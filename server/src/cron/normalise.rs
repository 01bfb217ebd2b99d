//! The forms in which clients write jobs, brought into the one that is checked (contract 9.3; `CronAddRequest` and
//! `CronUpdateRequest` of the schema tell what is mended). Pure. What cannot be mended stays, for the check to name.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use openclaw_protocol::types::{CronSessionTarget, WakeMode};
use serde_json::{Map, Value};

/// Kinds of schedules and payloads, as the wire names them.
const AT: &str = "at";
const EVERY: &str = "every";
const CRON: &str = "cron";
const SYSTEM_EVENT: &str = "systemEvent";
const AGENT_TURN: &str = "agentTurn";

/// A new job: `cron.add`.
pub(super) fn new_job(request: Value) -> Value {
    let mut job = match unwrapped(request) {
        Value::Object(job) => job,
        other => return other,
    };
    mend(&mut job);
    if !job.contains_key("wakeMode") {
        let mode = WakeMode::NextHeartbeat.as_str();
        job.insert("wakeMode".to_owned(), mode.into());
    }
    if !job.contains_key("sessionTarget") {
        let kind = job.get("payload").and_then(|payload| payload.get("kind"));
        let target = match kind.and_then(Value::as_str) {
            Some(SYSTEM_EVENT) => Some(CronSessionTarget::Main),
            Some(AGENT_TURN) => Some(CronSessionTarget::Isolated),
            _ => None,
        };
        if let Some(target) = target {
            job.insert("sessionTarget".to_owned(), target.as_str().into());
        }
    }
    job.into()
}

/// A change of a job: `cron.update`. Only its patch is mended, and nothing is added to it.
pub(super) fn update(request: Value) -> Value {
    let mut request = match request {
        Value::Null => Map::new(),
        Value::Object(request) => request,
        other => return other,
    };
    if let Some(patch) = request.remove("patch") {
        let patch = match patch {
            Value::Object(_) => match unwrapped(patch) {
                Value::Object(mut patch) => {
                    mend(&mut patch);
                    patch.into()
                }
                other => other,
            },
            other => other,
        };
        request.insert("patch".to_owned(), patch);
    }
    request.into()
}

/// The job inside `data` or `job`.
fn unwrapped(request: Value) -> Value {
    let mut members = match request {
        Value::Null => Map::new(),
        Value::Object(members) => members,
        other => return other,
    };
    for wrap in ["data", "job"] {
        if members.get(wrap).is_some_and(Value::is_object) {
            return members.remove(wrap).unwrap_or_default();
        }
    }
    members.into()
}

fn mend(job: &mut Map<String, Value>) {
    if let Some(enabled) = job.get("enabled").and_then(Value::as_str) {
        let is = match enabled.trim().to_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        if let Some(is) = is {
            job.insert("enabled".to_owned(), is.into());
        }
    }
    if let Some(Value::Object(schedule)) = job.get_mut("schedule") {
        mend_schedule(schedule);
    }
    if let Some(Value::Object(payload)) = job.get_mut("payload") {
        mend_payload(payload);
    }
}

fn mend_schedule(schedule: &mut Map<String, Value>) {
    let at = schedule.remove(AT);
    let text = [schedule.get("atMs"), at.as_ref()]
        .into_iter()
        .flatten()
        .find_map(Value::as_str)
        .map(str::to_owned);
    if !schedule.get("kind").is_some_and(Value::is_string) {
        let has = |name: &str| schedule.get(name).is_some_and(|member| !member.is_null());
        let kind = if has("atMs") || at.is_some() {
            Some(AT)
        } else if has("everyMs") {
            Some(EVERY)
        } else if has("expr") {
            Some(CRON)
        } else {
            None
        };
        if let Some(kind) = kind {
            schedule.insert("kind".to_owned(), kind.into());
        }
    }
    if schedule.get("atMs").is_some_and(Value::is_number) {
        return;
    }
    match (text.as_deref().and_then(moment), at) {
        (Some(moment), _) => {
            schedule.insert("atMs".to_owned(), moment.into());
        }
        // A number was meant as one.
        (None, Some(number)) if number.is_number() => {
            schedule.insert("atMs".to_owned(), number);
        }
        _ => {}
    }
}

fn mend_payload(payload: &mut Map<String, Value>) {
    let Some(provider) = payload.remove("provider") else {
        return;
    };
    let is_blank = |value: &Value| value.as_str().is_none_or(|text| text.trim().is_empty());
    let channel = provider
        .as_str()
        .map(|name| name.trim().to_lowercase())
        .filter(|name| !name.is_empty());
    if let Some(channel) = channel
        && payload.get("channel").is_none_or(is_blank)
    {
        payload.insert("channel".to_owned(), channel.into());
    }
}

/// A moment as people and programs write it, in ms: ISO 8601, in UTC without a zone, or the digits of a timestamp.
#[must_use]
pub fn moment(text: &str) -> Option<u64> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|ms| *ms > 0);
    }
    let moment = text.parse::<Timestamp>().ok().or_else(|| {
        let civil = text.parse::<DateTime>().ok();
        let civil = civil.or_else(|| {
            Some(
                text.parse::<Date>()
                    .ok()?
                    .to_datetime(jiff::civil::Time::midnight()),
            )
        });
        Some(civil?.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp())
    })?;
    u64::try_from(moment.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn moments() {
        for (text, ms) in [
            ("2030-01-01T00:00:00Z", Some(1_893_456_000_000)),
            ("2030-01-01T01:00:00+01:00", Some(1_893_456_000_000)),
            ("2030-01-01T00:00:00", Some(1_893_456_000_000)),
            ("2030-01-01 00:00:00", Some(1_893_456_000_000)),
            ("2030-01-01T00:00:00.250Z", Some(1_893_456_000_250)),
            (" 2030-01-01 ", Some(1_893_456_000_000)),
            ("1893456000000", Some(1_893_456_000_000)),
            ("0", None),
            ("", None),
            ("soon", None),
            ("2030-13-01", None),
            ("99999999999999999999999", None),
            ("1960-01-01", None),
        ] {
            assert_eq!(moment(text), ms, "{text:?}");
        }
    }

    #[test]
    fn new_jobs() {
        let event = json!({"kind": "systemEvent", "text": "t"});
        let turn = json!({"kind": "agentTurn", "message": "m"});
        let at = json!({"kind": "at", "atMs": 1_893_456_000_000_u64});
        for (request, expected) in [
            (json!(null), json!({"wakeMode": "next-heartbeat"})),
            (json!([1]), json!([1])),
            (json!("x"), json!("x")),
            (
                json!({"name": "a", "schedule": {"at": "2030-01-01T00:00:00Z"}, "payload": event}),
                json!({"name": "a", "schedule": at, "payload": event, "sessionTarget": "main", "wakeMode": "next-heartbeat"}),
            ),
            (
                json!({"name": "outer", "job": {"name": "a", "payload": turn, "wakeMode": "now"}}),
                json!({"name": "a", "payload": turn, "wakeMode": "now", "sessionTarget": "isolated"}),
            ),
            (
                json!({"data": {"name": "data"}, "job": {"name": "job"}}),
                json!({"name": "data", "wakeMode": "next-heartbeat"}),
            ),
            (
                json!({"data": 5, "name": "a"}),
                json!({"data": 5, "name": "a", "wakeMode": "next-heartbeat"}),
            ),
            (
                json!({"sessionTarget": "x", "wakeMode": 1, "payload": turn, "enabled": " TRUE "}),
                json!({"sessionTarget": "x", "wakeMode": 1, "payload": turn, "enabled": true}),
            ),
            (
                json!({"enabled": "maybe", "wakeMode": "now"}),
                json!({"enabled": "maybe", "wakeMode": "now"}),
            ),
        ] {
            assert_eq!(new_job(request.clone()), expected, "{request}");
        }
    }

    #[test]
    fn schedules() {
        for (given, expected) in [
            (json!({"atMs": 5}), json!({"kind": "at", "atMs": 5})),
            (
                json!({"atMs": "1970-01-01T00:00:01Z"}),
                json!({"kind": "at", "atMs": 1000}),
            ),
            (json!({"atMs": "7"}), json!({"kind": "at", "atMs": 7})),
            (json!({"at": 9}), json!({"kind": "at", "atMs": 9})),
            (json!({"at": "soon"}), json!({"kind": "at"})),
            (
                json!({"atMs": "soon"}),
                json!({"kind": "at", "atMs": "soon"}),
            ),
            (
                json!({"at": "2030-01-01", "atMs": 5}),
                json!({"kind": "at", "atMs": 5}),
            ),
            (
                json!({"everyMs": 5}),
                json!({"kind": "every", "everyMs": 5}),
            ),
            (
                json!({"expr": "* * * * *"}),
                json!({"kind": "cron", "expr": "* * * * *"}),
            ),
            (
                json!({"kind": "zz", "expr": 1}),
                json!({"kind": "zz", "expr": 1}),
            ),
            (
                json!({"kind": "at", "at": "1970-01-01T00:00:01Z"}),
                json!({"kind": "at", "atMs": 1000}),
            ),
            (json!({}), json!({})),
        ] {
            let patch = json!({"id": "j", "patch": {"schedule": given}});
            let expected = json!({"id": "j", "patch": {"schedule": expected}});
            assert_eq!(update(patch), expected);
        }
    }

    #[test]
    fn changes() {
        for (request, expected) in [
            (json!(null), json!({})),
            (
                json!({"id": "j", "patch": null}),
                json!({"id": "j", "patch": null}),
            ),
            (
                json!({"id": "j", "patch": {"enabled": "false"}}),
                json!({"id": "j", "patch": {"enabled": false}}),
            ),
            (
                json!({"id": "j", "patch": {"payload": {"kind": "agentTurn", "provider": "Telegram "}}}),
                json!({"id": "j", "patch": {"payload": {"kind": "agentTurn", "channel": "telegram"}}}),
            ),
            (
                json!({"patch": {"payload": {"provider": "telegram", "channel": "slack"}}}),
                json!({"patch": {"payload": {"channel": "slack"}}}),
            ),
            (
                json!({"patch": {"payload": {"provider": 5}}}),
                json!({"patch": {"payload": {}}}),
            ),
            (json!({"patch": {}, "x": 1}), json!({"patch": {}, "x": 1})),
        ] {
            assert_eq!(update(request.clone()), expected, "{request}");
        }
    }
}
