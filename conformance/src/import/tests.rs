//! Tables for [`super`].

use super::*;

#[test]
fn frames_are_reduced_and_otherwise_kept() {
    for (frame, expected, features) in [
        (r#"{"b":1,"a":2}"#, r#"{"b":1,"a":2}"#, None),
        (
            r#"{"a":1,"systemPromptReport":{"x":[1,{"y":"}"}]},"b":2}"#,
            r#"{"a":1,"b":2}"#,
            None,
        ),
        (r#"{"systemPromptReport":{},"b":2}"#, r#"{"b":2}"#, None),
        (
            r#"{"s":[{"systemPromptReport":1},{"systemPromptReport":2}]}"#,
            r#"{"s":[{},{}]}"#,
            None,
        ),
        (
            r#"{"models":[1,2,3,4,5],"n":0}"#,
            r#"{"models":[1,2,3],"n":0}"#,
            None,
        ),
        (
            r#"{"features":{"methods":["a"]},"n":0}"#,
            r#"{"features":{"$shared":"features"},"n":0}"#,
            Some(r#"{"methods":["a"]}"#),
        ),
    ] {
        let (reduced, own) = reduce(frame).unwrap();
        assert_eq!((reduced.get(), own.as_deref()), (expected, features));
    }
}

#[test]
fn patterns_select() {
    for (patterns, name, expected) in [
        (&[][..], "agent-run", true),
        (&["agent-run"][..], "agent-run", true),
        (&["agent-run"][..], "agent-run-other", false),
        (&["x", "agent-*"][..], "agent-run-other", true),
    ] {
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        assert_eq!(selected(name, &patterns), expected, "{patterns:?} {name}");
    }
}

fn keys() -> TestKeys {
    TestKeys::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("keys.json")).unwrap()
}

fn record(lines: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    (folder, path)
}

const META: &str = r#"{"t":0,"dir":"meta","data":{"name":"sample","description":"every kind of line","fresh":true,"config":{"gateway":{"auth":{"mode":"password"}}},"env":{"A":"1"},"token":"tok"}}"#;

#[test]
fn a_recording_becomes_a_session_file() {
    let signature =
        "PtEdQb_It_qQqfgVYxR6NgG-wFcWH_V03Bnk3j2brr_gtHW--4O46aSvq0qZWFzL602p21E48r5LOIcwhMyWAQ";
    let unsigned = format!(
        r#"{{"t":6,"conn":"A","dir":"c2s","data":{{"type":"req","id":"A-1","method":"connect","params":{{"client":{{"id":"cli","mode":"cli"}},"device":{{"publicKey":"someone else's","signature":"{signature}","signedAt":1}}}}}}}}"#
    );
    let (_folder, path) = record(&[
        META,
        r#"{"t":4,"conn":"A","dir":"open","headers":{"host":"127.0.0.1:18789"}}"#,
        r#"{"t":5,"conn":"A","dir":"s2c","data":{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":1}}}"#,
        &unsigned,
        r#"{"t":7,"conn":"A","dir":"c2s","data":"{\"type\":","raw":true}"#,
        r#"{"t":8,"conn":"A","dir":"c2s","data":{"z":1,"a":{"$repeat":"x","count":5000}},"binary":true}"#,
        r#"{"t":9,"dir":"mark","data":{"action":"signal","signal":"SIGTERM"}}"#,
        r#"{"t":10,"dir":"mark","data":{"action":"exec","argv":["openclaw"]}}"#,
        r#"{"t":11,"conn":"A","dir":"close","code":1008,"reason":"r","by":"gateway"}"#,
    ]);
    insta::assert_snapshot!(convert(&path, &keys()).unwrap().text);
}

#[test]
fn mistakes_in_a_recording_are_named() {
    for (lines, expected) in [
        (&[META, "{"][..], "sample.jsonl:2: EOF"),
        (
            &[META, r#"{"t":1,"dir":"open","conn":"A"}"#][..],
            "needs headers",
        ),
        (
            &[META, r#"{"t":1,"dir":"close","conn":"A","code":1}"#][..],
            "needs by",
        ),
        (&[META, r#"{"t":1,"dir":"up"}"#][..], "to be one of meta"),
        (
            &[r#"{"t":1,"dir":"mark","data":{}}"#][..],
            "to be the first line",
        ),
    ] {
        let (_folder, path) = record(lines);
        let error = convert(&path, &keys())
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_pattern_without_a_recording_is_an_error() {
    let (folder, _path) = record(&[META]);
    let to = tempfile::tempdir().unwrap();
    let error = import(folder.path(), to.path(), &["nope*".into()], &keys()).unwrap_err();
    assert_eq!(error.to_string(), "no recording matches \"nope*\"");
    assert_eq!(
        import(folder.path(), to.path(), &[], &keys()).unwrap(),
        ["sample"]
    );
    assert!(to.path().join("sample.json").is_file());
}
