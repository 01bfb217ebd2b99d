//! Session keys: the many ways in which clients write one, and the single form that identifies a session (contract 6.7,
//! "Session key forms"; odd 16).
//!
//! Every method canonicalises on entry, so that `main`, `agent:main:main` and `Agent:Main:MAIN` are one conversation.
//! What the client sent is kept beside it by the caller: events and history echo that spelling, because clients filter
//! by their own string.

use openclaw_protocol::protocol::texts;
use openclaw_protocol::types::SessionKind;

use crate::config::{Config, SessionScope};
use crate::hex::sha256_hex;

/// Prefix of every key that names its agent.
const AGENT_PREFIX: &str = "agent";
/// The word that always means the main session, whatever `session.mainKey` says.
const MAIN_ALIAS: &str = "main";
/// Key of the one shared session under `session.scope: global`.
pub const GLOBAL: &str = "global";
/// Key of conversations whose origin could not be told.
pub const UNKNOWN: &str = "unknown";
/// Longest agent id; longer ones are cut, as the reference does when it makes a folder name of it.
const MAX_AGENT_ID: usize = 64;
/// Longest key that is written to the store as it is. LMDB takes 511 bytes; the rest leaves room for the agent id.
const MAX_STORED_KEY: usize = 400;

/// A session, identified: the canonical key and the agent it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    agent: String,
    canonical: String,
}

impl SessionKey {
    /// The agent that owns the session (normalised id).
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// `agent:<agentId>:<rest>`, `global` or `unknown`, in lower case.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Is this the session of a cron job?
    pub fn is_cron_job(&self) -> bool {
        self.canonical
            .splitn(3, ':')
            .nth(2)
            .is_some_and(|rest| rest.starts_with(texts::CRON_SESSION_PREFIX))
    }

    /// The key of the session's record: agent id, NUL, canonical key; a digest stands in for a canonical key that is
    /// too long for the store.
    pub fn stored(&self) -> Vec<u8> {
        let mut bytes = agent_prefix(&self.agent);
        if self.canonical.len() <= MAX_STORED_KEY {
            bytes.extend_from_slice(self.canonical.as_bytes());
        } else {
            bytes.extend_from_slice(sha256_hex(&self.canonical).as_bytes());
        }
        bytes
    }
}

/// What all records of one agent's sessions begin with.
pub(super) fn agent_prefix(agent: &str) -> Vec<u8> {
    let mut bytes = agent.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// What the configuration says about keys.
#[derive(Debug, Clone)]
pub struct KeyRules {
    /// Agent that bare keys belong to.
    pub default_agent: String,
    /// `session.mainKey`: last part of a main session's key.
    pub main_key: String,
    /// `session.scope` is `global`: all main sessions are one.
    pub global_scope: bool,
}

impl Default for KeyRules {
    fn default() -> Self {
        Self {
            default_agent: MAIN_ALIAS.to_owned(),
            main_key: MAIN_ALIAS.to_owned(),
            global_scope: false,
        }
    }
}

impl KeyRules {
    /// The rules of a configuration; a blank main key means the usual one.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let main_key = config.session.main_key.trim().to_lowercase();
        Self {
            default_agent: normalise_agent_id(config.agents.default_id()),
            main_key: if main_key.is_empty() {
                MAIN_ALIAS.to_owned()
            } else {
                main_key
            },
            global_scope: config.session.scope == SessionScope::Global,
        }
    }

    /// The session that `raw` names. A blank key means the main session, as an absent one does.
    pub fn canonicalise(&self, raw: &str) -> SessionKey {
        let lower = raw.trim().to_lowercase();
        match lower.as_str() {
            "" => self.main(&self.default_agent),
            GLOBAL | UNKNOWN => self.bare(&lower),
            _ => match parse(&lower) {
                Some((agent, rest)) => self.of_agent(&agent, rest),
                None => self.of_agent(&self.default_agent, &lower),
            },
        }
    }

    /// The main session of an agent.
    pub fn main(&self, agent: &str) -> SessionKey {
        if self.global_scope {
            return self.bare(GLOBAL);
        }
        SessionKey {
            agent: agent.to_owned(),
            canonical: format!("{AGENT_PREFIX}:{agent}:{}", self.main_key),
        }
    }

    /// The agent that a key names, or the default agent for a bare one; what the agent/session check compares.
    pub fn agent_of(&self, raw: &str) -> String {
        parse(&raw.trim().to_lowercase())
            .map_or_else(|| self.default_agent.clone(), |(agent, _)| agent)
    }

    fn of_agent(&self, agent: &str, rest: &str) -> SessionKey {
        if rest == MAIN_ALIAS || rest == self.main_key {
            return self.main(agent);
        }
        SessionKey {
            agent: agent.to_owned(),
            canonical: format!("{AGENT_PREFIX}:{agent}:{rest}"),
        }
    }

    fn bare(&self, key: &str) -> SessionKey {
        SessionKey {
            agent: self.default_agent.clone(),
            canonical: key.to_owned(),
        }
    }
}

