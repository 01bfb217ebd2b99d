use super::*;
use serde_json::json;

fn write(place: &Path, name: &str, text: &str) {
    let folder = place.join(FOLDER).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(FILE), text).unwrap();
}

fn skills(state_dir: &Path, config: Value) -> Skills {
    let read: Config = serde_json::from_value(config.clone()).unwrap();
    let environment = Environment::new("/home/ann", [("PATH", "/nowhere")]);
    Skills::new(&read, Some(&config), state_dir, &environment)
}

fn needs(name: &str, json: &str) -> String {
    format!(
        "---\nname: {name}\ndescription: About {name}.\nmetadata: {{\"openclaw\":{json}}}\n---\nText.\n"
    )
}

#[test]
fn programs_of_all_skills() {
    let (workspace, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let skills = skills(state.path(), json!({}));
    let workspaces = [workspace.path().to_owned(), "/nowhere".into()];
    assert!(skills.bins().is_empty());
    for (place, name, json) in [
        (&workspace, "gh", r#"{"requires":{"bins":["gh"," jq "]}}"#),
        (
            &workspace,
            "memo",
            r#"{"os":["darwin"],"requires":{"bins":["memo"]},"install":[{"bins":["brewed"]}]}"#,
        ),
        (
            &state,
            "any",
            r#"{"os":["linux"],"requires":{"anyBins":["a","b"]}}"#,
        ),
    ] {
        write(place.path(), name, &needs(name, json));
    }
    write(state.path(), "plain", "No head.");
    std::fs::write(state.path().join(FOLDER).join("file"), "no folder").unwrap();
    let list = |bins: BTreeSet<String>| bins.into_iter().collect::<Vec<_>>();
    assert_eq!(list(skills.bins()), ["a", "b"], "no workspace's");
    let more = r#"{"requires":{"bins":["gh2"]},"install":[{"bins":["brewed2"]}]}"#;
    write(state.path(), "gh2", &needs("gh2", more));
    assert_eq!(list(skills.bins()), ["a", "b", "brewed2", "gh2"]);
    let on = |os| list(skills.bins_on(&workspaces, os));
    assert_eq!(on("darwin"), ["gh", "gh2", "jq", "memo"]);
    assert_eq!(on("linux"), ["a", "b", "gh", "gh2", "jq"]);
}

#[test]
fn a_skill_is_shown_whole() {
    let (workspace, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let skills = skills(state.path(), json!({"gateway": {"port": 5}}));
    let metadata = r#"{"emoji":"📝","skillKey":"k","primaryEnv":"KEY","homepage":"http://h","requires":{"bins":["gone"],"config":["gateway.port"]},"install":[{"id":"brew","kind":"brew","formula":"f","bins":["gone"]}]}"#;
    write(workspace.path(), "memo", &needs("memo", metadata));
    let place = workspace
        .path()
        .join(FOLDER)
        .join("memo")
        .display()
        .to_string();
    let expected = json!({
        "workspaceDir": workspace.path(), "managedSkillsDir": state.path().join(FOLDER),
        "skills": [{
            "name": "memo", "description": "About memo.", "source": "openclaw-workspace",
            "filePath": format!("{place}/SKILL.md"), "baseDir": place,
            "skillKey": "k", "primaryEnv": "KEY", "emoji": "📝", "homepage": "http://h",
            "always": false, "disabled": false, "blockedByAllowlist": false, "eligible": false,
            "requirements": {"bins": ["gone"], "anyBins": [], "env": [], "config": ["gateway.port"], "os": []},
            "missing": {"bins": ["gone"], "anyBins": [], "env": [], "config": [], "os": []},
            "configChecks": [{"path": "gateway.port", "value": 5, "satisfied": true}],
            "install": [{"id": "brew", "kind": "brew", "label": "Install f (brew)", "bins": ["gone"]}],
        }],
    });
    assert_eq!(json!(skills.status(workspace.path())), expected);
}

/// `name source eligible disabled` of each.
fn shown(skills: &Skills, workspace: &Path) -> Vec<String> {
    let found = skills.status(workspace).skills.into_iter();
    let line = |skill: SkillStatus| {
        let source = skill.source.trim_start_matches("openclaw-");
        format!(
            "{} {source} {} {}",
            skill.name, skill.eligible, skill.disabled
        )
    };
    found.map(line).collect()
}

#[test]
fn nearer_folders_go_first_and_entries_count() {
    let dirs: [tempfile::TempDir; 3] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let [workspace, state, extra] = dirs.each_ref().map(tempfile::TempDir::path);
    let config = json!({"skills": {
        "load": {"extraDirs": [extra.join(FOLDER)]},
        "entries": {"off": {"enabled": false}, "keyed": {"apiKey": "k"}}
    }});
    let skills = skills(state, config);
    for place in [extra, state, workspace] {
        write(place, "all", &needs("all", "{}"));
    }
    for place in [extra, state] {
        write(place, "two", &needs("two", "{}"));
    }
    write(extra, "off", &needs("off", "{}"));
    let keyed = r#"{"primaryEnv":"K","requires":{"env":["K"]}}"#;
    write(extra, "keyed", &needs("keyed", keyed));
    write(extra, "named by its folder", "No head.");
    assert_eq!(
        shown(&skills, workspace),
        [
            "all workspace true false",
            "keyed extra true false",
            "named by its folder extra true false",
            "off extra false true",
            "two managed true false",
        ]
    );
    assert_eq!(skills.shared(), [state.join(FOLDER), extra.join(FOLDER)]);
}

#[test]
fn models_are_told_of_what_they_can_use() {
    let (workspace, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let skills = skills(state.path(), json!({}));
    assert_eq!(skills.told(workspace.path()), []);
    write(
        workspace.path(),
        "own",
        "---\ndescription: >\n  Two\n\n  lines.\n---\n",
    );
    write(state.path(), "shared", &needs("shared", "{}"));
    write(
        state.path(),
        "gone",
        &needs("gone", r#"{"requires":{"bins":["gone"]}}"#),
    );
    write(
        state.path(),
        "hidden",
        "---\ndisable-model-invocation: true\n---\n",
    );
    let told = |name: &str, description: &str, path: String| ToldSkill {
        name: name.into(),
        description: description.into(),
        path,
    };
    let file = state.path().join(FOLDER).join("shared").join(FILE);
    let expected = [
        told("own", "Two lines.", "skills/own/SKILL.md".into()),
        told("shared", "About shared.", file.display().to_string()),
    ];
    assert_eq!(skills.told(workspace.path()), expected);
}

#[test]
fn what_models_are_told_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let skills = skills(Path::new("/nowhere"), json!({}));
    for (count, told) in [(MAX_TOLD, MAX_TOLD), (MAX_TOLD + 1, MAX_TOLD)] {
        for n in 0..count {
            let words = "d".repeat(MAX_TOLD_CHARS + 1);
            write(
                dir.path(),
                &n.to_string(),
                &format!("---\ndescription: {words}\n---\n"),
            );
        }
        let found = skills.told(dir.path());
        assert_eq!(found.len(), told);
        assert!(
            found
                .iter()
                .all(|skill| skill.description.len() == MAX_TOLD_CHARS)
        );
    }
}

#[test]
fn only_the_start_of_a_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let skills = skills(dir.path(), json!({}));
    let head = "---\nmetadata: {\"openclaw\":{\"requires\":{\"bins\":[\"gh\"]}}}\n";
    let end = "---";
    for (bytes, expected) in [(MAX_HEAD_BYTES, 1), (MAX_HEAD_BYTES + 1, 0)] {
        let filler = bytes - head.len() - end.len();
        let text = format!("{head}{}\n{end}", "#".repeat(filler - 1));
        write(dir.path(), "one", &text);
        assert_eq!(skills.bins().len(), expected, "{bytes}");
    }
}

#[test]
fn folders_are_read_up_to_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    let skills = skills(dir.path(), json!({}));
    let text = "---\nname: x\n---\n";
    for n in 0..MAX_SKILLS {
        write(dir.path(), &n.to_string(), text);
    }
    assert_eq!(skills.heads(&[]).len(), MAX_SKILLS);
    write(dir.path(), "one too many", text);
    assert_eq!(skills.heads(&[]).len(), MAX_SKILLS);
}
