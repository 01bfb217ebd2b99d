//! `system.run` with a rules file in a temporary home and real programs.

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::speaker;
use super::*;
use crate::clock::ManualClock;

const NOW: u64 = 1_769_900_000_000;

struct Bench {
    host: Host,
    dir: tempfile::TempDir,
    speaker: Speaker,
    told: mpsc::Receiver<Told>,
}

impl Bench {
    fn new(defaults: Value, allowlist: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let env = [
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ("OPENCLAW_GATEWAY_TOKEN".to_owned(), "s3cret".to_owned()),
        ];
        let host = Host::new(
            dir.path(),
            &env.into(),
            std::sync::Arc::new(ManualClock::new(NOW)),
        );
        let list: Vec<Value> = allowlist
            .iter()
            .map(|pattern| json!({"pattern": pattern}))
            .collect();
        let agents = json!({"main": {"allowlist": list}});
        let file = json!({"version": 1, "defaults": defaults, "agents": agents});
        let hash = host.rules.get().unwrap().hash;
        host.rules
            .set(serde_json::from_value(file).unwrap(), Some(&hash))
            .unwrap();
        let (speaker, told) = speaker::queue();
        Self {
            host,
            dir,
            speaker,
            told,
        }
    }

    async fn run(&self, params: Value) -> Result<SystemRunResult, Failure> {
        run(
            &self.host,
            serde_json::from_value(params).unwrap(),
            &self.speaker,
        )
        .await
    }

