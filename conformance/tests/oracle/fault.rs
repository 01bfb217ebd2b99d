//! What a judge says against a document, and patterns of the places it names.

use std::fmt;

use openclaw_protocol::rt::Violation;

/// One thing that a judge holds against a document. No fault at all: the document is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// JSON pointer to the value; empty for the whole document.
    pub(crate) place: String,
    /// The violated keyword of JSON Schema, or a word of ours for what JSON Schema cannot say.
    pub(crate) keyword: String,
    /// In words.
    pub(crate) message: String,
}

impl Fault {
    /// A fault of the whole document.
    pub(crate) fn whole(keyword: &str, message: impl Into<String>) -> Self {
        Self {
            place: String::new(),
            keyword: keyword.to_owned(),
            message: message.into(),
        }
    }
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        Self {
            place: violation.path,
            keyword: violation.keyword.to_owned(),
            message: violation.message,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            keyword,
            message,
        } = self;
        write!(f, "at `{place}` {keyword}: {message}")
    }
}

/// Does a JSON pointer fit a pattern? In a pattern `**` stands for any number of segments, `*` for any characters inside
/// one segment.
pub(crate) fn place_fits(pattern: &str, place: &str) -> bool {
    let segments = |text: &str| -> Vec<String> { text.split('/').map(str::to_owned).collect() };
    segments_fit(&segments(pattern), &segments(place))
}

fn segments_fit(pattern: &[String], place: &[String]) -> bool {
    match (pattern.split_first(), place.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            (0..=place.len()).any(|skipped| segments_fit(rest, &place[skipped..]))
        }
        (Some((first, rest)), Some((segment, others))) => {
            segment_fits(first, segment) && segments_fit(rest, others)
        }
        _ => false,
    }
}

fn segment_fits(pattern: &str, segment: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == segment,
        Some((start, rest)) => segment.strip_prefix(start).is_some_and(|tail| {
            let ends = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
            ends.into_iter().any(|at| segment_fits(rest, &tail[at..]))
        }),
    }
}

#[test]
fn patterns_of_places() {
    for (pattern, place, fits) in [
        ("", "", true),
        ("", "/a", false),
        ("/a", "/a", true),
        ("/a", "/a/b", false),
        ("/a/*", "/a/0", true),
        ("/a/*", "/a/0/b", false),
        ("/**", "/a/b", true),
        ("**", "", true),
        ("/a/**/c", "/a/c", true),
        ("/a/**/c", "/a/0/1/c", true),
        ("/a/**/c", "/a/0/1/d", false),
        ("/env/*\n*", "/env/A\nB", true),
        ("/env/*\n*", "/env/AB", false),
        ("/agents/*\n*/**", "/agents/\n/ask", true),
    ] {
        assert_eq!(place_fits(pattern, place), fits, "{pattern:?} {place:?}");
    }
}
