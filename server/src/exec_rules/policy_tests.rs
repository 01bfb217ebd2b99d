//! What holds for an agent, and which commands run.

use super::*;
use serde_json::json;

const FALLBACKS: Fallbacks = Fallbacks {
    security: Security::Allowlist,
    ask: Ask::OnMiss,
};

/// The rules of a file that says only this.
fn policy(security: Security, ask: Ask) -> Policy {
    let fallbacks = Fallbacks { security, ask };
    Policy::of(&ExecApprovalsFile::new(1), None, fallbacks)
}

#[test]
fn rules_of_an_agent_come_from_the_nearest_place() {
    let rules: ExecApprovalsFile = serde_json::from_value(json!({
        "version": 1,
        "defaults": {"security": "full", "autoAllowSkills": true},
        "agents": {
            "*": {"ask": "always", "allowlist": [{"pattern": "/all"}]},
            "main": {"security": "deny", "ask": "off", "allowlist": [{"pattern": "/own"}]},
            "odd": {"security": "most", "ask": "perhaps", "autoAllowSkills": false},
        },
    }))
    .unwrap();
    let check = |agent: Option<&str>, expected: (&str, Security, Ask, bool, &[&str])| {
        let policy = Policy::of(&rules, agent, FALLBACKS);
        let list: Vec<&str> = policy
            .allowlist
            .iter()
            .map(|entry| entry.pattern.as_str())
            .collect();
        let got = (
            policy.agent.as_str(),
            policy.security,
            policy.ask,
            policy.auto_allow_skills,
            list.as_slice(),
        );
        assert_eq!(got, expected);
    };
    let own = (
        "main",
        Security::Deny,
        Ask::Off,
        true,
        &["/all", "/own"][..],
    );
    check(None, own);
    check(Some(" "), own);
    check(Some("main"), own);
    check(
        Some("x"),
        ("x", Security::Full, Ask::Always, true, &["/all"]),
    );
    check(
        Some("odd"),
        ("odd", Security::Deny, Ask::Always, false, &["/all"]),
    );
    let empty = Policy::of(&ExecApprovalsFile::new(1), None, FALLBACKS);
    assert_eq!(
        (empty.security, empty.ask, empty.auto_allow_skills),
        (Security::Allowlist, Ask::OnMiss, false)
    );
}

#[test]
fn the_stricter_of_two_rules_holds() {
    for (ours, theirs, expected) in [
        (
            (Security::Full, Ask::Off),
            (Security::Full, Ask::Off),
            (Security::Full, Ask::Off),
        ),
        (
            (Security::Full, Ask::Off),
            (Security::Deny, Ask::Always),
            (Security::Deny, Ask::Always),
        ),
        (
            (Security::Deny, Ask::Always),
            (Security::Full, Ask::Off),
            (Security::Deny, Ask::Always),
        ),
        (
            (Security::Allowlist, Ask::Off),
            (Security::Full, Ask::OnMiss),
            (Security::Allowlist, Ask::OnMiss),
        ),
    ] {
        let both = policy(ours.0, ours.1).within(theirs.0, theirs.1);
        assert_eq!((both.security, both.ask), expected);
    }
}

#[test]
fn what_runs_when_nobody_answers() {
    for (fallback, security, listed, expected) in [
        (None, "full", true, false),
        (Some("deny"), "full", true, false),
        (Some("allowlist"), "full", true, true),
        (Some("allowlist"), "full", false, false),
        (Some("full"), "full", false, true),
        (Some("full"), "allowlist", false, false),
        (Some("odd"), "full", true, false),
    ] {
        let mut rules = ExecApprovalsFile::new(1);
        let defaults = rules.defaults.get_or_insert_default();
        defaults.security = Some(security.to_owned());
        defaults.ask_fallback = fallback.map(str::to_owned);
        let policy = Policy::of(&rules, None, FALLBACKS);
        assert_eq!(
            policy.runs_unanswered(listed),
            expected,
            "{fallback:?} {security} {listed}"
        );
    }
}

#[test]
fn who_may_run() {
    use Permission::{Allowed, Disabled, NeedsApproval, NotListed};
    // listed or not, without and with a yes
    let table = [
        (
            Security::Deny,
            Ask::Off,
            [Disabled, Disabled, Disabled, Disabled],
        ),
        (
            Security::Deny,
            Ask::Always,
            [Disabled, Disabled, Disabled, Disabled],
        ),
        (
            Security::Allowlist,
            Ask::Off,
            [Allowed, NotListed, Allowed, Allowed],
        ),
        (
            Security::Allowlist,
            Ask::OnMiss,
            [Allowed, NeedsApproval, Allowed, Allowed],
        ),
        (
            Security::Allowlist,
            Ask::Always,
            [NeedsApproval, NeedsApproval, Allowed, Allowed],
        ),
        (
            Security::Full,
            Ask::Off,
            [Allowed, Allowed, Allowed, Allowed],
        ),
        (
            Security::Full,
            Ask::OnMiss,
            [Allowed, Allowed, Allowed, Allowed],
        ),
        (
            Security::Full,
            Ask::Always,
            [NeedsApproval, NeedsApproval, Allowed, Allowed],
        ),
    ];
    for (security, ask, expected) in table {
        let policy = policy(security, ask);
        let cases = [(true, false), (false, false), (true, true), (false, true)];
        let got = cases.map(|(listed, approved)| policy.judge(listed, approved));
        assert_eq!(got, expected, "{security:?} {ask:?}");
    }
}
