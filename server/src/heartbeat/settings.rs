//! What is configured about an agent's heartbeats: its own words over those of `agents.defaults`, member by member.

use std::time::Duration;

use openclaw_protocol::types::HeartbeatSummary;

use super::hours::Hours;
use crate::config::{Agent, Config, Heartbeat};
use crate::duration::{self, Unit};
use crate::sessions::key::normalise_agent_id;

/// Interval when none is configured.
const DEFAULT_EVERY: &str = "30m";
/// Interval shown for an agent without heartbeats.
const OFF: &str = "disabled";
/// What an agent is told unless configured otherwise.
const DEFAULT_PROMPT: &str = "Read HEARTBEAT.md if it exists and follow it. Do not repeat what earlier turns settled. \
     If nothing needs attention, answer HEARTBEAT_OK.";
/// Where an answer goes unless configured otherwise: to the last channel used.
const DEFAULT_TARGET: &str = "last";
/// Length of an answer that still counts as nothing to report, in characters.
const DEFAULT_ACK_MAX_CHARS: u64 = 300;

/// An agent's heartbeats.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The agent's normalised id.
    pub agent: String,
    /// Whether it has heartbeats, whatever their interval.
    pub enabled: bool,
    /// Interval as configured.
    pub every: String,
    /// The interval; none if it has no heartbeats or the interval is zero or no length.
    pub interval: Option<Duration>,
    /// The hours in which they run; none for all day.
    pub hours: Option<Hours>,
    /// What the agent is told.
    pub prompt: String,
    /// Where an answer goes.
    pub target: String,
    /// Recipient at the target.
    pub to: Option<String>,
    /// Longest answer beside the token that counts as nothing to report, in characters.
    pub ack_max_chars: u64,
    /// Model for these turns.
    pub model: Option<String>,
    /// Session they run in; the main one when absent.
    pub session: Option<String>,
}

/// The settings of every agent; of `default_agent` alone where none is configured.
///
/// Once an agent of the list has heartbeats of its own, only such agents have any; else only the default one.
#[must_use]
pub fn all(config: &Config, default_agent: &str) -> Vec<Settings> {
    let list = &config.agents.list;
    if list.is_empty() {
        return vec![settings(config, None, default_agent.to_owned(), true)];
    }
    let some_have_own = list.iter().any(|agent| agent.heartbeat.is_some());
    let of = |agent: &Agent| {
        let id = normalise_agent_id(&agent.id);
        let enabled = match some_have_own {
            true => agent.heartbeat.is_some(),
            false => id == default_agent,
        };
        settings(config, Some(agent), id, enabled)
    };
    list.iter().map(of).collect()
}

fn settings(config: &Config, agent: Option<&Agent>, id: String, enabled: bool) -> Settings {
    let defaults = &config.agents.defaults;
    let (shared, none) = (&defaults.heartbeat, Heartbeat::default());
    let own = agent
        .and_then(|agent| agent.heartbeat.as_ref())
        .unwrap_or(&none);
    let text = |of: fn(&Heartbeat) -> &Option<String>| {
        let given = [of(own), of(shared)].into_iter().flatten();
        let mut given = given
            .map(|text| text.trim())
            .filter(|text| !text.is_empty());
        given.next().map(str::to_owned)
    };
    let every = text(|h| &h.every).unwrap_or_else(|| DEFAULT_EVERY.to_owned());
    let interval = duration::parse(&every, Unit::Minutes).filter(|every| !every.is_zero());
    let hours = own.active_hours.as_ref().or(shared.active_hours.as_ref());
    Settings {
        agent: id,
        enabled,
        interval: interval.filter(|_| enabled),
        every: if enabled { every } else { OFF.to_owned() },
        hours: hours.and_then(|hours| Hours::of(hours, defaults.user_timezone.as_deref())),
        prompt: text(|h| &h.prompt).unwrap_or_else(|| DEFAULT_PROMPT.to_owned()),
        target: text(|h| &h.target).unwrap_or_else(|| DEFAULT_TARGET.to_owned()),
        to: text(|h| &h.to),
        ack_max_chars: own
            .ack_max_chars
            .or(shared.ack_max_chars)
            .unwrap_or(DEFAULT_ACK_MAX_CHARS),
        model: text(|h| &h.model),
        session: text(|h| &h.session),
    }
}

