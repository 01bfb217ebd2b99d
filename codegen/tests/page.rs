//! The page: every name has its anchor, no link is dead, nothing is loaded, and markup in the schema stays text.

#![allow(clippy::expect_used, clippy::panic)] // in a test a panic is the report

mod support;

use std::collections::BTreeSet;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use support::{fixture, protocols, real};

#[test]
fn the_page_has_an_anchor_for_everything_and_no_dead_link() {
    for (model, outputs) in protocols() {
        let page = outputs
            .get("schema/dist/protocol.html")
            .expect("the page is emitted");
        let ids = attributes(page, "id");
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len(), "every id stands once");
        for link in attributes(page, "href") {
            match link.strip_prefix('#') {
                Some(anchor) => assert!(unique.contains(anchor), "#{anchor} leads nowhere"),
                None => assert!(
                    link.starts_with("protocol/"),
                    "{link}: only the documents beside the page"
                ),
            }
        }
        let methods = model.methods().map(|m| format!("method-{}", m.name));
        let events = model.events().map(|e| format!("event-{}", e.name));
        let types = model.definitions.iter().map(|d| format!("type-{}", d.name));
        let errors = model.errors.iter().map(|e| format!("error-{}", e.name));
        let limits = model.limits.iter().map(|l| format!("limit-{}", l.name));
        let closes = model.closes.iter().map(|c| format!("close-{}", c.name));
        for anchor in methods
            .chain(events)
            .chain(types)
            .chain(errors)
            .chain(limits)
            .chain(closes)
        {
            assert!(unique.contains(anchor.as_str()), "{anchor} is missing");
        }
    }
}

#[test]
fn the_page_needs_nothing_and_runs_nothing_but_its_own() {
    let (_, outputs) = real();
    let page = outputs
        .get("schema/dist/protocol.html")
        .expect("the page is emitted");
    let policy = attributes(page, "content")
        .into_iter()
        .find(|content| content.starts_with("default-src 'none'"))
        .expect("a policy")
        .replace("&#39;", "'");
    for (tag, directive) in [("style", "style-src"), ("script", "script-src")] {
        let open = format!("<{tag}>");
        assert_eq!(page.matches(&open).count(), 1, "one {tag}");
        let start = page.find(&open).expect("found") + open.len();
        let length = page[start..].find(&format!("</{tag}>")).expect("closed");
        let digest = STANDARD.encode(Sha256::digest(&page[start..start + length]));
        assert!(
            policy.contains(&format!("{directive} 'sha256-{digest}'")),
            "{tag}: {digest} is not in {policy}"
        );
    }
    for forbidden in [" src=", " style=\"", "onclick=", "url(", "@import"] {
        assert!(!page.contains(forbidden), "{forbidden} loads or runs");
    }
}

#[test]
fn markup_in_the_schema_stays_text() {
    let dir = tempfile::tempdir().expect("a folder");
    fixture(dir.path());
    let evil = "</pre><script>alert('1')</script>&amp;\"";
    let edit = |file: &str, change: &dyn Fn(&mut Value)| {
        let path = dir.path().join(file);
        let text = fs::read_to_string(&path).expect("a fixture file");
        let mut value: Value = serde_json::from_str(&text).expect("JSON");
        change(&mut value);
        fs::write(&path, value.to_string()).expect("written");
    };
    edit("groups/tea.json", &|tea| {
        tea["description"] = json!(evil);
        tea["methods"]["tea.pour"]["summary"] = json!(evil);
        tea["methods"]["tea.pour"]["description"] = json!(evil);
        tea["events"]["tea.ready"]["summary"] = json!(evil);
        tea["$defs"]["Cup"]["description"] = json!(evil);
        tea["$defs"]["Notes"]["properties"]["by"]["description"] = json!(evil);
        tea["$defs"]["Notes"]["examples"] = json!([{ "by": evil, evil: evil }]);
        tea["$defs"]["PourParams"]["examples"] = json!([{ "idempotencyKey": evil }]);
    });
    edit("protocol.json", &|protocol| {
        protocol["description"] = json!(evil);
        protocol["limits"]["maxCups"]["description"] = json!(evil);
        protocol["errors"]["unknownMethod"]["text"] = json!(evil);
        protocol["closes"]["normal"]["reason"] = json!(evil);
    });
    let (_, outputs) = match codegen::generate(dir.path()) {
        Ok(generated) => generated,
        Err(errors) => panic!("{errors}"),
    };
    let page = outputs
        .get("schema/dist/protocol.html")
        .expect("the page is emitted");
    assert!(!page.contains("alert('1')</script>"), "it would run");
    assert_eq!(page.matches("<script>").count(), 1, "only our own");
    let shown = page.matches("&lt;/pre&gt;&lt;script&gt;alert(").count();
    assert!(shown >= 12, "everything is shown as it is written: {shown}");
}

/// Values of an attribute, outside of style and script, where no `name="` stands.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let mark = format!(" {name}=\"");
    page.split(mark.as_str())
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}