    /// Name and payload of the next event.
    fn event(&mut self) -> (String, Value) {
        match self.told.try_recv() {
            Ok(Told::Event(params)) => {
                let payload = params.payload_json.unwrap();
                (params.event.into(), serde_json::from_str(&payload).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn check(bench: &Bench, params: Value, expected: Result<&str, &str>) {
    let got = bench.run(params.clone()).await;
    let got = got
        .map(|run| run.stdout + run.error.as_deref().unwrap_or(""))
        .map_err(|failure| failure.message);
    assert_eq!(got.as_deref().map_err(String::as_str), expected, "{params}");
}

const NEEDS: &str = texts::NODE_RUN_APPROVAL_REQUIRED;
const MISS: &str = texts::NODE_RUN_ALLOWLIST_MISS;

#[tokio::test]
async fn a_node_without_rules_asks() {
    let mut bench = Bench::new(json!({}), &[]);
    let failure = bench
        .run(json!({"command": ["/bin/sh", "-c", "echo from-node"], "cwd": "/", "runId": "r"}))
        .await
        .unwrap_err();
    assert_eq!(
        failure,
        Failure {
            code: "UNAVAILABLE".to_owned(),
            message: NEEDS.to_owned()
        }
    );
    let denied = json!({
        "sessionKey": "node", "runId": "r", "host": "node", "command": "/bin/sh -c \"echo from-node\"", "reason": "approval-required",
    });
    assert_eq!(bench.event(), ("exec.denied".to_owned(), denied));
    // A person said yes, in either way.
    for yes in [
        json!({"approved": true}),
        json!({"approvalDecision": "allow-once"}),
    ] {
        let mut params = json!({"command": ["echo", "hi"], "sessionKey": " s ", "runId": "r"});
        params
            .as_object_mut()
            .unwrap()
            .extend(yes.as_object().unwrap().clone());
        let run = bench.run(params).await.unwrap();
        assert_eq!(
            (run.stdout.as_str(), run.exit_code, run.success, run.error),
            ("hi\n", Some(0), true, None)
        );
        let (name, started) = bench.event();
        assert_eq!(
            (name.as_str(), &started["command"], &started["sessionKey"]),
            ("exec.started", &json!("echo hi"), &json!("s"))
        );
        let (name, finished) = bench.event();
        assert_eq!(
            (name.as_str(), &finished["output"], &finished["exitCode"]),
            ("exec.finished", &json!("hi\n"), &json!(0))
        );
    }
    check(
        &bench,
        json!({"command": ["echo", "hi"], "approvalDecision": "deny"}),
        Err(NEEDS),
    )
    .await;
    check(
        &bench,
        json!({"command": ["echo"], "approved": "yes"}),
        Err(NEEDS),
    )
    .await;
    check(
        &bench,
        json!({"command": ["echo"], "approved": true, "needsScreenRecording": true}),
        Err(texts::NODE_RUN_SCREEN_RECORDING),
    )
    .await;
}

#[tokio::test]
async fn what_is_no_command_is_refused() {
    let bench = Bench::new(json!({"security": "full", "ask": "off"}), &[]);
    for command in [json!([]), json!([" ", "x"]), json!("ls"), Value::Null] {
        check(
            &bench,
            json!({"command": command}),
            Err(texts::NODE_RUN_COMMAND_REQUIRED),
        )
        .await;
    }
    // What a person reads has to be what runs.
    let lies = Err("rawCommand does not say what command runs");
    check(
        &bench,
        json!({"command": ["rm", "x"], "rawCommand": "ls"}),
        lies,
    )
    .await;
    check(
        &bench,
        json!({"command": ["/bin/sh", "-c", "rm x"], "rawCommand": "ls"}),
        lies,
    )
    .await;
    check(
        &bench,
        json!({"command": ["/bin/sh", "-c", "echo a"], "rawCommand": " echo a "}),
        Ok("a\n"),
    )
    .await;
    check(
        &bench,
        json!({"command": ["echo", "a b"], "rawCommand": "echo \"a b\""}),
        Ok("a b\n"),
    )
    .await;
    let missing = bench.run(json!({"command": ["/none/such"]})).await.unwrap();
    assert!(missing.error.unwrap().contains("/none/such") && !missing.success);
}

#[tokio::test]
async fn nothing_runs_where_nothing_may() {
    let mut bench = Bench::new(json!({"security": "deny"}), &["/usr/bin/*", "/bin/*"]);
    let disabled = Err(texts::NODE_RUN_DISABLED);
    check(
        &bench,
        json!({"command": ["echo"], "approved": true}),
        disabled,
    )
    .await;
    assert_eq!(bench.event().1["reason"], "security=deny");
}

#[tokio::test]
async fn the_allowlist_decides_alone_when_nobody_is_asked() {
    let bench = Bench::new(
        json!({"security": "allowlist", "ask": "off"}),
        &["/bin/echo", "/usr/bin/head"],
    );
    let shell = |script: &str| json!({"command": ["/bin/sh", "-c", script], "rawCommand": script});
    check(&bench, json!({"command": ["echo", "a"]}), Ok("a\n")).await;
    check(&bench, json!({"command": ["/bin/echo", "a"]}), Ok("a\n")).await;
    check(&bench, json!({"command": ["ls"]}), Err(MISS)).await;
    check(&bench, json!({"command": ["none-such"]}), Err(MISS)).await;
    check(&bench, shell("echo a | head -n 1 && echo b"), Ok("a\nb\n")).await;
    for script in [
        "echo a | ls",
        "echo $(ls)",
        "echo a > f",
        "ls",
        "cd / && echo a",
    ] {
        check(&bench, shell(script), Err(MISS)).await;
    }
    // Without the words for people it is the shell that would have to be on the list.
    check(
        &bench,
        json!({"command": ["/bin/sh", "-c", "echo a"]}),
        Err(MISS),
    )
    .await;
    // A program of the same name elsewhere is another program.
    let dir = bench.dir.path().join("echo");
    std::fs::copy("/bin/sh", &dir).unwrap();
    check(
        &bench,
        json!({"command": ["./echo", "-c", "id"]}),
        Err(MISS),
    )
    .await;
    let path = format!("{}:/usr/bin:/bin", bench.dir.path().display());
    check(
        &bench,
        json!({"command": ["echo", "-c", "id"], "env": {"PATH": path}}),
        Err(MISS),
    )
    .await;
    // What was used is noted.
    let rules = bench.host.rules.read().unwrap().agents.unwrap();
    let echo = &rules["main"].allowlist.as_ref().unwrap()[0];
    assert_eq!(
        (echo.last_used_at, echo.last_used_command.as_deref()),
        (Some(NOW), Some("echo a | head -n 1 && echo b"))
    );
    assert!(echo.last_resolved_path.as_ref().unwrap().ends_with("/echo"));
}

#[tokio::test]
async fn a_lasting_yes_is_remembered_but_not_for_programs_that_run_anything() {
    let bench = Bench::new(json!({"security": "allowlist", "ask": "on-miss"}), &[]);
    let always = |command: Value| json!({"command": command, "approvalDecision": "allow-always"});
    check(&bench, json!({"command": ["echo", "a"]}), Err(NEEDS)).await;
    check(&bench, always(json!(["echo", "a"])), Ok("a\n")).await;
    check(&bench, json!({"command": ["echo", "b"]}), Ok("b\n")).await;
    check(
        &bench,
        always(json!(["/bin/sh", "-c", "echo a"])),
        Ok("a\n"),
    )
    .await;
    check(
        &bench,
        always(json!(["timeout", "9", "echo", "a"])),
        Ok("a\n"),
    )
    .await;
    check(
        &bench,
        json!({"command": ["timeout", "9", "echo", "a"]}),
        Err(NEEDS),
    )
    .await;
    check(
        &bench,
        json!({"command": ["/bin/sh", "-c", "echo a"]}),
        Err(NEEDS),
    )
    .await;
}

#[tokio::test]
async fn skills_may_bring_programs() {
    let mut bench = Bench::new(json!({"ask": "off", "autoAllowSkills": true}), &[]);
    // A program of the asker's that is called like one that a skill needs.
    let evil = bench.dir.path().join("evil");
    std::fs::create_dir(&evil).unwrap();
    std::fs::copy("/bin/sh", evil.join("echo")).unwrap();
    let path = format!("{}:/usr/bin:/bin", evil.display());
    let script = "bash -c 'echo a'";
    for (bins, params, expected) in [
        (&["echo"][..], json!({"command": ["echo", "a"]}), Ok("a\n")),
        (&["ls"], json!({"command": ["echo", "a"]}), Err(MISS)),
        (&[], json!({"command": ["echo", "a"]}), Err(MISS)),
        (&["echo"], json!({"command": ["/bin/echo", "a"]}), Err(MISS)),
        (
            &["echo"],
            json!({"command": ["echo", "-c", "id"], "env": {"PATH": path}}),
            Err(MISS),
        ),
        (
            &["bash"],
            json!({"command": ["bash", "-c", "id"]}),
            Err(MISS),
        ),
        (
            &["bash", "sh"],
            json!({"command": ["/bin/sh", "-c", script], "rawCommand": script}),
            Err(MISS),
        ),
    ] {
        let Bench {
            host,
            speaker,
            told,
            ..
        } = &mut bench;
        let answer = async {
            let asked = told.recv().await;
            let Some(Told::SkillBins(answer)) = asked else {
                panic!("{asked:?}")
            };
            answer
                .send(bins.iter().map(|&bin| bin.to_owned()).collect())
                .unwrap();
        };
        let run = run(
            host,
            serde_json::from_value(params.clone()).unwrap(),
            speaker,
        );
        let (got, ()) = tokio::join!(run, answer);
        let got = got.map(|run| run.stdout).map_err(|failure| failure.message);
        assert_eq!(
            got.as_deref().map_err(String::as_str),
            expected,
            "{bins:?} {params}"
        );
        while told.try_recv().is_ok() {}
    }
}

#[tokio::test]
async fn what_is_judged_is_what_runs() {
    let bench = Bench::new(
        json!({"security": "allowlist", "ask": "off"}),
        &["/usr/bin/ls", "/usr/bin/printf", "/usr/bin/test"],
    );
    let cwd = bench.dir.path().join("work");
    std::fs::create_dir(&cwd).unwrap();
    for name in ["ls", "\u{a0}ls"] {
        let evil = cwd.join(name);
        std::fs::write(&evil, "#!/bin/sh\necho evil\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&evil, mode).unwrap();
    }
    let shell = |script: &str, raw: &str, path: &str| json!({"command": ["/bin/sh", "-c", script], "rawCommand": raw, "cwd": cwd, "env": {"PATH": path}});
    let own = "/usr/bin:/bin";
    // A PATH that means the current directory is not taken over.
    for path in [":/usr/bin:/bin", ".:/usr/bin:/bin", "work:/usr/bin:/bin"] {
        check(&bench, shell("ls", "ls", path), Ok("ls\n\u{a0}ls\n")).await;
    }
    check(&bench, shell(" ls\n", "ls", own), Ok("ls\n\u{a0}ls\n")).await;
    let lies = Err("rawCommand does not say what command runs");
    for blank in ["\u{a0}", "\u{b}", "\u{c}", "\u{2003}"] {
        check(&bench, shell(&format!("{blank}ls"), "ls", own), lies).await;
    }
    for script in ["printf -v 'a[$(id)0]' x", "test -v 'a[$(id)]'"] {
        check(&bench, shell(script, script, own), Err(MISS)).await;
    }
}

#[tokio::test]
async fn programs_get_filtered_variables_a_directory_and_a_time() {
    let bench = Bench::new(json!({"security": "full", "ask": "off"}), &[]);
    check(&bench, json!({"command": ["/bin/sh", "-c", "echo $A-$LD_X-$OPENCLAW_GATEWAY_TOKEN"], "env": {"A": "1", "LD_X": "2"}}), Ok("1--\n")).await;
    check(
        &bench,
        json!({"command": ["pwd"], "cwd": "/usr"}),
        Ok("/usr\n"),
    )
    .await;
    let slow = bench
        .run(json!({"command": ["sleep", "60"], "timeoutMs": 200}))
        .await
        .unwrap();
    assert!(slow.timed_out && !slow.success && slow.exit_code.is_none());
    let long = bench
        .run(json!({"command": ["/bin/sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x"]}))
        .await
        .unwrap();
    assert_eq!(long.stdout.len(), OUTPUT_BYTES + 1 + CUT.len());
}

#[test]
fn ends_of_texts() {
    assert_eq!(tail("abc", 3), "abc");
    assert_eq!(tail("abcd", 3), "... (truncated) bcd");
    assert_eq!(tail("äöü", 2), "... (truncated) öü");
    assert_eq!(tail("", 2), "");
}