/// Splits a lower-case `agent:<id>:<rest>`; anything else is a bare key.
fn parse(lower: &str) -> Option<(String, &str)> {
    let mut parts = lower.splitn(3, ':');
    let (prefix, agent, rest) = (parts.next()?, parts.next()?.trim(), parts.next()?);
    (prefix == AGENT_PREFIX && !agent.is_empty() && !rest.is_empty())
        .then(|| (normalise_agent_id(agent), rest))
}

/// An agent id as it is stored and compared: lower case, letters, digits, `-` and `_`, at most 64 of them. Other
/// characters become `-`; what has nothing left is `main`.
pub fn normalise_agent_id(raw: &str) -> String {
    let mut id = String::new();
    for c in raw.trim().to_lowercase().chars() {
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
            id.push(c);
        } else if !id.ends_with('-') {
            id.push('-');
        }
    }
    let id: String = id.trim_matches('-').chars().take(MAX_AGENT_ID).collect();
    if id.is_empty() {
        MAIN_ALIAS.to_owned()
    } else {
        id
    }
}

/// The kind of conversation that a canonical key names; `chat_type` is what the entry says.
pub(super) fn kind(canonical: &str, chat_type: Option<&str>) -> SessionKind {
    match canonical {
        GLOBAL => SessionKind::Global,
        UNKNOWN => SessionKind::Unknown,
        _ if matches!(chat_type, Some("group" | "channel")) => SessionKind::Group,
        _ if canonical.contains(":group:") || canonical.contains(":channel:") => SessionKind::Group,
        _ => SessionKind::Direct,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(main_key: &str, global_scope: bool) -> KeyRules {
        KeyRules {
            default_agent: "main".to_owned(),
            main_key: main_key.to_owned(),
            global_scope,
        }
    }

    #[track_caller]
    fn check(rules: &KeyRules, raw: &str, canonical: &str, agent: &str) {
        let key = rules.canonicalise(raw);
        assert_eq!(
            (key.canonical(), key.agent()),
            (canonical, agent),
            "key {raw:?}"
        );
    }

    #[test]
    fn sessions_of_cron_jobs() {
        for (raw, expected) in [
            ("agent:main:cron:5", true),
            ("CRON:5", true),
            ("agent:ops:cron:5", true),
            ("agent:cron:main", false),
            ("agent:main:mycron:5", false),
            ("agent:main:side:cron:5", false),
            ("main", false),
            ("global", false),
        ] {
            let key = rules("main", false).canonicalise(raw);
            assert_eq!(key.is_cron_job(), expected, "{raw}");
        }
    }

    #[test]
    fn spellings_of_a_key() {
        let plain = rules("main", false);
        check(&plain, "main", "agent:main:main", "main");
        check(&plain, "  MAIN ", "agent:main:main", "main");
        check(&plain, "agent:main:main", "agent:main:main", "main");
        check(&plain, "agent:main:Upper", "agent:main:upper", "main");
        check(&plain, "Agent:Ops:x", "agent:ops:x", "ops");
        check(&plain, "side", "agent:main:side", "main");
        check(&plain, "a:b:c:d", "agent:main:a:b:c:d", "main");
        check(&plain, "agent:ops:a:b:c", "agent:ops:a:b:c", "ops");
        check(&plain, "agent:ops", "agent:main:agent:ops", "main");
        check(&plain, "agent::x", "agent:main:agent::x", "main");
        check(&plain, "global", "global", "main");
        check(&plain, "Unknown", "unknown", "main");
        check(&plain, "", "agent:main:main", "main");
        check(&plain, " \n", "agent:main:main", "main");
        check(
            &plain,
            "agent:no/slashes here:x",
            "agent:no-slashes-here:x",
            "no-slashes-here",
        );
        let renamed = rules("home", false);
        check(&renamed, "main", "agent:main:home", "main");
        check(&renamed, "home", "agent:main:home", "main");
        check(&renamed, "agent:ops:main", "agent:ops:home", "ops");
        let global = rules("main", true);
        check(&global, "main", "global", "main");
        check(&global, "agent:ops:main", "global", "main");
        check(&global, "agent:ops:side", "agent:ops:side", "ops");
    }

    #[test]
    fn rules_of_a_configuration() {
        for (config, main) in [
            (serde_json::json!({}), "agent:main:main"),
            (
                serde_json::json!({"session": {"mainKey": " Home "}, "agents": {"list": [{"id": "Ops"}]}}),
                "agent:ops:home",
            ),
            (
                serde_json::json!({"session": {"mainKey": " "}}),
                "agent:main:main",
            ),
            (
                serde_json::json!({"session": {"scope": "global"}}),
                "global",
            ),
        ] {
            let rules = KeyRules::of(&serde_json::from_value(config.clone()).unwrap());
            assert_eq!(rules.canonicalise("main").canonical(), main, "{config}");
        }
    }

    #[test]
    fn agent_ids() {
        let long = "x".repeat(70);
        let cut = "x".repeat(64);
        for (raw, id) in [
            ("Ops", "ops"),
            ("  main ", "main"),
            ("a b/c", "a-b-c"),
            ("--", "main"),
            ("", "main"),
            ("Ünïcode", "n-code"),
            (long.as_str(), cut.as_str()),
        ] {
            assert_eq!(normalise_agent_id(raw), id, "{raw:?}");
        }
    }

    #[test]
    fn long_keys_fit_the_store() {
        let rules = KeyRules::default();
        for (length, hashed) in [(MAX_STORED_KEY, false), (MAX_STORED_KEY + 1, true)] {
            let raw = format!("agent:main:{}", "k".repeat(length - "agent:main:".len()));
            let stored = rules.canonicalise(&raw).stored();
            assert!(stored.len() <= 511);
            assert_eq!(stored.ends_with(b"kkk"), !hashed, "length {length}");
        }
    }

    #[test]
    fn kinds() {
        for (key, chat_type, expected) in [
            ("global", None, SessionKind::Global),
            ("unknown", Some("group"), SessionKind::Unknown),
            ("agent:main:main", Some("direct"), SessionKind::Direct),
            ("agent:main:telegram:group:-1", None, SessionKind::Group),
            ("agent:main:discord:channel:9", None, SessionKind::Group),
            ("agent:main:x", Some("channel"), SessionKind::Group),
        ] {
            assert_eq!(kind(key, chat_type), expected, "{key}");
        }
    }

    proptest! {
        #[test]
        fn canonicalising_twice_changes_nothing(raw in ".{0,40}", global in any::<bool>()) {
            let rules = rules("main", global);
            let once = rules.canonicalise(&raw);
            prop_assert_eq!(rules.canonicalise(once.canonical()), once.clone());
            prop_assert!(once.stored().len() <= 511);
        }

        #[test]
        fn case_does_not_matter(raw in "[a-zA-Z:]{1,30}") {
            let rules = KeyRules::default();
            prop_assert_eq!(rules.canonicalise(&raw), rules.canonicalise(&raw.to_uppercase()));
        }
    }
}