impl Settings {
    /// As health shows them (contract 4.3).
    #[must_use]
    pub fn summary(&self) -> HeartbeatSummary {
        let mut summary = HeartbeatSummary::new(
            self.enabled,
            self.every.clone(),
            self.interval
                .and_then(|every| u64::try_from(every.as_millis()).ok()),
            self.prompt.clone(),
            self.target.clone(),
            self.ack_max_chars,
        );
        summary.model.clone_from(&self.model);
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Enabled, interval text and ms of every agent.
    fn shown(agents: Value) -> Vec<(String, bool, String, Option<u64>)> {
        let config: Config = serde_json::from_value(json!({"agents": agents})).unwrap();
        let all = all(&config, &normalise_agent_id(config.agents.default_id()));
        let row = |s: &Settings| {
            let summary = s.summary();
            (
                s.agent.clone(),
                summary.enabled,
                summary.every,
                summary.every_ms,
            )
        };
        all.iter().map(row).collect()
    }

    #[test]
    fn which_agents_have_heartbeats_and_how_often() {
        let row =
            |id: &str, enabled, every: &str, ms| (id.to_owned(), enabled, every.to_owned(), ms);
        for (agents, expected) in [
            (json!({}), vec![row("main", true, "30m", Some(1_800_000))]),
            (
                json!({"defaults": {"heartbeat": {"every": "0m"}}}),
                vec![row("main", true, "0m", None)],
            ),
            (
                json!({"defaults": {"heartbeat": {"every": "soon"}}}),
                vec![row("main", true, "soon", None)],
            ),
            (
                json!({"list": [{"id": "Ops"}, {"id": "aux"}]}),
                vec![
                    row("ops", true, "30m", Some(1_800_000)),
                    row("aux", false, "disabled", None),
                ],
            ),
            (
                json!({"defaults": {"heartbeat": {"every": "1h"}}, "list": [{"id": "ops"}, {"id": "aux", "heartbeat": {}}, {"id": "x", "heartbeat": {"every": "10"}}]}),
                vec![
                    row("ops", false, "disabled", None),
                    row("aux", true, "1h", Some(3_600_000)),
                    row("x", true, "10", Some(600_000)),
                ],
            ),
        ] {
            assert_eq!(shown(agents.clone()), expected, "{agents}");
        }
    }

    #[test]
    fn an_agents_own_words_come_first_member_by_member() {
        let config = json!({"agents": {
            "defaults": {"heartbeat": {"every": "1h", "prompt": "All?", "target": "none", "ackMaxChars": 5, "model": "a/b", "to": "x"}},
            "list": [{"id": "ops", "heartbeat": {"prompt": "Ops?", "ackMaxChars": 0, "session": "side"}}]
        }});
        let config: Config = serde_json::from_value(config).unwrap();
        let ops = &all(&config, "ops")[0];
        assert_eq!(
            (
                ops.prompt.as_str(),
                ops.every.as_str(),
                ops.target.as_str(),
                ops.ack_max_chars
            ),
            ("Ops?", "1h", "none", 0)
        );
        assert_eq!(
            (
                ops.model.as_deref(),
                ops.to.as_deref(),
                ops.session.as_deref()
            ),
            (Some("a/b"), Some("x"), Some("side"))
        );
        let plain = &all(&Config::default(), "main")[0];
        assert_eq!((plain.target.as_str(), plain.ack_max_chars), ("last", 300));
        assert!(plain.prompt.contains("HEARTBEAT.md") && plain.summary().model.is_none());
    }
}
