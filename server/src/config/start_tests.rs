//! Starts over real files: the first one, and the refusals.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

const FRESH: [u8; TOKEN_BYTES] = [0xab; TOKEN_BYTES];

struct Home {
    dir: tempfile::TempDir,
    paths: Paths,
}

/// A home whose configuration holds `text`, or none.
fn home(text: Option<&str>) -> Home {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths {
        state_dir: dir.path().join(".openclaw"),
        config_file: dir.path().join(".openclaw/openclaw.json"),
    };
    if let Some(text) = text {
        fs::create_dir(&paths.state_dir).unwrap();
        fs::write(&paths.config_file, text).unwrap();
    }
    Home { dir, paths }
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::new("/home/u", variables.iter().copied())
}

fn start(
    home: &Home,
    variables: &[(&str, &str)],
    overrides: &Overrides,
) -> Result<Startup, String> {
    prepare(&home.paths, &environment(variables), overrides, FRESH).map_err(|error| {
        error
            .to_string()
            .replace(home.dir.path().to_str().unwrap(), "~")
    })
}

fn flags() -> Overrides {
    Overrides::default()
}

#[test]
fn the_first_start_writes_a_private_file_with_a_random_token() {
    let home = home(None);
    let startup = start(&home, &[], &flags()).unwrap();
    assert!(startup.first_start);
    let text = fs::read_to_string(&home.paths.config_file).unwrap();
    let token = "ab".repeat(32);
    // Plain JSON: any reader of the original's files takes it.
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        document,
        json!({ "gateway": { "mode": "local", "auth": { "mode": "token", "token": token } } })
    );
    assert!(
        text.starts_with("{\n  \"gateway\"") && text.ends_with("}\n"),
        "{text}"
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&home.paths.config_file), mode(&home.paths.state_dir)),
        (0o600, 0o700)
    );
    assert_eq!(startup.auth.secret().unwrap().expose(), token);
    assert_eq!((startup.port, startup.bind), (18_789, Bind::Loopback));
    assert_eq!(startup.loaded.issues, []);

    // The second start finds it, whatever randomness it brings.
    let again = prepare(&home.paths, &environment(&[]), &flags(), [1; TOKEN_BYTES]).unwrap();
    assert!(!again.first_start);
    assert_eq!(again.auth, startup.auth);
    assert_eq!(fs::read_to_string(&home.paths.config_file).unwrap(), text);
    assert_eq!(
        fs::read_to_string(home.paths.last_good_config_file()).unwrap(),
        text
    );
}

#[test]
fn a_secret_given_otherwise_is_not_joined_by_a_second_one() {
    let check = |variables: &[(&str, &str)], overrides: Overrides, secret: &str| {
        let home = home(None);
        let startup = start(&home, variables, &overrides).unwrap();
        let text = fs::read_to_string(&home.paths.config_file).unwrap();
        assert_eq!(
            text,
            "{\n  \"gateway\": {\n    \"mode\": \"local\"\n  }\n}\n"
        );
        assert_eq!(startup.auth.secret().unwrap().expose(), secret);
    };
    check(&[("OPENCLAW_GATEWAY_TOKEN", "env")], flags(), "env");
    check(&[("CLAWDBOT_GATEWAY_PASSWORD", "pw")], flags(), "pw");
    check(
        &[],
        Overrides {
            token: Some("flag".into()),
            ..flags()
        },
        "flag",
    );
    check(
        &[],
        Overrides {
            password: Some("flag".into()),
            ..flags()
        },
        "flag",
    );
}

#[test]
fn a_first_file_that_cannot_be_written_is_a_clear_error() {
    let mut home = home(None);
    // A place where not even the superuser makes directories.
    home.paths.config_file = "/proc/none/openclaw.json".into();
    let error = start(&home, &[], &flags()).unwrap_err();
    assert!(
        error.starts_with("cannot write the first configuration /proc/none/openclaw.json: "),
        "{error}"
    );
}

