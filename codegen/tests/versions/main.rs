//! A protocol of two versions, and what a client of the older one sees of it.
//!
//! `generated/` is what codegen makes of `tests/evolution`, a schema of version 4 that still serves
//! version 3. Nothing but schema files tell the versions apart.

#![allow(clippy::expect_used)] // in a test a panic is the report

#[allow(dead_code, unused_imports, unreachable_pub, clippy::all, clippy::pedantic)]
#[rustfmt::skip]
mod generated;
mod mistakes;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use generated::{call, events, methods, protocol, server, tables, types};
pub(crate) use openclaw_schema_runtime as rt;

use call::{Call, Problem};
use events::EventKind;
use methods::{Method, Refusal, authorize, authorize_at};
use protocol::Role;
use rt::Answer;

/// Set to write `generated/` anew.
const REGENERATE: &str = "REGENERATE";

#[test]
fn the_generated_protocol_is_fresh() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a folder");
    for (from, to) in [("tests/evolution", ""), ("../schema/meta", "meta")] {
        copy(&own.join(from), &folder.path().join(to));
    }
    let (_, outputs) = codegen::generate(folder.path()).unwrap_or_else(|e| panic!("{e}"));
    for name in [
        "call", "events", "methods", "protocol", "server", "tables", "types",
    ] {
        let text = outputs
            .get(&format!("generated/src/{name}.rs"))
            .expect("a module")
            // It is no crate of its own here; its macro is not called.
            .replace("crate::", "super::")
            .replace("$super::", "$crate::");
        let path = own.join(format!("tests/versions/generated/{name}.rs"));
        if std::env::var_os(REGENERATE).is_some() {
            fs::write(&path, &text).expect("written");
        }
        assert!(
            fs::read_to_string(&path).is_ok_and(|old| old == text),
            "{name}.rs is stale: run `REGENERATE=1 cargo test -p codegen --test versions`"
        );
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn the_newest_shared_version_is_negotiated() {
    assert_eq!((protocol::OLDEST_VERSION, protocol::VERSION), (3, 4));
    for (min, max, version) in [
        (1, 2, None),
        (1, 3, Some(3)),
        (3, 3, Some(3)),
        (3, 4, Some(4)),
        (4, 4, Some(4)),
        (1, 9, Some(4)),
        (5, 9, None),
        // A client that contradicts itself.
        (4, 3, None),
    ] {
        assert_eq!(protocol::negotiate(min, max), version, "{min}..{max}");
    }
}

#[test]
fn a_newer_method_is_unknown() {
    let unknown = |name: &str| Refusal::Unknown(name.to_owned());
    let admin = ["operator.admin"];
    for (version, role, scopes, name, expected) in [
        (
            4,
            Role::Operator,
            &admin[..],
            "shop.rate",
            Ok(Method::ShopRate),
        ),
        (
            3,
            Role::Operator,
            &admin[..],
            "shop.list",
            Ok(Method::ShopList),
        ),
        (
            3,
            Role::Operator,
            &admin[..],
            "shop.rate",
            Err(unknown("shop.rate")),
        ),
    ] {
        assert_eq!(
            authorize_at(version, role, scopes, name),
            expected,
            "{name} at {version}"
        );
    }
    // For everybody, exactly as a name that does not exist.
    for (role, scopes) in [
        (Role::Operator, &["operator.read"][..]),
        (Role::Operator, &[]),
        (Role::Node, &admin),
    ] {
        let newer = authorize_at(3, role, scopes, "shop.rate").expect_err("refused");
        let absent = authorize(role, scopes, "shop.none").expect_err("refused");
        assert_eq!(newer.error(), absent.error());
    }
}

/// Params of a request by a client of a version: the call, or the words of the refusal.
fn read(version: u64, method: &str, params: &str) -> Result<Call, String> {
    let text = format!(r#"{{"type":"req","id":"1","method":"{method}","params":{params}}}"#);
    let gate = |name: &str| Method::from_name(name);
    let read = if version < protocol::VERSION {
        call::read_request_at(&text, version, gate)
    } else {
        call::read_request(&text, gate)
    };
    match read {
        Ok(request) => Ok(request.params.expect("the gate lets everything in")),
        Err(Problem::Params { violations, .. }) => Err(rt::describe(&violations)),
        Err(problem) => Err(format!("{problem:?}")),
    }
}

#[test]
fn newer_params_are_unexpected_or_ignored() {
    let order = |more: &str| {
        format!(r#"{{"idempotencyKey":"k","item":{{"name":"tea","state":"fresh"{more}}}}}"#)
    };
    for (version, params, refusal) in [
        (4, order(r#","rating":5"#), None),
        (3, order(""), None),
        (
            3,
            order(r#","rating":5"#),
            Some("at /item: unexpected property 'rating'"),
        ),
        (
            3,
            order(r#","pack":{"kind":"box","size":1,"lid":true}"#),
            Some(
                "at /item/pack: unexpected property 'lid'; at /item/pack: must match a schema in anyOf",
            ),
        ),
    ] {
        let read = read(version, "shop.order", &params);
        assert_eq!(read.err().as_deref(), refusal, "{params} at {version}");
    }
    // An open object passes over it, whatever it is; the handler does not see it.
    let list = |version, params| match read(version, "shop.list", params) {
        Ok(Call::ShopList(params)) => Ok(params.sort),
        Ok(_) => panic!("another method"),
        Err(refusal) => Err(refusal),
    };
    assert_eq!(list(4, r#"{"sort":"name"}"#), Ok(Some("name".to_owned())));
    assert_eq!(list(3, r#"{"sort":"name"}"#), Ok(None));
    assert_eq!(
        list(4, r#"{"sort":7}"#),
        Err("at /sort: must be string".to_owned())
    );
    assert_eq!(list(3, r#"{"sort":7}"#), Ok(None));
}

/// Answers everything with all that version 4 has.
struct Shop;

fn from<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("a value of the type")
}

const ITEM: &str = r#"{"name":"tea","state":"fresh","rating":5}"#;

impl server::ShopMethods<()> for Shop {
    async fn shop_list(
        &self,
        (): &(),
        _: types::ListParams,
    ) -> Result<types::ListResult, types::ErrorShape> {
        Ok(from(&format!(r#"{{"items":[{ITEM}],"total":1}}"#)))
    }

    async fn shop_order(
        &self,
        (): &(),
        params: types::OrderParams,
    ) -> Result<
        server::Staged<types::OrderAccepted, types::Receipt, types::OrderAccepted>,
        types::ErrorShape,
    > {
        let accepted = || from::<types::OrderAccepted>(r#"{"status":"accepted","place":2}"#);
        let receipt =
            from::<types::Receipt>(&format!(r#"{{"state":"packed","item":{ITEM},"points":3}}"#));
        let failed = params.idempotency_key.as_str() == "fail";
        Ok(server::Staged::Both {
            first: accepted(),
            then: Box::pin(async move {
                if failed {
                    let error = from(r#"{"code":"UNAVAILABLE","message":"sold out"}"#);
                    return Err(rt::Failure {
                        error,
                        payload: Some(accepted()),
                    });
                }
                Ok(receipt)
            }),
        })
    }

    async fn shop_rate(
        &self,
        (): &(),
        _: types::RateParams,
    ) -> Result<Option<types::Item>, types::ErrorShape> {
        Ok(None)
    }

    async fn shop_poke(
        &self,
        (): &(),
        _: types::PokeParams,
    ) -> Result<types::Choice, types::ErrorShape> {
        Ok(from(&format!(
            r#"{{"state":"packed","item":{ITEM},"points":3}}"#
        )))
    }
}

fn now<T>(mut future: rt::BoxFuture<'static, T>) -> T {
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the shop answers at once"),
    }
}

/// The texts of the frames that answer a call, without what all responses share.
fn answers(version: u64, method: &str, params: &str) -> Vec<String> {
    let call = read(version, method, params).expect("valid params");
    let spec = call.method().spec();
    let future = server::dispatch(Arc::new(Shop), (), "1".to_owned(), call).expect("a handler");
    let frames = match spec.answer_at(version, now(future)) {
        Answer::One(frame) => vec![frame],
        Answer::Two { first, then } => vec![first, now(then)],
    };
    let text = |frame| {
        let text = String::from_utf8(frame).expect("UTF-8");
        text.replace(r#"{"type":"res","id":"1","#, "")
    };
    frames.into_iter().map(text).collect()
}

#[test]
fn answers_leave_newer_members_out() {
    let order = r#"{"idempotencyKey":"k","item":{"name":"tea","state":"fresh"}}"#;
    let fail = r#"{"idempotencyKey":"fail","item":{"name":"tea","state":"fresh"}}"#;
    for (version, method, params, expected) in [
        (
            4,
            "shop.list",
            "{}",
            &[
                r#""ok":true,"payload":{"items":[{"name":"tea","state":"fresh","rating":5}],"total":1}}"#,
            ][..],
        ),
        (
            3,
            "shop.list",
            "{}",
            &[r#""ok":true,"payload":{"items":[{"name":"tea","state":"fresh"}]}}"#],
        ),
        (
            3,
            "shop.order",
            order,
            &[
                r#""ok":true,"payload":{"status":"accepted"}}"#,
                r#""ok":true,"payload":{"state":"packed","item":{"name":"tea","state":"fresh"}}}"#,
            ],
        ),
        (
            3,
            "shop.order",
            fail,
            &[
                r#""ok":true,"payload":{"status":"accepted"}}"#,
                r#""ok":false,"payload":{"status":"accepted"},"error":{"code":"UNAVAILABLE","message":"sold out"}}"#,
            ],
        ),
        // One of several types.
        (
            3,
            "shop.poke",
            "{}",
            &[r#""ok":true,"payload":{"state":"packed","item":{"name":"tea","state":"fresh"}}}"#],
        ),
        (
            4,
            "shop.rate",
            r#"{"name":"tea"}"#,
            &[r#""ok":true,"payload":null}"#],
        ),
    ] {
        assert_eq!(
            answers(version, method, params),
            expected,
            "{method} at {version}"
        );
    }
}

#[test]
fn events_leave_newer_members_out() {
    assert_eq!(EventKind::ShopRated.spec().since, 4);
    assert_eq!(EventKind::ShopSold.spec().newest_member, 4);
    let receipt =
        from::<types::Receipt>(&format!(r#"{{"state":"packed","item":{ITEM},"points":3}}"#));
    let start = String::from_utf8(events::Event::ShopSold(receipt).frame_start()).expect("UTF-8");
    assert!(start.contains(r#""points":3"#), "{start}");
    assert_eq!(EventKind::ShopSold.frame_start_at(4, &start), start);
    assert_eq!(
        EventKind::ShopSold.frame_start_at(3, &start),
        r#"{"type":"event","event":"shop.sold","payload":{"state":"packed","item":{"name":"tea","state":"fresh"}}"#
    );
}

#[test]
fn tables_know_what_is_newer() {
    let rt::Node::Obj(item) = &tables::ITEM else {
        panic!("an item is an object");
    };
    let rating = rt::Newer {
        name: "rating",
        since: 4,
    };
    assert_eq!(item.newer, [rating]);
    let newest = Method::ALL.map(|method| (method.name(), method.spec().newest_member));
    assert_eq!(
        newest,
        [
            ("shop.list", 4),
            ("shop.order", 4),
            ("shop.rate", 4),
            ("shop.poke", 4)
        ]
    );
}
