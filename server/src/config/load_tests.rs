//! Loading over real files.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::*;
use crate::config::types::{AuthMode, Bind, GatewayMode, ModelsMode, SessionScope};

struct Home {
    _dir: tempfile::TempDir,
    paths: Paths,
}

fn home() -> Home {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths {
        state_dir: dir.path().to_path_buf(),
        config_file: dir.path().join("openclaw.json"),
    };
    Home { _dir: dir, paths }
}

fn load_text(text: &str) -> Loaded {
    let home = home();
    fs::write(&home.paths.config_file, text).unwrap();
    load(
        &home.paths,
        &Environment::new("/home/u", [("KEY", "from-env"), ("MODEL_KEY", "mk")]),
    )
}

fn issue_paths(loaded: &Loaded) -> Vec<&str> {
    loaded
        .issues
        .iter()
        .map(|issue| issue.path.as_str())
        .collect()
}

/// The base configuration of the recorded conversations, shortened to one model.
const RECORDED: &str = r#"{
  "logging": { "file": "/home/user/gateway.log" },
  "update": { "checkOnStart": false },
  "agents": { "defaults": { "workspace": "/home/user/workspace", "skipBootstrap": true,
    "model": { "primary": "mock/echo-1" }, "heartbeat": { "every": "0m" } } },
  "models": { "mode": "replace", "providers": { "mock": {
    "baseUrl": "http://127.0.0.1:18999/v1", "apiKey": "mock-key", "api": "openai-completions",
    "models": [ { "id": "echo-1", "name": "Echo 1", "api": "openai-completions", "reasoning": false, "input": ["text"],
      "cost": { "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0 }, "contextWindow": 128000, "maxTokens": 4096 } ] } } },
  "gateway": { "mode": "local", "port": 18789, "auth": { "mode": "token", "token": "tok" } }
}"#;

#[test]
fn a_configuration_of_the_original_is_read_in_full() {
    let loaded = load_text(RECORDED);
    assert_eq!(loaded.issues, []);
    assert!(!loaded.is_safe_mode());
    assert_eq!((loaded.source, loaded.exists), (Source::File, true));
    assert_eq!(loaded.raw.as_deref(), Some(RECORDED));
    // What the gateway does not read stays in the document.
    assert_eq!(
        loaded.parsed.as_ref().unwrap()["update"],
        json!({"checkOnStart": false})
    );
    let config = &loaded.config;
    assert_eq!(config.gateway.mode, Some(GatewayMode::Local));
    assert_eq!(config.gateway.port.unwrap().get(), 18_789);
    assert_eq!(config.gateway.auth.mode, Some(AuthMode::Token));
    assert_eq!(config.gateway.auth.token.as_ref().unwrap().expose(), "tok");
    assert_eq!(config.models.mode, ModelsMode::Replace);
    let provider = &config.models.providers["mock"];
    assert_eq!(provider.api_key.as_ref().unwrap().expose(), "mock-key");
    assert_eq!(provider.models[0].context_window.unwrap().get(), 128_000);
    assert_eq!(
        config.agents.defaults.model.primary.as_deref(),
        Some("mock/echo-1")
    );
    assert_eq!(
        config.agents.defaults.heartbeat.every.as_deref(),
        Some("0m")
    );
    assert!(config.agents.defaults.skip_bootstrap);
}

#[test]
fn defaults_are_those_of_the_contract() {
    let loaded = load_text("{}");
    let config = &*loaded.config;
    assert_eq!(*config, Config::default());
    assert_eq!(config.gateway.mode, None);
    assert_eq!(config.gateway.bind, Bind::Loopback);
    assert!(config.gateway.control_ui.enabled && config.gateway.tls.auto_generate);
    assert!(!config.gateway.tls.enabled);
    assert_eq!(config.session.main_key, "main");
    assert_eq!(config.session.scope, SessionScope::PerSender);
    assert_eq!(config.agents.default_id(), "main");
    assert_eq!(config.canvas_host.port.get(), 18_793);
}

#[test]
fn without_a_file_defaults_apply_silently() {
    let loaded = load(&home().paths, &Environment::default());
    assert_eq!(*loaded.config, Config::default());
    assert_eq!(
        (loaded.exists, loaded.raw, loaded.parsed),
        (false, None, None)
    );
    assert_eq!(
        (loaded.source, loaded.issues, loaded.unusable),
        (Source::Defaults, vec![], None)
    );
}

#[test]
fn bad_values_fall_back_one_by_one_and_are_reported() {
    let check = |text: &str, expected: &[&str]| {
        let loaded = load_text(text);
        assert_eq!(
            issue_paths(&loaded),
            expected,
            "{text}: {:?}",
            loaded.issues
        );
        assert_eq!(loaded.source, Source::File);
        assert!(loaded.is_safe_mode());
        loaded.config
    };
    let config = check(
        r"{gateway: {mode: 'local', port: 'x', bind: 'everywhere', auth: {token: 'tok'}, trustedProxies: ['::1', 5]}}",
        &["gateway.bind", "gateway.port", "gateway.trustedProxies.1"],
    );
    assert_eq!(
        (config.gateway.bind, config.gateway.port),
        (Bind::Loopback, None)
    );
    assert_eq!(config.gateway.trusted_proxies, ["::1"]);
    assert_eq!(config.gateway.auth.token.as_ref().unwrap().expose(), "tok");

    // What lacks a required member goes as a whole, its neighbours stay.
    let config = check(
        r"{agents: {list: [{id: 'main'}, {name: 'nobody'}, {id: 7}, {id: 'ops'}]}}",
        &["agents.list.1", "agents.list.2.id", "agents.list.2"],
    );
    let ids: Vec<&str> = config
        .agents
        .list
        .iter()
        .map(|agent| agent.id.as_str())
        .collect();
    assert_eq!(ids, ["main", "ops"]);

    let config = check(r"{gateway: 'no', session: {mainKey: 'm'}}", &["gateway"]);
    assert_eq!(config.session.main_key, "m");
    check("[1]", &[""]);
    check(r"{gateway: {auth: {mode: 5}}}", &["gateway.auth.mode"]);
    check(
        r"{agents: {defaults: {model: null}}}",
        &["agents.defaults.model"],
    );
    check(r"{a: [{$include: './x.json5'}]}", &["a.0.$include"]);
    check(
        r"{ui: {assistant: {name: '${GONE}'}}}",
        &["ui.assistant.name"],
    );

    // Indexes in issues are those of the file, whatever goes before them.
    let config = check(
        r"{gateway: {trustedProxies: ['${GONE}', 'a', 1, 'b', '${GONE}']}, agents: {list: [1, {id: 'ok'}, {id: 'x', model: 3, identity: {emoji: 1}}]}}",
        &[
            "gateway.trustedProxies.0",
            "gateway.trustedProxies.4",
            "agents.list.0",
            "agents.list.2.identity.emoji",
            "agents.list.2.model",
            "gateway.trustedProxies.2",
        ],
    );
    assert_eq!(config.gateway.trusted_proxies, ["a", "b"]);
    assert_eq!(config.agents.list.len(), 2);
}

#[test]
fn no_issue_shows_a_value() {
    let loaded = load_text(
        r#"{gateway: {auth: {token: ["s3cret"], password: {a: "s3cret"}, mode: "s3cret"}}, models: {providers: {p: {baseUrl: "", apiKey: 17173}}}}"#,
    );
    assert_eq!(loaded.issues.len(), 6, "{:?}", loaded.issues);
    let told = format!("{:?}", loaded.issues);
    assert!(
        !told.contains("s3cret") && !told.contains("17173"),
        "{told}"
    );
}

#[test]
fn variables_are_put_in_and_keys_may_be_named() {
    let loaded = load_text(
        r"{env: {vars: {OWN: 'own'}}, gateway: {auth: {token: '${KEY}'}, remote: {url: 'ws://${OWN}/'}},
          models: {providers: {
            a: {baseUrl: 'http://a', apiKey: 'MODEL_KEY'}, b: {baseUrl: 'http://b', apiKey: 'NOT_SET'},
            c: {baseUrl: 'http://c', apiKey: '${MODEL_KEY}', headers: {'x-key': '${KEY}'}}}}}",
    );
    assert_eq!(loaded.issues, []);
    let config = &loaded.config;
    assert_eq!(
        config.gateway.auth.token.as_ref().unwrap().expose(),
        "from-env"
    );
    assert_eq!(config.gateway.remote.url.as_deref(), Some("ws://own/"));
    assert_eq!(loaded.environment.get("OWN"), Some("own"));
    let keys = ["a", "b", "c"].map(|id| {
        config.models.providers[id]
            .api_key
            .as_ref()
            .unwrap()
            .expose()
    });
    assert_eq!(keys, ["mk", "NOT_SET", "mk"]);
    assert_eq!(
        config.models.providers["c"].headers["x-key"].expose(),
        "from-env"
    );
    // The document keeps the names, so that writing it back writes no secret.
    assert_eq!(
        loaded.parsed.as_ref().unwrap()["gateway"]["auth"]["token"],
        "${KEY}"
    );
}

#[test]
fn the_main_key_is_canonical() {
    for (given, expected) in [("' Work '", "work"), ("'  '", "main"), ("'main'", "main")] {
        let loaded = load_text(&format!("{{session: {{mainKey: {given}}}}}"));
        assert_eq!(loaded.config.session.main_key, expected);
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let loaded = load_text(
        r"{gateway: {auth: {token: '${KEY}', password: 'from-env'}}, models: {providers: {p: {baseUrl: 'u', apiKey: '${KEY}', headers: {h: '${KEY}'}}}}}",
    );
    let told = format!("{loaded:?} {:?}", loaded.environment);
    assert!(!told.contains("from-env"), "{told}");
}

#[test]
fn a_file_that_does_not_parse_gives_way_to_the_last_good_copy() {
    let (home, environment) = (home(), Environment::default());
    let (file, copy) = (
        home.paths.config_file.clone(),
        home.paths.last_good_config_file(),
    );
    let good = "{gateway: {mode: 'local', auth: {token: 'tok'}}} // mine";
    fs::write(&file, good).unwrap();
    remember(&load(&home.paths, &environment), &home.paths).unwrap();
    assert_eq!(fs::read_to_string(&copy).unwrap(), good);
    assert_eq!(
        fs::metadata(&copy).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let broken = "{gateway: {\n  mode: 'local'\n  auth: 1}}";
    fs::write(&file, broken).unwrap();
    let loaded = load(&home.paths, &environment);
    assert_eq!(loaded.source, Source::LastGood);
    assert_eq!(
        loaded.config.gateway.auth.token.as_ref().unwrap().expose(),
        "tok"
    );
    assert_eq!(
        (loaded.raw.as_deref(), &loaded.parsed, loaded.exists),
        (Some(broken), &None, true)
    );
    assert_eq!(
        loaded.unusable.as_deref(),
        Some("is not valid JSON5: expected comma at line 3, column 3")
    );
    assert_eq!(issue_paths(&loaded), [""]);
    // Neither the user's file nor the copy is touched by a load that fell back.
    remember(&loaded, &home.paths).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), broken);
    assert_eq!(fs::read_to_string(&copy).unwrap(), good);

    fs::write(&copy, "also broken").unwrap();
    let loaded = load(&home.paths, &environment);
    assert_eq!(
        (loaded.source, &*loaded.config),
        (Source::Defaults, &Config::default())
    );
}

#[test]
fn only_a_load_without_issues_is_remembered() {
    let (home, environment) = (home(), Environment::default());
    fs::write(&home.paths.config_file, "{gateway: {port: 'x'}}").unwrap();
    remember(&load(&home.paths, &environment), &home.paths).unwrap();
    assert!(!home.paths.last_good_config_file().exists());
}

#[test]
fn a_text_that_passed_before_loads_alike_and_is_checked_when_it_no_longer_decodes() {
    let environment = Environment::new("/home/u", [("KEY", "k")]);
    for (text, issues) in [
        (RECORDED, 0),
        ("{gateway: {auth: {token: '${KEY}'}}}", 0),
        ("{gateway: {auth: {token: '${GONE}'}, port: 'x'}}", 2),
        ("{gateway: {port: 'x'}}", 1),
    ] {
        let home = home();
        fs::write(&home.paths.config_file, text).unwrap();
        let checked = load(&home.paths, &environment);
        fs::write(home.paths.last_good_config_file(), text).unwrap();
        let trusted = load(&home.paths, &environment);
        assert_eq!(
            (&trusted.config, &trusted.issues),
            (&checked.config, &checked.issues)
        );
        assert_eq!(trusted.issues.len(), issues, "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_counts_as_broken() {
    let environment = Environment::default();
    let check = |prepare: fn(&Path), expected: &str| {
        let home = home();
        prepare(&home.paths.config_file);
        let loaded = load(&home.paths, &environment);
        assert_eq!((loaded.source, loaded.exists), (Source::Defaults, true));
        assert!(
            loaded.unusable.as_deref().unwrap().starts_with(expected),
            "{:?}",
            loaded.unusable
        );
    };
    check(
        |path| fs::write(path, [0xff, 0xfe]).unwrap(),
        "is not UTF-8 text",
    );
    check(|path| fs::create_dir(path).unwrap(), "cannot be read: ");
    check(
        |path| fs::write(path, " ".repeat(MAX_FILE_BYTES as usize + 1)).unwrap(),
        "is larger than ",
    );
    check(
        |path| fs::write(path, " ".repeat(MAX_FILE_BYTES as usize)).unwrap(),
        "is not valid JSON5: EOF",
    );
    check(
        |path| fs::write(path, "[".repeat(100_000)).unwrap(),
        "is not valid JSON5: nested deeper",
    );
}

#[test]
fn whatever_passes_the_schema_decodes() {
    use proptest::prelude::*;

    /// Values of every kind, at and around the limits that the types have.
    fn leaf() -> impl Strategy<Value = Value> {
        prop::sample::select(vec![
            json!(null),
            json!(true),
            json!(false),
            json!(0),
            json!(1),
            json!(-1),
            json!(1.5),
            json!(65_535),
            json!(65_536),
            json!(u64::MAX),
            json!(""),
            json!("local"),
            json!("token"),
            json!("x".repeat(51)),
            json!([]),
            json!({}),
            json!(["a"]),
            json!([1]),
            json!({"id": "a"}),
            json!([{"id": "a"}]),
            json!({"primary": "a/b", "fallbacks": ["c"]}),
            json!({"a": {"baseUrl": "u", "models": [{"id": "m"}]}}),
        ])
    }

    /// Every path of the schema that leads to a member.
    fn members(schema: &Value, path: &[String], found: &mut Vec<Vec<String>>) {
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let path: Vec<String> = path.iter().chain([name]).cloned().collect();
            members(member, &path, found);
            found.push(path);
        }
    }
    let mut paths = Vec::new();
    members(&crate::config::schema(), &[], &mut paths);
    assert!(paths.len() > 60, "{}", paths.len());

    proptest!(ProptestConfig::with_cases(2_000), |(edits in prop::collection::vec((prop::sample::select(paths), leaf()), 1..4))| {
        let mut document = json!({});
        for (path, value) in edits {
            let mut target = &mut document;
            for name in path {
                if !target.is_object() {
                    *target = json!({});
                }
                target = &mut target[name];
            }
            *target = value;
        }
        let loaded = settle(Path::new("x"), None, Source::File, document, false, &Environment::default());
        prop_assert!(!loaded.issues.iter().any(|issue| issue.message.starts_with("cannot be used")), "{:?}", loaded.issues);
    });
}
