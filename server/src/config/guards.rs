//! Settings that keep somebody out. Elsewhere a value that cannot be used is left out and reported; one of these would
//! thereby open what its writer meant to close, so it stops the start, and a misspelt name is reported.
//!
//! [`super::start`] asks before it starts, [`super::load`] while it reads.

use serde_json::Value;

use super::{Issue, schema};
use crate::paths::Environment;

/// Places whose loss opens something: themselves and all below them. `*` is any one step.
const GUARDS: &[&str] = &[
    "gateway.auth.strictDevices",
    "gateway.auth.allowTailscale",
    "gateway.narrowEvents",
    "gateway.nodes.denyCommands",
    "gateway.tls",
    "tools.allow",
    "tools.deny",
    "tools.exec.ask",
    "tools.exec.security",
    "agents.list.*.tools.allow",
    "agents.list.*.tools.deny",
];

/// Objects that hold guards: lost as a whole they are lost with them.
const HOLDERS: &[&str] = &[
    "gateway",
    "gateway.auth",
    "gateway.nodes",
    "tools",
    "tools.exec",
    "agents.list.*.tools",
];

/// Most letters that a misspelt name differs in: one that was swapped, or two that are wrong.
const LETTERS: usize = 2;

/// Is what was left out here something that kept somebody out?
pub(super) fn guards(path: &str) -> bool {
    let below = |place: &str| steps_below(path, place);
    HOLDERS.iter().any(|holder| below(holder) == Some(0))
        || GUARDS.iter().any(|guard| below(guard).is_some())
}

/// How many steps below `place` a path is; none where it is elsewhere.
fn steps_below(path: &str, place: &str) -> Option<usize> {
    let mut steps = path.split('.');
    for wanted in place.split('.') {
        steps
            .next()
            .filter(|step| wanted == "*" || wanted == *step)?;
    }
    Some(steps.count())
}

/// Names beside guards that are none, but nearly are.
pub(super) fn misspelt(document: &Value) -> Vec<Issue> {
    let schema = schema::schema();
    let mut found = Vec::new();
    for holder in HOLDERS {
        let steps: Vec<&str> = holder.split('.').collect();
        look(document, &schema, "", &steps, &mut found);
    }
    found
}

/// Goes down to the objects that `steps` lead to, and looks at the names of their members.
fn look(value: &Value, rules: &Value, place: &str, steps: &[&str], found: &mut Vec<Issue>) {
    let below = |step: &str| match place {
        "" => step.to_owned(),
        place => format!("{place}.{step}"),
    };
    let known = || rules.get("properties")?.as_object();
    match steps {
        ["*", rest @ ..] => {
            if let (Some(items), Some(rules)) = (value.as_array(), rules.get("items")) {
                for (index, item) in items.iter().enumerate() {
                    look(item, rules, &below(&index.to_string()), rest, found);
                }
            }
        }
        [name, rest @ ..] => {
            let rules = known().and_then(|known| known.get(*name));
            if let (Some(value), Some(rules)) = (value.get(name), rules) {
                look(value, rules, &below(name), rest, found);
            }
        }
        [] => {
            let (Some(members), Some(known)) = (value.as_object(), known()) else {
                return;
            };
            for name in members.keys().filter(|name| !known.contains_key(*name)) {
                if let Some(meant) = known.keys().find(|known| is_nearly(name, known)) {
                    found.push(Issue {
                        path: below(name),
                        message: format!("is no setting and has no effect; {meant} is one"),
                    });
                }
            }
        }
    }
}

/// Short names are too near to one another to be compared by letters.
fn is_nearly(name: &str, known: &str) -> bool {
    name.eq_ignore_ascii_case(known)
        || (known.len() > 3 * LETTERS && strsim::osa_distance(name, known) <= LETTERS)
        || (known.len() > LETTERS && strsim::osa_distance(name, known) == 1)
}

