//! The gate for commands of agents, over real rules in a home of its own.

use openclaw_protocol::protocol::limits;
use serde_json::json;

use super::*;
use crate::agent::{ExecDecision, ExecGate as _, ExecRequest, SessionExec};
use crate::config::{ExecAsk, ExecSecurity};
use crate::exec_rules::RulesFile;

fn gate_of(world: &World, security: &str, ask: &str) -> Arc<AskingGate> {
    let exec = json!({"security": security, "ask": ask, "safeBins": ["date"]});
    let config = serde_json::from_value(json!({"tools": {"exec": exec}})).unwrap();
    let machine = Machine {
        rules: rules_of(world),
        home: world.dir.path().to_owned(),
        path: "/usr/bin:/bin".to_owned(),
        clock: world.clock.clone(),
    };
    Arc::new(AskingGate::new(
        Arc::new(config),
        machine,
        world.approvals.clone(),
    ))
}

fn rules_of(world: &World) -> RulesFile {
    RulesFile::of_home(world.dir.path())
}

/// What the user of this machine wrote into the rules for all agents.
fn say(world: &World, defaults: serde_json::Value) {
    let defaults = serde_json::from_value(defaults).unwrap();
    let said = rules_of(world).change(|rules| rules.defaults = Some(defaults));
    said.unwrap();
}

fn command_of(agent: &str, command: &str) -> ExecRequest {
    ExecRequest {
        agent: agent.into(),
        session_key: format!("agent:{agent}:main"),
        command: command.into(),
        cwd: "/srv".into(),
        session: SessionExec::default(),
    }
}

/// Whether the command is run; `decision` is what a person says who is asked, and must be absent when nobody is.
async fn decided(
    world: &World,
    gate: &Arc<AskingGate>,
    request: ExecRequest,
    decision: Option<&str>,
) -> bool {
    let before = world.lines().len();
    let asking = {
        let gate = Arc::clone(gate);
        tokio::spawn(async move { gate.decide(request).await })
    };
    if let Some(decision) = decision {
        let mut lines = world.events.0.subscribe();
        lines.wait_for(|lines| lines.len() > before).await.unwrap();
        let id = world.approvals.waiting()[0].id.to_string();
        world.resolve(&id, decision).await.unwrap();
    }
    let decided = asking.await.unwrap();
    if decision.is_none() {
        assert_eq!(world.lines().len(), before, "nobody is asked");
    }
    decided == ExecDecision::Run
}

