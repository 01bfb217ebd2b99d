//! The rules of `sessions.patch`, member by member.

use super::super::KeyRules;
use super::*;
use serde_json::{Value, json};

fn name(provider: &str, model: &str) -> ModelName {
    ModelName {
        provider: provider.into(),
        model: model.into(),
    }
}

/// Applies `patch` to the entry `before`; the wish is `mock/<model>` where the patch names a model. The label
/// `Taken` is another's.
fn patched(key: &str, before: Value, patch: Value) -> Result<Value, String> {
    let mut entry: Entry = serde_json::from_value(before).unwrap();
    let key = KeyRules::default().canonicalise(key);
    let mut params = patch;
    params["key"] = json!(key.canonical());
    let patch: SessionsPatchParams = serde_json::from_value(params).unwrap();
    let wish = patch.model.as_ref().map(|model| match model {
        None => Ok(ModelWish::Default),
        Some(model) if model.as_str() == "bad" => Err(PatchRefusal::with(
            &errors::SESSION_MODEL_INVALID,
            &[("model", "bad")],
        )),
        Some(model) => Ok(ModelWish::Other(match model.split_once('/') {
            Some((provider, model)) => name(provider, model),
            None => name("mock", model),
        })),
    });
    let facts = ModelFacts {
        default: name("mock", "echo-1"),
        wish,
    };
    apply(&mut entry, &key, &patch, &facts, &|label| label == "Taken")
        .map_err(|refusal| refusal.to_string())?;
    let mut entry = serde_json::to_value(entry).unwrap();
    entry.as_object_mut().unwrap().remove("sessionId");
    Ok(entry)
}

#[test]
fn settings_are_set_and_cleared() {
    for (before, patch, after) in [
        (json!({}), json!({}), json!({})),
        (json!({"label": "L"}), json!({}), json!({"label": "L"})),
        (
            json!({}),
            json!({"label": "  One "}),
            json!({"label": "One"}),
        ),
        (json!({"label": "One"}), json!({"label": null}), json!({})),
        (
            json!({}),
            json!({"thinkingLevel": "HIGH"}),
            json!({"thinkingLevel": "high"}),
        ),
        (
            json!({"thinkingLevel": "low"}),
            json!({"thinkingLevel": "off"}),
            json!({}),
        ),
        (
            json!({"thinkingLevel": "low"}),
            json!({"thinkingLevel": null}),
            json!({}),
        ),
        (
            json!({}),
            json!({"verboseLevel": "no"}),
            json!({"verboseLevel": "off"}),
        ),
        (
            json!({"verboseLevel": "off"}),
            json!({"verboseLevel": null}),
            json!({}),
        ),
        (
            json!({}),
            json!({"reasoningLevel": "live"}),
            json!({"reasoningLevel": "stream"}),
        ),
        (
            json!({"reasoningLevel": "on"}),
            json!({"reasoningLevel": "hide"}),
            json!({}),
        ),
        (
            json!({}),
            json!({"responseUsage": "on"}),
            json!({"responseUsage": "tokens"}),
        ),
        (
            json!({"responseUsage": "full"}),
            json!({"responseUsage": "off"}),
            json!({}),
        ),
        (
            json!({"responseUsage": "full"}),
            json!({"responseUsage": null}),
            json!({}),
        ),
        (
            json!({}),
            json!({"elevatedLevel": "OFF"}),
            json!({"elevatedLevel": "off"}),
        ),
        (
            json!({}),
            json!({"execHost": "Gateway", "execSecurity": "full", "execAsk": "always", "execNode": " n1 "}),
            json!({"execHost": "gateway", "execSecurity": "full", "execAsk": "always", "execNode": "n1"}),
        ),
        (
            json!({"execHost": "node", "execSecurity": "deny", "execAsk": "off", "execNode": "n"}),
            json!({"execHost": null, "execSecurity": null, "execAsk": null, "execNode": null}),
            json!({}),
        ),
        (
            json!({"authProfileOverride": "p", "authProfileOverrideSource": "user", "queueMode": "collect"}),
            json!({"model": "mock/echo-2"}),
            json!({"providerOverride": "mock", "modelOverride": "echo-2", "queueMode": "collect"}),
        ),
        (
            json!({"providerOverride": "mock", "modelOverride": "echo-2"}),
            json!({"model": null}),
            json!({}),
        ),
        (
            json!({}),
            json!({"sendPolicy": "deny", "groupActivation": "always"}),
            json!({"sendPolicy": "deny", "groupActivation": "always"}),
        ),
        (
            json!({"sendPolicy": "deny", "groupActivation": "always"}),
            json!({"sendPolicy": null, "groupActivation": null}),
            json!({}),
        ),
        (
            json!({}),
            json!({"model": "openai/gpt-5.2", "thinkingLevel": "xhigh"}),
            json!({"providerOverride": "openai", "modelOverride": "gpt-5.2", "thinkingLevel": "xhigh"}),
        ),
        (
            json!({"providerOverride": "openai", "modelOverride": "gpt-5.2", "thinkingLevel": "xhigh"}),
            json!({"model": null}),
            json!({"thinkingLevel": "high"}),
        ),
    ] {
        let case = format!("{before} {patch}");
        assert_eq!(patched("p", before, patch), Ok(after), "{case}");
    }
}

