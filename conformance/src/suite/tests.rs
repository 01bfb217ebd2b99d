//! Tables for [`super`].

use super::*;

#[test]
fn what_becomes_of_a_session() {
    let (why, odds) = ("why".to_owned(), vec![1]);
    let nothing = BTreeSet::new();
    let some = BTreeSet::from(["config.get".to_owned()]);
    let without = Status::Without(vec!["config.get".to_owned()]);
    let (whole, partly) = (Some(&nothing), Some(&some));
    for (skipped, known, odds, passed, expected) in [
        (None, None, None, whole, Status::Passed),
        (None, None, Some(&odds), whole, Status::Deviating(vec![1])),
        (None, None, Some(&odds), partly, without.clone()),
        (None, None, None, partly, without),
        (None, None, Some(&odds), None, Status::Failed),
        (
            None,
            Some(&why),
            None,
            None,
            Status::KnownFailing(why.clone()),
        ),
        (
            None,
            Some(&why),
            Some(&odds),
            partly,
            Status::UnexpectedPass(why.clone()),
        ),
        (
            Some(why.clone()),
            Some(&why),
            None,
            whole,
            Status::Skipped(why.clone()),
        ),
    ] {
        let bad = matches!(expected, Status::Failed | Status::UnexpectedPass(_));
        let status = status(skipped, known, odds, passed);
        assert_eq!((status.is_bad(), status), (bad, expected));
    }
}

#[test]
fn some_sessions_need_a_gateway_of_their_own() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sessions");
    let sessions = crate::file::load_all(&folder).unwrap();
    for (name, expected) in [
        ("connect-bad-token", None),
        ("tick-idle", None),
        (
            "connect-password-mode",
            Some("needs a configuration of its own"),
        ),
        ("shutdown-sigterm", Some("sends SIGTERM to the gateway")),
        ("agent-run", Some("agent needs the scripted model")),
        ("unknown-method", None),
        ("chat-send-empty", None),
        (
            "chat-history-limits",
            Some("chat.history needs an empty home"),
        ),
    ] {
        let session = sessions.iter().find(|s| s.name == name).unwrap();
        assert_eq!(needs_own_gateway(session).as_deref(), expected, "{name}");
    }
}

#[test]
fn the_list_of_known_failures() {
    for (text, expected) in [
        ("", Ok(vec![])),
        (
            "# why\n\na-b   needs cron\n",
            Ok(vec![("a-b", "needs cron")]),
        ),
        ("a-b\n", Err("list:1: no reason why a-b fails")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, text).unwrap();
        let expected = expected.map(|list: Vec<(&str, &str)>| {
            list.into_iter()
                .map(|(n, r)| (n.to_owned(), r.to_owned()))
                .collect::<BTreeMap<_, _>>()
        });
        match (known_failing(&path), expected) {
            (Ok(known), Ok(expected)) => assert_eq!(known, expected),
            (Err(error), Err(expected)) => {
                assert!(error.to_string().ends_with(expected), "{error}")
            }
            (result, expected) => panic!("{result:?} and not {expected:?}"),
        }
    }
}

#[test]
fn the_committed_list_names_sessions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known = known_failing(&folder.join("known-failing.txt")).unwrap();
    for name in known.keys() {
        assert!(
            folder
                .join("sessions")
                .join(format!("{name}.json"))
                .is_file(),
            "{name} is no session"
        );
    }
}