#[test]
fn under_nix_nothing_is_written() {
    let home = home(None);
    let nix = ("OPENCLAW_NIX_MODE", "1");
    let error = start(&home, &[nix], &flags()).unwrap_err();
    assert!(
        error.starts_with("gateway start blocked: gateway.mode is not set"),
        "{error}"
    );
    let allowed = Overrides {
        allow_unconfigured: true,
        ..flags()
    };
    start(&home, &[nix, ("OPENCLAW_GATEWAY_TOKEN", "t")], &allowed).unwrap();
    assert!(!home.paths.config_file.exists());
}

#[test]
fn the_port_comes_from_flag_then_environment_then_configuration() {
    let check = |flag: Option<u16>,
                 variables: &[(&str, &str)],
                 configured: Option<u16>,
                 expected: Result<u16, &str>| {
        let found = resolve_port(flag, &environment(variables), configured)
            .map_err(|error| error.to_string());
        assert_eq!(
            found,
            expected.map_err(str::to_owned),
            "{flag:?} {variables:?} {configured:?}"
        );
    };
    let new = ("OPENCLAW_GATEWAY_PORT", "3000");
    check(None, &[], None, Ok(18_789));
    check(None, &[], Some(2000), Ok(2000));
    check(
        None,
        &[new, ("CLAWDBOT_GATEWAY_PORT", "4000")],
        Some(2000),
        Ok(3000),
    );
    check(
        None,
        &[("CLAWDBOT_GATEWAY_PORT", "4000")],
        Some(2000),
        Ok(4000),
    );
    check(
        None,
        &[("OPENCLAW_GATEWAY_PORT", " ")],
        Some(2000),
        Ok(2000),
    );
    check(Some(5000), &[new], Some(2000), Ok(5000));
    check(Some(0), &[new], None, Ok(0));
    for (value, shown) in [
        ("0", "\"0\""),
        ("65536", "\"65536\""),
        ("80x", "\"80x\""),
        ("-1", "\"-1\""),
    ] {
        let expected = format!("OPENCLAW_GATEWAY_PORT={shown} is not a port (1 to 65535)");
        check(
            None,
            &[("OPENCLAW_GATEWAY_PORT", value)],
            Some(2000),
            Err(&expected),
        );
    }
}