#[tokio::test(start_paused = true)]
async fn commands_of_agents_are_asked_about_where_the_configuration_says_so() {
    for (security, ask, command, decision, runs) in [
        ("deny", "always", "date", None, false),
        ("deny", "on-miss", "rm x", None, false),
        ("allowlist", "off", "date", None, true),
        ("allowlist", "off", "rm x", None, false),
        ("allowlist", "on-miss", "date", None, true),
        ("allowlist", "on-miss", "rm x", Some("allow-once"), true),
        ("allowlist", "on-miss", "rm x", Some("allow-always"), true),
        ("allowlist", "on-miss", "rm x", Some("deny"), false),
        ("allowlist", "always", "date", Some("deny"), false),
        ("full", "off", "rm x", None, true),
        ("full", "on-miss", "rm x", None, true),
        ("full", "always", "rm x", Some("deny"), false),
        ("allowlist", "on-miss", "", None, false),
    ] {
        let world = World::new();
        let gate = gate_of(&world, security, ask);
        let request = command_of("main", command);
        assert_eq!(
            decided(&world, &gate, request, decision).await,
            runs,
            "{security} {ask} {command:?} {decision:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn always_means_that_no_yes_lasts() {
    for security in ["allowlist", "full"] {
        let world = World::new();
        let gate = gate_of(&world, security, "always");
        for (command, decision) in [
            ("rm x", "allow-always"),
            ("rm x", "deny"),
            ("rm $(ls)", "allow-always"),
            ("rm $(ls)", "deny"),
        ] {
            let runs = decided(&world, &gate, command_of("main", command), Some(decision)).await;
            assert_eq!(runs, decision != "deny", "{security} {command} {decision}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lasting_yes_allows_the_programs_of_that_agent() {
    let world = World::new();
    let gate = gate_of(&world, "allowlist", "on-miss");
    for (agent, command, decision) in [
        ("main", "rm x", Some("allow-once")),
        ("main", "rm x", Some("allow-always")),
        ("main", "rm x", None),
        ("main", "rm y", None),
        ("main", "rm y; ls z", Some("deny")),
        ("main", "rm $(ls)", Some("deny")),
        ("ops", "rm x", Some("deny")),
    ] {
        let request = command_of(agent, command);
        let runs = decided(&world, &gate, request, decision).await;
        assert_eq!(
            runs,
            decision != Some("deny"),
            "{agent} {command} {decision:?}"
        );
    }
    let rules = rules_of(&world).read().unwrap();
    let agents = rules.agents.unwrap();
    assert!(!agents.contains_key("ops"));
    let [entry] = agents["main"].allowlist.as_deref().unwrap() else {
        panic!("one entry");
    };
    assert!(entry.pattern.ends_with("/rm"), "{entry:?}");
    assert_eq!(
        (entry.last_used_at, entry.last_used_command.as_deref()),
        (Some(START), Some("rm y"))
    );
    // It outlives the gateway.
    drop(gate);
    let world = world.restart(1).await;
    let gate = gate_of(&world, "allowlist", "on-miss");
    assert!(decided(&world, &gate, command_of("main", "rm z"), None).await);
}

#[tokio::test(start_paused = true)]
async fn a_lasting_yes_that_no_rule_can_say_is_for_that_command_of_that_agent() {
    for (command, other) in [("echo $(ls)", "echo $(ls x)"), ("sh -c ls", "sh -c rm")] {
        let world = World::new();
        let gate = gate_of(&world, "allowlist", "on-miss");
        for (agent, command, decision) in [
            ("main", command, Some("allow-always")),
            ("main", command, None),
            ("main", other, Some("deny")),
            ("ops", command, Some("deny")),
        ] {
            let request = command_of(agent, command);
            let runs = decided(&world, &gate, request, decision).await;
            assert_eq!(
                runs,
                decision != Some("deny"),
                "{agent} {command} {decision:?}"
            );
        }
        let agents = rules_of(&world).read().unwrap().agents;
        assert!(agents.unwrap().is_empty(), "{command}");
        // Who wants to be asked always is.
        let gate = gate_of(&world, "allowlist", "always");
        for _ in 0..2 {
            let request = command_of("main", command);
            assert!(decided(&world, &gate, request, Some("allow-always")).await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lasting_yeses_in_memory_are_bounded() {
    let world = World::new();
    let gate = gate_of(&world, "allowlist", "on-miss");
    let number = |n: usize| command_of("main", &format!("echo $({n})"));
    for n in 0..=MAX_LASTING {
        assert!(decided(&world, &gate, number(n), Some("allow-always")).await);
    }
    assert!(decided(&world, &gate, number(MAX_LASTING - 1), None).await);
    assert!(!decided(&world, &gate, number(MAX_LASTING), Some("deny")).await);
}

#[tokio::test(start_paused = true)]
async fn the_rules_of_the_machine_narrow_what_is_configured() {
    for (configured, rules, command, decision, runs) in [
        (("full", "off"), json!({}), "rm x", None, true),
        (
            ("full", "off"),
            json!({"security": "deny"}),
            "rm x",
            None,
            false,
        ),
        (
            ("full", "off"),
            json!({"security": "allowlist"}),
            "rm x",
            None,
            false,
        ),
        (
            ("full", "off"),
            json!({"security": "allowlist"}),
            "date",
            None,
            true,
        ),
        (
            ("full", "off"),
            json!({"ask": "always"}),
            "rm x",
            Some("deny"),
            false,
        ),
        (
            ("allowlist", "off"),
            json!({"security": "full"}),
            "rm x",
            None,
            false,
        ),
        (
            ("allowlist", "on-miss"),
            json!({"security": "full", "ask": "off"}),
            "rm x",
            Some("deny"),
            false,
        ),
        (
            ("deny", "off"),
            json!({"security": "full", "ask": "always"}),
            "date",
            None,
            false,
        ),
    ] {
        let world = World::new();
        say(&world, rules.clone());
        let gate = gate_of(&world, configured.0, configured.1);
        let request = command_of("main", command);
        assert_eq!(
            decided(&world, &gate, request, decision).await,
            runs,
            "{configured:?} {rules} {command}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_conversation_narrows_what_is_configured() {
    let world = World::new();
    let gate = gate_of(&world, "full", "off");
    for (session, decision, runs) in [
        (SessionExec::default(), None, true),
        (
            SessionExec {
                security: Some(ExecSecurity::Allowlist),
                ..SessionExec::default()
            },
            None,
            false,
        ),
        (
            SessionExec {
                ask: Some(ExecAsk::Always),
                ..SessionExec::default()
            },
            Some("deny"),
            false,
        ),
        (
            SessionExec {
                elsewhere: Some("node n".into()),
                ..SessionExec::default()
            },
            None,
            false,
        ),
    ] {
        let request = ExecRequest {
            session: session.clone(),
            ..command_of("main", "rm x")
        };
        let ran = decided(&world, &gate, request, decision).await;
        assert_eq!(ran, runs, "{session:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_decides_about_is_not_run_unless_the_rules_say_so() {
    for (rules, runs) in [
        (json!({}), false),
        (json!({"askFallback": "allowlist"}), false),
        (json!({"askFallback": "full"}), true),
    ] {
        let world = World::new();
        say(&world, rules.clone());
        let gate = gate_of(&world, "full", "always");
        let asking = tokio::spawn(async move { gate.decide(command_of("main", "rm x")).await });
        let mut lines = world.events.0.subscribe();
        lines.wait_for(|lines| !lines.is_empty()).await.unwrap();
        tokio::time::advance(Duration::from_millis(limits::EXEC_APPROVAL_TIMEOUT_MS + 1)).await;
        assert_eq!(asking.await.unwrap() == ExecDecision::Run, runs, "{rules}");
    }
}
