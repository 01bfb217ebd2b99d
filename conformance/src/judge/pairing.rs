//! Which actual frame meets which expected one inside a track.

use serde_json::Value;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::{At, Out, Problem};
use crate::track::{Requests, event_name};

/// What a frame is, in few words: frames with the same label are candidates for each other.
pub(super) fn label(requests: &Requests, conn: &str, frame: &Value) -> String {
    let mut label = requests.describe(conn, frame);
    let detail = |pointer: &str| {
        frame
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let details: &[&str] = match event_name(frame) {
        Some("agent") => &[
            "/payload/stream",
            "/payload/data/phase",
            "/payload/data/name",
        ],
        Some(_) => &["/payload/state", "/payload/action", "/payload/phase"],
        None if frame.get("ok").is_some_and(|ok| ok == false) => {
            &["/error/code", "/payload/status"]
        }
        None => &["/payload/status"],
    };
    for detail in details
        .iter()
        .map(|pointer| detail(pointer))
        .filter(|d| !d.is_empty())
    {
        label.push(' ');
        label.push_str(detail);
    }
    label
}

/// Positions that meet, positions that are left over.
pub(super) struct Pairs {
    pub(super) meet: Vec<(usize, usize)>,
    pub(super) missing: Vec<usize>,
    pub(super) unexpected: Vec<usize>,
}

/// Lines two lists of labels up. Lists of the same length meet one to one.
pub(super) fn align(expected: &[String], actual: &[String]) -> Pairs {
    let mut pairs = Pairs {
        meet: Vec::new(),
        missing: Vec::new(),
        unexpected: Vec::new(),
    };
    if expected.len() == actual.len() {
        pairs.meet = (0..expected.len()).map(|i| (i, i)).collect();
        return pairs;
    }
    for op in capture_diff_slices(Algorithm::Myers, expected, actual) {
        let (old, new) = (op.old_range(), op.new_range());
        match op {
            DiffOp::Equal { .. } | DiffOp::Replace { .. } => {
                let both = old.len().min(new.len());
                pairs.meet.extend(old.clone().zip(new.clone()));
                pairs.missing.extend(old.skip(both));
                pairs.unexpected.extend(new.skip(both));
            }
            DiffOp::Delete { .. } => pairs.missing.extend(old),
            DiffOp::Insert { .. } => pairs.unexpected.extend(new),
        }
    }
    pairs
}

/// Whether two lists hold the same labels in another order. Gives the first position that is out of place.
pub(super) fn disorder(expected: &[String], actual: &[String]) -> Option<usize> {
    let sorted = |labels: &[String]| {
        let mut labels = labels.to_vec();
        labels.sort();
        labels
    };
    let first = expected.iter().zip(actual).position(|(e, a)| e != a)?;
    (sorted(expected) == sorted(actual)).then_some(first)
}

/// Pairs the frames of a track in their order.
pub(super) fn pair(requests: &Requests, expected: &[At<'_>], actual: &[At<'_>], out: &mut Out<'_>) {
    let labels = |list: &[At<'_>]| -> Vec<String> {
        list.iter()
            .map(|at| label(requests, out.conn, at.frame))
            .collect()
    };
    let (expected_labels, actual_labels) = (labels(expected), labels(actual));
    if let Some(first) = disorder(&expected_labels, &actual_labels) {
        let problem = Problem::Order {
            expected: expected_labels[first..].to_vec(),
            actual: actual_labels[first..].to_vec(),
        };
        out.find(
            Some(expected[first].index),
            Some(actual[first].index),
            problem,
        );
        return;
    }
    let pairs = align(&expected_labels, &actual_labels);
    for (e, a) in pairs.meet {
        let (e, a) = (expected[e], actual[a]);
        let label = requests.describe(out.conn, e.frame);
        out.meet(label, e.index, a.index, e.frame.clone(), a.frame.clone());
    }
    for e in pairs.missing {
        out.find(
            Some(expected[e].index),
            None,
            Problem::Missing(expected[e].frame.clone()),
        );
    }
    for a in pairs.unexpected {
        out.find(
            None,
            Some(actual[a].index),
            Problem::Unexpected(actual[a].frame.clone()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn lists_line_up() {
        for (expected, actual, meet, missing, unexpected) in [
            (
                "a b c",
                "a b c",
                vec![(0, 0), (1, 1), (2, 2)],
                vec![],
                vec![],
            ),
            ("a b c", "a c", vec![(0, 0), (2, 1)], vec![1], vec![]),
            ("a c", "a b c", vec![(0, 0), (1, 2)], vec![], vec![1]),
            ("a b", "a x y", vec![(0, 0), (1, 1)], vec![], vec![2]),
            ("", "a", vec![], vec![], vec![0]),
            ("a", "b", vec![(0, 0)], vec![], vec![]),
        ] {
            let pairs = align(&words(expected), &words(actual));
            assert_eq!(pairs.meet, meet, "{expected} | {actual}");
            assert_eq!(pairs.missing, missing, "{expected} | {actual}");
            assert_eq!(pairs.unexpected, unexpected, "{expected} | {actual}");
        }
    }

    #[test]
    fn disorder_is_told_from_difference() {
        for (expected, actual, first) in [
            ("a b c", "a c b", Some(1)),
            ("a b c", "a b c", None),
            ("a b", "a x", None),
            ("a b b", "a a b", None),
        ] {
            assert_eq!(
                disorder(&words(expected), &words(actual)),
                first,
                "{expected} | {actual}"
            );
        }
    }
}