/// Starts with the file `text`; `expected` is the bind mode, or how the refusal begins and what it holds besides.
fn check(
    text: &str,
    variables: &[(&str, &str)],
    overrides: &Overrides,
    expected: Result<Bind, [&str; 2]>,
) {
    let home = home(Some(text));
    match (start(&home, variables, overrides), expected) {
        (Ok(startup), Ok(bind)) => assert_eq!(startup.bind, bind, "{text}"),
        (Err(error), Err([begins, holds])) => {
            assert!(
                error.starts_with(begins) && error.contains(holds),
                "{text}: {error}"
            );
        }
        (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
    }
    assert_eq!(
        fs::read_to_string(&home.paths.config_file).unwrap(),
        text,
        "the user's file changed"
    );
}

#[test]
fn the_mode_must_be_local() {
    let token = [("OPENCLAW_GATEWAY_TOKEN", "t")];
    let allowed = Overrides {
        allow_unconfigured: true,
        ..flags()
    };
    let unset = "gateway start blocked: gateway.mode is not set in ~/.openclaw/openclaw.json";
    check(
        r"{gateway: {mode: 'local'}}",
        &token,
        &flags(),
        Ok(Bind::Loopback),
    );
    check("{}", &token, &flags(), Err([unset, "--allow-unconfigured"]));
    check("{}", &token, &allowed, Ok(Bind::Loopback));
    check(
        r"{gateway: {mode: 'locl'}}",
        &token,
        &flags(),
        Err([
            unset,
            "(gateway.mode must be one of \"local\", \"remote\"; the value is ignored)",
        ]),
    );
    let remote = "gateway start blocked: gateway.mode is \"remote\" in ~/.openclaw/openclaw.json";
    check(
        r"{gateway: {mode: 'remote'}}",
        &token,
        &flags(),
        Err([remote, "set it to \"local\""]),
    );
    check(
        r"{gateway: {mode: 'remote'}}",
        &token,
        &allowed,
        Err([remote, ""]),
    );
}

#[test]
fn without_a_secret_nothing_starts_unless_tailscale_vouches() {
    let no_token = "no gateway token is set, so nobody could connect";
    let no_password = "no gateway password is set, so nobody could connect";
    check(
        r"{gateway: {mode: 'local'}}",
        &[],
        &flags(),
        Err([
            no_token,
            "set gateway.auth.token in ~/.openclaw/openclaw.json, or pass --token, or set OPENCLAW_GATEWAY_TOKEN",
        ]),
    );
    check(
        r"{gateway: {mode: 'local', auth: {mode: 'password', token: 't'}}}",
        &[],
        &flags(),
        Err([no_password, "OPENCLAW_GATEWAY_PASSWORD"]),
    );
    check(
        r"{gateway: {mode: 'local', auth: {token: 7}}}",
        &[],
        &flags(),
        Err([
            no_token,
            "(gateway.auth.token must be of type \"string\"; the value is ignored)",
        ]),
    );
    check(
        r"{gateway: {mode: 'local', auth: {token: '${GONE}'}}}",
        &[],
        &flags(),
        Err([no_token, "GONE"]),
    );
    check(
        r"{gateway: {mode: 'local', tailscale: {mode: 'serve'}}}",
        &[],
        &flags(),
        Ok(Bind::Loopback),
    );
    check(
        r"{gateway: {mode: 'local', auth: {allowTailscale: true}}}",
        &[],
        &flags(),
        Ok(Bind::Loopback),
    );
    check(
        r"{gateway: {mode: 'local', auth: {allowTailscale: true}, bind: 'lan'}}",
        &[],
        &flags(),
        Err([
            "refusing to listen beyond loopback (bind lan) without a gateway token",
            "",
        ]),
    );
    check(
        r"{gateway: {mode: 'local', auth: {mode: 'password', allowTailscale: true}}}",
        &[],
        &flags(),
        Err([no_password, ""]),
    );
}

#[test]
fn what_keeps_somebody_out_is_not_left_out() {
    let token = [("OPENCLAW_GATEWAY_TOKEN", "t")];
    let blocked = "gateway start blocked: ~/.openclaw/openclaw.json";
    for (text, place) in [
        (
            "auth: {strictDevices: 'true'}",
            "gateway.auth.strictDevices must be of type \"boolean\"",
        ),
        (
            "nodes: {denyCommands: 'system.run'}",
            "gateway.nodes.denyCommands must be of type \"array\"",
        ),
        (
            "nodes: {denyCommands: ['x', 7]}",
            "gateway.nodes.denyCommands.1",
        ),
        ("tls: {enabled: 'yes'}", "gateway.tls.enabled"),
        ("auth: []", "gateway.auth must be"),
    ] {
        let text = format!("{{gateway: {{mode: 'local', {text}}}}}");
        check(&text, &token, &flags(), Err([blocked, place]));
    }
    for (text, place) in [
        ("tools: {deny: 'exec'}", "tools.deny must be"),
        (
            "tools: {exec: {ask: 'ever'}}",
            "tools.exec.ask must be one of",
        ),
        (
            "agents: {list: [{id: 'a', tools: {deny: 'exec'}}]}",
            "agents.list.0.tools.deny",
        ),
    ] {
        let text = format!("{{gateway: {{mode: 'local'}}, {text}}}");
        check(&text, &token, &flags(), Err([blocked, place]));
    }
    // A misspelt name may be another program's setting: it is reported.
    let home = home(Some(
        "{gateway: {mode: 'local', auth: {strictDevice: true}}}",
    ));
    let startup = start(&home, &token, &flags()).unwrap();
    let [issue] = startup.loaded.issues.as_slice() else {
        panic!("{:?}", startup.loaded.issues);
    };
    assert_eq!(issue.path, "gateway.auth.strictDevice");
    assert!(issue.message.contains("strictDevices"), "{issue:?}");
}

#[test]
fn bind_and_tailscale_must_agree() {
    let token = [("OPENCLAW_GATEWAY_TOKEN", "t")];
    check(
        r"{gateway: {mode: 'local', bind: 'lan'}}",
        &token,
        &flags(),
        Ok(Bind::Lan),
    );
    let flag = Overrides {
        bind: Some(Bind::Auto),
        ..flags()
    };
    check(
        r"{gateway: {mode: 'local', bind: 'lan'}}",
        &token,
        &flag,
        Ok(Bind::Auto),
    );
    check(
        r"{gateway: {mode: 'local', bind: 'lan', tailscale: {mode: 'serve'}}}",
        &token,
        &flags(),
        Err(["tailscale serve needs bind loopback, not lan", ""]),
    );
    let funnel = Overrides {
        tailscale: Some(TailscaleMode::Funnel),
        ..flags()
    };
    check(
        r"{gateway: {mode: 'local'}}",
        &token,
        &funnel,
        Err(["tailscale funnel needs auth mode password", ""]),
    );
    check(
        r"{gateway: {mode: 'local', auth: {password: 'pw'}}}",
        &token,
        &funnel,
        Ok(Bind::Loopback),
    );
    // What was to be encrypted is not served in clear.
    check(
        r"{gateway: {mode: 'local', tls: {enabled: true}}}",
        &token,
        &flags(),
        Err(["gateway.tls.enabled is set", "tailscale serve"]),
    );
}

#[test]
fn a_custom_address_that_is_none_is_reported() {
    for (host, address) in [
        ("10.1.2.3", Some(Ipv4Addr::new(10, 1, 2, 3))),
        ("example.org", None),
    ] {
        let home = home(Some(&format!(
            r"{{gateway: {{mode: 'local', bind: 'custom', customBindHost: '{host}', auth: {{token: 't'}}}}}}"
        )));
        let startup = start(&home, &[], &flags()).unwrap();
        assert_eq!(startup.custom_bind_host, address);
        assert_eq!(startup.loaded.issues.len(), usize::from(address.is_none()));
    }
}

#[test]
fn a_broken_file_starts_on_defaults_only_with_a_secret_from_elsewhere() {
    let broken = "{\n  gateway: {mode: 'remote'\n";
    check(
        broken,
        &[],
        &flags(),
        Err([
            "~/.openclaw/openclaw.json is not valid JSON5: EOF parsing object",
            "--token",
        ]),
    );
    check(
        "{a: 1 b: 2}",
        &[],
        &flags(),
        Err([
            "~/.openclaw/openclaw.json is not valid JSON5: expected comma at line 1, column 7",
            "OPENCLAW_GATEWAY_TOKEN",
        ]),
    );
    check(
        broken,
        &[("OPENCLAW_GATEWAY_TOKEN", "t")],
        &flags(),
        Ok(Bind::Loopback),
    );
    let flag = Overrides {
        token: Some("t".into()),
        ..flags()
    };
    check(broken, &[], &flag, Ok(Bind::Loopback));
}

#[test]
fn a_broken_file_starts_on_the_last_good_copy() {
    let home = home(Some(
        r"{gateway: {mode: 'local', port: 4321, auth: {token: 'first'}}}",
    ));
    start(&home, &[], &flags()).unwrap();
    fs::write(&home.paths.config_file, "{").unwrap();
    let startup = start(&home, &[], &flags()).unwrap();
    assert_eq!(
        (startup.port, startup.loaded.source),
        (4321, Source::LastGood)
    );
    assert_eq!(startup.auth.secret().unwrap().expose(), "first");

    // A secret that was replaced stays replaced, whatever else is wrong with the file.
    let rotated = "{gateway: {auth: {token: 'new'}} port: 1}";
    fs::write(&home.paths.config_file, rotated).unwrap();
    let error = start(&home, &[], &flags()).unwrap_err();
    assert!(error.contains("is not valid JSON5"), "{error}");
    assert_eq!(fs::read_to_string(&home.paths.config_file).unwrap(), "{");
}