/// Takes the secrets out of the last good copy that the broken text has others for: somebody may have replaced one that
/// leaked. What the text says nothing of stays, so that a damaged file keeps nobody from mending it.
pub(super) fn without_old_secrets(copy: &mut Value, text: Option<&str>, environment: &Environment) {
    let text = text.unwrap_or_default();
    let Some(auth) = copy
        .pointer_mut("/gateway/auth")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    for (name, variable) in [("token", "GATEWAY_TOKEN"), ("password", "GATEWAY_PASSWORD")] {
        let is_old = auth
            .get(name)
            .and_then(Value::as_str)
            .is_some_and(|secret| !text.contains(secret));
        if is_old && (text.contains(name) || environment.own(variable).is_some()) {
            auth.remove(name);
            // The way around a secret is as old as the secret.
            auth.insert("allowTailscale".to_owned(), false.into());
        }
    }
    if text.contains("strictDevices") {
        auth.insert("strictDevices".to_owned(), true.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_keeps_somebody_out() {
        for (path, expected) in [
            ("gateway", true),
            ("gateway.auth", true),
            ("gateway.auth.strictDevices", true),
            ("gateway.nodes.denyCommands", true),
            ("gateway.nodes.denyCommands.1", true),
            ("gateway.tls.enabled", true),
            ("tools", true),
            ("tools.deny.0", true),
            ("tools.exec.ask", true),
            ("agents.list.3.tools.deny", true),
            ("agents.list.3.tools", true),
            ("", false),
            ("gateway.port", false),
            // Without it nobody comes in.
            ("gateway.auth.token", false),
            ("tools.exec.timeoutSec", false),
            ("agents.list.3.tools.denny", false),
            ("agents.list.3", false),
            ("agents.list.3.name", false),
        ] {
            assert_eq!(guards(path), expected, "{path}");
        }
    }

    #[test]
    fn every_guard_is_a_setting() {
        let schema = schema::schema();
        for guard in GUARDS.iter().chain(HOLDERS) {
            let place = guard
                .split('.')
                .try_fold(&schema, |rules, step| match step {
                    "*" => rules.get("items"),
                    name => rules.get("properties")?.get(name),
                });
            assert!(place.is_some(), "{guard}");
        }
    }

    #[test]
    fn names_that_are_nearly_right() {
        for (document, expected) in [
            (
                json!({"gateway": {"auth": {"strictDevice": true}}}),
                &["gateway.auth.strictDevice"][..],
            ),
            (
                json!({"gateway": {"auth": {"strictdevices": true}}}),
                &["gateway.auth.strictdevices"],
            ),
            (
                json!({"gateway": {"nodes": {"denyComands": []}}}),
                &["gateway.nodes.denyComands"],
            ),
            (
                json!({"tools": {"dney": [], "exec": {"securty": "deny"}}}),
                &["tools.dney", "tools.exec.securty"],
            ),
            (
                json!({"agents": {"list": [{}, {"tools": {"denny": []}}]}}),
                &["agents.list.1.tools.denny"],
            ),
            // Settings of the original that this gateway does not have.
            (
                json!({"tools": {"profile": "x", "alsoAllow": [], "byProvider": {}, "web": {}, "media": {}, "links": {},
                    "message": {}, "agentToAgent": {}, "elevated": {}, "subagents": {}, "sandbox": {},
                    "exec": {"host": "node", "node": "n", "pathPrepend": [], "backgroundMs": 1, "cleanupMs": 1,
                        "notifyOnExit": true, "applyPatch": {}}},
                    "gateway": {"reload": {}, "controlUI": {}, "nodes": {"browser": {}}}}),
                &["gateway.controlUI"],
            ),
            (
                json!({"gateway": {"auth": {"token": "t"}}, "tools": 5}),
                &[],
            ),
        ] {
            let found = misspelt(&document);
            let found: Vec<_> = found.iter().map(|issue| issue.path.as_str()).collect();
            assert_eq!(found, expected, "{document}");
        }
    }

    #[test]
    fn old_secrets_do_not_come_back() {
        let nothing = Environment::default();
        let variable = Environment::new("/home/u", [("OPENCLAW_GATEWAY_TOKEN", "new")]);
        for (text, environment, token, strict) in [
            (Some("{"), &nothing, Some("old"), None),
            (None, &nothing, Some("old"), None),
            (Some("{"), &variable, None, None),
            (
                Some("{gateway: {auth: {token: 'old'}} port"),
                &nothing,
                Some("old"),
                None,
            ),
            (
                Some("{gateway: {auth: {token: 'new'}} port"),
                &nothing,
                None,
                None,
            ),
            (
                Some("{strictDevices: true"),
                &nothing,
                Some("old"),
                Some(true),
            ),
        ] {
            let mut copy = json!({"gateway": {"auth": {"token": "old", "allowTailscale": true}}});
            without_old_secrets(&mut copy, text, environment);
            let auth = &copy["gateway"]["auth"];
            assert_eq!(auth["token"].as_str(), token, "{text:?}");
            assert_eq!(auth["allowTailscale"], token.is_some(), "{text:?}");
            assert_eq!(auth["strictDevices"].as_bool(), strict, "{text:?}");
        }
    }
}
