//! The rules file in a temporary home.

use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use super::*;

fn home() -> (tempfile::TempDir, RulesFile) {
    let dir = tempfile::tempdir().unwrap();
    let file = RulesFile::of_home(dir.path());
    (dir, file)
}

fn on_disk(file: &RulesFile) -> Value {
    serde_json::from_str(&fs::read_to_string(file.path()).unwrap()).unwrap()
}

fn put(file: &RulesFile, text: &str) {
    fs::create_dir_all(file.path().parent().unwrap()).unwrap();
    fs::write(file.path(), text).unwrap();
}

fn rules(value: Value) -> ExecApprovalsFile {
    serde_json::from_value(value).unwrap()
}

#[test]
fn missing_rules_are_made_private_with_a_token_that_is_never_shown() {
    let (dir, file) = home();
    let shown = file.get().unwrap();
    let stored = on_disk(&file);
    let token = stored["socket"]["token"].as_str().unwrap();
    assert!(token.len() >= 32, "{token}");
    assert!(!serde_json::to_string(&shown).unwrap().contains(token));
    let path = dir.path().join(".openclaw/exec-approvals.json");
    assert_eq!(
        serde_json::to_value(&shown).unwrap(),
        json!({
            "path": path, "exists": true, "hash": shown.hash,
            "file": {
                "version": 1, "socket": {"path": path.with_extension("sock")}, "defaults": {}, "agents": {},
            },
        })
    );
    assert_eq!(&*shown.hash, sha256_hex(fs::read(&path).unwrap()));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    // Reading again changes nothing, not even the file.
    let inode = fs::metadata(&path).unwrap().ino();
    assert_eq!(file.get().unwrap(), shown);
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
}

#[test]
fn whoever_writes_proves_what_was_read() {
    let (_dir, file) = home();
    let new = || {
        rules(json!({"version": 1, "agents": {"main": {"allowlist": [{"pattern": "/bin/ls"}]}}}))
    };
    let hash = file.get().unwrap().hash;
    for base in [None, Some(""), Some("  ")] {
        assert!(matches!(
            file.set(new(), base),
            Err(SetRefusal::HashRequired)
        ));
    }
    assert!(matches!(
        file.set(new(), Some("stale")),
        Err(SetRefusal::Changed)
    ));
    let token = on_disk(&file)["socket"]["token"].clone();
    let shown = file.set(new(), Some(&hash)).unwrap();
    assert_eq!(
        on_disk(&file)["socket"]["token"],
        token,
        "left out means kept"
    );
    let entry = &shown.file.agents["main"].allowlist.as_ref().unwrap()[0];
    assert!(entry.id.is_some() && entry.pattern == "/bin/ls");
    assert_eq!(file.get().unwrap(), shown);
    assert!(matches!(
        file.set(new(), Some(&hash)),
        Err(SetRefusal::Changed)
    ));
    // A writer may bring a socket of its own, and give back what it was shown.
    let socket = rules(json!({"version": 1, "socket": {"path": "/run/x.sock", "token": "mine"}}));
    let shown = file.set(socket, Some(&shown.hash)).unwrap();
    assert_eq!(
        on_disk(&file)["socket"],
        json!({"path": "/run/x.sock", "token": "mine"})
    );
    let back = rules(serde_json::to_value(&shown.file).unwrap());
    assert_eq!(file.set(back, Some(&shown.hash)).unwrap(), shown);
}

#[test]
fn rules_are_brought_into_one_form() {
    let (_dir, file) = home();
    put(
        &file,
        r#"{"version":1,"agents":{
            "default":{"security":"full","ask":"off","allowlist":[{"pattern":"/a"},{"pattern":" /b "}]},
            "main":{"ask":"always","allowlist":[{"id":"e-1","pattern":"/b"}]}}}"#,
    );
    let agents = file.get().unwrap().file.agents;
    assert_eq!(agents.keys().collect::<Vec<_>>(), ["main"]);
    let main = &agents["main"];
    assert_eq!(
        (main.security.as_deref(), main.ask.as_deref()),
        (Some("full"), Some("always"))
    );
    let list = main.allowlist.as_ref().unwrap();
    let patterns: Vec<&str> = list.iter().map(|entry| entry.pattern.as_str()).collect();
    assert_eq!(patterns, ["/b", "/a"]);
    assert_eq!(list[0].id.as_deref(), Some("e-1"));
    assert!(list[1].id.is_some());
    assert_eq!(
        fs::metadata(file.path()).unwrap().mode() & 0o777,
        0o600,
        "made private"
    );
}

#[test]
fn unreadable_rules_allow_nothing_and_are_kept_for_their_owner() {
    for text in [
        "",
        "{",
        "[]",
        r#"{"defaults":{}}"#,
        r#"{"version":1,"agents":{"main":{"allowlist":["/bin/ls"]}}}"#,
    ] {
        let (_dir, file) = home();
        put(&file, text);
        let shown = file.get().unwrap();
        assert_eq!(
            (shown.file.defaults, shown.file.agents.len()),
            (ExecApprovalsDefaults::default(), 0)
        );
        let aside = file.path().with_extension("json.unreadable");
        assert_eq!(fs::read_to_string(aside).unwrap(), text);
    }
}

#[test]
fn rules_of_another_version_are_left_alone_and_hold_everything_up() {
    for text in [
        r#"{"version":2,"defaults":{"security":"deny"}}"#,
        r#"{"version":0}"#,
        r#"{"version":"1","defaults":{}}"#,
        r#"{"version":2,"rules":[]}"#,
    ] {
        let (_dir, file) = home();
        put(&file, text);
        assert!(
            matches!(file.read(), Err(RulesError::Version { .. })),
            "{text}"
        );
        assert!(file.get().is_err() && file.change(|_| ()).is_err());
        let set = file.set(ExecApprovalsFile::new(1), Some("x"));
        assert!(matches!(set, Err(SetRefusal::Rules(_))), "{text}");
        assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
    }
}

#[test]
fn changes_of_several_hands_all_stay() {
    let (_dir, file) = home();
    std::thread::scope(|scope| {
        for hand in 0..8 {
            let file = &file;
            scope.spawn(move || {
                for n in 0..4 {
                    file.change(|rules| allow(rules, "main", &format!("/bin/{hand}-{n}")))
                        .unwrap();
                }
            });
        }
    });
    let rules = file.read().unwrap();
    assert_eq!(
        rules.agents.unwrap()["main"]
            .allowlist
            .as_ref()
            .unwrap()
            .len(),
        32
    );
    let hash = file.get().unwrap().hash;
    file.change(|rules| allow(rules, "main", "/bin/0-0"))
        .unwrap();
    assert_eq!(
        file.get().unwrap().hash,
        hash,
        "nothing new, nothing written"
    );
}

#[test]
fn an_unwritable_place_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(".openclaw"), "a file").unwrap();
    let error = RulesFile::of_home(dir.path())
        .get()
        .unwrap_err()
        .to_string();
    assert!(error.contains("exec-approvals.json"), "{error}");
}
