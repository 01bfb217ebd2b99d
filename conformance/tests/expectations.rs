//! What is committed must fit together: sessions, deviations, known failures and the published schema.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;

use openclaw_conformance::deviation::Deviations;
use openclaw_conformance::file;
use openclaw_conformance::race::Races;
use openclaw_conformance::schema::FrameSchemas;
use openclaw_conformance::session::Action;
use openclaw_conformance::track::Requests;

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Marks that fit nothing any more would let nothing race, and nobody would see it.
#[test]
fn every_race_is_one_of_the_expected_sessions() {
    let mut sessions = file::load_all(&data().join("sessions")).unwrap();
    let deviations = Deviations::load(&data().join("deviations.json")).unwrap();
    for deviations in [Deviations::none(), deviations] {
        deviations.apply(&mut sessions).unwrap();
        let races = Races::load(&data().join("races.json"), &sessions).unwrap();
        assert_eq!(races.of("real-tui").len(), 1);
    }
}

/// A gateway cannot be asked for a frame that the schema forbids.
#[test]
fn every_expected_frame_follows_the_published_schema() {
    let published = data().join("../schema/dist/protocol.schema.json");
    let schemas = FrameSchemas::load(&published).unwrap();
    let mut sessions = file::load_all(&data().join("sessions")).unwrap();
    Deviations::load(&data().join("deviations.json"))
        .unwrap()
        .apply(&mut sessions)
        .unwrap();
    let mut wrong = Vec::new();
    for session in &sessions {
        let requests = Requests::of(session);
        for (i, step) in session.steps.iter().enumerate() {
            let Action::Receive { conn, frame } = &step.action else {
                continue;
            };
            for error in schemas.errors(&requests.describe(conn, frame), frame) {
                wrong.push(format!("{} step {}: {error}", session.name, i + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
