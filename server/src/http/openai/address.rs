//! Which agent and which conversation a request of the OpenAI interfaces means (contract 10.6).

use hyper::HeaderMap;

/// Headers that name the agent, the first one before the second.
const AGENT_HEADERS: [&str; 2] = ["x-openclaw-agent-id", "x-openclaw-agent"];
/// Header that names the conversation.
const SESSION_HEADER: &str = "x-openclaw-session-key";
/// What a model's name begins with when it names an agent.
const AGENT_MODELS: [&str; 3] = ["openclaw:", "openclaw/", "agent:"];

/// What a request says about whom it talks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Address {
    /// The agent, if the request names one.
    pub(in super::super) agent: Option<String>,
    session: Option<String>,
}

impl Address {
    /// What headers and model name say; headers count more.
    pub(in super::super) fn of(headers: &HeaderMap, model: &str) -> Self {
        let header = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let agent = AGENT_HEADERS.into_iter().find_map(header).or_else(|| {
            let model = model.trim();
            let named = AGENT_MODELS.into_iter().find_map(|head| {
                model
                    .get(..head.len())
                    .filter(|start| start.eq_ignore_ascii_case(head))
                    .map(|_| model[head.len()..].trim())
            });
            named.filter(|id| !id.is_empty()).map(str::to_owned)
        });
        Self {
            agent,
            session: header(SESSION_HEADER),
        }
    }

    /// The key of the conversation: the named one, else the user's, else a new one. `kind` tells the interfaces apart.
    pub(in super::super) fn session_key(
        &self,
        kind: &str,
        user: Option<&str>,
        default_agent: impl FnOnce() -> String,
    ) -> String {
        if let Some(session) = &self.session {
            return session.clone();
        }
        let agent = self.agent.clone().unwrap_or_else(default_agent);
        match user.map(str::trim).filter(|user| !user.is_empty()) {
            Some(user) => format!("agent:{agent}:{kind}-user:{user}"),
            None => format!("agent:{agent}:{kind}:{}", uuid::Uuid::new_v4()),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn who_is_meant() {
        for (pairs, model, agent) in [
            (&[][..], "gpt-4", None),
            (&[], "openclaw", None),
            (&[], "openclaw:", None),
            (&[], "openclaw:ops", Some("ops")),
            (&[], "OpenClaw/ops", Some("ops")),
            (&[], "agent: ops ", Some("ops")),
            (&[], "ägent:x", None),
            (&[("x-openclaw-agent", "aux")], "openclaw:ops", Some("aux")),
            (
                &[("x-openclaw-agent-id", "b"), ("x-openclaw-agent", "a")],
                "",
                Some("b"),
            ),
            (&[("x-openclaw-agent-id", " ")], "", None),
        ] {
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            let address = Address::of(&headers, model);
            assert_eq!(address.agent.as_deref(), agent, "{pairs:?} {model}");
            let key = address.session_key("openai", Some("ann"), || "main".into());
            assert_eq!(
                key,
                format!("agent:{}:openai-user:ann", agent.unwrap_or("main"))
            );
            let key = address.session_key("openai", Some(" "), || "main".into());
            let start = format!("agent:{}:openai:", agent.unwrap_or("main"));
            assert_eq!(
                (key.starts_with(&start), key.len()),
                (true, start.len() + 36)
            );
        }
    }

    #[test]
    fn a_named_conversation_counts_most() {
        let mut headers = HeaderMap::new();
        headers.insert(SESSION_HEADER, HeaderValue::from_static("agent:ops:x"));
        let address = Address::of(&headers, "openclaw:aux");
        assert_eq!(
            address.session_key("openai", Some("ann"), || "main".into()),
            "agent:ops:x"
        );
    }
}
