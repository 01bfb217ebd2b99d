//! `system-event`: a text about some client, and what it says about that client's presence (contract 9.1). Pure.

use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{PresenceEntry, SystemEventParams};

use crate::text::first_chars;

/// Start of a text that describes a client's presence.
const PRESENCE_LINE: &str = "Node:";

/// Between the parts of such a text.
const SEPARATOR: &str = "·";

/// What a system event says. Blank members count as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beacon {
    /// The text as sent, without outer blanks. Not blank.
    pub text: String,
    device_id: Option<NonEmptyString>,
    instance_id: Option<NonEmptyString>,
    host: Option<NonEmptyString>,
    ip: Option<NonEmptyString>,
    mode: Option<NonEmptyString>,
    version: Option<NonEmptyString>,
    platform: Option<NonEmptyString>,
    device_family: Option<NonEmptyString>,
    model_identifier: Option<NonEmptyString>,
    last_input_seconds: Option<u64>,
    reason: Option<NonEmptyString>,
    roles: Option<Vec<NonEmptyString>>,
    scopes: Option<Vec<NonEmptyString>>,
}

impl Beacon {
    /// Reads the params; what they leave open is taken from the text. `None` without a text.
    #[must_use]
    pub fn new(params: SystemEventParams) -> Option<Self> {
        let text = params.text.as_deref().unwrap_or_default().trim().to_owned();
        if text.is_empty() {
            return None;
        }
        let line = Line::parse(&text);
        let seconds = params
            .last_input_seconds
            .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
            // Seconds beyond what an integer holds say nothing anyway; the conversion saturates.
            .map(|seconds| seconds as u64);
        Some(Self {
            device_id: named(params.device_id.as_deref()),
            instance_id: named(params.instance_id.as_deref()),
            host: named(params.host.as_deref()).or(named(line.host)),
            ip: named(params.ip.as_deref()).or(named(line.ip)),
            mode: named(params.mode.as_deref()).or(named(line.mode)),
            version: named(params.version.as_deref()).or(named(line.version)),
            platform: named(params.platform.as_deref()),
            device_family: named(params.device_family.as_deref()),
            model_identifier: named(params.model_identifier.as_deref()),
            last_input_seconds: seconds.or(line.last_input_seconds),
            reason: named(params.reason.as_deref()).or(named(line.reason)),
            roles: list(params.roles),
            scopes: list(params.scopes),
            text,
        })
    }

    /// What the entry is found by: the best name there is for the client, else the start of the text.
    #[must_use]
    pub fn key(&self) -> &str {
        let names = [&self.device_id, &self.instance_id, &self.host, &self.ip];
        match names.into_iter().flatten().next() {
            Some(name) => name,
            None => first_chars(&self.text, limits::PRESENCE_KEY_CHARS as usize),
        }
    }

    /// The entry after this beacon.
    #[must_use]
    pub fn merged_into(&self, entry: Option<PresenceEntry>, now_ms: u64) -> PresenceEntry {
        let mut entry = entry.unwrap_or_else(|| PresenceEntry::new(now_ms));
        entry.ts = now_ms;
        entry.text = Some(self.text.clone());
        update(&mut entry.host, &self.host);
        update(&mut entry.ip, &self.ip);
        update(&mut entry.version, &self.version);
        update(&mut entry.platform, &self.platform);
        update(&mut entry.device_family, &self.device_family);
        update(&mut entry.model_identifier, &self.model_identifier);
        update(&mut entry.mode, &self.mode);
        update(&mut entry.last_input_seconds, &self.last_input_seconds);
        update(&mut entry.reason, &self.reason);
        update(&mut entry.device_id, &self.device_id);
        update(&mut entry.roles, &self.roles);
        update(&mut entry.scopes, &self.scopes);
        update(&mut entry.instance_id, &self.instance_id);
        entry
    }

    /// What the main conversation is told: the text, or for a presence line what it changed, if it changed anything
    /// worth telling. Beacons that only say "still here" are not.
    #[must_use]
    pub fn note(&self, before: Option<&PresenceEntry>, after: &PresenceEntry) -> Option<String> {
        if !self.text.starts_with(PRESENCE_LINE) {
            return Some(self.text.clone());
        }
        let is_new = |member: fn(&PresenceEntry) -> &Option<NonEmptyString>| {
            member(after)
                .as_deref()
                .filter(|new| before.and_then(|e| member(e).as_deref()) != Some(*new))
        };
        let is_routine = |reason: &&str| {
            let reason = reason.to_lowercase();
            reason.starts_with("periodic") || reason == "heartbeat"
        };
        let mut parts = Vec::new();
        parts.extend(is_new(|e| &e.version).map(|version| format!("app {version}")));
        parts.extend(is_new(|e| &e.mode).map(|mode| format!("mode {mode}")));
        let reason = is_new(|e| &e.reason).filter(|reason| !is_routine(reason));
        parts.extend(reason.map(|reason| format!("reason {reason}")));
        let moved = is_new(|e| &e.host).is_some() || is_new(|e| &e.ip).is_some();
        if parts.is_empty() && !moved {
            return None;
        }
        let host = after.host.as_deref().unwrap_or("Unknown");
        let ip = after
            .ip
            .as_deref()
            .map(|ip| format!(" ({ip})"))
            .unwrap_or_default();
        parts.insert(0, format!("{PRESENCE_LINE} {host}{ip}"));
        Some(parts.join(&format!(" {SEPARATOR} ")))
    }
}

/// What a text of the form `Node: <host> (<ip>) · app <v> · last input <n>s ago · mode <m> · reason <r>` says. Every
/// part may be missing; unknown parts are ignored.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line<'a> {
    host: Option<&'a str>,
    ip: Option<&'a str>,
    version: Option<&'a str>,
    last_input_seconds: Option<u64>,
    mode: Option<&'a str>,
    reason: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn parse(text: &'a str) -> Self {
        let mut line = Self::default();
        let Some(rest) = text.strip_prefix(PRESENCE_LINE) else {
            return line;
        };
        let mut parts = rest.split(SEPARATOR).map(str::trim);
        let who = parts.next().unwrap_or_default();
        match who.strip_suffix(')').and_then(|who| who.rsplit_once('(')) {
            Some((host, ip)) => (line.host, line.ip) = (Some(host.trim()), Some(ip.trim())),
            None => line.host = Some(who),
        }
        for part in parts {
            if let Some(version) = part.strip_prefix("app ") {
                line.version = Some(version);
            } else if let Some(ago) = part.strip_prefix("last input ") {
                let seconds = ago.strip_suffix(" ago").unwrap_or(ago);
                line.last_input_seconds = seconds.trim_end_matches('s').parse().ok();
            } else if let Some(mode) = part.strip_prefix("mode ") {
                line.mode = Some(mode);
            } else if let Some(reason) = part.strip_prefix("reason ") {
                line.reason = Some(reason);
            }
        }
        line
    }
}

fn named(text: Option<&str>) -> Option<NonEmptyString> {
    NonEmptyString::new(text?.trim())
}

/// A list of names; one without any counts as absent.
fn list(texts: Option<Vec<String>>) -> Option<Vec<NonEmptyString>> {
    let names: Vec<_> = texts?.iter().filter_map(|text| named(Some(text))).collect();
    (!names.is_empty()).then_some(names)
}

fn update<T: Clone>(member: &mut Option<T>, new: &Option<T>) {
    if new.is_some() {
        member.clone_from(new);
    }
}

#[cfg(test)]
mod tests;
