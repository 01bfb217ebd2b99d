//! `agent.identity.get`: the name and picture under which an agent appears (contract 6.6, methods.md 11).

use std::path::{Component, Path};

use moka::sync::Cache;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{AgentIdentityParams, AgentIdentityResult, ErrorShape};

use super::avatar;
use super::requests::mismatch;
use super::runs::Runs;
use super::tools::read_start;
use crate::sessions::key::normalise_agent_id;

/// Name and picture of an agent that has none.
const DEFAULT_NAME: &str = "Assistant";
const DEFAULT_AVATAR: &str = "A";
/// The file of a workspace that describes its agent.
const FILE: &str = "IDENTITY.md";
/// Most of that file that is read; the facts are at its start.
const MAX_FILE: usize = 64 * 1024;
/// Longest picture that is text: an emoji takes up to four UTF-16 units or so.
const MAX_TEXT_AVATAR: usize = 4;

/// How long an identity is known before the file is read again: an edit shows within a breath, and a page that asks for
/// every message does not read a file for each.
const FRESH_MS: u64 = 1_000;
/// Identities that are remembered. More agents than people configure; names that belong to none come in session keys.
const MAX_REMEMBERED: u64 = 64;

/// Identities that were put together a moment ago, with that time (ms), by agent. Those that are asked for least go first.
pub(super) struct Remembered(Cache<String, (u64, AgentIdentityResult)>);

impl Default for Remembered {
    fn default() -> Self {
        Self(Cache::new(MAX_REMEMBERED))
    }
}

impl Remembered {
    fn get(&self, agent: &str, now_ms: u64) -> Option<AgentIdentityResult> {
        let (at, identity) = self.0.get(agent)?;
        (now_ms.checked_sub(at)? < FRESH_MS).then_some(identity)
    }

    fn put(&self, agent: &str, now_ms: u64, identity: &AgentIdentityResult) {
        self.0.insert(agent.to_owned(), (now_ms, identity.clone()));
    }
}

/// What one source says of an agent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    name: Option<String>,
    avatar: Option<String>,
    emoji: Option<String>,
}

impl Runs {
    /// The agent that `agent.identity.get` asks for, by its canonical name.
    ///
    /// # Errors
    /// `INVALID_REQUEST` when agent and session key do not belong together.
    pub fn identified(&self, params: &AgentIdentityParams) -> Result<String, ErrorShape> {
        let rules = self.sessions().rules();
        let named = params
            .agent_id
            .as_ref()
            .filter(|id| !id.trim().is_empty())
            .map(|id| normalise_agent_id(id));
        let of_key = params
            .session_key
            .as_ref()
            .filter(|key| !key.trim().is_empty())
            .map(|key| rules.agent_of(key));
        match (named, of_key) {
            (Some(named), Some(of_key)) if named != of_key => {
                Err(mismatch("agent.identity.get", &named, &of_key))
            }
            (Some(agent), _) | (None, Some(agent)) => Ok(agent),
            (None, None) => Ok(rules.default_agent.clone()),
        }
    }

    /// The identity of `agent`, if it was put together a moment ago.
    #[must_use]
    pub fn known_identity(&self, agent: &str) -> Option<AgentIdentityResult> {
        self.remembered().get(agent, self.parts().clock.now_ms())
    }

    /// Puts together the identity of `agent`: what the user interface's configuration says, else the agent's, else the
    /// workspace's file, else the defaults. Reads a small file; callers on the I/O thread put it aside.
    #[must_use]
    pub fn identity(&self, agent: &str) -> AgentIdentityResult {
        let now_ms = self.parts().clock.now_ms();
        let sources = [self.of_ui(), self.of_agent(agent), self.of_workspace(agent)];
        let name = sources
            .iter()
            .find_map(|facts| facts.name.as_deref().and_then(shown_name));
        let picture = |avatar: &str| self.shown_avatar(agent, avatar);
        let avatar = sources.iter().find_map(|facts| {
            let said = facts.avatar.as_deref().and_then(picture);
            said.or_else(|| facts.emoji.as_deref().and_then(text_avatar))
        });
        let identity = AgentIdentityResult::new(
            NonEmptyString::or(agent, "main"),
            NonEmptyString::or(name.unwrap_or_default(), DEFAULT_NAME),
            NonEmptyString::or(avatar.unwrap_or_default(), DEFAULT_AVATAR),
        );
        self.remembered().put(agent, now_ms, &identity);
        identity
    }

    fn of_ui(&self) -> Facts {
        let assistant = &self.parts().config.ui.assistant;
        Facts {
            name: assistant.name.clone(),
            avatar: assistant.avatar.clone(),
            emoji: None,
        }
    }

    fn of_agent(&self, agent: &str) -> Facts {
        let identity = self.parts().agent(agent).map(|agent| &agent.identity);
        identity.map_or_else(Facts::default, |identity| Facts {
            name: identity.name.clone(),
            avatar: identity.avatar.clone(),
            emoji: identity.emoji.clone(),
        })
    }