#[test]
fn refusals() {
    let long = "\u{1f600}".repeat(33);
    for (key, before, patch, refusal) in [
        (
            "p",
            json!({}),
            json!({"label": " "}),
            "invalid label: empty",
        ),
        (
            "p",
            json!({}),
            json!({"label": long}),
            "invalid label: too long (max 64)",
        ),
        (
            "p",
            json!({}),
            json!({"label": "Taken"}),
            "label already in use: Taken",
        ),
        (
            "p",
            json!({}),
            json!({"thinkingLevel": "sideways"}),
            "invalid thinkingLevel (use off|minimal|low|medium|high)",
        ),
        (
            "p",
            json!({"providerOverride": "openai", "modelOverride": "gpt-5.2"}),
            json!({"thinkingLevel": "sideways"}),
            "invalid thinkingLevel (use off|minimal|low|medium|high|xhigh)",
        ),
        (
            "p",
            json!({"providerOverride": "zai", "modelOverride": "glm"}),
            json!({"thinkingLevel": "sideways"}),
            "invalid thinkingLevel (use off|on)",
        ),
        (
            "p",
            json!({}),
            json!({"thinkingLevel": "xhigh"}),
            "thinkingLevel \"xhigh\" is only supported for openai/gpt-5.2, openai-codex/gpt-5.2-codex or openai-codex/gpt-5.1-codex",
        ),
        (
            "p",
            json!({}),
            json!({"verboseLevel": "loud"}),
            "invalid verboseLevel (use \"on\"|\"off\")",
        ),
        (
            "p",
            json!({}),
            json!({"reasoningLevel": "x"}),
            "invalid reasoningLevel (use \"on\"|\"off\"|\"stream\")",
        ),
        (
            "p",
            json!({}),
            json!({"elevatedLevel": "x"}),
            "invalid elevatedLevel (use \"on\"|\"off\"|\"ask\"|\"full\")",
        ),
        (
            "p",
            json!({}),
            json!({"execHost": "moon"}),
            "invalid execHost (use \"sandbox\"|\"gateway\"|\"node\")",
        ),
        (
            "p",
            json!({}),
            json!({"execSecurity": "x"}),
            "invalid execSecurity (use \"deny\"|\"allowlist\"|\"full\")",
        ),
        (
            "p",
            json!({}),
            json!({"execAsk": "x"}),
            "invalid execAsk (use \"off\"|\"on-miss\"|\"always\")",
        ),
        (
            "p",
            json!({}),
            json!({"execNode": " "}),
            "invalid execNode: empty",
        ),
        (
            "p",
            json!({}),
            json!({"model": "bad"}),
            "invalid model: bad",
        ),
        (
            "p",
            json!({}),
            json!({"spawnedBy": "agent:main:main"}),
            "spawnedBy is only supported for subagent:* sessions",
        ),
        (
            "subagent:a",
            json!({}),
            json!({"spawnedBy": " "}),
            "invalid spawnedBy: empty",
        ),
        (
            "subagent:a",
            json!({"spawnedBy": "agent:main:main"}),
            json!({"spawnedBy": "agent:main:x"}),
            "spawnedBy cannot be changed once set",
        ),
        (
            "subagent:a",
            json!({"spawnedBy": "agent:main:main"}),
            json!({"spawnedBy": null}),
            "spawnedBy cannot be cleared once set",
        ),
        // The first one counts.
        (
            "p",
            json!({}),
            json!({"execHost": "moon", "label": " ", "verboseLevel": "loud"}),
            "invalid label: empty",
        ),
    ] {
        let case = format!("{before} {patch}");
        assert_eq!(
            patched(key, before, patch),
            Err(refusal.to_owned()),
            "{case}"
        );
    }
    let parent = json!({"spawnedBy": "agent:main:main"});
    for key in ["subagent:abc", "agent:ops:subagent:abc"] {
        assert_eq!(patched(key, json!({}), parent.clone()), Ok(parent.clone()));
    }
    assert_eq!(
        patched("subagent:a", parent.clone(), parent.clone()),
        Ok(parent)
    );
    assert_eq!(
        patched("p", json!({}), json!({"spawnedBy": null})),
        Ok(json!({}))
    );
}