    fn of_workspace(&self, agent: &str) -> Facts {
        read_start(&self.parts().workspace(agent).join(FILE), MAX_FILE)
            .map(|bytes| parse(&String::from_utf8_lossy(&bytes)))
            .unwrap_or_default()
    }

    /// The picture as clients can use it: a URL as it is, a file of the workspace by its path on the gateway, a few
    /// characters as they are. Anything else is no picture.
    fn shown_avatar(&self, agent: &str, avatar: &str) -> Option<String> {
        let avatar = avatar.trim();
        let limit = usize::try_from(limits::AGENT_AVATAR_CHARS).unwrap_or(usize::MAX);
        if avatar::is_address(avatar) {
            return (avatar.chars().count() <= limit).then(|| avatar.to_owned());
        }
        if is_picture(avatar) {
            let base = self
                .parts()
                .config
                .gateway
                .control_ui
                .base_path
                .as_deref()
                .unwrap_or_default()
                .trim_matches('/');
            let base = if base.is_empty() {
                String::new()
            } else {
                format!("/{base}")
            };
            return Some(format!("{base}/avatar/{agent}"));
        }
        text_avatar(avatar)
    }
}

fn shown_name(name: &str) -> Option<String> {
    let limit = usize::try_from(limits::AGENT_NAME_CHARS).unwrap_or(usize::MAX);
    let name: String = name.trim().chars().take(limit).collect();
    (!name.is_empty()).then_some(name)
}

fn text_avatar(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.chars().count() <= MAX_TEXT_AVATAR).then(|| text.to_owned())
}

/// A relative path to a picture, inside the workspace.
fn is_picture(text: &str) -> bool {
    let mut parts = Path::new(text).components();
    let is_inside = parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    is_inside && avatar::media_type(text).is_some()
}

/// Reads lines such as `- **Name:** Maia`.
fn parse(text: &str) -> Facts {
    let mut facts = Facts::default();
    for line in text.lines() {
        let line = line.trim().trim_start_matches(['-', '*', '+', ' ']);
        let Some((label, value)) = line.split_once(':') else {
            continue;
        };
        let clean = |text: &str| text.trim_matches(['*', '_', '`', ' ', '\t']).to_owned();
        let (label, value) = (clean(label).to_lowercase(), clean(value));
        // Templates leave their hints in brackets.
        if value.is_empty() || value.starts_with(['(', '[', '<']) {
            continue;
        }
        let fact = match label.as_str() {
            "name" => &mut facts.name,
            "avatar" => &mut facts.avatar,
            "emoji" => &mut facts.emoji,
            _ => continue,
        };
        fact.get_or_insert(value);
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_workspace() {
        let text = "# Who I am\n\n- **Name:** Maia\n* Emoji: 🦞\n- **Avatar**: `avatars/maia.png`\nName: Other\nVibe: calm\n";
        let facts = Facts {
            name: Some("Maia".into()),
            avatar: Some("avatars/maia.png".into()),
            emoji: Some("🦞".into()),
        };
        assert_eq!(parse(text), facts);
        assert_eq!(
            parse("- **Name:** _(pick something)_\n- Emoji:\nno colon"),
            Facts::default()
        );
    }

    #[test]
    fn identities_are_remembered_for_a_moment_and_bounded() {
        let identity = |name: &str| {
            let text = |text: &str| NonEmptyString::or(text, "-");
            AgentIdentityResult::new(text("a"), text(name), text("A"))
        };
        let known = Remembered::default();
        known.put("a", 1_000, &identity("one"));
        for (now_ms, is_known) in [
            (1_000, true),
            (1_000 + FRESH_MS - 1, true),
            (1_000 + FRESH_MS, false),
            (999, false),
        ] {
            assert_eq!(known.get("a", now_ms).is_some(), is_known, "{now_ms}");
        }
        known.put("a", 2_000, &identity("two"));
        assert_eq!(known.get("a", 2_000), Some(identity("two")));
        let count = || {
            known.0.run_pending_tasks();
            known.0.entry_count()
        };
        for other in 1..MAX_REMEMBERED {
            known.put(&other.to_string(), 2_000, &identity("x"));
        }
        assert_eq!(count(), MAX_REMEMBERED);
        known.put("a", 2_001, &identity("three"));
        assert_eq!(count(), MAX_REMEMBERED, "known already");
        known.put("one more", 2_000, &identity("x"));
        assert_eq!(count(), MAX_REMEMBERED, "one goes");
    }

    #[test]
    fn pictures_stay_inside_the_workspace() {
        for (text, is) in [
            ("avatars/a.PNG", true),
            ("./a.webp", true),
            ("../a.png", false),
            ("/etc/a.png", false),
            ("a.txt", false),
            ("A", false),
            ("", false),
        ] {
            assert_eq!(is_picture(text), is, "{text:?}");
        }
    }
}
